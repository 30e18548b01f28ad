/* SPDX-License-Identifier: ISC */
/* When a restart policy starts again: the decision as a table, and what it remembers over a boot. */
#include "base/util.h"
#include "daemon/core/backoff.h"
#include "tests/unit/run.h"

static const struct backoff_rules rules = {.delay_ms = 1000, .delay_most_ms = 300000, .calm_ms = 600000,
	.window_ms = 600000, .most = 5};

START_TEST(each_policy_answers_each_end)
{
	static const struct {
		enum backoff_end end;
		enum backoff_word of[RESTART_POLICIES];
	} rows[] = {
		{END_KILLED, {BACKOFF_NO, BACKOFF_NO, BACKOFF_NO}},
		{END_EXIT_OK, {BACKOFF_NO, BACKOFF_NO, BACKOFF_AT}},
		{END_EXIT_BAD, {BACKOFF_NO, BACKOFF_AT, BACKOFF_AT}},
		{END_NO_START, {BACKOFF_NO, BACKOFF_AT, BACKOFF_AT}},
		{END_PLACE_LOST, {BACKOFF_NO, BACKOFF_AT, BACKOFF_AT}},
		{END_REBOOT, {BACKOFF_NO, BACKOFF_AT, BACKOFF_AT}},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int p = 0; p < RESTART_POLICIES; p++) {
			struct again h = {0};
			enum backoff_word w = backoff_decide(&rules, (enum restart_policy)p, rows[i].end, &h, 5000, 77);
			ck_assert_msg(w == rows[i].of[p], "end %zu, policy %d: %d", i, p, w);
			ck_assert(h.waits == (w == BACKOFF_AT));
		}
}
END_TEST

START_TEST(waits_double_to_the_longest_with_an_eighth_of_jitter)
{
	static const int64_t want[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000};

	for (uint32_t random = 0; random < 3000000; random += 99991) {
		struct again h = {0};
		for (size_t i = 0; i < ARRAY_LEN(want); i++) {
			ck_assert_int_eq(backoff_decide(&rules, RESTART_ALWAYS, END_EXIT_OK, &h, 1000, random), BACKOFF_AT);
			ck_assert_int_ge(h.at_ms - 1000, want[i] - want[i] / 8);
			ck_assert_int_le(h.at_ms - 1000, want[i] + want[i] / 8);
			ck_assert_int_eq(h.tries, (int64_t)i + 1);
		}
	}
}
END_TEST

START_TEST(more_failures_than_the_bound_within_the_window_are_the_brake)
{
	struct again h = {0};

	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(backoff_decide(&rules, RESTART_ON_FAILURE, END_EXIT_BAD, &h, i * 1000, 0), BACKOFF_AT);
	ck_assert_int_eq(backoff_decide(&rules, RESTART_ON_FAILURE, END_PLACE_LOST, &h, 5000, 0), BACKOFF_BRAKE);
	ck_assert(!h.waits);
}
END_TEST

START_TEST(failures_that_are_long_ago_and_boots_of_the_host_do_not_count)
{
	struct again h = {0};

	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(backoff_decide(&rules, RESTART_ON_FAILURE, END_EXIT_BAD, &h, i * 130000LL, 0), BACKOFF_AT);
	for (int i = 0; i < 40; i++) {
		ck_assert_int_eq(backoff_decide(&rules, RESTART_ON_FAILURE, END_REBOOT, &h, 9000000 + i, 0), BACKOFF_AT);
		ck_assert_int_eq(h.at_ms, 9000000 + i);
	}
}
END_TEST

START_TEST(what_ran_well_begins_anew)
{
	struct again h = {0};

	for (int i = 0; i < 5; i++)
		backoff_decide(&rules, RESTART_ON_FAILURE, END_EXIT_BAD, &h, 1000, 0);
	h.started = true;
	h.started_ms = 2000;
	ck_assert_int_eq(backoff_decide(&rules, RESTART_ON_FAILURE, END_EXIT_BAD, &h, 2000 + 600000, 0), BACKOFF_AT);
	ck_assert_int_eq(h.tries, 1);
	ck_assert_int_eq(h.nfailed, 1);
}
END_TEST

START_TEST(a_bound_above_what_is_remembered_stays_bounded)
{
	struct backoff_rules r = rules;
	struct again h = {0};

	r.most = AGAIN_FAILURES_MAX - 1;
	for (int i = 0; i < AGAIN_FAILURES_MAX - 1; i++)
		ck_assert_int_eq(backoff_decide(&r, RESTART_ALWAYS, END_EXIT_BAD, &h, 1000, 0), BACKOFF_AT);
	ck_assert_int_eq(backoff_decide(&r, RESTART_ALWAYS, END_EXIT_BAD, &h, 1000, 0), BACKOFF_BRAKE);
	for (int i = 0; i < 9; i++)
		backoff_decide(&r, RESTART_ALWAYS, END_EXIT_BAD, &h, 1000, 0);
	ck_assert_int_eq(h.nfailed, AGAIN_FAILURES_MAX);
}
END_TEST

START_TEST(what_is_remembered_comes_back_and_survives_a_boot)
{
	struct again a = {.waits = true, .at_ms = 105000, .tries = 2, .nfailed = 2, .failed_ms = {90000, 100000},
			     .boot = "one", .boot_ms = 100000, .wall_ms = 5000000},
		     b;
	json_t *o = again_to_json(&a);

	again_from_json(&b, o);
	json_decref(o);
	ck_assert(b.waits && b.at_ms == 105000 && b.tries == 2 && b.nfailed == 2 && b.failed_ms[1] == 100000);
	/* A wall clock that jumps within one boot moves nothing. */
	again_rebase(&b, "one", 101000, 1);
	ck_assert_int_eq(b.at_ms, 105000);
	/* 2 s of the wall clock passed over a boot: 2 s less to wait. */
	b = a;
	again_rebase(&b, "two", 300, 5002000);
	ck_assert_int_eq(b.at_ms, 300 + 3000);
	ck_assert_int_eq(b.failed_ms[1], 300 - 2000);
	/* Set back meanwhile: no time passed, the wait is as long as it was and no longer. */
	b = a;
	again_rebase(&b, "two", 300, 1);
	ck_assert_int_eq(b.at_ms, 300 + 5000);
	ck_assert_str_eq(b.boot, "two");
}
END_TEST

START_TEST(a_damaged_memory_is_an_empty_one)
{
	struct again a;
	json_t *o = json_pack("{s:s, s:[s,i]}", "boot", "x", "failed_ms", "no", 3);

	memset(&a, 1, sizeof(a));
	again_from_json(&a, o);
	ck_assert(!a.waits && !a.nfailed && !a.tries && !a.boot[0]);
	again_from_json(&a, NULL);
	ck_assert_ptr_null(again_to_json(&a));
	json_decref(o);
}
END_TEST

TEST_MAIN("core/backoff", each_policy_answers_each_end, waits_double_to_the_longest_with_an_eighth_of_jitter,
	more_failures_than_the_bound_within_the_window_are_the_brake,
	failures_that_are_long_ago_and_boots_of_the_host_do_not_count, what_ran_well_begins_anew,
	a_bound_above_what_is_remembered_stays_bounded, what_is_remembered_comes_back_and_survives_a_boot,
	a_damaged_memory_is_an_empty_one)
