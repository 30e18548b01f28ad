/* SPDX-License-Identifier: ISC */
/* A place's allow-list: exact destinations, no patterns. Pure. */
#ifndef EGRESS_ALLOW_H
#define EGRESS_ALLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "ipc/hostport.h"

#define ALLOW_MAX 256 /* destinations of one place */

struct allow {
	struct hostport *list;
	size_t n;
};

/* An empty list lets nothing through. */
void allow_init(struct allow *a);
void allow_finish(struct allow *a);
/* Adds "HOST:PORT" (once). ERR_PARAMS when it is none, ERR_LIMIT past ALLOW_MAX. */
int allow_add(struct allow *a, const char *text, struct err *e);
/* May a place ask for this destination, as it asked for it? */
bool allow_asks(const struct allow *a, const struct hostport *want);
/* May a connection for `want` (which allow_asks let through) go to the address `to`? A public
 * address: yes. Any other, one of this machine's own (`own`) too, only when the list names the
 * address itself with this port. ERR_DENIED with the reason. */
int allow_leads(const struct allow *a, const struct hostport *want, const struct hostport *to,
	bool own, struct err *e);

#endif
