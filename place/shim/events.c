/* SPDX-License-Identifier: ISC */
/* What the daemon is told: numbered, kept until it says that it is durable, bounded. */
#include "place/shim/events.h"

#include "base/fault.h"
#include "base/util.h"

struct event {
	struct event *next;
	uint64_t seq;
	bool report;
	size_t bytes;
	json_t *msg;
};

struct events {
	struct event *head, **tail;
	size_t count, bytes;
	uint64_t seq;
	uint64_t dropped;
	struct peer *daemon;
	void (*on_slow)(void *arg);
	void *arg;
};

struct events *events_create(void (*on_slow)(void *arg), void *arg)
{
	struct events *ev = xcalloc(1, sizeof(*ev));

	ev->tail = &ev->head;
	ev->on_slow = on_slow;
	ev->arg = arg;
	return ev;
}

static void unlink_event(struct events *ev, struct event **at)
{
	struct event *x = *at;

	*at = x->next;
	if (ev->tail == &x->next)
		ev->tail = at;
	ev->count--;
	ev->bytes -= x->bytes;
	json_decref(x->msg);
	free(x);
}

void events_destroy(struct events *ev)
{
	if (!ev)
		return;
	while (ev->head)
		unlink_event(ev, &ev->head);
	free(ev);
}

static void send_event(struct events *ev, json_t *msg)
{
	if (!ev->daemon || peer_notify(ev->daemon, "event", json_incref(msg)) == 0)
		return;
	ev->daemon = NULL;
	ev->on_slow(ev->arg);
}

void events_attach(struct events *ev, struct peer *daemon)
{
	struct event *x;

	ev->daemon = daemon;
	if (!daemon)
		return;
	for (x = ev->head; x && ev->daemon; x = x->next)
		send_event(ev, x->msg);
}

static json_t *message(uint64_t seq, const char *type, json_t *fields)
{
	json_t *msg = json_object();

	json_object_set_new(msg, "seq", json_integer((json_int_t)seq));
	json_object_set_new(msg, "type", json_string(type));
	if (fields)
		json_object_update(msg, fields);
	json_decref(fields);
	return msg;
}

/* Reports are what an agent can make many of: they go first; everything else only when all is full. */
static void make_room(struct events *ev)
{
	while (ev->count > EVENTS_MAX || ev->bytes > EVENTS_BYTES_MAX) {
		struct event **at = &ev->head;

		while (*at && !(*at)->report)
			at = &(*at)->next;
		unlink_event(ev, *at ? at : &ev->head);
		ev->dropped++;
	}
}

void events_tell(struct events *ev, const char *type, json_t *fields)
{
	struct event *x = xcalloc(1, sizeof(*x));

	x->seq = ++ev->seq;
	x->report = strcmp(type, "report") == 0;
	x->msg = message(x->seq, type, fields);
	if (ev->dropped) {
		json_object_set_new(x->msg, "dropped", json_integer((json_int_t)ev->dropped));
		ev->dropped = 0;
	}
	x->bytes = json_dumpb(x->msg, NULL, 0, JSON_COMPACT);
	*ev->tail = x;
	ev->tail = &x->next;
	ev->count++;
	ev->bytes += x->bytes;
	FAULT_POINT("event");
	send_event(ev, x->msg);
	FAULT_POINT("event.sent");
	make_room(ev);
}

void events_mention(struct events *ev, const char *type, json_t *fields)
{
	json_t *msg;

	if (!ev->daemon) {
		json_decref(fields);
		return;
	}
	msg = message(0, type, fields);
	send_event(ev, msg);
	json_decref(msg);
}

void events_ack(struct events *ev, uint64_t seq)
{
	while (ev->head && ev->head->seq <= seq)
		unlink_event(ev, &ev->head);
}

uint64_t events_last(const struct events *ev)
{
	return ev->seq;
}
