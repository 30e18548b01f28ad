/* SPDX-License-Identifier: ISC */
/*
 * What the host has left, read from /proc, /sys and the file system of the state folder. Every file is read
 * below a root ("" for the real one), so that tests can put a tree of their own there; what is missing or makes
 * no sense is -1, not known.
 */
#ifndef DAEMON_WORLD_HOST_H
#define DAEMON_WORLD_HOST_H

#include "base/loop.h"
#include "daemon/model/host.h"

#define HOST_ROOT_ENV "TMUX_CLAUDE_HOST_ROOT" /* for tests: the root, in the daemon's environment */

/* ---- parsers, pure; -1: not there, or not what it should be ---- */

/* The number after `key` at the beginning of a line ("MemAvailable:", "inactive_file"). */
int64_t host_field(const char *text, const char *key);
/* The n-th word (from 0) as a number; "max" and "unlimited" are -1, larger than any is INT64_MAX. */
int64_t host_word(const char *text, int n);
/* Of a pressure file: hundredths of a percent in the last 10 s that some task was stalled. */
int64_t host_stall(const char *text);
/* The soft limit of that name in /proc/self/limits. */
int64_t host_limit(const char *text, const char *name);
/* Threads of the whole system, in /proc/loadavg. */
int64_t host_threads(const char *text);
/* The path of this process's group for a controller of version 1, or of version 2 with "", in
 * /proc/self/cgroup; owned, NULL when there is none. */
char *host_cgroup(const char *text, const char *controller);

/* ---- measures ---- */

void host_measure(const char *root, const char *state_dir, struct host_room *ret);
/* Processors that this process may use; at least 1. */
int64_t host_cores(const char *root);

/* ---- the kernel's word about stalls of memory ---- */

struct host_watch;
/* fn is called each time some task was stalled for `percent` of HOST_WINDOW_MS. NULL where the kernel has no
 * such trigger, or refuses it: then stalls are only seen when somebody looks. */
struct host_watch *host_watch_create(struct loop *l, const char *root, int64_t percent, void (*fn)(void *arg),
	void *arg);
void host_watch_free(struct host_watch *w); /* NULL ok */

/* Of 2 s, or a multiple: others are for privileged processes only (kernel, psi.c). */
#define HOST_WINDOW_MS 2000

#endif
