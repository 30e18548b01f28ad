/* SPDX-License-Identifier: ISC */
/*
 * Texts that are sent later, or again and again. Core's public face of it; docs/schedules.md has the rules.
 */
#ifndef DAEMON_CORE_SCHEDULE_H
#define DAEMON_CORE_SCHEDULE_H

#include "daemon/core/fleet.h"
#include "daemon/model/schedule.h"

#define SCHEDULES_EACH 32   /* that have not ended, for one instance; as many made by one */
#define SCHEDULES_MOST 1000 /* of the fleet */
#define SCHEDULE_SPAN_LEAST_MS 60000     /* between two of the same */
#define SCHEDULE_GRACE_MS (5 * 60000)    /* so late it is not called missed */
#define SCHEDULE_BACK_MS (25 * 3600000LL) /* a clock set back by so much sends nothing a second time */
#define SCHEDULE_PASSED_MOST 1000 /* missed ones of a calendar that are counted; of more only that there were */

/* Loading at start, after the instances; takes ownership. */
void fleet_load_schedule(struct fleet *f, struct schedule *s);

struct schedule_args {
	const char *text;
	size_t len;
	const char *at, *every; /* in words, at most one; neither: once `when` holds */
	const char *when;       /* what it waits for once it is due: "idle", "state=idle,waiting"; or NULL */
	const char *zone;       /* whose clocks the words mean */
	const char *until;      /* as at; or NULL */
	const char *missed;     /* "run" or "skip"; NULL: run for at, skip for every */
	int64_t times;          /* 0: no end */
	enum prompt_way way;
	bool start;
	const char *made_by;    /* an instance, or NULL: the operator */
	const char *key, *digest; /* or NULL */
};
/* The new one, borrowed until the next call. NULL: refused. */
const struct schedule *fleet_schedule_make(struct fleet *f, struct instance *in, const struct schedule_args *a,
	struct err *e);
/* Of one that has not ended, by its whole id; else ERR_STATE. Borrowed. by: for the record. */
const struct schedule *fleet_schedule_cancel(struct fleet *f, const char *id, const char *by, struct err *e);
const struct schedule *fleet_schedule_pause(struct fleet *f, const char *id, bool pause, const char *by, struct err *e);
/* [{id, status, rule, next}] of an instance; new reference. */
json_t *fleet_schedules_json(const struct fleet *f, const struct instance *in);

#endif
