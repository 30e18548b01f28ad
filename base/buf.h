/* SPDX-License-Identifier: ISC */
/* A bounded, growing byte buffer with a cheap front: append behind, consume before. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes data[head .. head+len). max bounds len. Zero-initialise with buf_init. */
struct buf {
	unsigned char *mem;
	size_t head, len, cap, max;
};

void buf_init(struct buf *b, size_t max);
void buf_finish(struct buf *b);
static inline unsigned char *buf_data(const struct buf *b)
{
	return b->mem ? b->mem + b->head : b->mem;
}
static inline size_t buf_room(const struct buf *b)
{
	return b->max - b->len;
}
/* All or nothing: -1 when it would pass max (nothing is appended). Memory exhaustion aborts. */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for at least n more bytes behind the data (NULL when past max); commit with buf_added. */
unsigned char *buf_reserve(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
/* Forgets what was appended behind the first len bytes. */
void buf_truncate(struct buf *b, size_t len);
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b);
/* Gives the memory of an empty one back when that is more than BUF_IDLE: for things that are many and
 * mostly idle. */
#define BUF_IDLE 2048
void buf_rest(struct buf *b);

#endif
