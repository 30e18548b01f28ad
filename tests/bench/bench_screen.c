/* SPDX-License-Identifier: ISC */
/*
 * How fast the emulator alone takes a terminal's output, by kind: without a view, with one (filtered
 * output is made), and while a text is waited for (lines that scroll off are made text).
 * Arguments: recorded streams to be read too.
 */
#include <time.h>

#include "base/util.h"
#include "place/shim/screen.h"
#include "tests/bench/bench.h"

#define ROWS 40
#define COLS 132
#define TOTAL (8u * 1024 * 1024)
#define UNIT (1u << 20)
#define PIECE 65536
#define TARGET 49 /* MB/s: what libvterm alone was measured at */

enum how { PLAIN, VIEW, LINES, HOW_COUNT };

struct job {
	const char *data;
	size_t len;
	enum how how;
};

/* Of the processor: nothing is waited for here, and others' work on the machine must not count. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_line(void *arg, const char *text, size_t len)
{
	(void)text;
	*(size_t *)arg += len;
}

/* MB per second of the processor's time, of one run over the data repeated. */
static double run(void *arg)
{
	const struct job *j = arg;
	const struct screen_ops ops = {.line = on_line};
	size_t told = 0, at, fed = 0;
	struct screen *s = screen_create(ROWS, COLS, &ops, &told);
	struct buf live;
	double t;

	buf_init(&live, UNIT);
	screen_catch_lines(s, j->how == LINES);
	t = now();
	while (fed < TOTAL) {
		for (at = 0; at < j->len; at += PIECE) {
			size_t n = j->len - at < PIECE ? j->len - at : PIECE;

			buf_clear(&live);
			screen_feed(s, j->data + at, n, j->how == VIEW ? &live : NULL);
			fed += n;
		}
	}
	t = now() - t;
	buf_finish(&live);
	screen_destroy(s);
	return (double)fed / 1e6 / t;
}

static void report(const char *name, const char *data, size_t len)
{
	static const char *const how[HOW_COUNT] = {"", ", to a view", ", lines caught"};
	struct job j = {.data = data, .len = len};

	for (j.how = 0; j.how < HOW_COUNT; j.how++) {
		cleanup_free char *what = xasprintf("%s%s", name, how[j.how]);

		bench_run(&(struct bench_row){.what = what, .unit = "MB/s", .at_least = TARGET}, run, &j);
	}
}

static void repeated(const char *name, const char *unit)
{
	struct buf b;

	buf_init(&b, 2 * UNIT);
	while (b.len < UNIT)
		buf_append(&b, unit, strlen(unit));
	report(name, (char *)buf_data(&b), b.len);
	buf_finish(&b);
}

static void recorded(const char *path)
{
	cleanup_free char *data = NULL;
	struct err e = {0};
	size_t len;

	if (file_read(path, 64 * UNIT, &data, &len, &e) < 0)
		fprintf(stderr, "%s\n", e.message);
	else
		report(strrchr(path, '/') ? strrchr(path, '/') + 1 : path, data, len);
}

int main(int argc, char **argv)
{
	int i;

	bench_start(&argc, argv, "screen");
	repeated("short lines", "y\r\n");
	repeated("lines of 54", "the quick brown fox jumps over the lazy dog and so on\r\n");
	repeated("no line ends", "the quick brown fox jumps over the lazy dog ");
	repeated("lines in a region", "\033[5;30r\033[30;1Hfour\r\nlines\r\nof\r\ntext\r\n");
	repeated("coloured words", "\033[31mred\033[0m \033[1;38;5;200;48;2;1;2;3mother\033[m ");
	repeated("cursor and erasing", "\033[5;10H\033[Kxx\033[12;3H\033[1Jyy\033[44m\033[2K\033[m");
	repeated("wide and combining", "\346\227\245\346\234\254\350\252\236 \342\224\200\342\224\200 e\314\201\r\n");
	repeated("inserting and deleting", "\033[3;3H\033[4@ab\033[5P\033[2L\033[2M");
	for (i = 1; i < argc; i++)
		recorded(argv[i]);
	return bench_end();
}
