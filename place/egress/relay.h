/* SPDX-License-Identifier: ISC */
/*
 * Two connections joined: what one says the other hears, in order. One direction holds at most
 * RELAY_BUFFER bytes for a reader that is slow, then its writer is not read (back-pressure). An end in one
 * direction is passed on while the other goes on; an error ends both.
 */
#ifndef EGRESS_RELAY_H
#define EGRESS_RELAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

#define RELAY_BUFFER 65536
#define RELAY_LINGER_MS 30000 /* for the last bytes to a slow reader */

struct relay;

/* up: bytes from a to b; down: from b to a. */
typedef void relay_fn(void *arg, uint64_t up, uint64_t down);
/* Takes both descriptors; `first` bytes were read from a already. fn is called once, from the loop,
 * when both directions have ended; the relay is gone then. */
struct relay *relay_start(struct loop *l, int a, int b, const void *first, size_t first_len,
	relay_fn *fn, void *arg);
void relay_destroy(struct relay *r); /* at once, fn is not called; NULL ok */

#endif
