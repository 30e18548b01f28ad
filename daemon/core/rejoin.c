/* SPDX-License-Identifier: ISC */
/*
 * Coming back to what lives: a shim says hello to a new daemon, or a new shim to this one; what it holds goes on, what it does
 * not hold is lost. A shim that dies is replaced, again and again after growing pauses.
 */
#include "daemon/core/admit.h"
#include "daemon/core/limit.h"
#include "daemon/core/stuck.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/core/transcript.h"

#define LOST_CALM_MS 30000 /* a shim that lived this long was not part of a crash loop */

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static int64_t int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Its shim knows it: what waited for that goes on. */
void rejoin_known(struct site *s)
{
	s->finding = false;
	if (!s->u || s->stopping || (s->u->step != STEP_LIVE && s->u->step != STEP_READY))
		return;
	transcript_joined(s->u);
	asks_reach(s->u);
	waits_again(s->u);
	prompts_next(s->u);
}

static void resume_unit(struct site *s, struct unit *u, const json_t *row)
{
	struct err err = {0};

	if (row && json_is_object(json_object_get(row, "exit"))) {
		if (u->step == STEP_NONE)
			u->step = STEP_LIVE;
		live_exited(s, u, json_object_get(row, "exit"));
		return;
	}
	if (row && json_is_true(json_object_get(row, "running")) && u->in->state != ST_PROVISIONING) {
		unit_program(u, int_of(row, "pid"));
		u->step = u->in->state == ST_STARTING ? STEP_READY : STEP_LIVE;
		if (u->step == STEP_READY) { /* its start was not heard of: run_done counts it otherwise */
			u->in->starts++;
			again_started(u);
			admit_hold(u);
		}
		prompt_first_go(u);
		if (u->in->state == ST_LOST)
			fleet_apply(u, ST_WORKING, "found", NULL);
		unit_save(u);
		if (u->step == STEP_READY)
			start_deadline(u);
		if (u->step == STEP_READY && !P(u->f)->agent(CTX(u->f), u->in->agent)->reports) {
			fleet_apply(u, ST_WORKING, NULL, NULL); /* as when it had just been started */
			start_ready(u);
		}
		P(u->f)->pane_open(CTX(u->f), u->in); /* one that was told lost is told back when it stands */
		transcript_joined(u);
		asks_reach(u);
		waits_again(u);
		answers_found(u);
		prompts_next(u);
		settle_look(u);
		limit_look(u);
		stuck_look(u);
		return;
	}
	if (u->step == STEP_NONE && start_again(u, s->same_shim)) {
		stop_place(s, true);
		return;
	}
	err_set(&err, ERR_UNAVAILABLE, "the daemon was stopped while the instance was being started");
	err_hint(&err, "spawn it again, or tmux-claude restart %s", u->in->id);
	start_fail(u, &err);
}

static const json_t *row_of(const json_t *o, const char *id)
{
	const json_t *rows = json_object_get(o, "instances"), *row;
	size_t i;

	json_array_foreach(rows, i, row)
		if (!strcmp(text_of(row, "id") ?: "", id))
			return row;
	return NULL;
}

/* A machine that was stopped, or a host that has no time: lost for now, found when it answers (rejoin_adopted). */
static void ask_overdue(void *arg)
{
	live_place_lost(arg, "no_answer", "its place does not tell what it holds");
}

/* A start whose program was not begun: nothing in its place has to be asked about it. */
static bool half_started(const struct site *s)
{
	const struct instance *in = s->u->in;

	return (in->state == ST_PROVISIONING || in->state == ST_STARTING) && (!in->begun || s->same_shim);
}

static void adopt(struct site *s, json_t *hello)
{
	struct unit *u = s->u;
	bool holder = json_is_true(json_object_get(json_object_get(hello, "holder"), "running"));

	site_found(s);
	FAULT_POINT("reconcile.adopt");
	if (!u || state_final(u->in->state) || u->in->state == ST_STOPPING || u->in->state == ST_QUEUED) {
		if (u && u->in->state == ST_STOPPING)
			u->step = STEP_STOP;
		s->holder_over = !holder;
		stop_place(s, false);
		return;
	}
	if (!holder) {
		s->holder_over = true;
		live_place_lost(s, "place_exit", "its place ended while the daemon was away");
		stop_place(s, true);
		return;
	}
	if (!row_of(hello, u->in->id) && u->in->starts > 0 && !half_started(s)) {
		/* A shim as new as we are: it tells what the guest holds once it has asked. */
		s->asking = true;
		if (!s->ask_timer)
			s->ask_timer = loop_timer_create(P(s->f)->loop, ask_overdue, s);
		loop_timer_start(s->ask_timer, s->f->set->ask_ms ? s->f->set->ask_ms : ASK_MS);
		return;
	}
	resume_unit(s, u, row_of(hello, u->in->id));
}

void rejoin_adopted(struct site *s, const json_t *ev)
{
	struct unit *u = s->u;
	const json_t *row = u ? row_of(ev, u->in->id) : NULL;

	if (!u || s->stopping)
		return;
	if (s->finding && row)
		rejoin_known(s);
	if (!s->asking && (row || (u->step != STEP_LIVE && u->step != STEP_READY)))
		return;
	s->asking = false;
	loop_timer_stop(s->ask_timer);
	if (row) {
		json_t *running = json_pack("{s:O, s:b}", "pid", json_object_get(row, "pid"), "running", 1);
		resume_unit(s, u, running); /* if it ended meanwhile, `exited` follows */
		json_decref(running);
		return;
	}
	live_place_lost(s, "guest_restarted", "the program that held its terminal is not the one it was");
	stop_place(s, true);
}

void fleet_on_hello(struct fleet *f, const char *place, json_t *hello)
{
	struct site *s = site_find(f, place);
	int64_t pid = int_of(hello, "shim_pid");

	if (!s)
		return;
	s->connected = true;
	s->steps_wait = false; /* it begins anew with each connection */
	s->starting = false;
	s->unheard = 0;
	s->lost_ms = clock_mono_ms();
	s->same_shim = s->adopting && pid == s->pl->shim_pid;
	if (pid != s->pl->shim_pid) {
		s->pl->shim_pid = pid;
		s->pl->shim_seq = 0;
	}
	s->pl->holder_pid = int_of(json_object_get(hello, "holder"), "pid");
	if (s->u)
		s->u->marks_anew = true;
	site_save(s);
	if (s->adopting) {
		adopt(s, hello);
	} else if (s->stopping) {
		stop_place(s, true);
	} else if (s->u && s->u->step == STEP_LINK && json_is_true(json_object_get(hello, "link"))) {
		place_apply(s, PL_UP, NULL);
		start_linked(s, s->u);
	} else if (s->u && (s->u->step == STEP_LIVE || s->u->step == STEP_READY)) {
		/* A shim that was just started has to ask the guest first. */
		s->finding = !json_is_true(json_object_get(hello, "link")) && !row_of(hello, s->u->in->id);
		if (!s->finding)
			rejoin_known(s);
	}
}

/* Does something live in its place that only a shim can reach? */
static bool shim_needed(const struct site *s)
{
	return s->adopting || s->asking || (s->u && (s->u->step == STEP_LIVE || s->u->step == STEP_READY));
}

static void shim_go_again(void *arg)
{
	struct site *s = arg;

	if (s->connected || s->starting || s->stopping || !shim_needed(s))
		return;
	s->starting = true;
	P(s->f)->shim_start(CTX(s->f), s->pl->id);
}

/* A shim that dies again and again costs time, never the agent: only one that cannot even begin does. */
static void shim_again(struct site *s)
{
	int64_t ms = SHIM_PAUSE_MS;

	if (s->lost <= SHIM_AT_ONCE) {
		shim_go_again(s);
		return;
	}
	for (int i = SHIM_AT_ONCE + 1; i < s->lost && ms < SHIM_PAUSE_MOST_MS; i++)
		ms *= 2;
	if (!s->again_timer)
		s->again_timer = loop_timer_create(P(s->f)->loop, shim_go_again, s);
	loop_timer_start(s->again_timer, ms);
}

void fleet_on_shim_lost(struct fleet *f, const char *place, const struct err *why)
{
	struct site *s = site_find(f, place);

	if (!s)
		return;
	s->connected = s->starting = s->finding = false;
	if (s->u)
		asks_reach(s->u);
	if (s->stopping) {
		stop_shim_lost(s);
		return;
	}
	if (clock_mono_ms() - s->lost_ms > LOST_CALM_MS)
		s->lost = 0;
	s->lost++;
	if (++s->unheard <= SHIM_RESTARTS_MAX && shim_needed(s)) {
		if (!s->adopting)
			log_warn("core", place, "its shim is gone (%s): starting another", why->message);
		shim_again(s);
		return;
	}
	site_found(s);
	if (s->u && (s->u->step == STEP_LINK || s->u->step == STEP_SETUP || s->u->step == STEP_RUN)) {
		start_fail(s->u, why);
		return;
	}
	if (s->u && s->u->in->state == ST_STOPPING) /* by an earlier daemon */
		s->u->step = STEP_STOP;
	else if (s->u && !state_final(s->u->in->state))
		live_place_lost(s, "shim", why->message);
	stop_place(s, true);
}
