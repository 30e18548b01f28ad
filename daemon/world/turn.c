/* SPDX-License-Identifier: ISC */
/* One turn of the loop is one transaction; see turn.h. */
#include "daemon/world/turn.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/world/age.h"

/* What is kept of the past, and the steps in which it is trimmed while it grows: twice as much goes as
 * comes, so that a fleet's backlog shrinks, too. */
#define TRIM_EVERY 32
#define TRIM_STEP (2 * TRIM_EVERY)

struct after {
	struct after *next;
	port_done_fn *fn;
	void *arg;
};

struct turn {
	struct store *store;
	struct bus *bus;
	struct loop_defer *defer;
	struct loop_timer *lazy_timer;
	int64_t held_since; /* 0: nothing is held back */
	bool lazy;
	uint64_t writes;
	struct after *first, **last;
	json_t *events;
	struct err failed;
	struct events_keep keep;
	struct age age;
	void (*broken)(void *arg, const struct err *why);
	void *broken_arg;
	struct err over; /* why nothing is made durable any more */
};

/* How often a lock that somebody else has is tried, and for how long: then everybody of these turns hears who has it. */
#define HELD_RETRY_MS 25
#define HELD_MOST_MS 10000

static void turn_end(void *arg);
static void lazy_over(void *arg);

struct turn *turn_create(struct loop *l, struct store *s, struct bus *b)
{
	struct turn *t = xcalloc(1, sizeof(*t));

	t->store = s;
	t->bus = b;
	t->last = &t->first;
	t->keep.events = EVENTS_KEPT;
	t->events = json_array();
	age_init(&t->age, store_event_last_ms(s), clock_boot_ms(), clock_wall_ms());
	t->defer = loop_defer_create(l, turn_end, t);
	t->lazy_timer = loop_timer_create(l, lazy_over, t);
	return t;
}

void turn_destroy(struct turn *t)
{
	if (!t)
		return;
	while (t->first) {
		struct after *a = t->first;
		t->first = a->next;
		free(a);
	}
	loop_defer_free(t->defer);
	loop_timer_free(t->lazy_timer);
	json_decref(t->events);
	free(t);
}

void turn_failed(struct turn *t, const struct err *e)
{
	if (store_damage(t->store))
		return; /* only looked at: what would be kept of that (the audit, notices) is not */
	if (!t->failed.code)
		t->failed = *e;
	turn_touch(t);
}

uint64_t turn_writes(const struct turn *t)
{
	return t->writes;
}

void turn_touch(struct turn *t)
{
	t->writes++;
	if (!t->lazy || t->failed.code)
		loop_defer_schedule(t->defer);
	else if (!loop_timer_active(t->lazy_timer))
		loop_timer_start(t->lazy_timer, TURN_LAZY_MS);
}

void turn_keep(struct turn *t, const struct events_keep *keep)
{
	t->keep = *keep;
}

void turn_lazily(struct turn *t, bool lazy)
{
	t->lazy = lazy;
}

static void lazy_over(void *arg)
{
	loop_defer_schedule(((struct turn *)arg)->defer);
}

void turn_then(struct turn *t, port_done_fn *fn, void *arg)
{
	struct after *a = xcalloc(1, sizeof(*a));

	a->fn = fn;
	a->arg = arg;
	*t->last = a;
	t->last = &a->next;
}

void turn_after(struct turn *t, port_done_fn *fn, void *arg)
{
	turn_then(t, fn, arg);
	loop_defer_schedule(t->defer);
}

int64_t turn_age_now(struct turn *t)
{
	return age_now(&t->age, clock_boot_ms(), clock_wall_ms());
}

void turn_event(struct turn *t, enum event_id type, const char *instance, const char *place,
	json_t *data)
{
	int64_t seq, now = clock_wall_ms();
	char iso[CLOCK_ISO_MAX];
	struct err err = {0};

	if (store_event_add(t->store, type, instance, place, now, data, &seq, &err) < 0 ||
		(seq % TRIM_EVERY == 0 && store_events_trim(t->store, &t->keep, turn_age_now(t), TRIM_STEP, &err) < 0)) {
		turn_failed(t, &err);
		json_decref(data);
		return;
	}
	json_array_append_new(t->events,
		json_pack("{s:I, s:s, s:s, s:s?, s:s?, s:o}", "seq", (json_int_t)seq, "time",
			clock_iso(now, iso), "type", event_name(type), "instance", instance, "place", place,
			"data", data ? data : json_object()));
	turn_touch(t);
}

void turn_break(struct turn *t, const struct err *why)
{
	if (t->broken)
		t->broken(t->broken_arg, why);
	t->broken = NULL;
}

/* One round: what the callbacks write belongs to the next. */
static void round_once(struct turn *t)
{
	struct after *list = t->first;
	json_t *events = t->events;
	struct err err = t->failed;

	loop_timer_stop(t->lazy_timer);
	t->held_since = 0;
	t->first = NULL;
	t->last = &t->first;
	t->events = json_array();
	err_clear(&t->failed);
	/* Memory is ahead of the disk: what the daemon still does on its way out (callers that go away) would be written of
	 * things that are not there. */
	if (t->over.code)
		err = t->over;
	if (err.code)
		store_rollback(t->store);
	else if (store_dirty(t->store) && store_commit(t->store, &err) < 0)
		store_rollback(t->store);
	if (err.code) {
		if (!t->over.code)
			log_error("store", NULL, "a change could not be made durable: %s", err.message);
		t->over = err;
		turn_break(t, &err);
	} else {
		FAULT_POINT("events.publish");
		bus_publish(t->bus, events);
		FAULT_POINT("events.published");
	}
	json_decref(events);
	while (list) {
		struct after *a = list;
		list = a->next;
		FAULT_POINT("turn.effect");
		a->fn(a->arg, err.code ? &err : NULL);
		free(a);
	}
}

/*
 * Somebody else has the database's write lock. The turn waits, and those that follow with it, as one transaction: nobody is
 * answered, nothing is published or begun. The loop goes on meanwhile. True while it is to wait longer.
 */
static bool held_back(struct turn *t)
{
	struct err err = {0};

	if (t->failed.code || !store_held(t->store))
		return false;
	if (!t->held_since) {
		t->held_since = clock_mono_ms();
		log_warn("store", NULL, "the database is locked by another program; changes wait");
	}
	if (store_resume(t->store, 0, &err) == 0)
		return false;
	if (err.code == ERR_BUSY && clock_mono_ms() - t->held_since < HELD_MOST_MS) {
		loop_timer_start(t->lazy_timer, HELD_RETRY_MS);
		return true;
	}
	t->failed = err;
	return false;
}

static bool work_left(const struct turn *t)
{
	return t->first || t->failed.code || store_dirty(t->store);
}

static void turn_end(void *arg)
{
	struct turn *t = arg;

	if (held_back(t))
		return;
	round_once(t);
	if (work_left(t))
		turn_touch(t);
}

void turn_flush(struct turn *t)
{
	while (work_left(t)) {
		struct err err = {0};

		if (!t->failed.code && store_held(t->store) && store_resume(t->store, HELD_MOST_MS, &err) < 0)
			t->failed = err;
		round_once(t);
	}
}

void turn_on_broken(struct turn *t, void (*fn)(void *arg, const struct err *why), void *arg)
{
	t->broken = fn;
	t->broken_arg = arg;
}
