/* SPDX-License-Identifier: ISC */
/* Who is told what and when: order, what goes together, quiet hours, and each thing once over the deaths of daemons. */
#include "tests/unit/notify/notify_help.h"

/* A post of the first thing is under way, and its outcome is the test's to say. */
static void post_begins(void)
{
	option("COMMAND", "");
	option("WEBHOOK", "https://example.org/x");
	hangs = true;
	begin();
	thing_comes(0);
	pass(3000);
}

START_TEST(what_comes_within_the_delay_is_told_together_and_in_order)
{
	begin();
	thing_comes(2);
	pass(1000);
	thing_comes(0);
	pass(1999);
	thing_comes(1);
	ck_assert_uint_eq(ntold, 0);
	pass(1);
	ck_assert_uint_eq(ntold, 1);
	says(0, "2 0 1");
	stand("sent");
	pass(HOUR);
	ck_assert_uint_eq(ntold, 1);
}
END_TEST

START_TEST(the_next_comes_no_sooner_than_every)
{
	int64_t first;

	begin();
	thing_comes(0);
	pass(3000);
	first = clock_wall_ms();
	thing_comes(1);
	pass(20000);
	thing_comes(2);
	pass(9999);
	ck_assert_uint_eq(ntold, 1);
	pass(1);
	says(1, "1 2");
	ck_assert_int_eq(told_ms[1] - first, 30000);
}
END_TEST

START_TEST(what_is_settled_in_time_is_not_told)
{
	begin();
	thing_comes(0);
	thing_comes(1);
	pass(2999);
	thing_goes(0);
	there[1] = false; /* put aside: nobody says so, and it is looked at when it is due */
	pass(HOUR);
	ck_assert_uint_eq(ntold, 0);
	another_daemon();
	pass(HOUR);
	ck_assert_uint_eq(ntold, 0);
	/* It comes back: it was never told. */
	thing_comes(1);
	pass(3000);
	says(0, "1");
}
END_TEST

START_TEST(one_that_hangs_holds_back_its_own_channel_alone)
{
	option("TERMINAL", "bell");
	option("EVERY", "0");
	hangs = true;
	begin();
	thing_comes(0);
	pass(3000);
	ck_assert_int_eq(rung, 1);
	thing_comes(1);
	pass(HOUR);
	ck_assert_uint_eq(ntold, 1);
	ck_assert_int_eq(rung, 2);
	program_ends(1);
	pass(0);
	says(1, "1");
	program_ends(0);
	stand("sent sent failed sent");
}
END_TEST

START_TEST(in_quiet_hours_nothing_is_told_and_behind_them_all)
{
	int64_t day = 24 * HOUR, midnight = clock_wall_ms() / day * day + day;

	option("QUIET", "22:00-07:00");
	begin();
	time_jump_wall(midnight - 2 * HOUR - 3000 - clock_wall_ms()); /* 21:59:57 */
	thing_comes(0);
	pass(1);
	thing_comes(1); /* due within them */
	pass(HOUR);
	ck_assert_uint_eq(ntold, 0);
	pass(3 * HOUR);
	thing_comes(2);
	pass(6 * HOUR);
	ck_assert_uint_eq(ntold, 1);
	says(0, "0 1 2");
	ck_assert_int_eq(told_ms[0], midnight + 7 * HOUR);
	thing_comes(3);
	pass(30000);
	says(1, "3");
}
END_TEST

START_TEST(a_clock_that_is_set_back_delays_little)
{
	begin();
	thing_comes(0);
	time_jump_wall(-400 * 24 * HOUR);
	pass(3000 + MINUTE);
	says(0, "0");
}
END_TEST

START_TEST(a_clock_that_is_set_back_holds_no_post_back)
{
	post_begins();
	program_ends(75);
	time_jump_wall(-400 * 24 * HOUR);
	pass(HOUR + MINUTE);
	ck_assert_uint_eq(ntold, 2);
	program_ends(0);
	stand("sent");
}
END_TEST

START_TEST(a_thousand_are_one_notice)
{
	begin();
	for (size_t i = 0; i < 1000; i++)
		thing_comes(i);
	pass(HOUR);
	ck_assert_uint_eq(ntold, 1);
	ck_assert_int_eq(json_integer_value(json_object_get(told[0], "count")), 1000);
	another_daemon();
	for (size_t i = 0; i < 1000; i++)
		thing_comes(i);
	pass(HOUR);
	ck_assert_uint_eq(ntold, 1);
}
END_TEST

START_TEST(what_waits_is_told_by_the_next_daemon_once)
{
	begin();
	thing_comes(1);
	pass(1000);
	thing_comes(0);
	another_daemon();
	pass(1999);
	ck_assert_uint_eq(ntold, 0);
	thing_comes(0); /* found again */
	pass(1);
	says(0, "1 0");
	another_daemon();
	thing_comes(0);
	thing_comes(1);
	pass(HOUR);
	ck_assert_uint_eq(ntold, 1);
	stand("sent");
}
END_TEST

START_TEST(one_that_was_decided_is_begun_by_the_next_daemon)
{
	begin();
	thing_comes(0);
	time_step(clock_mono_ms() + 3000);
	must_commit(store); /* on disk, and nothing was begun */
	stand("sending");
	ck_assert_uint_eq(ntold, 0);
	another_daemon();
	pass(0);
	says(0, "0");
	stand("sent");
}
END_TEST

START_TEST(one_that_was_begun_is_not_begun_again)
{
	hangs = true;
	begin();
	thing_comes(0);
	pass(3000);
	stand("begun");
	another_daemon();
	pass(HOUR);
	ck_assert_uint_eq(ntold, 1);
	stand("unknown");
}
END_TEST

START_TEST(a_post_that_was_begun_is_made_again_under_its_id)
{
	post_begins();
	stand("begun");
	another_daemon();
	pass(0);
	ck_assert_uint_eq(ntold, 2);
	ck_assert_str_eq(id_of(0), id_of(1));
	program_ends(0);
	stand("sent");
}
END_TEST

START_TEST(a_post_is_tried_ever_more_seldom_until_it_is_given_up)
{
	static const int64_t pauses[] = {5000, 10000, 20000, 40000};

	option("GIVE_UP", "80");
	post_begins();
	for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
		program_ends(75);
		stand("pending");
		pass(pauses[i] - 1);
		ck_assert_uint_eq(ntold, i + 1);
		pass(1);
		ck_assert_uint_eq(ntold, i + 2);
	}
	program_ends(75);
	stand("failed");
	pass(HOUR);
	ck_assert_uint_eq(ntold, ARRAY_LEN(pauses) + 1);
}
END_TEST

START_TEST(each_channel_has_its_own_reasons)
{
	option("TERMINAL", "bell");
	option("TERMINAL_REASONS", "login");
	begin();
	thing_comes(0);
	pass(HOUR);
	ck_assert_uint_eq(ntold, 1);
	ck_assert_int_eq(rung, 0);
}
END_TEST

TEST_MAIN_FIXTURE("notify/notify", setup, teardown, what_comes_within_the_delay_is_told_together_and_in_order,
	the_next_comes_no_sooner_than_every, what_is_settled_in_time_is_not_told, one_that_hangs_holds_back_its_own_channel_alone,
	in_quiet_hours_nothing_is_told_and_behind_them_all, a_clock_that_is_set_back_delays_little,
	a_clock_that_is_set_back_holds_no_post_back, a_thousand_are_one_notice,
	what_waits_is_told_by_the_next_daemon_once, one_that_was_decided_is_begun_by_the_next_daemon,
	one_that_was_begun_is_not_begun_again, a_post_that_was_begun_is_made_again_under_its_id,
	a_post_is_tried_ever_more_seldom_until_it_is_given_up, each_channel_has_its_own_reasons)
