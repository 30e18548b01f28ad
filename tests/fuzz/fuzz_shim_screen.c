/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: a program's output into the screen, with sizes that change; then the repainted screen
 * must be the same. libvterm is fuzzed with it: what it cannot bear must not reach it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "place/shim/paint.h"
#include "place/shim/screen.h"

#define ROWS 12
#define COLS 30

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reply(void *arg, const void *data, size_t len)
{
	(void)data;
	*(size_t *)arg += len;
}

static void compare(const struct screen *a, const struct screen *b)
{
	struct screen_cell x, y;
	int rows, cols, r, c;

	screen_size(a, &rows, &cols);
	for (r = 0; r < rows; r++) {
		for (c = 0; c < cols; c++) {
			screen_cell(a, r, c, &x);
			screen_cell(b, r, c, &y);
			/* libvterm does not combine in the last column, so it cannot be painted there. */
			if (x.width == 0 || y.width == 0 || (c + 1 == cols && x.chars[1]))
				continue;
			if (x.chars[0] != y.chars[0] && !(x.chars[0] <= ' ' && y.chars[0] <= ' '))
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct screen_ops ops = {.reply = reply};
	size_t replied = 0, at = 0;
	struct screen *s = screen_create(ROWS, COLS, &ops, &replied), *n;
	struct buf live, paint;
	int rows, cols;

	buf_init(&live, 1 << 20);
	buf_init(&paint, 1 << 20);
	while (at < size) {
		size_t len = data[at] >> 2;

		/* Two low bits: feed, feed, resize, feed. */
		if ((data[at] & 3) == 2 && at + 2 < size) {
			screen_resize(s, data[at + 1] % 40, data[at + 2] % 60);
			at += 3;
			continue;
		}
		at++;
		len = size - at < len ? size - at : len;
		buf_clear(&live);
		screen_feed(s, data + at, len, &live);
		at += len;
	}
	screen_size(s, &rows, &cols);
	n = screen_create(rows, cols, NULL, NULL);
	if (paint_full(s, &paint) == 0) {
		screen_feed(n, buf_data(&paint), paint.len, NULL);
		compare(s, n);
	}
	screen_destroy(n);
	screen_destroy(s);
	buf_finish(&live);
	buf_finish(&paint);
	return 0;
}
