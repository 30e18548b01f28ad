/* SPDX-License-Identifier: ISC */
/* The places: each with its listening socket, its allow-list and its connections. */
#ifndef EGRESS_PLACE_H
#define EGRESS_PLACE_H

#include <jansson.h>

#include "base/loop.h"
#include "place/egress/allow.h"
#include "place/egress/denial.h"
#include "place/egress/resolve.h"

#define PLACES_MAX 1024
#define PLACE_NAME_MAX 32
#define PLACE_FLOWS_MAX 256 /* connections of one place at a time */

struct flow;

struct place {
	struct places *places;
	struct place *next;
	char name[PLACE_NAME_MAX + 1];
	struct allow allow;
	int listen_fd;
	struct loop_io *io;
	struct loop_timer *again; /* accepts again after descriptors ran out */
	struct flow *flows;
	size_t n_flows;
	uint64_t flows_total, bytes_up, bytes_down;
};

struct places {
	struct loop *loop;
	struct resolver *resolver;
	struct denials *denials;
	struct place *first;
	size_t n;
};

void places_init(struct places *ps, struct loop *l, struct resolver *r, struct denials *d);
void places_finish(struct places *ps);
/* Adds a place, or gives a known one a new list and socket. fd: a listening unix socket, taken over on
 * success only; -1 keeps a known place's. The list is taken on success. Connections that run go on. */
int places_add(struct places *ps, const char *name, struct allow *list, int fd, struct err *e);
/* Ends its connections and closes its socket. ERR_NOT_FOUND. */
int places_remove(struct places *ps, const char *name, struct err *e);
/* [{"place","connections","total","up","down","allow":N}]; new reference. */
json_t *places_status(const struct places *ps);

#endif
