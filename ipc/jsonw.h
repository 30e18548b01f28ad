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
#include <string.h>

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

/* Text that is JSON already, and of which the caller knows whether it needs a comma before it. */
void jsonw_raw_slow(struct jsonw *w, const char *text, size_t len);
static inline void jsonw_raw(struct jsonw *w, const char *text, size_t len)
{
	struct buf *b = w->out;
	size_t at = b->head + b->len;

	/* Most pieces are a few bytes, and there is room. */
	if (__builtin_expect(at + len <= b->cap && b->len + len <= b->max, 1)) {
		memcpy(b->mem + at, text, len);
		b->len += len;
	} else {
		jsonw_raw_slow(w, text, len);
	}
}

/* After a key. */
static inline void jsonw_null(struct jsonw *w)
{
	jsonw_raw(w, "null", 4);
	w->comma = true;
}

/* jsonw_key of a literal that does not come first in its object: with all that is constant in one piece. */
#define jsonw_next_key(w, key)                                       \
	do {                                                         \
		jsonw_raw(w, ",\"" key "\":", sizeof(",\"" key "\":") - 1); \
		(w)->comma = false;                                  \
	} while (0)

#endif
