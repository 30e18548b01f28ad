/* SPDX-License-Identifier: ISC */
/*
 * A JSON-RPC connection on the loop, the same for both ends: the daemon's clients, the daemon as the
 * shim's and the egress' controller, and programs inside a place. Pipelined requests with deadlines,
 * notifications both ways.
 */
#ifndef IPC_PEER_H
#define IPC_PEER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/loop.h"
#include "ipc/rpc.h"

#define PEER_OUT_MAX (8 * 1024 * 1024) /* queued towards a peer; past it the peer is too slow */

struct peer;

/* A request that was received; answer it exactly once, now or later, with peer_result/peer_error. The
 * object stays valid until answered, even when the peer is gone (the answer is dropped then). */
struct peer_request;

struct peer_ops {
	/* A request; params borrowed (json_incref to keep). */
	void (*on_request)(void *arg, struct peer_request *req, const char *method, json_t *params);
	void (*on_notification)(void *arg, const char *method, json_t *params);
	/* Gone: pending calls of ours were failed with ERR_UNREACHABLE before. The owner destroys. Never
	 * called from within another function of this header. */
	void (*on_close)(void *arg, const char *reason);
	/* What was written to it has all been taken. May be NULL. */
	void (*on_drain)(void *arg);
};

/* Takes fd over (non-blocking). out_max 0: PEER_OUT_MAX. */
struct peer *peer_create(struct loop *l, int fd, size_t out_max, const struct peer_ops *ops,
	void *arg);
void peer_destroy(struct peer *p); /* pending calls are dropped silently; NULL ok */

typedef void peer_reply_fn(void *arg, json_t *result, const struct err *error); /* one is NULL */
/* Sends a request (params stolen, may be NULL); fn is called once, never from within peer_call, with
 * ERR_TIMEOUT after ms (-1: no deadline). Its arguments are borrowed. */
void peer_call(struct peer *p, const char *method, json_t *params, int64_t ms, peer_reply_fn *fn,
	void *arg);
/* As peer_call, with a descriptor (a copy of it) on the request's line. */
void peer_call_fd(struct peer *p, const char *method, json_t *params, int fd, int64_t ms,
	peer_reply_fn *fn, void *arg);
/* From now on descriptors that peers send are kept, at most CONN_FDS_MAX untaken ones. */
void peer_accept_fds(struct peer *p);
int peer_take_fd(struct peer *p); /* the oldest, now the caller's; -1: none */
/* -1 when the peer's queue is full: it is too slow, and is being disconnected (on_close comes). params
 * stolen. */
/* What is sent until it is let go goes out in one piece. */
void peer_cork(struct peer *p, bool corked);
int peer_notify(struct peer *p, const char *method, json_t *params);
/* Its last words were said: what waits is still written, for ms at most, then the connection ends (on_close comes at
 * once). */
void peer_finish(struct peer *p, int ms);
size_t peer_out_pending(const struct peer *p);
/* How many messages came from it so far: whether it has said anything since. */
uint64_t peer_heard(const struct peer *p);

/* result stolen (NULL: {}). */
void peer_result(struct peer_request *req, json_t *result);
void peer_result_text(struct peer_request *req, const struct buf *json); /* the same, as text; borrowed */
void peer_error(struct peer_request *req, const struct err *error);
/* The peer of a request, or NULL when it is gone. */
struct peer *peer_request_peer(const struct peer_request *req);
json_t *peer_request_id(const struct peer_request *req); /* borrowed; for progress notices */
/* Called once when the connection goes (or the peer is destroyed) while the request is unanswered: the
 * caller gave up. The request must still be answered, then or later, to be released. */
void peer_request_on_abandon(struct peer_request *req, void (*fn)(void *arg), void *arg);

/* Every call that waits for its answer hears why instead, now; for an owner that is about to destroy p. */
void peer_fail_calls(struct peer *p, const struct err *why);

/* Takes the descriptor out for another protocol (after a hello was answered): returns it (non-blocking),
 * with bytes that were read already appended to *ret_rest (initialised by the caller); p is destroyed.
 * -1, and p is left as it is, when the connection is closed or the peer has not taken all of what was
 * written to it: a hello's answer always fits the socket's buffer of a peer worth talking to. */
int peer_release(struct peer *p, struct buf *ret_rest, struct err *e);

#endif
