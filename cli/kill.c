/* SPDX-License-Identifier: ISC */
/*
 * kill and rm: at a terminal they ask before they end or remove what was not named one by one. What is ended then is what
 * was shown.
 */
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/tree.h"

#define SHOWN_MAX 20
#define ANSWER_MAX 64

/* The first `most` of them, as a short tree. */
static void short_tree(const struct writer *w, const json_t *list, size_t most)
{
	struct table *t = table_create();
	size_t n, width = w->width > 0 ? (size_t)w->width / 2 : SHOWN_MAX * 3;
	cleanup_free struct tree_row *rows = tree_rows(list, &n);

	table_column(t, "ID", 0);
	table_column(t, "NAME", T_FLEX | T_HIDE_EMPTY);
	table_column(t, "ROLE", T_HIDE_EMPTY);
	table_column(t, "STATE", 0);
	for (size_t i = 0; i < n && i < most; i++) {
		cleanup_free char *branch = tree_branch(rows, i, text_utf8(), width);
		const char *state = jstr(rows[i].in, "state");
		table_row(t);
		table_cellf(t, C_BOLD, "%s%s", branch, jstr(rows[i].in, "id"));
		table_cell(t, C_NONE, jstr(rows[i].in, "name"));
		table_cell(t, C_NONE, jstr(rows[i].in, "role"));
		table_cell(t, state_color(state), state);
	}
	table_write(t, w);
	table_destroy(t);
}

static bool begins(const json_t *in, const char *ref)
{
	return str_starts(jstr(in, "id"), ref) || str_starts(jstr(in, "name"), ref);
}

static bool is(const json_t *in, const char *ref)
{
	return !strcmp(jstr(in, "id"), ref) || !strcmp(jstr(in, "name"), ref);
}

/* The row that a word on the command line means: as the daemon reads it, an exact one first. */
static const json_t *meant(const json_t *list, const char *ref)
{
	json_t *in;
	size_t i;

	json_array_foreach(list, i, in)
		if (is(in, ref))
			return in;
	json_array_foreach(list, i, in)
		if (begins(in, ref))
			return in;
	return NULL;
}

/* Are there others than those named? */
static bool more_than_named(const struct cli *c, const json_t *list)
{
	const json_t *ids = json_object_get(c->args.params, "ids"), *ref, *row;
	json_t *named = json_object();
	size_t i, n;

	json_array_foreach(ids, i, ref)
		if ((row = meant(list, json_string_value(ref))))
			json_object_set_new(named, jstr(row, "id"), json_true());
	n = json_object_size(named);
	json_decref(named);
	return json_array_size(list) > n;
}

static const json_t *rows_of(const json_t *dry)
{
	return json_is_object(dry) ? json_object_get(dry, "would") : dry;
}

/* What it would do; new reference. */
static int ask_daemon(struct cli *c, json_t **ret, struct err *e)
{
	json_t *params = json_copy(c->args.params);

	json_object_set_new(params, "dry_run", json_true());
	return cli_call(c, c->args.m->name, params, -1, ret, e);
}

static bool says_yes(void)
{
	char line[ANSWER_MAX];

	if (!fgets(line, sizeof(line), stdin))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return !strcasecmp(line, "y") || !strcasecmp(line, "yes");
}

static int confirm(struct cli *c, const json_t *rows, struct err *e)
{
	bool rm = c->args.m->id == METHOD_RM;
	size_t n = json_array_size(rows);
	struct writer w;

	fflush(c->w.out);
	writer_init(&w, stderr, false);
	fprintf(stderr, "This %s %zu instance%s:\n", rm ? "removes what is left of" : "ends", n, n == 1 ? "" : "s");
	short_tree(&w, rows, SHOWN_MAX);
	if (n > SHOWN_MAX)
		fprintf(stderr, "... and %zu more\n", n - SHOWN_MAX);
	fprintf(stderr, "%s? [y/N] ", rm ? "Remove" : "End");
	fflush(stderr);
	if (says_yes())
		return 0;
	if (cli_stop)
		fputc('\n', stderr);
	return err_set(e, ERR_CANCELLED, rm ? "not confirmed; nothing was removed" : "not confirmed; nothing was ended");
}

/* Asks where that is due; what was shown is then named. */
static int settle(struct cli *c, struct err *e)
{
	const json_t *rows;
	json_t *dry = NULL, *ids, *in;
	bool chosen = selector_given(c) && !json_object_get(c->args.params, "ids");
	size_t i;
	int r = 0;

	if (args_flag(&c->args, "yes") || !isatty(0) || !isatty(2) ||
		!(chosen || json_is_true(json_object_get(c->args.params, "cascade"))))
		return 0;
	if (ask_daemon(c, &dry, e) < 0)
		return -1;
	rows = rows_of(dry);
	if (chosen || more_than_named(c, rows)) {
		r = confirm(c, rows, e);
		ids = json_array();
		json_array_foreach(rows, i, in)
			json_array_append_new(ids, json_string(jstr(in, "id")));
		selector_named(c, ids);
	}
	json_decref(dry);
	return r;
}

int verb_kill(struct cli *c)
{
	struct err e = {0};
	json_t *dry = NULL;

	cli_catch_signals();
	if (!json_is_true(json_object_get(c->args.params, "dry_run")))
		return settle(c, &e) < 0 ? cli_fail(c, &e) : cli_generic(c);
	if (ask_daemon(c, &dry, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json)
		writer_json(&c->w, dry);
	else
		short_tree(&c->w, rows_of(dry), SIZE_MAX);
	json_decref(dry);
	return EXIT_DONE;
}
