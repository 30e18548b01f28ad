/* SPDX-License-Identifier: ISC */
/*
 * attach: becomes a tmux client of the agent's pane. Inside another tmux the client runs nested, as
 * its server is another one: TMUX is unset for it, and the outer prefix has to be typed first. Without
 * tmux a bare view of the same terminal is shown.
 */
#include <errno.h>
#include <string.h>

#include "base/proc.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/detach.h"
#include "cli/view.h"

/* Does not return when tmux could be started. */
static int become_tmux(struct cli *c, const char *program, const json_t *tmux, struct err *e)
{
	/* "$3": a session that somebody renamed; a name is to match exactly. */
	const char *session = jstr(tmux, "session");
	cleanup_free char *target = xasprintf("%s%s", session[0] == '$' ? "" : "=", session);
	char *argv[] = {(char *)program, "-u", "-S", (char *)jstr(tmux, "socket"), "attach-session", "-t", target,
		args_flag(&c->args, "read_only") ? "-r" : NULL, NULL};

	if (getenv("TMUX"))
		cli_note(c, "This is a tmux inside a tmux: type your prefix twice to reach the inner one.");
	unsetenv("TMUX");
	unsetenv("TMUX_PANE");
	fflush(NULL);
	execv(program, argv);
	return err_set_errno(e, ERR_FAILED, errno, "%s cannot be started", program);
}

static int attach(struct cli *c, const json_t *result, struct err *e)
{
	const json_t *tmux = json_object_get(result, "tmux");

	if (cli_config(c, e) < 0)
		return -1;
	cleanup_free char *program = proc_which(config_string(c->config, OPT_TMUX_PATH));
	if (json_is_object(tmux) && program && access(jstr(tmux, "socket"), R_OK | W_OK) == 0)
		return become_tmux(c, program, tmux, e);
	struct view_spec spec = {.socket = jstr(json_object_get(result, "stream"), "socket"),
		.instance = jstr(result, "instance"),
		.name = jstr(result, "name"),
		.bare = true,
		.read_only = args_flag(&c->args, "read_only"),
		.person = true,
		.detach = detach_key("C-]"),
		.detach_name = "C-]"};

	cli_note(c, "tmux does not show this agent just now: this is a bare view of its terminal.");
	return view_run(&spec, e);
}

int verb_attach(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL;

	cli_catch_signals();
	if (cli_call_verb(c, &result, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json) {
		/* For programs: where to attach, instead of a terminal. */
		writer_json(&c->w, result);
		json_decref(result);
		return EXIT_DONE;
	}
	if (!isatty(0) || !isatty(1)) {
		json_decref(result);
		err_set(&e, ERR_FAILED, "attach needs a terminal on standard input and output");
		err_hint(&e, "`tmux-claude read` prints the screen instead");
		return cli_fail(c, &e);
	}
	int code = attach(c, result, &e);
	json_decref(result);
	return code < 0 ? cli_fail(c, &e) : code;
}
