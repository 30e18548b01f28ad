/* SPDX-License-Identifier: ISC */
/* The wall clocks of other time zones, by the C library. */
#include "base/zone.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/util.h"

#define ZONES "/usr/share/zoneinfo/"
#define DAY_S 86400
#define YEAR_MOST 9999

static const char *held; /* by zone_hold; NULL: none */
static char *held_before;

/* A file of a zone, and not one of the tables beside them: of those the C library would make UTC without a word. */
static bool is_zone_file(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char magic[4];

	return fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) && !memcmp(magic, "TZif", sizeof(magic));
}

bool zone_known(const char *zone)
{
	char path[sizeof(ZONES) + ZONE_NAME_MAX];
	size_t n = strlen(zone);

	if (!strcmp(zone, "UTC") || (held && !strcmp(held, zone)))
		return true;
	/* "right/" counts leap seconds, which no clock here does. */
	return n && n < ZONE_NAME_MAX && zone[0] != '/' && !strstr(zone, "..") && !str_starts(zone, "right/") &&
	       strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") == n &&
	       str_fmt(path, sizeof(path), ZONES "%s", zone) == 0 && is_zone_file(path);
}

/* The C library knows one zone at a time. Returns what was set before (owned, or NULL: nothing). */
static char *zone_enter(const char *zone)
{
	char *before = xstrdup(getenv("TZ")), name[ZONE_NAME_MAX + 2];

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

bool zone_hold(const char *zone)
{
	if (held || !zone_known(zone))
		return false;
	held_before = zone_enter(zone);
	held = zone;
	return true;
}

void zone_release(void)
{
	held = NULL;
	zone_leave(held_before);
	held_before = NULL;
}

/* It has to be entered, as it is neither this process's own nor held. */
static bool is_other(const char *zone)
{
	return zone && !(held && !strcmp(held, zone));
}

int zone_from_ms(const char *zone, int64_t wall_ms, struct tm *ret)
{
	time_t at = (time_t)(wall_ms / 1000);

	if (zone && !zone_known(zone))
		return -1;
	bool other = is_other(zone);
	char *before = other ? zone_enter(zone) : NULL;
	localtime_r(&at, ret);
	if (other)
		zone_leave(before);
	return 0;
}

int zone_to_ms(const char *zone, const struct tm *tm, int64_t *ret)
{
	struct tm copy = *tm;
	time_t at;

	if (zone && !zone_known(zone))
		return -1;
	bool other = is_other(zone);
	char *before = other ? zone_enter(zone) : NULL;
	copy.tm_isdst = -1;
	at = mktime(&copy);
	if (other)
		zone_leave(before);
	if (at == (time_t)-1)
		return -1;
	*ret = (int64_t)at * 1000;
	return 0;
}

static int64_t offset_at(int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm;

	return localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
}

/* Shown: what clocks are to show, as if it were UTC. Clocks change at most once within two days. */
static int64_t first_shown(int64_t shown)
{
	int64_t before = shown - offset_at(shown - DAY_S), after = shown - offset_at(shown + DAY_S);
	int64_t low = before < after ? before : after, high = before < after ? after : before;
	int64_t old = offset_at(low);

	if (low + old == shown)
		return low;
	if (high + offset_at(high) == shown)
		return high;
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;
		if (offset_at(middle) == old)
			low = middle;
		else
			high = middle;
	}
	return high;
}

int zone_first_ms(const char *zone, const struct tm *tm, int64_t *ret)
{
	struct tm copy = *tm;
	int64_t shown = (int64_t)timegm(&copy);

	if (copy.tm_year < 1 - 1900 || copy.tm_year > YEAR_MOST - 1900 || (zone && !zone_known(zone)))
		return -1;
	bool other = is_other(zone);
	char *before = other ? zone_enter(zone) : NULL;
	*ret = first_shown(shown) * 1000;
	if (other)
		zone_leave(before);
	return 0;
}

void zone_own(char out[ZONE_NAME_MAX])
{
	const char *tz = getenv("TZ");
	char link[sizeof(ZONES) + 2 * ZONE_NAME_MAX] = "", *at;
	ssize_t n;

	if (tz && strcmp(tz, ":/etc/localtime") != 0) { /* which some set, so that nobody looks for it */
		tz += tz[0] == ':';
		tz += str_starts(tz, ZONES) ? strlen(ZONES) : 0;
		str_fmt(out, ZONE_NAME_MAX, "%s", tz[0] ? tz : "UTC");
		return;
	}
	n = readlink("/etc/localtime", link, sizeof(link) - 1);
	at = n > 0 ? strstr(link, "zoneinfo/") : NULL;
	if (!at || str_fmt(out, ZONE_NAME_MAX, "%s", at + strlen("zoneinfo/")) < 0 || !zone_known(out))
		str_fmt(out, ZONE_NAME_MAX, "UTC");
}
