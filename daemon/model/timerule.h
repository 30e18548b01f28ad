/* SPDX-License-Identifier: ISC */
/*
 * Moments and repetitions as people write them, and when the next one is. Pure; docs/schedules.md has the words.
 *
 * A span ("30m") is so much time, whatever clocks show. A calendar ("weekday at 09:00", a line of cron) is what clocks of a
 * zone show: what they leave out on a day comes at the first moment after it, what they show twice comes once.
 */
#ifndef DAEMON_TIMERULE_H
#define DAEMON_TIMERULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TIME_TEXT_MAX 128 /* of what is parsed */
#define TIME_SPAN_MAX_MS (INT64_C(100) * 366 * 86400 * 1000) /* nothing is further ahead */
#define TIME_SHOWN_MAX 40                                  /* "2026-03-29T03:00:00+02:00" */

struct time_rule {
	bool calendar;
	int64_t span_ms; /* of one that is no calendar */
	uint64_t minutes; /* bits; of a calendar */
	uint32_t hours, days, months, weekdays;
	bool any_day, any_weekday; /* when neither is, either of them does */
};

/* A moment: a span from now, or one of the wall clock. */
struct time_moment {
	bool span;
	int64_t ms; /* of the span; else since 1970 */
};

/* "+30m", "in 2 hours", "15:30", "tomorrow 9:00", "monday 9:00", "2026-12-24 18:00", RFC 3339 with an offset. One of the wall
 * clock that has passed is refused. zone: as zone_first_ms takes it, known. */
int time_moment_parse(const char *text, const char *zone, int64_t now_ms, struct time_moment *ret, struct err *e);
/* "30m", "2 hours", "day at 09:00", "weekday 9:00", "mon,thu 17:30", "0 9 * * 1-5". */
int time_rule_parse(const char *text, struct time_rule *ret, struct err *e);
/* The first after that moment. -1: there is none within the eight years of a calendar's longest way, or no such zone. */
int time_rule_next(const struct time_rule *r, const char *zone, int64_t after_ms, int64_t *ret);
/* The moment as clocks of that zone show it, with their distance from UTC; "" when there is no such zone. */
char *time_shown(const char *zone, int64_t ms, char out[TIME_SHOWN_MAX]);

#endif
