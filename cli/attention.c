/* SPDX-License-Identifier: ISC */
/* attention: who needs a person, and with --follow what comes and goes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

static enum color urgency_color(const char *urgency)
{
	if (!strcmp(urgency, "blocked"))
		return C_YELLOW;
	if (!strcmp(urgency, "stopped"))
		return C_RED;
	return strcmp(urgency, "look") ? C_DIM : C_CYAN;
}

static const char *agent_of(const json_t *item)
{
	return jstr(item, "name")[0] ? jstr(item, "name") : jstr(item, "instance");
}

void render_attention(const struct writer *w, const json_t *items)
{
	static const struct table_title titles[] = {
		{"KEY", 0}, {"WHY", 0}, {"AGENT", 0}, {"FOR", T_RIGHT}, {"WHAT", T_FLEX},
		{"DO", 0}};
	struct table *t = table_of(titles, ARRAY_LEN(titles));
	char span[SPAN_MAX];
	json_t *a;
	size_t i;

	json_array_foreach(items, i, a) {
		bool aside = json_is_true(json_object_get(a, "acked"));
		table_row(t);
		table_cell(t, C_DIM, jstr(a, "key"));
		table_cellf(t, aside ? C_DIM : urgency_color(jstr(a, "urgency")), "%s%s", jstr(a, "why"), aside ? " (aside)" : "");
		table_cell(t, C_BOLD, agent_of(a));
		table_cell(t, C_DIM, text_since(jstr(a, "since"), clock_wall_ms(), span));
		table_cell(t, C_NONE, jstr(a, "text"));
		table_cell(t, C_NONE, jstr(a, "command"));
	}
	table_write(t, w);
	table_destroy(t);
}

/* ---- follow ---- */

struct following {
	struct cli *cli;
	json_int_t left; /* lines that may still be printed; -1: all */
	bool bell;
	const json_t *whys; /* NULL: any */
};

static void render_line(const struct writer *w, const json_t *row)
{
	const json_t *a = json_object_get(row, "item");
	const char *what = jstr(row, "what");
	enum color color = !strcmp(what, "removed") ? C_DIM : urgency_color(jstr(a, "urgency"));

	writer_text(w, color, !strcmp(what, "removed") ? "- " : !strcmp(what, "changed") ? "~ " : "+ ");
	writer_text(w, color, jstr(a, "why"));
	writer_text(w, C_BOLD, "  ");
	writer_text(w, C_BOLD, agent_of(a));
	writer_printf(w, "  %s%s", jstr(a, "text"), json_is_true(json_object_get(a, "acked")) ? " (put aside)" : "");
	writer_text(w, C_DIM, "  ");
	writer_text(w, C_DIM, strcmp(what, "removed") ? jstr(a, "command") : jstr(a, "key"));
	fputc('\n', w->out);
}

static bool wanted(const struct following *f, const json_t *item)
{
	const json_t *w;
	size_t i;

	json_array_foreach(f->whys, i, w)
		if (!strcmp(json_string_value(w), jstr(item, "why")))
			return true;
	return !json_array_size(f->whys);
}

/* item borrowed. */
static void print_item(struct following *f, const char *what, json_t *item)
{
	json_t *row;

	if (cli_stop || !wanted(f, item))
		return;
	row = json_pack("{s:s, s:O}", "what", what, "item", item);
	cli_print_line(f->cli, &f->left, row, render_line);
	json_decref(row);
}

static void on_event(void *arg, const json_t *ev)
{
	struct following *f = arg;
	const char *type = jstr(ev, "type"), *dot = strchr(type, '.');
	json_t *item = json_object_get(ev, "data");

	print_item(f, dot ? dot + 1 : type, item);
	if (f->bell && !strcmp(type, "attention.added") && wanted(f, item)) {
		/* Where the lines are read, or at the terminal that this is run from. */
		int fd = isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO;
		fflush(f->cli->w.out);
		if (isatty(fd) && write(fd, "\a", 1) < 0)
			f->bell = false;
	}
}

/* What both calls choose by. */
static json_t *filter_of(const json_t *params)
{
	static const char *const keys[] = {"ids", "label", "parent"};
	json_t *o = json_pack("{s:[s]}", "type", "attention.*");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (json_object_get(params, keys[i]))
			json_object_set(o, keys[i], json_object_get(params, keys[i]));
	return o;
}

static int follow(struct cli *c, const json_t *list, struct err *e)
{
	struct following f = {.cli = c, .left = -1, .bell = args_flag(&c->args, "bell"),
		.whys = json_object_get(c->args.params, "why")};
	json_t *filter = filter_of(c->args.params), *item;
	size_t i;
	int r;

	json_array_foreach(json_object_get(list, "items"), i, item)
		print_item(&f, "added", item);
	fflush(c->w.out);
	r = events_follow(c, filter, jint(list, "seq"), jstr(list, "fleet"), on_event, &f, e);
	json_decref(filter);
	return r;
}

int verb_attention(struct cli *c)
{
	json_t *list = NULL;
	struct err e = {0};
	int r = EXIT_DONE;

	if (!args_flag(&c->args, "follow")) {
		if (args_flag(&c->args, "bell")) {
			err_set(&e, ERR_PARAMS, "--bell rings for what comes: give --follow, too");
			return cli_fail_usage(c, &e);
		}
		return cli_generic(c);
	}
	if (json_object_get(c->args.params, "state")) {
		err_set(&e, ERR_PARAMS, "--state says how things are now: it does not go with --follow");
		return cli_fail_usage(c, &e);
	}
	cli_catch_signals();
	if (cli_call(c, "attention.list", json_deep_copy(c->args.params), -1, &list, &e) < 0 || follow(c, list, &e) < 0)
		r = cli_fail(c, &e);
	json_decref(list);
	return r;
}
