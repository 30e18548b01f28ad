/* SPDX-License-Identifier: ISC */
/*
 * Programs run for one caller. The main stream carries stdin and stdout (or the terminal), another one
 * that we open carries stderr. The exit is told after both outputs ended; what a program leaves behind
 * in the background may hold them open for ever, so DRAIN_MS after the exit they are let go. When the
 * caller goes away (the stream is reset) the program is hung up, and killed after KILL_MS.
 */
#include "place/guest/enter.h"
#include "place/guest/exec.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/util.h"
#include "ipc/rpc.h"
#include "place/guest/flow.h"
#include "place/guest/proc.h"
#include "place/guest/spawn.h"

#define DRAIN_MS 500
#define AFTER_EXIT_MAX (1024 * 1024) /* no pipe holds more: what comes behind it was written later */
#define KILL_MS 3000

struct output {
	struct exec *exec;
	struct link_stream *stream;
	struct tap *tap; /* NULL: ended */
	size_t after_exit;
};

struct exec {
	struct exec *next;
	struct guest *guest;
	pid_t pid;
	int master, slave; /* with a terminal */
	struct output out, err;
	struct sink *sink;
	struct entering *entering; /* its start goes on */
	bool *failed;              /* set when the start failed and this is freed */
	struct loop_child *child;
	struct loop_timer *timer; /* running: kill it; exited: let the outputs go */
	bool exited, abandoned;
	struct proc_status status;
};

static void exec_free(struct exec *x)
{
	struct exec **at = &x->guest->execs;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	tap_destroy(x->out.tap);
	tap_destroy(x->err.tap);
	sink_destroy(x->sink);
	if (x->slave >= 0)
		close(x->slave);
	if (x->master >= 0)
		close(x->master);
	entering_destroy(x->entering);
	loop_child_free(x->child);
	loop_timer_free(x->timer);
	free(x);
	guest_tidy();
}

/* --- the end --- */

static void stream_over(struct link_stream *s)
{
	if (link_fin_received(s) && link_acked(s) == link_queued(s))
		link_close(s);
}

static void over_on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	(void)arg;
	(void)msg;
	stream_over(s);
}

static void over_on_acked(void *arg, struct link_stream *s)
{
	(void)arg;
	stream_over(s);
}

static void over_on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	(void)arg;
	(void)s;
	(void)why;
}

/* Lets a stream finish by itself. */
static void stream_leave(struct link_stream **s, json_t *fin)
{
	static const struct link_stream_ops ops = { .on_fin = over_on_fin, .on_acked = over_on_acked,
		.on_reset = over_on_reset };

	if (!*s) {
		json_decref(fin);
		return;
	}
	if (link_fin_sent(*s))
		json_decref(fin);
	else
		link_send_fin(*s, fin);
	link_accept(*s, &ops, NULL);
	stream_over(*s);
	*s = NULL;
}

static void try_end(struct exec *x)
{
	if (!x->exited || (!x->abandoned && (x->out.tap || x->err.tap)))
		return;
	stream_leave(&x->err.stream, NULL);
	stream_leave(&x->out.stream,
		json_pack("{s:i, s:i}", "code", x->status.code, "signal", x->status.signal));
	exec_free(x);
}

static void abandon(struct exec *x)
{
	if (x->abandoned)
		return;
	x->abandoned = true;
	if (x->exited) {
		try_end(x);
		return;
	}
	kill(-x->pid, SIGHUP);
	kill(-x->pid, SIGCONT);
	loop_timer_start(x->timer, KILL_MS);
}

static void output_end(struct output *o)
{
	tap_destroy(o->tap);
	o->tap = NULL;
	if (o == &o->exec->err)
		stream_leave(&o->stream, NULL);
	try_end(o->exec);
}

static bool waits_for_caller(const struct output *o)
{
	return o->tap && o->stream && link_room(o->stream) == 0 && o->after_exit < AFTER_EXIT_MAX;
}

static void on_timer(void *arg)
{
	struct exec *x = arg;

	if (!x->exited) {
		kill(-x->pid, SIGKILL);
		return;
	}
	/* The caller is slow: there may be more of what the program wrote. */
	if (waits_for_caller(&x->out) || waits_for_caller(&x->err)) {
		loop_timer_start(x->timer, DRAIN_MS);
		return;
	}
	/* What still comes now is of programs left in the background. */
	tap_destroy(x->err.tap);
	tap_destroy(x->out.tap);
	x->out.tap = x->err.tap = NULL;
	try_end(x);
}

static void on_exit_status(void *arg, pid_t pid, struct proc_status status)
{
	struct exec *x = arg;
	bool failed = false;

	(void)pid;
	x->child = NULL;
	x->exited = true;
	if (x->entering) {
		x->failed = &failed;
		entering_settle(x->entering);
		if (failed)
			return;
		x->failed = NULL;
	}
	x->status = status;
	if (x->slave >= 0)
		close(x->slave);
	x->slave = -1;
	loop_timer_start(x->timer, DRAIN_MS);
	try_end(x);
}

/* --- output --- */

static size_t tap_room(void *arg)
{
	struct output *o = arg;
	size_t room = o->stream ? link_room(o->stream) : SIZE_MAX;
	size_t left = AFTER_EXIT_MAX - o->after_exit;

	return o->exec->exited && room > left ? left : room;
}

static void tap_bytes(void *arg, const void *data, size_t len)
{
	struct output *o = arg;

	if (o->stream)
		link_send(o->stream, data, len);
	if (o->exec->exited)
		o->after_exit += len;
}

static void tap_end(void *arg)
{
	output_end(arg);
}

static const struct tap_ops tap_ops = { .room = tap_room, .bytes = tap_bytes, .end = tap_end };

static void on_acked(void *arg, struct link_stream *s)
{
	struct output *o = arg;

	(void)s;
	if (o->tap)
		tap_update(o->tap);
}

/* --- input --- */

static void on_taken(void *arg, size_t n)
{
	struct exec *x = arg;

	if (x->out.stream)
		link_consumed(x->out.stream, n);
}

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct output *o = arg;

	(void)s;
	sink_write(o->exec->sink, data, len);
}

static void input_end(struct exec *x)
{
	struct termios t;

	if (x->master < 0) {
		sink_end(x->sink);
	} else if (tcgetattr(x->master, &t) == 0 && (t.c_lflag & ICANON)) {
		char eof = (char)t.c_cc[VEOF];
		sink_write(x->sink, &eof, 1);
	}
}

static void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct exec *x = ((struct output *)arg)->exec;
	json_t *size = json_object_get(msg, "resize");

	(void)s;
	if (json_is_array(size) && x->master >= 0) {
		struct winsize ws = {
			.ws_row = (unsigned short)json_integer_value(json_array_get(size, 0)),
			.ws_col = (unsigned short)json_integer_value(json_array_get(size, 1)) };
		if (ws.ws_row && ws.ws_col)
			ioctl(x->master, TIOCSWINSZ, &ws);
	}
	if (json_object_get(msg, "signal") && !x->exited)
		spawn_signal(msg, x->pid, x->master, true);
	if (jget_bool(msg, "eof", false))
		input_end(x);
}

static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct output *o = arg;

	(void)s;
	(void)msg;
	if (o == &o->exec->out)
		input_end(o->exec);
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct output *o = arg;
	struct exec *x = o->exec;
	bool main_stream = o == &x->out;

	(void)s;
	(void)why;
	o->stream = NULL;
	if (o->tap)
		tap_update(o->tap);
	if (main_stream)
		abandon(x);
}

static const struct link_stream_ops out_ops = { .on_data = on_data, .on_ctl = on_ctl, .on_fin = on_fin,
	.on_acked = on_acked, .on_reset = on_reset };
static const struct link_stream_ops err_ops = { .on_fin = on_fin, .on_acked = on_acked,
	.on_reset = on_reset };

/* --- the start --- */

/* Its start has come to its end (in a machine, where it goes on beside us). */
static void on_entered(void *arg, const struct err *why)
{
	struct exec *x = arg;
	struct link_stream *s = x->out.stream;

	x->entering = NULL;
	if (!why) {
		if (s)
			link_send_ctl(s, json_pack("{s:i}", "started", (int)x->pid));
		return;
	}
	if (x->err.stream)
		link_reset(x->err.stream, NULL);
	if (x->failed)
		*x->failed = true;
	exec_free(x);
	if (s)
		stream_fail(s, why);
}

static int start_pipes(struct exec *x, const struct spawn *s, struct err *e)
{
	struct loop *l = x->guest->loop;
	json_t *what = json_pack("{s:s, s:I}", "kind", "stderr", "of", (json_int_t)link_id(x->out.stream));
	int fds[3], said = -1;

	x->err.stream = link_open(guest_link(x->guest), what, &err_ops, &x->err, e);
	if (!x->err.stream)
		return -1;
	if (spawn_pipes(x->guest, s, fds, &x->pid, &said, e) < 0) {
		link_reset(x->err.stream, NULL);
		x->err.stream = NULL;
		return -1;
	}
	if (said >= 0)
		x->entering = entering_create(l, said, on_entered, x);
	x->sink = sink_create(l, fds[0], true, 2 * LINK_WINDOW, on_taken, x);
	x->out.tap = tap_create(l, fds[1], true, &tap_ops, &x->out);
	x->err.tap = tap_create(l, fds[2], true, &tap_ops, &x->err);
	return 0;
}

static int start_tty(struct exec *x, const struct spawn *s, struct err *e)
{
	struct loop *l = x->guest->loop;
	int said = -1;

	if (spawn_tty(x->guest, s, &x->master, &x->slave, &x->pid, &said, e) < 0)
		return -1;
	if (said >= 0)
		x->entering = entering_create(l, said, on_entered, x);
	x->sink = sink_create(l, x->master, false, 2 * LINK_WINDOW, on_taken, x);
	x->out.tap = tap_create(l, x->master, false, &tap_ops, &x->out);
	return 0;
}

static int admit(struct guest *g, struct err *e)
{
	size_t n = 0;

	for (struct exec *x = g->execs; x; x = x->next)
		n++;
	return n < EXECS_MAX ? 0 : err_set(e, ERR_BUSY, "%d programs run for callers already", EXECS_MAX);
}

void exec_run(struct guest *g, struct link_stream *s, const json_t *what)
{
	struct spawn spawn = { 0 };
	struct err e = { 0 };

	if (admit(g, &e) < 0 || spawn_parse(g, what, NULL, &spawn, &e) < 0) {
		stream_fail(s, &e);
		return;
	}
	struct exec *x = xcalloc(1, sizeof(*x));
	x->guest = g;
	x->master = x->slave = -1;
	x->out.exec = x->err.exec = x;
	x->out.stream = s;
	x->timer = loop_timer_create(g->loop, on_timer, x);
	x->next = g->execs;
	g->execs = x;
	int r = json_is_object(json_object_get(what, "tty")) ? start_tty(x, &spawn, &e)
							     : start_pipes(x, &spawn, &e);
	spawn_finish(&spawn);
	if (r == 0) {
		x->child = loop_child_watch(g->loop, x->pid, on_exit_status, x, &e);
		if (!x->child)
			kill(-x->pid, SIGKILL);
	}
	if (r < 0 || !x->child) {
		if (x->err.stream)
			link_reset(x->err.stream, NULL);
		exec_free(x);
		stream_fail(s, &e);
		return;
	}
	link_accept(s, &out_ops, &x->out);
	if (!x->entering)
		link_send_ctl(s, json_pack("{s:i}", "started", (int)x->pid));
}

void exec_signal_all(struct guest *g, int sig)
{
	for (struct exec *x = g->execs; x; x = x->next)
		if (!x->exited)
			kill(-x->pid, sig);
}

bool exec_owns(const struct guest *g, pid_t pid)
{
	for (const struct exec *x = g->execs; x; x = x->next)
		if (x->pid == pid && !x->exited)
			return true;
	return false;
}

void exec_destroy_all(struct guest *g)
{
	while (g->execs)
		exec_free(g->execs);
}
