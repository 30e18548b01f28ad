/* SPDX-License-Identifier: ISC */
/* Bytes between descriptors and whatever takes or gives them, never faster than the slower side. */
#ifndef PLACE_GUEST_FLOW_H
#define PLACE_GUEST_FLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/loop.h"

/* Reads a descriptor as long as its owner has room. */
struct tap;

struct tap_ops {
	size_t (*room)(void *arg);                             /* bytes that may come now; 0 pauses */
	void (*bytes)(void *arg, const void *data, size_t len);
	void (*end)(void *arg); /* end of file or error; nothing comes any more. May destroy the tap */
};

/* fd (non-blocking) becomes the tap's when own is set. */
struct tap *tap_create(struct loop *l, int fd, bool own, const struct tap_ops *ops, void *arg);
void tap_destroy(struct tap *t); /* NULL ok */
void tap_update(struct tap *t);  /* the room changed */
/* Reads what is there now; true when that was all there was. */
bool tap_drain(struct tap *t);

/* Writes to a descriptor what it is given, keeping what it does not take yet. */
struct sink;

/* taken: n bytes were written, or thrown away as nobody reads any more. */
typedef void sink_taken_fn(void *arg, size_t n);
struct sink *sink_create(struct loop *l, int fd, bool own, size_t max, sink_taken_fn *taken, void *arg);
/* Forgets what was not written yet; returns how much that was (taken is not called for it). */
size_t sink_drop(struct sink *s);
void sink_destroy(struct sink *s); /* NULL ok */
/* -1 when more than max would wait. taken may be called from within. */
int sink_write(struct sink *s, const void *data, size_t len);
/* Closes the (owned) descriptor once all is written; what is written later is thrown away. */
void sink_end(struct sink *s);

#endif
