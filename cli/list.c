/* SPDX-License-Identifier: ISC */
/* list: a table, or a tree of it. */
#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/tree.h"

#define PAGE 10000 /* asked for: the daemon gives as many as a line holds */

/* All pages, as one array. */
static int fetch(struct cli *c, json_t **ret, struct err *e)
{
	json_t *all = json_array(), *page = NULL;
	const json_t *next = NULL;

	do {
		json_t *params = json_copy(c->args.params);
		json_object_set_new(params, "limit", json_integer(PAGE));
		if (next)
			json_object_set(params, "cursor", (json_t *)next);
		json_decref(page);
		page = NULL;
		if (cli_call(c, c->args.m->name, params, -1, &page, e) < 0) {
			json_decref(all);
			return -1;
		}
		json_array_extend(all, json_is_array(page) ? page : json_object_get(page, "instances"));
		next = json_object_get(page, "next");
	} while (json_is_string(next));
	json_decref(page);
	*ret = all;
	return 0;
}

int verb_list(struct cli *c)
{
	struct err e = {0};
	json_t *list = NULL, *ordered;
	cleanup_free struct tree_row *rows = NULL;
	size_t n;
	bool tree;

	cli_catch_signals();
	if (fetch(c, &list, &e) < 0)
		return cli_fail(c, &e);
	tree = args_flag(&c->args, "tree");
	if (c->g.json && tree) {
		rows = tree_rows(list, &n);
		ordered = tree_json(rows, n);
		writer_json(&c->w, ordered);
		json_decref(ordered);
	} else if (c->g.json) {
		writer_json(&c->w, list);
	} else if (json_array_size(list) == 0) {
		cli_note(c, "No instances. Start one with `tmux-claude spawn`.");
	} else if (tree) {
		render_tree(&c->w, list, SIZE_MAX, clock_wall_ms());
	} else {
		render_instances(&c->w, list, clock_wall_ms());
	}
	json_decref(list);
	return EXIT_DONE;
}
