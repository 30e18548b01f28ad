/* SPDX-License-Identifier: ISC */
/* For the files that read reports: texts of a body, states of a fact, and what several programs report alike. */
#ifndef DAEMON_AGENT_BODY_H
#define DAEMON_AGENT_BODY_H

#include "daemon/agent/programs.h"

/* Sets of states, for those in which a report means something. */
#define S(state) (1u << (state))
/* It runs and stands somewhere in a conversation. */
#define LIVE (S(ST_IDLE) | S(ST_WORKING) | S(ST_WAITING) | S(ST_LIMITED))
#define FRESH (LIVE | S(ST_STARTING))

/* "" for one that is missing, or no text. */
static inline const char *body_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* As the ids of Claude Code's and Codex's conversations are. */
bool uuid_like(const char *s);
bool waits_for(const struct instance *in, const char *reason);

void fact_state(struct agent_fact *f, enum inst_state s, const char *reason, const char *detail);
/* The body's session_id, where it may be one. */
void fact_conversation(struct agent_fact *f, const json_t *body, bool (*is_id)(const char *s));

/* Rows of what a report means, for a table of them. */
struct report_row {
	const char *event;
	unsigned states; /* in which it means something */
	void (*fn)(const json_t *body, struct agent_fact *f);
};

/* What agent_program.report is, by a table. */
int report_by(const struct report_row *rows, size_t n, const struct instance *in, const char *event, const json_t *body,
	struct agent_fact *ret, struct err *e);
/* It took a prompt; it is at work; its turn ended; its turn was interrupted. */
void report_prompt(const json_t *body, struct agent_fact *f);
void report_work(const json_t *body, struct agent_fact *f);
void report_stop(const json_t *body, struct agent_fact *f);
void report_interrupt(const json_t *body, struct agent_fact *f);

#endif
