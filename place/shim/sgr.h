/* SPDX-License-Identifier: ISC */
/* SGR: what it makes of a pen, and the one that makes a pen. */
#ifndef SHIM_SGR_H
#define SHIM_SGR_H

#include "base/buf.h"
#include "place/shim/cells.h"
#include "place/shim/scan.h"
#include "place/shim/screen.h"

/* pen: its colours and attribute flags; the rest is left alone. */
void sgr_apply(const struct scan_token *t, struct cell *pen);
/* Appends the parameters that make a plain pen a, beginning with 0. 0, or -1 when out is full. */
int sgr_params(const struct screen_attr *a, struct buf *out);

#endif
