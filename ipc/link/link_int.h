/* SPDX-License-Identifier: ISC */
/* What link.c (connections, frames, turns) and stream.c (records of one stream) share. */
#ifndef IPC_LINK_LINK_INT_H
#define IPC_LINK_LINK_INT_H

#include "ipc/link/frame.h"
#include "ipc/link/link.h"

#define HASH_SIZE 64
#define CTL_MARKS 16
#define REPLIES_MAX (128 * 1024) /* more answers about streams that are gone: the peer is mad */
/* Offsets of RESET: what it says. */
#define RESET_CONFIRM 1
#define RESET_FULL 2

/* JSON records among unconsumed DATA: their bytes count as consumed once the DATA before them is. */
struct ctl_mark {
	uint64_t data_before; /* DATA bytes received before it */
	size_t len;
};

struct link_stream {
	struct link *link;
	uint32_t id;
	struct link_stream *prev, *next, *hash_next;
	const struct link_stream_ops *ops;
	void *arg;

	/* Sending. out holds records (struct record_head and payload); positions count from its front. */
	struct buf out;
	uint64_t acked, sent, sent_high, queued; /* offsets; acked <= sent <= sent_high <= queued */
	size_t acked_part;                       /* bytes of the first record before `acked` */
	size_t pos, pos_part;                    /* the record that `sent` is in, and how far */
	size_t last;                             /* the last record; only meaningful when out.len > 0 */
	size_t data_bytes, json_bytes;           /* unacknowledged, by kind */
	size_t out_max;
	bool fin_queued;

	/* Receiving. */
	uint64_t recv, ack_sent;       /* offsets: behind what came; what we acknowledged */
	uint64_t data_recv;            /* DATA bytes that came */
	size_t outstanding;            /* of them, not yet consumed */
	struct ctl_mark marks[CTL_MARKS];
	size_t nmarks;
	struct buf part;               /* a JSON record in the making */
	enum frame_type part_type;     /* 0: none */
	size_t fin_len;
	bool opened;                   /* the peer's OPEN is complete (or the stream is ours) */
	bool fin_received;

	bool accepted, closing, dead;
	bool resetting, reset_due;     /* a tombstone until the peer confirms */
	bool ack_due;
	char *reset_why;
};

struct link {
	struct link_ops ops;
	void *arg;
	enum link_side side;
	char *place;
	json_t *info;
	int ping_ms, ack_delay_ms;
	size_t max_streams;

	uint64_t epoch, nonce;
	uint64_t peer_epoch;           /* 0: never met */
	uint64_t peer_nonce, echoed;   /* of this connection; 0: none */
	bool connected, filler, up;
	bool hello_due, filler_due, refused;

	struct link_stream *first, *tail, *turn;
	struct link_stream *hash[HASH_SIZE];
	size_t nstreams, npeer;
	uint32_t next_id, peer_high;
	bool opens_due, acks_due, resets_due; /* some stream has one to send */
	struct buf replies;            /* answers about streams that are gone */

	bool pong_due, ping_due;
	uint64_t pong;
	int64_t heard_at, ping_at;     /* ping_at: when one was sent that is unanswered; 0: none */
	int64_t hello_at, ack_at;      /* 0: not set */

	int depth;                     /* of calls during which streams must not be freed */
	bool sweep_due, output_told;
};

/* --- stream.c --- */
struct link_stream *stream_create(struct link *l, uint32_t id);
void stream_free(struct link_stream *s);
int stream_queue(struct link_stream *s, enum frame_type type, const void *data, size_t len);
/* The next frame within the window, at most max bytes of payload. False: nothing to send now. */
bool stream_next(const struct link_stream *s, size_t max, struct frame *ret);
void stream_sent(struct link_stream *s, const struct frame *f);
void stream_rewind(struct link_stream *s);
/* The peer consumed all before offset. -1: it never got that much. */
int stream_acked(struct link_stream *s, uint64_t offset);
bool stream_out_done(const struct link_stream *s); /* all that was queued is acknowledged */
uint64_t stream_consumed(const struct link_stream *s);
void stream_note_json(struct link_stream *s, size_t len);
void stream_drop_buffers(struct link_stream *s);

/* --- link.c --- */
extern const struct link_stream_ops link_no_ops;
void link_ack_due(struct link_stream *s);
void link_want_output(struct link *l);
bool link_own_id(const struct link *l, uint32_t id);
struct link_stream *link_stream_find(struct link *l, uint32_t id);
/* Between l->depth++ and link_leave no stream's memory goes. */
void link_leave(struct link *l);
void link_stream_end(struct link_stream *s); /* at once, nobody is told */
void link_tell_reset(struct link_stream *s, const struct err *why);
void link_connection_reset(struct link *l);
/* The same transport, but what comes out of it is not what the peer says to us. */
void link_start_over(struct link *l, const char *reason);
void link_establish(struct link *l, uint64_t epoch, json_t *hello);
void link_maybe_over(struct link_stream *s); /* a closed stream, once nothing of it is under way */

#endif
