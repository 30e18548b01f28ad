/* SPDX-License-Identifier: ISC */
/* The daemon's connection: its calls, and the events that go to it. */
#ifndef SHIM_CONTROL_H
#define SHIM_CONTROL_H

#include "ipc/peer.h"
#include "place/shim/shim.h"

/* A new daemon takes the place of the one before; p is taken over, req (its hello) answered. */
void control_attach(struct shim *s, struct peer *p, struct peer_request *req);
/* The peer's callbacks, once it is control's. */
void control_on_request(struct shim *s, struct peer_request *req, const char *method, json_t *params);
void control_on_notification(struct shim *s, const char *method, json_t *params);
void control_detach(struct shim *s);

#endif
