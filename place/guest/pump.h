/* SPDX-License-Identifier: ISC */
/* One connection of the place joined to one stream of the link, both ways, with half-closes. */
#ifndef PLACE_GUEST_PUMP_H
#define PLACE_GUEST_PUMP_H

#include <jansson.h>

#include "base/buf.h"
#include "base/loop.h"
#include "ipc/link/link.h"

#define PUMP_IN_MAX (128 * 1024)

struct pump;

/* Each may be NULL. From each the owner may call pump_destroy and pump_finish. */
struct pump_ops {
	/* Before pump_open: bytes of the connection; consume what is understood (before opening). */
	void (*on_head)(void *arg, struct pump *p, struct buf *in);
	void (*on_ctl)(void *arg, struct pump *p, json_t *msg);
	/* Before pump_start: the stream was refused. NULL: the connection is closed. */
	void (*on_refused)(void *arg, struct pump *p, const struct err *why);
	void (*on_first)(void *arg, struct pump *p); /* the stream's first bytes came */
	void (*on_lost)(void *arg, struct pump *p, const struct err *why); /* after pump_start: reset */
	void (*on_gone)(void *arg); /* the last call */
};

/* Takes fd over. */
struct pump *pump_create(struct loop *l, int fd, const struct pump_ops *ops, void *arg);
/* Opens the stream (what stolen). */
int pump_open(struct pump *p, struct link *l, json_t *what, struct err *e);
struct link_stream *pump_stream(struct pump *p);
void pump_start(struct pump *p); /* from now on bytes pass; it may be gone afterwards */
void pump_write(struct pump *p, const void *data, size_t len); /* to the connection */
void pump_finish(struct pump *p);  /* what was written still goes to the connection, then it is closed */
void pump_destroy(struct pump *p); /* at once; NULL ok */

#endif
