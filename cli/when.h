/* SPDX-License-Identifier: ISC */
/* Places in a recording as people name them: offsets and times. */
#ifndef CLI_WHEN_H
#define CLI_WHEN_H

#include <stdint.h>

#include "base/err.h"

/* What of a recording is meant, with the times of its ends (ms since 1970; 0-based when it does not know). */
struct when_range {
	int64_t since, until; /* offsets; until -1: to the end */
	int64_t since_ms, first_ms, last_ms;
};

/*
 * since, until: NULL, an offset, "+N" seconds (or Ns, Nm, Nh) after the beginning, "HH:MM[:SS]" of the day the
 * recording ended, or "YYYY-MM-DDTHH:MM:SS" (local time, UTC with a Z).
 */
int when_read(const char *dir, const char *since, const char *until, struct when_range *ret, struct err *e);
/* The offset of what came at ms or later; -1 on errors. */
int64_t when_offset(const char *dir, int64_t ms, struct err *e);

#endif
