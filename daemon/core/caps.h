/* SPDX-License-Identifier: ISC */
/* What caps are counted by: tallies of what is below, and the window of spawns. Core's own. */
#ifndef DAEMON_CORE_CAPS_H
#define DAEMON_CORE_CAPS_H

#include "daemon/core/fleet.h"

#define RATE_WINDOW_MS 60000

struct unit;
struct role_count;

/* What of one unit is counted for all above it, as it was counted last. */
struct held {
	bool lives;           /* its slot is taken */
	bool holds;           /* ... or its place may still run */
	int64_t memory, disk; /* MiB of its machine, while it holds */
	char *role;           /* owned; while it lives */
};

/* Everything below an instance, or in the fleet. */
struct tally {
	int64_t living, holders;
	int64_t memory, disk;
	int64_t *depth; /* depth[0]: living children, [1] their living children ... */
	size_t ndepth, room;
	struct role_count *roles;
};

/* When spawns were made, by this boot's clock (of an earlier boot: below zero or guessed), oldest first. */
struct spawn_window {
	int64_t *at;
	size_t first, n, room;
};

/* cap_say.c: a refusal that comes again and again is told now and then, with how often it came. */
struct refusals;
void refusals_free(struct refusals *r);

/* tally.c */
void tally_unit(struct unit *u); /* it changed: counts for all above what it holds now */
void tally_drop(struct unit *u); /* it goes: what it held itself is given back */
void tally_hang(const struct unit *u, int sign); /* what is at and below u, for all above it */
void tally_finish(struct tally *t);
int64_t tally_depth(const struct tally *t);
int64_t tally_role(const struct tally *t, const char *role);

/* spawn_window.c */
/* Spawns in the last minute; with a limit that is reached *ret_wait_ms (may be NULL) is when one more may
 * be: -1 for never. */
int64_t window_count(struct spawn_window *w, int64_t limit, int64_t *ret_wait_ms);
void window_finish(struct spawn_window *w);

#endif
