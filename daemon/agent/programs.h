/* SPDX-License-Identifier: ISC */
/* The agent programs there are: one file each. */
#ifndef DAEMON_AGENT_PROGRAMS_H
#define DAEMON_AGENT_PROGRAMS_H

#include "daemon/agent/agent.h"

extern const struct agent_program agent_claude, agent_codex, agent_opencode, agent_shell;

#define UUID_LEN 36

/* 'a'\''b' for /bin/sh; owned. */
char *agent_shell_quote(const char *s);
/* The first words of its own command line that are ours to say: ERR_PARAMS names what to do instead. */
struct agent_ours {
	const char *option, *instead;
};
int agent_check_ours(const struct instance *in, const char *program, const struct agent_ours *ours, size_t n,
	struct err *e);
/* That the program is there, on the host. (What a template has is looked up by its driver.) */
int agent_check_there(const struct agent_place *pl, const char *title, const char *name, const char *package,
	struct err *e);

/* As all of them report prompts: not what is for the program itself (/x, !x). */
bool agent_prompt_reported(const char *text);

/* claude_report.c */
int claude_report(const struct instance *in, const char *event, const json_t *body,
	struct agent_fact *ret, struct err *e);
void claude_activity(const struct instance *in, const struct agent_activity *a,
	struct agent_fact *ret);
/* A tool's name and what it is about, in one line. */
void claude_tool_detail(const json_t *body, char *out, size_t size);
/* claude_ask.c */
bool claude_ask(const char *event, const json_t *body, struct agent_ask *ret);
enum agent_over claude_ask_over(const char *event, const json_t *body, struct agent_ask *ret);
json_t *claude_verdict(const struct approval *a, const struct agent_verdict *v, struct err *e);
/* claude_diff.c */
char *claude_ask_diff(const struct agent_ask *ask, const json_t *file);

/* claude_limit.c: until when the limit holds that this text speaks of, as wall clock; 0: it does not say. zone: of
 * times without one, NULL for ours. */
int64_t claude_limit_until(const char *text, const char *zone, int64_t now_ms);

/* claude_session.c */
int claude_session_file(const json_t *body, struct agent_fact *f);
void claude_session(const struct instance *in, struct agent_fact *ret);

/*
 * What SessionStart means depends on how the program was started, and a report is read without any
 * memory: so our hook names the case. What stands behind "SessionStart" in the event's name:
 */
#define CLAUDE_START "SessionStart"
#define CLAUDE_START_PROMPT "SessionStartPrompt"   /* a first prompt follows, and will be reported */
#define CLAUDE_START_COMMAND "SessionStartCommand" /* one follows that is never reported (/x, !x) */
bool claude_login_idle(const struct instance *in);
#define CLAUDE_START_LOGIN "SessionStartNoLogin"   /* no login: its login menu was asked for */
/* Its tools that ask a person something. */
#define CLAUDE_TOOL_QUESTION "AskUserQuestion"
#define CLAUDE_TOOL_PLAN "ExitPlanMode"

#endif
