/* SPDX-License-Identifier: ISC */
/* The bounded buffer: bound, order, and what becomes of consumed space. */
#include "base/buf.h"

#include <string.h>

#include "tests/unit/run.h"

START_TEST(append_past_the_bound_changes_nothing)
{
	struct buf b;
	buf_init(&b, 8);
	ck_assert_int_eq(buf_append(&b, "12345", 5), 0);
	ck_assert_int_eq(buf_append(&b, "6789", 4), -1);
	ck_assert_int_eq(buf_printf(&b, "%s", "6789"), -1);
	ck_assert_uint_eq(b.len, 5);
	ck_assert_uint_eq(buf_room(&b), 3);
	ck_assert_int_eq(buf_append(&b, "678", 3), 0);
	ck_assert_mem_eq(buf_data(&b), "12345678", 8);
	ck_assert_int_eq(buf_append(&b, "", 0), 0);
	ck_assert_ptr_null(buf_reserve(&b, 1));
	buf_finish(&b);
}
END_TEST

START_TEST(printf_appends_without_a_nul)
{
	struct buf b;
	buf_init(&b, 64);
	ck_assert_int_eq(buf_printf(&b, "%d-%s", 42, "x"), 0);
	ck_assert_int_eq(buf_printf(&b, "!"), 0);
	ck_assert_uint_eq(b.len, 5);
	ck_assert_mem_eq(buf_data(&b), "42-x!", 5);
	buf_finish(&b);
}
END_TEST

START_TEST(order_holds_through_many_turns)
{
	struct buf b;
	buf_init(&b, 4096);
	unsigned in = 0, out = 0;
	for (unsigned turn = 0; turn < 600; turn++) {
		unsigned n = turn * 7 % 900;
		for (unsigned i = 0; i < n; i++) {
			unsigned char c = (unsigned char)(in * 31 >> 3);
			if (buf_append(&b, &c, 1) < 0)
				break;
			in++;
		}
		unsigned take = turn * 13 % 1000;
		if (take > b.len)
			take = (unsigned)b.len;
		for (unsigned i = 0; i < take; i++)
			ck_assert_uint_eq(buf_data(&b)[i], (unsigned char)((out + i) * 31 >> 3));
		buf_consume(&b, take);
		out += take;
		ck_assert_uint_le(b.cap, 4096);
	}
	ck_assert_uint_eq(b.len, in - out);
	ck_assert_uint_gt(out, 50000);
	buf_finish(&b);
}
END_TEST

START_TEST(reserve_then_commit)
{
	struct buf b;
	buf_init(&b, 100000);
	unsigned char *p = buf_reserve(&b, 70000);
	ck_assert_ptr_nonnull(p);
	memset(p, 'z', 70000);
	buf_added(&b, 70000);
	buf_consume(&b, 69999);
	ck_assert_uint_eq(b.len, 1);
	ck_assert_int_eq(buf_data(&b)[0], 'z');
	ck_assert_ptr_nonnull(buf_reserve(&b, 99999));
	ck_assert_int_eq(buf_data(&b)[0], 'z');
	buf_consume(&b, 1000); /* more than there is */
	ck_assert_uint_eq(b.len, 0);
	buf_finish(&b);
}
END_TEST

START_TEST(clear_and_finish_leave_a_usable_buffer)
{
	struct buf b;
	buf_init(&b, 10);
	buf_append(&b, "abc", 3);
	buf_clear(&b);
	ck_assert_uint_eq(b.len, 0);
	buf_append(&b, "abc", 3);
	buf_finish(&b);
	ck_assert_ptr_null(buf_data(&b));
	ck_assert_int_eq(buf_append(&b, "0123456789", 10), 0);
	buf_finish(&b);
}
END_TEST

TEST_MAIN("base/buf", append_past_the_bound_changes_nothing, printf_appends_without_a_nul,
	order_holds_through_many_turns, reserve_then_commit,
	clear_and_finish_leave_a_usable_buffer)
