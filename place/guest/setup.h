/* SPDX-License-Identifier: ISC */
/* What the shim wants a place to be before anything runs in it. */
#ifndef PLACE_GUEST_SETUP_H
#define PLACE_GUEST_SETUP_H

#include "place/guest/guest.h"

#define SETUP_FILES_MAX 256

typedef void setup_done_fn(void *arg, const struct err *why); /* NULL: all is done */

/* Does all of `setup` (see ARCHITECTURE.md); fn is called once, maybe before this returns. May be run
 * again. Outside a machine only `files` is done: the rest is the host's own. */
void setup_run(struct guest *g, const json_t *what, setup_done_fn *fn, void *arg);

/* [{"path","mode","content","if_absent"}], absent or null: none. Parents are made. Files are the
 * agent's; outside a machine they must stand below the place's own folder. *ret_changed (NULL ok): one holds something else
 * than before. */
int setup_files(struct guest *g, const json_t *files, bool *ret_changed, struct err *e);

#endif
