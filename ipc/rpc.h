/* SPDX-License-Identifier: ISC */
/* JSON-RPC 2.0 messages, one object a line: reading and writing them, no I/O. */
#ifndef IPC_RPC_H
#define IPC_RPC_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

#define RPC_LINE_MAX (1024 * 1024) /* the contract's bound on a line, newline included */
#define RPC_DEPTH_MAX 128          /* levels of nesting */
#define RPC_ID_MAX 128             /* bytes of a string id: it is kept and echoed */
#define RPC_METHOD_MAX 128

enum rpc_kind { RPC_REQUEST, RPC_NOTIFICATION, RPC_RESULT, RPC_ERROR };

/* A parsed message; release with rpc_msg_finish. Pointers are owned by the message. */
struct rpc_msg {
	enum rpc_kind kind;
	json_t *root;
	json_t *id;         /* string, integer or null; NULL for a notification */
	const char *method; /* requests and notifications */
	json_t *params;     /* may be NULL; an object otherwise */
	json_t *result;
	struct err error;   /* RPC_ERROR: code, message, hint, retryable as the peer said */
};

/* Parses one line (no newline needed). Refused with ERR_PARSE (not JSON, not UTF-8, duplicate keys,
 * nested too deep), ERR_LIMIT (too long) or ERR_REQUEST (batches, not an object, wrong "jsonrpc", bad
 * id). *ret_id, when the id could be read, is a new reference even on failure, NULL otherwise (answer
 * with id null then). */
int rpc_parse(const char *line, size_t len, struct rpc_msg *ret, json_t **ret_id, struct err *e);
void rpc_msg_finish(struct rpc_msg *m);

/* Each appends one line to out, whole or not at all: -1 when it would pass out's bound or
 * RPC_LINE_MAX. References are borrowed. */
int rpc_write_request(struct buf *out, json_t *id, const char *method, json_t *params);
int rpc_write_notification(struct buf *out, const char *method, json_t *params);
int rpc_write_result(struct buf *out, json_t *id, json_t *result);
/* A result that is text already comes between these two, len bytes of it. */
int rpc_write_result_head(struct buf *out, json_t *id, size_t len);
#define RPC_RESULT_TAIL "}\n"
int rpc_write_error(struct buf *out, json_t *id, const struct err *error);
/* {"code","message","hint","retryable"} as the contract's --json error, and "details" where there are; new
 * reference. */
json_t *err_to_json(const struct err *e);
/* Reads that form, and the one on the wire. */
void err_from_json(const json_t *o, struct err *e);
/* A JSON string of bytes from anywhere (file names, logs, consoles): what is not UTF-8 becomes
 * U+FFFD. New reference, never NULL. */
json_t *json_text(const char *s, size_t len);

/* Takes the next whole line out of in: 1 with *line and *len (valid until the next change of in; call
 * buf_consume(in, *len + 1) after use), 0 when none is there yet, -1 when in is full without one. */
int rpc_next_line(const struct buf *in, const char **line, size_t *len);

#endif
