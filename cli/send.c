/* SPDX-License-Identifier: ISC */
/* send: the daemon returns when the text was delivered, or says why not. */
#include <string.h>

#include "cli/cli.h"

int verb_send(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL;

	cli_catch_signals();
	if (cli_call_verb(c, &result, &e) < 0) {
		if (e.code == ERR_CANCELLED && cli_stop)
			err_hint(&e, "the text may have been delivered all the same: look with `tmux-claude read`");
		return cli_fail(c, &e);
	}
	cli_result(c, R_SENT, result);
	json_decref(result);
	return EXIT_DONE;
}
