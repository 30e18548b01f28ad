/* SPDX-License-Identifier: ISC */
/* The key that leaves a view, however the terminal was told to send it. */
#include "cli/detach.h"

#include <string.h>

#include "tests/unit/run.h"

static void finds(const char *typed, size_t at, size_t end)
{
	size_t got_end = 0, got = detach_find(detach_key("C-]"), typed, strlen(typed), &got_end);

	ck_assert_msg(got == at, "at %zu, not %zu", got, at);
	ck_assert_msg(at == strlen(typed) || got_end == end, "ends at %zu, not %zu", got_end, end);
}

static void passes(const char *typed)
{
	finds(typed, strlen(typed), 0);
}

START_TEST(names_of_keys)
{
	ck_assert_int_eq(detach_key("C-]"), 0x1d);
	ck_assert_int_eq(detach_key("C-\\"), 0x1c);
	ck_assert_int_eq(detach_key("C-a"), 1);
	ck_assert_int_eq(detach_key("C-A"), 1);
	ck_assert_int_eq(detach_key("C-_"), 0x1f);
	ck_assert_int_eq(detach_key("none"), 0);
	for (const char *const *bad = (const char *const[]){"", "C", "C-", "C-[", "C-i", "C-m", "C-j", "C-1", "x", "M-a", "C-ab", NULL};
		*bad; bad++)
		ck_assert_msg(detach_key(*bad) == -1, "%s", *bad);
}
END_TEST

START_TEST(the_byte_itself)
{
	finds("\x1d", 0, 1);
	finds("abc\x1d" "def", 3, 4);
	passes("abc");
	passes("");
}
END_TEST

START_TEST(kittys_encoding)
{
	finds("\033[93;5u", 0, 7);
	finds("x\033[93;5u", 1, 8);
	finds("\033[93;69u", 0, 8);    /* with caps lock */
	finds("\033[93:125;5:1u", 0, 13); /* the shifted key beside it; pressed */
	passes("\033[93;5:3u");        /* let go of */
	passes("\033[93;6u");          /* with shift as well */
	passes("\033[93u");
	passes("\033[94;5u");
	passes("\033[93;5");
}
END_TEST

START_TEST(xterms_encoding)
{
	finds("\033[27;5;93~", 0, 10);
	passes("\033[27;5;94~");
	passes("\033[27;3;93~");
	passes("\033[3;5~");
}
END_TEST

START_TEST(what_only_begins_alike)
{
	passes("\033[");
	passes("\033[93;5;1;1;1u");
	passes("\033[99999999999999999999;5u");
	passes("\033\033[");
}
END_TEST

START_TEST(no_key_is_never_found)
{
	size_t end;

	ck_assert_uint_eq(detach_find(0, "\0\x1d", 2, &end), 2);
}
END_TEST

TEST_MAIN("cli/detach", names_of_keys, the_byte_itself, kittys_encoding, xterms_encoding, what_only_begins_alike,
	no_key_is_never_found)
