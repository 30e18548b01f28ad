/* SPDX-License-Identifier: ISC */
/* The process that is the place: started, adopted, stopped, its end told. */
#ifndef SHIM_HOLDER_H
#define SHIM_HOLDER_H

#include "place/shim/shim.h"

struct holder;

/* Before privileges are dropped: adopts the holder that runs (holder.pid), or starts one unless
 * adopt_only, in which case one that is gone is told of as place_exit. */
int holder_create(struct shim *s, bool adopt_only, struct holder **ret, struct err *e);
void holder_destroy(struct holder *h); /* the process lives on; NULL ok */
bool holder_running(const struct holder *h);
pid_t holder_pid(const struct holder *h);
/* The link is up: the boot deadline no longer matters. */
void holder_booted(struct holder *h);
/* Ends the place in order, or at once; see `stop`. */
void holder_stop(struct holder *h, bool force, int64_t deadline_ms);
/* An instance ended: a stop under way may go on. */
void holder_kick(struct holder *h);

#endif
