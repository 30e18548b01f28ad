/* SPDX-License-Identifier: ISC */
/* A recording that is played: the same screen at any offset, through keys, sizes, holes, packing and splits. */
#include "place/shim/player.h"

#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "place/shim/paint.h"
#include "place/shim/record.h"
#include "record/pack.h"
#include "tests/unit/run.h"

#define BOUND (1u << 20) /* segments of 64 KiB */
#define PIECES 4000

static char dir[] = "/tmp/shim-player-XXXXXX";
static struct record *record;
static struct screen *screen;
static int64_t now_ms = 1700000000000;

static int64_t wall(void)
{
	return now_ms;
}

static int64_t mono(void)
{
	return now_ms - 1600000000000;
}

static bool key(void *arg, struct buf *out, int *rows, int *cols)
{
	(void)arg;
	screen_size(screen, rows, cols);
	return paint_snapshot(screen, out) == 0 && screen_pending(screen) == 0;
}

static struct loop *loop;

static void setup(void)
{
	struct err e = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	clock_set_source(mono, wall);
	loop = loop_create(&e);
	ck_assert_int_eq(record_open(AT_FDCWD, dir, BOUND, &record, &e), 0);
	screen = screen_create(10, 60, NULL, NULL);
	record_serve(record, loop, NULL, key, NULL);
}

static void teardown(void)
{
	struct err e = {0};

	record_close(record);
	screen_destroy(screen);
	loop_destroy(loop);
	tree_remove(dir, &e);
}

static void print(const char *text)
{
	struct err e = {0};

	ck_assert_int_eq(record_append(record, text, strlen(text), &e), 0);
	screen_feed(screen, text, strlen(text), NULL);
}

static char *text_of(const struct screen *s)
{
	struct buf b;
	char *t;

	buf_init(&b, 1 << 20);
	ck_assert_int_eq(paint_snapshot(s, &b), 0);
	t = xstrndup((const char *)buf_data(&b), b.len);
	buf_finish(&b);
	return t;
}

static uint64_t at[PIECES];
static char *shown[PIECES];
static int64_t came[PIECES];

/* Much output of many kinds, what showed kept every so often. */
static void make_recording(void)
{
	char line[256];

	for (int i = 0; i < PIECES; i++) {
		now_ms += 20;
		at[i] = record_end(record);
		came[i] = now_ms;
		if (i % 200 == 0)
			shown[i] = text_of(screen);
		if (i % 500 == 250) {
			screen_resize(screen, 8 + i / 500, 50 + i / 100);
			record_size(record, 8 + i / 500, 50 + i / 100);
		}
		snprintf(line, sizeof(line), "\033[%dmline %d\033[m of %0*d\r\n%s", 31 + i % 7, i, i % 90 + 1, i,
			i % 300 == 0 ? "\033[?1049h\033[Hfull screen" : i % 300 == 100 ? "\033[?1049l" : "");
		print(line);
	}
}

static void compare(struct tape *t)
{
	struct player *p = player_create(t, 24, 80, NULL, NULL);
	struct err e = {0};

	for (int i = PIECES - 200; i >= 0; i -= 600) {
		if (at[i] < tape_first(t))
			continue;
		ck_assert_int_eq(player_to(p, at[i], &e), 0);
		char *got = text_of(player_screen(p));
		ck_assert_msg(strcmp(got, shown[i]) == 0, "at piece %d, offset %llu", i, (unsigned long long)at[i]);
		free(got);
		/* And on from there, with the time of each. */
		for (int k = i; k < i + 100;) {
			struct walk_step s;
			bool whole;
			ck_assert_int_eq(player_next(p, &s, NULL, &whole, &e), 1);
			if (s.kind != WALK_DATA)
				continue;
			ck_assert_uint_eq(s.offset, at[k]);
			ck_assert_int_eq(s.ms, came[k]);
			k++;
		}
	}
	player_destroy(p);
}

START_TEST(any_offset_shows_what_showed_then)
{
	struct stock *s;

	make_recording();
	compare(record_tape(record));
	s = tape_stock(record_tape(record));
	ck_assert_uint_ge(s->n, 3);
	for (size_t i = 0; i + 1 < s->n; i += 2)
		ck_assert_int_eq(pack_segment(tape_dir(record_tape(record)), s->seg[i].start, NULL), 0);
	struct tape *t = NULL;
	ck_assert_int_eq(tape_open(AT_FDCWD, dir, &t, NULL), 0);
	compare(t);
	tape_close(t);
	for (int i = 0; i < PIECES; i++)
		free(shown[i]);
}
END_TEST

START_TEST(a_key_mends_the_screen_behind_a_hole)
{
	struct err e = {0};
	struct player *p;
	char *want, *got;

	print("before the hole\r\n");
	/* Seen by the terminal, not recorded. */
	screen_feed(screen, "lost\r\n", 6, NULL);
	ck_assert_int_eq(record_skip(record, record_end(record) + 6, &e), 0);
	print("behind it");
	want = text_of(screen);
	p = player_create(record_tape(record), 24, 80, NULL, NULL);
	ck_assert_int_eq(player_to(p, record_end(record), &e), 0);
	got = text_of(player_screen(p));
	ck_assert_str_eq(got, want);
	free(got);
	free(want);
	player_destroy(p);
}
END_TEST

START_TEST(a_recording_without_times_is_played)
{
	const char *name = "term.100.rec", *text = "half a line\r\nsecond\r\nthird";
	struct tape *t = NULL;
	struct err e = {0};
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	struct buf b;

	ck_assert_int_eq(file_write_atomic(path, text, strlen(text), 0600, &e), 0);
	ck_assert_int_eq(tape_open(AT_FDCWD, dir, &t, &e), 0);
	struct player *p = player_create(t, 5, 40, NULL, NULL);
	ck_assert_int_eq(player_to(p, tape_end(t), &e), 0);
	buf_init(&b, 1000);
	screen_text(player_screen(p), &b);
	buf_append(&b, "", 1);
	ck_assert_str_eq((char *)buf_data(&b), "second\nthird\n");
	buf_finish(&b);
	player_destroy(p);
	tape_close(t);
}
END_TEST

static void count_line(void *arg, const char *text, size_t len)
{
	int *count = arg;

	(void)text;
	(void)len;
	++*count;
}

START_TEST(only_lines_behind_the_offset_are_told)
{
	const struct screen_ops ops = {.line = count_line};
	struct walk_step s;
	struct err e = {0};
	int lines = 0, r;
	bool whole;

	for (int i = 0; i < 400; i++)
		print("a line\r\n");
	uint64_t middle = record_end(record);
	for (int i = 0; i < 100; i++)
		print("a line\r\n");
	struct player *p = player_create(record_tape(record), 24, 80, &ops, &lines);
	ck_assert_int_eq(player_to(p, middle, &e), 0);
	ck_assert_int_eq(lines, 0);
	while ((r = player_next(p, &s, NULL, &whole, &e)) > 0)
		;
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(lines, 100);
	player_destroy(p);
}
END_TEST

TEST_MAIN_FIXTURE("shim/player", setup, teardown, any_offset_shows_what_showed_then,
	only_lines_behind_the_offset_are_told,
	a_key_mends_the_screen_behind_a_hole, a_recording_without_times_is_played)
