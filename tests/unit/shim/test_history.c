/* SPDX-License-Identifier: ISC */
/* What scrolled away, from the recording, as a person saw it. */
#include "place/shim/history.h"

#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "place/shim/record.h"
#include "tests/unit/run.h"

static char dir[] = "/tmp/shim-history-XXXXXX";
static struct record *record;
static struct screen *screen;

static void setup(void)
{
	struct err e = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(record_open(AT_FDCWD, dir, 64 << 20, &record, &e), 0);
	screen = screen_create(5, 40, NULL, NULL);
}

static void teardown(void)
{
	struct err e = {0};

	record_close(record);
	screen_destroy(screen);
	tree_remove(dir, &e);
}

static void print(const char *text)
{
	struct err e = {0};

	ck_assert_int_eq(record_append(record, text, strlen(text), &e), 0);
	screen_feed(screen, text, strlen(text), NULL);
}

static char *history(int lines)
{
	struct err e = {0};
	struct buf b;
	char *t;

	buf_init(&b, 1 << 20);
	ck_assert_int_eq(history_text(record_tape(record), screen, lines, &b, &e), 0);
	t = xstrndup(b.len ? (char *)buf_data(&b) : "", b.len);
	buf_finish(&b);
	return t;
}

static void check(int lines, const char *want)
{
	char *got = history(lines);

	ck_assert_str_eq(got, want);
	free(got);
}

START_TEST(lines_that_scrolled_away_come_first)
{
	print("one\r\ntwo\r\n\033[31mthree\033[m\r\nfour\r\nfive\r\nsix\r\nseven\r\n");
	check(100, "one\ntwo\nthree\nfour\nfive\nsix\nseven\n");
	check(6, "two\nthree\nfour\nfive\nsix\nseven\n");
	check(1, "four\nfive\nsix\nseven\n"); /* the screen is always whole */
}
END_TEST

START_TEST(lines_are_as_they_were_when_they_left)
{
	print("progress 1%\rprogress 99%\r\n\033[1Aprogress done\033[K\r\nb\r\nc\r\nd\r\ne\r\nf\r\n");
	check(100, "progress done\nb\nc\nd\ne\nf\n");
}
END_TEST

START_TEST(a_full_screen_program_adds_no_lines)
{
	print("before\r\n1\r\n2\r\n3\r\n4\r\n5\r\n\033[?1049h\033[Ha\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng");
	check(100, "before\n1\nc\nd\ne\nf\ng\n");
}
END_TEST

START_TEST(only_a_tail_of_a_long_recording_is_read)
{
	char line[64];
	char *got;
	int i;

	for (i = 0; i < 100000; i++) {
		snprintf(line, sizeof(line), "line %d of many, to make it long\r\n", i);
		print(line);
	}
	got = history(3000);
	ck_assert(str_starts(got, "line 97000 of many"));
	ck_assert_ptr_nonnull(strstr(got, "line 99999 of many"));
	free(got);
	got = history(HISTORY_LINES_MAX);
	ck_assert(str_starts(got, "line 90000 of many"));
	free(got);
}
END_TEST

START_TEST(a_tail_that_begins_on_the_alternate_screen_is_known_to)
{
	char *fill = xcalloc(1, HISTORY_TAIL + 1), *got;

	print("shell\r\n\033[?1049h");
	memset(fill, 'x', HISTORY_TAIL);
	print(fill);
	print("\033[?1049l\033[H\033[2Jback\r\n");
	got = history(100);
	ck_assert_str_eq(got, "back\n");
	free(got);
	free(fill);
}
END_TEST

START_TEST(text_that_ran_on_is_one_line)
{
	char long_line[101];

	memset(long_line, 'x', 100);
	long_line[100] = '\0';
	long_line[39] = long_line[40] = ' ';
	print(long_line);
	print("\r\nfull row of exactly forty characters....\r\n1\r\n2\r\n3\r\n");
	print(long_line);
	print("\r\nend");
	char *want = xasprintf("%s\nfull row of exactly forty characters....\n1\n2\n3\n%s\nend\n", long_line, long_line);
	check(100, want);
	free(want);
}
END_TEST

START_TEST(one_that_runs_on_from_what_left_to_what_shows)
{
	char long_line[221];

	memset(long_line, 'y', 220);
	long_line[220] = '\0';
	print("before\r\n");
	print(long_line);
	char *want = xasprintf("before\n%s\n", long_line);
	check(100, want);
	free(want);
}
END_TEST

START_TEST(what_was_erased_is_not_there_twice)
{
	for (int i = 0; i < 3; i++)
		print("\033[2J\033[3J\033[Ha\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng\r\n");
	check(100, "a\nb\nc\nd\ne\nf\ng\n");
}
END_TEST

TEST_MAIN_FIXTURE("shim/history", setup, teardown, lines_that_scrolled_away_come_first,
	lines_are_as_they_were_when_they_left, a_full_screen_program_adds_no_lines,
	only_a_tail_of_a_long_recording_is_read, a_tail_that_begins_on_the_alternate_screen_is_known_to,
	text_that_ran_on_is_one_line, one_that_runs_on_from_what_left_to_what_shows, what_was_erased_is_not_there_twice)
