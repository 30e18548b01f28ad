/* SPDX-License-Identifier: ISC */
/*
 * When schedules are due, and what becomes of it.
 *
 * One alarm of the fleet stands at the nearest of them. It is a timer on the wall clock which the kernel also fires when that
 * clock is set; the wall clock goes on while the host sleeps, so it does for spans, too, whose own measure is the boot's clock
 * (after a reboot it is gone, and their moment of the wall clock counts). Whoever wakes us, all is looked at anew.
 *
 * Due, and its instance takes no prompt now (it starts, it comes back, its queue is full, it is not in the state that is
 * waited for): then it is held, which is on disk, and looked at again whenever an instance moves. Held, it is never
 * missed. One that came due while nobody looked, longer ago than SCHEDULE_GRACE_MS, is sent once, late, or was missed.
 */
#include "daemon/core/schedule_int.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/zone.h"

#define SET_MS 1000 /* the clocks moved apart by so much: one was set */

enum given { GIVEN, HELD, REFUSED };

/* ---- times ---- */

/* The boot's clock says when. */
static bool by_boot(const struct schedule *s)
{
	return schedule_spans(s) && s->boot && !strcmp(s->boot, boot_id());
}

int64_t schedule_left_ms(const struct schedule *s)
{
	if (s->kind == SK_WHEN)
		return 0;
	return by_boot(s) ? s->due_boot_ms - clock_boot_ms() : s->due_ms - clock_wall_ms();
}

static int pass_span(struct schedule *s, int64_t *ret_n, int64_t *ret_newest_ms)
{
	int64_t now = clock_wall_ms(), late = -schedule_left_ms(s), span = s->every.span_ms, n = late / span + 1;

	*ret_n = n;
	*ret_newest_ms = now - late % span;
	s->due_boot_ms = clock_boot_ms() - late % span + span;
	s->due_ms = *ret_newest_ms + span;
	if (!by_boot(s)) {
		free(s->boot);
		s->boot = xstrdup(boot_id());
	}
	return 0;
}

static int pass_calendar(struct schedule *s, int64_t *ret_n, int64_t *ret_newest_ms)
{
	int64_t now = clock_wall_ms(), newest = s->due_ms, next, n = 1;
	bool hold = zone_hold(s->zone); /* one of each minute asks a thousand times */
	int r;

	while ((r = time_rule_next(&s->every, s->zone, newest, &next)) == 0 && next <= now && n < SCHEDULE_PASSED_MOST) {
		newest = next;
		n++;
	}
	if (r == 0 && next <= now)
		r = time_rule_next(&s->every, s->zone, now, &next);
	if (hold)
		zone_release();
	*ret_n = n;
	*ret_newest_ms = newest;
	if (r == 0)
		s->due_ms = next;
	return r;
}

int schedule_pass(struct schedule *s, int64_t *ret_n, int64_t *ret_newest_ms)
{
	int r = s->every.calendar ? pass_calendar(s, ret_n, ret_newest_ms) : pass_span(s, ret_n, ret_newest_ms);

	s->last_due_ms = *ret_newest_ms;
	return r;
}

/* By the clocks as they are now. */
static bool settle(struct schedule *s)
{
	int64_t now = clock_wall_ms(), due = s->due_ms, after = now;

	if (by_boot(s)) {
		due = now + schedule_left_ms(s);
	} else if (s->kind == SK_EVERY && s->every.calendar && s->due_ms > now) {
		if (s->last_due_ms > now + SCHEDULE_BACK_MS)
			s->last_due_ms = 0; /* of a clock that was quite wrong: it begins anew */
		if (s->last_due_ms > now)
			after = s->last_due_ms;
		if (time_rule_next(&s->every, s->zone, after, &due) < 0)
			return false; /* its zone is gone: it is told when it is due */
	}
	if (llabs(due - s->due_ms) < SET_MS)
		return false;
	s->due_ms = due;
	return true;
}

void schedules_settle(struct fleet *f)
{
	struct schedules *x = schedules_of(f);

	x->apart_ms = clock_wall_ms() - clock_boot_ms();
	for (struct schedule_entry *entry = x->list; entry; entry = entry->next)
		if (schedule_open(entry->s) && settle(entry->s))
			schedule_put(f, entry->s);
}

/* ---- given to its instance ---- */

static bool when_holds(struct unit *u, const struct schedule *s)
{
	if (!s->when)
		return true;
	return (s->when >> u->in->state & 1) && (u->in->state != ST_IDLE || fleet_takes_prompt(u->f, u->in));
}

static enum given wake(struct unit *u, struct schedule_entry *entry, struct err *e)
{
	struct schedule *s = entry->s;
	const struct restart_args again = {0};

	if (!s->start) {
		err_set(e, ERR_STATE, "instance %s is %s", u->in->id, state_name(u->in->state));
		return REFUSED;
	}
	if (entry->started_for == s->count + 1) {
		err_set(e, ERR_STATE, "instance %s was started for it, and is %s again", u->in->id, state_name(u->in->state));
		return REFUSED;
	}
	if (fleet_restart(u->f, u->in, &again, e) < 0)
		return REFUSED;
	entry->started_for = s->count + 1;
	err_set(e, ERR_STATE, "instance %s is being started", u->in->id);
	return HELD;
}

static enum given give(struct fleet *f, struct schedule_entry *entry, struct err *e)
{
	struct schedule *s = entry->s;
	struct unit *u = unit_find(f, s->instance);
	char key[KEY_SIZE];
	struct send_args a = {.mode = PM_PASTE, .way = s->way, .until = UNTIL_QUEUED, .inside = s->made_by[0], .stays = true,
		.text = s->text, .len = strlen(s->text), .key = key, .timeout_ms = -1};

	if (!u) {
		err_set(e, ERR_NOT_FOUND, "its instance was removed");
		return REFUSED;
	}
	if (state_final(u->in->state))
		return wake(u, entry, e);
	if (!when_holds(u, s)) {
		err_set(e, ERR_STATE, "it waits: instance %s is %s%s", u->in->id, state_name(u->in->state),
			u->in->state == ST_IDLE ? ", and has prompts before it" : "");
		return HELD;
	}
	schedule_key(s, s->count + 1, key);
	if (fleet_send(f, u->in, &a, e) == 0)
		return GIVEN;
	return e->code == ERR_STATE || e->code == ERR_BUSY ? HELD : REFUSED;
}

/* ---- due ---- */

static void tell_sent(struct fleet *f, const struct schedule *s, int64_t due, bool held)
{
	char key[KEY_SIZE];
	int64_t late = s->last_ms - due;

	schedule_key(s, s->count, key);
	P(f)->event_add(CTX(f), EV_SCHEDULE_FIRED, s->instance, NULL,
		json_pack("{s:s, s:I, s:s, s:o, s:I, s:b}", "schedule", s->id, "count", (json_int_t)s->count, "key", key, "due",
			time_json(due), "late_ms", (json_int_t)(late > 0 ? late : 0), "held", held));
}

static void tell_missed(struct fleet *f, const struct schedule *s, int64_t due, int64_t n, const char *reason)
{
	P(f)->event_add(CTX(f), EV_SCHEDULE_MISSED, s->instance, NULL,
		json_pack("{s:s, s:I, s:o, s:s}", "schedule", s->id, "times", (json_int_t)n, "due", time_json(due), "reason",
			reason));
}

bool schedule_over(const struct schedule *s)
{
	return (s->times && s->count >= s->times) || (s->until_ms && s->due_ms > s->until_ms);
}

/* That was its last, or the next one is due then. */
static void go_on(struct fleet *f, struct schedule *s, int next, enum schedule_status last, const char *why)
{
	if (s->kind != SK_EVERY)
		schedule_end(f, s, last, why);
	else if (next < 0)
		schedule_end(f, s, SS_FAILED, "there is no further time, or its time zone is not known any more");
	else if (schedule_over(s))
		schedule_end(f, s, SS_DONE, NULL);
	else
		schedule_put(f, s);
}

static void not_sent(struct fleet *f, struct schedule *s, enum schedule_status status, const char *reason)
{
	int64_t first = s->due_ms, n = 1, newest = s->due_ms;
	int next = s->kind == SK_EVERY ? schedule_pass(s, &n, &newest) : 0;

	s->last_due_ms = newest;
	s->held_ms = 0;
	s->missed += n;
	schedule_reason(s, reason);
	tell_missed(f, s, first, n, reason);
	go_on(f, s, next, status, reason);
}

static void sent(struct fleet *f, struct schedule *s)
{
	int64_t first = s->due_ms, n = 1, newest = s->due_ms;
	bool held = s->held_ms;
	int next = 0;

	FAULT_POINT("schedule.prompted");
	s->count++;
	s->last_ms = clock_wall_ms();
	if (s->kind == SK_EVERY)
		next = schedule_pass(s, &n, &newest);
	s->last_due_ms = newest;
	s->held_ms = 0;
	schedule_reason(s, NULL);
	tell_sent(f, s, newest, held);
	if (n > 1) {
		s->missed += n - 1;
		tell_missed(f, s, first, n - 1, "one was sent for all that were due");
	}
	go_on(f, s, next, SS_DONE, NULL);
	FAULT_POINT("schedule.advanced");
}

/* How late the newest of those that are due is. */
static int64_t lateness(const struct schedule *s)
{
	struct schedule copy = *s;
	int64_t late = -schedule_left_ms(s), n, newest;

	if (s->kind != SK_EVERY || late <= SCHEDULE_GRACE_MS)
		return late;
	if (!s->every.calendar)
		return late % s->every.span_ms;
	pass_calendar(&copy, &n, &newest); /* it changes nothing but numbers */
	return clock_wall_ms() - newest;
}

static void come_due(struct fleet *f, struct schedule_entry *entry)
{
	struct schedule *s = entry->s;
	struct err err = {0};

	/* A restored database does not know what was sent since it was copied. */
	if (!s->held_ms && s->kind != SK_WHEN && (!s->late || f->set->spare_unknown) && lateness(s) > SCHEDULE_GRACE_MS) {
		not_sent(f, s, SS_MISSED, "it came due while the daemon or the host was not up, or the clock was set past it");
		return;
	}
	FAULT_POINT("schedule.due");
	switch (give(f, entry, &err)) {
	case GIVEN:
		sent(f, s);
		return;
	case HELD:
		if (s->held_ms)
			return;
		s->held_ms = clock_wall_ms();
		schedule_reason(s, err.message);
		schedule_put(f, s);
		return;
	case REFUSED:
		log_info("core", s->instance, "schedule %s is not sent: %s", s->id, err.message);
		entry->started_for = 0; /* the next occurrence has the same number, and may start it anew */
		not_sent(f, s, SS_FAILED, err.message);
		return;
	}
}

/* ---- looking ---- */

static void on_alarm(void *arg)
{
	schedules_look(arg);
}

void schedules_look(struct fleet *f)
{
	struct schedules *x = schedules_of(f);
	int64_t next = INT64_MAX;

	if (!x->begun || f->closing)
		return;
	if (llabs(clock_wall_ms() - clock_boot_ms() - x->apart_ms) >= SET_MS)
		schedules_settle(f);
	x->held = 0;
	for (struct schedule_entry *entry = x->list; entry; entry = entry->next) {
		if (entry->s->status == SS_ACTIVE && schedule_left_ms(entry->s) <= 0)
			come_due(f, entry);
		if (entry->s->status != SS_ACTIVE)
			continue;
		int64_t left = schedule_left_ms(entry->s);
		x->held += entry->s->held_ms != 0;
		if (left > 0 && left < next)
			next = left;
	}
	schedules_sweep(f);
	if (!x->alarm && next != INT64_MAX)
		x->alarm = alarm_create(P(f)->loop, on_alarm, f);
	if (x->alarm)
		alarm_at(x->alarm, next == INT64_MAX ? 0 : clock_wall_ms() + next);
}

void schedules_look_soon(struct fleet *f)
{
	struct schedules *x = schedules_of(f);

	if (!x->soon)
		x->soon = loop_timer_create(P(f)->loop, on_alarm, f);
	loop_timer_start(x->soon, 0);
}

void schedules_moved(struct fleet *f)
{
	if (f->schedules && f->schedules->held)
		schedules_look_soon(f);
}

void schedules_begin(struct fleet *f)
{
	struct schedules *x = schedules_of(f);

	x->begun = true;
	schedules_settle(f);
	for (struct schedule_entry *entry = x->list; entry; entry = entry->next)
		if (!unit_find(f, entry->s->instance))
			schedule_end(f, entry->s, SS_CANCELLED, "its instance was removed");
	if (x->list)
		schedules_look_soon(f);
}
