/* SPDX-License-Identifier: ISC */
/*
 * Writes JSON text straight into a buffer, without building values first: for answers of a thousand
 * objects. Commas are its own affair; opening and closing in the right order is the caller's.
 */
#ifndef IPC_JSONW_H
#define IPC_JSONW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct jsonw {
	struct buf *out;
	bool comma; /* a value came before, on this level */
	bool full;  /* the buffer's bound was reached: what is there is of no use */
};

void jsonw_init(struct jsonw *w, struct buf *out);
void jsonw_open(struct jsonw *w, char c);  /* '{' or '[' */
void jsonw_close(struct jsonw *w, char c); /* '}' or ']' */
void jsonw_key(struct jsonw *w, const char *key); /* a name of ours: not escaped */
/* NULL is null. What is not UTF-8 becomes U+FFFD, as in json_text. */
void jsonw_string(struct jsonw *w, const char *s);
void jsonw_int(struct jsonw *w, int64_t n);
void jsonw_json(struct jsonw *w, const json_t *v); /* NULL is null */

#endif
