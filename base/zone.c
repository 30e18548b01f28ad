/* SPDX-License-Identifier: ISC */
/* The wall clocks of other time zones, by the C library. */
#include "base/zone.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"

#define ZONES "/usr/share/zoneinfo/"
#define ZONE_MAX 64

static bool zone_known(const char *zone)
{
	char path[sizeof(ZONES) + ZONE_MAX];
	size_t n = strlen(zone);

	if (!strcmp(zone, "UTC"))
		return true;
	return n && n < ZONE_MAX && zone[0] != '/' && !strstr(zone, "..") &&
	       strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n &&
	       str_fmt(path, sizeof(path), ZONES "%s", zone) == 0 && access(path, R_OK) == 0;
}

/* The C library knows one zone at a time. Returns what was set before (owned, or NULL: nothing). */
static char *zone_enter(const char *zone)
{
	char *before = xstrdup(getenv("TZ")), name[ZONE_MAX + 2];

	str_fmt(name, sizeof(name), ":%s", zone);
	setenv("TZ", strcmp(zone, "UTC") ? name : "UTC0", 1);
	tzset();
	return before;
}

static void zone_leave(char *before)
{
	if (before)
		setenv("TZ", before, 1);
	else
		unsetenv("TZ");
	tzset();
	free(before);
}

int zone_from_ms(const char *zone, int64_t wall_ms, struct tm *ret)
{
	time_t at = (time_t)(wall_ms / 1000);

	if (zone && !zone_known(zone))
		return -1;
	char *before = zone ? zone_enter(zone) : NULL;
	localtime_r(&at, ret);
	if (zone)
		zone_leave(before);
	return 0;
}

int zone_to_ms(const char *zone, const struct tm *tm, int64_t *ret)
{
	struct tm copy = *tm;
	time_t at;

	if (zone && !zone_known(zone))
		return -1;
	char *before = zone ? zone_enter(zone) : NULL;
	copy.tm_isdst = -1;
	at = mktime(&copy);
	if (zone)
		zone_leave(before);
	if (at == (time_t)-1)
		return -1;
	*ret = (int64_t)at * 1000;
	return 0;
}
