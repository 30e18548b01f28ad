/* SPDX-License-Identifier: ISC */
/*
 * Frames: the pure codec of the link between shim and guest, and of the shim's view, exec and
 * follow sockets.
 *
 * A frame is a header of FRAME_HEADER bytes, all numbers little-endian, and its payload:
 *
 *	 0 u32 magic       4 u8 type   5 u8 flags   6 u16 zero
 *	 8 u32 stream     12 u32 payload length (at most FRAME_PAYLOAD_MAX)
 *	16 u64 offset     24 u32 check of the payload   28 u32 check of the header before it
 *
 * Both checks are there so that a reader notices at once when it reads from the middle of something
 * (a connection that was cut and made again leaves half frames behind), and so that a half frame
 * followed by other bytes is never taken for a whole one. They are no defence against forgery.
 *
 * On sockets without acknowledgements offset is 0 and only DATA, CTL and FIN occur.
 */
#ifndef IPC_LINK_FRAME_H
#define IPC_LINK_FRAME_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define FRAME_HEADER 32
#define FRAME_PAYLOAD_MAX 65536
#define FRAME_MAX (FRAME_HEADER + FRAME_PAYLOAD_MAX) /* an input buffer must hold this much */

/* Streams of the shim's view, exec and follow sockets. */
#define FRAME_STREAM_MAIN 1   /* the terminal; stdin and stdout of an exec without one */
#define FRAME_STREAM_STDERR 2

enum frame_type {
	FRAME_HELLO = 1, /* stream 0; JSON */
	FRAME_OPEN,      /* JSON: what the stream is */
	FRAME_DATA,      /* bytes, at least one */
	FRAME_CTL,       /* JSON */
	FRAME_FIN,       /* JSON or nothing: this direction ends */
	FRAME_ACK,       /* offset: all before it was consumed; no payload */
	FRAME_RESET,     /* the stream is gone; offset 1: confirms that, 2: was never taken; JSON error or nothing */
	FRAME_PING,      /* stream 0; offset comes back in the PONG */
	FRAME_PONG,
};
#define FRAME_TYPE_LAST FRAME_PONG

/* Flag of OPEN, CTL, FIN (on acknowledged streams only): the JSON text goes on in the stream's next
 * record, which has the same type. */
#define FRAME_MORE 1u

struct frame {
	enum frame_type type;
	unsigned flags;
	uint32_t stream;
	uint64_t offset;
	const unsigned char *payload; /* points into the parsed bytes; NULL when len is 0 */
	size_t len;
};

enum frame_result {
	FRAME_OK,   /* *ret is filled, *ret_used bytes belong to it */
	FRAME_WAIT, /* the beginning of a frame: more bytes are needed */
	FRAME_BAD,  /* not a frame */
};

/* Parses the first frame of data[0..len). Never reads past len, keeps no state: call again with the
 * same beginning and more behind it. Outputs are untouched unless FRAME_OK. */
enum frame_result frame_parse(const void *data, size_t len, struct frame *ret, size_t *ret_used);

/* How many bytes of data[0..len) to skip until a frame could begin there (maybe len). At least
 * `from` are skipped. */
size_t frame_scan(const void *data, size_t len, size_t from);

/* Appends one frame; -1 when it would pass the buffer's bound (nothing appended then). len must be
 * at most FRAME_PAYLOAD_MAX. */
int frame_append(struct buf *b, const struct frame *f);

/* For sockets without acknowledgements. Each appends all or nothing, -1 when past the bound. */
int frame_append_data(struct buf *b, uint32_t stream, const void *data, size_t len); /* any len */
/* The JSON stays the caller's. A CTL or FIN larger than FRAME_PAYLOAD_MAX is refused (-1). */
int frame_append_ctl(struct buf *b, uint32_t stream, const json_t *msg);
int frame_append_fin(struct buf *b, uint32_t stream, const json_t *msg); /* msg NULL: {} */

/* The JSON object of a frame's payload, a new reference; NULL when it is not one ({} when empty). */
json_t *frame_json(const struct frame *f);

#endif
