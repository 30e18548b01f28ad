/* SPDX-License-Identifier: ISC */
/* Any program as an agent: argv itself, or a login shell. It reports nothing; its terminal speaks. */
#include "daemon/agent/programs.h"

#include "base/proc.h"
#include "base/util.h"
#include "ipc/shellmarks.h"

#define DEFAULT_SHELL "/bin/sh"

/* On the host we can look; what a VM holds is known when it is started there. */
static int check_program(const struct instance *in, struct err *e)
{
	const char *name = in->argv[0];
	cleanup_free char *relative = NULL;

	if (!*name)
		return err_set(e, ERR_PARAMS, "the program to run has no name");
	/* A relative path is one from the agent's folder. */
	if (strchr(name, '/') && name[0] != '/')
		name = relative = xasprintf("%s/%s", in->dir, name);
	cleanup_free char *found = proc_which(name);
	if (found)
		return 0;
	err_set(e, ERR_MISSING, "the program %.200s was not found, or may not be executed", in->argv[0]);
	return err_hint(e, "check the name and PATH, or give the whole path");
}

static int shell_check(const struct instance *in, const struct agent_place *pl, struct err *e)
{
	if (in->model) {
		err_set(e, ERR_PARAMS, "a shell has no model to choose");
		return err_hint(e, "leave --model away, or use --agent claude");
	}
	if (!pl->isolated && in->argv && in->argv[0])
		return check_program(in, e);
	return 0;
}

/* A login shell, which is also told to print marks about its prompt, where that changes none of its user's files:
 * bash reads our file instead of theirs, and that one theirs; fish runs our lines behind theirs. */
static void login_shell(const struct instance *in, const struct agent_place *pl, struct agent_launch *l)
{
	const char *shell = pl->shell ? pl->shell : DEFAULT_SHELL, *name = strrchr(shell, '/');

	name = name ? name + 1 : shell;
	l->argv = strv_new();
	strv_push(&l->argv, shell);
	if (pl->shell_marks && pl->run_dir && !strcmp(name, "bash")) {
		cleanup_free char *path = xasprintf("%s/%s.bashrc", pl->run_dir, in->id);
		json_array_append_new(l->files, json_pack("{s:s, s:i, s:s}", "path", path, "mode", 0600, "content",
						shellmarks_bash_login()));
		strv_push(&l->argv, "--rcfile");
		strv_push(&l->argv, path);
		strv_push(&l->argv, "-i");
		return;
	}
	strv_push(&l->argv, "-l");
	if (pl->shell_marks && !strcmp(name, "fish")) {
		strv_push(&l->argv, "-C");
		strv_push(&l->argv, shellmarks_lines("fish"));
	}
}

static int shell_launch(const struct instance *in, const struct agent_place *pl,
	struct agent_launch *ret, struct err *e)
{
	(void)e;
	struct agent_launch l = {.env = agent_env(pl), .files = json_array()};
	agent_env_user(&l.env, in);
	if (in->argv && in->argv[0])
		l.argv = strv_copy(in->argv);
	else
		login_shell(in, pl, &l);
	*ret = l;
	return 0;
}

/*
 * What its marks say is known at once; without them it is quiet, with its own shell in the foreground. A shell
 * that tells when commands begin is believed; one that marks its prompts only, while it is in the foreground.
 * Running, yet in the foreground at a line editor of its own: another program took its place (exec) and marks
 * nothing.
 */
static enum inst_state shell_state(const struct agent_activity *a)
{
	const struct agent_marks *m = &a->marks;
	bool quiet = !a->busy && a->foreground;

	switch (m->phase) {
	case PHASE_NONE:
		break;
	case PHASE_PROMPT:
	case PHASE_INPUT:
	case PHASE_DONE:
		return m->commands || a->foreground ? ST_IDLE : ST_WORKING;
	case PHASE_RUNNING:
		return quiet && !a->canonical ? ST_IDLE : ST_WORKING;
	}
	return quiet ? ST_IDLE : ST_WORKING;
}

static void shell_activity(const struct instance *in, const struct agent_activity *a,
	struct agent_fact *ret)
{
	const struct agent_marks *m = &a->marks;
	enum inst_state state = shell_state(a);

	switch (in->state) {
	case ST_STARTING:
	case ST_IDLE:
	case ST_WORKING:
	case ST_WAITING:
		break;
	case ST_QUEUED:
	case ST_PROVISIONING:
	case ST_LIMITED:
	case ST_PAUSED:
	case ST_ASLEEP:
	case ST_STOPPING:
	case ST_EXITED:
	case ST_FAILED:
	case ST_LOST:
	case ST_COUNT:
		return;
	}
	ret->has_state = state != in->state || m->ended;
	ret->state = state;
	/* A line without a command (empty, a comment, a wrong one) is answered by the next prompt. */
	ret->prompt_delivered = m->began || m->prompted;
	ret->turn_ended = m->ended;
	if (m->ended && m->exit_known)
		snprintf(ret->detail, sizeof(ret->detail), "exit %d", m->exit);
}

static const char *const interrupt_keys[] = {"C-c", NULL};

const struct agent_program agent_shell = {
	.name = "shell",
	.summary = "a login shell, or any program given after --",
	.argv_is_program = true,
	.interrupt_keys = interrupt_keys,
	.check = shell_check,
	.launch = shell_launch,
	.activity = shell_activity,
};
