/* SPDX-License-Identifier: ISC */
#include "daemon/api/pace.h"
#include "tests/unit/run.h"

#define EVENT_MS (1000 / PACE_PER_SECOND)

START_TEST(a_burst_then_a_rate)
{
	struct pace *p = pace_create();
	int64_t now = 5000;

	for (int i = 0; i < PACE_BURST; i++) {
		ck_assert_int_eq(pace_wait(p, "aaaaaa", now), 0);
		pace_spent(p, "aaaaaa", 1, now);
	}
	ck_assert_int_eq(pace_wait(p, "aaaaaa", now), EVENT_MS);
	ck_assert_int_eq(pace_wait(p, "bbbbbb", now), 0); /* each has its own */
	ck_assert_int_eq(pace_wait(p, "aaaaaa", now + EVENT_MS - 1), 1);
	now += EVENT_MS;
	ck_assert_int_eq(pace_wait(p, "aaaaaa", now), 0);
	pace_spent(p, "aaaaaa", 1, now);
	ck_assert_int_gt(pace_wait(p, "aaaaaa", now), 0);
	pace_destroy(p);
}
END_TEST

START_TEST(many_at_once_are_a_debt)
{
	struct pace *p = pace_create();

	pace_spent(p, "aaaaaa", PACE_BURST + 100, 0);
	ck_assert_int_eq(pace_wait(p, "aaaaaa", 0), 101 * EVENT_MS);
	pace_spent(p, "aaaaaa", 0, 0);
	ck_assert_int_eq(pace_wait(p, "aaaaaa", 0), 101 * EVENT_MS);
	pace_destroy(p);
}
END_TEST

START_TEST(who_rests_has_all_again_and_no_more)
{
	struct pace *p = pace_create();
	int64_t later = 10 * PACE_BURST * EVENT_MS;

	pace_spent(p, "aaaaaa", PACE_BURST, 0);
	pace_spent(p, "bbbbbb", 1, later); /* the first is forgotten by now */
	pace_spent(p, "aaaaaa", PACE_BURST, later);
	ck_assert_int_eq(pace_wait(p, "aaaaaa", later), EVENT_MS);
	pace_destroy(p);
}
END_TEST

TEST_MAIN("api/pace", a_burst_then_a_rate, many_at_once_are_a_debt, who_rests_has_all_again_and_no_more)
