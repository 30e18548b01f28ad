/* SPDX-License-Identifier: ISC */
/* The times of a segment: what is written is read, a cut file is good up to its cut, damage is noticed. */
#include "record/timeline.h"

#include <string.h>

#include "tests/unit/run.h"

#define MANY 1000

static struct moment want[MANY];
static struct buf file;

static void setup(void)
{
	struct timeline_head h = {.start = 5000, .ms = 1700000000000, .rows = 40, .cols = 132,
		.key = (const unsigned char *)"\033[2Jkey", .key_len = 7};
	struct moment last = {.offset = h.start, .ms = h.ms};

	buf_init(&file, TIMELINE_MAX);
	ck_assert_int_eq(timeline_put_head(&h, &file), 0);
	for (int i = 0; i < MANY; i++) {
		want[i] = (struct moment){.kind = i % 7 == 3 ? MOMENT_SIZE : MOMENT_DATA, .offset = last.offset + (uint64_t)(i * i % 70000),
			.ms = last.ms + i * 37 % 5000};
		if (want[i].kind == MOMENT_SIZE)
			want[i].rows = 20 + i % 50, want[i].cols = 80 + i;
		timeline_put(&want[i], &last, &file);
	}
}

static void teardown(void)
{
	buf_finish(&file);
}

static int open_it(struct timeline *t, size_t len)
{
	struct timeline_head h;
	struct err e = {0};
	int r = timeline_open(t, buf_data(&file), len, 5000, 1u << 30, &h, &e);

	if (r < 0)
		return r;
	if (h.ms != 1700000000000 || h.rows != 40 || h.cols != 132 || h.key_len != 7 || memcmp(h.key, "\033[2Jkey", 7))
		ck_abort_msg("the head of %zu bytes is read as another", len);
	return 0;
}

START_TEST(what_was_put_comes_back)
{
	struct timeline t;
	struct moment m;

	ck_assert_int_eq(open_it(&t, file.len), 0);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(timeline_next(&t, &m), 1);
		ck_assert_int_eq(m.kind, want[i].kind);
		ck_assert_uint_eq(m.offset, want[i].offset);
		ck_assert_int_eq(m.ms, want[i].ms);
		ck_assert_int_eq(m.rows, want[i].rows);
		ck_assert_int_eq(m.cols, want[i].cols);
	}
	ck_assert_int_eq(timeline_next(&t, &m), 0);
}
END_TEST

START_TEST(a_cut_file_is_good_up_to_its_cut)
{
	for (size_t len = 0; len < file.len; len++) {
		struct timeline t;
		struct moment m;
		int n = 0, r;

		if (open_it(&t, len) < 0) {
			ck_assert_uint_lt(len, TIMELINE_HEAD + 7);
			continue;
		}
		/* Not an assertion for each moment of each cut: each is a message of check's. */
		while ((r = timeline_next(&t, &m)) > 0) {
			if (n >= MANY || m.offset != want[n].offset)
				ck_abort_msg("cut at %zu: moment %d is another", len, n);
			n++;
		}
		if (r != 0)
			ck_abort_msg("cut at %zu: damage", len);
	}
}
END_TEST

START_TEST(a_damaged_head_is_refused)
{
	for (size_t i = 0; i < TIMELINE_HEAD + 7; i++) {
		struct timeline t;

		buf_data(&file)[i] ^= 0x10;
		ck_assert_msg(open_it(&t, file.len) < 0, "byte %zu", i);
		buf_data(&file)[i] ^= 0x10;
	}
}
END_TEST

START_TEST(moments_behind_the_segment_are_damage)
{
	struct timeline t;
	struct timeline_head h;
	struct moment m;
	struct err e = {0};
	int r;

	ck_assert_int_eq(timeline_open(&t, buf_data(&file), file.len, 5000, 10000, &h, &e), 0);
	while ((r = timeline_next(&t, &m)) > 0)
		ck_assert_uint_le(m.offset, 15000);
	ck_assert_int_eq(r, -1);
}
END_TEST

START_TEST(a_clock_that_went_back_is_not_seen)
{
	struct moment last = {.offset = 10, .ms = 1000}, m = {.offset = 20, .ms = 400};
	struct buf b;

	buf_init(&b, 100);
	timeline_put(&m, &last, &b);
	ck_assert_int_eq(last.ms, 1000);
	ck_assert_uint_eq(last.offset, 20);
	buf_finish(&b);
}
END_TEST

TEST_MAIN_FIXTURE("record/timeline", setup, teardown, what_was_put_comes_back, a_cut_file_is_good_up_to_its_cut,
	a_damaged_head_is_refused, moments_behind_the_segment_are_damage, a_clock_that_went_back_is_not_seen)
