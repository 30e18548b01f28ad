/* SPDX-License-Identifier: ISC */
/*
 * The link: reliable streams between a shim and the guest program, over a byte stream that may be
 * cut and made again at any byte. The same engine runs at both ends; it does no I/O (link_io.h
 * joins it to a descriptor and the loop).
 *
 * Streams. Either side opens them (the shim's ids are even, the guest's odd, none is used twice).
 * Each direction is a sequence of records in one space of offsets: OPEN (the opener's first), then
 * DATA and CTL in any mix, FIN at the end; a record covers its payload's length, at least 1. The
 * sender keeps every record until the receiver's program consumed it (cumulative ACK), sends at
 * most LINK_WINDOW past that, and sends again from there after a reconnect. The receiver takes
 * records in order exactly once: what it has already is dropped, a gap is a violation.
 *
 * Connections. link_connected starts each one: both sides send HELLO with a fresh nonce, answer the
 * other's with an echo of its nonce, and send and accept records only when their own nonce was
 * echoed. Until then everything that is not a HELLO is skipped. As a half frame of before could
 * swallow a HELLO, FRAME_MAX bytes of filler go ahead of it (a unix socket needs none). A HELLO in
 * the middle of an established connection, or bytes that are no frame, start this over.
 *
 * Epochs. A side's epoch is made with link_create. A peer that comes back with the epoch we know
 * resumes; with another one it is a new program that knows nothing: every stream is reset (on_reset)
 * except those of ours of which nothing was ever sent; these go to the new peer.
 *
 * Ends. After both FINs a stream is over once both ends called link_close; closing acknowledges the
 * peer's FIN, so that an exit status stays with its sender until the receiver is done with it.
 * Closing earlier, or link_reset, resets: both ends forget the stream at once and the peer is told,
 * also across reconnects.
 *
 * Callbacks run from within link_input, link_connected, link_disconnected, link_tick and, for
 * on_output, from any call. They may call anything here except link_destroy and link_input. A stream
 * is invalid after on_reset returned and after link_close / link_reset.
 */
#ifndef IPC_LINK_LINK_H
#define IPC_LINK_LINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define LINK_VERSION 1
#define LINK_WINDOW (256 * 1024)       /* bytes of a stream under way and not consumed */
#define LINK_OUT_MAX (1024 * 1024)     /* bytes of DATA of a stream kept by its sender, by default */
#define LINK_CTL_MAX (1024 * 1024)     /* one OPEN, CTL or FIN */
#define LINK_STREAMS_MAX 1024          /* living streams of either side */
#define LINK_HELLO_RETRY_MS 1000
#define LINK_PING_MS 15000             /* silence after which a PING asks */
#define LINK_DEAD_MS 60000             /* silence that ends the connection: an emulated guest pauses */

struct link;
struct link_stream;

enum link_side { LINK_SHIM, LINK_GUEST };

struct link_ops {
	/* Established. new_peer: the first connection, or the peer is another program than before (the
	 * streams of before were reset). hello: the peer's (borrowed), with its `info` object. */
	void (*on_up)(void *arg, bool new_peer, json_t *hello);
	/* Was established, is not any more. Streams wait. */
	void (*on_down)(void *arg, const char *reason);
	/* The peer opened a stream; what (borrowed) says what for. Call link_accept, or link_reset to
	 * refuse it, before returning. */
	void (*on_open)(void *arg, struct link_stream *s, json_t *what);
	/* There is output: call link_pull soon. */
	void (*on_output)(void *arg);
	/* link_deadline became earlier (may be NULL when link_tick is called often enough anyway). */
	void (*on_deadline)(void *arg);
};

/* Every pointer may be NULL except on_reset: what arrives is then dropped (and consumed). */
struct link_stream_ops {
	/* Bytes, valid during the call. Tell of them with link_consumed when they are dealt with, now or
	 * later; at most LINK_WINDOW can be outstanding. */
	void (*on_data)(void *arg, struct link_stream *s, const void *data, size_t len);
	void (*on_ctl)(void *arg, struct link_stream *s, json_t *msg); /* borrowed */
	/* The peer's direction is at its end. msg ({} when the peer said nothing) is borrowed. The FIN is
	 * acknowledged by link_close. NULL: the stream is closed if our FIN was sent. */
	void (*on_fin)(void *arg, struct link_stream *s, json_t *msg);
	/* The peer consumed more: link_acked advanced, link_room may be larger. */
	void (*on_acked)(void *arg, struct link_stream *s);
	/* Gone, by the peer's reset or because the peer is a new program; link_unacked may still be asked
	 * during the call. */
	void (*on_reset)(void *arg, struct link_stream *s, const struct err *why);
};

struct link_config {
	enum link_side side;
	const char *place;  /* said in HELLO; "" when not known */
	json_t *info;       /* said in HELLO as `info` (stolen; may be NULL) */
	int ping_ms;        /* LINK_PING_MS; 0: never ask (the transport tells of its end) */
	int ack_delay_ms;   /* how long an ACK may wait for company; 0: none */
	size_t max_streams; /* of the peer's opening; 0: LINK_STREAMS_MAX */
};

struct link *link_create(const struct link_config *c, const struct link_ops *ops, void *arg);
/* on_reset is not called: the owner of the link owns what hangs on its streams. NULL ok. */
void link_destroy(struct link *l);

/* --- the transport's side (see link_io.h) --- */
/* A connection is there. filler: bytes of an earlier one may stand before ours (a virtio port). */
void link_connected(struct link *l, bool filler);
void link_disconnected(struct link *l, const char *reason);
/* Bytes came: takes what is understood out of in, whose bound must be at least FRAME_MAX. */
void link_input(struct link *l, struct buf *in);
/* Appends frames to out until it holds target bytes or more (at most target + FRAME_MAX), or there
 * is no more to send. True when anything was appended. */
bool link_pull(struct link *l, struct buf *out, size_t target);
/* Time: when link_tick wants to be called (clock_mono_ms), or -1. */
int64_t link_deadline(const struct link *l);
void link_tick(struct link *l);

bool link_is_up(const struct link *l);

/* --- streams --- */
/* Opens a stream (what is stolen); allowed before the link is up. NULL when there are too many or
 * what is larger than LINK_CTL_MAX. */
struct link_stream *link_open(struct link *l, json_t *what, const struct link_stream_ops *ops,
	void *arg, struct err *e);
/* Takes a stream that the peer opened; also replaces the owner of any stream. */
void link_accept(struct link_stream *s, const struct link_stream_ops *ops, void *arg);
uint32_t link_id(const struct link_stream *s);

/* Queues bytes: 0, or -1 when more than link_room (nothing queued) or after FIN. */
int link_send(struct link_stream *s, const void *data, size_t len);
size_t link_room(const struct link_stream *s);
/* Most DATA bytes kept (default LINK_OUT_MAX): for streams that want less memory. */
void link_set_out_max(struct link_stream *s, size_t max);
/* Queues a message (stolen), whatever link_room says: -1 when it is larger than LINK_CTL_MAX, when
 * more than that is queued already, or after FIN. */
int link_send_ctl(struct link_stream *s, json_t *msg);
/* Ends our direction (msg stolen, may be NULL); what is queued still goes. */
int link_send_fin(struct link_stream *s, json_t *msg);
bool link_fin_sent(const struct link_stream *s); /* queued, that is */
bool link_fin_received(const struct link_stream *s);
/* Offsets of our direction: behind what was queued, and behind what the peer consumed. To learn when
 * something arrived, note link_queued after sending it and compare in on_acked. */
uint64_t link_queued(const struct link_stream *s);
uint64_t link_acked(const struct link_stream *s);
/* DATA bytes queued and not yet consumed by the peer, oldest first, in pieces. */
void link_unacked(const struct link_stream *s,
	void (*fn)(void *arg, const void *data, size_t len), void *arg);
size_t link_unacked_len(const struct link_stream *s);
/* n more bytes of DATA were dealt with. */
void link_consumed(struct link_stream *s, size_t n);

/* Done with the stream. See Ends above. NULL ok. */
void link_close(struct link_stream *s);
void link_reset(struct link_stream *s, const struct err *why); /* why may be NULL */

#endif
