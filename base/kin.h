/* SPDX-License-Identifier: ISC */
/* Processes found by whom they descend from, or by a mark in their environment. */
#ifndef BASE_KIN_H
#define BASE_KIN_H

#include <stdbool.h>
#include <sys/types.h>

/* Signals all that descends from root, root itself not. False when there was nobody. */
bool kin_signal_below(pid_t root, int sig);
/* KILLs all that descends from root until nobody is left, or KIN_PASSES_MAX times. What loses its parent
 * meanwhile is still found when root is a subreaper, and alive: stopped, it starts nothing new. */
void kin_kill_below(pid_t root);
/* KILLs every process whose environment, as it was when it was executed, has an entry that begins so, and
 * that we may look into; not this one. For what nothing else leads to any more: a program that cleared its
 * environment is not found. Reads the environments of all processes: not for hot paths. */
void kin_kill_marked(const char *entry);

#define KIN_PASSES_MAX 50

#endif
