/* SPDX-License-Identifier: ISC */
#include "daemon/world/daily.h"
#include "tests/unit/run.h"

#define HOUR (3600 * INT64_C(1000))
#define DAY (24 * HOUR)
#define WALL (20000 * DAY)

static struct daily_moment at(const char *boot, int64_t boot_ms, int64_t wall_ms)
{
	struct daily_moment m = {.boot_ms = boot_ms, .wall_ms = wall_ms};

	snprintf(m.boot, sizeof(m.boot), "%s", boot);
	return m;
}

START_TEST(the_first_is_due_at_once)
{
	struct daily d = {0};
	struct daily_moment now = at("a", 5, WALL);

	ck_assert_int_eq(daily_wait(&d, DAY, &now), 0);
}
END_TEST

START_TEST(within_a_boot_the_calendar_does_not_count)
{
	struct daily d = {.done = at("a", HOUR, WALL)};
	struct daily_moment now = at("a", 3 * HOUR, WALL + 400 * DAY);

	ck_assert_int_eq(daily_wait(&d, DAY, &now), 22 * HOUR);
	now.wall_ms = WALL - 400 * DAY;
	ck_assert_int_eq(daily_wait(&d, DAY, &now), 22 * HOUR);
	now.boot_ms = 25 * HOUR;
	ck_assert_int_eq(daily_wait(&d, DAY, &now), 0);
}
END_TEST

START_TEST(over_a_reboot_the_calendar_counts_and_at_least_the_boots_age)
{
	struct daily d = {.done = at("a", HOUR, WALL)};
	struct daily_moment now = at("b", HOUR, WALL + 20 * HOUR);

	ck_assert_int_eq(daily_wait(&d, DAY, &now), 4 * HOUR);
	now.wall_ms = WALL - DAY;
	ck_assert_int_eq(daily_wait(&d, DAY, &now), 23 * HOUR);
	now.wall_ms = WALL + 2 * DAY;
	ck_assert_int_eq(daily_wait(&d, DAY, &now), 0);
}
END_TEST

START_TEST(pauses_after_failures_grow_to_a_quarter)
{
	static const int64_t minutes[] = {15, 30, 60, 120, 240, 360, 360, 360};
	struct daily d = {.tried = at("a", HOUR, WALL)};
	struct daily_moment now = at("a", HOUR, WALL);

	for (size_t i = 0; i < sizeof(minutes) / sizeof(*minutes); i++) {
		d.failed = (int64_t)i + 1;
		ck_assert_int_eq(daily_wait(&d, DAY, &now), minutes[i] * 60 * 1000);
	}
	d.failed = INT64_MAX;
	ck_assert_int_eq(daily_wait(&d, DAY, &now), 6 * HOUR);
	/* What is not due yet is no more so for having failed. */
	d.done = at("a", HOUR, WALL);
	ck_assert_int_eq(daily_wait(&d, DAY, &now), DAY);
}
END_TEST

TEST_MAIN("world/daily", the_first_is_due_at_once, within_a_boot_the_calendar_does_not_count,
	over_a_reboot_the_calendar_counts_and_at_least_the_boots_age, pauses_after_failures_grow_to_a_quarter)
