/* SPDX-License-Identifier: ISC */
/*
 * Who needs a person, and why: one ordered list, kept up as things happen. docs/attention.md says what is in it and
 * what is not.
 */
#ifndef DAEMON_CORE_ATTENTION_H
#define DAEMON_CORE_ATTENTION_H

#include "daemon/core/fleet.h"
#include "daemon/model/attention.h"

/* At start, after the instances; takes ownership. What holds no more goes with fleet_reconcile. */
void fleet_load_attention(struct fleet *f, struct attention *a);
size_t fleet_attention_count(const struct fleet *f); /* those put aside, too */
/* All of it, the most urgent first, then the oldest. Owned array of borrowed rows, NULL behind the last. */
const struct attention **fleet_attention(struct fleet *f, size_t *ret_n);
/* By its key or a unique beginning; borrowed. NULL with ERR_NOT_FOUND, ERR_AMBIGUOUS. */
const struct attention *fleet_attention_find(struct fleet *f, const char *ref, struct err *e);
/* Puts it aside until it changes, or takes that back. */
void fleet_attention_ack(struct fleet *f, const struct attention *a, bool aside);
/* Somebody looked at it: that it finished needs nobody any more. */
void fleet_attention_seen(struct fleet *f, struct instance *in);

#endif
