/* SPDX-License-Identifier: ISC */
/*
 * Stuck: it works, and for longer than is usual for this very instance nothing of it moved. What moves is a report, a
 * change of its session file, or of its state; for a program that reports nothing, output. Not the output of one that
 * reports: a spinner turns for as long as it retries. One timer of the fleet stands at the nearest moment at which
 * somebody could be stuck; a move only writes down when it was, and whoever moved meanwhile is looked at again then.
 */
#include "daemon/core/stuck.h"

void pace_note(struct pace *p, int64_t silent_ms)
{
	int step = 0, all = 0;

	for (int64_t s = silent_ms / 1000; s > 0 && step < PACE_STEPS - 1; s /= 2)
		step++;
	p->n[step]++;
	for (int i = 0; i < PACE_STEPS; i++)
		all += p->n[i];
	for (int i = 0; all > PACE_MOST && i < PACE_STEPS; i++)
		p->n[i] /= 2;
}

int64_t pace_limit_ms(const struct pace *p, int64_t floor_ms)
{
	int all = 0, below = 0, step = 0;
	int64_t ms = PACE_UNKNOWN_MS;

	for (int i = 0; i < PACE_STEPS; i++)
		all += p->n[i];
	if (all >= PACE_FEW) {
		for (step = 0; step < PACE_STEPS - 1 && (below += p->n[step]) * 10 < all * 9; step++)
			;
		ms = (INT64_C(1000) << step) * PACE_TIMES;
	}
	if (ms > PACE_CEILING_MS)
		ms = PACE_CEILING_MS;
	return ms > floor_ms ? ms : floor_ms;
}

json_t *pace_to_json(const struct pace *p)
{
	json_t *o = json_array();

	for (int i = 0; i < PACE_STEPS; i++)
		json_array_append_new(o, json_integer(p->n[i]));
	return o;
}

struct pace pace_from_json(const json_t *o)
{
	struct pace p = {0};

	for (size_t i = 0; i < PACE_STEPS; i++) {
		json_int_t n = json_integer_value(json_array_get(o, i));
		p.n[i] = n > 0 && n <= PACE_MOST ? (int)n : 0;
	}
	return p;
}

static bool counts(const struct unit *u)
{
	/* A shell in the background may be a server: its turn is over. */
	return u->in->state == ST_WORKING && u->step == STEP_LIVE && u->f->set->stuck_after_ms &&
	       !(u->in->reason && !strcmp(u->in->reason, "background"));
}

/* Of its row until it moves, its own from then on: a row's JSON for each report would be what a report costs. */
static struct pace *pace_of(struct unit *u)
{
	if (!u->pace) {
		u->pace = xcalloc(1, sizeof(*u->pace));
		*u->pace = pace_from_json(u->in->pace);
	}
	return u->pace;
}

void stuck_write(struct unit *u)
{
	if (!u->pace)
		return;
	json_decref(u->in->pace);
	u->in->pace = pace_to_json(u->pace);
}

static int64_t due_ms(struct unit *u)
{
	return u->moved_ms + pace_limit_ms(pace_of(u), u->f->set->stuck_after_ms);
}

static void timer_before(struct fleet *f, int64_t at);

static void say(struct unit *u)
{
	int64_t silent = clock_mono_ms() - u->moved_ms;

	u->in->stuck_ms = clock_wall_ms() - silent;
	unit_save(u);
	P(u->f)->event_add(CTX(u->f), EV_STUCK, u->in->id, NULL, json_pack("{s:b, s:I, s:I}", "stuck", 1, "silent_ms",
		(json_int_t)silent, "usual_ms", (json_int_t)(due_ms(u) - u->moved_ms)));
	attention_look(u);
}

static void on_timer(void *arg)
{
	struct fleet *f = arg;
	int64_t now = clock_mono_ms(), next = INT64_MAX;

	f->stuck_at = 0;
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];
		if (!counts(u) || u->in->stuck_ms)
			continue;
		int64_t at = due_ms(u);
		if (at <= now)
			say(u);
		else if (at < next)
			next = at;
	}
	if (next != INT64_MAX)
		timer_before(f, next);
}

static void timer_before(struct fleet *f, int64_t at)
{
	int64_t left = at - clock_mono_ms();

	if (f->stuck_at && f->stuck_at <= at)
		return;
	if (!f->stuck_timer)
		f->stuck_timer = loop_timer_create(P(f)->loop, on_timer, f);
	f->stuck_at = at;
	loop_timer_start(f->stuck_timer, left > 0 ? left : 0);
}

static void unsay(struct unit *u)
{
	if (!u->in->stuck_ms)
		return;
	u->in->stuck_ms = 0;
	unit_save(u);
	P(u->f)->event_add(CTX(u->f), EV_STUCK, u->in->id, NULL, json_pack("{s:b}", "stuck", 0));
	attention_look(u);
}

static void moved(struct unit *u, int64_t ago_ms)
{
	int64_t at = clock_mono_ms() - (ago_ms > 0 ? ago_ms : 0);

	if (at < u->moved_ms)
		at = u->moved_ms;
	unsay(u);
	if (u->moved_ms && u->moved_working)
		pace_note(pace_of(u), at - u->moved_ms); /* on disk with the next change of its row */
	u->moved_ms = at;
	if (counts(u))
		timer_before(u->f, due_ms(u));
}

void stuck_moved(struct unit *u, int64_t ago_ms)
{
	moved(u, ago_ms);
	u->moved_working = counts(u);
}

void stuck_turned(struct unit *u)
{
	moved(u, 0);
	u->moved_working = false; /* what was reported of it may follow in this turn, and is no silence */
}

void stuck_look(struct unit *u)
{
	/* While nobody listened something may have moved: it has its time again. */
	u->moved_ms = clock_mono_ms();
	u->moved_working = false;
	if (counts(u) && !u->in->stuck_ms)
		timer_before(u->f, due_ms(u));
}
