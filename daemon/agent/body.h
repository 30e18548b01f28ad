/* SPDX-License-Identifier: ISC */
/* For the files that read reports: texts of a body, states of a fact. */
#ifndef DAEMON_AGENT_BODY_H
#define DAEMON_AGENT_BODY_H

#include "daemon/agent/programs.h"

/* "" for one that is missing, or no text. */
static inline const char *body_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static inline void fact_state(struct agent_fact *f, enum inst_state s, const char *reason, const char *detail)
{
	f->has_state = true;
	f->state = s;
	agent_text(f->reason, sizeof(f->reason), reason);
	agent_text(f->detail, sizeof(f->detail), detail);
}

#endif
