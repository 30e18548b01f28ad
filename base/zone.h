/* SPDX-License-Identifier: ISC */
/* The wall clocks of other time zones. One thread only: the C library knows one zone at a time. */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* zone: "Europe/Berlin" as the system's tables have it, NULL: this process's own. -1: no such zone. */
int zone_from_ms(const char *zone, int64_t wall_ms, struct tm *ret);
/* Fields out of range are carried over, an hour that a change of clocks leaves out becomes the next. */
int zone_to_ms(const char *zone, const struct tm *tm, int64_t *ret);
/* The first moment at which clocks there show these fields; one that a change of clocks leaves out becomes the moment of
 * that change, which is the first time that exists after it. -1: no such zone, or a year beyond four digits. */
int zone_first_ms(const char *zone, const struct tm *tm, int64_t *ret);
/* The zone that this process's user lives in, as the system's tables call it: of TZ, else of /etc/localtime, else "UTC". A TZ
 * that names no such zone is given as it is. */
#define ZONE_NAME_MAX 64
void zone_own(char out[ZONE_NAME_MAX]);
bool zone_known(const char *zone);
/* Many questions about one zone in a row: its table is read once instead of with each, which is a hundred times dearer.
 * True: until zone_release (soon: meanwhile it is this process's own, too) zone is borrowed. False: it is asked each time. */
bool zone_hold(const char *zone);
void zone_release(void);

#endif
