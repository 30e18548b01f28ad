/* SPDX-License-Identifier: ISC */
/* What shims tell of running instances, turned into facts. Everything in an event is untrusted. */
#include "daemon/core/ack.h"
#include "daemon/core/prompts.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/core/transcript.h"

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static int64_t int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* The instance an event speaks of: it must live in that very place. */
static struct unit *unit_named(struct site *s, const json_t *ev)
{
	const char *id = text_of(ev, "instance");
	struct unit *u = id ? unit_find(s->f, id) : NULL;

	return u && !strcmp(u->in->place, s->pl->id) ? u : NULL;
}

struct forget_tick {
	struct fleet *f;
	char id[ID_SIZE], place[ID_SIZE];
};

static void forget_committed(void *arg, const struct err *error)
{
	struct forget_tick *t = arg;

	FAULT_POINT("exit.forget");
	if (!error && site_find(t->f, t->place))
		P(t->f)->shim_call(CTX(t->f), t->place, "forget", json_pack("{s:s}", "instance", t->id),
			SHIM_CALL_MS, NULL, NULL);
	FAULT_POINT("exit.forgotten");
	free(t);
}

/* Shim and guest keep an exit until it is on disk here. */
static void forget_later(struct site *s, const struct unit *u)
{
	struct forget_tick *t = xcalloc(1, sizeof(*t));

	t->f = s->f;
	memcpy(t->id, u->in->id, ID_SIZE);
	memcpy(t->place, s->pl->id, ID_SIZE);
	P(s->f)->after_commit(CTX(s->f), forget_committed, t);
}

/* Nobody saw its program end: what held its terminal is gone, and with it the place. It can be started again. */
static bool terminal_lost(struct site *s, struct unit *u, const json_t *ev)
{
	if (int_of(ev, "code") >= 0 || int_of(ev, "signal") || u->step == STEP_STOP)
		return false;
	forget_later(s, u);
	live_place_lost(s, "place_exit", text_of(ev, "reason") ?: "what held its terminal is gone");
	stop_place(s, true);
	return true;
}

void live_exited(struct site *s, struct unit *u, const json_t *ev)
{
	bool early = u->step == STEP_READY || u->step == STEP_RUN;
	char detail[128];
	struct err err = {0};

	if (state_final(u->in->state) || terminal_lost(s, u, ev))
		return;
	if (u->in->state == ST_QUEUED) { /* of a start that is undone: another follows */
		forget_later(s, u);
		return;
	}
	u->in->exit.known = true;
	u->in->exit.signal = (int)int_of(ev, "signal");
	u->in->exit.code = u->in->exit.signal ? -1 : (int)int_of(ev, "code");
	u->in->pid = 0;
	forget_later(s, u);
	if (u->step == STEP_STOP) {
		tell_program(u);
		unit_save(u);
		return;
	}
	if (early && u->in->exit.code == 1 && start_other_way(s, u))
		return;
	if (u->in->exit.signal)
		snprintf(detail, sizeof(detail), "ended by signal %d", u->in->exit.signal);
	else
		snprintf(detail, sizeof(detail), "ended with code %d", u->in->exit.code);
	u->run++;
	u->step = STEP_NONE;
	loop_timer_stop(u->deadline);
	if (early && start_awaited(u)) {
		err_set(&err, ERR_FAILED, "the program of instance %s %s before it was ready", u->in->id,
			detail);
		err_hint(&err, "tmux-claude read %s shows what it said", u->in->id);
		u->failure = err;
	} else {
		err_set(&err, ERR_STATE, "the program of instance %s %s", u->in->id, detail);
	}
	prompts_fail(u, &err);
	answers_fail(u, &err);
	unit_ends(u, u->in->exit.code == 0 ? END_EXIT_OK : END_EXIT_BAD, ST_EXITED, "exited", detail);
	stop_place(s, false);
}

void live_place_lost(struct site *s, const char *reason, const char *detail)
{
	struct unit *u = s->u;
	struct err err = {0};

	if (!u)
		return;
	err_set(&err, ERR_STATE, "the place of instance %s is gone: %s", u->in->id, detail);
	if (u->in->state == ST_QUEUED || (u->step == STEP_NONE && start_again(u, false)))
		return; /* it is done again once that place is gone */
	if (u->in->starts == 0 && (u->in->state == ST_PROVISIONING || u->in->state == ST_STARTING)) {
		start_fail(u, &err); /* there is nothing yet that it could come back to */
		return;
	}
	u->run++;
	u->step = STEP_NONE;
	u->in->pid = 0;
	loop_timer_stop(u->deadline);
	fleet_on_pane(u->f, u->in->id, false, "lost"); /* `back` follows when the place is found again */
	u->in->has_pane = false;
	P(u->f)->pane_close(CTX(u->f), u->in->id);
	P(u->f)->intent_done(CTX(u->f), "pane", u->in->id);
	start_answer(u, &err);
	if (!strcmp(reason, "no_answer")) { /* it may answer yet, and what it was given too */
		prompts_away(u, &err);
		fleet_apply(u, ST_LOST, reason, detail);
		return;
	}
	prompts_fail(u, &err);
	answers_fail(u, &err);
	unit_ends(u, strcmp(reason, "host_reboot") ? END_PLACE_LOST : END_REBOOT, ST_LOST, reason, detail);
}

static void on_place_exit(struct site *s, const json_t *ev)
{
	struct unit *u = s->u;
	const char *reason = text_of(ev, "reason");
	struct err err = {0};

	if (s->stopping || !u || u->step == STEP_STOP) {
		stop_holder_over(s);
		return;
	}
	s->holder_over = true;
	err_set(&err, ERR_FAILED, "the place ended by itself (%s, code %d, signal %d)",
		reason ? reason : "no reason given", (int)int_of(ev, "code"), (int)int_of(ev, "signal"));
	err_hint(&err, "tmux-claude logs %s shows its console", u->in->id);
	if (u->step == STEP_LINK || u->step == STEP_SETUP || u->step == STEP_RUN) {
		start_place_lost(s, u, &err);
		return;
	}
	if (!state_final(u->in->state))
		live_place_lost(s, "place_exit", err.message);
	stop_place(s, true);
}

static void on_link_up(struct site *s, const json_t *ev)
{
	struct unit *u = s->u;

	if (s->stopping)
		return;
	if (s->finding)
		rejoin_known(s);
	s->pl->boot_ms = int_of(ev, "boot_ms");
	s->pl->boot_tries = 0;
	place_apply(s, PL_UP, NULL);
	if (!u)
		return;
	if (u->step == STEP_LINK)
		start_linked(s, u);
}

/* What it tells of; s may be gone afterwards. */
static void take_event(struct site *s, const char *place, const char *type, const json_t *ev)
{
	struct unit *u = unit_named(s, ev);

	if (!strcmp(type, "link_up"))
		on_link_up(s, ev);
	else if (!strcmp(type, "adopted"))
		rejoin_adopted(s, ev);
	else if (!strcmp(type, "place_exit"))
		on_place_exit(s, ev);
	else if (!strcmp(type, "link_down"))
		log_warn("core", place, "the link is down: %s", text_of(ev, "reason") ?: "no reason");
	else if (!u)
		log_debug("core", place, "event %s of no instance here", type);
	else if (!strcmp(type, "report"))
		report_came(u, ev);
	else if (!strcmp(type, "transcript"))
		transcript_event(u, ev);
	else if (!strcmp(type, "activity"))
		activity_came(u, ev);
	else if (!strcmp(type, "exited"))
		live_exited(s, u, ev);
	else if (!strcmp(type, "started")) {
		unit_program(u, int_of(ev, "pid"));
		unit_save(u);
	} else if (!strcmp(type, "stage")) {
		start_stage(u, text_of(ev, "stage") ?: "", text_of(ev, "text") ?: "");
	}
}

bool fleet_on_shim_event(struct fleet *f, const char *place, uint64_t seq, const char *type,
	json_t *ev)
{
	struct site *s = site_find(f, place);
	uint64_t mark = ack_mark(f, ev);
	char id[ID_SIZE];

	if (!s)
		return true;
	memcpy(id, s->pl->id, ID_SIZE);
	if (seq && seq <= s->pl->shim_seq) { /* told twice, after a reconnect */
		ack_later(s);
		return false;
	}
	if (seq) {
		s->pl->shim_seq = seq;
		s->seq_ahead = true;
	}
	FAULT_POINT("shim.event");
	take_event(s, place, type, ev);
	if (seq)
		ack_event(f, id, mark);
	return true;
}

void fleet_place_accel(struct fleet *f, const char *place, const char *accel)
{
	struct site *s = site_find(f, place);

	if (!s || !accel || (s->pl->accel && !strcmp(s->pl->accel, accel)))
		return;
	free(s->pl->accel);
	s->pl->accel = xstrdup(accel);
	site_save(s);
}

void fleet_on_pane(struct fleet *f, const char *instance, bool present, const char *what)
{
	struct unit *u = unit_find(f, instance);

	if (!u || state_final(u->in->state))
		return;
	/* Lost (again) while it was not there is no change; that it was given up, or ended, is news once. */
	if (u->in->has_pane == present && (present || !strcmp(what, "lost") || (u->pane_told && !strcmp(u->pane_told, what))))
		return;
	u->pane_told = what;
	if (u->in->has_pane != present) {
		u->in->has_pane = present;
		unit_save(u);
	}
	P(f)->event_add(CTX(f), EV_PANE, instance, NULL, json_pack("{s:s, s:b}", "state", what, "present", present));
}

int fleet_shim_call(struct fleet *f, struct instance *in, const char *method, json_t *params,
	int64_t ms, port_reply_fn *fn, void *arg, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct site *s = site_of(u);

	if (!s || !s->connected || s->finding || s->stopping || u->step == STEP_NONE || u->step == STEP_STOP) {
		json_decref(params);
		if (s && !s->stopping && (site_being_found(u) || (!s->connected && u->step == STEP_LIVE))) {
			err_set(e, ERR_UNAVAILABLE, "the place of instance %s is being found again", in->id);
			return err_hint(e, "try again in a moment");
		}
		err_set(e, ERR_STATE, "instance %s is %s: its place does not run", in->id,
			state_name(in->state));
		return state_final(in->state) ? err_hint(e, "tmux-claude restart %s", in->id) : -1;
	}
	P(f)->shim_call(CTX(f), s->pl->id, method, params, ms, fn, arg);
	return 0;
}

struct interrupt_wait {
	struct fleet *f;
	char id[ID_SIZE];
	fleet_done_fn *done;
	void *arg;
};

static void interrupted(void *arg, json_t *result, const struct err *error)
{
	struct interrupt_wait *w = arg;

	(void)result;
	w->done(w->arg, fleet_get(w->f, w->id), error);
	free(w);
}

int fleet_interrupt(struct fleet *f, struct instance *in, fleet_done_fn *done, void *arg,
	struct err *e)
{
	const struct agent_program *prog = P(f)->agent(CTX(f), in->agent);
	struct interrupt_wait *w = xcalloc(1, sizeof(*w));
	struct unit *u = unit_find(f, in->id);
	json_t *keys = json_array();

	w->f = f;
	w->done = done;
	w->arg = arg;
	memcpy(w->id, in->id, ID_SIZE);
	for (const char *const *k = prog->interrupt_keys; *k; k++)
		json_array_append_new(keys, json_string(*k));
	prompt_interrupted(u);
	if (fleet_shim_call(f, in, "key", json_pack("{s:s, s:o, s:I}", "instance", in->id, "keys", keys, "quiet_ms",
								(json_int_t)type_quiet_ms(u)),
		    SHIM_CALL_MS, interrupted, w, e) < 0) {
		free(w);
		return -1;
	}
	return 0;
}
