/* SPDX-License-Identifier: ISC */
/*
 * Ending: an instance by request, a place because its program ended or its start failed, and the
 * removal of what is left.
 *
 *   stop_place -> `stop` to the shim -> place_exit -> `quit` -> its connection ends -> place_gone
 *
 * A shim that does not manage in time, or is gone itself, leaves its processes to place_kill, which
 * finds them by pid and start time. place_gone is the one way out of all of them.
 */
#include "daemon/core/fleet_int.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/core/usage.h"

static void place_gone(struct site *s);

static void stop_done_all(struct unit *u, const struct err *why);
static void unit_remove(struct unit *u);

static bool may_remove(struct unit *u)
{
	struct site *s = site_of(u);

	/* Caps are counted up the tree: a row with anything below it that lives, or
	 * holds a place, must stay. */
	return u->remove_after && state_final(u->in->state) && (!s || s->pl->state == PL_DOWN) &&
	       !u->below.holders;
}

static void remove_now(void *arg, const struct err *error)
{
	struct unit *u = tick_take(arg);

	if (u && !error && may_remove(u))
		unit_remove(u);
}

/* On disk with the answer: the next daemon does what this one no longer can. */
static void removal_wanted(struct unit *u, bool wanted)
{
	if (u->remove_after == wanted && u->in->rm == wanted)
		return;
	u->remove_after = u->in->rm = wanted;
	unit_save(u);
}

/* Never on the spot: callers up the stack hold the unit. */
static void remove_later(struct unit *u)
{
	if (may_remove(u))
		P(u->f)->after_commit(CTX(u->f), remove_now, tick_new(u));
}

void removals_again(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		remove_later(f->order[i]);
}

static void quit_answered(void *arg, json_t *result, const struct err *error)
{
	FAULT_POINT("stop.answered");
	(void)arg; /* the end of the connection is what counts; the stop timer guards it */
	(void)result;
	(void)error;
}

struct stop_tick {
	struct fleet *f;
	char place[ID_SIZE];
	bool force;
};

static struct stop_tick *stop_tick_new(struct site *s, bool force)
{
	struct stop_tick *t = xcalloc(1, sizeof(*t));

	t->f = s->f;
	t->force = force;
	memcpy(t->place, s->pl->id, ID_SIZE);
	return t;
}

static void place_killed(void *arg, const struct err *error)
{
	struct stop_tick *t = arg;
	bool unknown = error && error->code == ERR_CANCELLED; /* the next daemon sees to it */
	struct site *s = unknown ? NULL : site_find(t->f, t->place);

	free(t);
	if (!s || !s->killing)
		return;
	s->killing = false;
	if (error)
		log_error("core", s->pl->id, "%s", error->message);
	place_gone(s);
}

/* Its shim is heard no more: it is not asked, it is killed with all that it holds. */
static void place_end(struct site *s)
{
	if (s->killing)
		return;
	s->killing = s->stopping = true;
	s->connected = s->starting = false;
	loop_timer_stop(s->stop_timer);
	P(s->f)->shim_forget(CTX(s->f), s->pl->id);
	P(s->f)->place_kill(CTX(s->f), s->pl->id, place_killed, stop_tick_new(s, true));
}

static void stop_overdue(void *arg)
{
	struct site *s = arg;

	if (!s->killing)
		log_warn("core", s->pl->id, "the place did not end in time: killing its processes");
	place_end(s);
}

static void stop_go(struct site *s, bool force)
{
	if (s->holder_over) {
		stop_holder_over(s);
		return;
	}
	FAULT_POINT("stop.ask");
	P(s->f)->shim_call(CTX(s->f), s->pl->id, "stop",
		json_pack("{s:b, s:i}", "force", force, "deadline_ms", STOP_MS), SHIM_CALL_MS, quit_answered,
		NULL);
	FAULT_POINT("stop.asked");
}

static void stop_committed(void *arg, const struct err *error)
{
	struct stop_tick *t = arg;
	struct site *s = site_find(t->f, t->place);

	if (s && s->stopping && !error) {
		if (s->connected) {
			stop_go(s, t->force);
		} else if (s->starting) {
			/* It may be writing its pid file this moment: its hello, or its loss, goes on. */
		} else {
			place_end(s);
		}
	}
	free(t);
}

void stop_place(struct site *s, bool force)
{
	if (s->pl->state == PL_DOWN) {
		place_gone(s);
		return;
	}
	s->stopping = true;
	s->asking = false; /* what it holds does not matter any more */
	loop_timer_stop(s->ask_timer);
	site_found(s);
	place_apply(s, PL_STOPPING, NULL);
	if (!s->stop_timer)
		s->stop_timer = loop_timer_create(P(s->f)->loop, stop_overdue, s);
	loop_timer_start(s->stop_timer, (force ? 0 : STOP_MS) + STOP_GRACE_MS);
	P(s->f)->after_commit(CTX(s->f), stop_committed, stop_tick_new(s, force));
}

void stop_holder_over(struct site *s)
{
	s->holder_over = true;
	FAULT_POINT("stop.quit");
	if (s->connected)
		P(s->f)->shim_call(CTX(s->f), s->pl->id, "quit", NULL, SHIM_CALL_MS, quit_answered, NULL);
	else
		place_gone(s);
	FAULT_POINT("stop.quit_asked");
}

void stop_shim_lost(struct site *s)
{
	if (s->holder_over && !s->killing)
		place_gone(s);
	else
		place_end(s);
}

static void failed_before(struct err *e, const struct instance *in)
{
	enum err_code code = err_code_from_name(in->reason);

	err_set(e, code, "%s", in->detail ? in->detail : "its start was given up");
}

static bool by_request(const char *reason)
{
	return !strcmp(reason, "killed") || !strcmp(reason, "down") || !strcmp(reason, "restart");
}

/* From stopping to how it ended. */
static void last_state(struct unit *u, struct err *failure)
{
	const char *reason = u->in->reason ? u->in->reason : "killed";

	/* A start that an earlier daemon began to undo: the row says why. */
	if (!failure->code && !by_request(reason))
		failed_before(failure, u->in);
	if (failure->code)
		unit_ends(u, u->cancelled || u->stop_done || !u->in->wanted ? END_KILLED : END_NO_START, ST_FAILED,
			u->cancelled ? "cancelled" : err_code_name(failure->code), failure->message);
	else if (!strcmp(reason, "restart"))
		restart_over(u);
	else
		fleet_apply(u, ST_EXITED, strcmp(reason, "down") ? "killed" : "down", NULL);
}

static void unit_quiet(struct unit *u)
{
	u->step = STEP_NONE;
	unit_program(u, 0);
	unit_pane(u, false, "closed");
	/* Even when it is gone already: its program ended, but its session may stand. */
	P(u->f)->pane_close(CTX(u->f), u->in->id);
	P(u->f)->intent_done(CTX(u->f), "pane", u->in->id);
	fleet_on_titled(u->f, u->in->id);
}

/* The place holds nothing that runs any more. */
void unit_over(struct unit *u)
{
	struct err failure = u->failure, over = {0};
	bool stopping = u->in->state == ST_STOPPING;

	unit_quiet(u);
	if (stopping)
		last_state(u, &failure);
	else
		unit_save(u);
	if (stopping && !state_final(u->in->state)) /* it goes on; who waits for that waits on */
		return;
	if (state_final(u->in->state)) {
		err_set(&over, ERR_STATE, "instance %s has ended", u->in->id);
		prompts_fail(u, &over); /* those that an earlier daemon left */
		answers_fail(u, &over);
	}
	waits_check(u);
	start_answer(u, failure.code ? &failure : NULL);
	stop_done_all(u, NULL);
	remove_later(u);
	for (struct unit *up = u->up; up; up = up->up)
		remove_later(up); /* one that waited for its last child */
}

static void place_gone(struct site *s)
{
	struct fleet *f = s->f;
	struct unit *u = s->u;
	bool keep_disk = u && u->in->starts > 0;

	loop_timer_stop(s->stop_timer);
	loop_timer_stop(s->ask_timer);
	loop_timer_stop(s->again_timer);
	s->asking = false;
	P(f)->shim_forget(CTX(f), s->pl->id);
	site_found(s);
	s->connected = s->stopping = s->starting = false;
	P(f)->place_clear(CTX(f), s->pl->id, keep_disk);
	s->pl->holder_pid = s->pl->shim_pid = 0;
	s->pl->shim_seq = 0;
	if (!u) { /* nothing owned it */
		P(f)->place_delete(CTX(f), s->pl->id);
		P(f)->intent_done(CTX(f), "place", s->pl->id);
		site_drop(s);
		return;
	}
	transcript_place_over(u);
	if (s->retry && u->step != STEP_STOP) {
		s->retry = false;
		start_begin(u);
		return;
	}
	place_apply(s, PL_DOWN, NULL);
	P(f)->intent_done(CTX(f), "place", s->pl->id);
	if (start_again_due(u)) {
		unit_quiet(u);
		admit(u);
	} else if (u->in->state != ST_LOST || u->step == STEP_STOP) {
		unit_over(u);
	}
}

/* ---- by request ---- */

struct stop_answer {
	struct fleet *f;
	char id[ID_SIZE];
	struct waiter_done *list;
	struct err err;
};

static void stop_tell(void *arg, const struct err *error)
{
	struct stop_answer *a = arg;

	while (a->list) {
		struct waiter_done *w = a->list;
		a->list = w->next;
		w->fn(w->arg, fleet_get(a->f, a->id), error ? error : a->err.code ? &a->err : NULL);
		free(w);
	}
	free(a);
}

static void stop_done_all(struct unit *u, const struct err *why)
{
	struct stop_answer *a;

	if (!u->stop_done)
		return;
	a = xcalloc(1, sizeof(*a));
	a->f = u->f;
	a->list = u->stop_done;
	if (why)
		a->err = *why;
	memcpy(a->id, u->in->id, ID_SIZE);
	u->stop_done = NULL;
	P(u->f)->after_commit(CTX(u->f), stop_tell, a);
}

void stop_begin(struct unit *u, bool force, const char *why)
{
	struct site *s = site_of(u);
	bool restart = !strcmp(why, "restart"); /* whoever waits then waits for the start that follows */
	struct err err = {0};

	u->run++;
	loop_timer_stop(u->deadline);
	err_clear(&u->failure);
	err_set(&err, ERR_CANCELLED, "instance %s was %s", u->in->id, restart ? "restarted" : "killed");
	u->cancelled = false;
	if (start_awaited(u) && !restart) {
		u->failure = err;
		u->cancelled = true;
	}
	u->step = STEP_STOP;
	if (!state_final(u->in->state))
		fleet_apply(u, ST_STOPPING, why, NULL);
	prompts_fail(u, &err);
	answers_fail(u, &err);
	if (s)
		stop_place(s, force);
	else
		unit_over(u);
}

static const struct instance *living_child(const struct unit *u)
{
	for (const struct unit *c = u->living_children ? u->oldest_child : NULL; c; c = c->younger)
		if (state_living(c->in->state))
			return c->in;
	return NULL;
}

bool fleet_has_living_child(struct fleet *f, const struct instance *in)
{
	return living_child(unit_find(f, in->id)) != NULL;
}

static void unwanted(struct unit *u)
{
	u->in->wanted = u->in->wanted && u->keep;
	again_forget(u);
}

/* It was being ended to be started again, and is now to stay ended. */
static void restart_given_up(struct unit *u)
{
	struct err err = {0};

	if (u->in->state != ST_STOPPING || !u->in->reason || strcmp(u->in->reason, "restart"))
		return;
	fleet_apply(u, ST_STOPPING, u->keep ? "down" : "killed", NULL);
	err_set(&err, ERR_CANCELLED, "instance %s was killed while it was being restarted", u->in->id);
	start_answer(u, &err);
}

static void stop_one(struct unit *u, bool force, bool rm, fleet_done_fn *done, void *arg)
{
	struct site *s = site_of(u);
	bool over = state_final(u->in->state) && (!s || s->pl->state == PL_DOWN);
	struct waiter_done *w = xcalloc(1, sizeof(*w));

	if (rm)
		removal_wanted(u, true);
	w->fn = done;
	w->arg = arg;
	w->next = u->stop_done;
	u->stop_done = w;
	unwanted(u);
	if (over) {
		unit_save(u);
		stop_done_all(u, NULL);
		remove_later(u);
		return;
	}
	restart_given_up(u);
	if (u->in->state == ST_STOPPING || (state_final(u->in->state) && s && s->stopping)) {
		if (force && s && !u->force) {
			u->force = true;
			stop_place(s, true);
		}
		unit_save(u); /* not wanted: the next daemon starts it by no policy */
		return; /* under way already */
	}
	u->force = force;
	stop_begin(u, force, u->keep ? "down" : "killed");
}

static void child_stopped(void *arg, const struct instance *in, const struct err *error)
{
	(void)arg;
	(void)in;
	(void)error;
}

int fleet_kill(struct fleet *f, struct instance *in, bool cascade, bool force, bool rm,
	fleet_done_fn *done, void *arg, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	const struct instance *child = living_child(u);

	if (!cascade && state_living(in->state) && child) {
		err_set(e, ERR_STATE, "instance %s has living children (%s%s%s)", in->id, child->id,
			child->name ? " " : "", child->name ? child->name : "");
		return err_hint(e, "kill them first, or use --cascade");
	}
	if (cascade) {
		/* The row's state changes at once, so a dying parent can spawn no more. Children first; nobody is
		 * removed on the spot. */
		for (struct unit *c = tree_last(u); c != u; c = tree_prev(c))
			if (state_living(c->in->state)) {
				c->keep = false;
				stop_one(c, force, rm, child_stopped, NULL);
			} else if (c->in->wanted) { /* put aside by `down --keep`, or by a failure: it stays ended now */
				c->keep = false;
				unwanted(c);
				unit_save(c);
			}
	}
	u->keep = false;
	stop_one(u, force, rm, done, arg);
	return 0;
}

void fleet_end(struct fleet *f, struct instance *in, bool force, bool keep, fleet_done_fn *done, void *arg)
{
	struct unit *u = unit_find(f, in->id);

	u->keep = keep;
	stop_one(u, force, false, done, arg);
}

/* ---- removal ---- */

struct remove_tick {
	struct fleet *f;
	char id[ID_SIZE], place[ID_SIZE];
};

static void remove_files(void *arg, const struct err *error)
{
	struct remove_tick *t = arg;

	if (!error) {
		FAULT_POINT("remove.files");
		if (t->place[0])
			P(t->f)->place_clear(CTX(t->f), t->place, false);
		P(t->f)->recording_remove(CTX(t->f), t->id);
		P(t->f)->intent_done(CTX(t->f), "remove", t->id);
	}
	free(t);
}

static void unit_remove(struct unit *u)
{
	struct fleet *f = u->f;
	struct site *s = site_of(u);
	struct remove_tick *t = xcalloc(1, sizeof(*t));

	t->f = f;
	memcpy(t->id, u->in->id, ID_SIZE);
	P(f)->intent_add(CTX(f), "remove", u->in->id);
	if (s) {
		memcpy(t->place, s->pl->id, ID_SIZE);
		P(f)->place_delete(CTX(f), s->pl->id);
		site_drop(s);
	}
	attention_gone(u);
	usage_removed(u);
	schedules_removed(u);
	P(f)->instance_delete(CTX(f), u->in->id);
	P(f)->event_add(CTX(f), EV_REMOVED, u->in->id, NULL,
		json_pack("{s:s?, s:s?, s:O}", "name", u->in->name, "parent", u->in->parent[0] ? u->in->parent : NULL,
			"labels", u->in->labels));
	P(f)->after_commit(CTX(f), remove_files, t);
	unit_drop(u);
}

int fleet_remove(struct fleet *f, struct instance *in, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct site *s = site_of(u);

	if (again_waits(in) && !u->living_below) { /* nothing of it runs: its policy's start is given up */
		removal_wanted(u, true);
		u->keep = false;
		unwanted(u);
		stop_begin(u, true, "killed");
		return 0;
	}
	if (!state_final(in->state)) {
		err_set(e, ERR_STATE, "instance %s is %s, and only what has ended can be removed", in->id,
			state_name(in->state));
		return err_hint(e, "tmux-claude kill --rm %s ends and removes it", in->id);
	}
	removal_wanted(u, true);
	/* Its place is still ending, or one below it that ended: removed then. */
	if ((s && s->pl->state != PL_DOWN) || (u->below.holders && !u->below.living))
		return 0;
	if (may_remove(u)) {
		unit_remove(u);
		return 0;
	}
	removal_wanted(u, false);
	err_set(e, ERR_STATE, "instance %s has living descendants; their caps are counted through it", in->id);
	return err_hint(e, "kill them first, or tmux-claude kill --cascade --rm %s", in->id);
}
