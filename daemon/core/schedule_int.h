/* SPDX-License-Identifier: ISC */
/* What the files about schedules share: schedule.c (made, ended), schedule_due.c (when they are due, and what becomes of
 * it). */
#ifndef DAEMON_CORE_SCHEDULE_INT_H
#define DAEMON_CORE_SCHEDULE_INT_H

#include "base/alarm.h"
#include "daemon/core/fleet_int.h"
#include "daemon/core/schedule.h"

struct schedule_entry {
	struct schedule_entry *next;
	struct schedule *s;
	int64_t started_for; /* the occurrence that its instance was started for; 0: none */
};

/* Those that have not ended, in the order in which they were made. */
struct schedules {
	struct schedule_entry *list;
	int n, held;
	struct alarm *alarm;
	struct loop_timer *soon;
	bool begun;   /* the fleet is known */
	int64_t apart_ms; /* the wall clock from the boot's, when last looked */
};

struct schedules *schedules_of(struct fleet *f);
/* Looks at all of them in a moment. */
void schedules_look_soon(struct fleet *f);
/* Ends it, with its event: out of the list, and freed with schedules_sweep. */
void schedule_end(struct fleet *f, struct schedule *s, enum schedule_status status, const char *reason);
void schedules_sweep(struct fleet *f);
void schedule_put(struct fleet *f, struct schedule *s);
void schedule_reason(struct schedule *s, const char *reason); /* NULL: none */

/* schedule_due.c */
/* Milliseconds until it is due; 0 and below: it is. */
int64_t schedule_left_ms(const struct schedule *s);
/* What has passed is passed over: from now on the next one is due. How many, and the newest of them. -1: there is none
 * to come. */
int schedule_pass(struct schedule *s, int64_t *ret_n, int64_t *ret_newest_ms);
/* Of one that repeats: there were as many as there were to be, or what is next lies behind its end. */
bool schedule_over(const struct schedule *s);
void schedules_look(struct fleet *f);
/* The wall clock was set, or it is a new daemon's: what stands in the future stands there by the clocks as they are now. */
void schedules_settle(struct fleet *f);

#endif
