/* SPDX-License-Identifier: ISC */
/* Limited agents, and when they go on. */
#ifndef DAEMON_CORE_LIMIT_H
#define DAEMON_CORE_LIMIT_H

#include "base/alarm.h"
#include "daemon/core/fleet_int.h"

/* Pure: how long to wait where no moment was said, after so many tries in a row. */
int64_t limit_pause_ms(const char *reason, int64_t tries);
/* Pure: when this one is resumed. said: its program may go on by itself, so it is given time to. */
int64_t limit_spread_ms(const char *id, int64_t until_ms, bool said, int64_t spread_ms);

/* It comes out of its limit by itself. */
bool limit_goes_on(const struct unit *u);
void limit_entered(struct unit *u, const struct agent_fact *fact); /* before it enters the state */
void limit_look(struct unit *u);                                   /* it did, or was found again so */
void limit_left(struct unit *u);                                   /* the caller saves the row */
void limit_moved(struct unit *u, const struct agent_fact *fact);   /* something was reported */

#endif
