/* SPDX-License-Identifier: ISC */
/*
 * Starting an instance again because somebody asks for it: one that ended or is lost at once, one that lives after
 * an orderly end. Its id, caps, labels, recording and disk stay, the conversation is resumed, its children are
 * not touched.
 *
 *   living -> stopping ("restart") -> exited -> queued -> as every start (admission, start.c)
 *
 * The last three steps are one transaction, so that neither its slot nor its name is free in between. That it is
 * to start again is in its row: a daemon killed while the place ends goes on with it.
 */
#include "daemon/core/admit.h"

int fleet_closing(const struct fleet *f, struct err *e)
{
	if (!f->closing)
		return 0;
	err_set(e, ERR_UNAVAILABLE, "the fleet is being ended (down --all), so nothing is started");
	return err_hint(e, "when it is over, tmux-claude up starts the daemon anew");
}

void fleet_close(struct fleet *f, bool closing)
{
	f->closing = closing;
	if (closing)
		return;
	for (size_t i = 0; i < f->count; i++) /* waits that ran out meanwhile */
		if (again_waits(f->order[i]->in))
			again_arm(f->order[i]);
	admit_open(f);
	schedules_moved(f);
}

int restore_room(struct unit *u, bool restoring, struct err *e)
{
	return caps_reserve_again(u, restoring, e);
}

/* Its own slot is held while it lives. */
static bool holds_slot(const struct instance *in)
{
	return !state_final(in->state);
}

static bool ended_or_lost(const struct instance *in)
{
	return state_final(in->state) || in->state == ST_LOST || again_waits(in);
}

static int may_start(struct unit *u, struct err *e)
{
	const struct instance *in = u->in;
	const struct site *s = site_of(u);

	if (fleet_closing(u->f, e) < 0)
		return -1;
	if (in->state == ST_STOPPING)
		return err_set(e, ERR_BUSY, "instance %s is still being ended", in->id);
	if (in->state == ST_QUEUED && !again_waits(in)) {
		err_set(e, ERR_STATE, "instance %s is queued: it is about to start", in->id);
		return err_hint(e, "tmux-claude kill %s gives that up", in->id);
	}
	if (s && s->asking) {
		err_set(e, ERR_BUSY, "the place of instance %s still runs, and may answer again", in->id);
		return err_hint(e, "tmux-claude kill %s ends it for good, then restart it", in->id);
	}
	if (site_being_found(u) && !ended_or_lost(in)) {
		err_set(e, ERR_UNAVAILABLE, "the place of instance %s is being found again", in->id);
		return err_hint(e, "try again in a moment");
	}
	return 0;
}

static int may_restart(struct unit *u, const struct restart_args *a, struct err *e)
{
	struct fleet *f = u->f;
	struct instance *in = u->in;

	if (may_start(u, e) < 0)
		return -1;
	if (in->parent[0] && !unit_find(f, in->parent))
		return err_set(e, ERR_STATE, "the parent of instance %s (%s) was removed, and with it the caps it counts against",
			in->id, in->parent);
	if (P(f)->check(CTX(f), in, e) < 0 || (in->name && start_name_free(f, NULL, in->name, in, e) < 0))
		return -1;
	if (holds_slot(in) ? !a->restoring && caps_reserve_rate(u, e) < 0 : restore_room(u, a->restoring, e) < 0)
		return -1;
	return env_again(in, a, e); /* last: a restart refused for another reason changes nothing */
}

static void end_first(struct unit *u, bool force)
{
	start_stage(u, "end", "ending it first");
	u->force = force;
	stop_begin(u, force, "restart");
}

int fleet_restart(struct fleet *f, struct instance *in, const struct restart_args *a, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct err before = {0};

	if (may_restart(u, a, e) < 0)
		return -1;
	if (start_awaited(u)) {
		err_set(&before, ERR_CANCELLED, "instance %s was restarted before it was ready", in->id);
		start_answer(u, &before);
	}
	if (!a->restoring)
		caps_note_spawn(u, false);
	again_forget(u); /* a person vouches for it: the brake is released, the wait over */
	in->wanted = true;
	u->start_done = a->done;
	u->start_arg = a->arg;
	u->progress = a->wait ? a->progress : NULL;
	u->keyed = !ended_or_lost(in) || a->restoring; /* who goes away leaves nothing dead that lived */
	if (ended_or_lost(in))
		revive_now(u, NULL);
	else
		end_first(u, a->force);
	if (!a->wait)
		start_answer(u, NULL);
	return 0;
}

void restart_over(struct unit *u)
{
	cleanup_free char *missing = fleet_env_missing(u->in);
	struct err err = {0};

	if (missing) {
		err_set(&err, ERR_STATE, "ended, but not started again: the values of --env %.200s are not known any more", missing);
		fleet_apply(u, ST_EXITED, "env_missing", err.message);
		start_answer(u, &err);
		return;
	}
	u->coming_back = true;
	fleet_apply(u, ST_EXITED, "restart", NULL);
	revive_now(u, NULL);
	u->coming_back = false;
}

void fleet_set_restart(struct fleet *f, struct instance *in, enum restart_policy policy)
{
	struct unit *u = unit_find(f, in->id);

	if (in->restart == policy)
		return;
	in->restart = policy;
	P(f)->event_add(CTX(f), EV_SET, in->id, NULL, json_pack("{s:s}", "restart", restart_policy_name(policy)));
	if (policy == RESTART_NEVER && again_waits(in)) {
		again_forget(u);
		in->wanted = false;
		fleet_apply(u, ST_FAILED, "policy", "its restart policy was taken away while it waited to be started again");
		if (!site_of(u) || site_of(u)->pl->state == PL_DOWN) /* else once its place is gone */
			unit_over(u);
		return;
	}
	if (u->step == STEP_LIVE || u->step == STEP_READY)
		again_started(u);
	unit_save(u);
}
