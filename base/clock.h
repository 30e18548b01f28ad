/* SPDX-License-Identifier: ISC */
/* The two clocks, in milliseconds, replaceable in tests. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_ISO_MAX 32

int64_t clock_mono_ms(void); /* never goes back; for deadlines */
int64_t clock_mono_us(void); /* for measurements */
int64_t clock_boot_ms(void); /* since the host's boot, its sleep included; of one boot_id() */
int64_t clock_wall_ms(void); /* since 1970 UTC; for people and records */
/* Tests: all clocks (the boot's as mono) answer what fn says; NULL restores the real ones. */
void clock_set_source(int64_t (*mono)(void), int64_t (*wall)(void));
/* With fault points, what a test sets the wall clock wrong by, and the file that says so (NULL: none); else 0, NULL. */
int64_t clock_wrong_ms(void);
const char *clock_wrong_file(void);
/* "2026-01-31T23:59:59.123Z" into out; returns out. */
char *clock_iso(int64_t wall_ms, char out[CLOCK_ISO_MAX]);

#endif
