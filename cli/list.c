/* SPDX-License-Identifier: ISC */
/* list: a table, or a tree of it. */
#include "base/clock.h"
#include "cli/cli.h"

int verb_list(struct cli *c)
{
	struct err e = {0};
	json_t *list = NULL;

	cli_catch_signals();
	if (cli_call_verb(c, &list, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json) {
		writer_json(&c->w, list);
	} else if (json_array_size(list) == 0) {
		cli_note(c, "No instances. Start one with `tmux-claude spawn`.");
	} else {
		render_instances(&c->w, list, args_flag(&c->args, "tree"), clock_wall_ms());
	}
	json_decref(list);
	return EXIT_DONE;
}
