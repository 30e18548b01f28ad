/* SPDX-License-Identifier: ISC */
/* What shims are told of their events: that they need not tell them again. */
#ifndef DAEMON_CORE_ACK_H
#define DAEMON_CORE_ACK_H

#include "daemon/core/fleet_int.h"

#define ACK_NOW UINT64_MAX
/* Around what is done for an event: how much was written so far. */
uint64_t ack_mark(const struct fleet *f);
/* It was applied, and is durable with what was written since mark; what wrote nothing may wait (ack.c). The place may be
 * gone meanwhile. */
void ack_event(struct fleet *f, const char *place, uint64_t seq, uint64_t mark);
/* Everything up to seq, once this turn is on disk. */
void ack_later(struct site *s, uint64_t seq);
void ack_drop(struct site *s); /* it goes */

#endif
