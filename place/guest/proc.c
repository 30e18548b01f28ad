/* SPDX-License-Identifier: ISC */
/*
 * Programs with a terminal that outlive their shim.
 *
 * Theory of operation. A proc is made by a `run` stream and lives until its exit was acknowledged on
 * whatever stream carries it then. Its output is counted from 0: `next` is behind what was read from
 * the terminal. While a stream carries it, the link keeps what is not acknowledged; when that stream
 * is reset (another shim came), these bytes are taken back into `held`, where reading goes on. An
 * `attach` says how much of it the new shim has already, and the rest is sent again. At most
 * PROC_KEEP_MAX bytes are kept either way: then the terminal is not read, and the program waits.
 *
 * We keep an end of the terminal open ourselves, so that reading never fails while the program lives
 * (it may close all its own ends for a moment); after its exit what is left in the terminal is read,
 * then the exit is told, then the terminal is closed, which hangs up what still holds it.
 */
#include "place/guest/proc.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/util.h"
#include "ipc/rpc.h"
#include "place/guest/api.h"
#include "place/guest/enter.h"
#include "place/guest/ending.h"
#include "place/guest/flow.h"
#include "place/guest/session.h"
#include "place/guest/setup.h"
#include "place/guest/spawn.h"
#include "place/guest/watch.h"

#define LOOK_SOON_MS 50   /* after the first output: what is in the foreground now? */
#define LOOK_AGAIN_MS 300 /* and then, as long as there is output, and once when it is quiet */

struct proc {
	struct proc *next;
	struct guest *guest;
	char id[PROC_ID_MAX + 1];
	pid_t pid;
	int master, slave;
	struct tap *tap;
	struct sink *sink;
	struct api *api;
	struct session *session; /* NULL: its program keeps no such file */
	struct entering *entering; /* its start goes on */
	struct loop_child *child;
	struct loop_timer *look;
	struct link_stream *stream;
	struct buf held;      /* unacknowledged output while no stream carries it */
	uint64_t read;        /* output so far */
	size_t input_pending; /* in the sink */
	size_t input_stale;   /* of it, what came on an earlier stream */
	bool exited, done;    /* done: all output was read, the terminal is closed */
	struct proc_status status;
	bool *failed; /* set when the start failed and this is freed */
	bool looked, stirred, canonical, foreground;
};

bool proc_id_valid(const char *id)
{
	size_t n = strlen(id);

	return n > 0 && n <= PROC_ID_MAX &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

/* --- streams that only have an error to tell --- */

static void fail_on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	(void)arg;
	(void)msg;
	link_close(s);
}

static void fail_on_acked(void *arg, struct link_stream *s)
{
	(void)arg;
	if (link_acked(s) == link_queued(s))
		link_close(s);
}

static void fail_on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	(void)arg;
	(void)s;
	(void)why;
}

void stream_fail(struct link_stream *s, const struct err *why)
{
	static const struct link_stream_ops ops = { .on_fin = fail_on_fin, .on_acked = fail_on_acked,
		.on_reset = fail_on_reset };

	link_accept(s, &ops, NULL);
	link_send_ctl(s, json_pack("{s:o}", "error", err_to_json(why)));
	link_send_fin(s, json_pack("{s:o}", "error", err_to_json(why)));
}

/* --- life --- */

static struct proc *proc_find(struct guest *g, const char *id)
{
	struct proc *p;

	for (p = g->procs; p && strcmp(p->id, id) != 0; p = p->next)
		;
	return p;
}

static void terminal_close(struct proc *p)
{
	tap_destroy(p->tap);
	sink_destroy(p->sink);
	p->tap = NULL;
	p->sink = NULL;
	p->input_pending = p->input_stale = 0;
	if (p->slave >= 0)
		close(p->slave);
	if (p->master >= 0)
		close(p->master);
	p->slave = p->master = -1;
	loop_timer_stop(p->look);
	session_destroy(p->session);
	p->session = NULL;
	api_destroy(p->api);
	p->api = NULL;
}

static void proc_free(struct proc *p)
{
	struct proc **at = &p->guest->procs;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	terminal_close(p);
	entering_destroy(p->entering);
	loop_child_free(p->child);
	loop_timer_free(p->look);
	buf_finish(&p->held);
	free(p);
}

/* --- the terminal's state, for who cannot see it --- */

static void stirred(struct proc *p)
{
	p->stirred = true;
	watch_nudge(p->guest);
	if (!loop_timer_active(p->look))
		loop_timer_start(p->look, LOOK_SOON_MS);
}

static json_t *look(struct proc *p)
{
	struct termios t;
	pid_t group = 0;

	if (tcgetattr(p->master, &t) == 0)
		p->canonical = t.c_lflag & ICANON;
	if (ioctl(p->master, TIOCGPGRP, &group) == 0)
		p->foreground = group == p->pid;
	return json_pack("{s:b, s:b}", "canonical", p->canonical, "foreground", p->foreground);
}

static void on_look(void *arg)
{
	struct proc *p = arg;
	bool canonical = p->canonical, foreground = p->foreground;
	json_t *tty = look(p);

	if (p->stream && (p->canonical != canonical || p->foreground != foreground))
		link_send_ctl(p->stream, json_pack("{s:o}", "tty", tty));
	else
		json_decref(tty);
	if (p->stirred)
		loop_timer_start(p->look, LOOK_AGAIN_MS);
	else
		guest_tidy();
	p->stirred = false;
}

/* --- output and the end --- */

static size_t tap_room(void *arg)
{
	struct proc *p = arg;

	if (p->stream)
		return link_room(p->stream);
	return p->held.len < PROC_KEEP_MAX ? PROC_KEEP_MAX - p->held.len : 0;
}

static void tap_bytes(void *arg, const void *data, size_t len)
{
	struct proc *p = arg;

	p->read += len;
	if (p->stream)
		link_send(p->stream, data, len);
	else
		buf_append(&p->held, data, len);
	stirred(p);
}

static void send_exit(struct proc *p)
{
	if (p->done && p->stream && !link_fin_sent(p->stream))
		link_send_fin(p->stream,
			json_pack("{s:i, s:i}", "code", p->status.code, "signal", p->status.signal));
}

static void try_finish(struct proc *p)
{
	if (!p->exited || p->done || !tap_drain(p->tap))
		return;
	p->done = true;
	terminal_close(p);
	send_exit(p);
}

static void tap_end(void *arg)
{
	/* Only after the exit: until then we hold an end of the terminal ourselves. */
	try_finish(arg);
}

static const struct tap_ops tap_ops = { .room = tap_room, .bytes = tap_bytes, .end = tap_end };

static void on_exit_status(void *arg, pid_t pid, struct proc_status status)
{
	struct proc *p = arg;
	bool failed;

	(void)pid;
	p->child = NULL;
	p->exited = true;
	if (p->entering) { /* all it had to say is said */
		p->failed = &failed;
		failed = false;
		entering_settle(p->entering);
		if (failed)
			return;
		p->failed = NULL;
	}
	p->status = status;
	close(p->slave);
	p->slave = -1;
	try_finish(p);
}

/* --- input --- */

static void on_taken(void *arg, size_t n)
{
	struct proc *p = arg;
	size_t stale = n < p->input_stale ? n : p->input_stale;

	p->input_pending -= n;
	p->input_stale -= stale;
	if (p->stream && n > stale)
		link_consumed(p->stream, n - stale);
}

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct proc *p = arg;

	if (!p->sink) {
		link_consumed(s, len);
		return;
	}
	p->input_pending += len;
	stirred(p);
	sink_write(p->sink, data, len); /* within the window: it has room */
}

/* The shim calls back what the terminal did not take: it hears exactly how much of its own that was. */
static void drop_input(struct proc *p, struct link_stream *s)
{
	size_t n = p->sink ? sink_drop(p->sink) : 0, stale = p->input_stale;

	link_send_ctl(s, json_pack("{s:I}", "dropped", (json_int_t)(n - (stale < n ? stale : n))));
	on_taken(p, n);
}

/* What the terminal took and the program has not read. */
static int unread(const struct proc *p)
{
	struct pollfd look = {.fd = p->slave, .events = POLLIN};
	int n = 0;

	/* What was just written is on its way to the terminal's buffer by a worker of the kernel's, and is not counted
	 * before it came: on a busy machine a paste counted as read, and its Enter came in one read with it. poll waits for
	 * that worker (drivers/tty/n_tty.c, n_tty_poll). */
	if (p->slave >= 0)
		poll(&look, 1, 0);
	return p->slave >= 0 && ioctl(p->slave, FIONREAD, &n) == 0 ? n : 0;
}

static void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct proc *p = arg;
	json_t *size = json_object_get(msg, "resize");

	if (json_is_true(json_object_get(msg, "drop")))
		drop_input(p, s);
	if (p->exited)
		return;
	if (json_is_true(json_object_get(msg, "look")) && p->master >= 0)
		link_send_ctl(s, json_pack("{s:o, s:b, s:i}", "tty", look(p), "look", 1, "unread", unread(p)));
	if (json_is_array(size)) {
		struct winsize ws = {
			.ws_row = (unsigned short)json_integer_value(json_array_get(size, 0)),
			.ws_col = (unsigned short)json_integer_value(json_array_get(size, 1)) };
		if (ws.ws_row && ws.ws_col)
			ioctl(p->master, TIOCSWINSZ, &ws);
	}
	if (json_object_get(msg, "signal"))
		spawn_signal(msg, p->pid, p->master, false);
}

/* --- the stream --- */

static void hold(void *arg, const void *data, size_t len)
{
	struct proc *p = arg;

	buf_append(&p->held, data, len);
}

/* Takes back what the peer has not acknowledged. */
static void detached(struct proc *p)
{
	link_unacked(p->stream, hold, p);
	p->stream = NULL;
	p->input_stale = p->input_pending;
	if (p->tap)
		tap_update(p->tap);
}

static void on_acked(void *arg, struct link_stream *s)
{
	struct proc *p = arg;

	if (p->done && link_fin_sent(s) && link_acked(s) == link_queued(s)) {
		struct guest *g = p->guest;
		link_close(s);
		proc_free(p);
		ending_look(g);
		return;
	}
	if (p->tap)
		tap_update(p->tap);
	try_finish(p);
}

static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	/* The shim has nothing more to say; we may have. */
	(void)arg;
	(void)s;
	(void)msg;
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	(void)s;
	(void)why;
	detached(arg);
}

static const struct link_stream_ops stream_ops = { .on_data = on_data, .on_ctl = on_ctl,
	.on_fin = on_fin, .on_acked = on_acked, .on_reset = on_reset };

static int make_room(struct guest *g, const char *id, struct err *e)
{
	struct proc *p = proc_find(g, id), *old = NULL;
	size_t n = 0;

	if (p && !p->done)
		return err_set(e, ERR_EXISTS, "%s runs already", id);
	if (p) {
		if (p->stream)
			link_reset(p->stream, NULL);
		proc_free(p);
	}
	for (p = g->procs; p; p = p->next, n++)
		if (p->done && !p->stream)
			old = p;
	if (n < PROCS_MAX)
		return 0;
	if (!old)
		return err_set(e, ERR_LIMIT, "a place runs at most %d terminals", PROCS_MAX);
	proc_free(old);
	return 0;
}

static struct proc *proc_new(struct guest *g, const char *id)
{
	struct proc *p = xcalloc(1, sizeof(*p));

	p->guest = g;
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->master = p->slave = -1;
	p->canonical = p->foreground = true;
	buf_init(&p->held, PROC_KEEP_MAX);
	p->look = loop_timer_create(g->loop, on_look, p);
	p->next = g->procs;
	g->procs = p;
	return p;
}

static void say_started(struct proc *p);

/* Its start has come to its end (in a machine, where it goes on beside us). */
static void on_entered(void *arg, const struct err *why)
{
	struct proc *p = arg;
	struct link_stream *s = p->stream;

	p->entering = NULL;
	if (!why) {
		if (s)
			say_started(p);
		stirred(p);
		return;
	}
	p->stream = NULL;
	if (p->failed)
		*p->failed = true;
	proc_free(p);
	if (s)
		stream_fail(s, why);
}

static int proc_start(struct proc *p, const json_t *what, struct err *e)
{
	struct guest *g = p->guest;
	struct spawn s = { 0 };
	int r = -1, said = -1;

	if (spawn_parse(g, what, p->id, &s, e) < 0)
		return -1;
	if (setup_files(g, json_object_get(what, "files"), NULL, e) == 0 &&
		api_create(g, p->id, &p->api, e) == 0 &&
		spawn_tty(g, &s, &p->master, &p->slave, &p->pid, &said, e) == 0)
		r = 0;
	spawn_finish(&s);
	if (r < 0)
		return -1;
	if (said >= 0)
		p->entering = entering_create(g->loop, said, on_entered, p);
	p->tap = tap_create(g->loop, p->master, false, &tap_ops, p);
	p->sink = sink_create(g->loop, p->master, false, 2 * LINK_WINDOW, on_taken, p);
	p->child = loop_child_watch(g->loop, p->pid, on_exit_status, p, e);
	if (p->child && json_is_string(json_object_get(what, "session")))
		p->session = session_create(g, p->id, jget_text(what, "session", ""), p->pid);
	if (p->child)
		return 0;
	kill(-p->pid, SIGKILL);
	return -1;
}

static void say_started(struct proc *p)
{
	json_t *tty = p->master >= 0 ? look(p)
				     : json_pack("{s:b, s:b}", "canonical", 1, "foreground", 1);

	link_send_ctl(p->stream, json_pack("{s:i, s:o, s:I}", "started", (int)p->pid, "tty", tty, "from",
		(json_int_t)(p->read - p->held.len)));
}

void proc_run(struct guest *g, struct link_stream *s, const json_t *what)
{
	const char *id = jget_text(what, "proc", "");
	struct err e = { 0 };

	if (!proc_id_valid(id))
		err_set(&e, ERR_PARAMS, "\"proc\" is missing or cannot be a name");
	if (e.code || make_room(g, id, &e) < 0) {
		stream_fail(s, &e);
		return;
	}
	struct proc *p = proc_new(g, id);
	if (proc_start(p, what, &e) < 0) {
		proc_free(p);
		stream_fail(s, &e);
		return;
	}
	p->stream = s;
	link_accept(s, &stream_ops, p);
	if (p->entering)
		return;
	say_started(p);
	stirred(p);
}

void proc_attach(struct guest *g, struct link_stream *s, const json_t *what)
{
	const char *id = jget_text(what, "proc", "");
	struct proc *p = proc_find(g, id);
	int64_t from = jget_int(what, "from", 0);
	struct err e = { 0 };

	if (!p) {
		err_set(&e, ERR_NOT_FOUND, "nothing called %.*s runs here", PROC_ID_MAX, id);
		stream_fail(s, &e);
		return;
	}
	if (p->stream) {
		struct link_stream *old = p->stream;
		detached(p);
		err_set(&e, ERR_CANCELLED, "the terminal was taken over");
		link_reset(old, &e);
	}
	uint64_t first = p->read - p->held.len;
	if (from > 0 && (uint64_t)from > first)
		buf_consume(&p->held, (uint64_t)from < p->read ? (size_t)((uint64_t)from - first) : p->held.len);
	p->stream = s;
	link_accept(s, &stream_ops, p);
	say_started(p);
	link_send(s, buf_data(&p->held), p->held.len);
	buf_finish(&p->held);
	send_exit(p);
	if (p->tap)
		tap_update(p->tap);
	try_finish(p);
}

json_t *proc_list(struct guest *g)
{
	json_t *list = json_array();

	for (struct proc *p = g->procs; p; p = p->next) {
		size_t kept = p->stream ? link_unacked_len(p->stream) : p->held.len;
		json_t *end = p->done ? json_pack("{s:i, s:i}", "code", p->status.code, "signal",
						p->status.signal)
				      : json_null();
		json_array_append_new(list,
			json_pack("{s:s, s:i, s:I, s:I, s:o}", "proc", p->id, "pid", (int)p->pid, "first",
				(json_int_t)(p->read - kept), "next", (json_int_t)p->read, "exit", end));
	}
	return list;
}

void proc_signal_all(struct guest *g, int sig)
{
	for (struct proc *p = g->procs; p; p = p->next) {
		pid_t group = 0;
		if (p->exited)
			continue;
		if (ioctl(p->master, TIOCGPGRP, &group) == 0 && group > 1 && group != p->pid)
			kill(-group, sig);
		kill(-p->pid, sig);
	}
}

bool proc_any_unacknowledged(const struct guest *g)
{
	return g->procs != NULL;
}

bool proc_owns(const struct guest *g, pid_t pid)
{
	for (const struct proc *p = g->procs; p; p = p->next)
		if (p->pid == pid && !p->exited)
			return true;
	return false;
}

void proc_destroy_all(struct guest *g)
{
	while (g->procs)
		proc_free(g->procs);
}
