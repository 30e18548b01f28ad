/* SPDX-License-Identifier: ISC */
/*
 * Prompts, raw bytes and keys: each a row, typed once, its caller told what became of it.
 *
 * queued -> delivering (handed to the shim) -> delivered | unknown (typed or not, nobody can tell)
 *        |                                     failed (not typed, or not whole: the reason says how much)
 *
 * Prompts go one at a time per instance: an agent that reports is given one only when it stands at its
 * prompt, and it is delivered when the agent says so; for one that does not (a shell) it is delivered when
 * its terminal took the bytes. When no report comes for ENTER_AGAIN_MS the Enter is sent once more; the
 * text never is. Raw bytes and keys do not wait for prompts: they are what a person would press now. Of
 * them a shim has INPUTS_AT_ONCE at most, and INPUT_BYTES_AT_ONCE: the next goes when one was answered.
 * What a shim had no room for is queued still, and tried again after BUSY_PAUSE_MS or the next answer.
 *
 * A caller's key makes a retry safe: the row of that key answers it, while it is under way and after. Only
 * what failed with nothing typed, for a reason that may pass (`untyped`), is queued anew by a retry. The
 * row is what outlives the daemon; the handing over itself is in type.c.
 */
#include "daemon/core/fleet_int.h"

#define HELD_MS (24 * 3600 * 1000LL) /* for a first prompt that waits for its user's login */
#define BY_ARGUMENT "argument"       /* the reason of a first prompt that is on its way so */

struct prompt_waiter {
	struct prompt_waiter *next;
	prompt_done_fn *done;
	void *arg;
};

/* A settled prompt on its way to those who wait for it. */
struct prompt_answer {
	struct prompt *p;
	struct prompt_waiter *waiters;
};

static void wait_for(struct prompt_waiter **list, prompt_done_fn *done, void *arg)
{
	struct prompt_waiter *w = xcalloc(1, sizeof(*w));

	*w = (struct prompt_waiter){.next = *list, .done = done, .arg = arg};
	*list = w;
}

static void prompt_error(const struct prompt *p, struct err *e)
{
	if (p->code == ERR_NONE)
		return;
	err_set(e, p->code, "%s", p->reason ? p->reason : "it failed");
	err_hint(e, "%s", p->hint ? p->hint : "");
}

static void prompt_tell(void *arg, const struct err *error)
{
	struct prompt_answer *a = arg;
	struct prompt_waiter *w;
	struct err err = {0};

	prompt_error(a->p, &err);
	while ((w = a->waiters)) {
		a->waiters = w->next;
		if (w->done)
			w->done(w->arg, a->p, error ? error : err.code ? &err : NULL);
		free(w);
	}
	prompt_free(a->p);
	free(a);
}

static void tell_later(struct fleet *f, struct prompt *p, struct prompt_waiter *waiters)
{
	struct prompt_answer *a = xcalloc(1, sizeof(*a));

	*a = (struct prompt_answer){.p = p, .waiters = waiters};
	P(f)->after_commit(CTX(f), prompt_tell, a);
}

static void first_settled(void *arg, const struct prompt *p, const struct err *error);

void prompt_drop(struct pending_prompt *pp)
{
	while (pp->waiters) {
		struct prompt_waiter *w = pp->waiters;
		pp->waiters = w->next;
		if (w->done == first_settled)
			free(w->arg); /* a tick */
		free(w);
	}
	prompt_free(pp->p);
	free(pp);
}

static void status(struct unit *u, struct pending_prompt *pp, enum prompt_status st)
{
	pp->p->status = st;
	pp->p->changed_ms = clock_wall_ms();
	P(u->f)->prompt_put(CTX(u->f), pp->p);
}

void prompt_settle(struct unit *u, struct pending_prompt *pp, enum prompt_status st, const struct err *why)
{
	struct pending_prompt **at = pp->p->mode == PM_PASTE ? &u->prompts : &u->raws;
	struct fleet *f = u->f;

	while (*at != pp)
		at = &(*at)->next;
	*at = pp->next;
	free(pp->p->reason);
	free(pp->p->hint);
	pp->p->code = why ? why->code : ERR_NONE;
	pp->p->reason = xstrdup(why ? why->message : NULL);
	pp->p->hint = xstrdup(why && why->hint[0] ? why->hint : NULL);
	status(u, pp, st);
	P(f)->event_add(CTX(f), EV_PROMPT, u->in->id, NULL,
		json_pack("{s:s, s:s, s:s?}", "key", pp->p->key, "status", prompt_status_name(st), "reason",
			pp->p->reason));
	tell_later(f, take_ptr(pp->p), pp->waiters);
	free(pp);
	prompts_next(u);
}

/* The prompt of a spawn whose program never ran. */
static bool first_kept(const struct unit *u, const struct pending_prompt *pp)
{
	return pp->p->first && !pp->typed && u->in->starts == 0;
}

/* ---- deadlines ---- */

static void unreported(struct unit *u, struct pending_prompt *pp)
{
	struct err err = {0};

	err_set(&err, ERR_TIMEOUT, "instance %s took the prompt but did not report it in time", u->in->id);
	err_hint(&err, "it may have got it: look with tmux-claude read %s before sending again", u->in->id);
	prompt_settle(u, pp, PR_UNKNOWN, &err);
}

static void not_typed(struct unit *u, struct pending_prompt *pp)
{
	struct err err = {0};

	err_set(&err, ERR_TIMEOUT, "instance %s was %s until the deadline; nothing was typed", u->in->id,
		state_name(u->in->state));
	err_hint(&err, "give it longer with --timeout, or tmux-claude interrupt %s first", u->in->id);
	pp->p->untyped = true;
	prompt_settle(u, pp, PR_FAILED, &err);
}

/* The first whose time is over; settling one may change both lists. */
static struct pending_prompt *overdue(struct unit *u)
{
	int64_t now = clock_mono_ms();

	for (struct pending_prompt *pp = u->raws; pp; pp = pp->next)
		if (!pp->typing && pp->deadline <= now)
			return pp;
	for (struct pending_prompt *pp = u->prompts; pp; pp = pp->next)
		if (!pp->typing && pp->deadline <= now)
			return pp;
	return NULL;
}

static bool waits_for_report(const struct pending_prompt *pp)
{
	return pp && pp->typed && !pp->typing && !pp->again && !pp->first_by_arg;
}

static void prompt_deadline(void *arg)
{
	struct unit *u = arg;
	struct pending_prompt *pp;

	while ((pp = overdue(u))) {
		if (pp->typed)
			unreported(u, pp);
		else
			not_typed(u, pp);
	}
	pp = u->prompts;
	if (waits_for_report(pp) && clock_mono_ms() >= pp->typed_ms + ENTER_AGAIN_MS && pp->marked) {
		prompt_settle(u, pp, PR_DELIVERED, NULL); /* its line goes on: a quote or a loop is open */
	} else if (waits_for_report(pp) && clock_mono_ms() >= pp->typed_ms + ENTER_AGAIN_MS) {
		pp->again = true;
		P(u->f)->shim_call(CTX(u->f), u->in->place, "key",
			json_pack("{s:s, s:[s]}", "instance", u->in->id, "keys", "Enter"), SHIM_CALL_MS,
			NULL, NULL);
	}
	if (u->busy_until && clock_mono_ms() >= u->busy_until) {
		u->busy_until = 0;
		prompts_next(u);
	}
	prompts_arm(u);
}

void prompts_arm(struct unit *u)
{
	struct pending_prompt *pp;
	int64_t soonest = INT64_MAX, left;

	for (pp = u->raws; pp; pp = pp->next)
		if (!pp->typing && pp->deadline < soonest)
			soonest = pp->deadline;
	for (pp = u->prompts; pp; pp = pp->next)
		if (!pp->typing && pp->deadline < soonest)
			soonest = pp->deadline;
	pp = u->prompts;
	if (waits_for_report(pp) && pp->typed_ms + ENTER_AGAIN_MS < soonest)
		soonest = pp->typed_ms + ENTER_AGAIN_MS;
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

/* At its prompt: idle, or with work left in the background only (which may never end). */
static bool takes_prompt(const struct instance *in)
{
	return in->state == ST_IDLE ||
	       (in->state == ST_WORKING && in->reason && !strcmp(in->reason, "background"));
}

static void hand_over(struct unit *u, struct pending_prompt *pp)
{
	pp->typed = pp->typing = true;
	free(pp->p->reason);
	pp->p->reason = type_shim_word(u); /* a later daemon asks that very shim, no other */
	status(u, pp, PR_DELIVERING);
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

void prompts_next(struct unit *u)
{
	const struct agent_program *prog;
	struct pending_prompt *pp;

	if (!u->prompts && !u->raws)
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
	if (!pp || pp->typed || u->step != STEP_LIVE)
		return;
	prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	if (prog->reports && !takes_prompt(u->in))
		return;
	hand_over(u, pp);
}

void prompt_again(struct pending_prompt *pp, int64_t pause_ms)
{
	pp->typed = pp->typing = pp->again = false;
	status(pp->u, pp, PR_QUEUED);
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
		status(u, pp, PR_QUEUED);
		prompts_arm(u);
	}
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

	while ((pp = u->raws ? u->raws : failing(u)))
		prompt_settle(u, pp, pp->typed ? PR_UNKNOWN : PR_FAILED, why);
}

/* ---- new ones ---- */

static void queue(struct unit *u, struct pending_prompt *pp)
{
	struct pending_prompt **at = pp->p->mode == PM_PASTE ? &u->prompts : &u->raws;

	while (*at)
		at = &(*at)->next;
	*at = pp;
	pp->u = u;
	P(u->f)->prompt_put(CTX(u->f), pp->p);
	P(u->f)->event_add(CTX(u->f), EV_PROMPT, u->in->id, NULL,
		json_pack("{s:s, s:s}", "key", pp->p->key, "status", prompt_status_name(pp->p->status)));
}

static struct pending_prompt *pending_new(struct unit *u, struct prompt *p, const char *key, int64_t ms)
{
	struct pending_prompt *pp = xcalloc(1, sizeof(*pp));

	pp->p = p;
	if (key)
		str_fmt(p->key, sizeof(p->key), "%s", key);
	else
		random_id(p->key, RANDOM_KEY_LEN);
	memcpy(p->instance, u->in->id, ID_SIZE);
	p->status = PR_QUEUED;
	p->created_ms = p->changed_ms = clock_wall_ms();
	pp->deadline = clock_mono_ms() + ms;
	return pp;
}

static void first_settled(void *arg, const struct prompt *p, const struct err *error)
{
	struct unit *u = tick_take(arg);

	(void)p;
	if (!u || !start_awaited(u))
		return;
	loop_timer_stop(u->deadline);
	start_answer(u, error);
}

void prompt_first_make(struct unit *u, const char *text)
{
	struct prompt *p = xcalloc(1, sizeof(*p));
	struct pending_prompt *pp;

	prompt_set(p, PM_PASTE, text, strlen(text));
	p->first = true;
	pp = pending_new(u, p, NULL, 0);
	pp->deadline = INT64_MAX; /* it has time until its program runs */
	queue(u, pp);
}

const char *prompt_first_by_arg(struct unit *u)
{
	struct pending_prompt *pp = u->prompts;

	if (!pp || !pp->p->first || pp->typed)
		return NULL;
	pp->first_by_arg = pp->typed = true;
	free(pp->p->reason);
	pp->p->reason = xstrdup(BY_ARGUMENT);
	status(u, pp, PR_DELIVERING);
	return pp->p->text;
}

void prompt_first_not_run(struct unit *u)
{
	struct pending_prompt *pp = u->prompts;

	if (!pp || !pp->p->first || !pp->first_by_arg)
		return;
	pp->first_by_arg = pp->typed = false;
	free(take_ptr(pp->p->reason));
	pp->deadline = INT64_MAX;
	status(u, pp, PR_QUEUED);
}

void prompt_first_go(struct unit *u)
{
	struct pending_prompt *pp = u->prompts;

	if (!pp || !pp->p->first || pp->waiters)
		return;
	u->last_lines = type_lines(pp->p);
	pp->deadline = clock_mono_ms() + u->f->set->start_timeout_ms;
	wait_for(&pp->waiters, first_settled, tick_new(u));
	prompts_arm(u);
}

struct pending_prompt *prompt_find(struct unit *u, const char *key)
{
	struct pending_prompt *pp;

	for (pp = u->raws; pp && strcmp(pp->p->key, key); pp = pp->next)
		;
	if (pp)
		return pp;
	for (pp = u->prompts; pp && strcmp(pp->p->key, key); pp = pp->next)
		;
	return pp;
}

/* What was sent under this key before answers again. 1: it does; 0: the key is new; -1: refused. */
static int sent_before(struct unit *u, const struct send_args *a, const struct prompt *asked, struct err *e)
{
	struct prompt *p = a->key ? P(u->f)->prompt_get(CTX(u->f), a->key) : NULL;
	const char *shown = a->key ? key_shown(a->key) : "";
	struct prompt_waiter *w = NULL;
	struct pending_prompt *pp;

	if (!p)
		return 0;
	if (strcmp(p->instance, u->in->id) || strcmp(p->digest, asked->digest)) {
		err_set(e, ERR_EXISTS, "the key '%s' was used for another %s", shown,
			strcmp(p->instance, u->in->id) ? "instance" : "text");
		err_hint(e, "a key stands for one text to one instance; take a new one for what is new");
		prompt_free(p);
		return -1;
	}
	pp = prompt_find(u, a->key);
	if (pp) {
		wait_for(&pp->waiters, a->done, a->arg);
		prompt_free(p);
		return 1;
	}
	if (p->status == PR_FAILED && p->untyped) {
		prompt_free(p);
		return 0;
	}
	wait_for(&w, a->done, a->arg);
	tell_later(u->f, p, w);
	return 1;
}

static int may_send(struct unit *u, const struct send_args *a, struct err *e)
{
	const struct instance *in = u->in;
	size_t bytes = a->len;
	int n = 0;

	if (u->step != STEP_LIVE && u->step != STEP_READY && !site_being_found(u)) {
		err_set(e, ERR_STATE, "instance %s is %s%s%s and takes no prompt", in->id,
			state_name(in->state), in->reason ? ": " : "", in->reason ? in->reason : "");
		return state_final(in->state) ? err_hint(e, "tmux-claude restart %s starts it again", in->id) : -1;
	}
	if (in->state == ST_WAITING && a->mode == PM_PASTE) {
		err_set(e, ERR_STATE, "instance %s waits for %s; a prompt typed now would answer that", in->id,
			in->reason ? in->reason : "a person");
		return err_hint(e, "tmux-claude attach %s and answer it there", in->id);
	}
	for (struct pending_prompt *q = a->mode == PM_PASTE ? u->prompts : u->raws; q; q = q->next, n++)
		bytes += q->p->len;
	if (n >= PROMPTS_MAX || bytes > PROMPT_BYTES_MAX)
		return err_set(e, ERR_BUSY, "instance %s has %d prompts of %zu bytes queued already", in->id, n,
			bytes - a->len);
	return 0;
}

int fleet_send(struct fleet *f, struct instance *in, const struct send_args *a, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct prompt *p = xcalloc(1, sizeof(*p));
	struct pending_prompt *pp;
	int before;

	prompt_set(p, a->mode, a->text, a->len);
	before = sent_before(u, a, p, e);
	if (before || may_send(u, a, e) < 0) {
		prompt_free(p);
		return before == 1 ? 0 : -1;
	}
	pp = pending_new(u, p, a->key, a->timeout_ms);
	wait_for(&pp->waiters, a->done, a->arg);
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
	/* What was typed before the daemon died is not typed again; its shim is asked, its report may come. */
	pp = xcalloc(1, sizeof(*pp));
	pp->p = p;
	pp->u = u;
	pp->typed = pp->again = p->status == PR_DELIVERING;
	pp->first_by_arg = pp->typed && p->reason && !strcmp(p->reason, BY_ARGUMENT);
	pp->ask = pp->typed && !pp->first_by_arg;
	pp->deadline = p->first ? INT64_MAX : clock_mono_ms() + f->set->start_timeout_ms; /* see prompt_first_go */
	for (at = p->mode == PM_PASTE ? &u->prompts : &u->raws; *at; at = &(*at)->next)
		;
	*at = pp;
}
