/* SPDX-License-Identifier: ISC */
/* Moments and repetitions as people write them: parsing, and the way to the next one. */
#include "daemon/model/timerule.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "base/util.h"
#include "base/zone.h"

#define DAY_S INT64_C(86400)
#define WORDS_MAX 16
#define DAYS_AHEAD (9 * 366) /* 29 February is eight years away at most (1896, 1904), on a given weekday it need not be */
#define MINUTES_OF_DAY 1440
#define ALL_DAYS 0xfffffffeu /* 1 to 31 */
#define ALL_MONTHS 0x1ffeu   /* 1 to 12 */
#define ALL_WEEKDAYS 0x7fu
#define WORKDAYS 0x3eu
#define WEEKEND 0x41u

#define HINT_AT "15:30, 'tomorrow 9:00', '2026-12-24 18:00', 2026-12-24T18:00:00+01:00, +30m, 'in 2 hours'"
#define HINT_EVERY "30m, 'day at 09:00', 'weekday 09:00', 'monday 9:00', or a line of cron: '0 9 * * 1-5'"

/* ---- words ---- */

struct words {
	char text[TIME_TEXT_MAX];
	char *w[WORDS_MAX];
	int n;
};

/* In small letters, by blanks. -1: too much of it. */
static int split(const char *text, struct words *out)
{
	char *rest = out->text, *word;

	out->n = 0;
	if (str_fmt(out->text, sizeof(out->text), "%s", text) < 0)
		return -1;
	for (char *c = out->text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	while ((word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		if (out->n == WORDS_MAX)
			return -1;
		out->w[out->n++] = word;
	}
	return out->n ? 0 : -1;
}

/* Digits alone, at most `most` of them. */
static const char *number(const char *s, int most, int64_t *ret)
{
	int64_t n = 0;
	int got = 0;

	for (; isdigit((unsigned char)*s) && got < most; s++, got++)
		n = n * 10 + (*s - '0');
	if (!got || isdigit((unsigned char)*s))
		return NULL;
	*ret = n;
	return s;
}

/* ---- spans ---- */

static int64_t unit_ms(const char *s, size_t len)
{
	static const struct {
		const char *name;
		int64_t s;
	} units[] = {{"s", 1}, {"sec", 1}, {"secs", 1}, {"second", 1}, {"seconds", 1}, {"m", 60}, {"min", 60},
		{"mins", 60}, {"minute", 60}, {"minutes", 60}, {"h", 3600}, {"hr", 3600}, {"hrs", 3600}, {"hour", 3600},
		{"hours", 3600}, {"d", DAY_S}, {"day", DAY_S}, {"days", DAY_S}, {"w", 7 * DAY_S}, {"week", 7 * DAY_S},
		{"weeks", 7 * DAY_S}};

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strlen(units[i].name) == len && !strncmp(units[i].name, s, len))
			return units[i].s * 1000;
	return 0;
}

/* "30m", "1h30m", "2 hours", "1 hour 30 minutes". -1: it is none, or none that is not out of all bounds. */
static int span(const struct words *w, int from, int64_t *ret)
{
	char all[TIME_TEXT_MAX] = "";
	int64_t sum = 0, n;

	for (int i = from; i < w->n; i++)
		strcat(all, w->w[i]); /* fits: it is a part of what fitted */
	for (const char *s = all; *s;) {
		size_t len;
		int64_t ms;

		if (!(s = number(s, 9, &n)))
			return -1;
		len = strspn(s, "abcdefghijklmnopqrstuvwxyz");
		ms = unit_ms(s, len);
		if (!ms || n > TIME_SPAN_MAX_MS / ms)
			return -1;
		sum += n * ms;
		s += len;
		if (sum > TIME_SPAN_MAX_MS)
			return -1;
	}
	if (!all[0])
		return -1;
	*ret = sum;
	return 0;
}

/* ---- times of day, days of the week ---- */

/* "9:00", "09:00". */
static int clock_time(const char *s, int *ret_h, int *ret_m)
{
	int64_t h, m;

	if (!(s = number(s, 2, &h)) || *s++ != ':' || strlen(s) != 2 || !(s = number(s, 2, &m)) || h > 23 || m > 59)
		return -1;
	*ret_h = (int)h;
	*ret_m = (int)m;
	return 0;
}

static int weekday(const char *s, size_t len)
{
	static const char *const names[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

	for (int i = 0; i < 7; i++)
		if ((len == 3 || len == strlen(names[i])) && !strncmp(names[i], s, len))
			return i;
	return -1;
}

/* "day", "weekday", "weekend", "monday", "mon,thu"; 0: none of these. */
static uint32_t day_words(const char *s)
{
	uint32_t days = 0;

	if (!strcmp(s, "day"))
		return ALL_WEEKDAYS;
	if (!strcmp(s, "weekday") || !strcmp(s, "weekdays"))
		return WORKDAYS;
	if (!strcmp(s, "weekend") || !strcmp(s, "weekends"))
		return WEEKEND;
	while (*s) {
		size_t len = strcspn(s, ",");
		int day = weekday(s, len);

		if (day < 0)
			return 0;
		days |= 1u << day;
		s += len;
		if (*s && !*++s)
			return 0;
	}
	return days;
}

/* "day at 09:00", "monday 9:00". -1: it is none. */
static int day_and_time(const struct words *w, struct time_rule *ret)
{
	bool at = w->n == 3 && !strcmp(w->w[1], "at");
	uint32_t days = w->n >= 2 ? day_words(w->w[0]) : 0;
	int h, m;

	if (!days || w->n != (at ? 3 : 2) || clock_time(w->w[w->n - 1], &h, &m) < 0)
		return -1;
	*ret = (struct time_rule){.calendar = true, .minutes = UINT64_C(1) << m, .hours = 1u << h, .days = ALL_DAYS,
		.months = ALL_MONTHS, .weekdays = days, .any_day = true, .any_weekday = days == ALL_WEEKDAYS};
	return 0;
}

/* ---- lines of cron ---- */

struct cron_field {
	int min, max;
	const char *const *names; /* of the first on, or NULL */
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
	NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
static const struct cron_field cron_fields[] = {{0, 59, NULL}, {0, 23, NULL}, {1, 31, NULL}, {1, 12, month_names},
	{0, 7, weekday_names}};

static const char *cron_value(const char *s, const struct cron_field *f, int64_t *ret)
{
	for (int i = 0; f->names && f->names[i]; i++) {
		if (strncmp(s, f->names[i], 3) != 0)
			continue;
		*ret = f->min + i;
		return s + 3;
	}
	s = number(s, 2, ret);
	return s && *ret >= f->min && *ret <= f->max ? s : NULL;
}

/* One of those between commas: N, N-M, N-M/S, *, *slash S. */
static const char *cron_part(const char *s, const struct cron_field *f, uint64_t *bits)
{
	int64_t low = f->min, high = f->max, step = 1;

	if (*s == '*') {
		s++;
	} else {
		if (!(s = cron_value(s, f, &low)))
			return NULL;
		high = low;
		if (*s == '-' && !(s = cron_value(s + 1, f, &high)))
			return NULL;
	}
	if (*s == '/') {
		if (!(s = number(s + 1, 2, &step)) || !step)
			return NULL;
		if (low == high)
			high = f->max;
	}
	if (low > high)
		return NULL;
	for (int64_t n = low; n <= high; n += step)
		*bits |= UINT64_C(1) << n;
	return s;
}

static int cron_line(const struct words *w, struct time_rule *ret)
{
	uint64_t bits[ARRAY_LEN(cron_fields)] = {0};

	for (size_t i = 0; i < ARRAY_LEN(cron_fields); i++) {
		const char *s = cron_part(w->w[i], &cron_fields[i], &bits[i]);

		while (s && *s == ',')
			s = cron_part(s + 1, &cron_fields[i], &bits[i]);
		if (!s || *s)
			return -1;
	}
	*ret = (struct time_rule){.calendar = true, .minutes = bits[0], .hours = (uint32_t)bits[1],
		.days = (uint32_t)bits[2], .months = (uint32_t)bits[3],
		.weekdays = ((uint32_t)bits[4] | (uint32_t)(bits[4] >> 7)) & ALL_WEEKDAYS, /* Sunday is 0 and 7 */
		.any_day = w->w[2][0] == '*', .any_weekday = w->w[4][0] == '*'};
	return 0;
}

int time_rule_parse(const char *text, struct time_rule *ret, struct err *e)
{
	struct time_rule r = {0};
	struct words w;
	int64_t ms;

	if (split(text, &w) == 0) {
		if (w.n == (int)ARRAY_LEN(cron_fields) && cron_line(&w, &r) == 0) {
			*ret = r;
			return 0;
		}
		if (day_and_time(&w, &r) == 0) {
			*ret = r;
			return 0;
		}
		if (span(&w, 0, &ms) == 0 || (w.n == 1 && (ms = unit_ms(w.w[0], strlen(w.w[0]))))) {
			*ret = (struct time_rule){.span_ms = ms};
			return 0;
		}
	}
	err_set(e, ERR_PARAMS, "'%.80s' does not say how often", text);
	return err_hint(e, "%s", HINT_EVERY);
}

/* ---- the next one ---- */

static bool day_fits(const struct time_rule *r, const struct tm *day)
{
	bool of_month = r->days >> day->tm_mday & 1, of_week = r->weekdays >> day->tm_wday & 1;

	if (!(r->months >> (day->tm_mon + 1) & 1))
		return false;
	/* As in cron: where both are restricted, one of them is enough. */
	return !r->any_day && !r->any_weekday ? of_month || of_week : of_month && of_week;
}

static bool minute_fits(const struct time_rule *r, int minute)
{
	return (r->hours >> (minute / 60) & 1) && (r->minutes >> (minute % 60) & 1);
}

/* By what clocks show, so that one that is set back shows again what has passed: that is passed over. */
static int calendar_next(const struct time_rule *r, const char *zone, int64_t after_ms, int64_t *ret)
{
	struct tm shown, day;
	int64_t first, at;
	int minute;

	if (zone_from_ms(zone, after_ms, &shown) < 0)
		return -1;
	minute = shown.tm_hour * 60 + shown.tm_min + 1;
	shown.tm_hour = shown.tm_min = shown.tm_sec = 0;
	first = (int64_t)timegm(&shown);
	for (int64_t n = 0; n < DAYS_AHEAD; n++, minute = 0) {
		time_t t = (time_t)(first + n * DAY_S);

		if (!gmtime_r(&t, &day) || !day_fits(r, &day))
			continue;
		for (; minute < MINUTES_OF_DAY; minute++) {
			if (!minute_fits(r, minute))
				continue;
			day.tm_hour = minute / 60;
			day.tm_min = minute % 60;
			if (zone_first_ms(zone, &day, &at) < 0)
				return -1;
			if (at <= after_ms)
				continue;
			*ret = at;
			return 0;
		}
	}
	return -1;
}

int time_rule_next(const struct time_rule *r, const char *zone, int64_t after_ms, int64_t *ret)
{
	if (r->calendar)
		return calendar_next(r, zone, after_ms, ret);
	*ret = after_ms + r->span_ms;
	return 0;
}

/* ---- moments ---- */

/* What stands behind "HH:MM" or "HH:MM:SS": *ret_offset_s of "Z", "+01:00"; *ret_zoned false without. */
static int offset_of(const char *s, bool *ret_zoned, int64_t *ret_s)
{
	int h, m;

	*ret_zoned = *s != '\0';
	*ret_s = 0;
	if (!*s || !strcmp(s, "z"))
		return 0;
	if ((*s != '+' && *s != '-') || strlen(s) != 6 || clock_time(s + 1, &h, &m) < 0)
		return -1;
	*ret_s = (*s == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return 0;
}

/* The time of a day: "18:00", "18:00:30", "18:00:30.25"; what stands behind it. */
static const char *day_time(const char *s, struct tm *tm)
{
	int64_t n[3] = {0};

	for (int i = 0; i < 3; i++) {
		if (i && *s != ':' && i == 2)
			break;
		if (i && *s++ != ':')
			return NULL;
		if (!isdigit((unsigned char)s[0]) || !(s = number(s, 2, &n[i])))
			return NULL;
	}
	if (n[0] > 23 || n[1] > 59 || n[2] > 59)
		return NULL;
	if (*s == '.') {
		s++;
		if (!isdigit((unsigned char)*s))
			return NULL;
		while (isdigit((unsigned char)*s))
			s++;
	}
	tm->tm_hour = (int)n[0];
	tm->tm_min = (int)n[1];
	tm->tm_sec = (int)n[2];
	return s;
}

/* "2026-12-24". */
static const char *date(const char *s, struct tm *tm)
{
	static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t y, m, d;

	if (strlen(s) < 10 || !(s = number(s, 4, &y)) || *s++ != '-' || !(s = number(s, 2, &m)) || *s++ != '-' ||
		!(s = number(s, 2, &d)))
		return NULL;
	if (y < 1970 || m < 1 || m > 12 || d < 1 || d > month_days[m - 1] ||
		(m == 2 && d == 29 && (y % 4 || (y % 100 == 0 && y % 400))))
		return NULL;
	*tm = (struct tm){.tm_year = (int)y - 1900, .tm_mon = (int)m - 1, .tm_mday = (int)d};
	return s;
}

/* 1: it is a date; 0: it is none; -1: one that is wrong. */
static int dated(const struct words *w, const char *zone, int64_t *ret)
{
	char all[TIME_TEXT_MAX];
	struct tm tm;
	bool zoned;
	int64_t offset;
	const char *s;

	if (w->w[0][4] != '-' || strspn(w->w[0], "0123456789") != 4)
		return 0;
	/* A blank stands for the T, one more may stand before the offset. */
	if (w->n > 3 || str_fmt(all, sizeof(all), "%s%s%s%s", w->w[0], w->n > 1 ? "t" : "", w->n > 1 ? w->w[1] : "",
				w->n > 2 ? w->w[2] : "") < 0)
		return -1;
	if (!(s = date(all, &tm)) || *s++ != 't' || !(s = day_time(s, &tm)) || offset_of(s, &zoned, &offset) < 0)
		return -1;
	if (zoned) {
		*ret = ((int64_t)timegm(&tm) - offset) * 1000;
		return 1;
	}
	return zone_first_ms(zone, &tm, ret) < 0 ? -1 : 1;
}

/* "15:30", "today 15:30", "tomorrow at 9:00", "monday 9:00": of the days that follow, the first that it can be. */
static int of_a_day(const struct words *w, const char *zone, int64_t now_ms, int64_t *ret)
{
	struct words day = *w;
	struct time_rule r;
	int64_t after = now_ms;
	struct tm tm;
	bool tomorrow = !strcmp(w->w[0], "tomorrow"), alone = w->n == 1 || (w->n == 2 && !strcmp(w->w[0], "at"));

	if (alone) {
		day.w[1] = w->w[w->n - 1];
		day.n = 2;
	}
	if (alone || tomorrow || !strcmp(w->w[0], "today"))
		day.w[0] = (char *)"day";
	if (day_and_time(&day, &r) < 0)
		return -1;
	if (tomorrow) {
		if (zone_from_ms(zone, now_ms, &tm) < 0)
			return -1;
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		tm.tm_mday++;
		if (zone_first_ms(zone, &tm, &after) < 0)
			return -1;
		after--;
	}
	return time_rule_next(&r, zone, after, ret);
}

static int refuse(const char *text, struct err *e)
{
	err_set(e, ERR_PARAMS, "'%.80s' is no time", text);
	return err_hint(e, "%s", HINT_AT);
}

int time_moment_parse(const char *text, const char *zone, int64_t now_ms, struct time_moment *ret, struct err *e)
{
	struct words w;
	int64_t ms;
	int is_date;

	if (split(text, &w) < 0)
		return refuse(text, e);
	if (w.w[0][0] == '+' || !strcmp(w.w[0], "in")) {
		bool plus = w.w[0][0] == '+';
		w.w[0] += plus;
		if (span(&w, plus ? 0 : 1, &ms) < 0)
			return refuse(text, e);
		*ret = (struct time_moment){.span = true, .ms = ms};
		return 0;
	}
	is_date = strlen(w.w[0]) > 4 ? dated(&w, zone, &ms) : 0;
	if (is_date < 0 || (!is_date && of_a_day(&w, zone, now_ms, &ms) < 0))
		return refuse(text, e);
	if (ms <= now_ms) {
		char shown[TIME_SHOWN_MAX];
		err_set(e, ERR_PARAMS, "'%.80s' has passed: it was %s", text, time_shown(zone, ms, shown));
		return err_hint(e, "give one that is to come: %s", HINT_AT);
	}
	if (ms - now_ms > TIME_SPAN_MAX_MS)
		return err_set(e, ERR_PARAMS, "'%.80s' is more than 100 years ahead", text);
	*ret = (struct time_moment){.ms = ms};
	return 0;
}

char *time_shown(const char *zone, int64_t ms, char out[TIME_SHOWN_MAX])
{
	struct tm tm;
	long off;

	out[0] = '\0';
	if (zone_from_ms(zone, ms, &tm) < 0 || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
		return out;
	off = tm.tm_gmtoff / 60;
	str_fmt(out, TIME_SHOWN_MAX, "%04d-%02d-%02dT%02d:%02d:%02d%c%02ld:%02ld", tm.tm_year + 1900, tm.tm_mon + 1,
		tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, off < 0 ? '-' : '+', labs(off) / 60, labs(off) % 60);
	return out;
}
