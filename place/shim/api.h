/* SPDX-License-Identifier: ISC */
/* Connections to instances' sockets, made inside the place: reports are taken here, calls passed on. */
#ifndef SHIM_API_H
#define SHIM_API_H

#include "place/shim/shim.h"

#define API_CONNS_MAX 128
#define API_CALLS_MAX 64        /* of one connection, not answered yet */
#define API_BURST 1000          /* messages of a place at once; then */
#define API_PER_SECOND 100      /* the others are not read before it is their turn */
#define API_LASTING "approvals.wait" /* a call that is passed on to each daemon until it is answered */
#define API_NO_DAEMON_MS 5000   /* calls wait this long for a daemon */

struct api;

struct api *api_create(struct shim *s);
void api_destroy(struct api *a); /* NULL ok */
/* A connection from inside. */
void api_open(struct shim *s, struct link_stream *stream, const json_t *what);
/* The daemon's answer to one of its calls. */
void api_reply(struct api *a, int64_t conn, json_t *msg);
/* A daemon came, or went. */
void api_daemon(struct api *a, bool there);

#endif
