/* SPDX-License-Identifier: ISC */
/*
 * The loop on libevent's core. One turn: wait, run every callback that is ready, then the deferred
 * calls that were scheduled by then; what a deferred call schedules runs in the next turn, which
 * then does not wait.
 */
#include "base/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

struct loop {
	struct event_base *base;
	struct event *turn_limit; /* bounds one loop_turn */
	struct loop_defer *first, *last;
	bool stopped;
};

struct loop_io {
	struct loop *loop;
	struct event *ev;
	int fd;
	unsigned events;
	loop_io_fn *fn;
	void *arg;
};

struct loop_timer {
	struct event *ev;
	loop_timer_fn *fn;
	void *arg;
};

struct loop_defer {
	struct loop *loop;
	struct loop_defer *next, *prev;
	bool queued;
	loop_timer_fn *fn;
	void *arg;
};

struct loop_signal {
	struct event *ev;
	loop_signal_fn *fn;
	void *arg;
};

struct loop_child {
	struct event *ev;
	int pidfd;
	pid_t pid;
	loop_child_fn *fn;
	void *arg;
};

static void *must(void *p)
{
	if (!p)
		abort(); /* libevent fails here only without memory, or by a bug of ours */
	return p;
}

static void add(struct event *ev, const struct timeval *tv)
{
	if (event_add(ev, tv) < 0)
		abort(); /* a descriptor that epoll does not take: a bug of ours */
}

/* libevent's own words on stderr: what fails is told by return values. */
static void no_log(int severity, const char *msg)
{
	(void)severity;
	(void)msg;
}

static void on_turn_limit(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

struct loop *loop_create(struct err *e)
{
	event_set_log_callback(no_log);
	struct event_config *cfg = must(event_config_new());
	/* One thread, no locks; and timers counted from when they were started, not from when the
	 * turn began. */
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NO_CACHE_TIME);
	event_config_require_features(cfg, EV_FEATURE_ET | EV_FEATURE_O1);
	struct event_base *base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (!base) {
		err_set_errno(e, ERR_FAILED, errno, "cannot create an event loop");
		return NULL;
	}
	struct loop *l = xcalloc(1, sizeof(*l));
	l->base = base;
	l->turn_limit = must(event_new(base, -1, 0, on_turn_limit, l));
	return l;
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	event_free(l->turn_limit);
	event_base_free(l->base);
	free(l);
}

static void defer_unlink(struct loop_defer *d)
{
	struct loop *l = d->loop;
	*(d->prev ? &d->prev->next : &l->first) = d->next;
	*(d->next ? &d->next->prev : &l->last) = d->prev;
	d->next = d->prev = NULL;
	d->queued = false;
}

static void defer_append(struct loop *l, struct loop_defer *d)
{
	d->prev = l->last;
	d->next = NULL;
	*(l->last ? &l->last->next : &l->first) = d;
	l->last = d;
	d->queued = true;
}

/* Runs what is queued now, in order. A marker ends the round; callbacks may free any other. */
static void run_deferred(struct loop *l)
{
	if (!l->first)
		return;
	struct loop_defer marker = {.loop = l};
	defer_append(l, &marker);
	while (l->first != &marker) {
		struct loop_defer *d = l->first;
		defer_unlink(d);
		d->fn(d->arg);
	}
	defer_unlink(&marker);
}

static void one_turn(struct loop *l, bool wait)
{
	int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
	if (!wait || l->first)
		flags = EVLOOP_NONBLOCK;
	event_base_loop(l->base, flags);
	run_deferred(l);
}

void loop_run(struct loop *l)
{
	l->stopped = false;
	while (!l->stopped)
		one_turn(l, true);
}

void loop_turn(struct loop *l, int timeout_ms)
{
	if (timeout_ms > 0) {
		struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
		add(l->turn_limit, &tv);
	}
	one_turn(l, timeout_ms != 0);
	event_del(l->turn_limit);
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
	event_base_loopbreak(l->base);
}

/* ---- descriptors ---- */

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct loop_io *io = arg;
	unsigned events = (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0);
	io->fn(io->arg, fd, events);
}

/* Regular files and /dev/null are always ready, and epoll refuses them (EPERM): a timer of no
 * length stands in. */
static void on_always(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct loop_io *io = arg;
	struct timeval now = {0, 0};
	add(io->ev, &now);
	io->fn(io->arg, io->fd, io->events & (LOOP_READ | LOOP_WRITE));
}

static void io_arm(struct loop_io *io, unsigned events)
{
	io->events = events;
	if (!(events & (LOOP_READ | LOOP_WRITE)))
		return;
	short what = EV_PERSIST;
	what |= events & LOOP_READ ? EV_READ : 0;
	what |= events & LOOP_WRITE ? EV_WRITE : 0;
	what |= events & LOOP_EDGE ? EV_ET : 0;
	if (event_assign(io->ev, io->loop->base, io->fd, what, on_io, io) < 0)
		abort();
	if (event_add(io->ev, NULL) == 0)
		return;
	if (errno != EPERM)
		abort(); /* a closed descriptor: a bug of ours */
	struct timeval now = {0, 0};
	if (event_assign(io->ev, io->loop->base, -1, 0, on_always, io) < 0)
		abort();
	add(io->ev, &now);
}

struct loop_io *loop_io_add(struct loop *l, int fd, unsigned events, loop_io_fn *fn, void *arg)
{
	struct loop_io *io = xcalloc(1, sizeof(*io));
	*io = (struct loop_io){.loop = l, .fd = fd, .fn = fn, .arg = arg};
	io->ev = must(event_new(l->base, fd, EV_READ | EV_PERSIST, on_io, io));
	io_arm(io, events);
	return io;
}

void loop_io_set(struct loop_io *io, unsigned events)
{
	if (events == io->events)
		return;
	event_del(io->ev);
	io_arm(io, events);
}

void loop_io_free(struct loop_io *io)
{
	if (!io)
		return;
	event_free(io->ev);
	free(io);
}

/* ---- timers ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct loop_timer *t = arg;
	t->fn(t->arg);
}

struct loop_timer *loop_timer_create(struct loop *l, loop_timer_fn *fn, void *arg)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));
	*t = (struct loop_timer){.fn = fn, .arg = arg};
	t->ev = must(event_new(l->base, -1, 0, on_timer, t));
	return t;
}

void loop_timer_start(struct loop_timer *t, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
	add(t->ev, &tv);
}

void loop_timer_stop(struct loop_timer *t)
{
	if (!t)
		return;
	event_del(t->ev);
}

int loop_timer_active(const struct loop_timer *t)
{
	return event_pending(t->ev, EV_TIMEOUT, NULL) != 0;
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	event_free(t->ev);
	free(t);
}

/* ---- deferred calls ---- */

struct loop_defer *loop_defer_create(struct loop *l, loop_timer_fn *fn, void *arg)
{
	struct loop_defer *d = xcalloc(1, sizeof(*d));
	*d = (struct loop_defer){.loop = l, .fn = fn, .arg = arg};
	return d;
}

void loop_defer_schedule(struct loop_defer *d)
{
	if (!d->queued)
		defer_append(d->loop, d);
}

void loop_defer_free(struct loop_defer *d)
{
	if (!d)
		return;
	if (d->queued)
		defer_unlink(d);
	free(d);
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	(void)what;
	struct loop_signal *s = arg;
	s->fn(s->arg, signo);
}

struct loop_signal *loop_signal_add(struct loop *l, int signo, loop_signal_fn *fn, void *arg)
{
	struct loop_signal *s = xcalloc(1, sizeof(*s));
	*s = (struct loop_signal){.fn = fn, .arg = arg};
	s->ev = must(evsignal_new(l->base, signo, on_signal, s));
	add(s->ev, NULL);
	return s;
}

void loop_signal_free(struct loop_signal *s)
{
	if (!s)
		return;
	event_free(s->ev);
	free(s);
}

/* ---- child exits ---- */

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void on_child(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct loop_child *c = arg;
	siginfo_t si = {0};
	struct proc_status st = {-1, 0};
	/* A pidfd turns readable when the last thread is gone; for a child the status waits there,
	 * for anybody else's process (ECHILD) its end is all there is to know. */
	int rc;
	do
		rc = waitid((idtype_t)P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG);
	while (rc < 0 && errno == EINTR);
	if (rc == 0 && si.si_pid == 0)
		return; /* traced, and its tracer has not let go of it yet */
	if (rc == 0 && si.si_code == CLD_EXITED)
		st.code = si.si_status;
	else if (rc == 0)
		st.signal = si.si_status;
	loop_child_fn *fn = c->fn;
	void *fn_arg = c->arg;
	pid_t pid = c->pid;
	loop_child_free(c);
	fn(fn_arg, pid, st);
}

struct loop_child *loop_child_watch(struct loop *l, pid_t pid, loop_child_fn *fn, void *arg,
	struct err *e)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
	if (pidfd < 0) {
		err_set_errno(e, errno == ESRCH ? ERR_NOT_FOUND : ERR_FAILED, errno,
			"cannot watch process %d", (int)pid);
		return NULL;
	}
	struct loop_child *c = xcalloc(1, sizeof(*c));
	*c = (struct loop_child){.pidfd = pidfd, .pid = pid, .fn = fn, .arg = arg};
	c->ev = must(event_new(l->base, pidfd, EV_READ | EV_PERSIST, on_child, c));
	add(c->ev, NULL);
	return c;
}

void loop_child_free(struct loop_child *c)
{
	if (!c)
		return;
	event_free(c->ev);
	close(c->pidfd);
	free(c);
}
