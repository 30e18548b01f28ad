/* SPDX-License-Identifier: ISC */
#include "daemon/world/age.h"
#include "tests/unit/run.h"

#define DAY AGE_BELIEVED_MS
#define YEAR (365 * DAY)
#define NOW (20000 * DAY)

static struct age a;

START_TEST(a_right_clock_is_followed)
{
	age_init(&a, NOW - 5000, 1000, NOW);
	for (int64_t t = 0; t < 3 * DAY; t += DAY / 10)
		ck_assert_int_eq(age_now(&a, 1000 + t, NOW + t), NOW + t);
	age_init(&a, 0, 1000, NOW);
	ck_assert_int_eq(age_now(&a, 1000, NOW), NOW);
}
END_TEST

START_TEST(a_step_forward_is_believed_after_a_day)
{
	age_init(&a, NOW, 1000, NOW);
	for (int64_t t = 1; t < DAY; t += DAY / 10)
		ck_assert_int_eq(age_now(&a, 1000 + t, NOW + YEAR + t), NOW + t);
	ck_assert_int_eq(age_now(&a, 1001 + DAY, NOW + YEAR + 1 + DAY), NOW + YEAR + 1 + DAY);
}
END_TEST

START_TEST(a_step_that_is_taken_back_made_nothing_old)
{
	age_init(&a, NOW, 1000, NOW);
	ck_assert_int_eq(age_now(&a, 2000, NOW + YEAR), NOW + 1000);
	ck_assert_int_eq(age_now(&a, 3000, NOW + 2000), NOW + 2000);
	/* The next doubt begins anew, also when the clock steps on while it is doubted. */
	ck_assert_int_eq(age_now(&a, 4000, NOW + YEAR), NOW + 3000);
	ck_assert_int_eq(age_now(&a, 4000 + DAY - 1, NOW + 2 * YEAR), NOW + 3000 + DAY - 1);
	ck_assert_int_eq(age_now(&a, 4000 + DAY + 1, NOW + 2 * YEAR + 2), NOW + 3000 + DAY + 1);
}
END_TEST

START_TEST(a_step_back_is_believed_at_once)
{
	age_init(&a, NOW, 1000, NOW);
	ck_assert_int_eq(age_now(&a, 2000, NOW - YEAR), NOW - YEAR);
	age_init(&a, NOW, 1000, NOW - YEAR);
	ck_assert_int_eq(age_now(&a, 1000, NOW - YEAR), NOW - YEAR);
}
END_TEST

START_TEST(a_step_between_two_runs_is_doubted_beyond_a_day)
{
	age_init(&a, NOW, 1000, NOW + DAY / 2);
	ck_assert_int_eq(age_now(&a, 1000, NOW + DAY / 2), NOW + DAY / 2);
	age_init(&a, NOW, 1000, NOW + YEAR);
	ck_assert_int_eq(age_now(&a, 1000, NOW + YEAR), NOW + DAY);
	ck_assert_int_eq(age_now(&a, 1000 + DAY, NOW + YEAR + DAY), NOW + YEAR + DAY);
}
END_TEST

TEST_MAIN("world/age", a_right_clock_is_followed, a_step_forward_is_believed_after_a_day,
	a_step_that_is_taken_back_made_nothing_old, a_step_back_is_believed_at_once,
	a_step_between_two_runs_is_doubted_beyond_a_day)
