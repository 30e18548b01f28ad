/* SPDX-License-Identifier: ISC */
/* Stopping the turn of an instance for something that is kept on disk, and holding back what waits for it. */
#include "daemon/core/prompts.h"

#include "base/clock.h"
#include "daemon/core/ack.h"

bool prompt_interruptible(const struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	const struct instance *in = u->in;

	/* A turn that asks may be interrupted, too. */
	return prog->interrupt_keys[0] &&
	       (in->state == ST_WORKING || (in->state == ST_WAITING && in->reason &&
						   (!strcmp(in->reason, "permission") || !strcmp(in->reason, "answer"))));
}

void prompt_interrupt(struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct prompt *p = xcalloc(1, sizeof(*p));
	json_t *keys = json_array();
	char *text;

	for (const char *const *k = prog->interrupt_keys; *k; k++)
		json_array_append_new(keys, json_string(*k));
	text = json_dumps(keys, JSON_COMPACT);
	prompt_set(p, PM_KEYS, text, strlen(text));
	free(text);
	json_decref(keys);
	prompt_queue(u, prompt_pending_new(u, p, NULL, SHIM_CALL_MS));
}

void prompt_interrupted(struct unit *u)
{
	u->interrupted = true;
	u->interrupted_ms = clock_mono_ms();
	u->left_lines = u->last_lines;
	answers_interrupted(u);
	if (site_of(u))
		ack_look(site_of(u));
}

void prompts_hold(struct unit *u)
{
	for (struct pending_prompt *pp = u->prompts; pp; pp = pp->next) {
		struct prompt_waiter *due;
		if (pp->typed)
			continue;
		pp->deadline = INT64_MAX;
		if (!pp->p->stays) {
			pp->p->stays = true;
			prompt_status_put(u, pp, PR_QUEUED);
		}
		due = prompt_waiters_due(pp, UNTIL_DELIVERED);
		if (due)
			prompt_tell_later(u->f, prompt_copy(pp->p), due);
	}
}
