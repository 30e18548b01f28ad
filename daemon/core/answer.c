/* SPDX-License-Identifier: ISC */
/*
 * What came of prompts that were delivered: which end of a turn answers which.
 *
 * A program that reports tells of the end of each turn, with its last words. Prompts and turns are not one to one: what
 * is typed while it works joins the turn. So the end of a turn answers every prompt that was delivered before it,
 * with the same words. But one that was typed while the program worked may not have joined: then the next turn is its
 * own, and nobody reports its beginning. So the end of the turn is no last word for it: when none follows in BROKEN_MS, it
 * had joined. An end with something left in the background is not the last word: its words are kept, and
 * stand when no other end comes before the next prompt, or before the program is gone. An end in error fails them.
 *
 * An interrupt is reported by nobody: the program only stands at its prompt again. A report may be behind it yet, so
 * it counts as interrupted after BROKEN_MS, or when the next prompt is taken. Beside something in the background it
 * stands at its prompt, too: then what has words already waits for better ones.
 */
#include "daemon/core/prompts.h"

#define BROKEN_MS 5000 /* reports are processes of their own, and late on a busy machine */

void answers_loaded(struct unit *u, struct pending_prompt *pp)
{
	struct pending_prompt **at = &u->awaited;

	while (*at)
		at = &(*at)->next;
	pp->next = NULL;
	pp->deadline = INT64_MAX;
	*at = pp;
}

/* Takes off the first and settles it. */
static void settle(struct unit *u, struct pending_prompt *pp, enum prompt_status st, const struct err *why)
{
	struct pending_prompt **at = &u->awaited;

	while (*at != pp)
		at = &(*at)->next;
	*at = pp->next;
	if (!u->awaited && u->broken)
		loop_timer_stop(u->broken);
	prompt_close(u, pp, st, why);
}

static void interrupted(struct unit *u, struct pending_prompt *pp)
{
	struct err err = {0};

	if (pp->interrupted)
		err_set(&err, ERR_CANCELLED, "its turn was interrupted");
	else
		err_set(&err, ERR_FAILED, "its turn ended without an answer: interrupted at its terminal, or its last report "
			"was lost");
	err_hint(&err, "tmux-claude read %s shows how far it came", u->in->id);
	settle(u, pp, PR_FAILED, &err);
}

/* Nothing more comes for any of them: their words count, when there are any. */
static void over(struct unit *u, const struct err *why)
{
	while (u->awaited) {
		struct pending_prompt *pp = u->awaited;
		if (pp->p->answer)
			settle(u, pp, PR_ANSWERED, NULL);
		else if (why)
			settle(u, pp, PR_FAILED, why);
		else
			interrupted(u, pp);
	}
}

/* It stands at its prompt, and has something in the background that may speak yet: who has words already may wait. */
static void over_but_background(struct unit *u)
{
	for (struct pending_prompt *pp = u->awaited, *next; pp; pp = next) {
		next = pp->next;
		pp->own_turn = false; /* it had joined */
		if (!pp->p->goes_on)
			interrupted(u, pp);
	}
}

static void broken_long_enough(void *arg)
{
	struct unit *u = arg;

	if (!prompt_at(u->in))
		return;
	if (u->in->state == ST_IDLE)
		over(u, NULL);
	else
		over_but_background(u);
	prompts_next(u);
}

bool answers_due(const struct unit *u)
{
	for (const struct pending_prompt *pp = u->awaited; pp; pp = pp->next)
		if (!pp->interrupted && (!pp->p->goes_on || pp->own_turn))
			return true;
	return false;
}

static bool is_broken(const struct unit *u)
{
	return u->broken && loop_timer_active(u->broken);
}

static void broken(struct unit *u)
{
	if (!u->awaited || is_broken(u))
		return;
	if (!u->broken)
		u->broken = loop_timer_create(P(u->f)->loop, broken_long_enough, u);
	loop_timer_start(u->broken, u->f->set->broken_ms ? u->f->set->broken_ms : BROKEN_MS);
}

/* Another turn begins. */
static void next_turn(struct unit *u)
{
	struct pending_prompt *next;

	if (is_broken(u)) {
		over(u, NULL);
		return;
	}
	for (struct pending_prompt *pp = u->awaited; pp; pp = next) {
		next = pp->next;
		if (pp->p->goes_on)
			settle(u, pp, PR_ANSWERED, NULL);
		else if (pp->interrupted)
			interrupted(u, pp); /* whatever its program seemed to do since */
	}
}

void answers_await(struct unit *u, struct pending_prompt *pp)
{
	pp->p->awaits = true;
	pp->merged = answers_due(u);
	answers_loaded(u, pp);
	prompt_status_put(u, pp, PR_DELIVERED);
	prompt_event(u, pp->p);
	prompt_tell_later(u->f, prompt_copy(pp->p), prompt_waiters_due(pp, UNTIL_DELIVERED));
	prompts_arm(u);
}

/* A turn ended, and the program told so. */
static void ended(struct unit *u, const struct agent_fact *fact)
{
	struct err err = {0};

	if (fact->turn_failed) {
		err_set(&err, ERR_FAILED, "its turn failed: %s%s%.300s", fact->turn_error,
			fact->said && *fact->said ? ": " : "", fact->said ? fact->said : "");
		err_hint(&err, "tmux-claude read %s shows what it said", u->in->id);
	}
	for (struct pending_prompt *pp = u->awaited, *next; pp; pp = next) {
		next = pp->next;
		if (fact->said && (*fact->said || !pp->p->answer))
			prompt_set_answer(pp->p, fact->said);
		pp->own_turn = pp->merged && !fact->turn_failed;
		pp->merged = false;
		pp->p->goes_on = fact->turn_goes_on || pp->own_turn;
		if (pp->p->goes_on)
			prompt_status_put(u, pp, PR_DELIVERED);
		else
			settle(u, pp, fact->turn_failed ? PR_FAILED : PR_ANSWERED, fact->turn_failed ? &err : NULL);
	}
	if (answers_due(u))
		broken(u);
	prompts_next(u); /* its state was entered before, when this was not known */
}

void answers_fact(struct unit *u, const struct agent_fact *fact)
{
	if (!u->awaited)
		return;
	if (fact->turn_ended && !fact->turn_broken)
		ended(u, fact);
	else if (fact->turn_broken || (fact->has_state && fact->state == ST_IDLE))
		broken(u);
	else if (fact->prompt_delivered)
		next_turn(u);
	else if (fact->has_state && is_broken(u))
		loop_timer_stop(u->broken); /* it goes on after all */
}

void answers_found(struct unit *u)
{
	if (prompt_at(u->in))
		broken(u);
}

void answers_interrupted(struct unit *u)
{
	for (struct pending_prompt *pp = u->awaited; pp; pp = pp->next)
		pp->interrupted = true;
}

void answers_fail(struct unit *u, const struct err *why)
{
	over(u, why);
}
