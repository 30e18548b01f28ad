/* SPDX-License-Identifier: ISC */
/* cap show, cap set: how caps stand, and what a new one comes to. */
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "cli/cli.h"

#define SENTENCE_MAX 4096

static bool in_mib(const char *cap)
{
	return strcmp(cap, "max_memory") == 0 || strcmp(cap, "max_disk") == 0;
}

/* An integer or "unlimited" as text; owned. */
static char *amount(const json_t *v, const char *cap)
{
	if (str_starts(cap, "budget_") && json_is_number(v))
		return usage_amount(cap, json_number_value(v));
	if (json_is_integer(v))
		return xasprintf("%lld%s", (long long)json_integer_value(v), in_mib(cap) ? " MiB" : "");
	return xstrdup(json_is_string(v) ? json_string_value(v) : "-");
}

/* "max_role reviewer"; owned. */
static char *cap_words(const json_t *o)
{
	const char *role = jstr(o, "role");

	return xasprintf("%s%s%s", jstr(o, "cap"), role[0] ? " " : "", role);
}

/* "ab12cd (lead)"; owned. */
static char *holder_words(const json_t *o)
{
	const char *by = jstr(o, "by"), *name = jstr(o, "by_name");

	return name[0] ? xasprintf("%s (%s)", by, name) : xstrdup(strcmp(by, "fleet") ? by : "the fleet");
}

/* What binds it, where that is not its own limit. */
static char *binds(const json_t *o, const char *holder)
{
	const char *cap = jstr(o, "cap"), *by_cap = jstr(o, "by_cap");

	if (!jstr(o, "by")[0] || (!strcmp(jstr(o, "by"), holder) && !strcmp(by_cap, cap)))
		return xstrdup("");
	cleanup_free char *who = holder_words(o);
	if (!strcmp(by_cap, cap))
		return xstrdup(who);
	return !strcmp(jstr(o, "by"), holder) ? xasprintf("its %s", by_cap) : xasprintf("%s: %s", who, by_cap);
}

void render_caps(const struct writer *w, const json_t *caps, const char *holder)
{
	struct table *t;
	json_t *o;
	size_t i;

	if (!json_is_array(caps))
		return;
	t = table_create();
	table_column(t, "CAP", 0);
	table_column(t, "LIMIT", T_RIGHT);
	table_column(t, "COUNT", T_RIGHT);
	table_column(t, "LEFT", T_RIGHT);
	table_column(t, "BOUND BY", T_FLEX | T_HIDE_EMPTY);
	table_column(t, "PASSES IN", T_HIDE_EMPTY);
	json_array_foreach(caps, i, o) {
		const char *cap = jstr(o, "cap");
		cleanup_free char *name = cap_words(o), *limit = amount(json_object_get(o, "limit"), cap);
		cleanup_free char *count = amount(json_object_get(o, "count"), cap);
		cleanup_free char *left = amount(json_object_get(o, "left"), cap), *by = binds(o, holder);
		bool none = json_is_number(json_object_get(o, "left")) && json_number_value(json_object_get(o, "left")) <= 0;
		table_row(t);
		table_cell(t, C_NONE, name);
		table_cell(t, C_NONE, limit);
		table_cell(t, C_NONE, count);
		table_cell(t, none && strcmp(cap, "max_depth") ? C_YELLOW : C_NONE, left);
		table_cell(t, C_NONE, by);
		if (json_is_integer(json_object_get(o, "retry_after_ms")))
			table_cellf(t, C_NONE, "%lld s", (long long)(jint(o, "retry_after_ms") + 999) / 1000);
		else
			table_cell(t, C_NONE, "");
	}
	table_write(t, w);
	table_destroy(t);
}

static bool was_set(const struct cli *c, const json_t *o)
{
	const char *cap = jstr(o, "cap");
	const json_t *given = json_object_get(c->args.params, cap);

	return jstr(o, "role")[0] ? json_object_get(given, jstr(o, "role")) != NULL : given != NULL;
}

/* Less than it was asked for by name, less than half of what it would have had, or a bound where there would be none: else it
 * is not worth a sentence (`show` has all of it). */
static bool worth_saying(const struct cli *c, const json_t *o)
{
	const json_t *asked = json_object_get(o, "asked"), *got = json_object_get(o, "got");

	return was_set(c, o) || !json_is_integer(asked) || json_integer_value(got) < json_integer_value(asked) / 2;
}

void say_narrowed(struct cli *c, const json_t *in)
{
	const json_t *list = json_object_get(in, "narrowed");
	struct buf b;
	json_t *o;
	size_t i;

	buf_init(&b, SENTENCE_MAX);
	json_array_foreach(list, i, o) {
		if (!worth_saying(c, o))
			continue;
		const char *cap = jstr(o, "cap");
		cleanup_free char *name = cap_words(o), *got = amount(json_object_get(o, "got"), cap);
		cleanup_free char *asked = amount(json_object_get(o, "asked"), cap), *by = holder_words(o);
		buf_printf(&b, "%s%s %s instead of %s (%s)", b.len ? ", " : "", name, got, asked, by);
	}
	if (b.len)
		cli_note(c, "It got what is left above it: %.*s.", (int)b.len, (const char *)buf_data(&b));
	buf_finish(&b);
}

/* One that was set and does not come to that, since another leaves less. */
static void say_bound(struct cli *c, const json_t *o, const char *holder)
{
	const json_t *limit = json_object_get(o, "limit");
	cleanup_free char *by = binds(o, holder), *name = cap_words(o);

	if (!was_set(c, o) || !by[0])
		return;
	cleanup_free char *left = amount(json_object_get(o, "left"), jstr(o, "cap"));
	cleanup_free char *of = amount(limit, jstr(o, "cap"));
	cli_note(c, "%s is %s now, but %s leaves only %s more.", name, of, by, left);
}

int verb_cap_set(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL, *o;
	size_t i;

	cli_catch_signals();
	if (cli_call_verb(c, &result, &e) < 0)
		return cli_fail(c, &e);
	cli_result(c, R_CAPS, result);
	json_array_foreach(json_object_get(result, "caps"), i, o)
		say_bound(c, o, jstr(result, "holder"));
	json_decref(result);
	return EXIT_DONE;
}
