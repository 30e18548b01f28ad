/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: a program's output into the screen, with sizes that change. What must hold, whatever comes:
 * fed byte by byte it is the same; an emulator fed with what a view is given shows the same; so does one
 * that is painted anew, and one made from a snapshot; the cursor is on the screen; answers are bounded.
 */
#include <stdint.h>
#include <stdlib.h>

#include "place/shim/paint.h"
#include "place/shim/screen.h"
#include "tests/unit/shim/screen_same.h"

#define ROWS 12
#define COLS 30
#define BUF_MAX (8u << 20)
#define INPUT_MAX 8192 /* longer ones find nothing else, slowly */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reply(void *arg, const void *data, size_t len)
{
	(void)data;
	*(size_t *)arg += len;
}

static void on_line(void *arg, const char *text, size_t len)
{
	(void)text;
	*(size_t *)arg += len;
}

static void same(const struct screen *a, const struct screen *b, bool snapshot, const char *what)
{
	const char *why = screens_differ(a, b, snapshot);

	if (!why)
		return;
	fprintf(stderr, "%s: %s\n", what, why);
	abort();
}

static void check_cursor(const struct screen *s)
{
	int rows, cols, row, col;

	screen_size(s, &rows, &cols);
	screen_cursor(s, &row, &col);
	if (row < 0 || row >= rows || col < 0 || col >= cols || (screen_wrap_pending(s) && col + 1 != cols))
		abort();
}

static void check_painted(const struct screen *s)
{
	struct screen *n;
	struct buf paint;
	int rows, cols, snapshot;

	screen_size(s, &rows, &cols);
	for (snapshot = 0; snapshot <= 1; snapshot++) {
		buf_init(&paint, BUF_MAX);
		n = screen_create(rows, cols, NULL, NULL);
		if ((snapshot ? paint_snapshot(s, &paint) : paint_full(s, &paint)) < 0)
			abort();
		screen_feed(n, buf_data(&paint), paint.len, NULL);
		same(s, n, snapshot == 1, snapshot ? "snapshot" : "painted");
		screen_destroy(n);
		buf_finish(&paint);
	}
}

/* The three that must stay alike: fed as it comes, byte by byte, and with what a view is given. */
struct three {
	struct screen *whole, *bytes, *view;
};

static void feed(struct three *t, const uint8_t *data, size_t len)
{
	struct buf live;
	size_t i;

	buf_init(&live, BUF_MAX);
	if (screen_feed(t->whole, data, len, &live) < 0)
		abort();
	for (i = 0; i < len; i++)
		screen_feed(t->bytes, data + i, 1, NULL);
	if (live.len)
		screen_feed(t->view, buf_data(&live), live.len, NULL);
	buf_finish(&live);
	check_cursor(t->whole);
}

static void resize(struct three *t, int rows, int cols)
{
	screen_resize(t->whole, rows, cols);
	screen_resize(t->bytes, rows, cols);
	screen_resize(t->view, rows, cols);
	check_cursor(t->whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct screen_ops ops = {.reply = reply, .line = on_line};
	size_t told = 0, at = 0, len;
	struct three t = {screen_create(ROWS, COLS, &ops, &told), screen_create(ROWS, COLS, NULL, NULL),
		screen_create(ROWS, COLS, NULL, NULL)};

	size = size < INPUT_MAX ? size : INPUT_MAX;
	while (at < size) {
		/* Two low bits: feed, feed, resize, feed. */
		if ((data[at] & 3) == 2 && at + 2 < size) {
			resize(&t, data[at + 1] % 40, data[at + 2] % 60);
			at += 3;
			continue;
		}
		len = (data[at++] >> 2) * 4u;
		len = size - at < len ? size - at : len;
		feed(&t, data + at, len);
		at += len;
	}
	same(t.whole, t.bytes, true, "byte by byte");
	same(t.whole, t.view, false, "view");
	check_painted(t.whole);
	screen_destroy(t.whole);
	screen_destroy(t.bytes);
	screen_destroy(t.view);
	return 0;
}
