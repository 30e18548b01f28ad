/* SPDX-License-Identifier: ISC */
/* What agents spent, as a table with its totals; amounts of budgets. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

#define COUNT_SIZE 16
#define COST_SIZE 32

char *usage_amount(const char *cap, double n)
{
	long long s = (long long)n;

	if (!strcmp(cap, "budget_usd"))
		return xasprintf("$%.*f", n < 1 ? 4 : 2, n);
	if (strcmp(cap, "budget_time") != 0)
		return xasprintf("%lld", s);
	if (s >= 3600)
		return s % 3600 ? xasprintf("%lldh%02lldm", s / 3600, s % 3600 / 60) : xasprintf("%lldh", s / 3600);
	return s >= 60 ? xasprintf("%lldm%02llds", s / 60, s % 60) : xasprintf("%llds", s);
}

/* 999, 12.3k, 4.5M; nothing for 0. */
static const char *short_count(json_int_t n, char out[COUNT_SIZE])
{
	static const char units[] = "kMGTP";
	double v = (double)n;
	int i = -1;

	if (n < 1000) {
		str_fmt(out, COUNT_SIZE, "%lld", (long long)n);
		return n ? out : "";
	}
	for (; v >= 999.5 && units[i + 1]; i++)
		v /= 1000;
	str_fmt(out, COUNT_SIZE, v < 99.95 ? "%.1f%c" : "%.0f%c", v, units[i]);
	return out;
}

/* What is not known is said, never guessed: "?", or "$1.20 + ?". */
static const char *cost_text(const json_t *o, char out[COST_SIZE])
{
	const json_t *cost = json_object_get(o, "cost_usd");
	bool more = jint(o, "unpriced_tokens") > 0;
	double v = json_number_value(cost);

	if (!json_is_number(cost))
		str_fmt(out, COST_SIZE, "?");
	else
		str_fmt(out, COST_SIZE, "$%.*f%s", v > 0 && v < 1 ? 4 : 2, v, more ? " + ?" : "");
	return out;
}

static void sums(struct table *t, enum color c, const json_t *o)
{
	static const char *const keys[] = {"input", "output", "cache_write", "cache_read"};
	char text[COUNT_SIZE], cost[COST_SIZE];
	bool unknown = json_is_false(json_object_get(o, "known"));

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		table_cell(t, c, unknown ? "?" : short_count(jint(o, keys[i]), text));
	table_cell(t, c, unknown ? "?" : cost_text(o, cost));
}

static void context_cell(struct table *t, const json_t *o)
{
	json_int_t used = jint(o, "context"), window = jint(o, "context_window");
	char a[COUNT_SIZE], b[COUNT_SIZE];

	if (used && window)
		table_cellf(t, C_NONE, "%s/%s", short_count(used, a), short_count(window, b));
	else
		table_cell(t, C_NONE, short_count(used, a));
}

static void columns(struct table *t, const char *by)
{
	bool turn = !strcmp(by, "turn"), who = turn || !strcmp(by, "instance") || !strcmp(by, "tree");

	table_column(t, who ? "ID" : !strcmp(by, "day") ? "DAY" : "MODEL", 0);
	table_column(t, "NAME", T_FLEX | T_HIDE_EMPTY);
	table_column(t, turn ? "TURN" : "TURNS", T_RIGHT | T_HIDE_EMPTY);
	table_column(t, "SINCE", T_RIGHT | T_HIDE_EMPTY);
	table_column(t, "MODEL", T_HIDE_EMPTY);
	table_column(t, "EFFORT", T_HIDE_EMPTY);
	table_column(t, "CONTEXT", T_RIGHT | T_HIDE_EMPTY);
	table_column(t, "IN", T_RIGHT);
	table_column(t, "OUT", T_RIGHT);
	table_column(t, "WRITTEN", T_RIGHT);
	table_column(t, "READ", T_RIGHT);
	table_column(t, "COST", T_RIGHT);
}

void render_usage(const struct writer *w, const json_t *result)
{
	const char *by = jstr(result, "by");
	bool who = strcmp(by, "day") != 0 && strcmp(by, "model") != 0;
	struct table *t = table_create();
	char text[COUNT_SIZE], span[SPAN_MAX];
	json_t *o;
	size_t i;

	columns(t, by);
	json_array_foreach(json_object_get(result, "rows"), i, o) {
		table_row(t);
		table_cell(t, C_BOLD, who ? jstr(o, "id") : jstr(o, by));
		table_cell(t, C_NONE, jstr(o, "name"));
		table_cell(t, C_NONE, short_count(jint(o, !strcmp(by, "turn") ? "turn" : "turns"), text));
		table_cell(t, C_DIM, jint(o, "time") ? text_span(clock_wall_ms() - jint(o, "time"), span) : "");
		table_cell(t, C_NONE, who ? jstr(o, "model") : "");
		table_cell(t, C_NONE, jstr(o, "effort"));
		context_cell(t, o);
		sums(t, C_NONE, o);
	}
	o = json_object_get(result, "total");
	table_row(t);
	table_cell(t, C_BOLD, "total");
	table_cell(t, C_NONE, "");
	table_cell(t, C_NONE, short_count(jint(o, "turns"), text));
	for (i = 0; i < 4; i++)
		table_cell(t, C_NONE, "");
	sums(t, C_BOLD, o);
	table_write(t, w);
	table_destroy(t);
	if (!strcmp(by, "day"))
		writer_printf(w, "Days are those of the daemon's time zone (%s).\n", jstr(result, "zone"));
}

/* Of an instance shown whole: "12.3k tokens, $0.12, context 31.0k of 1.0M, high"; and what holds it. */
void render_usage_line(const struct writer *w, const json_t *in)
{
	const json_t *u = json_object_get(in, "usage"), *cost = json_object_get(u, "cost_usd");
	char tokens[COUNT_SIZE], context[COUNT_SIZE], window[COUNT_SIZE], text[256];

	if (json_is_object(u)) {
		char price[COST_SIZE] = "cost unknown";
		if (json_is_number(cost))
			str_fmt(price, sizeof(price), "$%.4f", json_number_value(cost));
		str_fmt(text, sizeof(text), "%s tokens, %s%s%s%s%s%s%.16s", jint(u, "tokens") ? short_count(jint(u, "tokens"), tokens) : "0",
			price, jint(u, "context") ? ", context " : "", short_count(jint(u, "context"), context),
			jint(u, "context_window") ? " of " : "", short_count(jint(u, "context_window"), window),
			jstr(u, "effort")[0] ? ", effort " : "", jstr(u, "effort"));
		writer_field(w, "usage", C_NONE, text);
		writer_field_if(w, "model used", jstr(u, "model"));
	}
	if (jstr(in, "held")[0])
		writer_field(w, "held", C_YELLOW, jstr(in, "held"));
}
