/* SPDX-License-Identifier: ISC */
/* Connections from inside the place to something on the host: the way out, and its folders. */
#ifndef SHIM_RELAY_H
#define SHIM_RELAY_H

#include "place/shim/shim.h"

#define RELAYS_MAX 512

/* A connection to a host and port: passed to the place's socket of tmux-claude-egress. */
void relay_egress(struct shim *s, struct link_stream *stream, const json_t *what);
/* A folder of place.json: a file server of its own. */
void relay_files(struct shim *s, struct link_stream *stream, const json_t *what);
void relay_destroy_all(void);

#endif
