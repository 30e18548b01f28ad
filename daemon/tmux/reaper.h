/* SPDX-License-Identifier: ISC */
/*
 * Takes the exits of our client programs. A client whose pipes were closed ends by itself within a
 * millisecond; one that does not (its server is stopped) is killed at a deadline, never waited for.
 */
#ifndef DAEMON_TMUX_REAPER_H
#define DAEMON_TMUX_REAPER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"

#define TMUX_REAP_MS 2000

struct tmux_reaper;

struct tmux_reaper *tmux_reaper_create(struct loop *l);
/* Waits TMUX_REAP_MS in all for what is left, kills the rest. NULL ok. */
void tmux_reaper_destroy(struct tmux_reaper *r);
/* Takes over a child of ours (on failure it is killed and reaped). *ret names it for release. */
int tmux_reaper_add(struct tmux_reaper *r, pid_t pid, uint64_t *ret, struct err *e);
/* The child is to end now: its deadline starts. One that has ended already is fine. */
void tmux_reaper_release(struct tmux_reaper *r, uint64_t name);

#endif
