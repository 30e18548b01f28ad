/* SPDX-License-Identifier: ISC */
/* wait: returns when the daemon says so. */
#include "cli/cli.h"

int verb_wait(struct cli *c)
{
	struct err e = {0};
	json_t *in = NULL;

	cli_catch_signals();
	if (cli_call_verb(c, &in, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json)
		writer_json(&c->w, in);
	else
		writer_printf(&c->w, "%s\n", jstr(in, "state"));
	json_decref(in);
	return EXIT_DONE;
}
