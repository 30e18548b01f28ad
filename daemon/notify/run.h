/* SPDX-License-Identifier: ISC */
/* A program that tells somebody: it is given its input, has its time, and cannot say more than a little. */
#ifndef DAEMON_NOTIFY_RUN_H
#define DAEMON_NOTIFY_RUN_H

#include "base/loop.h"

#define RUN_OUTPUT_MAX 2048 /* bytes kept of what it says; the rest is read and dropped */
#define RUN_FLOOD_MAX (1024 * 1024) /* after so many nothing of it is read any more */

struct run;

/* It ended: how (overdue: at its deadline, killed with its process group), and the beginning of what it said, on one
 * line, which lives as long as the call. */
typedef void run_over_fn(void *arg, struct proc_status st, bool overdue, const char *said);

/* argv, input borrowed. It is in a session of its own, and outlives a daemon that dies; its deadline does not.
 * NULL: it could not be started, and fn does not come. */
struct run *run_begin(struct loop *l, char *const *argv, const char *input, int64_t deadline_ms, run_over_fn *fn, void *arg,
	struct err *e);
void run_leave(struct run *r); /* lets go without fn: it goes on by itself; NULL ok */

#endif
