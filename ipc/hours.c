/* SPDX-License-Identifier: ISC */
/* A part of each day by the local clock. */
#include "ipc/hours.h"

#include <stdio.h>

#include "base/zone.h"

#define DAY_MIN (24 * 60)
#define MIN_MS INT64_C(60000)

int hours_parse(const char *s, struct hours *ret, struct err *e)
{
	struct hours h = {.any = true};
	int fh, fm, th, tm, end = 0;

	if (!*s) {
		*ret = (struct hours){0};
		return 0;
	}
	if (sscanf(s, "%2d:%2d-%2d:%2d%n", &fh, &fm, &th, &tm, &end) != 4 || s[end] || fh < 0 || fh > 23 || fm < 0 || fm > 59 ||
		th < 0 || th > 23 || tm < 0 || tm > 59)
		return err_set(e, ERR_PARAMS, "'%.40s' is no part of a day, as 22:00-07:00", s);
	h.from = fh * 60 + fm;
	h.to = th * 60 + tm;
	if (h.from == h.to)
		return err_set(e, ERR_PARAMS, "'%.40s' begins when it ends", s);
	*ret = h;
	return 0;
}

int64_t hours_left_ms(const struct hours *h, int64_t wall_ms)
{
	struct tm tm;
	int now, left;

	if (!h->any || zone_from_ms(NULL, wall_ms, &tm) < 0)
		return 0;
	now = tm.tm_hour * 60 + tm.tm_min;
	if (h->from < h->to ? now < h->from || now >= h->to : now >= h->to && now < h->from)
		return 0;
	left = (h->to - now + DAY_MIN) % DAY_MIN;
	return left * MIN_MS - (int64_t)tm.tm_sec * 1000 - wall_ms % 1000;
}
