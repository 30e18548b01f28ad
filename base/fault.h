/* SPDX-License-Identifier: ISC */
/*
 * Fault points: named places in the code where a test makes this program end, stop or fail.
 *
 * Compiled in by `configure --enable-fault-points` only; otherwise nothing of them is in a program. Each point
 * puts itself into a section of the program, so the list that `--fault-points` prints is kept by the linker.
 *
 *   TMUX_CLAUDE_FAULT=[PROGRAM/]NAME[:NTH]=kill|stop|error[:CODE]   PROGRAM as in argv[0]; NTH from 1, default 1
 *   TMUX_CLAUDE_FAULT_ONCE=FILE   fires only who makes FILE: once, however many processes come by
 *   TMUX_CLAUDE_FAULT_FROM=FILE   no passing counts, or is traced, before FILE is there
 *   TMUX_CLAUDE_FAULT_TRACE=FILE  each passing appends "PROGRAM NAME"
 *   TMUX_CLAUDE_FAULT_CLOCK=FILE  holds the milliseconds that the wall clock is set wrong by (base/clock.c)
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#include "base/err.h"

#ifdef TC_FAULT_POINTS

struct fault_point {
	const char *name, *file;
	int line;
	bool can_fail;
	unsigned passed;
};

#define FAULT_DEFINE(NAME, CAN_FAIL)                                                               \
	static struct fault_point fault_here = {.name = NAME, .file = __FILE__, .line = __LINE__, \
		.can_fail = CAN_FAIL};                                                              \
	static struct fault_point *const fault_entry                                              \
		__attribute__((section("fault_points"), used)) = &fault_here;                       \
	(void)fault_entry

/* The process may end or stop here. */
#define FAULT_POINT(NAME)                                                                          \
	do {                                                                                       \
		FAULT_DEFINE(NAME, false);                                                          \
		fault_pass(&fault_here, NULL);                                                      \
	} while (0)

/* The same in front of a call that can fail: true, with *E set, when it is to fail now. */
#define FAULT_ERROR(NAME, E)                                                                       \
	({                                                                                         \
		FAULT_DEFINE(NAME, true);                                                           \
		fault_pass(&fault_here, E);                                                         \
	})

bool fault_pass(struct fault_point *p, struct err *e);

/* Prints "NAME FILE:LINE", and " error" behind those that can fail, a line each, by name. */
void fault_list(void);

/* Variables to hand on to programs that are given a chosen environment. */
#define FAULT_ENV , "TMUX_CLAUDE_FAULT", "TMUX_CLAUDE_FAULT_ONCE", "TMUX_CLAUDE_FAULT_FROM", \
	"TMUX_CLAUDE_FAULT_TRACE", "TMUX_CLAUDE_FAULT_CLOCK"

#else

#define FAULT_POINT(NAME)                                                                          \
	do {                                                                                       \
	} while (0)
#define FAULT_ERROR(NAME, E) false
#define FAULT_ENV

#endif

#endif
