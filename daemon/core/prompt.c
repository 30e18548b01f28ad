/* SPDX-License-Identifier: ISC */
/*
 * Prompts: one at a time per instance, each a row, typed once, delivered when the agent says so.
 *
 * queued -> delivering (typed) -> delivered | unknown (typed, never reported) | failed (never typed)
 *
 * An agent that reports is given a prompt only when it stands at its prompt; one that does not (a
 * shell) at once, and it counts as delivered when its terminal took the bytes. When no report comes
 * for ENTER_AGAIN_MS the Enter is sent once more; the text never is.
 */
#include "daemon/core/fleet_int.h"

#define HELD_MS (24 * 3600 * 1000LL) /* for a first prompt that waits for its user's login */

static void arm(struct unit *u);
static void typed_done(void *arg, json_t *result, const struct err *error);

struct prompt_answer {
	struct pending_prompt *pp;
	struct err err;
};

static void prompt_tell(void *arg, const struct err *error)
{
	struct prompt_answer *a = arg;
	struct pending_prompt *pp = a->pp;

	if (pp->done)
		pp->done(pp->arg, pp->p, error ? error : a->err.code ? &a->err : NULL);
	prompt_free(pp->p);
	free(pp);
	free(a);
}

/* Takes the head off the queue with its last status; its caller hears after the commit. */
static void settle(struct unit *u, enum prompt_status st, const struct err *why)
{
	struct pending_prompt *pp = u->prompts;
	struct prompt_answer *a = xcalloc(1, sizeof(*a));
	struct fleet *f = u->f;

	u->prompts = pp->next;
	pp->p->status = st;
	pp->p->changed_ms = clock_wall_ms();
	free(pp->p->reason);
	pp->p->reason = xstrdup(why ? why->message : NULL);
	P(f)->prompt_put(CTX(f), pp->p);
	P(f)->event_add(CTX(f), EV_PROMPT, u->in->id, NULL,
		json_pack("{s:s, s:s, s:s?}", "key", pp->p->key, "status", prompt_status_name(st), "reason",
			pp->p->reason));
	a->pp = pp;
	if (why)
		a->err = *why;
	P(f)->after_commit(CTX(f), prompt_tell, a);
	prompts_next(u);
}

static void prompt_deadline(void *arg)
{
	struct unit *u = arg;
	struct pending_prompt *pp = u->prompts;
	struct err err = {0};

	if (!pp)
		return;
	if (pp->typed && !pp->again && !pp->first_by_arg && pp->deadline > clock_mono_ms()) {
		pp->again = true;
		P(u->f)->shim_call(CTX(u->f), u->in->place, "key",
			json_pack("{s:s, s:[s]}", "instance", u->in->id, "keys", "Enter"), SHIM_CALL_MS,
			NULL, NULL);
		arm(u);
		return;
	}
	if (pp->deadline > clock_mono_ms()) {
		arm(u);
		return;
	}
	if (pp->typed) {
		err_set(&err, ERR_TIMEOUT, "instance %s took the prompt but did not report it in time",
			u->in->id);
		err_hint(&err, "it may have got it: look with tmux-claude read %s before sending again",
			u->in->id);
		settle(u, PR_UNKNOWN, &err);
	} else {
		err_set(&err, ERR_TIMEOUT, "instance %s was %s until the deadline; nothing was typed",
			u->in->id, state_name(u->in->state));
		err_hint(&err, "give it longer with --timeout, or tmux-claude interrupt %s first", u->in->id);
		settle(u, PR_FAILED, &err);
	}
}

static void arm(struct unit *u)
{
	struct pending_prompt *pp = u->prompts;
	int64_t left;

	if (!pp)
		return;
	if (!u->prompt_timer)
		u->prompt_timer = loop_timer_create(P(u->f)->loop, prompt_deadline, u);
	left = pp->deadline - clock_mono_ms();
	if (pp->typed && !pp->again && !pp->first_by_arg && left > ENTER_AGAIN_MS)
		left = ENTER_AGAIN_MS;
	loop_timer_start(u->prompt_timer, left > 0 ? left : 0);
}

static int lines_of(const char *text)
{
	int n = 1;

	for (; *text && n < CLEAR_LINES_MAX; text++)
		n += *text == '\n';
	return n;
}

/* What an interrupt put back into the input line must not stand before the next prompt. */
static void clear_left(struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	json_t *keys = json_array();

	for (int i = 0; prog->clear_key && i < 2 * u->left_lines - 1; i++)
		json_array_append_new(keys, json_string(prog->clear_key));
	u->left_lines = 0;
	if (json_array_size(keys))
		P(u->f)->shim_call(CTX(u->f), u->in->place, "key",
			json_pack("{s:s, s:O}", "instance", u->in->id, "keys", keys), SHIM_CALL_MS, NULL, NULL);
	json_decref(keys);
}

static void type_go(void *arg, const struct err *error)
{
	struct unit *u = tick_take(arg);
	struct pending_prompt *pp = u ? u->prompts : NULL;

	if (!pp || error || !pp->typed || pp->first_by_arg)
		return;
	clear_left(u);
	u->last_lines = lines_of(pp->p->text);
	P(u->f)->shim_call(CTX(u->f), u->in->place, "input",
		json_pack("{s:s, s:s, s:s, s:b}", "instance", u->in->id, "text", pp->p->text, "mode",
			pp->p->raw ? "raw" : "paste", "enter", !pp->p->raw),
		SHIM_CALL_MS * 4, typed_done, tick_new(u));
}

/* Will the program say that it took this one? */
static bool reported(struct unit *u, const struct pending_prompt *pp)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	return prog->reports && !pp->p->raw && (!prog->prompt_reported || prog->prompt_reported(pp->p->text));
}

static void typed_done(void *arg, json_t *result, const struct err *error)
{
	struct unit *u = tick_take(arg);
	struct pending_prompt *pp = u ? u->prompts : NULL;

	(void)result;
	if (!pp || !pp->typed || pp->p->status != PR_DELIVERING)
		return;
	if (error) {
		settle(u, error->code == ERR_TIMEOUT ? PR_UNKNOWN : PR_FAILED, error);
		return;
	}
	if (!reported(u, pp))
		settle(u, PR_DELIVERED, NULL);
}

/* At its prompt: idle, or with work left in the background only (which may never end). */
static bool takes_prompt(const struct instance *in)
{
	return in->state == ST_IDLE ||
	       (in->state == ST_WORKING && in->reason && !strcmp(in->reason, "background"));
}

void prompts_next(struct unit *u)
{
	struct pending_prompt *pp = u->prompts;
	const struct agent_program *prog;

	if (!pp)
		return;
	arm(u);
	if (pp->typed || u->step != STEP_LIVE || !site_of(u) || !site_of(u)->connected)
		return; /* its shim is being replaced: its hello comes back here */
	prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	if (prog->reports && !pp->p->raw && !takes_prompt(u->in))
		return;
	pp->typed = true;
	pp->p->status = PR_DELIVERING;
	pp->p->changed_ms = clock_wall_ms();
	P(u->f)->prompt_put(CTX(u->f), pp->p);
	P(u->f)->after_commit(CTX(u->f), type_go, tick_new(u));
	arm(u);
}

void prompts_fact(struct unit *u, const struct agent_fact *fact)
{
	struct pending_prompt *pp = u->prompts;

	if (pp && pp->first_by_arg && fact->prompt_held) { /* it was not used: typed once it is idle */
		pp->first_by_arg = pp->typed = false;
		pp->p->status = PR_QUEUED;
		pp->deadline = clock_mono_ms() + HELD_MS;
		P(u->f)->prompt_put(CTX(u->f), pp->p);
		arm(u);
	}
	if (!fact->prompt_delivered || !pp || !pp->typed)
		return;
	settle(u, PR_DELIVERED, NULL);
}

void prompts_fail(struct unit *u, const struct err *why)
{
	while (u->prompts)
		settle(u, u->prompts->typed ? PR_UNKNOWN : PR_FAILED, why);
}

static void queue(struct unit *u, struct pending_prompt *pp)
{
	struct pending_prompt **at = &u->prompts;

	while (*at)
		at = &(*at)->next;
	*at = pp;
	pp->u = u;
	P(u->f)->prompt_put(CTX(u->f), pp->p);
	P(u->f)->event_add(CTX(u->f), EV_PROMPT, u->in->id, NULL,
		json_pack("{s:s, s:s}", "key", pp->p->key, "status", prompt_status_name(pp->p->status)));
}

static struct pending_prompt *pending_new(struct unit *u, const char *text, bool raw, int64_t ms)
{
	struct pending_prompt *pp = xcalloc(1, sizeof(*pp));

	pp->p = xcalloc(1, sizeof(*pp->p));
	random_id(pp->p->key, sizeof(pp->p->key) - 1);
	memcpy(pp->p->instance, u->in->id, ID_SIZE);
	pp->p->text = xstrdup(text);
	pp->p->raw = raw;
	pp->p->status = PR_QUEUED;
	pp->p->created_ms = pp->p->changed_ms = clock_wall_ms();
	pp->deadline = clock_mono_ms() + ms;
	return pp;
}

static void first_settled(void *arg, const struct prompt *p, const struct err *error)
{
	struct unit *u = tick_take(arg);

	(void)p;
	if (!u || !u->start_done)
		return;
	loop_timer_stop(u->deadline);
	start_answer(u, error);
}

void prompt_first(struct unit *u, const char *text, bool by_arg)
{
	struct pending_prompt *pp = pending_new(u, text, false, u->f->set->start_timeout_ms);

	pp->first_by_arg = pp->typed = by_arg;
	u->last_lines = lines_of(text);
	if (by_arg)
		pp->p->status = PR_DELIVERING;
	pp->done = first_settled;
	pp->arg = tick_new(u);
	queue(u, pp);
	arm(u);
}

int fleet_send(struct fleet *f, struct instance *in, const struct send_args *a, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct pending_prompt *pp;
	int n = 0;

	if (u->step != STEP_LIVE && u->step != STEP_READY && !site_being_found(u)) {
		err_set(e, ERR_STATE, "instance %s is %s%s%s and takes no prompt", in->id,
			state_name(in->state), in->reason ? ": " : "", in->reason ? in->reason : "");
		return state_final(in->state) ? err_hint(e, "tmux-claude restart %s starts it again", in->id) : -1;
	}
	if (in->state == ST_WAITING && !a->raw) {
		err_set(e, ERR_STATE, "instance %s waits for %s; a prompt typed now would answer that", in->id,
			in->reason ? in->reason : "a person");
		return err_hint(e, "tmux-claude attach %s and answer it there", in->id);
	}
	for (struct pending_prompt *q = u->prompts; q; q = q->next)
		n++;
	if (n >= PROMPTS_MAX)
		return err_set(e, ERR_BUSY, "instance %s has %d prompts queued already", in->id, n);
	pp = pending_new(u, a->text, a->raw, a->timeout_ms);
	pp->done = a->done;
	pp->arg = a->arg;
	queue(u, pp);
	prompts_next(u);
	return 0;
}

void fleet_load_prompt(struct fleet *f, struct prompt *p)
{
	struct unit *u = unit_find(f, p->instance);
	struct pending_prompt *pp, **at;

	if (!u) {
		prompt_free(p);
		return;
	}
	/* What was typed before the daemon died is not typed again; its report may still come. */
	pp = xcalloc(1, sizeof(*pp));
	pp->p = p;
	pp->u = u;
	pp->typed = pp->again = p->status == PR_DELIVERING;
	pp->deadline = clock_mono_ms() + f->set->start_timeout_ms;
	for (at = &u->prompts; *at; at = &(*at)->next)
		;
	*at = pp;
}
