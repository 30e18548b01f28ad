/* SPDX-License-Identifier: ISC */
/* Any program as an agent: argv itself, or a login shell. It reports nothing; its terminal speaks. */
#include "daemon/agent/programs.h"

#include "base/proc.h"
#include "base/util.h"

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

static int shell_launch(const struct instance *in, const struct agent_place *pl,
	struct agent_launch *ret, struct err *e)
{
	(void)e;
	struct agent_launch l = {.env = agent_env(pl), .files = json_array()};
	agent_env_user(&l.env, in);
	if (in->argv && in->argv[0]) {
		l.argv = strv_copy(in->argv);
	} else {
		l.argv = strv_new();
		strv_push(&l.argv, pl->shell ? pl->shell : DEFAULT_SHELL);
		strv_push(&l.argv, "-l");
	}
	*ret = l;
	return 0;
}

static void shell_activity(const struct instance *in, const struct agent_activity *a,
	struct agent_fact *ret)
{
	enum inst_state state = !a->busy && a->foreground ? ST_IDLE : ST_WORKING;

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
	if (state == in->state)
		return;
	ret->has_state = true;
	ret->state = state;
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
