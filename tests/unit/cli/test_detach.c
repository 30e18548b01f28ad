/* SPDX-License-Identifier: ISC */
/* The key that leaves a view, however the terminal was told to send it. */
#include "cli/detach.h"

#include <string.h>

#include "tests/unit/run.h"

/* Feeds typed in two reads cut at every place (0: in one), and puts together what the program is to have. */
static void feed_cut(const char *typed, size_t cut, size_t at)
{
	struct detach d = {.key = detach_key("C-]")};
	char got[256] = "";
	size_t n = 0, len, total = strlen(typed);
	const char *out;
	bool left = false;

	if (cut > 0) {
		left = detach_feed(&d, typed, cut, &out, &len);
		memcpy(got, out, len);
		n = len;
	}
	if (!left) {
		left = detach_feed(&d, typed + cut, total - cut, &out, &len);
		memcpy(got + n, out, len);
		n += len;
	}
	ck_assert_msg(left == (at < total), "left: %d, cut at %zu", left, cut);
	/* What is not whole is held back, but for Escape and Alt-[. */
	if (left)
		ck_assert_msg(n >= at && n <= at + 2, "%zu passed before %zu, cut at %zu", n, at, cut);
	else
		ck_assert_msg(n == total || d.len - d.begun - d.passed == total - n, "%zu of %zu passed, cut at %zu",
			n, total, cut);
	ck_assert_msg(memcmp(got, typed, n) == 0, "cut at %zu", cut);
}

static void finds(const char *typed, size_t at)
{
	for (size_t cut = 0; cut < strlen(typed) || cut == 0; cut++)
		feed_cut(typed, cut, at);
}

static void passes(const char *typed)
{
	finds(typed, strlen(typed));
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
	finds("\x1d", 0);
	finds("abc\x1d" "def", 3);
	passes("abc");
	passes("");
}
END_TEST

START_TEST(kittys_encoding)
{
	finds("\033[93;5u", 0);
	finds("x\033[93;5u", 1);
	finds("\033[93;69u", 0);    /* with caps lock */
	finds("\033[93:125;5:1u", 0); /* the shifted key beside it; pressed */
	passes("\033[93;5:3u");        /* let go of */
	passes("\033[93;6u");          /* with shift as well */
	passes("\033[93u");
	passes("\033[94;5u");
	passes("\033[93;5");
}
END_TEST

START_TEST(xterms_encoding)
{
	finds("\033[27;5;93~", 0);
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

START_TEST(what_is_pasted_is_no_key)
{
	passes("\033[200~a\x1d" "b\033[201~");
	passes("\033[200~\033[93;5u\033[200~\x1d\033[201~");
	passes("\033[200~\x1d");
	finds("\033[200~\x1d\033[201~x\x1d", 14);
	finds("\033[201~\x1d", 6);
	finds("\033[200;1~\x1d", 8);
}
END_TEST

START_TEST(a_paste_in_many_reads)
{
	struct detach d = {.key = detach_key("C-]")};
	char much[DETACH_READ_MAX];
	const char *out;
	size_t len;

	memset(much, 0x1d, sizeof(much));
	ck_assert(!detach_feed(&d, "\033[200~", 6, &out, &len));
	for (int i = 0; i < 3; i++) {
		ck_assert(!detach_feed(&d, much, sizeof(much), &out, &len));
		ck_assert_uint_eq(len, sizeof(much));
	}
	ck_assert(!detach_feed(&d, "\033[20", 4, &out, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert(!detach_feed(&d, "1~", 2, &out, &len));
	ck_assert_uint_eq(len, 6);
	ck_assert(detach_feed(&d, "\x1d", 1, &out, &len));
}
END_TEST

/* Escape is not kept waiting, and no sequence for ever. */
START_TEST(what_is_held_is_bounded)
{
	struct detach d = {.key = detach_key("C-]")};
	size_t len, passed = 0;
	const char *out;

	ck_assert(!detach_feed(&d, "\033", 1, &out, &len));
	ck_assert_uint_eq(len, 1);
	ck_assert(!detach_feed(&d, "\033", 1, &out, &len));
	ck_assert_uint_eq(len, 1);
	ck_assert(!detach_feed(&d, "[", 1, &out, &len));
	ck_assert_uint_eq(len, 1);
	for (int i = 0; i < 2 * DETACH_HELD_MAX; i++) {
		ck_assert(!detach_feed(&d, "9", 1, &out, &len));
		passed += len;
	}
	ck_assert_uint_eq(passed, 2 * DETACH_HELD_MAX);
	ck_assert(detach_feed(&d, "\x1d", 1, &out, &len));
}
END_TEST

START_TEST(no_key_is_never_found)
{
	struct detach d = {0};
	const char *out;
	size_t len;

	ck_assert(!detach_feed(&d, "\0\x1d\033[9", 5, &out, &len));
	ck_assert_uint_eq(len, 5);
}
END_TEST

TEST_MAIN("cli/detach", names_of_keys, the_byte_itself, kittys_encoding, xterms_encoding, what_only_begins_alike,
	what_is_pasted_is_no_key, a_paste_in_many_reads, what_is_held_is_bounded, no_key_is_never_found)
