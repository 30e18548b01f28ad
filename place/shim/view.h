/* SPDX-License-Identifier: ISC */
/* A view of a terminal: a connection that is painted to and may type. */
#ifndef SHIM_VIEW_H
#define SHIM_VIEW_H

#include "place/shim/inst.h"

#define VIEW_QUEUE_MAX (256 * 1024) /* live output that waits for a view; then it is repainted */

/* Lists of an instance's views: linked through these by inst. */
struct view {
	struct view *next;
	struct inst *inst;
	struct conn *conn;
	int rows, cols;
	bool begun, read_only, stale;
	bool person; /* somebody is there for sure: it has the size until another one types */
	struct paint_clip *clip; /* of another size than the terminal: painted as a window, else NULL */
	struct loop_timer *pace;
	bool pace_due;
	uint64_t last_input; /* order of the last input: who takes the size over */
};

/* fd is taken over; rest: bytes that came with the hello. params: of the hello. */
void view_create(struct inst *i, int fd, const struct buf *rest, const json_t *params);
void view_destroy(struct view *v);
/* Output of the program, filtered. whole: false when some of it is missing: repaint. */
void view_output(struct view *v, const void *live, size_t len, bool whole);
/* The terminal's size changed: repaint, as a window or whole. */
void view_resized(struct view *v);
/* The program ended: says how, closes. */
void view_end(struct view *v, json_t *fin);

#endif
