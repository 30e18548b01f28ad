/* SPDX-License-Identifier: ISC */
/* Sequences that paint a screen anew: for a view that comes, for one that fell behind, for snapshots. */
#ifndef SHIM_PAINT_H
#define SHIM_PAINT_H

#include "base/buf.h"
#include "place/shim/screen.h"

/* Everything a terminal of the same size needs to stand where the screen stands, whatever it showed
 * before: both screens, attributes, links, region, tab stops, saved cursors, modes, title. 0, or -1 when
 * out is full (then a part is in it). */
int paint_full(const struct screen *s, struct buf *out);
/* The same for an emulator of ours: also what views need not have (the stacks of titles and of keyboard
 * flags, synchronized output). */
int paint_snapshot(const struct screen *s, struct buf *out);

/* One line's cells with their attributes, plain ones before and behind. */
int paint_line(const struct screen_cell *cells, int cols, struct buf *out);
/* Brings any terminal to where lines can be written: the primary screen, nothing switched on. */
int paint_begin(struct buf *out);

/* A window of another size onto the screen: rows that changed since the last call are painted again,
 * cut at the view's width, following the cursor. */
struct paint_clip {
	int rows, cols;              /* of the view */
	int top, left;               /* of the window on the screen */
	bool begun;                  /* false: paint all, modes too */
	struct modes modes;          /* as painted last */
	uint64_t *hash;              /* one per row; owned: release with paint_clip_finish */
};
/* Sets the view size; the next painting paints everything. */
void paint_clip_size(struct paint_clip *c, int rows, int cols);
void paint_clip_finish(struct paint_clip *c);
int paint_clipped(const struct screen *s, struct paint_clip *c, struct buf *out);

#endif
