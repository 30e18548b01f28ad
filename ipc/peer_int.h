/* SPDX-License-Identifier: ISC */
/* What the files of a peer share: the connection (peer.c), calls of ours (peer_call.c), requests of
 * theirs (peer_request.c). */
#ifndef IPC_PEER_INT_H
#define IPC_PEER_INT_H

#include "base/conn.h"
#include "base/util.h"
#include "ipc/peer.h"

#define REQUESTS_MAX 1024
#define CALL_BUCKETS 16 /* a power of two; a thousand shims have a peer each */

struct call {
	struct call *next;
	int64_t id;
	int64_t deadline;
	peer_reply_fn *fn;
	void *arg;
};

struct peer_request {
	struct peer *peer; /* NULL when gone */
	struct peer_request *prev, *next;
	json_t *id;
	void (*on_abandon)(void *arg);
	void *abandon_arg;
};

/* A call that failed before it was sent: its owner is told from the loop, not from within peer_call. */
struct failed_call {
	struct failed_call *next;
	peer_reply_fn *fn;
	void *arg;
	struct err error;
};

struct peer {
	struct loop *loop;
	struct conn *conn;
	struct buf *in;  /* the connection's; known since the first bytes */
	size_t scanned;  /* bytes of in that hold no newline */
	struct buf line; /* one message on its way out */
	const struct peer_ops *ops;
	void *arg;
	struct call *calls[CALL_BUCKETS];
	struct failed_call *failed;
	int64_t next_id;
	uint64_t heard; /* messages */
	struct loop_timer *timer;
	int64_t timer_at;
	struct peer_request *requests;
	size_t nrequests;
	size_t out_max;
	struct loop_defer *defer;
	unsigned depth;
	int finish_ms; /* for the last words; 0: a moment */
	bool stalled, ended, destroyed, close_told, slow;
	char reason[128]; /* why it ended */
};

/* peer.c */
void peer_enter(struct peer *p); /* around callbacks: the memory stays */
bool peer_leave(struct peer *p); /* false when the peer is gone */
/* Ends the connection; the owner is told from the loop. */
void peer_end(struct peer *p, const char *reason);
/* Queues p->line, with fd unless it is -1, and empties it. -1: the peer is too slow and has been ended. */
int peer_send_line_fd(struct peer *p, int fd);
int peer_send_line(struct peer *p);
int peer_send_result(struct peer *p, const struct buf *json); /* the line as a result's head, this, and its tail */

/* peer_call.c */
void calls_on_timer(void *arg); /* the peer's timer */
void calls_answer(struct peer *p, struct rpc_msg *m);
void calls_tell_failed(struct peer *p); /* those that failed before they were sent */
void calls_fail(struct peer *p, const struct err *e); /* every pending one, while the peer lives */
void calls_drop(struct peer *p); /* without telling */

/* peer_request.c */
void requests_take(struct peer *p, struct rpc_msg *m);
void requests_abandon(struct peer *p);
bool requests_must_stall(const struct peer *p);
void requests_unstall(struct peer *p);

#endif
