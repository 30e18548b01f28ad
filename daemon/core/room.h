/* SPDX-License-Identifier: ISC */
/* Is there room for one more start? Pure verdicts over what was measured, and when memory is short. */
#ifndef DAEMON_CORE_ROOM_H
#define DAEMON_CORE_ROOM_H

#include <stddef.h>

#include "daemon/model/host.h"

#define ROOM_WHY_MAX 160
#define PRESSURE_CALM_MS 3000 /* without a stall before it is over */

enum room_reason { ROOM_YES, ROOM_STARTS, ROOM_PRESSURE, ROOM_MEMORY, ROOM_DISK, ROOM_PTYS, ROOM_FDS, ROOM_PROCESSES };

struct room_limits {
	int64_t max_starts; /* 0: by weight and processors */
	int64_t cores;
	int64_t memory_reserve_mib, disk_reserve_mib;
};

/* Those under way: what they may still come to take is not the host's to give. */
struct room_taken {
	int64_t starts;
	struct start_need sum;
};

/* The word of the contract; NULL for yes. */
const char *room_reason_name(enum room_reason r);
/* why: a half sentence for people, empty for yes. */
enum room_reason room_for(const struct room_limits *l, const struct room_taken *t, const struct host_room *h,
	bool pressure, const struct start_need *n, char why[ROOM_WHY_MAX]);
/*
 * One at the head of its lane that does not fit lets others overtake, who may go on taking what it waits for. So after
 * ROOM_PATIENCE_MS of that it holds them for as long, then lets them pass again, and so on: neither a large one nor, where
 * room never comes, everybody else waits for ever. since: when it was first passed over; monotonic.
 */
#define ROOM_PATIENCE_MS (5 * 60 * INT64_C(1000))
bool room_holds(int64_t since, int64_t now);
/* Could it start here if nothing else did? */
bool room_ever(const struct room_limits *l, const struct host_room *h, const struct start_need *n);
void room_take(struct room_taken *t, const struct start_need *n);
void room_give(struct room_taken *t, const struct start_need *n);

/* Short of memory: begins with a stall of `high` percent, is over when the stalls are at most `low` and none
 * was above for PRESSURE_CALM_MS. */
struct pressure {
	bool on;
	int64_t last_ms;  /* when it was last seen */
	int64_t episodes; /* so far */
};
/* stall: as in host_room, -1: not known; told: the kernel told of one just now. True when that changed `on`. */
bool pressure_seen(struct pressure *p, int64_t high, int64_t low, int64_t stall, bool told, int64_t now_ms);

#endif
