/* SPDX-License-Identifier: ISC */
/* Publishes events after commit; see bus.h for how a subscriber is fed. */
#include "daemon/bus/bus.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"

#define PAGE 200              /* events read from the store at a time */
#define ROOM_MIN (256 * 1024) /* a page is sent only while the queue has this much room */
/* Pages read in one turn of the loop, for all that lag: whoever reads a long past delays nobody. */
#define PAGES_A_TURN 16

struct bus_subscriber {
	struct bus *bus;
	struct bus_subscriber *next;
	int64_t cursor; /* last event it was sent, or did not want */
	int64_t told;   /* the last one that it knows of */
	bool live;      /* caught up: fresh events go straight to it */
	bool full;      /* its queue is: it is fed again when that drained */
	size_t room;    /* what its queue took when it was found full */
	struct loop_timer *patience;
	const struct bus_ops *ops;
	void *arg;
};

struct bus {
	struct loop *loop;
	struct store *store;
	struct bus_subscriber *subs;
	struct loop_defer *pump;
	int64_t patience_ms;
};

static void drop(struct bus_subscriber *s, const struct err *why)
{
	const struct bus_ops *ops = s->ops;
	void *arg = s->arg;
	int64_t cursor = s->cursor;

	bus_unsubscribe(s);
	ops->dropped(arg, why, cursor);
}

static void drop_slow(struct bus_subscriber *s)
{
	struct err why = {0};

	err_set(&why, ERR_BUSY, "events are not read as fast as they come: the queue of this subscription is full");
	err_hint(&why, "subscribe again with since %lld", (long long)s->cursor);
	drop(s, &why);
}

/* Its queue is full: it has so long to take some of it. */
static void wait_for_room(struct bus_subscriber *s)
{
	if (s->full)
		return;
	s->full = true;
	s->live = false;
	s->room = s->ops->room(s->arg);
	loop_timer_start(s->patience, s->bus->patience_ms);
}

static void out_of_patience(void *arg)
{
	struct bus_subscriber *s = arg;
	size_t room = s->ops->room(s->arg);

	if (room <= s->room) {
		drop_slow(s);
		return;
	}
	s->room = room;
	loop_timer_start(s->patience, s->bus->patience_ms);
}

static void tell_position(struct bus_subscriber *s)
{
	if (!s->ops->position || s->told == s->cursor)
		return;
	s->ops->position(s->arg, s->cursor);
	s->told = s->cursor;
}

/* 1 sent or not wanted, 0 there is no room now, -1 it was dropped. */
static int give(struct bus_subscriber *s, json_t *ev)
{
	int64_t seq = json_integer_value(json_object_get(ev, "seq"));

	if (s->ops->wants && !s->ops->wants(s->arg, ev)) {
		s->cursor = seq;
		if (seq - s->told >= BUS_POSITION_EVERY)
			tell_position(s);
		return 1;
	}
	if (s->ops->room(s->arg) < ROOM_MIN) {
		wait_for_room(s);
		return 0;
	}
	if (s->ops->send(s->arg, ev) < 0) {
		drop_slow(s);
		return -1;
	}
	s->cursor = s->told = seq;
	return 1;
}

/* Its next page; caught up, it is live. */
static void feed(struct bus_subscriber *s)
{
	struct err err = {0};
	int64_t left = store_event_durable(s->bus->store) - s->cursor;
	json_t *page = NULL, *ev;
	size_t i = 0, n;

	if (left > 0) {
		page = store_events(s->bus->store, s->cursor, left > PAGE ? PAGE : left, NULL, &err);
		ev = json_array_get(page, 0);
		if (!page)
			log_error("bus", NULL, "events could not be read: %s", err.message);
		/* A restore of the database leaves a gap in which there is nothing (store/files.h). */
		else if (json_integer_value(json_object_get(ev, "seq")) != s->cursor + 1 &&
			 store_event_first(s->bus->store) > s->cursor + 1)
			store_event_gone(s->bus->store, s->cursor, &err); /* what it needs was trimmed */
		if (err.code) {
			json_decref(page);
			drop(s, &err);
			return;
		}
	}
	json_array_foreach(page, i, ev) {
		/* Across a gap in the numbers a page reaches further than they say. */
		if (json_integer_value(json_object_get(ev, "seq")) > store_event_durable(s->bus->store))
			break;
		if (give(s, ev) > 0)
			continue;
		json_decref(page);
		return;
	}
	n = i; /* given */
	json_decref(page);
	if (n == PAGE)
		return;
	s->live = true; /* what is not on disk yet is published when it is */
	tell_position(s);
}

/* Those that lag get a page each, in turn. */
static void pump(void *arg)
{
	struct bus *b = arg;
	bool more = false;

	for (int pages = 0; pages < PAGES_A_TURN; pages++) {
		struct bus_subscriber **pp = &b->subs, *s, **end;
		while (*pp && ((*pp)->live || (*pp)->full))
			pp = &(*pp)->next;
		s = *pp;
		if (!s)
			return;
		*pp = s->next; /* to the end of the row */
		for (end = &b->subs; *end; end = &(*end)->next)
			;
		s->next = NULL;
		*end = s;
		feed(s);
	}
	for (const struct bus_subscriber *s = b->subs; s && !more; s = s->next)
		more = !s->live && !s->full;
	if (more)
		loop_defer_schedule(b->pump);
}

struct bus *bus_create(struct loop *l, struct store *s)
{
	struct bus *b = xcalloc(1, sizeof(*b));

	b->loop = l;
	b->store = s;
	b->patience_ms = BUS_PATIENCE_MS;
	b->pump = loop_defer_create(l, pump, b);
	return b;
}

void bus_destroy(struct bus *b)
{
	if (!b)
		return;
	while (b->subs)
		bus_unsubscribe(b->subs);
	loop_defer_free(b->pump);
	free(b);
}

void bus_patience(struct bus *b, int64_t ms)
{
	b->patience_ms = ms > 0 ? ms : BUS_PATIENCE_MS;
}

struct bus_subscriber *bus_subscribe(struct bus *b, int64_t since, const struct bus_ops *ops, void *arg)
{
	struct bus_subscriber *s = xcalloc(1, sizeof(*s));

	s->bus = b;
	s->cursor = s->told = since;
	s->ops = ops;
	s->arg = arg;
	s->patience = loop_timer_create(b->loop, out_of_patience, s);
	s->next = b->subs;
	b->subs = s;
	loop_defer_schedule(b->pump);
	return s;
}

void bus_unsubscribe(struct bus_subscriber *s)
{
	struct bus_subscriber **pp;

	if (!s)
		return;
	for (pp = &s->bus->subs; *pp != s; pp = &(*pp)->next)
		;
	*pp = s->next;
	loop_timer_free(s->patience);
	free(s);
}

void bus_drained(struct bus_subscriber *s)
{
	s->full = false;
	loop_timer_stop(s->patience);
	if (!s->live)
		loop_defer_schedule(s->bus->pump);
}

void bus_publish(struct bus *b, const json_t *events)
{
	struct bus_subscriber *s, *next;

	for (s = b->subs; s; s = next) {
		json_t *ev;
		size_t i;
		next = s->next;
		if (!s->live)
			continue;
		json_array_foreach(events, i, ev) {
			if (json_integer_value(json_object_get(ev, "seq")) <= s->cursor)
				continue;
			if (give(s, ev) <= 0)
				break; /* fed from the store when there is room */
			FAULT_POINT("events.told");
		}
	}
}

size_t bus_count(const struct bus *b)
{
	size_t n = 0;

	for (const struct bus_subscriber *s = b->subs; s; s = s->next)
		n++;
	return n;
}
