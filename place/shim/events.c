/* SPDX-License-Identifier: ISC */
/* What the daemon is told: numbered, kept until it says that it is durable, bounded. */
#include "place/shim/events.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/util.h"

#define EVENTS_WAITED_MS 100 /* of what went at once: not worth to be told */

struct event {
	struct event *next;
	uint64_t seq;
	bool report, step;
	bool waits; /* for company */
	int64_t ms; /* when it was told */
	size_t bytes;
	json_t *msg;
};

struct events {
	struct event *head, **tail;
	struct event *held; /* from here on they wait for company */
	int64_t steps_ms;   /* the daemon says that steps may wait so long */
	uint64_t other;     /* the last one that was no step */
	struct loop_timer *company;
	size_t count, bytes;
	uint64_t seq;
	uint64_t dropped;
	struct peer *daemon;
	void (*on_slow)(void *arg);
	void *arg;
};

static void send_held(struct events *ev);

static void on_company(void *arg)
{
	send_held(arg);
}

struct events *events_create(struct loop *l, void (*on_slow)(void *arg), void *arg)
{
	struct events *ev = xcalloc(1, sizeof(*ev));

	ev->tail = &ev->head;
	ev->on_slow = on_slow;
	ev->arg = arg;
	ev->company = loop_timer_create(l, on_company, ev);
	return ev;
}

static void unlink_event(struct events *ev, struct event **at)
{
	struct event *x = *at;

	*at = x->next;
	if (ev->held == x)
		ev->held = x->next;
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
	loop_timer_free(ev->company);
	free(ev);
}

static void send_event(struct events *ev, json_t *msg)
{
	if (!ev->daemon || peer_notify(ev->daemon, "event", json_incref(msg)) == 0)
		return;
	ev->daemon = NULL;
	ev->steps_ms = 0;
	ev->on_slow(ev->arg);
}

static void send_kept(struct events *ev, struct event *x)
{
	int64_t waited = clock_mono_ms() - x->ms;

	if (x->waits || waited >= EVENTS_WAITED_MS)
		json_object_set_new(x->msg, "waited_ms", json_integer((json_int_t)waited));
	send_event(ev, x->msg);
}

static void send_from(struct events *ev, struct event *x)
{
	struct peer *to = ev->daemon;

	if (to)
		peer_cork(to, true);
	for (; x && ev->daemon; x = x->next)
		send_kept(ev, x);
	if (ev->daemon)
		peer_cork(to, false);
}

static void send_held(struct events *ev)
{
	if (!ev->held)
		return;
	loop_timer_stop(ev->company);
	send_from(ev, take_ptr(ev->held));
}

void events_attach(struct events *ev, struct peer *daemon)
{
	ev->daemon = daemon;
	ev->held = NULL;
	ev->steps_ms = 0; /* the next one may know less than the one before */
	loop_timer_stop(ev->company);
	send_from(ev, ev->head);
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

static bool is_step(const struct event *x)
{
	return x->report && json_is_true(json_object_get(json_object_get(x->msg, "body"), "step"));
}

/* Kept only until they are acknowledged: long before anything has to go the daemon is asked to do so at once. */
static bool crowded(const struct events *ev)
{
	return ev->count > EVENTS_MAX / 4 || ev->bytes > EVENTS_BYTES_MAX / 4;
}

static struct event *keep(struct events *ev, const char *type, json_t *fields)
{
	struct event *x = xcalloc(1, sizeof(*x));

	x->seq = ++ev->seq;
	x->ms = clock_mono_ms();
	x->report = strcmp(type, "report") == 0;
	x->msg = message(x->seq, type, fields);
	x->step = is_step(x);
	if (ev->dropped) {
		json_object_set_new(x->msg, "dropped", json_integer((json_int_t)ev->dropped));
		ev->dropped = 0;
	}
	x->bytes = json_dumpb(x->msg, NULL, 0, JSON_COMPACT);
	*ev->tail = x;
	ev->tail = &x->next;
	ev->count++;
	ev->bytes += x->bytes;
	return x;
}

/* The newest of those that wait stands for all: they would change nothing. */
static void hold(struct events *ev, struct event *x)
{
	struct event **at = &ev->head;

	x->waits = true;
	if (!loop_timer_active(ev->company))
		loop_timer_start(ev->company, ev->steps_ms);
	if (ev->held->next != x || !json_equal(json_object_get(ev->held->msg, "instance"), json_object_get(x->msg, "instance")))
		return;
	while (*at != ev->held)
		at = &(*at)->next;
	unlink_event(ev, at);
}

void events_tell(struct events *ev, const char *type, json_t *fields)
{
	struct event *x = keep(ev, type, fields);
	bool now = crowded(ev);

	if (now)
		json_object_set_new(x->msg, "now", json_true());
	if (!x->step) {
		ev->other = x->seq;
		ev->steps_ms = 0;
	}
	FAULT_POINT("event");
	if (!ev->held)
		ev->held = x;
	if (now || !ev->steps_ms)
		send_held(ev);
	else
		hold(ev, x);
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
	send_held(ev);
	msg = message(0, type, fields);
	send_event(ev, msg);
	json_decref(msg);
}

void events_ack(struct events *ev, uint64_t seq, int64_t steps_wait_ms)
{
	while (ev->head && ev->head->seq <= seq)
		unlink_event(ev, &ev->head);
	/* What was told meanwhile it did not know yet. */
	ev->steps_ms = steps_wait_ms <= 0 || seq < ev->other ? 0
		       : steps_wait_ms < EVENTS_STEP_MS	     ? steps_wait_ms
							     : EVENTS_STEP_MS;
	if (!ev->steps_ms)
		send_held(ev);
}

uint64_t events_last(const struct events *ev)
{
	return ev->seq;
}
