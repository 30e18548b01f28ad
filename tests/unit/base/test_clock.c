/* SPDX-License-Identifier: ISC */
/* The clocks and their replacement. */
#include "base/clock.h"

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

TEST_MAIN("base/clock", real_clocks_advance, a_test_can_replace_them, iso_stamps)
