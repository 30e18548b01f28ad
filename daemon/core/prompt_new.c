/* SPDX-License-Identifier: ISC */
/*
 * How prompts come: sent, by a spawn, from the rows of an earlier daemon; and how one that waits is taken back.
 *
 * A caller's key makes a retry safe: the row of that key answers it, while it is under way and after. Only
 * what failed with nothing typed, for a reason that may pass (`untyped`), is queued anew by a retry.
 *
 * The order of those that wait: the first prompt of a spawn, those that go now, those that merge, the others; of a kind
 * as they came. What is with the shim stays the first of all.
 */
#include "daemon/core/budget.h"
#include "daemon/core/prompts.h"

/* ---- the queue ---- */

static int rank(const struct pending_prompt *pp)
{
	if (pp->typed)
		return 4;
	if (pp->p->first)
		return 3;
	switch (pp->p->way) {
	case PW_NOW:
		return 2;
	case PW_MERGE:
		return 1;
	case PW_ORDER:
	case PW_COUNT:
		break;
	}
	return 0;
}

static void enlist(struct unit *u, struct pending_prompt *pp)
{
	struct pending_prompt **at = pp->p->mode == PM_PASTE ? &u->prompts : &u->raws;

	while (*at && (pp->p->mode != PM_PASTE || rank(*at) >= rank(pp)))
		at = &(*at)->next;
	pp->next = *at;
	*at = pp;
	pp->u = u;
}

void prompt_queue(struct unit *u, struct pending_prompt *pp)
{
	enlist(u, pp);
	P(u->f)->prompt_put(CTX(u->f), pp->p);
	prompt_event(u, pp->p);
}

struct pending_prompt *prompt_pending_new(struct unit *u, struct prompt *p, const char *key, int64_t ms)
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
	pp->deadline = ms < 0 ? INT64_MAX : clock_mono_ms() + ms;
	return pp;
}

/* ---- the first prompt ---- */

static void first_settled(void *arg, const struct prompt *p, const struct err *error)
{
	struct unit *u = tick_take(arg);

	(void)p;
	if (!u || !start_awaited(u))
		return;
	loop_timer_stop(u->deadline);
	start_answer(u, error);
}

bool prompt_waiter_is_first(const struct prompt_waiter *w)
{
	return w->done == first_settled;
}

void prompt_first_make(struct unit *u, const char *text)
{
	struct prompt *p = xcalloc(1, sizeof(*p));

	prompt_set(p, PM_PASTE, text, strlen(text));
	p->first = true;
	prompt_queue(u, prompt_pending_new(u, p, NULL, -1)); /* it has time until its program runs */
}

const char *prompt_first_by_arg(struct unit *u)
{
	struct pending_prompt *pp = u->prompts;

	if (!pp || !pp->p->first || pp->typed || budget_holds(u))
		return NULL;
	pp->first_by_arg = pp->typed = true;
	free(pp->p->reason);
	pp->p->reason = xstrdup(BY_ARGUMENT);
	prompt_status_put(u, pp, PR_DELIVERING);
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
	prompt_status_put(u, pp, PR_QUEUED);
}

void prompt_first_go(struct unit *u)
{
	struct pending_prompt *pp = u->prompts;

	if (!pp || !pp->p->first || pp->waiters)
		return;
	u->last_lines = type_lines(pp->p);
	pp->deadline = clock_mono_ms() + u->f->set->start_timeout_ms;
	prompt_wait_for(&pp->waiters, UNTIL_DELIVERED, INT64_MAX, first_settled, tick_new(u));
	if (budget_holds(u))
		prompts_hold(u);
	prompts_arm(u);
}

/* ---- sent ones ---- */

static struct pending_prompt *under_way(struct unit *u, const char *key)
{
	struct pending_prompt *pp = prompt_find(u, key);

	if (pp)
		return pp;
	for (pp = u->awaited; pp && strcmp(pp->p->key, key); pp = pp->next)
		;
	return pp;
}

/* Its caller waits for it, or hears at once. */
static void hears(struct unit *u, struct pending_prompt *pp, const struct send_args *a)
{
	static const enum prompt_until reached[PR_STATUS_COUNT] = {[PR_QUEUED] = UNTIL_QUEUED,
		[PR_DELIVERING] = UNTIL_QUEUED, [PR_DELIVERED] = UNTIL_DELIVERED};
	/* A prompt with a deadline of its own says more of what went wrong than its caller's clock. */
	bool own = a->until == UNTIL_DELIVERED && pp->deadline != INT64_MAX;
	int64_t deadline = a->timeout_ms < 0 || own ? INT64_MAX : clock_mono_ms() + a->timeout_ms;
	struct prompt_waiter *due;

	prompt_wait_for(&pp->waiters, a->until, deadline, a->done, a->arg);
	due = prompt_waiters_due(pp, budget_holds(u) ? UNTIL_DELIVERED : reached[pp->p->status]);
	if (due)
		prompt_tell_later(u->f, prompt_copy(pp->p), due);
	prompts_arm(u);
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
	pp = under_way(u, a->key);
	if (pp) {
		hears(u, pp, a);
		prompt_free(p);
		return 1;
	}
	if (p->status == PR_FAILED && p->untyped) {
		prompt_free(p);
		return 0;
	}
	prompt_wait_for(&w, a->until, INT64_MAX, a->done, a->arg);
	prompt_tell_later(u->f, p, w);
	return 1;
}

/* One that asks its user: may it be interrupted for this, or is it to wait? */
static int may_ask(const struct unit *u, const struct send_args *a, struct err *e)
{
	const struct instance *in = u->in;
	bool asks = in->reason && (!strcmp(in->reason, "permission") || !strcmp(in->reason, "answer"));

	if (in->state != ST_WAITING || a->mode != PM_PASTE || (a->way == PW_ORDER && a->until == UNTIL_QUEUED))
		return 0;
	if (a->way == PW_NOW && asks && u->step == STEP_LIVE)
		return 0;
	err_set(e, ERR_STATE, "instance %s waits for %s; a prompt typed now would answer that", in->id,
		in->reason ? in->reason : "a person");
	return err_hint(e, "tmux-claude attach %s and answer it there", in->id);
}

/* Raw bytes and keys answer whatever stands there: from another instance they would answer what only the operator may. */
static int may_press(const struct unit *u, const struct send_args *a, struct err *e)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	if (!a->inside || a->mode == PM_PASTE || prog->argv_is_program || u->in->permissions == PERM_ALL)
		return 0;
	err_set(e, ERR_DENIED, "instance %s asks for permission at its terminal: keys and raw bytes could answer it",
		u->in->id);
	return err_hint(e, "send it a text without raw; what it asks for the operator answers (tmux-claude approvals list)");
}

/* Its turn cannot be waited for when nobody tells of its end. */
static int may_wait(const struct unit *u, const struct send_args *a, const struct prompt *p, struct err *e)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	if (a->until != UNTIL_ANSWERED || type_reported(u, p))
		return 0;
	if (p->mode != PM_PASTE || prog->reports)
		return err_set(e, ERR_PARAMS, "%s has no answer: the program tells of the end of a prompt's turn only",
			p->mode != PM_PASTE ? "what is typed raw" : "a command of the agent program's own");
	err_set(e, ERR_STATE, "instance %s runs %s, which does not tell when it is done with a prompt", u->in->id,
		u->in->agent);
	return err_hint(e, "send it without --wait, then tmux-claude wait %s --until idle", u->in->id);
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
	for (struct pending_prompt *q = a->mode == PM_PASTE ? u->prompts : u->raws; q; q = q->next, n++)
		bytes += q->p->len;
	for (struct pending_prompt *q = a->mode == PM_PASTE ? u->awaited : NULL; q; q = q->next)
		n++;
	if (n >= PROMPTS_MAX || bytes > PROMPT_BYTES_MAX) {
		err_set(e, ERR_BUSY, "instance %s has %d prompts of %zu bytes queued already", in->id, n, bytes - a->len);
		return err_hint(e, "tmux-claude prompts %s lists them; at most %d, and %d MiB, wait at a time", in->id,
			PROMPTS_MAX, PROMPT_BYTES_MAX / 1024 / 1024);
	}
	return may_ask(u, a, e);
}

int fleet_send(struct fleet *f, struct instance *in, const struct send_args *a, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct prompt *p = xcalloc(1, sizeof(*p));
	struct pending_prompt *pp;
	int before;

	prompt_set(p, a->mode, a->text, a->len);
	p->way = a->mode == PM_PASTE ? a->way : PW_ORDER;
	p->stays = (a->stays || budget_holds(u)) && a->mode == PM_PASTE;
	before = may_press(u, a, e) < 0 ? -1 : sent_before(u, a, p, e);
	if (before || may_wait(u, a, p, e) < 0 || may_send(u, a, e) < 0) {
		prompt_free(p);
		return before == 1 ? 0 : -1;
	}
	pp = prompt_pending_new(u, p, a->key, p->stays ? -1 : a->timeout_ms);
	prompt_queue(u, pp);
	hears(u, pp, a);
	prompts_next(u);
	return 0;
}

bool fleet_send_forget(struct fleet *f, const struct instance *in, void *arg)
{
	struct unit *u = unit_find(f, in->id);
	struct pending_prompt *lists[] = {u->prompts, u->raws, u->awaited};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		for (struct pending_prompt *pp = lists[i]; pp; pp = pp->next) {
			for (struct prompt_waiter **at = &pp->waiters, *w; (w = *at); at = &w->next) {
				if (w->arg != arg)
					continue;
				*at = w->next;
				free(w);
				return true;
			}
		}
	}
	return false;
}

int fleet_prompt_cancel(struct fleet *f, struct instance *in, const char *key, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct pending_prompt *pp = under_way(u, key);
	struct err why = {0};

	if (!pp)
		return err_set(e, ERR_STATE, "the prompt '%s' is settled: there is nothing to cancel", key_shown(key));
	if (pp->typed || pp->p->status != PR_QUEUED) {
		err_set(e, ERR_STATE, "the prompt '%s' is %s already", key_shown(key), prompt_status_name(pp->p->status));
		return err_hint(e, "tmux-claude interrupt %s ends the turn it is in", in->id);
	}
	err_set(&why, ERR_CANCELLED, "it was cancelled before it was typed");
	prompt_settle(u, pp, PR_FAILED, &why);
	return 0;
}

/* ---- of an earlier daemon ---- */

void fleet_load_prompt(struct fleet *f, struct prompt *p)
{
	struct unit *u = unit_find(f, p->instance);
	struct pending_prompt *pp;

	if (!u) {
		prompt_free(p);
		return;
	}
	pp = xcalloc(1, sizeof(*pp));
	pp->p = p;
	pp->u = u;
	if (p->status == PR_DELIVERED) {
		u->left_lines = u->last_lines = CLEAR_LINES_MAX; /* how long it was, or whether it was interrupted, is not known */
		answers_loaded(u, pp);
		return;
	}
	/* What was typed before the daemon died is not typed again; its shim is asked, its report may come. */
	pp->typed = pp->again = p->status == PR_DELIVERING;
	pp->first_by_arg = pp->typed && p->reason && !strcmp(p->reason, BY_ARGUMENT);
	pp->ask = pp->typed && !pp->first_by_arg;
	pp->deadline = p->first || (p->stays && !pp->typed) ? INT64_MAX /* see prompt_first_go */
							    : clock_mono_ms() + f->set->start_timeout_ms;
	enlist(u, pp);
}
