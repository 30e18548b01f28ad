/* SPDX-License-Identifier: ISC */
/* What the reports of several programs have in common. Bodies are untrusted. */
#include "daemon/agent/body.h"

#include "base/util.h"

bool uuid_like(const char *s)
{
	return strlen(s) == UUID_LEN && strspn(s, "0123456789abcdefABCDEF-") == UUID_LEN;
}

bool waits_for(const struct instance *in, const char *reason)
{
	return in->state == ST_WAITING && in->reason && !strcmp(in->reason, reason);
}

void fact_state(struct agent_fact *f, enum inst_state s, const char *reason, const char *detail)
{
	f->has_state = true;
	f->state = s;
	agent_text(f->reason, sizeof(f->reason), reason);
	agent_text(f->detail, sizeof(f->detail), detail);
}

void fact_conversation(struct agent_fact *f, const json_t *body, bool (*is_id)(const char *s))
{
	const char *id = body_text(body, "session_id");

	if (is_id(id))
		str_fmt(f->conversation, sizeof(f->conversation), "%s", id);
}

int report_by(const struct report_row *rows, size_t n, const struct instance *in, const char *event, const json_t *body,
	struct agent_fact *ret, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].event, event) != 0)
			continue;
		if (!json_is_object(body))
			return err_set(e, ERR_PARAMS, "the report %s has no object as its body", event);
		if (rows[i].states & S(in->state))
			rows[i].fn(body, ret);
		return 0;
	}
	return err_set(e, ERR_PARAMS, "there is no report '%.64s'", event);
}

void report_prompt(const json_t *body, struct agent_fact *f)
{
	fact_state(f, ST_WORKING, "", "");
	f->ready = f->prompt_delivered = true;
	agent_text(f->prompt_head, sizeof(f->prompt_head), body_text(body, "prompt"));
}

void report_work(const json_t *body, struct agent_fact *f)
{
	(void)body;
	fact_state(f, ST_WORKING, "", "");
}

void report_stop(const json_t *body, struct agent_fact *f)
{
	f->said = body_text(body, "last_assistant_message");
	fact_state(f, ST_IDLE, "", f->said);
	f->turn_ended = true;
}

void report_interrupt(const json_t *body, struct agent_fact *f)
{
	(void)body;
	fact_state(f, ST_IDLE, "interrupted", "");
	f->turn_ended = f->turn_broken = true;
}
