/* SPDX-License-Identifier: ISC */
/* A shim as a process that this daemon started. */
#ifndef DAEMON_SHIMCTL_CHILD_H
#define DAEMON_SHIMCTL_CHILD_H

#include "base/err.h"
#include "base/loop.h"
#include "base/proc.h"

#define SHIM_LOG "shim.log"
#define SHIM_LOG_TAIL 200
#define SHIM_SAID_MAX (SHIM_LOG_TAIL + 32)

struct shim_child;

/* Starts tmux-claude-shim for the place's folder. fn is called once when it has ended, and the object is
 * gone then, unless it was left before. NULL with the error. */
struct shim_child *shim_child_start(struct loop *l, const char *dir, void (*fn)(void *arg, struct proc_status st),
	void *arg, struct err *e);
/* Nobody is interested any more; it is still reaped. NULL ok. */
void shim_child_leave(struct shim_child *child);
pid_t shim_child_pid(const struct shim_child *child);
/* At the daemon's end, before loop_destroy: stops watching those that go on. */
void shim_children_finish(void);

/* The last line of what the shim of this folder wrote ("; it said: ..."), to be said with its failure. */
void shim_said(const char *dir, char *out, size_t size);

#endif
