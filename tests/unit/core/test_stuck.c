/* SPDX-License-Identifier: ISC */
/* What silence is unusual for an instance, and how long a limit is waited for: pure decisions. */
#include "daemon/core/limit.h"
#include "daemon/core/stuck.h"
#include "tests/unit/run.h"

#define FLOOR 60000

START_TEST(test_little_is_known)
{
	struct pace p = {0};

	ck_assert_int_eq(pace_limit_ms(&p, FLOOR), PACE_UNKNOWN_MS);
	for (int i = 0; i < PACE_FEW - 1; i++)
		pace_note(&p, 100);
	ck_assert_int_eq(pace_limit_ms(&p, FLOOR), PACE_UNKNOWN_MS);
	pace_note(&p, 100);
	ck_assert_int_eq(pace_limit_ms(&p, FLOOR), FLOOR);
	ck_assert_int_eq(pace_limit_ms(&p, 2 * PACE_CEILING_MS), 2 * PACE_CEILING_MS);
}
END_TEST

START_TEST(test_its_own_history)
{
	struct pace quick = {0}, slow = {0};

	for (int i = 0; i < 50; i++) {
		pace_note(&quick, 3000);
		pace_note(&slow, 300000);
	}
	ck_assert_int_eq(pace_limit_ms(&quick, 1000), 4000 * PACE_TIMES);
	ck_assert_int_eq(pace_limit_ms(&slow, 1000), 512000 * PACE_TIMES);
	pace_note(&quick, 3600000); /* one outlier makes nothing usual */
	ck_assert_int_eq(pace_limit_ms(&quick, 1000), 4000 * PACE_TIMES);
	for (int i = 0; i < 900; i++) /* what is long ago fades */
		pace_note(&slow, 3000);
	ck_assert_int_eq(pace_limit_ms(&slow, 1000), 4000 * PACE_TIMES);
	for (int i = 0; i < 900; i++)
		pace_note(&slow, INT64_MAX);
	ck_assert_int_eq(pace_limit_ms(&slow, 1000), PACE_CEILING_MS);
	pace_note(&quick, -5);
}
END_TEST

START_TEST(test_history_is_kept)
{
	struct pace p = {0}, q;

	for (int i = 0; i < 20; i++)
		pace_note(&p, i * 10000);
	json_t *o = pace_to_json(&p);
	q = pace_from_json(o);
	json_decref(o);
	ck_assert_mem_eq(&p, &q, sizeof(p));
	o = json_pack("[s, i, i, {}]", "x", -4, 1 << 30);
	q = pace_from_json(o);
	json_decref(o);
	ck_assert_int_eq(pace_limit_ms(&q, 1), PACE_UNKNOWN_MS);
}
END_TEST

START_TEST(test_limits_without_a_moment)
{
	ck_assert_int_eq(limit_pause_ms("rate_limit", 0), 5 * 60000);
	ck_assert_int_eq(limit_pause_ms("rate_limit", 1), 10 * 60000);
	ck_assert_int_eq(limit_pause_ms("rate_limit", 1000), 3600000);
	ck_assert_int_eq(limit_pause_ms("overloaded", 0), 30000);
	ck_assert_int_eq(limit_pause_ms("api_down", 1000), 15 * 60000);
}
END_TEST

START_TEST(test_they_do_not_come_back_together)
{
	int buckets[4] = {0};
	char id[8] = "aaaaaa";

	for (int i = 0; i < 400; i++) {
		id[5] = (char)('a' + i % 26);
		id[4] = (char)('a' + i / 26);
		int64_t at = limit_spread_ms(id, 1000, false, 40000);
		ck_assert_int_ge(at, 1000);
		ck_assert_int_lt(at, 41000);
		ck_assert_int_eq(at, limit_spread_ms(id, 1000, false, 40000)); /* over a restart, too */
		ck_assert_int_gt(limit_spread_ms(id, 1000, true, 40000), at);
		buckets[(at - 1000) / 10000]++;
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_gt(buckets[i], 50);
}
END_TEST

TEST_MAIN("core/stuck", test_little_is_known, test_its_own_history, test_history_is_kept, test_limits_without_a_moment,
	test_they_do_not_come_back_together)
