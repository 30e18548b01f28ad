/* SPDX-License-Identifier: ISC */
/* The key that leaves a bare view, in every way in which terminals send it. Pure. */
#ifndef CLI_DETACH_H
#define CLI_DETACH_H

#include <stdbool.h>
#include <stddef.h>

/* "C-]", "C-a" .. "C-z", "C-\", "C-^", "C-_", or "none": the control byte, 0 for none, -1 for anything else. */
int detach_key(const char *name);
#define DETACH_READ_MAX 4096
#define DETACH_HELD_MAX 32 /* a longer sequence is none of ours */

/* What is typed, as it comes; zeroed but for the key. */
struct detach {
	int key; /* 0: none */
	bool pasting;
	char at[DETACH_HELD_MAX + DETACH_READ_MAX];
	size_t len, begun; /* in `at`: an unfinished sequence begins at `begun` */
	size_t passed;     /* so much of that was passed on already */
};

/* Takes what was typed, at most DETACH_READ_MAX. *ret becomes what the program is to have of it, valid until the
 * next call: up to the key, and without a sequence that is not whole yet. True when the key was among it. */
bool detach_feed(struct detach *d, const char *data, size_t len, const char **ret, size_t *ret_len);

#endif
