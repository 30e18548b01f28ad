/* SPDX-License-Identifier: ISC */
/* What shims tell of running instances, turned into facts. Everything in an event is untrusted. */
#include "daemon/core/admit.h"
#include "base/fault.h"
#include "base/log.h"

#define LOST_CALM_MS 30000 /* a shim that lived this long was not part of a crash loop */

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

void live_fact(struct unit *u, const struct agent_fact *fact)
{
	if (u->step != STEP_READY && u->step != STEP_LIVE && u->step != STEP_RUN)
		return;
	if (fact->conversation[0] &&
		(!u->in->conversation || strcmp(u->in->conversation, fact->conversation))) {
		free(u->in->conversation);
		u->in->conversation = xstrdup(fact->conversation);
		u->in->turns = 0;
		unit_save(u);
	}
	if (fact->turn_ended) {
		u->in->turns++;
		unit_save(u);
	}
	/* Ready before the state: entering idle hands out the next prompt. */
	if (fact->ready && u->step == STEP_READY)
		u->step = STEP_LIVE;
	if (fact->has_state)
		fleet_apply(u, fact->state, fact->reason[0] ? fact->reason : NULL,
			fact->detail[0] ? fact->detail : NULL);
	prompts_fact(u, fact); /* after the state: the next prompt waits until this one is done with */
	if (fact->ready || (fact->has_state && fact->state == ST_WAITING))
		start_ready(u);
}

static void on_report(struct unit *u, const json_t *ev)
{
	const json_t *report = json_object_get(ev, "body");
	const char *name = text_of(report, "event");
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct agent_fact fact = {0};
	struct err err = {0};

	if (!name || !prog->report) {
		log_warn("core", u->in->id, "a report without an event, or from a program that has none");
		return;
	}
	u->interrupted = u->title_moved = false;
	if (prog->report(u->in, name, json_object_get(report, "body"), &fact, &err) < 0) {
		log_warn("core", u->in->id, "a report was ignored: %s", err.message);
		return;
	}
	live_fact(u, &fact);
}

static void activity_means(struct unit *u, bool quiet)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct agent_activity a = {.busy = u->busy, .foreground = u->foreground,
		.canonical = u->canonical, .quiet = quiet, .interrupted = u->interrupted,
		.title_moved = u->title_moved, .title = u->title};
	struct agent_fact fact = {0};

	if (!prog->activity || (u->step != STEP_READY && u->step != STEP_LIVE))
		return;
	prog->activity(u->in, &a, &fact);
	/* After a crash the shim tells it again, so nobody has to wait for the disk. */
	P(u->f)->lazily(CTX(u->f), true);
	live_fact(u, &fact);
	P(u->f)->lazily(CTX(u->f), false);
}

static void quiet_passed(void *arg)
{
	activity_means(arg, true);
}

static void on_activity(struct unit *u, const json_t *ev)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	const char *title = text_of(ev, "title");

	u->busy = json_is_true(json_object_get(ev, "busy"));
	u->foreground = json_is_true(json_object_get(ev, "foreground"));
	u->canonical = json_is_true(json_object_get(ev, "canonical"));
	if (strcmp(u->title ? u->title : "", title ? title : ""))
		u->title_moved = true;
	free(u->title);
	u->title = xstrdup(title);
	activity_means(u, false);
	if (!prog->quiet_ms)
		return;
	if (!u->quiet)
		u->quiet = loop_timer_create(P(u->f)->loop, quiet_passed, u);
	if (u->busy)
		loop_timer_stop(u->quiet);
	else
		loop_timer_start(u->quiet, prog->quiet_ms);
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

static void on_exited(struct site *s, struct unit *u, const json_t *ev)
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
	prompts_fail(u, &err);
	if (!strcmp(reason, "no_answer")) /* it may answer yet */
		fleet_apply(u, ST_LOST, reason, detail);
	else
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

/* Its shim knows it: what waited for that goes on. */
static void shim_knows(struct site *s)
{
	s->finding = false;
	if (!s->u || s->stopping || (s->u->step != STEP_LIVE && s->u->step != STEP_READY))
		return;
	waits_again(s->u);
	prompts_next(s->u);
}

static void on_link_up(struct site *s, const json_t *ev)
{
	struct unit *u = s->u;

	if (s->stopping)
		return;
	if (s->finding)
		shim_knows(s);
	s->pl->boot_ms = int_of(ev, "boot_ms");
	s->pl->boot_tries = 0;
	place_apply(s, PL_UP, NULL);
	if (!u)
		return;
	if (u->step == STEP_LINK)
		start_linked(s, u);
}

static void ack_committed(void *arg, const struct err *error);

struct ack_tick {
	struct fleet *f;
	char place[ID_SIZE];
	uint64_t seq;
};

static void ack_committed(void *arg, const struct err *error)
{
	struct ack_tick *t = arg;

	if (!error)
		P(t->f)->shim_ack(CTX(t->f), t->place, t->seq);
	free(t);
}

static void ack_later(struct site *s, uint64_t seq)
{
	struct ack_tick *t = xcalloc(1, sizeof(*t));

	t->f = s->f;
	t->seq = seq;
	memcpy(t->place, s->pl->id, ID_SIZE);
	P(s->f)->after_commit(CTX(s->f), ack_committed, t);
}

static void on_adopted(struct site *s, const json_t *ev);

/* A hook whose connection broke tells again what the shim may have heard: its report bears a mark of its own. */
static bool report_again(struct unit *u, const json_t *ev)
{
	const char *once = text_of(json_object_get(ev, "body"), "once");
	uint64_t h = UINT64_C(14695981039346656037);

	if (!once)
		return false;
	for (; *once; once++)
		h = (h ^ (unsigned char)*once) * UINT64_C(1099511628211);
	for (unsigned i = 0; i < u->nreports && i < REPORTS_KNOWN; i++)
		if (u->reports[i] == h)
			return true;
	u->reports[u->nreports++ % REPORTS_KNOWN] = h;
	return false;
}

bool fleet_on_shim_event(struct fleet *f, const char *place, uint64_t seq, const char *type,
	json_t *ev)
{
	struct site *s = site_find(f, place);
	struct unit *u;

	if (!s)
		return true;
	if (seq && seq <= s->pl->shim_seq) { /* told twice, after a reconnect */
		ack_later(s, seq);
		return false;
	}
	if (seq) {
		s->pl->shim_seq = seq;
		site_save(s);
		ack_later(s, seq);
	}
	u = unit_named(s, ev);
	FAULT_POINT("shim.event");
	if (!strcmp(type, "link_up"))
		on_link_up(s, ev);
	else if (!strcmp(type, "adopted"))
		on_adopted(s, ev);
	else if (!strcmp(type, "place_exit"))
		on_place_exit(s, ev);
	else if (!strcmp(type, "link_down"))
		log_warn("core", place, "the link is down: %s", text_of(ev, "reason") ?: "no reason");
	else if (!u)
		log_debug("core", place, "event %s of no instance here", type);
	else if (!strcmp(type, "report") && !report_again(u, ev))
		on_report(u, ev);
	else if (!strcmp(type, "activity"))
		on_activity(u, ev);
	else if (!strcmp(type, "exited"))
		on_exited(s, u, ev);
	else if (!strcmp(type, "started")) {
		unit_program(u, int_of(ev, "pid"));
		unit_save(u);
	} else if (!strcmp(type, "stage")) {
		start_stage(u, text_of(ev, "stage") ?: "", text_of(ev, "text") ?: "");
	}
	return true;
}

/* ---- coming back ---- */

static void resume_unit(struct site *s, struct unit *u, const json_t *row)
{
	struct err err = {0};

	if (row && json_is_object(json_object_get(row, "exit"))) {
		if (u->step == STEP_NONE)
			u->step = STEP_LIVE;
		on_exited(s, u, json_object_get(row, "exit"));
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
		waits_again(u);
		prompts_next(u);
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

/* A machine that was stopped, or a host that has no time: lost for now, found when it answers (on_adopted). */
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

static void on_adopted(struct site *s, const json_t *ev)
{
	struct unit *u = s->u;
	const json_t *row = u ? row_of(ev, u->in->id) : NULL;

	if (!u || s->stopping)
		return;
	if (s->finding && row)
		shim_knows(s);
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
	s->starting = false;
	s->unheard = 0;
	s->lost_ms = clock_mono_ms();
	s->same_shim = s->adopting && pid == s->pl->shim_pid;
	if (pid != s->pl->shim_pid) {
		s->pl->shim_pid = pid;
		s->pl->shim_seq = 0;
	}
	s->pl->holder_pid = int_of(json_object_get(hello, "holder"), "pid");
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
			shim_knows(s);
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

void fleet_place_accel(struct fleet *f, const char *place, const char *accel)
{
	struct site *s = site_find(f, place);

	if (!s || !accel || (s->pl->accel && !strcmp(s->pl->accel, accel)))
		return;
	free(s->pl->accel);
	s->pl->accel = xstrdup(accel);
	site_save(s);
}

void fleet_on_denied(struct fleet *f, const char *place, json_t *data)
{
	struct site *s = site_find(f, place);

	P(f)->event_add(CTX(f), EV_DENIED, s && s->u ? s->u->in->id : NULL, place, data);
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
	u->interrupted = true;
	u->left_lines = u->last_lines;
	if (fleet_shim_call(f, in, "key", json_pack("{s:s, s:o, s:I}", "instance", in->id, "keys", keys, "quiet_ms",
								(json_int_t)type_quiet_ms(u)),
		    SHIM_CALL_MS, interrupted, w, e) < 0) {
		free(w);
		return -1;
	}
	return 0;
}
