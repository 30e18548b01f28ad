/* SPDX-License-Identifier: ISC */
/* The lines above the screen, painted into the scrollback of a terminal that has just come to look. */
#ifndef SHIM_BACKLOG_H
#define SHIM_BACKLOG_H

#include "base/buf.h"
#include "place/shim/record.h"
#include "place/shim/screen.h"

#define BACKLOG_LINES_MAX 500
#define BACKLOG_BYTES_MAX (1024 * 1024) /* what may be painted */

/*
 * Appends what puts the last `lines` lines that scrolled off the screen above what a terminal of
 * rows x cols shows: the painting of the screen goes behind it. Nothing when there are none. How far
 * the recording is looked at is bounded by its size and by the time that takes. 0, or -1 when the
 * recording cannot be read or out is full (then nothing was appended).
 */
int backlog_paint(struct record *r, const struct screen *now, int lines, int rows, int cols, struct buf *out,
	struct err *e);

#endif
