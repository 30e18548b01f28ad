/* SPDX-License-Identifier: ISC */
/* Writing asciicasts: docs.asciinema.org/manual/asciicast/v2 and v3. */
#ifndef CLI_CAST_H
#define CLI_CAST_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct cast_spec {
	const char *dir;   /* of the recording */
	const char *title;
	int64_t since, until; /* offsets; -1: all that is kept */
	double idle;          /* seconds; no pause is longer; < 0: as they were */
	int version;          /* 2 or 3 */
};

/* Writes the recording to out. 0, 1 when it was ended (cli_stop), -1. *ret_gaps: how often bytes were missing. */
int cast_write(const struct cast_spec *spec, FILE *out, int *ret_gaps, struct err *e);

#endif
