/* SPDX-License-Identifier: ISC */
/*
 * What becomes of an instance that runs no more: it stays ended, or its restart policy (backoff.h decides)
 * starts it again.
 *
 *   it ended -> unit_ends: exited, failed or lost, and in the same transaction queued ("backoff") until the
 *   time its policy says -> queued ("restart"), through admission as every start
 *
 * As it is queued at once its slot under the caps is never free in between. Count and time are in its row, so
 * that a daemon killed meanwhile goes on with the wait; the values of --env are not, so that without them it stays
 * ended and says so. `wanted` is what `up` goes by (restore.c).
 */
#include "daemon/core/fleet_int.h"
#include "base/log.h"

static bool not_by_itself(const struct instance *in)
{
	return in->reason && (!strcmp(in->reason, "brake") || !strcmp(in->reason, "env_missing"));
}

void again_touch(struct unit *u)
{
	again_rebase(&u->in->again, boot_id(), clock_boot_ms(), clock_wall_ms());
}

bool again_waits(const struct instance *in)
{
	return in->state == ST_QUEUED && in->again.waits;
}

bool fleet_waits_again(const struct instance *in)
{
	return again_waits(in);
}

void again_forget(struct unit *u)
{
	loop_timer_stop(u->again_timer);
	memset(&u->in->again, 0, sizeof(u->in->again));
}

void again_started(struct unit *u)
{
	if (u->in->restart == RESTART_NEVER)
		return;
	again_touch(u);
	u->in->again.started = true;
	u->in->again.started_ms = u->in->again.boot_ms;
}

void again_say(const struct instance *in, int64_t now, char *out, size_t size)
{
	int64_t left = in->again.at_ms > now ? (in->again.at_ms - now + 999) / 1000 : 0, n = in->again.tries;
	const char *th = n % 100 / 10 == 1 ? "th" : n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th";

	if (n)
		snprintf(out, size, "starts again in %" PRId64 " s (%" PRId64 "%s time)", left, n, th);
	else
		snprintf(out, size, "starts again in %" PRId64 " s", left);
	if (in->detail && size > strlen(out) + 3)
		snprintf(out + strlen(out), size - strlen(out), ": %s", in->detail);
}

/* ---- the wait ---- */

static void due(void *arg)
{
	struct unit *u = arg;
	struct again *a = &u->in->again;

	if (!again_waits(u->in) || u->f->closing) /* then it is ended like all others */
		return;
	again_touch(u);
	if (a->at_ms > a->boot_ms) /* the loop's timers and this clock round in their own ways */
		again_arm(u);
	else
		revive_now(u, "by its restart policy");
}

void again_arm(struct unit *u)
{
	int64_t left = u->in->again.at_ms - clock_boot_ms();

	if (!u->again_timer)
		u->again_timer = loop_timer_create(P(u->f)->loop, due, u);
	loop_timer_start(u->again_timer, left > 0 ? left : 0);
}

/* It counts against caps of nobody then, and nothing brings its parent back. */
static int parent_gone(const struct unit *u, struct err *e)
{
	if (!u->in->parent[0] || unit_find(u->f, u->in->parent))
		return 0;
	return err_set(e, ERR_STATE, "its parent (%s) was removed", u->in->parent);
}

void revive_now(struct unit *u, const char *why)
{
	struct instance *in = u->in;
	struct err err = {0};

	bool alone;

	loop_timer_stop(u->again_timer);
	in->again.waits = false;
	alone = parent_gone(u, &err) < 0;
	if (!alone)
		P(u->f)->check(CTX(u->f), in, &err);
	if (err.code) {
		if (in->state != ST_QUEUED)
			fleet_apply(u, ST_QUEUED, "restart", why);
		unit_ends(u, alone ? END_KILLED : END_NO_START, ST_FAILED, err_code_name(err.code), err.message);
		start_answer(u, &err);
		return;
	}
	u->resume = in->starts > 0;
	memset(&in->exit, 0, sizeof(in->exit));
	err_clear(&u->failure);
	fleet_apply(u, ST_QUEUED, "restart", why);
	admit(u);
}

/* ---- the end ---- */

static void tell(struct unit *u, const char *verdict, const char *why)
{
	const struct again *a = &u->in->again;

	P(u->f)->event_add(CTX(u->f), EV_AGAIN, u->in->id, NULL,
		json_pack("{s:s, s:s, s:s?, s:I, s:I}", "verdict", verdict, "policy",
			restart_policy_name(u->in->restart), "why", why, "times", (json_int_t)a->tries, "in_ms",
			(json_int_t)(a->waits ? a->at_ms - a->boot_ms : 0)));
}

static void brake(struct unit *u, const char *why)
{
	char text[ERR_MESSAGE_MAX];

	str_fmt(text, sizeof(text), "it failed %d times within %lld s and is not started again by itself; the last time: %.200s",
		u->in->again.nfailed, (long long)(u->f->set->again.window_ms / 1000), why ? why : "no reason known");
	fleet_apply(u, ST_FAILED, "brake", text);
	tell(u, "brake", why);
	str_fmt(text, sizeof(text), "tmux-claude restart %s releases it", u->in->id);
	P(u->f)->event_add(CTX(u->f), EV_NOTICE, u->in->id, NULL,
		json_pack("{s:s, s:s, s:s}", "kind", "brake", "text", u->in->detail, "hint", text));
	log_warn("core", u->in->id, "%s", u->in->detail);
}

static void env_gone(struct unit *u, enum inst_state to, const char *missing, const char *why)
{
	char text[ERR_MESSAGE_MAX];

	str_fmt(text, sizeof(text), "%.200s; not started again: the values of --env %.120s are not known any more; tmux-claude restart %s --env NAME=VALUE gives them",
		why ? why : "it ended", missing, u->in->id);
	again_forget(u);
	fleet_apply(u, to, "env_missing", text);
	tell(u, "env_missing", why);
}

/* Whoever waits for its start hears that this one failed; the next is its policy's. */
static void answer_first(struct unit *u)
{
	if (!u->failure.code || !start_awaited(u))
		return;
	if (!u->failure.hint[0])
		err_hint(&u->failure, "its restart policy starts it again: tmux-claude show %s", u->in->id);
	start_answer(u, &u->failure);
	err_clear(&u->failure);
}

static void wait_for_it(struct unit *u, const char *why)
{
	fleet_apply(u, ST_QUEUED, "backoff", why);
	tell(u, "waits", why);
	answer_first(u);
	again_arm(u);
}

static bool still_wanted(const struct unit *u, enum backoff_end end)
{
	switch (end) {
	case END_KILLED:
	case END_EXIT_OK:
	case END_EXIT_BAD:
		return false;
	case END_NO_START: /* one that never ran was never there */
		return u->in->wanted && u->in->starts > 0;
	case END_PLACE_LOST:
	case END_REBOOT:
		return u->in->wanted;
	}
	return false;
}

void unit_ends(struct unit *u, enum backoff_end end, enum inst_state to, const char *reason, const char *detail)
{
	struct instance *in = u->in;
	cleanup_free char *missing = NULL, *why = xstrdup(detail ? detail : reason);
	enum backoff_word word = BACKOFF_NO;
	uint32_t random;

	random_bytes(&random, sizeof(random));
	if (!u->f->closing) {
		again_touch(u);
		word = backoff_decide(&u->f->set->again, in->restart, end, &in->again, in->again.boot_ms, random);
	}
	switch (word) {
	case BACKOFF_NO:
		if (!u->f->closing)
			in->wanted = still_wanted(u, end);
		fleet_apply(u, to, reason, detail);
		return;
	case BACKOFF_BRAKE:
		brake(u, why);
		return;
	case BACKOFF_AT:
		break;
	}
	missing = fleet_env_missing(in);
	if (missing) {
		env_gone(u, to, missing, why);
		return;
	}
	u->coming_back = true; /* who waits for another state of it goes on waiting */
	fleet_apply(u, to, reason, detail);
	wait_for_it(u, why);
	u->coming_back = false;
}

/* ---- a new daemon ---- */

static void resume_wait(struct unit *u)
{
	cleanup_free char *missing = fleet_env_missing(u->in), *why = xstrdup(u->in->detail);

	again_touch(u);
	if (missing)
		env_gone(u, ST_FAILED, missing, why);
	else
		again_arm(u);
}

void revive_loaded(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];
		struct instance *in = u->in;
		bool ended = in->state == ST_LOST || (in->state == ST_EXITED && in->reason && !strcmp(in->reason, "down"));
		struct err err = {0};

		if (again_waits(in)) {
			resume_wait(u);
		} else if (ended && in->wanted && in->restart != RESTART_NEVER && !not_by_itself(in) &&
			   !site_being_found(u)) {
			/* Put aside by `down --all --keep`, or lost for good before: as after a boot. */
			if (state_final(in->state) && (parent_gone(u, &err) < 0 || restore_room(u, true, &err) < 0 ||
							      (in->name && start_name_free(f, NULL, in->name, in, &err) < 0)))
				log_warn("core", in->id, "not started again: %s", err.message);
			else
				unit_ends(u, END_REBOOT, in->state, in->reason, in->detail);
		}
	}
}
