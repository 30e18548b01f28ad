/* SPDX-License-Identifier: ISC */
/* Publishes events after commit; see bus.h for how a subscriber is fed. */
#include "daemon/bus/bus.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"

#define PAGE 200              /* events read from the store at a time */
#define ROOM_MIN (256 * 1024) /* a page is sent only while the queue has this much room */

struct bus_subscriber {
	struct bus *bus;
	struct bus_subscriber *next;
	int64_t cursor; /* last event it was sent */
	bool live;      /* caught up: fresh events go straight to it */
	const struct bus_ops *ops;
	void *arg;
};

struct bus {
	struct store *store;
	struct bus_subscriber *subs;
	struct loop_defer *pump;
};

static void drop_slow(struct bus_subscriber *s)
{
	const struct bus_ops *ops = s->ops;
	void *arg = s->arg;

	bus_unsubscribe(s);
	ops->too_slow(arg);
}

/* Sends pages until caught up (1), the queue is full enough (0), or it is lost (-1, dropped). */
static int feed(struct bus_subscriber *s)
{
	while (s->ops->room(s->arg) >= ROOM_MIN) {
		struct err err = {0};
		int64_t left = store_event_durable(s->bus->store) - s->cursor;
		size_t want = left > PAGE ? PAGE : left > 0 ? (size_t)left : 0, i;
		json_t *page, *ev;
		if (want == 0) {
			s->live = true; /* what is not on disk yet is published when it is */
			return 1;
		}
		page = store_events(s->bus->store, s->cursor, (int64_t)want, NULL, &err);
		if (!page) {
			log_error("bus", NULL, "events could not be read: %s", err.message);
			drop_slow(s);
			return -1;
		}
		ev = json_array_get(page, 0);
		/* A restore of the database leaves a gap in which there is nothing (store/files.h). */
		if (ev && json_integer_value(json_object_get(ev, "seq")) != s->cursor + 1 &&
			store_event_first(s->bus->store) > s->cursor + 1) {
			json_decref(page); /* so far behind that what it needs was trimmed */
			drop_slow(s);
			return -1;
		}
		json_array_foreach(page, i, ev) {
			if (s->ops->send(s->arg, ev) < 0) {
				json_decref(page);
				drop_slow(s);
				return -1;
			}
			s->cursor = json_integer_value(json_object_get(ev, "seq"));
		}
		i = json_array_size(page);
		json_decref(page);
		if (i < want) {
			s->live = true;
			return 1;
		}
	}
	return 0;
}

static void pump(void *arg)
{
	struct bus *b = arg;
	struct bus_subscriber *s, *next;

	for (s = b->subs; s; s = next) {
		next = s->next;
		if (!s->live)
			feed(s);
	}
}

struct bus *bus_create(struct loop *l, struct store *s)
{
	struct bus *b = xcalloc(1, sizeof(*b));

	b->store = s;
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

struct bus_subscriber *bus_subscribe(struct bus *b, int64_t since, const struct bus_ops *ops, void *arg)
{
	struct bus_subscriber *s = xcalloc(1, sizeof(*s));

	s->bus = b;
	s->cursor = since;
	s->ops = ops;
	s->arg = arg;
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
	free(s);
}

void bus_drained(struct bus_subscriber *s)
{
	if (!s->live)
		loop_defer_schedule(s->bus->pump);
}

void bus_publish(struct bus *b, const json_t *events)
{
	struct bus_subscriber *s, *next;

	for (s = b->subs; s; s = next) {
		json_t *ev;
		size_t i;
		bool gone = false;
		next = s->next;
		if (!s->live)
			continue;
		json_array_foreach(events, i, ev) {
			int64_t seq = json_integer_value(json_object_get(ev, "seq"));
			if (seq <= s->cursor)
				continue;
			if (s->ops->room(s->arg) < ROOM_MIN) {
				s->live = false; /* fed from the store when there is room */
				break;
			}
			if (s->ops->send(s->arg, ev) < 0) {
				gone = true;
				break;
			}
			s->cursor = seq;
			FAULT_POINT("events.told");
		}
		if (gone)
			drop_slow(s);
	}
}
