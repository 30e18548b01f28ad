/* SPDX-License-Identifier: ISC */
/*
 * The daemon's calls that type: `input`, `typed` and `key`.
 *
 * A text larger than a line of JSON comes in numbered pieces (`part`, all but the last with `more`), which
 * are put together here. An input with a `key` is remembered: the same key again does not type again, it
 * hears how the first one went (unless nothing was typed, for a reason that may pass), and `typed` asks for that alone. So a daemon that died while its text was
 * typed learns from the same shim what became of it. Each input brings the keys whose outcome its daemon
 * has not on disk (`keep`): these stay, the oldest of the others makes room for a new one.
 */
#ifndef SHIM_TYPING_H
#define SHIM_TYPING_H

#include "ipc/peer.h"
#include "place/shim/shim.h"

#define TYPING_KEYS 32
#define TYPING_KEY_MAX 128
#define TYPING_KEYS_MAX 256 /* names in one `key` */

struct typing;
struct inst;

struct typing *typing_create(void);
void typing_destroy(struct typing *t); /* after the input was destroyed; NULL ok */
/* The daemon's connection ended: a text that was not given whole is forgotten, nobody waits any more. */
void typing_detach(struct typing *t);

void typing_do_input(struct inst *i, struct peer_request *req, json_t *params);
void typing_do_typed(struct inst *i, struct peer_request *req, json_t *params);
void typing_do_key(struct inst *i, struct peer_request *req, json_t *params);

#endif
