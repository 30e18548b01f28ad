/* SPDX-License-Identifier: ISC */
/* The parts of OpenCode's row: what its plugin's reports and its screen mean, its conversations. */
#ifndef DAEMON_AGENT_OPENCODE_H
#define DAEMON_AGENT_OPENCODE_H

#include "daemon/agent/programs.h"

/* opencode_report.c */
int opencode_report(const struct instance *in, const char *event, const json_t *body, struct agent_fact *ret,
	struct err *e);
void opencode_activity(const struct instance *in, const struct agent_activity *a, struct agent_fact *ret);
bool opencode_looks(const struct instance *in);
bool opencode_session_id(const char *id);

/* opencode_transcript.c */
extern const struct transcript_format opencode_transcript;

#endif
