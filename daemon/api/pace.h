/* SPDX-License-Identifier: ISC */
/*
 * How much of the fleet's history one instance may write. What is kept of events is bounded by number and size, for all
 * together; so what an instance makes of them by its calls is held to a rate, or one would push out everybody's. It
 * has PACE_BURST in hand and gets PACE_PER_SECOND back; a call that writes many at once runs into debt and is
 * waited for. Spawns are not counted here, they have a rate of their own (docs/caps.md). Pure.
 */
#ifndef DAEMON_API_PACE_H
#define DAEMON_API_PACE_H

#include <stdint.h>

#define PACE_BURST 300
#define PACE_PER_SECOND 2

struct pace;

struct pace *pace_create(void);
void pace_destroy(struct pace *p);
/* How many milliseconds it has to wait until it may write again; 0: it may. now: monotonic. */
int64_t pace_wait(const struct pace *p, const char *id, int64_t now);
/* It wrote so many events. */
void pace_spent(struct pace *p, const char *id, int64_t events, int64_t now);

#endif
