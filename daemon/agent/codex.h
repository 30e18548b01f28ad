/* SPDX-License-Identifier: ISC */
/* The parts of Codex's row: what its hooks, title and screen mean, what it asks for, its conversations. */
#ifndef DAEMON_AGENT_CODEX_H
#define DAEMON_AGENT_CODEX_H

#include "daemon/agent/programs.h"

/* codex_report.c */
int codex_report(const struct instance *in, const char *event, const json_t *body, struct agent_fact *ret,
	struct err *e);
void codex_activity(const struct instance *in, const struct agent_activity *a, struct agent_fact *ret);
bool codex_looks(const struct instance *in);

/* codex_ask.c */
bool codex_ask(const char *event, const json_t *body, struct agent_ask *ret);
enum agent_over codex_ask_over(const char *event, const json_t *body, struct agent_ask *ret);
char *codex_ask_diff(const struct agent_ask *ask, const json_t *file);

/* codex_transcript.c */
extern const struct transcript_format codex_transcript;

#endif
