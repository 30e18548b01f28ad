/* SPDX-License-Identifier: ISC */
/* The clocks and their replacement. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/unit/run.h"

static int64_t fake_mono(void)
{
	return 1234;
}
static int64_t fake_wall(void)
{
	return 99;
}

START_TEST(real_clocks_advance)
{
	int64_t a = clock_mono_us(), b = clock_mono_us();
	ck_assert_int_le(a, b);
	ck_assert_int_gt(clock_wall_ms(), 1700000000000);
}
END_TEST

START_TEST(a_test_can_replace_them)
{
	clock_set_source(fake_mono, fake_wall);
	ck_assert_int_eq(clock_mono_ms(), 1234);
	ck_assert_int_eq(clock_mono_us(), 1234000);
	ck_assert_int_eq(clock_wall_ms(), 99);
	clock_set_source(NULL, NULL);
	ck_assert_int_gt(clock_wall_ms(), 1700000000000);
}
END_TEST

START_TEST(iso_stamps)
{
	char out[CLOCK_ISO_MAX];
	ck_assert_str_eq(clock_iso(0, out), "1970-01-01T00:00:00.000Z");
	ck_assert_str_eq(clock_iso(-1, out), "1969-12-31T23:59:59.999Z");
	ck_assert_str_eq(clock_iso(1769903999123, out), "2026-01-31T23:59:59.123Z");
	ck_assert_str_eq(clock_iso(INT64_MAX, out), "0000-00-00T00:00:00.000Z");
	ck_assert_str_eq(clock_iso(INT64_MIN, out), "0000-00-00T00:00:00.000Z");
}
END_TEST

START_TEST(every_day_has_its_date)
{
	char out[CLOCK_ISO_MAX], want[CLOCK_ISO_MAX];
	struct tm tm;

	/* Each of the 400 years after which the calendar repeats itself, and samples of the rest. */
	for (int64_t day = -719528; day <= 2932896; day += day >= -1000 && day < 146097 ? 1 : 311) {
		int64_t sec = day * 86400 + (day & 1 ? 86399 : 0);
		time_t t = (time_t)sec;
		ck_assert_ptr_nonnull(gmtime_r(&t, &tm));
		snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.007Z", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
			tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		if (strcmp(clock_iso(sec * 1000 + 7, out), want) != 0)
			ck_abort_msg("day %lld is %s, not %s", (long long)day, want, out);
	}
	ck_assert_str_eq(clock_iso((2932896 + INT64_C(1)) * 86400000, out), "0000-00-00T00:00:00.000Z");
	ck_assert_str_eq(clock_iso(-719528 * INT64_C(86400000) - 1, out), "0000-00-00T00:00:00.000Z");
}
END_TEST

TEST_MAIN("base/clock", real_clocks_advance, a_test_can_replace_them, iso_stamps, every_day_has_its_date)
