/* SPDX-License-Identifier: ISC */
/* A call at a moment of the wall clock, which may be set meanwhile. */
#ifndef BASE_ALARM_H
#define BASE_ALARM_H

#include <stdint.h>

#include "base/loop.h"

struct alarm;

/* fn is called at that moment, and whenever the clock was set: it looks itself what is due, and sets it anew. */
struct alarm *alarm_create(struct loop *l, loop_timer_fn *fn, void *arg);
void alarm_at(struct alarm *a, int64_t wall_ms); /* 0: never */
void alarm_destroy(struct alarm *a);             /* NULL ok */

#endif
