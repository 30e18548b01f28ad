/* SPDX-License-Identifier: ISC */
/* Which function runs which verb; a row without one of its own is one call and its result. */
#include "cli/verbs.h"

static verb_fn *const verbs[METHOD_COUNT] = {
	[METHOD_SPAWN] = verb_spawn,
	[METHOD_RESTART] = verb_restart,
	[METHOD_KILL] = verb_kill,
	[METHOD_RM] = verb_kill,
	[METHOD_LIST] = verb_list,
	[METHOD_SEND] = verb_send,
	[METHOD_BROADCAST] = verb_broadcast,
	[METHOD_SCHEDULES_MAKE] = verb_schedules_make,
	[METHOD_READ] = verb_read,
	[METHOD_REPLAY] = verb_replay,
	[METHOD_CAP_SET] = verb_cap_set,
	[METHOD_LOGS] = verb_logs,
	[METHOD_TRANSCRIPT] = verb_transcript,
	[METHOD_FORK] = verb_fork,
	[METHOD_WAIT] = verb_wait,
	[METHOD_ATTACH] = verb_attach,
	[METHOD_EXEC] = verb_exec,
	[METHOD_EVENTS] = verb_events,
	[METHOD_ATTENTION_LIST] = verb_attention,
	[METHOD_AUDIT] = verb_audit,
	[METHOD_UP] = verb_up,
	[METHOD_DOWN] = verb_down,
	[METHOD_STATUS] = verb_status,
	[METHOD_TEMPLATE_BUILD] = verb_template_build,
	[METHOD_TEMPLATE_LIST] = verb_template_list,
	[METHOD_LOGIN] = verb_login,
	[METHOD_CONFIG_SHOW] = verb_config_show,
	[METHOD_CONFIG_CHECK] = verb_config_check,
	[METHOD_DOCTOR] = verb_doctor,
	[METHOD_VERSION] = verb_version,
	[METHOD_AGENTS_LIST] = verb_agents_list,
	[METHOD_AGENTS_SHOW] = verb_agents_show,
	[METHOD_SHELL_INTEGRATION] = verb_shell_integration,
	[METHOD_DB_PATH] = verb_db_path,
	[METHOD_DB_CHECK] = verb_db_check,
	[METHOD_DB_BACKUP] = verb_db_backup,
	[METHOD_DB_RESTORE] = verb_db_restore,
};

int verb_run(struct cli *c)
{
	verb_fn *fn = verbs[c->args.m->id];
	struct err e = {0};

	if (selector_settle(c, &e) < 0)
		return cli_fail(c, &e);
	return fn ? fn(c) : cli_generic(c);
}
