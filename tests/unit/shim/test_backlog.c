/* SPDX-License-Identifier: ISC */
/* The lines above the screen: a terminal that comes later holds what one that was there all along holds. */
#include "place/shim/backlog.h"

#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "place/shim/paint.h"
#include "tests/unit/run.h"

static char dir[] = "/tmp/shim-backlog-XXXXXX";
static struct record *record;
static struct screen *screen;
static struct buf all; /* what a terminal holds: what left its top, then its screen */

static void on_line(void *arg, const char *text, size_t len)
{
	(void)arg;
	ck_assert_int_eq(buf_printf(&all, "%.*s\n", (int)len, text), 0);
}

static void setup(void)
{
	struct err e = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(record_open(AT_FDCWD, dir, 64 << 20, &record, &e), 0);
	screen = screen_create(5, 40, NULL, NULL);
	buf_init(&all, 1 << 20);
}

static void teardown(void)
{
	struct err e = {0};

	record_close(record);
	screen_destroy(screen);
	buf_finish(&all);
	tree_remove(dir, &e);
}

static void print(const char *text)
{
	struct err e = {0};

	ck_assert_int_eq(record_append(record, text, strlen(text), &e), 0);
	screen_feed(screen, text, strlen(text), NULL);
}

/* What a terminal of this size holds that comes now and asks for so many lines. */
static const char *seen_by(int lines, int rows, int cols)
{
	static const struct screen_ops ops = {.line = on_line};
	struct screen *terminal = screen_create(rows, cols, &ops, NULL);
	struct err e = {0};
	struct buf b;

	buf_consume(&all, all.len);
	buf_init(&b, BACKLOG_BYTES_MAX);
	ck_assert_int_eq(backlog_paint(record, screen, lines, rows, cols, &b, &e), 0);
	screen_feed(terminal, buf_data(&b), b.len, NULL);
	buf_consume(&b, b.len);
	ck_assert_int_eq(paint_full(screen, &b), 0);
	screen_feed(terminal, buf_data(&b), b.len, NULL);
	ck_assert_int_eq(screen_text(terminal, &all), 0);
	ck_assert_int_eq(buf_append(&all, "", 1), 0);
	buf_finish(&b);
	screen_destroy(terminal);
	return (const char *)buf_data(&all);
}

START_TEST(nothing_above_a_new_screen)
{
	print("one\r\ntwo\r\n");
	ck_assert_str_eq(seen_by(200, 5, 40), "one\ntwo\n");
}
END_TEST

START_TEST(each_line_once)
{
	print("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10\r\n11\r\n12\r\nprompt> ");
	ck_assert_str_eq(seen_by(200, 5, 40), "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\nprompt>\n");
}
END_TEST

START_TEST(fewer_lines_than_the_screen_has_rows)
{
	print("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7");
	ck_assert_str_eq(seen_by(200, 5, 40), "1\n2\n3\n4\n5\n6\n7\n");
}
END_TEST

START_TEST(no_more_than_asked_for)
{
	print("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9");
	ck_assert_str_eq(seen_by(2, 5, 40), "3\n4\n5\n6\n7\n8\n9\n");
	ck_assert_str_eq(seen_by(0, 5, 40), "5\n6\n7\n8\n9\n");
}
END_TEST

START_TEST(empty_lines_among_them)
{
	print("1\r\n\r\n\r\n4\r\n\r\n6\r\n7\r\n\r\n9\r\n10");
	ck_assert_str_eq(seen_by(200, 5, 40), "1\n\n\n4\n\n6\n7\n\n9\n10\n");
}
END_TEST

START_TEST(wide_characters_and_full_lines)
{
	print("日本語 und äöü\r\n0123456789012345678901234567890123456789\r\nc\r\nd\r\ne\r\nf\r\ng");
	ck_assert_str_eq(seen_by(200, 5, 40),
		"日本語 und äöü\n0123456789012345678901234567890123456789\nc\nd\ne\nf\ng\n");
}
END_TEST

START_TEST(colours_are_kept)
{
	struct err e = {0};
	struct buf b;

	print("\033[31mred\033[m plain\r\n2\r\n3\r\n4\r\n5\r\n6");
	buf_init(&b, BACKLOG_BYTES_MAX);
	ck_assert_int_eq(backlog_paint(record, screen, 200, 5, 40, &b, &e), 0);
	ck_assert_int_eq(buf_append(&b, "", 1), 0);
	ck_assert_ptr_nonnull(strstr((const char *)buf_data(&b), "\033[0;31mred\033[0m plain"));
	buf_finish(&b);
}
END_TEST

/* The screen grew: what stands on it is less than a terminal of that size would have kept. */
START_TEST(a_screen_that_grew)
{
	print("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9");
	screen_resize(screen, 8, 40);
	ck_assert_str_eq(seen_by(200, 8, 40), "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
	print("\r\n10\r\n11\r\n12\r\n13\r\n14\r\n15");
	ck_assert_str_eq(seen_by(200, 8, 40), "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n");
}
END_TEST

START_TEST(a_screen_that_shrank)
{
	print("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9");
	screen_resize(screen, 3, 40);
	ck_assert_str_eq(seen_by(200, 3, 40), "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
}
END_TEST

START_TEST(a_full_screen_program_over_a_shell)
{
	print("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\033[?1049h\033[H\033[2Jeditor");
	ck_assert_str_eq(seen_by(200, 5, 40), "1\n2\neditor\n");
}
END_TEST

START_TEST(the_last_of_very_many)
{
	char line[64];

	for (int i = 0; i < 20000; i++) {
		snprintf(line, sizeof(line), "line %d of many, to make it long\r\n", i);
		print(line);
	}
	seen_by(200, 5, 40);
	ck_assert(str_starts((const char *)buf_data(&all), "line 19796 of many"));
	ck_assert_ptr_nonnull(strstr((const char *)buf_data(&all), "line 19999 of many"));
}
END_TEST

TEST_MAIN_FIXTURE("shim/backlog", setup, teardown, nothing_above_a_new_screen, each_line_once,
	fewer_lines_than_the_screen_has_rows, no_more_than_asked_for, empty_lines_among_them,
	wide_characters_and_full_lines, colours_are_kept, a_screen_that_grew, a_screen_that_shrank,
	a_full_screen_program_over_a_shell, the_last_of_very_many)
