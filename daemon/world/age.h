/* SPDX-License-Identifier: ISC */
/*
 * The time by which what is old is thrown away. The wall clock alone would do, were it always right: one that is set
 * a year ahead (a battery that is empty, a typing error) would make everything old at once. So a step forward is
 * believed only when the clock has stood so for a day of the boot's clock, which nobody sets; until then age counts on
 * from the time before the step. At a start the step is what lies between the last event and now, beyond a day: a
 * host that was off for a month keeps its past a day longer. A step back is believed at once: it makes nothing older.
 * What nothing protects is a restart while the clock is wrong, for the events that were written then say the same; so
 * the newest are kept in any case (EVENTS_FLOOR, AUDIT_FLOOR in store/store.h).
 */
#ifndef DAEMON_WORLD_AGE_H
#define DAEMON_WORLD_AGE_H

#include <stdint.h>

#define AGE_BELIEVED_MS (24 * 3600 * 1000LL) /* so long a clock must have stood */
#define AGE_STEP_MS (3600 * 1000LL)	     /* less is no step: NTP, or the drift of a sleep */

struct age {
	int64_t ahead;	  /* wall minus boot, as believed */
	int64_t doubted;  /* the same, as not yet believed */
	int64_t since_ms; /* from when on, of the boot's clock; 0: there is no doubt */
};

/* last_ms: the wall time of the newest event; 0: there is none. */
void age_init(struct age *a, int64_t last_ms, int64_t boot_ms, int64_t wall_ms);
/* What the time is to be taken for. */
int64_t age_now(struct age *a, int64_t boot_ms, int64_t wall_ms);

#endif
