/* SPDX-License-Identifier: ISC */
/*
 * The event loop: descriptors, timers, deferred calls, signals, child exits. One per process, one
 * thread. The only room that knows which library turns it.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct loop;
struct loop_io;
struct loop_timer;
struct loop_defer;
struct loop_signal;
struct loop_child;

#define LOOP_READ 1u
#define LOOP_WRITE 2u
/* With LOOP_READ/LOOP_WRITE: report changes only (epoll's edge trigger). Needed for virtio ports,
 * which poll readable for ever while nobody is at the other end. */
#define LOOP_EDGE 4u

struct loop *loop_create(struct err *e);
void loop_destroy(struct loop *l);
/* Runs until loop_stop. */
void loop_run(struct loop *l);
/* Runs one turn: waits for at least one event, or until timeout_ms (-1: no limit). For tests. */
void loop_turn(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l);

/* Descriptors. The fd stays the caller's: free the io before closing it. Callbacks may free their
 * own or any other object of the loop. */
typedef void loop_io_fn(void *arg, int fd, unsigned events);
struct loop_io *loop_io_add(struct loop *l, int fd, unsigned events, loop_io_fn *fn, void *arg);
void loop_io_set(struct loop_io *io, unsigned events); /* 0 pauses */
void loop_io_free(struct loop_io *io);

/* Timers: one shot; start again from the callback for a period. */
typedef void loop_timer_fn(void *arg);
struct loop_timer *loop_timer_create(struct loop *l, loop_timer_fn *fn, void *arg);
void loop_timer_start(struct loop_timer *t, int64_t ms); /* restarts when it runs */
void loop_timer_stop(struct loop_timer *t); /* NULL ok */
int loop_timer_active(const struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/* Deferred calls: run once at the end of this turn, after every io and timer callback of the turn
 * (and after deferred calls scheduled before). Scheduling twice runs once. */
struct loop_defer *loop_defer_create(struct loop *l, loop_timer_fn *fn, void *arg);
void loop_defer_schedule(struct loop_defer *d);
void loop_defer_free(struct loop_defer *d);

typedef void loop_signal_fn(void *arg, int signo);
struct loop_signal *loop_signal_add(struct loop *l, int signo, loop_signal_fn *fn, void *arg);
void loop_signal_free(struct loop_signal *s);

/* Child exits, by pidfd. The child is reaped (waitid on the pidfd) before fn is called. For a
 * process that is not our child (adopted), status is {code -1, signal 0}: only its end is known.
 * The object frees itself after the call. */
struct proc_status {
	int code;   /* exit code, or -1 */
	int signal; /* signal that ended it, or 0 */
};
typedef void loop_child_fn(void *arg, pid_t pid, struct proc_status st);
struct loop_child *loop_child_watch(struct loop *l, pid_t pid, loop_child_fn *fn, void *arg,
	struct err *e);
void loop_child_free(struct loop_child *c); /* stops watching; does not kill */

#endif
