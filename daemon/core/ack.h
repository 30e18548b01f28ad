/* SPDX-License-Identifier: ISC */
/* What shims are told of their events: which they need not tell again, and which may wait. */
#ifndef DAEMON_CORE_ACK_H
#define DAEMON_CORE_ACK_H

#include "daemon/core/fleet_int.h"

/* Before an event is applied: how much was written so far, when it is one that may change nothing; else ACK_NOW. */
#define ACK_NOW UINT64_MAX
uint64_t ack_mark(const struct fleet *f, const json_t *ev);
/* It was applied, and is durable with what was written since mark; what wrote nothing may wait (ack.c). The place may be
 * gone meanwhile. */
void ack_event(struct fleet *f, const char *place, uint64_t mark);
/* Everything that was applied, once this turn is on disk. */
void ack_later(struct site *s);
/* Something of its instance changed in this turn: its steps may mean something. */
void ack_look(struct site *s);
void ack_drop(struct site *s); /* it goes */

#endif
