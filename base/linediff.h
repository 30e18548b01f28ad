/* SPDX-License-Identifier: ISC */
/* The difference of two texts, line by line, for people to read. */
#ifndef BASE_LINEDIFF_H
#define BASE_LINEDIFF_H

#include <stdbool.h>
#include <stddef.h>

/* Hunks of a unified diff (no header) with three lines of context, at most max bytes: what is longer ends at
 * a whole line, with *ret_cut set. Where the texts differ in too many lines to compare them, the old lines stand before the
 * new ones. Owned; "" when they are the same. */
char *line_diff(const char *before, const char *after, size_t max, bool *ret_cut);

#endif
