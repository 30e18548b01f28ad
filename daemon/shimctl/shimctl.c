/* SPDX-License-Identifier: ISC */
/*
 * The daemon's end of one shim.
 *
 *   DOWN --start--> FINDING --socket there--> GREETING --answer to hello--> UP
 *   DOWN --adopt----------------------------> GREETING
 *   any but DOWN --closed, ended, deadline--> DOWN, on_lost
 *
 *   GREETING --closed, and start was asked for, and none was started yet--> FINDING
 *
 * FINDING waits for the socket in the place's folder (find.h). One deadline covers finding and greeting.
 * A shim that listens already is connected to instead of starting a second one; one that is just dying
 * may still take the connection, so when that one closes, a new one is started after all.
 *
 * A shim that is stopped, or loops, keeps its socket and answers nothing. When a call was made and nothing at all
 * was heard for SHIM_PULSE_MS, it is asked for its statistics, which need nobody else; without an answer
 * within SHIM_PING_MS it is killed, and on_lost says so: another takes its place, and the agent goes on.
 */
#include "daemon/shimctl/shimctl.h"

#include <signal.h>
#include <string.h>

#include "base/fault.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/shimctl/child.h"
#include "daemon/shimctl/find.h"

#define SHIM_SOCKET "shim.sock"

enum shim_state { DOWN, FINDING, GREETING, UP };

/* A call made while there was no connection: it fails from the loop. */
struct dead_call {
	struct dead_call *next;
	peer_reply_fn *fn;
	void *arg;
};

struct shimctl {
	struct loop *loop;
	char *dir, *socket;
	const struct shimctl_ops *ops;
	void *arg;
	enum shim_state state;
	struct peer *peer;
	struct find *find;
	struct loop_timer *deadline;
	struct loop_defer *defer;
	struct dead_call *dead;
	struct shim_child *child;
	bool may_spawn; /* greeted one that was there, though one was to be started */
	bool lose;      /* on_lost with `why` is due */
	struct err why;
	pid_t pid;      /* who listens; with its start time, for killing it */
	uint64_t start;
	struct loop_timer *pulse;
	uint64_t heard; /* when the pulse began */
	bool called;    /* since then */
	bool wedged;    /* the ping's deadline passed; looked at once what has arrived was read */
};

/* Everything of the present connection goes; the owner may destroy c in on_lost, so nothing follows. */
static void lost(struct shimctl *c, const struct err *why)
{
	struct err copy = *why;

	c->state = DOWN;
	c->lose = false;
	find_stop(c->find);
	loop_timer_stop(c->deadline);
	loop_timer_stop(c->pulse);
	c->wedged = false;
	shim_child_leave(take_ptr(c->child));
	peer_destroy(take_ptr(c->peer));
	c->ops->on_lost(c->arg, &copy);
}

static void lose_soon(struct shimctl *c, const struct err *why)
{
	c->lose = true;
	c->why = *why;
	loop_defer_schedule(c->defer);
}

static void kill_shim(const struct shimctl *c)
{
	if (c->child) /* ours, and not yet reaped */
		kill(shim_child_pid(c->child), SIGKILL);
	else if (c->pid > 1 && c->start && proc_start_time(c->pid) == c->start)
		kill(c->pid, SIGKILL);
}

static void on_deadline(void *arg)
{
	struct shimctl *c = arg;
	struct err e = {0};
	char said[SHIM_SAID_MAX];

	shim_said(c->dir, said, sizeof(said));
	err_set(&e, ERR_TIMEOUT, "the shim of %s did not answer within %d s%s", c->dir,
		SHIM_CONNECT_MS / 1000, said);
	err_hint(&e, "see %s/" SHIM_LOG, c->dir);
	kill_shim(c); /* of no use, and it would be in the next one's way */
	lost(c, &e);
}

static void on_defer(void *arg)
{
	struct shimctl *c = arg;

	if (c->dead) {
		struct dead_call *d = c->dead;
		peer_reply_fn *fn = d->fn;
		void *fn_arg = d->arg;
		struct err e = {0};
		c->dead = d->next;
		free(d);
		if (c->dead || c->lose)
			loop_defer_schedule(c->defer);
		err_set(&e, ERR_UNAVAILABLE, "the place's shim is not connected");
		err_hint(&e, "it is being replaced; try again, and see `tmux-claude logs` if it stays so");
		fn(fn_arg, NULL, &e);
		return;
	}
	if (c->lose) {
		lost(c, &c->why);
		return;
	}
	if (c->wedged && c->state == UP && peer_heard(c->peer) == c->heard)
		kill_shim(c); /* on_close follows, and fails what waits for it */
	c->wedged = false;
}

static void on_pong(void *arg, json_t *result, const struct err *error)
{
	struct shimctl *c = arg;

	(void)result;
	/* The deadline may have passed because we were stopped ourselves: the verdict falls at the turn's end. */
	if (error && error->code == ERR_TIMEOUT) {
		c->wedged = true;
		loop_defer_schedule(c->defer);
	}
}

static void on_pulse(void *arg)
{
	struct shimctl *c = arg;

	if (c->state != UP)
		return;
	if (peer_heard(c->peer) == c->heard) {
		peer_call(c->peer, "stats", NULL, SHIM_PING_MS, on_pong, c);
	} else if (c->called) {
		c->heard = peer_heard(c->peer);
		c->called = false;
		loop_timer_start(c->pulse, SHIM_PULSE_MS);
	}
}

static int spawn_and_find(struct shimctl *c, struct err *e);

static void on_notification(void *arg, const char *method, json_t *params)
{
	struct shimctl *c = arg;
	const json_t *seq = json_object_get(params, "seq");
	const char *type = json_string_value(json_object_get(params, "type"));

	/* Everything else is from a shim that knows more than we do. */
	if (c->state != UP || strcmp(method, "event") != 0 || !type || !json_is_integer(seq) ||
		json_integer_value(seq) < 0)
		return;
	c->ops->on_event(c->arg, (uint64_t)json_integer_value(seq), type, params);
}

static void on_close(void *arg, const char *reason)
{
	struct shimctl *c = arg;
	struct err e = {0};
	char said[SHIM_SAID_MAX];

	if (c->state == GREETING && c->may_spawn) {
		peer_destroy(take_ptr(c->peer));
		if (spawn_and_find(c, &e))
			lost(c, &e);
		return;
	}
	shim_said(c->dir, said, sizeof(said));
	err_set(&e, ERR_UNREACHABLE, "the shim of %s closed its connection%s%s%s", c->dir,
		*reason ? ": " : "", reason, said);
	lost(c, &e);
}

static const struct peer_ops peer_ops = {
	.on_notification = on_notification,
	.on_close = on_close,
};

static void on_hello(void *arg, json_t *result, const struct err *error)
{
	struct shimctl *c = arg;

	/* A connection that ended is told by on_close, right after this. */
	if (error && error->code == ERR_UNREACHABLE)
		return;
	if (error) {
		struct err e = *error;
		err_prefix(&e, "the shim of %s refused us", c->dir);
		lose_soon(c, &e);
		return;
	}
	loop_timer_stop(c->deadline);
	c->state = UP;
	FAULT_POINT("shim.connected");
	c->ops->on_hello(c->arg, result);
	FAULT_POINT("shim.hello_heard");
}

/* Connects and says hello. -1 when nobody listens (yet) or it is not ours to connect to. */
static int greet(struct shimctl *c, struct err *e)
{
	struct ucred who = {0};
	int fd;

	if (sock_connect(c->socket, &fd, e))
		return -1;
	sock_peer(fd, &who, NULL);
	c->pid = who.pid;
	c->start = who.pid > 1 ? proc_start_time(who.pid) : 0;
	find_stop(c->find);
	c->state = GREETING;
	c->peer = peer_create(c->loop, fd, 0, &peer_ops, c);
	if (!loop_timer_active(c->deadline))
		loop_timer_start(c->deadline, SHIM_CONNECT_MS);
	peer_call(c->peer, "hello", json_pack("{s:s}", "role", "control"), 2 * SHIM_CONNECT_MS,
		on_hello, c);
	FAULT_POINT("shim.greeted");
	return 0;
}

static void on_child(void *arg, struct proc_status st)
{
	struct shimctl *c = arg;
	struct err e = {0};
	char said[SHIM_SAID_MAX];

	c->child = NULL;
	/* With a connection, its end tells; what was sent before is still to be read. */
	if (c->state != FINDING)
		return;
	shim_said(c->dir, said, sizeof(said));
	if (st.signal)
		err_set(&e, ERR_FAILED, "the shim of %s was ended by signal %d%s", c->dir, st.signal,
			said);
	else
		err_set(&e, ERR_FAILED, "the shim of %s ended with code %d%s", c->dir, st.code, said);
	err_hint(&e, "see %s/" SHIM_LOG, c->dir);
	lost(c, &e);
}

static void on_found(void *arg)
{
	greet(arg, NULL);
}

static int spawn_and_find(struct shimctl *c, struct err *e)
{
	c->may_spawn = false;
	if (find_start(c->find, e))
		return -1;
	c->child = shim_child_start(c->loop, c->dir, on_child, c, e);
	if (!c->child) {
		find_stop(c->find);
		return -1;
	}
	c->state = FINDING;
	loop_timer_start(c->deadline, SHIM_CONNECT_MS);
	return 0;
}

struct shimctl *shimctl_create(struct loop *l, const char *place_dir, const struct shimctl_ops *ops,
	void *arg)
{
	struct shimctl *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->dir = xstrdup(place_dir);
	c->socket = xasprintf("%s/" SHIM_SOCKET, place_dir);
	c->ops = ops;
	c->arg = arg;
	c->deadline = loop_timer_create(l, on_deadline, c);
	c->defer = loop_defer_create(l, on_defer, c);
	c->pulse = loop_timer_create(l, on_pulse, c);
	c->find = find_create(l, place_dir, SHIM_SOCKET, on_found, c);
	return c;
}

void shimctl_destroy(struct shimctl *c)
{
	if (!c)
		return;
	find_stop(c->find);
	shim_child_leave(c->child);
	peer_destroy(c->peer);
	loop_timer_free(c->deadline);
	loop_timer_free(c->pulse);
	find_destroy(c->find);
	loop_defer_free(c->defer);
	while (c->dead) {
		struct dead_call *d = c->dead;
		c->dead = d->next;
		free(d);
	}
	free(c->dir);
	free(c->socket);
	free(c);
}

void shimctl_drop(struct shimctl *c)
{
	struct dead_call *dead = take_ptr(c->dead), *d;
	struct err e = {0};

	err_set(&e, ERR_UNREACHABLE, "the place has ended");
	if (c->peer)
		peer_fail_calls(c->peer, &e);
	while ((d = dead)) {
		dead = d->next;
		d->fn(d->arg, NULL, &e);
		free(d);
	}
	shimctl_destroy(c);
}

void shimctl_finish(void)
{
	shim_children_finish();
	find_finish();
}

int shimctl_start(struct shimctl *c, struct err *e)
{
	if (c->state != DOWN)
		return err_set(e, ERR_STATE, "the shim of %s is started or connected already", c->dir);
	c->lose = false;
	c->may_spawn = true;
	return greet(c, NULL) == 0 ? 0 : spawn_and_find(c, e);
}

void shimctl_adopt(struct shimctl *c)
{
	struct err e = {0};

	if (c->state != DOWN)
		return;
	c->lose = c->may_spawn = false;
	if (greet(c, &e))
		lose_soon(c, &e);
}

bool shimctl_connected(const struct shimctl *c)
{
	return c->state == UP;
}

void shimctl_call(struct shimctl *c, const char *method, json_t *params, int64_t ms,
	peer_reply_fn *fn, void *arg)
{
	if (c->state == UP) {
		peer_call(c->peer, method, params, ms, fn, arg);
		if (!loop_timer_active(c->pulse)) {
			c->heard = peer_heard(c->peer);
			c->called = false;
			loop_timer_start(c->pulse, SHIM_PULSE_MS);
		} else {
			c->called = true;
		}
		return;
	}
	struct dead_call *d = xcalloc(1, sizeof(*d)), **end = &c->dead;
	*d = (struct dead_call){.fn = fn, .arg = arg};
	while (*end)
		end = &(*end)->next;
	*end = d;
	json_decref(params);
	loop_defer_schedule(c->defer);
}

void shimctl_ack(struct shimctl *c, uint64_t seq, int64_t steps_wait_ms)
{
	FAULT_POINT("shim.ack");
	if (c->state == UP && seq)
		peer_notify(c->peer, "ack", json_pack("{s:I, s:I}", "seq", (json_int_t)seq, "steps_wait_ms",
			(json_int_t)steps_wait_ms));
	FAULT_POINT("shim.acked");
}

size_t shimctl_out_pending(const struct shimctl *c)
{
	return c->peer ? peer_out_pending(c->peer) : 0;
}

void shimctl_api_reply(struct shimctl *c, json_int_t conn, json_t *msg)
{
	if (c->state == UP)
		peer_notify(c->peer, "api_reply", json_pack("{s:I, s:o}", "conn", conn, "msg", msg));
	else
		json_decref(msg);
}
