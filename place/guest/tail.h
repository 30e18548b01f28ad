/* SPDX-License-Identifier: ISC */
/* Files of the place that grow, as streams: what an agent writes down of its conversation. */
#ifndef PLACE_GUEST_TAIL_H
#define PLACE_GUEST_TAIL_H

#include "place/guest/guest.h"

#define TAILS_MAX 64

/* {"kind":"tail","root","path","from","check":{"len","sha256"}} */
void tail_open(struct guest *g, struct link_stream *s, const json_t *what);
/* Reads what is there now. True: some of it is still on its way to the shim. */
bool tails_settle(struct guest *g);
void tails_destroy(struct guest *g);

#endif
