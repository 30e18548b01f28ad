/* SPDX-License-Identifier: ISC */
/* One connection of a place, from its request to its end. */
#ifndef EGRESS_FLOW_H
#define EGRESS_FLOW_H

#include "place/egress/place.h"

#define FLOW_REQUEST_MAX 1024 /* bytes of the request's line */
#define FLOW_REQUEST_MS 10000 /* for the request to come */

struct flow;

/* Takes the accepted descriptor over. The flow hangs on its place and ends itself. */
void flow_start(struct place *p, int fd);
void flow_destroy(struct flow *f);

#endif
