/* SPDX-License-Identifier: ISC */
/* The daemon's end of one shim: starts it, connects, connects again, calls it, hears its events. */
#ifndef DAEMON_SHIMCTL_H
#define DAEMON_SHIMCTL_H

#include <jansson.h>

#include "base/loop.h"
#include "ipc/peer.h"

#define SHIM_CONNECT_MS 10000 /* from its start to its first answer */
#define SHIM_PULSE_MS 3000    /* nothing heard for so long after a call: is it there? */
#define SHIM_PING_MS 7000     /* it has this long to say so */

struct shimctl;

struct shimctl_ops {
	/* Connected (for the first time or again); hello is the shim's answer, borrowed. */
	void (*on_hello)(void *arg, json_t *hello);
	/* An event; seq 0 is not kept by the shim. Acknowledge with shimctl_ack once it is durable. */
	void (*on_event)(void *arg, uint64_t seq, const char *type, json_t *event);
	/* The shim could not be started or reached, or its connection ended. No further calls until
	 * shimctl_start or shimctl_adopt is called again. */
	void (*on_lost)(void *arg, const struct err *why);
};

struct shimctl *shimctl_create(struct loop *l, const char *place_dir, const struct shimctl_ops *ops,
	void *arg);
/* Closes the connection; the shim lives on, pending calls are dropped silently. NULL ok. Safe in
 * callbacks. */
void shimctl_destroy(struct shimctl *c);
/* As shimctl_destroy, and those whose calls were pending hear ERR_UNREACHABLE first. */
void shimctl_drop(struct shimctl *c);
/* At the daemon's end, before loop_destroy: stops watching the shims that it started and that go on. */
void shimctl_finish(void);
/* Starts tmux-claude-shim for the folder (place.json stands there) and connects as soon as its socket
 * is there (inotify, deadline SHIM_CONNECT_MS). One that listens there already is connected to instead.
 * -1: nothing was started, no callback comes. ERR_STATE while it is started or connected already. */
int shimctl_start(struct shimctl *c, struct err *e);
/* Connects to a shim that runs already; on_lost (deferred) when none listens. */
void shimctl_adopt(struct shimctl *c);
bool shimctl_connected(const struct shimctl *c);
/* As peer_call: params stolen, fn called once (ERR_UNREACHABLE when not connected). */
void shimctl_call(struct shimctl *c, const char *method, json_t *params, int64_t ms,
	peer_reply_fn *fn, void *arg);
/* Both are dropped when not connected: the shim sends again what was not acknowledged. steps_wait_ms: see events_ack
 * (place/shim/events.h). */
void shimctl_ack(struct shimctl *c, uint64_t seq, int64_t steps_wait_ms);
/* Answers an `api` event: msg (stolen) is a whole JSON-RPC message. */
void shimctl_api_reply(struct shimctl *c, json_int_t conn, json_t *msg);
size_t shimctl_out_pending(const struct shimctl *c); /* bytes that it has not taken yet */

#endif
