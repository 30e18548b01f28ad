/* SPDX-License-Identifier: ISC */
/* Until when a limit holds, by many forms of words. */
#include "base/util.h"
#include "base/zone.h"
#include "daemon/agent/programs.h"
#include "tests/unit/run.h"

#define NOW INT64_C(1795262400000) /* 2026-11-21T12:00:00Z */
#define HOUR INT64_C(3600000)

static int64_t until(const char *text)
{
	return claude_limit_until(text, "UTC", NOW);
}

START_TEST(test_times_with_a_zone)
{
	ck_assert_int_eq(until("You've hit your 5-hour limit \xc2\xb7 resets 6:36pm (UTC)"), NOW + 6 * HOUR + 36 * 60000);
	ck_assert_int_eq(until("You've hit your session limit \xc2\xb7 resets 3pm (Europe/Berlin)\n/login to switch"), NOW + 2 * HOUR);
	ck_assert_int_eq(until("Weekly limit reached \xe2\x88\x99 resets 10am (Asia/Seoul)"), NOW + 13 * HOUR); /* tomorrow */
	ck_assert_int_eq(until("Claude usage limit reached. Your limit will reset at 1pm (Etc/GMT+5)."), NOW + 6 * HOUR);
	ck_assert_int_eq(until("resets 12am (UTC)"), NOW + 12 * HOUR);
	ck_assert_int_eq(until("resets 12pm (UTC)"), NOW); /* said in that minute */
	ck_assert_int_eq(until("resets 11:59am (UTC)"), NOW - 60000);
	ck_assert_int_eq(until("resets 11:50am (UTC)"), NOW - 10 * 60000); /* over, and told again */
	ck_assert_int_eq(until("resets 11:49am (UTC)"), NOW + 24 * HOUR - 11 * 60000);
	ck_assert_int_eq(until("resets 15:30"), NOW + 3 * HOUR + 30 * 60000);
	ck_assert_int_eq(until("resets 3 PM"), NOW + 3 * HOUR);
	ck_assert_int_eq(claude_limit_until("resets 3pm", "Europe/Berlin", NOW), NOW + 2 * HOUR);
}
END_TEST

START_TEST(test_dates)
{
	ck_assert_int_eq(until("You've hit your weekly limit \xc2\xb7 resets Nov 23, 5am (UTC)"), NOW + 41 * HOUR);
	ck_assert_int_eq(until("resets Nov 23 at 5:00 AM (UTC)"), NOW + 41 * HOUR);
	ck_assert_int_eq(until("resets Jan 2, 2027, 5am (UTC)"), NOW + (41 * 24 + 17) * HOUR);
	ck_assert_int_eq(until("resets Jan 2, 5am (UTC)"), NOW + (41 * 24 + 17) * HOUR); /* next year's */
	ck_assert_int_eq(until("spend limit reached \xc2\xb7 resets Dec 1"), NOW + (9 * 24 + 12) * HOUR);
	ck_assert_int_eq(until("resets on Nov 22 at 12pm (UTC)"), NOW + 24 * HOUR);
}
END_TEST

START_TEST(test_the_clocks_change)
{
	/* 2026-10-25T00:00:00Z in Berlin: 2 hours ahead still; 5am is behind the change. */
	ck_assert_int_eq(claude_limit_until("resets 5am (Europe/Berlin)", "UTC", INT64_C(1792886400000)),
		INT64_C(1792886400000) + 4 * HOUR);
}
END_TEST

START_TEST(test_numbers_and_spans)
{
	ck_assert_int_eq(until("Claude AI usage limit reached|1795266000"), NOW + HOUR);
	ck_assert_int_eq(until("Claude AI usage limit reached|1795266000000"), NOW + HOUR);
	ck_assert_int_eq(until("limit resets in 2h 30m"), NOW + 2 * HOUR + 30 * 60000);
	ck_assert_int_eq(until("resets in 3 hours and 1 minute"), NOW + 3 * HOUR + 60000);
	ck_assert_int_eq(until("your monthly spend limit \xc2\xb7 your 5-hour limit resets 3pm (UTC)"), NOW + 3 * HOUR);
	ck_assert_int_eq(until("It resets the thing; resets 3pm (UTC)"), NOW + 3 * HOUR);
}
END_TEST

START_TEST(test_garbage_is_unknown)
{
	static const char *const texts[] = {"", "API Error: Request rejected (429) \xc2\xb7 the stub was told to fail", "resets",
		"reset", "resets at", "resets 25pm", "resets 13pm (UTC)", "resets 0pm", "resets 3:61pm", "resets 24:00",
		"resets 3pm (Nowhere/Here)", "resets 3pm (../../etc/passwd)", "resets 3pm (/etc/localtime)", "resets Nov 0, 5am",
		"resets Foo 3, 5am", "limit reached|1", "limit reached|99999999999999", "limit reached|9999999999",
		"limit reached|0000000001", "resets Jan 2, 2099, 5am (UTC)", "resets in", "resets in 3", "resets in 3 x",
		"resets 99999999999999999999pm", "resets 3", "resets -3pm", "resetsresetsresets|||",
		"resets Nov 23, 5am (Europe/\x01"};

	for (size_t i = 0; i < ARRAY_LEN(texts) - 1; i++)
		ck_assert_msg(until(texts[i]) == 0, "'%s' means %lld", texts[i], (long long)until(texts[i]));
	ck_assert_int_ge(until(texts[ARRAY_LEN(texts) - 1]), 0);
}
END_TEST

START_TEST(test_our_own_zone_stays)
{
	struct tm before, after;

	zone_from_ms(NULL, NOW, &before);
	until("resets 3pm (Asia/Seoul)");
	zone_from_ms(NULL, NOW, &after);
	ck_assert_int_eq(before.tm_hour, after.tm_hour);
}
END_TEST

TEST_MAIN("agent/limit", test_times_with_a_zone, test_dates, test_the_clocks_change, test_numbers_and_spans,
	test_garbage_is_unknown, test_our_own_zone_stays)
