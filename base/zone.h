/* SPDX-License-Identifier: ISC */
/* The wall clocks of other time zones. One thread only: the C library knows one zone at a time. */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include <stdint.h>
#include <time.h>

/* zone: "Europe/Berlin" as the system's tables have it, NULL: this process's own. -1: no such zone. */
int zone_from_ms(const char *zone, int64_t wall_ms, struct tm *ret);
/* Fields out of range are carried over, an hour that a change of clocks leaves out becomes the next. */
int zone_to_ms(const char *zone, const struct tm *tm, int64_t *ret);

#endif
