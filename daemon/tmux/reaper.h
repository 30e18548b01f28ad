/* SPDX-License-Identifier: ISC */
/*
 * Sees our client programs off. A client whose input is closed ends by itself within a millisecond; one
 * that does not (its server is stopped) is killed at a deadline, never waited for. Its output is read
 * to the end meanwhile: a server with something left to write to a pipe that nobody reads keeps the
 * client for ever, and does not end itself either (seen on 3.3a).
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
/* The child is to end now: its deadline starts. fd: its output, taken over, drained and closed; or -1. One
 * that has ended already is fine. */
void tmux_reaper_release(struct tmux_reaper *r, uint64_t name, int fd);

#endif
