/* SPDX-License-Identifier: ISC */
/* A child of the daemon that says something and ends: its whole output is heard, within a deadline, without waiting. */
#ifndef DAEMON_WORLD_CHILD_H
#define DAEMON_WORLD_CHILD_H

#include "base/loop.h"

#define CHILD_OUTPUT_MAX 4096 /* what it says beyond that is not heard */

struct child;

/* It ended (or was killed at its deadline): what it said, and how. text lives as long as the call. */
typedef void child_over_fn(void *arg, const char *text, struct proc_status st);

/* Starts a program of ours by its name; argv is borrowed. It ends with the daemon. NULL: it could not be started, and fn
 * does not come. */
struct child *child_begin(struct loop *l, const char *program, char *const *argv, int64_t deadline_ms,
	child_over_fn *fn, void *arg, struct err *e);
/* The same of one that must not be cut off: it goes on when the daemon ends. */
struct child *child_begin_lasting(struct loop *l, const char *program, char *const *argv, int64_t deadline_ms,
	child_over_fn *fn, void *arg, struct err *e);
/* Lets go of it, without fn, and lets it go on; NULL ok. */
void child_release(struct child *c);
/* Kills it and lets go, without fn; NULL ok. */
void child_kill(struct child *c);

#endif
