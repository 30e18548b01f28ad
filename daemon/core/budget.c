/* SPDX-License-Identifier: ISC */
/*
 * Theory of operation. Counts come from what is kept anyway: cost, tokens and turns are sums carried up the tree
 * (usage.c), time is the holder's own time in its states. Whenever one grows, u and all above it are looked at; a
 * level that was not said before is said (an event, and in the row, so that it is said once), and with "used up" goes
 * what the holder wants:
 *
 *   pause  whoever works at or below it is interrupted (not for turns: those under way were begun within the budget),
 *          by keys that are rows of the same transaction. From then on its_turn (prompt.c) asks budget_holds; what is
 *          queued stays queued.
 *   end    once that is on disk all of the tree is killed. A daemon that dies before does it when it comes again.
 *
 * Nothing is kept of "held": it follows from counts and limits, so raising a limit is all it takes.
 */
#include "daemon/core/budget.h"

#include "base/log.h"
#include "daemon/core/prompts.h"
#include "daemon/core/usage.h"

/* Whoever goes on though it was interrupted (something in its background woke it, a person typed) is interrupted anew when
 * it spends more, but not by two keys in a row: those mean something else. */
#define PRESS_AGAIN_MS 10000

/* ---- counts ---- */

/* Its time runs while its program may: not while it waits in line, is made, or is over. */
static bool runs(enum inst_state s)
{
	return s != ST_QUEUED && s != ST_PROVISIONING && state_living(s);
}

static int64_t run_ms(const struct instance *in)
{
	int64_t ms = runs(in->state) ? state_ms(in) : 0;

	for (int s = 0; s < ST_COUNT; s++)
		if (runs((enum inst_state)s))
			ms += in->time_in_state[s];
	return ms;
}

int64_t budget_count(const struct unit *holder, enum budget_kind k)
{
	struct usage_sum s;

	if (k == BUDGET_TIME)
		return run_ms(holder->in);
	s = usage_tree(holder);
	switch (k) {
	case BUDGET_USD:
		return s.n[US_COST];
	case BUDGET_TOKENS:
		return usage_tokens_new(&s);
	case BUDGET_TURNS:
		return s.n[US_TURNS];
	case BUDGET_TIME:
	case BUDGET_KINDS:
		break;
	}
	return 0;
}

static bool over(const struct unit *holder, enum budget_kind *ret_kind)
{
	const struct budget *b = &holder->in->budget;

	for (int k = 0; k < BUDGET_KINDS; k++) {
		if (!b->limit[k] || budget_count(holder, (enum budget_kind)k) < b->limit[k])
			continue;
		*ret_kind = (enum budget_kind)k;
		return true;
	}
	return false;
}

const struct unit *budget_holder(const struct unit *u, enum budget_kind *ret_kind)
{
	enum budget_kind k;

	for (const struct unit *a = u; a; a = a->up)
		if (a->in->budget.action != BUDGET_WARN && over(a, ret_kind ? ret_kind : &k))
			return a;
	return NULL;
}

bool budget_holds(const struct unit *u)
{
	return budget_holder(u, NULL);
}

/* ---- what is done ---- */

static void press(struct unit *u, const struct unit *holder)
{
	int64_t now = clock_mono_ms();

	if (u->step != STEP_LIVE || !prompt_interruptible(u) ||
		(u->budget_pressed_ms && now - u->budget_pressed_ms < PRESS_AGAIN_MS))
		return;
	u->budget_pressed_ms = now > 0 ? now : 1;
	log_info("budget", u->in->id, "the budget of %s is used up: its turn is interrupted", holder->in->id);
	prompt_interrupt(u);
	prompts_next(u);
}

static void pause_tree(struct unit *top, enum budget_kind k)
{
	for (struct unit *u = top; u; u = tree_next(top, u)) {
		prompts_hold(u);
		if (k != BUDGET_TURNS)
			press(u, top);
	}
}

static void ended(void *arg, const struct instance *in, const struct err *error)
{
	cleanup_free struct tick *t = arg;

	(void)in;
	if (error)
		log_warn("budget", t->id, "its budget is used up, and it could not be ended: %s", error->message);
}

static void end_now(void *arg, const struct err *error)
{
	struct tick *t = arg;
	struct unit *u = error ? NULL : unit_find(t->f, t->id);
	struct err err = {0};
	enum budget_kind k;

	/* It may have been raised meanwhile. */
	if (!u || u->in->budget.action != BUDGET_END || !over(u, &k)) {
		free(t);
		return;
	}
	log_info("budget", u->in->id, "its budget is used up: it and all below it are ended");
	if (fleet_kill(u->f, u->in, true, false, false, ended, t, &err) < 0)
		ended(t, u->in, &err);
}

static bool lives_below(const struct unit *top)
{
	return state_living(top->in->state) || top->living_below;
}

static void act(struct unit *holder, enum budget_kind k)
{
	switch (holder->in->budget.action) {
	case BUDGET_WARN:
	case BUDGET_ACTIONS:
		break;
	case BUDGET_PAUSE:
		pause_tree(holder, k);
		break;
	case BUDGET_END:
		if (lives_below(holder))
			P(holder->f)->after_commit(CTX(holder->f), end_now, tick_new(holder));
		break;
	}
}

static void look_at_one(struct unit *holder, enum budget_kind k, struct unit *by)
{
	struct budget *b = &holder->in->budget;
	enum budget_level level = budget_level_of(b->limit[k], budget_count(holder, k));

	if (level == BUDGET_OVER && b->said[k] == BUDGET_OVER && b->action == BUDGET_PAUSE && k != BUDGET_TURNS)
		press(by, holder);
	if (level <= b->said[k])
		return;
	b->said[k] = level;
	unit_save(holder);
	budget_tell(holder, k, level == BUDGET_OVER ? "over" : "near", by);
	if (level == BUDGET_OVER)
		act(holder, k);
}

void budget_spent(struct unit *u)
{
	for (struct unit *a = u; a; a = a->up)
		for (int k = 0; budget_any(&a->in->budget) && k < BUDGET_KINDS; k++)
			look_at_one(a, (enum budget_kind)k, u);
}

/* ---- time ---- */

static void time_passed(void *arg)
{
	budget_state(arg);
}

void budget_state(struct unit *u)
{
	const struct budget *b = &u->in->budget;
	int64_t limit = b->limit[BUDGET_TIME], count, next;

	if (!limit) {
		if (u->budget_timer)
			loop_timer_stop(u->budget_timer);
		return;
	}
	look_at_one(u, BUDGET_TIME, u);
	if (!runs(u->in->state) || b->said[BUDGET_TIME] == BUDGET_OVER) {
		if (u->budget_timer)
			loop_timer_stop(u->budget_timer);
		return;
	}
	if (!u->budget_timer)
		u->budget_timer = loop_timer_create(P(u->f)->loop, time_passed, u);
	count = budget_count(u, BUDGET_TIME);
	next = b->said[BUDGET_TIME] == BUDGET_QUIET ? limit / 100 * BUDGET_NEAR_PERCENT + limit % 100 * BUDGET_NEAR_PERCENT / 100 + 1
						    : limit;
	loop_timer_start(u->budget_timer, next > count ? next - count : 1);
}

/* ---- changes ---- */

void budget_changed(struct unit *u)
{
	struct budget *b = &u->in->budget;
	bool held = false;

	for (int k = 0; k < BUDGET_KINDS; k++) {
		enum budget_level level = budget_level_of(b->limit[k], budget_count(u, (enum budget_kind)k));
		if (level < b->said[k]) {
			held |= b->said[k] == BUDGET_OVER;
			b->said[k] = level;
			unit_save(u);
			budget_tell(u, (enum budget_kind)k, "raised", u);
		}
		look_at_one(u, (enum budget_kind)k, u);
	}
	budget_state(u);
	/* Another action, or more room: who waits is looked at in either case. */
	for (struct unit *x = u; x; x = tree_next(u, x))
		prompts_next(x);
	if (held)
		log_info("budget", u->in->id, "its budget has room again");
}

void budgets_begin(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];
		enum budget_kind k;

		if (!budget_any(&u->in->budget))
			continue;
		budget_spent(u);
		budget_state(u);
		if (u->in->budget.action == BUDGET_END && over(u, &k))
			act(u, k);
	}
}

void budget_set(struct unit *u, const struct cap_change *c, json_t *before, json_t *after)
{
	struct budget *b = &u->in->budget;

	for (int k = 0; k < BUDGET_KINDS; k++) {
		const char *name = budget_name((enum budget_kind)k);
		if (!c->budget_given[k] || c->budget[k] == b->limit[k])
			continue;
		json_object_set_new(before, name, b->limit[k] ? budget_amount_json((enum budget_kind)k, b->limit[k]) : json_string("unlimited"));
		json_object_set_new(after, name, c->budget[k] ? budget_amount_json((enum budget_kind)k, c->budget[k]) : json_string("unlimited"));
		b->limit[k] = c->budget[k];
	}
	if (!c->action_given || c->action == b->action)
		return;
	json_object_set_new(before, "budget_action", json_string(budget_action_name(b->action)));
	json_object_set_new(after, "budget_action", json_string(budget_action_name(c->action)));
	b->action = c->action;
	for (int k = 0; k < BUDGET_KINDS; k++) /* what is used up is met by the new one */
		if (b->said[k] == BUDGET_OVER)
			b->said[k] = BUDGET_NEAR;
}

int budget_check_lower(const struct unit *u, const struct cap_change *c, struct err *e)
{
	const struct budget *b = &u->in->budget;

	for (int k = 0; k < BUDGET_KINDS; k++) {
		if (!c->budget_given[k] || (c->budget[k] && (!b->limit[k] || c->budget[k] <= b->limit[k])) ||
			(!c->budget[k] && !b->limit[k]))
			continue;
		err_set(e, ERR_DENIED, "an instance may only lower budgets, and %s of %s is lower", budget_name((enum budget_kind)k),
			u->in->id);
		return err_hint(e, "ask the operator");
	}
	if (!c->action_given || c->action >= b->action || !budget_any(b))
		return 0;
	err_set(e, ERR_DENIED, "an instance may only make budgets stricter, and the one of %s is to %s", u->in->id,
		budget_action_name(b->action));
	return err_hint(e, "ask the operator");
}

int budget_reserve(struct fleet *f, struct unit *u, bool again, struct err *e)
{
	enum budget_kind k = BUDGET_USD;
	const struct unit *holder = u ? budget_holder(u, &k) : NULL;

	(void)f;
	/* One that was paused may be started again: it is given nothing. */
	if (!holder || (again && holder->in->budget.action == BUDGET_PAUSE))
		return 0;
	return budget_refuse(holder, k, e);
}
