/* SPDX-License-Identifier: ISC */
/* The error table and how sentences gain context. */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/run.h"

START_TEST(set_fills_code_and_sentence)
{
	struct err e = {0};
	ck_assert_int_eq(err_set(&e, ERR_CAP, "no slot left of %d", 8), -1);
	ck_assert_int_eq(e.code, ERR_CAP);
	ck_assert(e.retryable);
	ck_assert_str_eq(e.message, "no slot left of 8");
	ck_assert_str_eq(e.hint, "");
}
END_TEST

START_TEST(null_is_fine)
{
	ck_assert_int_eq(err_set(NULL, ERR_IO, "x"), -1);
	ck_assert_int_eq(err_set_errno(NULL, ERR_IO, EIO, "x"), -1);
	ck_assert_int_eq(err_hint(NULL, "x"), -1);
	ck_assert_int_eq(err_prefix(NULL, "x"), -1);
	err_clear(NULL);
}
END_TEST

START_TEST(errno_is_named_even_behind_a_long_text)
{
	struct err e = {0};
	char longer[ERR_MESSAGE_MAX * 2];
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	err_set_errno(&e, ERR_IO, EACCES, "%s", longer);
	ck_assert_ptr_nonnull(strstr(e.message, ": Permission denied"));
	ck_assert_int_lt((int)strlen(e.message), ERR_MESSAGE_MAX);
}
END_TEST

START_TEST(a_full_disk_has_its_own_code)
{
	struct err e = {0};
	err_set_errno(&e, ERR_IO, ENOSPC, "cannot write x");
	ck_assert_int_eq(e.code, ERR_DISK);
	ck_assert(e.retryable);
	ck_assert_str_ne(e.hint, "");
	err_set_errno(&e, ERR_IO, EDQUOT, "cannot write x");
	ck_assert_int_eq(e.code, ERR_DISK);
}
END_TEST

START_TEST(prefix_keeps_code_and_hint)
{
	struct err e = {0};
	err_set(&e, ERR_NOT_FOUND, "no such thing");
	err_hint(&e, "look elsewhere");
	err_prefix(&e, "spawn %s", "ab12");
	ck_assert_str_eq(e.message, "spawn ab12: no such thing");
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	ck_assert_str_eq(e.hint, "look elsewhere");
	for (int i = 0; i < 200; i++)
		err_prefix(&e, "level %d", i);
	ck_assert_int_eq((int)strlen(e.message), ERR_MESSAGE_MAX - 1);
}
END_TEST

START_TEST(arguments_may_point_into_the_error)
{
	struct err e = {0};
	err_set(&e, ERR_IO, "inner");
	err_set(&e, ERR_FAILED, "outer (%s)", e.message);
	ck_assert_str_eq(e.message, "outer (inner)");
}
END_TEST

START_TEST(names_and_numbers_are_unique_and_go_both_ways)
{
	for (int i = ERR_NONE + 1; i < ERR_CODE_COUNT; i++) {
		ck_assert_int_eq(err_code_from_name(err_code_name(i)), i);
		for (int j = i + 1; j < ERR_CODE_COUNT; j++)
			ck_assert_int_ne(err_code_number(i), err_code_number(j));
	}
	ck_assert_int_eq(err_code_from_name("nonsense"), ERR_INTERNAL);
	ck_assert_int_eq(err_code_from_name(NULL), ERR_INTERNAL);
	ck_assert_str_eq(err_code_name(ERR_CODE_COUNT), "internal");
}
END_TEST

TEST_MAIN("base/err", set_fills_code_and_sentence, null_is_fine,
	errno_is_named_even_behind_a_long_text, a_full_disk_has_its_own_code,
	prefix_keeps_code_and_hint, arguments_may_point_into_the_error,
	names_and_numbers_are_unique_and_go_both_ways)
