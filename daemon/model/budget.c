/* SPDX-License-Identifier: ISC */
/* Budgets: names, levels, amounts as JSON and as text. */
#include "daemon/model/budget.h"

#include <string.h>

#include "base/util.h"

#define NANO 1000000000

static const char *const names[BUDGET_KINDS] = {
	[BUDGET_USD] = "budget_usd",
	[BUDGET_TOKENS] = "budget_tokens",
	[BUDGET_TURNS] = "budget_turns",
	[BUDGET_TIME] = "budget_time",
};

static const char *const actions[BUDGET_ACTIONS] = {
	[BUDGET_WARN] = "warn",
	[BUDGET_PAUSE] = "pause",
	[BUDGET_END] = "end",
};

const char *budget_name(enum budget_kind k)
{
	return names[k];
}

const char *budget_action_name(enum budget_action a)
{
	return a < BUDGET_ACTIONS ? actions[a] : "unknown";
}

int budget_action_from_name(const char *s, enum budget_action *ret)
{
	for (int i = 0; s && i < BUDGET_ACTIONS; i++) {
		if (strcmp(actions[i], s) != 0)
			continue;
		*ret = (enum budget_action)i;
		return 0;
	}
	return -1;
}

bool budget_any(const struct budget *b)
{
	for (int k = 0; k < BUDGET_KINDS; k++)
		if (b->limit[k])
			return true;
	return false;
}

enum budget_level budget_level_of(int64_t limit, int64_t count)
{
	if (!limit)
		return BUDGET_QUIET;
	if (count >= limit)
		return BUDGET_OVER;
	/* limit - count: what is left; without multiplying what may be large. */
	return limit - count <= limit / 100 * (100 - BUDGET_NEAR_PERCENT) + limit % 100 * (100 - BUDGET_NEAR_PERCENT) / 100
		       ? BUDGET_NEAR : BUDGET_QUIET;
}

json_t *budget_amount_json(enum budget_kind k, int64_t n)
{
	switch (k) {
	case BUDGET_USD:
		return json_real((double)n / NANO);
	case BUDGET_TIME:
		return n % 1000 ? json_real((double)n / 1000) : json_integer(n / 1000);
	case BUDGET_TOKENS:
	case BUDGET_TURNS:
	case BUDGET_KINDS:
		break;
	}
	return json_integer(n);
}

static char *span_text(int64_t ms)
{
	long long s = ms / 1000;

	if (s >= 3600)
		return s % 3600 ? xasprintf("%lldh%lldm", s / 3600, s % 3600 / 60) : xasprintf("%lldh", s / 3600);
	if (s >= 60)
		return s % 60 ? xasprintf("%lldm%llds", s / 60, s % 60) : xasprintf("%lldm", s / 60);
	return xasprintf("%llds", s);
}

char *budget_amount_text(enum budget_kind k, int64_t n)
{
	switch (k) {
	case BUDGET_USD:
		return n % (NANO / 100) ? xasprintf("$%.4f", (double)n / NANO) : xasprintf("$%.2f", (double)n / NANO);
	case BUDGET_TIME:
		return span_text(n);
	case BUDGET_TOKENS:
		return xasprintf("%lld tokens", (long long)n);
	case BUDGET_TURNS:
		return xasprintf("%lld turns", (long long)n);
	case BUDGET_KINDS:
		break;
	}
	return xasprintf("%lld", (long long)n);
}

json_t *budget_to_json(const struct budget *b)
{
	json_t *o, *said;

	if (!budget_any(b))
		return NULL;
	o = json_pack("{s:s}", "action", actions[b->action]);
	said = json_array();
	for (int k = 0; k < BUDGET_KINDS; k++) {
		if (b->limit[k])
			json_object_set_new(o, names[k], json_integer(b->limit[k]));
		json_array_append_new(said, json_integer(b->said[k]));
	}
	json_object_set_new(o, "said", said);
	return o;
}

void budget_from_json(struct budget *b, const json_t *o)
{
	const json_t *said = json_object_get(o, "said");

	memset(b, 0, sizeof(*b));
	if (budget_action_from_name(json_string_value(json_object_get(o, "action")), &b->action) < 0)
		b->action = BUDGET_PAUSE;
	for (int k = 0; k < BUDGET_KINDS; k++) {
		int64_t n = json_integer_value(json_object_get(o, names[k])), l = json_integer_value(json_array_get(said, (size_t)k));
		b->limit[k] = n > 0 ? n : 0;
		b->said[k] = l >= BUDGET_QUIET && l <= BUDGET_OVER ? (enum budget_level)l : BUDGET_QUIET;
	}
}
