/* SPDX-License-Identifier: ISC */
/*
 * The client's side of a shim's view, exec and follow connections: hello, then frames both ways. No
 * loop: the caller polls shim_stream_fd. Small on purpose: every pane of a fleet is one of these.
 */
#ifndef IPC_LINK_SHIM_STREAM_H
#define IPC_LINK_SHIM_STREAM_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "ipc/link/frame.h"

#define STREAM_HELLO_MS 5000      /* for a shim's first answer */
#define STREAM_OUT_MAX (256 * 1024)

struct shim_stream;

/* Connects, says hello (stolen; {"role",...}) and waits for the answer. ERR_UNREACHABLE: nobody listens,
 * or it went away. Errors of the shim are passed on. *ret_result (may be NULL): new reference. */
int shim_stream_open(const char *socket, json_t *hello, int timeout_ms, struct shim_stream **ret,
	json_t **ret_result, struct err *e);
/* The same in two parts, for who polls other things meanwhile: connects and says hello, */
int shim_stream_begin(const char *socket, json_t *hello, struct shim_stream **ret, struct err *e);
/* and, after each shim_stream_read: 1 answered, 0 not yet, -1 refused. */
int shim_stream_answer(struct shim_stream *s, json_t **ret_result, struct err *e);
void shim_stream_close(struct shim_stream *s); /* NULL ok */
int shim_stream_fd(const struct shim_stream *s);
/* Reads what is there: 1 something, 0 nothing now, -1 the end (orderly or not). */
int shim_stream_read(struct shim_stream *s);
/* The next whole frame: 1, 0 none yet, -1 what came is no frame. f points into the buffer until the next
 * call of shim_stream_next or shim_stream_read. */
int shim_stream_next(struct shim_stream *s, struct frame *f);
/* Queue a frame: 0, or -1 when STREAM_OUT_MAX would be passed (wait until it is written). */
int shim_stream_send(struct shim_stream *s, const void *data, size_t len);
int shim_stream_send_ctl(struct shim_stream *s, json_t *msg); /* msg stolen */
/* Writes what is queued and taken: 0, or -1 when the connection is gone. */
int shim_stream_flush(struct shim_stream *s);
size_t shim_stream_pending(const struct shim_stream *s);

#endif
