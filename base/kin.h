/* SPDX-License-Identifier: ISC */
/* Processes found by whom they descend from, or by a mark in their environment. */
#ifndef BASE_KIN_H
#define BASE_KIN_H

#include <stdbool.h>
#include <sys/types.h>

/* Signals all that descends from root, root itself not. False when there was nobody. */
bool kin_signal_below(pid_t root, int sig);
/* KILLs all that descends from root until nobody is left: waits for their ends, KIN_END_MS in all. What loses
 * its parent meanwhile is still found when root is a subreaper, and alive: stopped, it starts nothing new.
 * False when somebody did not end in time. */
bool kin_kill_below(pid_t root);
/* KILLs every process whose environment, as it was when it was executed, has an entry that begins with one of
 * these (NULL-terminated), and that we may look into; not this one. For what nothing else leads to any more: a
 * program that cleared its environment is not found. Reads the environments of all processes, each of which
 * may make us wait: not for hot paths, nor for the daemon's thread. As kin_kill_below. */
bool kin_kill_marked(char *const *entries);

#define KIN_PASSES_MAX 50
#define KIN_END_MS 2000

#endif
