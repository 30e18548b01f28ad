/* SPDX-License-Identifier: ISC */
/* Moments of the past as callers name them. */
#include <time.h>

#include "base/clock.h"
#include "daemon/api/api_int.h"

#define DAY_MS INT64_C(86400000)

int moment_read(const char *text, int64_t *ret_ms)
{
	int64_t n, unit = 0, now = clock_wall_ms();
	size_t digits = strspn(text, "0123456789");
	char number[24];
	time_t t = now / 1000;
	struct tm tm;
	const char *end;

	if (str_fmt(number, sizeof(number), "%.*s", (int)digits, text) == 0 && str_to_i64(number, 0, INT64_C(1) << 53, &n) == 0) {
		unit = text[digits] == 's' ? 1000 : text[digits] == 'm' ? 60000 : text[digits] == 'h' ? 3600000
			: text[digits] == 'd' ? DAY_MS : 0;
		if (unit && !text[digits + 1] && n < now / unit) {
			*ret_ms = now - n * unit;
			return 0;
		}
	}
	localtime_r(&t, &tm);
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	end = strptime(text, "%Y-%m-%d", &tm);
	if (end && !*end)
		tm.tm_hour = tm.tm_min = 0;
	else
		end = strptime(text, "%Y-%m-%dT%H:%M", &tm) ?: strptime(text, "%H:%M", &tm);
	if (end && *end == ':')
		end = strptime(end, ":%S", &tm);
	if (!end || (*end && strcmp(end, "Z") != 0))
		return -1;
	*ret_ms = (int64_t)(*end ? timegm(&tm) : mktime(&tm)) * 1000;
	return 0;
}
