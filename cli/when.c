/* SPDX-License-Identifier: ISC */
/* Places in a recording as people name them. */
#include "cli/when.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "record/tape.h"

#define UNTIMED_BYTES_PER_MS 8 /* as the player's (place/shim/play.c) */

static int64_t time_of(struct tape *t, uint64_t offset)
{
	int64_t ms = tape_time_of(t, offset);

	return ms >= 0 ? ms : (int64_t)(offset - tape_first(t)) / UNTIMED_BYTES_PER_MS;
}

static uint64_t offset_of(struct tape *t, int64_t ms)
{
	uint64_t at;

	if (tape_time_of(t, tape_first(t)) >= 0)
		return tape_offset_of(t, ms);
	at = tape_first(t) + (uint64_t)(ms > 0 ? ms : 0) * UNTIMED_BYTES_PER_MS;
	return at < tape_end(t) ? at : tape_end(t);
}

/* "+90", "+15m": milliseconds, or -1. */
static int64_t parse_after(const char *text)
{
	char *end;
	double n = strtod(text + 1, &end);

	n *= *end == 'm' ? 60 : *end == 'h' ? 3600 : 1;
	if (*end == 's' || *end == 'm' || *end == 'h')
		end++;
	return end == text + 1 || *end || !(n >= 0 && n < 1e9) ? -1 : (int64_t)(n * 1000);
}

/* A time of day or a date; -1 when it is none. */
static int64_t parse_clock(const char *text, int64_t day_ms)
{
	time_t day = (time_t)(day_ms / 1000);
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (rest && strcmp(rest, "Z") == 0)
		return (int64_t)timegm(&tm) * 1000;
	if (!rest) {
		localtime_r(&day, &tm);
		tm.tm_sec = 0;
		rest = strptime(text, "%H:%M:%S", &tm);
	}
	if (!rest) {
		localtime_r(&day, &tm);
		tm.tm_sec = 0;
		rest = strptime(text, "%H:%M", &tm);
	}
	if (!rest || *rest)
		return -1;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * 1000;
}

static int place(struct tape *t, const struct when_range *r, const char *option, const char *text, int64_t *ret, struct err *e)
{
	int64_t ms;

	if (str_to_i64(text, 0, INT64_MAX, ret) == 0)
		return tape_check(t, (uint64_t)*ret, e);
	ms = text[0] == '+' ? parse_after(text) : parse_clock(text, r->last_ms);
	if (ms < 0) {
		err_set(e, ERR_PARAMS, "%s: \"%.40s\" is no offset and no time", option, text);
		return err_hint(e, "81920, +90, +15m, 14:30, 2026-01-31T14:30:00");
	}
	*ret = (int64_t)offset_of(t, text[0] == '+' ? r->first_ms + ms : ms);
	return 0;
}

int when_read(const char *dir, const char *since, const char *until, struct when_range *ret, struct err *e)
{
	struct tape *t = NULL;
	int r = 0;

	if (tape_open(AT_FDCWD, dir, &t, e) < 0)
		return e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "nothing was recorded, or it was removed") : -1;
	*ret = (struct when_range){.since = (int64_t)tape_first(t), .until = -1};
	ret->first_ms = time_of(t, tape_first(t));
	ret->last_ms = time_of(t, tape_end(t));
	if (since)
		r = place(t, ret, "--since", since, &ret->since, e);
	if (r == 0 && until)
		r = place(t, ret, "--until", until, &ret->until, e);
	ret->since_ms = time_of(t, (uint64_t)ret->since);
	if (r == 0 && tape_first(t) == tape_end(t))
		r = err_set(e, ERR_NOT_FOUND, "nothing was recorded");
	tape_close(t);
	return r;
}

int64_t when_offset(const char *dir, int64_t ms, struct err *e)
{
	struct tape *t = NULL;
	int64_t at;

	if (tape_open(AT_FDCWD, dir, &t, e) < 0)
		return -1;
	at = (int64_t)offset_of(t, ms);
	tape_close(t);
	return at;
}
