/* SPDX-License-Identifier: ISC */
/* shell-integration: the lines that make a shell tell where its prompt stands. */
#include "cli/cli.h"
#include "ipc/shellmarks.h"

int verb_shell_integration(struct cli *c)
{
	const char *shell = args_string(&c->args, "shell");
	const char *lines = shellmarks_lines(shell ? shell : "");
	struct err e = {0};

	if (!lines) {
		err_set(&e, ERR_PARAMS, "there are no such lines for '%.64s'", shell);
		err_hint(&e, "choose one of: bash, zsh, fish");
		return cli_fail(c, &e);
	}
	if (c->g.json) {
		json_t *o = json_pack("{s:s, s:s}", "shell", shell, "text", lines);
		writer_json(&c->w, o);
		json_decref(o);
	} else {
		fputs(lines, c->w.out);
	}
	return EXIT_DONE;
}
