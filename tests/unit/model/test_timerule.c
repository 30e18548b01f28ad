/* SPDX-License-Identifier: ISC */
/* Moments and repetitions in words, and when the next one is: by tables of changes of clocks, and over many instants. */
#include "daemon/model/timerule.h"

#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "base/zone.h"
#include "tests/unit/run.h"

#define INSTANTS 100000
#define EACH 4 /* in a row */
#define LONG_AGO INT64_C(1300000000000)

/* "2026-03-29T00:59:59Z" */
static int64_t utc(const char *text)
{
	struct time_moment m;
	struct err e = {0};

	ck_assert_msg(time_moment_parse(text, "UTC", LONG_AGO, &m, &e) == 0, "%s: %s", text, e.message);
	return m.ms;
}

static void next_is(const char *rule, const char *zone, const char *after, const char *wanted)
{
	struct time_rule r;
	struct err e = {0};
	char shown[TIME_SHOWN_MAX];
	int64_t at;

	ck_assert_msg(time_rule_parse(rule, &r, &e) == 0, "%s: %s", rule, e.message);
	ck_assert_msg(time_rule_next(&r, zone, utc(after), &at) == 0, "%s in %s after %s: none", rule, zone, after);
	ck_assert_msg(at == utc(wanted), "%s in %s after %s: %s", rule, zone, after, time_shown(zone, at, shown));
}

START_TEST(what_clocks_leave_out_comes_at_the_first_moment_after_it)
{
	/* Berlin, 29 March 2026: 02:00 becomes 03:00. */
	next_is("day at 02:30", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
	next_is("day at 02:30", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z");
	next_is("day at 03:00", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
	next_is("30 1-3 * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z");
	next_is("30 1-3 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z");
	/* New York, 8 March 2026; Lord Howe goes by half an hour, on 4 October 2026; Santiago leaves out midnight. */
	next_is("day at 02:15", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-08T07:00:00Z");
	next_is("day at 02:15", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z");
	next_is("day at 00:30", "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z");
	/* Samoa left out a whole day, 30 December 2011. */
	next_is("day at 09:00", "Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-30T10:00:00Z");
	next_is("day at 09:00", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z");
}
END_TEST

START_TEST(what_they_show_twice_comes_once)
{
	/* Berlin, 25 October 2026: 03:00 becomes 02:00. */
	next_is("day at 02:30", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z");
	next_is("day at 02:30", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
	next_is("day at 02:30", "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z");
	next_is("*/20 * * * *", "Europe/Berlin", "2026-10-25T00:40:00Z", "2026-10-25T02:00:00Z");
	next_is("day at 01:30", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z");
	next_is("day at 01:45", "Australia/Lord_Howe", "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z");
}
END_TEST

START_TEST(days_months_and_years)
{
	next_is("weekday 09:00", "UTC", "2026-11-20T09:00:00Z", "2026-11-23T09:00:00Z");
	next_is("weekend 09:00", "UTC", "2026-11-20T09:00:00Z", "2026-11-21T09:00:00Z");
	next_is("Monday 9:00", "Asia/Kathmandu", "2026-11-20T09:00:00Z", "2026-11-23T03:15:00Z");
	next_is("mon,thu at 17:30", "UTC", "2026-11-23T17:30:00Z", "2026-11-26T17:30:00Z");
	next_is("day at 00:00", "UTC", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z");
	next_is("0 0 1 1 *", "Pacific/Kiritimati", "2026-06-01T00:00:00Z", "2026-12-31T10:00:00Z");
	next_is("0 12 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T12:00:00Z");
	next_is("0 12 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T12:00:00Z"); /* 2100 has none */
	next_is("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z");
	next_is("0 0 13 * 5", "UTC", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z"); /* the 13th, or a Friday */
	next_is("15,45 8-10/2 * jan-mar sun", "UTC", "2026-11-01T00:00:00Z", "2027-01-03T08:15:00Z");
	next_is("0 0 * * 7", "UTC", "2026-11-01T00:00:00Z", "2026-11-08T00:00:00Z");
	next_is("90 minutes", "UTC", "2026-11-01T00:00:00Z", "2026-11-01T01:30:00Z");
	next_is("hour", "UTC", "2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z");
}
END_TEST

static void moment_is(const char *text, const char *zone, const char *now, const char *wanted)
{
	struct time_moment m;
	struct err e = {0};
	char shown[CLOCK_ISO_MAX];

	ck_assert_msg(time_moment_parse(text, zone, utc(now), &m, &e) == 0, "%s: %s", text, e.message);
	ck_assert_msg(!m.span && m.ms == utc(wanted), "%s at %s: %s", text, now, clock_iso(m.ms, shown));
}

START_TEST(moments_in_words)
{
	moment_is("15:30", "Europe/Berlin", "2026-11-21T14:29:59Z", "2026-11-21T14:30:00Z");
	moment_is("15:30", "Europe/Berlin", "2026-11-21T14:30:00Z", "2026-11-22T14:30:00Z");
	moment_is("at 2:30", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
	moment_is("02:30", "Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z");
	moment_is("Tomorrow at 9:00", "America/New_York", "2026-11-21T04:30:00Z", "2026-11-21T14:00:00Z");
	moment_is("today 23:59", "UTC", "2026-11-21T04:30:00Z", "2026-11-21T23:59:00Z");
	moment_is("monday 9:00", "UTC", "2026-11-23T09:00:00Z", "2026-11-30T09:00:00Z");
	moment_is("2026-12-24 18:00", "Europe/Berlin", "2026-11-21T00:00:00Z", "2026-12-24T17:00:00Z");
	moment_is("2026-12-24T18:00:30.75+05:30", "Europe/Berlin", "2026-11-21T00:00:00Z", "2026-12-24T12:30:30Z");
	moment_is("2026-12-24 18:00 -08:00", "Europe/Berlin", "2026-11-21T00:00:00Z", "2026-12-25T02:00:00Z");
	moment_is("2028-02-29T00:00Z", "UTC", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00Z");
}
END_TEST

START_TEST(spans_in_words)
{
	static const struct {
		const char *text;
		int64_t s;
	} good[] = {{"+30m", 1800}, {"in 2 hours", 7200}, {"+1h30m", 5400}, {"In 1 day 2 hours", 93600}, {"+90s", 90},
		{"in 1 week", 604800}, {"+0s", 0}};
	struct time_moment m;
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_msg(time_moment_parse(good[i].text, "UTC", 5, &m, &e) == 0, "%s: %s", good[i].text, e.message);
		ck_assert(m.span);
		ck_assert_int_eq(m.ms, good[i].s * 1000);
	}
}
END_TEST

START_TEST(what_is_no_time_is_refused)
{
	static const char *const moments[] = {"", " ", "+", "in", "soon", "24:00", "9:60", "9", "30", "9:5", "099:00", "15:30:00x",
		"2026-02-29 10:00", "2026-13-01 10:00", "2026-00-10 10:00", "2026-12-24", "2026-12-24T", "2026-12-24 25:00",
		"2026-12-24T10:00:60Z", "2026-12-24T10:00+25:00", "2026-12-24T10:00.Z", "2020-01-01 10:00", "1969-12-31 10:00",
		"10000-01-01 10:00", "2926-01-01 10:00", "+999999999w", "+9999999999s", "+5x", "+-5m", "+5", "tomorrow", "yesterday 9:00",
		"day 9:00 10:00", "\xff\xfe", "9\xc2\xa0" "00", "0 9 * * *", "in 5", "++5m"};
	static const char *const rules[] = {"", "never", "9:00", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *",
		"* * 32 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "1, * * * *", "mon 25:00", "mon, 9:00",
		"someday 9:00", "day at", "30", "99999999999999999999 days", "-5m", "* * * * *\n* ", "1 2 3 4 x"};
	char longest[4096];
	struct time_moment m = {.ms = 7};
	struct time_rule r;
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(moments); i++)
		ck_assert_msg(time_moment_parse(moments[i], "UTC", utc("2026-11-21T00:00:00Z"), &m, &e) < 0, "%s", moments[i]);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		ck_assert_msg(time_rule_parse(rules[i], &r, &e) < 0, "%s", rules[i]);
	memset(longest, '1', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_lt(time_rule_parse(longest, &r, &e), 0);
	ck_assert_int_lt(time_moment_parse(longest, "UTC", 0, &m, &e), 0);
	ck_assert_int_eq(m.ms, 7);
	ck_assert_int_eq(time_rule_parse("0 0 30 2 *", &r, &e), 0);
	ck_assert_int_lt(time_rule_next(&r, "UTC", 0, &m.ms), 0); /* it never comes */
}
END_TEST

START_TEST(zones_are_those_of_the_tables)
{
	static const char *const bad[] = {"", "Nowhere/City", "zone.tab", "Europe", "../etc/passwd", "/etc/localtime", "right/UTC",
		"Europe/Berlin\n", "CET-1CEST,M3.5.0,M10.5.0/3"};
	struct time_rule r;
	struct err e = {0};
	char own[ZONE_NAME_MAX];
	int64_t at;

	ck_assert_int_eq(time_rule_parse("day at 9:00", &r, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(!zone_known(bad[i]), "%s", bad[i]);
		ck_assert_int_lt(time_rule_next(&r, bad[i], 0, &at), 0);
	}
	setenv("TZ", ":America/Sao_Paulo", 1);
	zone_own(own);
	ck_assert_str_eq(own, "America/Sao_Paulo");
	setenv("TZ", "", 1);
	zone_own(own);
	ck_assert_str_eq(own, "UTC");
	unsetenv("TZ");
	zone_own(own);
	ck_assert(zone_known(own));
}
END_TEST

static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void is_shown(const struct time_rule *r, const char *zone, const char *rule, int64_t at)
{
	struct tm tm, before;

	ck_assert_int_eq(zone_from_ms(zone, at, &tm), 0);
	if (r->minutes >> tm.tm_min & 1 && r->hours >> tm.tm_hour & 1 && !tm.tm_sec)
		return;
	ck_assert_int_eq(zone_from_ms(zone, at - 1000, &before), 0); /* then clocks jumped just then */
	ck_assert_msg(before.tm_gmtoff != tm.tm_gmtoff, "%s: %lld", rule, (long long)at);
}

/* Of the same calendar by the same clocks: each comes after the one before, and is what clocks then show, or the first
 * moment after what they left out. */
START_TEST(the_next_one_is_always_later)
{
	static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
		"Pacific/Chatham", "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns", "Antarctica/Troll",
		"America/Santiago", "Asia/Gaza", "Pacific/Kiritimati", "Europe/Dublin"};
	static const char *const rules[] = {"day at 02:30", "day at 00:00", "weekday at 01:59", "sun 2:00", "*/7 * * * *",
		"30 1-3 * * *", "0 */6 1-7 * *", "59 23 28-31 * *", "0 12 29 2 *", "45 2 * 3,4,10,11 sun"};
	struct time_rule parsed[ARRAY_LEN(rules)];
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		ck_assert_int_eq(time_rule_parse(rules[i], &parsed[i], &e), 0);
	for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
		setenv("TZ", zones[z], 1); /* as this process's own: so many changes of zones take long */
		tzset();
		for (size_t i = 0; i < INSTANTS / ARRAY_LEN(zones) / EACH + 1; i++) {
			size_t which = draw(ARRAY_LEN(rules));
			int64_t at = (int64_t)draw(UINT64_C(4000000000000)), next, named; /* 1970 to 2096 */
			if (i % 50 == 0) {
				ck_assert_int_eq(time_rule_next(&parsed[which], NULL, at, &next), 0);
				ck_assert_int_eq(time_rule_next(&parsed[which], zones[z], at, &named), 0);
				ck_assert_int_eq(next, named);
			}
			for (int k = 0; k < EACH; k++, at = next) {
				ck_assert_msg(time_rule_next(&parsed[which], NULL, at, &next) == 0, "%s in %s", rules[which], zones[z]);
				ck_assert_msg(next > at, "%s in %s after %lld: %lld", rules[which], zones[z], (long long)at,
					(long long)next);
				is_shown(&parsed[which], NULL, rules[which], next);
			}
		}
	}
	unsetenv("TZ");
	tzset();
}
END_TEST

START_TEST(a_zone_that_is_held_answers_the_same)
{
	struct time_rule r;
	struct err e = {0};
	int64_t held[400], at = INT64_C(1761400000000), next; /* 25 October 2025, over the change of clocks */

	ck_assert_int_eq(time_rule_parse("*/15 * * * *", &r, &e), 0);
	ck_assert(!zone_hold("No/Such"));
	ck_assert(zone_hold("Europe/Berlin"));
	ck_assert(!zone_hold("Asia/Tokyo")); /* one at a time */
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		ck_assert_int_eq(time_rule_next(&r, "Europe/Berlin", i ? held[i - 1] : at, &held[i]), 0);
		ck_assert_int_eq(time_rule_next(&r, "Asia/Kathmandu", held[i], &next), 0);
	}
	zone_release();
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		ck_assert_int_eq(time_rule_next(&r, "Europe/Berlin", at, &at), 0);
		ck_assert_int_eq(at, held[i]);
	}
}
END_TEST

TEST_MAIN("model/timerule", what_clocks_leave_out_comes_at_the_first_moment_after_it, what_they_show_twice_comes_once,
	days_months_and_years, moments_in_words, spans_in_words, what_is_no_time_is_refused, zones_are_those_of_the_tables,
	the_next_one_is_always_later, a_zone_that_is_held_answers_the_same)
