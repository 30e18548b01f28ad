/* SPDX-License-Identifier: ISC */
/*
 * Until when a usage limit holds, by the words that Claude Code says. Seen: "You've hit your 5-hour limit · resets
 * 6:36pm (UTC)" (2.1.329, from the header anthropic-ratelimit-unified-reset; more than a day ahead "Oct 8, 5am", in
 * another year "Jan 2, 2027, 5am"), "Claude AI usage limit reached|1749924000" (github.com/anthropics/claude-code
 * issue 2087), "Your limit will reset at 1pm (Etc/GMT+5)" (the same). What does not fit is not guessed at.
 */
#include "daemon/agent/programs.h"

#include <ctype.h>

#include "base/util.h"
#include "base/zone.h"

#define MINUTE_MS INT64_C(60000)
#define JUST_OVER_MS (10 * MINUTE_MS) /* a limit that is told still, of a clock time: that of today */
#define DAY_MS (24 * 60 * MINUTE_MS)
#define FARTHEST_MS (366 * DAY_MS)
#define ZONE_MAX 64

struct said {
	bool date, year, time;
	struct tm tm;
	char zone[ZONE_MAX]; /* "" none */
};

static const char *blanks(const char *p)
{
	return p + strspn(p, " \t,");
}

static const char *skip_word(const char *p, const char *word)
{
	size_t n = strlen(word);

	return !strncasecmp(p, word, n) && !isalpha((unsigned char)p[n]) ? blanks(p + n) : p;
}

static bool number(const char **p, int most, int *ret)
{
	int n = 0, digits = 0;

	for (; digits < 5 && isdigit((unsigned char)**p); (*p)++, digits++)
		n = n * 10 + **p - '0';
	*ret = n;
	return digits && digits < 5 && n <= most;
}

static bool month(const char **p, int *ret)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
	char word[4] = "";

	for (int i = 0; i < 3 && isalpha((unsigned char)(*p)[i]); i++)
		word[i] = (char)tolower((unsigned char)(*p)[i]);
	const char *at = strlen(word) == 3 ? strstr(names, word) : NULL;
	if (!at || (at - names) % 3)
		return false;
	*ret = (int)(at - names) / 3;
	*p += strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.");
	*p = blanks(*p);
	return true;
}

/* "3pm", "3:30 pm", "15:30". */
static bool clock_time(const char **p, struct said *s)
{
	int hour, minute = 0;
	bool colon = false;

	if (!number(p, 24, &hour))
		return false;
	if (**p == ':') {
		(*p)++;
		colon = true;
		if (!number(p, 59, &minute))
			return false;
	}
	const char *q = blanks(*p);
	bool am = !strncasecmp(q, "am", 2), pm = !strncasecmp(q, "pm", 2);
	if (am || pm) {
		if (hour < 1 || hour > 12)
			return false;
		hour = hour % 12 + (pm ? 12 : 0);
		*p = q + 2;
	} else if (!colon || hour > 23) {
		return false;
	}
	s->tm.tm_hour = hour;
	s->tm.tm_min = minute;
	return s->time = true;
}

/* What stands behind "reset". */
static bool parse(const char *p, struct said *s)
{
	int n;

	p = skip_word(skip_word(blanks(p), "on"), "at");
	if (month(&p, &n)) {
		s->tm.tm_mon = n;
		if (!number(&p, 31, &s->tm.tm_mday) || !s->tm.tm_mday)
			return false;
		s->date = true;
		p = blanks(p);
		const char *q = p;
		if (number(&q, 9999, &n) && n >= 2000) {
			s->tm.tm_year = n - 1900;
			s->year = true;
			p = blanks(q);
		}
		p = skip_word(p, "at");
	}
	const char *q = p;
	if (clock_time(&q, s))
		p = q;
	else if (!s->date)
		return false;
	p = blanks(p);
	size_t len = *p == '(' ? strcspn(p + 1, ")") : 0;
	if (len && len < ZONE_MAX && p[1 + len] == ')')
		memcpy(s->zone, p + 1, len);
	return true;
}

static int64_t moment(struct said *s, const char *home, int64_t now)
{
	const char *zone = s->zone[0] ? s->zone : home;
	struct tm today, tm = s->tm;
	int64_t at;

	if (zone_from_ms(zone, now, &today) < 0)
		return 0;
	if (!s->year)
		tm.tm_year = today.tm_year;
	if (!s->date) {
		tm.tm_mon = today.tm_mon;
		tm.tm_mday = today.tm_mday;
	}
	if (zone_to_ms(zone, &tm, &at) < 0)
		return 0;
	/* Just over, and said again: not tomorrow's. Of a date, next year's. */
	if (!s->date && at < now - JUST_OVER_MS)
		tm.tm_mday++;
	else if (s->date && !s->year && at < now - DAY_MS)
		tm.tm_year++;
	return zone_to_ms(zone, &tm, &at) < 0 ? 0 : at;
}

/* "in 2h 30m", "in 3 hours". */
static int64_t from_now(const char *p, int64_t now)
{
	int64_t ms = 0;
	int n;

	for (p = blanks(p); number(&p, 9999, &n); p = skip_word(blanks(p), "and")) {
		p = blanks(p);
		if (strchr("dD", *p) && *p)
			ms += n * DAY_MS;
		else if (strchr("hH", *p) && *p)
			ms += n * 60 * MINUTE_MS;
		else if (strchr("mM", *p) && *p)
			ms += n * MINUTE_MS;
		else if (strchr("sS", *p) && *p)
			ms += n * INT64_C(1000);
		else
			return 0;
		p += strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	}
	return ms ? now + ms : 0;
}

/* "...|1749924000", in seconds or milliseconds. */
static int64_t epoch(const char *text)
{
	const char *bar = strchr(text, '|');
	size_t n = bar ? strspn(bar + 1, "0123456789") : 0;

	if (n == 10)
		return strtoll(bar + 1, NULL, 10) * 1000;
	return n == 13 ? strtoll(bar + 1, NULL, 10) : 0;
}

int64_t claude_limit_until(const char *text, const char *zone, int64_t now_ms)
{
	int64_t at = epoch(text);

	for (const char *p = text; !at && (p = strcasestr(p, "reset"));) {
		struct said s = {0};

		p += strlen("reset");
		p += *p == 's' || *p == 'S';
		const char *rest = blanks(p), *in = skip_word(rest, "in");
		if (in != rest)
			at = from_now(in, now_ms);
		else if (parse(rest, &s))
			at = moment(&s, zone, now_ms);
	}
	return at >= now_ms - DAY_MS && at <= now_ms + FARTHEST_MS ? at : 0;
}
