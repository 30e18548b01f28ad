/* SPDX-License-Identifier: ISC */
/* The agent programs there are: one file each. */
#ifndef DAEMON_AGENT_PROGRAMS_H
#define DAEMON_AGENT_PROGRAMS_H

#include "daemon/agent/agent.h"

extern const struct agent_program agent_claude, agent_shell;

/* claude_report.c */
int claude_report(const struct instance *in, const char *event, const json_t *body,
	struct agent_fact *ret, struct err *e);
void claude_activity(const struct instance *in, const struct agent_activity *a,
	struct agent_fact *ret);
bool claude_prompt_reported(const char *text);

/*
 * What SessionStart means depends on how the program was started, and a report is read without any
 * memory: so our hook names the case. What stands behind "SessionStart" in the event's name:
 */
#define CLAUDE_START "SessionStart"
#define CLAUDE_START_PROMPT "SessionStartPrompt"   /* a first prompt follows, and will be reported */
#define CLAUDE_START_COMMAND "SessionStartCommand" /* one follows that is never reported (/x, !x) */
#define CLAUDE_START_LOGIN "SessionStartNoLogin"   /* no login: its login menu was asked for */

#endif
