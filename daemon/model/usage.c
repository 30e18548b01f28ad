/* SPDX-License-Identifier: ISC */
/* Sums of usage: bounded addition, names, JSON, and the day of a moment. */
#include "daemon/model/usage.h"

#include <time.h>

#include "base/util.h"

static const char *const names[US_FIELDS] = {
	[US_TURNS] = "turns",
	[US_MESSAGES] = "messages",
	[US_INPUT] = "input",
	[US_OUTPUT] = "output",
	[US_CACHE_READ] = "cache_read",
	[US_CACHE_WRITE] = "cache_write",
	[US_CACHE_WRITE_1H] = "cache_write_1h",
	[US_THINKING] = "thinking",
	[US_WEB_SEARCHES] = "web_searches",
	[US_COST] = "cost_nano",
	[US_UNPRICED] = "unpriced",
};

const char *usage_field_name(enum usage_field f)
{
	return names[f];
}

static int64_t bounded(int64_t n)
{
	return n < 0 ? 0 : n > USAGE_SUM_MOST ? USAGE_SUM_MOST : n;
}

void usage_add(struct usage_sum *to, const struct usage_sum *what, int sign)
{
	for (int i = 0; i < US_FIELDS; i++) {
		int64_t by = sign * what->n[i], r;
		to->n[i] = __builtin_add_overflow(to->n[i], by, &r) ? (by < 0 ? 0 : USAGE_SUM_MOST) : bounded(r);
	}
}

struct usage_sum usage_delta(const struct usage_sum *is, const struct usage_sum *was)
{
	struct usage_sum d;

	for (int i = 0; i < US_FIELDS; i++)
		d.n[i] = bounded(is->n[i]) - bounded(was->n[i]);
	return d;
}

bool usage_none(const struct usage_sum *s)
{
	for (int i = 0; i < US_FIELDS; i++)
		if (s->n[i])
			return false;
	return true;
}

int64_t usage_tokens_new(const struct usage_sum *s)
{
	/* Each is at most USAGE_SUM_MOST, two of which may be added. */
	return bounded(bounded(s->n[US_INPUT] + s->n[US_OUTPUT]) + s->n[US_CACHE_WRITE]);
}

int64_t usage_tokens(const struct usage_sum *s)
{
	return bounded(usage_tokens_new(s) + s->n[US_CACHE_READ]);
}

void usage_to_json(const struct usage_sum *s, json_t *o)
{
	for (int i = 0; i < US_COST; i++)
		json_object_set_new(o, names[i], json_integer(s->n[i]));
	json_object_set_new(o, "tokens", json_integer(usage_tokens(s)));
	json_object_set_new(o, "cost_usd", s->n[US_UNPRICED] && !s->n[US_COST] ? json_null()
										: json_real((double)s->n[US_COST] / (double)USAGE_NANO));
	json_object_set_new(o, "unpriced_tokens", json_integer(s->n[US_UNPRICED]));
}

int64_t usage_day(int64_t wall_ms)
{
	time_t at = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (!localtime_r(&at, &tm))
		return 0;
	return (int64_t)(tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday;
}
