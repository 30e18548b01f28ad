/* SPDX-License-Identifier: ISC */
/*
 * What was refused, until the daemon has it. The first refusal of a destination is told at once; the
 * same one (place, host, port) again within DENIAL_WINDOW_MS is counted, and the count told when the
 * window ends. Records are kept until acknowledged; a place that asks for ever new destinations has its
 * further ones counted in one record ("*"), so that it cannot push out others'.
 */
#ifndef EGRESS_DENIAL_H
#define EGRESS_DENIAL_H

#include <stdint.h>

#include "base/loop.h"

#define DENIAL_WINDOW_MS 10000
#define DENIAL_PER_PLACE 64 /* records kept for one place, "*" not counted */

struct denials;

struct denial {
	uint64_t seq;
	const char *place, *host, *reason;
	int port; /* 0 with host "*" */
	uint64_t count;
};

/* fn is told each record once when it is made, from the caller's stack or the loop. */
typedef void denial_fn(void *arg, const struct denial *d);
struct denials *denials_create(struct loop *l, denial_fn *fn, void *arg);
void denials_destroy(struct denials *ds);
void denials_add(struct denials *ds, const char *place, const char *host, int port,
	const char *reason);
/* Everything up to seq is in the daemon's hands. */
void denials_ack(struct denials *ds, uint64_t seq);
/* Ends the windows that are over by now; the loop calls it in time. */
void denials_expire(struct denials *ds);
/* All that are not acknowledged, in order: for a new control connection. */
void denials_replay(struct denials *ds, denial_fn *fn, void *arg);

#endif
