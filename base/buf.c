/* SPDX-License-Identifier: ISC */
/* The bounded buffer: memory is moved only when the front's free space is at least half of it. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define BUF_FIRST 512

void buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void buf_finish(struct buf *b)
{
	free(b->mem);
	buf_init(b, b->max);
}

unsigned char *buf_reserve(struct buf *b, size_t n)
{
	if (n > buf_room(b))
		return NULL;
	if (b->mem && b->head + b->len + n <= b->cap)
		return b->mem + b->head + b->len;
	if (b->head > 0 && b->head >= b->len && b->len + n <= b->cap) {
		memmove(b->mem, b->mem + b->head, b->len);
		b->head = 0;
		return b->mem + b->len;
	}
	/* A new block leaves the consumed front behind. */
	size_t want = b->cap ? b->cap : BUF_FIRST;
	while (want < b->len + n)
		want = want > b->max / 2 ? b->max : want * 2;
	unsigned char *mem = xrealloc(NULL, want);
	if (b->len)
		memcpy(mem, b->mem + b->head, b->len);
	free(b->mem);
	b->mem = mem;
	b->head = 0;
	b->cap = want;
	return b->mem + b->len;
}

void buf_added(struct buf *b, size_t n)
{
	b->len += n;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
	if (len == 0)
		return 0;
	unsigned char *p = buf_reserve(b, len);
	if (!p)
		return -1;
	memcpy(p, data, len);
	b->len += len;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	int rc = -1;
	if (n >= 0) {
		char *text = xcalloc((size_t)n + 1, 1);
		vsnprintf(text, (size_t)n + 1, fmt, again);
		rc = buf_append(b, text, (size_t)n);
		free(text);
	}
	va_end(again);
	return rc;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	b->head += n;
	b->len -= n;
	if (b->len == 0)
		b->head = 0;
}

void buf_clear(struct buf *b)
{
	b->head = b->len = 0;
}

void buf_truncate(struct buf *b, size_t len)
{
	if (len < b->len)
		b->len = len;
}

void buf_rest(struct buf *b)
{
	if (b->len == 0 && b->cap > BUF_IDLE)
		buf_finish(b);
}
