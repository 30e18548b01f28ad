/* SPDX-License-Identifier: ISC */
/*
 * Prompts, raw bytes and keys: each a row, typed once, its caller told what became of it.
 *
 * queued -> delivering (handed to the shim) -> delivered -> answered (answer.c) | failed
 *        |                                  |  unknown (typed or not, nobody can tell)
 *        |                                     failed (not typed, or not whole: the reason says how much)
 *
 * Prompts go one at a time per instance: an agent that reports is given one only when it stands at its
 * prompt, and it is delivered when the agent says so; for one that does not (a shell) it is delivered when
 * its terminal took the bytes. When no report comes for ENTER_AGAIN_MS the Enter is sent once more; the
 * text never is. One that merges does not wait for the prompt; for one that goes now the program is
 * interrupted, once, by keys with a row of their own (so that a crash neither forgets nor repeats them).
 * Raw bytes and keys do not wait for prompts: they are what a person would press now. Of
 * them a shim has INPUTS_AT_ONCE at most, and INPUT_BYTES_AT_ONCE: the next goes when one was answered.
 * What a shim had no room for is queued still, and tried again after BUSY_PAUSE_MS or the next answer.
 *
 * The row is what outlives the daemon; how it comes to be is in prompt_new.c, the handing over itself in
 * type.c, the end of its turn in answer.c. docs/prompts.md is the table of all of it.
 */
#include "daemon/core/budget.h"
#include "daemon/core/prompts.h"
#include "daemon/core/transcript.h"

#define TRANSCRIPT_MS 5000 /* for what the program wrote last to be copied and read */

/* A prompt on its way to those who wait for it. */
struct prompt_answer {
	struct prompt *p;
	struct prompt_waiter *waiters;
};

/* ---- who waits ---- */

void prompt_wait_for(struct prompt_waiter **list, enum prompt_until until, int64_t deadline, prompt_done_fn *done,
	void *arg)
{
	struct prompt_waiter *w = xcalloc(1, sizeof(*w));

	*w = (struct prompt_waiter){.next = *list, .until = until, .deadline = deadline, .done = done, .arg = arg};
	*list = w;
}

struct prompt_waiter *prompt_waiters_due(struct pending_prompt *pp, enum prompt_until reached)
{
	struct prompt_waiter **at = &pp->waiters, *w, *due = NULL;

	while ((w = *at)) {
		if (w->until > reached) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = due;
		due = w;
	}
	return due;
}

/* It came at least so far, or is on its way without anything wrong. */
static bool went_well(const struct prompt *p, enum prompt_until until)
{
	switch (p->status) {
	case PR_QUEUED:
	case PR_DELIVERING:
		return until < UNTIL_ANSWERED;
	case PR_DELIVERED:
		return until < UNTIL_ANSWERED;
	case PR_ANSWERED:
		return true;
	case PR_FAILED:
	case PR_UNKNOWN:
	case PR_STATUS_COUNT:
		return until < UNTIL_ANSWERED && p->delivered_ms;
	}
	return false;
}

/* What its caller is told is wrong with it. */
static void prompt_error(const struct prompt *p, enum prompt_until until, struct err *e)
{
	if (went_well(p, until))
		return;
	if (p->code != ERR_NONE) {
		err_set(e, p->code, "%s", p->reason ? p->reason : "it failed");
		err_hint(e, "%s", p->hint ? p->hint : "");
	} else if (p->status == PR_DELIVERED && p->awaits) {
		err_set(e, ERR_TIMEOUT, "the prompt was delivered, and its turn has not ended in this time");
		err_hint(e, "it goes on: tmux-claude send --wait with the same --key '%s' waits again", key_shown(p->key));
	} else if (p->status == PR_DELIVERED) {
		err_set(e, ERR_STATE, "the prompt was delivered, and nobody tells of the end of its turn");
		err_hint(e, "tmux-claude wait %s --until idle", p->instance);
	} else {
		err_set(e, ERR_TIMEOUT, "the prompt is %s still", prompt_status_name(p->status));
		err_hint(e, "it stays in the queue: tmux-claude prompts show '%s', or prompts cancel", key_shown(p->key));
	}
}

static void prompt_tell(void *arg, const struct err *error)
{
	struct prompt_answer *a = arg;
	struct prompt_waiter *w;

	while ((w = a->waiters)) {
		struct err err = {0};
		a->waiters = w->next;
		prompt_error(a->p, w->until, &err);
		if (w->done)
			w->done(w->arg, a->p, error ? error : err.code ? &err : NULL);
		free(w);
	}
	prompt_free(a->p);
	free(a);
}

void prompt_tell_later(struct fleet *f, struct prompt *p, struct prompt_waiter *waiters)
{
	struct prompt_answer *a;

	if (!waiters) {
		prompt_free(p);
		return;
	}
	a = xcalloc(1, sizeof(*a));
	*a = (struct prompt_answer){.p = p, .waiters = waiters};
	P(f)->after_commit(CTX(f), prompt_tell, a);
}

void prompt_free_pending(struct pending_prompt *pp)
{
	while (pp->waiters) {
		struct prompt_waiter *w = pp->waiters;
		pp->waiters = w->next;
		if (prompt_waiter_is_first(w))
			free(w->arg); /* a tick */
		free(w);
	}
	prompt_free(pp->p);
	free(pp);
}

void prompts_drop(struct unit *u)
{
	struct pending_prompt **lists[] = {&u->prompts, &u->raws, &u->awaited}, *pp;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		while ((pp = *lists[i])) {
			*lists[i] = pp->next;
			prompt_free_pending(pp);
		}
	}
}

/* ---- its row ---- */

void prompt_status_put(struct unit *u, struct pending_prompt *pp, enum prompt_status st)
{
	pp->p->status = st;
	pp->p->changed_ms = clock_wall_ms();
	P(u->f)->prompt_put(CTX(u->f), pp->p);
}

void prompt_event(const struct unit *u, const struct prompt *p)
{
	P(u->f)->event_add(CTX(u->f), EV_PROMPT, u->in->id, NULL,
		json_pack("{s:s, s:s, s:s?}", "key", p->key, "status", prompt_status_name(p->status), "reason",
			p->status == PR_DELIVERED ? NULL : p->reason));
}

void prompt_close(struct unit *u, struct pending_prompt *pp, enum prompt_status st, const struct err *why)
{
	free(pp->p->reason);
	free(pp->p->hint);
	pp->p->code = why ? why->code : ERR_NONE;
	pp->p->reason = xstrdup(why ? why->message : NULL);
	pp->p->hint = xstrdup(why && why->hint[0] ? why->hint : NULL);
	pp->p->awaits = false;
	prompt_status_put(u, pp, st);
	prompt_event(u, pp->p);
	prompt_tell_later(u->f, take_ptr(pp->p), take_ptr(pp->waiters));
	free(pp);
}

void prompt_settle(struct unit *u, struct pending_prompt *pp, enum prompt_status st, const struct err *why)
{
	struct pending_prompt **at = pp->p->mode == PM_PASTE ? &u->prompts : &u->raws;

	while (*at != pp)
		at = &(*at)->next;
	*at = pp->next;
	pp->next = NULL;
	if (st == PR_DELIVERED) {
		free(take_ptr(pp->p->reason)); /* the shim it was handed to */
		pp->p->delivered_ms = clock_wall_ms();
	}
	if (st == PR_DELIVERED && type_reported(u, pp->p))
		answers_await(u, pp);
	else
		prompt_close(u, pp, st, why);
	prompts_next(u);
}

/* The prompt of a spawn whose program never ran. */
static bool first_kept(const struct unit *u, const struct pending_prompt *pp)
{
	return pp->p->first && !pp->typed && u->in->starts == 0;
}

/* ---- deadlines ---- */

/* Nobody told that it was taken: the program's own transcript is the last that may know. */
static void settle_unsure(struct unit *u, struct pending_prompt *pp, const struct err *why)
{
	/* Since it was handed over: an earlier one may have had the same words. */
	bool saw = type_reported(u, pp->p) &&
		   transcript_saw_prompt(u, pp->p, pp->p->changed_ms) == TRANSCRIPT_SAW;

	prompt_settle(u, pp, saw ? PR_DELIVERED : PR_UNKNOWN, saw ? NULL : why);
}

static void transcript_read(void *arg, struct unit *u, bool read)
{
	cleanup_free char *key = arg;
	struct pending_prompt *pp = u ? prompt_find(u, key) : NULL;
	struct err err = {0};

	(void)read;
	if (!pp)
		return;
	if (!pp->typed || pp->typing) { /* its shim is asked, or it is to be typed once more */
		if (pp->deadline == INT64_MAX && (pp->typed || !pp->p->stays)) {
			pp->deadline = clock_mono_ms() + HALF_WAY_MS;
			prompts_arm(u);
		}
		return;
	}
	err_set(&err, ERR_TIMEOUT, "instance %s took the prompt but did not report it in time", u->in->id);
	err_hint(&err, "it may have got it: look with tmux-claude read %s before sending again", u->in->id);
	settle_unsure(u, pp, &err);
}

static void unreported(struct unit *u, struct pending_prompt *pp)
{
	pp->deadline = INT64_MAX; /* the transcript answers, or its own deadline */
	transcript_when_read(u, TRANSCRIPT_MS, transcript_read, xstrdup(pp->p->key));
}

static void not_typed(struct unit *u, struct pending_prompt *pp)
{
	struct err err = {0};

	err_set(&err, ERR_TIMEOUT, "instance %s was %s until the deadline; nothing was typed", u->in->id,
		state_name(u->in->state));
	err_hint(&err, "give it longer with --timeout, queue it with --no-wait, or let it go ahead with --now");
	pp->p->untyped = true;
	prompt_settle(u, pp, PR_FAILED, &err);
}

/* The first of the list whose time is over. */
static struct pending_prompt *overdue(struct pending_prompt *pp, int64_t now)
{
	while (pp && (pp->typing || pp->deadline > now))
		pp = pp->next;
	return pp;
}

/* Callers whose own time is over hear what there is. */
static void waiters_overdue(struct unit *u, int64_t now)
{
	struct pending_prompt *lists[] = {u->prompts, u->raws, u->awaited};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (struct pending_prompt *pp = lists[i]; pp; pp = pp->next) {
			struct prompt_waiter **at = &pp->waiters, *w, *due = NULL;
			while ((w = *at)) {
				if (w->deadline > now) {
					at = &w->next;
					continue;
				}
				*at = w->next;
				w->next = due;
				due = w;
			}
			if (due)
				prompt_tell_later(u->f, prompt_copy(pp->p), due);
		}
	}
}

static bool waits_for_report(const struct pending_prompt *pp)
{
	return pp && pp->typed && !pp->typing && !pp->again && !pp->first_by_arg;
}

static void enter_again(struct unit *u, struct pending_prompt *pp)
{
	pp->again = true;
	if (u->in->state == ST_WAITING) /* it would answer what the agent asks */
		return;
	P(u->f)->shim_call(CTX(u->f), u->in->place, "key",
		json_pack("{s:s, s:[s]}", "instance", u->in->id, "keys", "Enter"), SHIM_CALL_MS, NULL, NULL);
}

static void prompt_deadline(void *arg)
{
	struct unit *u = arg;
	struct pending_prompt *pp;
	int64_t now = clock_mono_ms();

	/* Settling one may change both lists. */
	while ((pp = overdue(u->raws, now)) || (pp = overdue(u->prompts, now))) {
		if (pp->typed)
			unreported(u, pp);
		else
			not_typed(u, pp);
	}
	waiters_overdue(u, now);
	pp = u->prompts;
	if (waits_for_report(pp) && clock_mono_ms() >= pp->typed_ms + ENTER_AGAIN_MS && pp->marked)
		prompt_settle(u, pp, PR_DELIVERED, NULL); /* its line goes on: a quote or a loop is open */
	else if (waits_for_report(pp) && clock_mono_ms() >= pp->typed_ms + ENTER_AGAIN_MS)
		enter_again(u, pp);
	if (u->busy_until && clock_mono_ms() >= u->busy_until) {
		u->busy_until = 0;
		prompts_next(u);
	}
	prompts_arm(u);
}

static int64_t soonest_of(const struct pending_prompt *list, bool awaited, int64_t soonest)
{
	for (const struct pending_prompt *pp = list; pp; pp = pp->next) {
		if (!awaited && !pp->typing && pp->deadline < soonest)
			soonest = pp->deadline;
		for (const struct prompt_waiter *w = pp->waiters; w; w = w->next)
			if (w->deadline < soonest)
				soonest = w->deadline;
	}
	return soonest;
}

void prompts_arm(struct unit *u)
{
	int64_t soonest = INT64_MAX, left;

	soonest = soonest_of(u->raws, false, soonest);
	soonest = soonest_of(u->prompts, false, soonest);
	soonest = soonest_of(u->awaited, true, soonest);
	if (waits_for_report(u->prompts) && u->prompts->typed_ms + ENTER_AGAIN_MS < soonest)
		soonest = u->prompts->typed_ms + ENTER_AGAIN_MS;
	if (u->busy_until && u->busy_until < soonest)
		soonest = u->busy_until;
	if (soonest == INT64_MAX)
		return;
	if (!u->prompt_timer)
		u->prompt_timer = loop_timer_create(P(u->f)->loop, prompt_deadline, u);
	left = soonest - clock_mono_ms();
	loop_timer_start(u->prompt_timer, left > 0 ? left : 0);
}

/* ---- whose turn it is ---- */

bool prompt_at(const struct instance *in)
{
	return in->state == ST_IDLE ||
	       (in->state == ST_WORKING && in->reason && !strcmp(in->reason, "background"));
}

static void hand_over(struct unit *u, struct pending_prompt *pp)
{
	pp->typed = pp->typing = true;
	if (pp->p->stays)
		pp->deadline = clock_mono_ms() + REPORT_MS;
	free(pp->p->reason);
	pp->p->reason = type_shim_word(u); /* a later daemon asks that very shim, no other */
	prompt_status_put(u, pp, PR_DELIVERING);
	type_later(u, pp);
}

/* In their order, as many as the shim may have of them. */
static void raws_next(struct unit *u)
{
	size_t bytes = 0;
	int n = 0;

	for (struct pending_prompt *raw = u->raws; raw; raw = raw->next) {
		n += raw->typing;
		bytes += raw->typing ? raw->p->len : 0;
	}
	for (struct pending_prompt *raw = u->raws; raw; raw = raw->next) {
		if (raw->typed)
			continue;
		if (n >= INPUTS_AT_ONCE || (n && bytes + raw->p->len > INPUT_BYTES_AT_ONCE))
			return;
		n++;
		bytes += raw->p->len;
		hand_over(u, raw);
	}
}

static bool interrupting(const struct unit *u)
{
	for (const struct pending_prompt *raw = u->raws; raw; raw = raw->next)
		if (type_interrupts(raw))
			return true;
	return false;
}

/* May the first in the queue be typed? */
static bool its_turn(struct unit *u, struct pending_prompt *pp)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	bool now = pp->p->way == PW_NOW;

	if (budget_holds(u))
		return false;
	if (now && !prompt_at(u->in) && prompt_interruptible(u) && !pp->p->interrupts) {
		pp->p->interrupts = true;
		prompt_status_put(u, pp, PR_QUEUED);
		prompt_interrupt(u);
		raws_next(u);
	}
	if (now && interrupting(u))
		return false;
	if (!prog->reports && !prog->idle_only)
		return true;
	if (pp->p->way == PW_MERGE)
		return prompt_at(u->in) || u->in->state == ST_WORKING;
	return prompt_at(u->in) && !answers_due(u);
}

void prompts_next(struct unit *u)
{
	struct pending_prompt *pp;

	schedules_moved(u->f);
	if (!u->prompts && !u->raws && !u->awaited)
		return;
	prompts_arm(u);
	if ((u->step != STEP_LIVE && u->step != STEP_READY) || !site_of(u) || !site_of(u)->connected ||
		site_of(u)->finding)
		return; /* its shim is being replaced: shim_knows comes back here */
	type_ask(u);
	if (u->busy_until)
		return;
	raws_next(u);
	pp = u->prompts;
	if (!pp || pp->typed || u->step != STEP_LIVE || !its_turn(u, pp))
		return;
	hand_over(u, pp);
	prompts_arm(u);
}

bool fleet_takes_prompt(struct fleet *f, const struct instance *in)
{
	const struct unit *u = unit_find(f, in->id);
	const struct agent_program *prog = P(f)->agent(CTX(f), in->agent);

	return !u->prompts && u->step == STEP_LIVE &&
	       ((!prog->reports && !prog->idle_only) || (prompt_at(in) && !answers_due(u)));
}

void prompt_again(struct pending_prompt *pp, int64_t pause_ms)
{
	pp->typed = pp->typing = pp->again = false;
	if (pp->p->stays)
		pp->deadline = INT64_MAX;
	prompt_status_put(pp->u, pp, PR_QUEUED);
	if (pause_ms)
		pp->u->busy_until = clock_mono_ms() + pause_ms;
	prompts_next(pp->u);
}

void prompts_fact(struct unit *u, const struct agent_fact *fact)
{
	struct pending_prompt *pp = u->prompts;

	if (pp && pp->first_by_arg && fact->prompt_held) { /* it was not used: typed once it is idle */
		pp->first_by_arg = pp->typed = false;
		free(take_ptr(pp->p->reason));
		pp->deadline = clock_mono_ms() + HELD_MS;
		prompt_status_put(u, pp, PR_QUEUED);
		prompts_arm(u);
	}
	answers_fact(u, fact); /* what ended was delivered before */
	if (!fact->prompt_delivered || !pp || !pp->typed)
		return;
	if (!P(u->f)->agent(CTX(u->f), u->in->agent)->reports && !pp->marked)
		return; /* it is no shell's prompt that it was typed at */
	prompt_settle(u, pp, PR_DELIVERED, NULL);
}

/* The next prompt that will not be given any more; the first one is, should the instance be restarted. */
static struct pending_prompt *failing(const struct unit *u)
{
	struct pending_prompt *pp = u->prompts;

	return pp && first_kept(u, pp) ? pp->next : pp;
}

void prompts_fail(struct unit *u, const struct err *why)
{
	struct pending_prompt *pp;

	while ((pp = u->raws ? u->raws : failing(u))) {
		if (pp->typed)
			settle_unsure(u, pp, why);
		else
			prompt_settle(u, pp, PR_FAILED, why);
	}
}

/* Nobody is left who would wait for it to be typed. */
static struct pending_prompt *given_up(const struct unit *u, struct pending_prompt *pp)
{
	while (pp && (pp->typed || pp->p->stays || first_kept(u, pp)))
		pp = pp->next;
	return pp;
}

void prompts_away(struct unit *u, const struct err *why)
{
	struct pending_prompt *lists[2], *pp;

	while ((pp = given_up(u, u->raws)) || (pp = given_up(u, u->prompts)))
		prompt_settle(u, pp, PR_FAILED, why);
	lists[0] = u->raws;
	lists[1] = u->prompts;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (pp = lists[i]; pp; pp = pp->next) {
			if (!pp->typed)
				continue;
			pp->typing = false;
			pp->again = true;
			pp->ask = !pp->first_by_arg;
			pp->deadline = INT64_MAX; /* until it can be asked about */
		}
	}
}

struct pending_prompt *prompt_find(struct unit *u, const char *key)
{
	struct pending_prompt *lists[] = {u->raws, u->prompts};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (struct pending_prompt *pp = lists[i]; pp; pp = pp->next)
			if (!strcmp(pp->p->key, key))
				return pp;
	return NULL;
}
