/* SPDX-License-Identifier: ISC */
/* A part of each day by the local clock: "22:00-07:00". */
#ifndef IPC_HOURS_H
#define IPC_HOURS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct hours {
	bool any;
	int from, to; /* minutes of the day; to may be before from: over midnight */
};

int hours_parse(const char *s, struct hours *ret, struct err *e); /* "": none */
/* How many ms of them are left at that moment; 0: it is outside. */
int64_t hours_left_ms(const struct hours *h, int64_t wall_ms);

#endif
