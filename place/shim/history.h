/* SPDX-License-Identifier: ISC */
/* What has scrolled off a screen, rendered from the recording as a person saw it. */
#ifndef SHIM_HISTORY_H
#define SHIM_HISTORY_H

#include "base/buf.h"
#include "place/shim/record.h"
#include "place/shim/screen.h"

#define HISTORY_LINES_MAX 10000
#define HISTORY_TAIL (1024 * 1024) /* how much of the recording is looked at */

/* Appends the last `lines` lines ending with the screen's text (which is whole even when it has more).
 * 0, or -1 when the recording cannot be read or out is full. */
int history_text(struct record *r, const struct screen *now, int lines, struct buf *out,
	struct err *e);

/* Appends the newest HISTORY_TAIL bytes of the recording, beginning where a line or sequence does. */
int history_tail(struct record *r, struct buf *tail, struct err *e);

#endif
