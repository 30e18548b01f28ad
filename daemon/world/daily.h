/* SPDX-License-Identifier: ISC */
/*
 * When what is done once a day is due again. A moment is kept with its boot: within one boot its clock counts, which
 * nobody sets and which the host's sleep does not stop; from an earlier boot the calendar says how long ago it was, but
 * this boot's age at least. So restarts neither skip a day nor double it, and a clock that is set back delays it
 * by a day at most.
 */
#ifndef DAEMON_WORLD_DAILY_H
#define DAEMON_WORLD_DAILY_H

#include <stdint.h>

#define DAILY_BOOT_SIZE 40

struct daily_moment {
	char boot[DAILY_BOOT_SIZE]; /* empty: never */
	int64_t boot_ms, wall_ms;
};

struct daily {
	struct daily_moment done; /* the last one that succeeded */
	struct daily_moment tried; /* the last one that failed since */
	int64_t failed;		   /* how many failed in a row */
};

/* How long ago; INT64_MAX: never. */
int64_t daily_age(const struct daily_moment *m, const struct daily_moment *now);
/* How long until the next is due, of those that come every so many milliseconds: after a failure a 96th of that, then
 * twice as long each time, a quarter of it at most. */
int64_t daily_wait(const struct daily *d, int64_t every_ms, const struct daily_moment *now);

#endif
