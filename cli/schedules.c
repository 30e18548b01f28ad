/* SPDX-License-Identifier: ISC */
/* What is sent later: send --at, --every, --when, and schedules as text. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "base/zone.h"
#include "cli/cli.h"
#include "cli/text.h"

static const char *const words[] = {"at", "every", "when", "zone", "until", "times", "missed", "start"};

bool schedule_asked(const struct cli *c)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (json_object_get(c->args.local, words[i]))
			return true;
	return false;
}

/* The parameters of schedules.make from those of send; NULL with the error. */
static json_t *make_params(const struct cli *c, struct err *e)
{
	static const char *const taken[] = {"id", "text", "key", "now", "merge"};
	json_t *o = json_object(), *v;
	const char *name;

	json_object_foreach(c->args.params, name, v) {
		size_t i = 0;
		while (i < ARRAY_LEN(taken) && strcmp(taken[i], name) != 0)
			i++;
		if (i < ARRAY_LEN(taken)) {
			json_object_set(o, name, v);
			continue;
		}
		err_set(e, ERR_PARAMS, "what is sent later goes without --%s", name);
		json_decref(o);
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if ((v = json_object_get(c->args.local, words[i])))
			json_object_set(o, words[i], v);
	return o;
}

/* "2026-11-22 09:00 +01:00 (Europe/Berlin)"; owned. */
static char *when_text(const json_t *s)
{
	const char *local = jstr(s, "next_local");
	json_t *states = json_object_get(s, "when"), *st;
	char list[128] = "";
	size_t i;

	json_array_foreach(states, i, st)
		str_fmt(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", json_string_value(st));
	if (strlen(local) < 25)
		return xasprintf("%s%s", list[0] ? "when " : "", list);
	return xasprintf("%.10s %.*s %s (%s)%s%s", local, strncmp(local + 16, ":00", 3) ? 8 : 5, local + 11, local + 19,
		jstr(s, "zone"), list[0] ? ", when " : "", list);
}

static void say_made(struct cli *c, const json_t *s)
{
	char left[SPAN_MAX];
	cleanup_free char *when = when_text(s);
	bool timed = jstr(s, "next_local")[0];

	text_span(text_parse_time(jstr(s, "next")) - clock_wall_ms(), left);
	writer_printf(&c->w, "%s", jstr(s, "id"));
	writer_printf(&c->w, "  %s%s", strcmp(jstr(s, "kind"), "every") ? "" : "first ", when);
	writer_printf(&c->w, "%s%s\n", timed ? ", in " : "", timed ? left : "");
}

/* Takes params. What their words mean is by the clocks of who types them. */
static int make(struct cli *c, json_t *params)
{
	json_t *result = NULL;
	char zone[ZONE_NAME_MAX];
	struct err e = {0};

	if (!json_object_get(params, "zone")) {
		zone_own(zone);
		json_object_set_new(params, "zone", json_string(zone));
	}
	if (cli_call(c, "schedules.make", params, -1, &result, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json)
		writer_json(&c->w, result);
	else
		say_made(c, result);
	json_decref(result);
	return EXIT_DONE;
}

int schedule_make(struct cli *c)
{
	struct err e = {0};
	json_t *params = make_params(c, &e);

	return params ? make(c, params) : cli_fail_usage(c, &e);
}

int verb_schedules_make(struct cli *c)
{
	return make(c, json_copy(c->args.params));
}

/* ---- as text ---- */

static enum color status_color(const char *status)
{
	if (!strcmp(status, "failed") || !strcmp(status, "missed"))
		return C_RED;
	return !strcmp(status, "active") ? C_GREEN : !strcmp(status, "paused") ? C_YELLOW : C_DIM;
}

static char *rule_text(const json_t *s)
{
	const char *kind = jstr(s, "kind");

	return !strcmp(kind, "when") ? xstrdup("") : xasprintf("%s %s", strcmp(kind, "every") ? "at" : kind, jstr(s, "rule"));
}

void render_schedules(const struct writer *w, const json_t *rows)
{
	static const struct table_title titles[] = {
		{"ID", 0}, {"AGENT", 0}, {"STATUS", 0}, {"NEXT", 0},
		{"RULE", T_FLEX | T_HIDE_EMPTY}, {"SENT", T_RIGHT}, {"", T_FLEX | T_HIDE_EMPTY}};
	struct table *t = table_of(titles, ARRAY_LEN(titles));
	json_t *s;
	size_t i;

	json_array_foreach(rows, i, s) {
		cleanup_free char *when = when_text(s), *rule = rule_text(s);
		const char *why = jstr(s, "reason");

		table_row(t);
		table_cell(t, C_BOLD, jstr(s, "id"));
		table_cell(t, C_NONE, jstr(s, "instance"));
		table_cell(t, status_color(jstr(s, "status")), jstr(s, "status"));
		table_cell(t, C_NONE, jstr(s, "held_since")[0] ? "held" : when);
		table_cell(t, C_DIM, rule);
		table_cellf(t, C_NONE, "%lld", (long long)jint(s, "count"));
		table_cell(t, C_NONE, why[0] ? why : jstr(s, "text"));
	}
	table_write(t, w);
	table_destroy(t);
}

void render_schedule(const struct writer *w, const json_t *s)
{
	cleanup_free char *when = when_text(s), *rule = rule_text(s);
	cleanup_free char *count = xasprintf("%lld sent, %lld missed", (long long)jint(s, "count"), (long long)jint(s, "skipped"));

	writer_field(w, "id", C_BOLD, jstr(s, "id"));
	writer_field(w, "agent", C_NONE, jstr(s, "instance"));
	writer_field(w, "status", status_color(jstr(s, "status")), jstr(s, "status"));
	writer_field_if(w, "why", jstr(s, "reason"));
	writer_field_if(w, "rule", rule);
	writer_field_if(w, "next", when);
	writer_field_if(w, "until", jstr(s, "until"));
	writer_field_if(w, "held since", jstr(s, "held_since"));
	writer_field(w, "when missed", C_NONE, jstr(s, "missed"));
	writer_field(w, "so far", C_NONE, count);
	writer_field_if(w, "last sent", jstr(s, "last_sent"));
	writer_field_if(w, "last prompt", jstr(s, "last_key"));
	writer_field_if(w, "made by", jstr(s, "made_by"));
	writer_field_if(w, "created", jstr(s, "created_at"));
	writer_field_if(w, "text", jstr(s, "text"));
}
