/* SPDX-License-Identifier: ISC */
/* Dollars, tokens and spans of time as people write them; exact, without floating point. */
#include "ipc/amount.h"

#include <ctype.h>
#include <stddef.h>

#define DIGITS_MOST 15 /* before the point: no unit below makes it overflow */

/* Digits with a fraction, in units of 1/one; *s moves behind them. -1: none, or finer than that. */
static int64_t decimal(const char **s, int64_t one)
{
	const char *p = *s;
	int64_t n = 0;
	int digits = 0;

	for (; isdigit((unsigned char)*p); p++) {
		if (++digits > DIGITS_MOST)
			return -1;
		n = n * 10 + (*p - '0');
	}
	if (!digits || n > INT64_MAX / 4 / one)
		return -1;
	n *= one;
	if (*p == '.') {
		if (!isdigit((unsigned char)p[1]))
			return -1;
		for (p++; isdigit((unsigned char)*p); p++) {
			if ((one % 10 || !one) && *p != '0')
				return -1;
			one /= 10;
			n += (*p - '0') * one;
		}
	}
	*s = p;
	return n;
}

static int done(int64_t n, int64_t most, int64_t *ret)
{
	if (n <= 0 || n > most)
		return -1;
	*ret = n;
	return 0;
}

int amount_usd(const char *s, int64_t *ret_nano)
{
	if (*s == '$')
		s++;
	int64_t n = decimal(&s, 1000000000);
	return *s ? -1 : done(n, INT64_C(1000000000000000000), ret_nano);
}

int amount_tokens(const char *s, int64_t *ret)
{
	static const struct {
		char unit;
		int64_t one;
	} units[] = {{'k', 1000}, {'K', 1000}, {'m', 1000000}, {'M', 1000000}, {'g', 1000000000}, {'G', 1000000000}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		const char *p = s;
		int64_t n = decimal(&p, units[i].one);
		if (n >= 0 && p[0] == units[i].unit && !p[1])
			return done(n, INT64_C(1000000000000000), ret);
	}
	int64_t n = decimal(&s, 1);
	return *s ? -1 : done(n, INT64_C(1000000000000000), ret);
}

int amount_span(const char *s, int64_t *ret_ms)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'d', 86400000}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};
	int64_t all = 0;
	size_t next = 0;

	do {
		const char *p = s;
		int64_t n = decimal(&p, 1000);
		if (n < 0)
			return -1;
		if (!*p && !all)
			return done(n, INT64_C(31536000000) * 100, ret_ms);
		while (next < 4 && units[next].unit != *p)
			next++;
		if (next == 4 || n / 1000 > INT64_C(31536000000) * 100 / units[next].ms)
			return -1;
		all += n * (units[next++].ms / 1000);
		s = p + 1;
	} while (*s);
	return done(all, INT64_C(31536000000) * 100, ret_ms);
}
