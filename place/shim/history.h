/* SPDX-License-Identifier: ISC */
/* What has scrolled off a screen, rendered from the recording as a person saw it. */
#ifndef SHIM_HISTORY_H
#define SHIM_HISTORY_H

#include "base/buf.h"
#include "place/shim/screen.h"
#include "record/tape.h"

#define HISTORY_LINES_MAX 10000
#define HISTORY_TAIL (1024 * 1024) /* how much of the recording is looked at, at least */

/* Appends the last `lines` lines ending with the screen's text (which is whole even when it has more). Text
 * that ran on over several rows is one line. 0, or -1 when the recording cannot be read or out is full. */
int history_text(struct tape *t, const struct screen *now, int lines, struct buf *out, struct err *e);

/* *ret (owned) becomes a screen that was fed at least the newest `len` bytes of the recording, from a state
 * that is known where there is one, with ops told of what it meets. 1 when there is more than that, 0 when
 * that was all, -1 on errors. */
int history_scratch(struct tape *t, const struct screen *now, size_t len, const struct screen_ops *ops, void *arg,
	struct screen **ret, struct err *e);

#endif
