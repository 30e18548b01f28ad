/* SPDX-License-Identifier: ISC */
/* The socket of one instance: what connects there speaks for it, through the shim. */
#ifndef PLACE_GUEST_API_H
#define PLACE_GUEST_API_H

#include "place/guest/guest.h"

#define API_CONNS_MAX 64

/* Listens on RUN_DIR/INSTANCE.sock, for the agent's user alone. */
int api_create(struct guest *g, const char *instance, struct api **ret, struct err *e);
/* Stops listening; what is connected goes on (a last report may be under way). NULL ok. */
void api_destroy(struct api *a);

#endif
