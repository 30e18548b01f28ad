/* SPDX-License-Identifier: ISC */
/*
 * Copies of what agents write down of their conversations: recordings/INSTANCE/conversation-ID.jsonl, each beside the
 * terminal's recording, with the same bytes at the same offsets as the file in the place.
 */
#ifndef SHIM_TAIL_H
#define SHIM_TAIL_H

#include <jansson.h>

#include "place/shim/shim.h"

#define TAILS_OF_INSTANCE 4 /* followed at once; the oldest is let go */

typedef void tail_look_fn(void *arg, json_t *result /* stolen */, const struct err *why);

/* params of `tail`: {instance, conversation, root, path, max}. Follows that file from now on; asked for again it goes on.
 * *ret_length: of the copy so far. */
int tail_follow(struct shim *s, const json_t *params, uint64_t *ret_length, struct err *e);
/* Calls fn once all that the instance's files held by now is copied: {tails: [{conversation, length}]}. */
void tail_look(struct shim *s, const char *instance, tail_look_fn *fn, void *arg);
/* Tells the lengths of all copies: to a daemon that has just come. */
void tail_tell_all(struct shim *s);
/* The daemon's connection ended: nobody waits for a look any more. */
void tail_daemon_gone(struct shim *s);
void tail_destroy_all(struct shim *s);

#endif
