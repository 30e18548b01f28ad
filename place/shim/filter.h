/* SPDX-License-Identifier: ISC */
/* What of a program's output an emulator or a user's terminal may see, and the answers to queries. */
#ifndef SHIM_FILTER_H
#define SHIM_FILTER_H

#include <stdbool.h>

#include "base/buf.h"
#include "place/shim/modes.h"
#include "place/shim/scan.h"
#include "place/shim/screen.h"

/* Appends to out the form of a token that a view may be given: nothing for queries, device control
 * strings, the clipboard, window operations and what is not known here. m: the modes after it.
 * 0, or -1 when out is full. */
int filter_token(const struct scan_token *t, const struct modes *m, struct buf *out);
/* Is it drawing (or a mode) that an emulator should be fed with? */
bool filter_is_drawing(const struct scan_token *t);

/* Does it give back a title that was saved? */
bool filter_is_title_pop(const struct scan_token *t);
/* Is it a hyperlink (OSC 8) without anything that could hide in it? */
bool filter_is_link(const struct scan_token *t);

struct query_state {
	const struct modes *modes;
	struct screen_attr pen;
	int rows, cols;
	int row, col; /* the cursor, from 0 */
};
/* May the token be one? Quickly: most are not. */
static inline bool query_possible(const struct scan_token *t)
{
	return t->kind != SCAN_CSI || t->final == 'c' || t->final == 'n' || t->final == 'p' || t->final == 'q' ||
	       t->final == 't' || t->final == 'x';
}
/* Appends the terminal's answer when the token is a query that has one. 0, or -1 when out is full. */
int query_answer(const struct scan_token *t, const struct query_state *q, struct buf *out);

#endif
