/* SPDX-License-Identifier: ISC */
/* When a segment's bytes came: the codec, pure. */
#include "record/timeline.h"

#include <string.h>

#define KIND_BITS 2
#define DELTA_MAX (1ull << 56)
#define SIDE_MAX 65535

static const char magic[8] = "tctime1\n";

static uint64_t fnv(uint64_t h, const unsigned char *p, size_t n)
{
	while (n-- > 0)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

static void put_le(unsigned char *to, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (unsigned char)(v >> 8 * i);
}

static uint64_t get_le(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

static uint64_t checksum(const unsigned char head[TIMELINE_HEAD], const unsigned char *key, size_t len)
{
	return fnv(fnv(0xcbf29ce484222325ull, head, TIMELINE_HEAD - 8), key, len);
}

int timeline_put_head(const struct timeline_head *h, struct buf *out)
{
	unsigned char head[TIMELINE_HEAD];

	if (buf_room(out) < sizeof(head) + h->key_len)
		return -1;
	memcpy(head, magic, 8);
	put_le(head + 8, h->start, 8);
	put_le(head + 16, (uint64_t)h->ms, 8);
	put_le(head + 24, (uint64_t)h->rows, 2);
	put_le(head + 26, (uint64_t)h->cols, 2);
	put_le(head + 28, h->key_len, 4);
	put_le(head + 32, checksum(head, h->key, h->key_len), 8);
	buf_append(out, head, sizeof(head));
	return h->key_len ? buf_append(out, h->key, h->key_len) : 0;
}

static size_t put_varint(unsigned char *to, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		to[n++] = (unsigned char)(v | 0x80);
	to[n++] = (unsigned char)v;
	return n;
}

void timeline_put(const struct moment *m, struct moment *last, struct buf *out)
{
	unsigned char rec[TIMELINE_MOMENT_MAX];
	uint64_t delta = m->ms > last->ms ? (uint64_t)(m->ms - last->ms) : 0;
	size_t n;

	n = put_varint(rec, delta << KIND_BITS | (unsigned)m->kind);
	n += put_varint(rec + n, m->offset - last->offset);
	if (m->kind == MOMENT_SIZE) {
		n += put_varint(rec + n, (uint64_t)m->rows);
		n += put_varint(rec + n, (uint64_t)m->cols);
	}
	buf_append(out, rec, n);
	last->ms += (int64_t)delta;
	last->offset = m->offset;
}

int timeline_open(struct timeline *t, const void *data, size_t len, uint64_t start, uint64_t seg_len,
	struct timeline_head *ret, struct err *e)
{
	const unsigned char *p = data;
	struct timeline_head h = {.start = start};

	if (len < TIMELINE_HEAD || memcmp(p, magic, 8) != 0 || get_le(p + 8, 8) != start)
		return err_set(e, ERR_IO, "the times of the segment at %llu are not readable", (unsigned long long)start);
	h.ms = (int64_t)get_le(p + 16, 8);
	h.rows = (int)get_le(p + 24, 2);
	h.cols = (int)get_le(p + 26, 2);
	h.key_len = get_le(p + 28, 4);
	h.key = p + TIMELINE_HEAD;
	if (h.key_len > TIMELINE_KEY_MAX || h.key_len > len - TIMELINE_HEAD || h.ms < 0 ||
		h.ms > (int64_t)DELTA_MAX || get_le(p + 32, 8) != checksum(p, h.key, h.key_len))
		return err_set(e, ERR_IO, "the times of the segment at %llu are damaged", (unsigned long long)start);
	*t = (struct timeline){.at = h.key + h.key_len, .end = p + len, .limit = start + seg_len,
		.last = {.offset = start, .ms = h.ms}};
	*ret = h;
	return 0;
}

/* 1, 0 cut short, -1 too large to be one of ours. */
static int get_varint(const unsigned char **at, const unsigned char *end, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned shift = 0;

	for (const unsigned char *p = *at; p < end; p++, shift += 7) {
		if (shift > 56)
			return -1;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if (*p & 0x80)
			continue;
		*at = p + 1;
		*ret = v;
		return 1;
	}
	return 0;
}

int timeline_next(struct timeline *t, struct moment *ret)
{
	const unsigned char *at = t->at;
	uint64_t head, bytes, rows = 0, cols = 0;
	struct moment m = t->last;
	int r;

	if ((r = get_varint(&at, t->end, &head)) <= 0 || (r = get_varint(&at, t->end, &bytes)) <= 0)
		return r;
	if ((head & 3) == MOMENT_SIZE &&
		((r = get_varint(&at, t->end, &rows)) <= 0 || (r = get_varint(&at, t->end, &cols)) <= 0))
		return r;
	if ((head & 3) > MOMENT_SIZE || bytes > t->limit - m.offset || rows > SIDE_MAX || cols > SIDE_MAX ||
		(head >> KIND_BITS) > DELTA_MAX - (uint64_t)m.ms)
		return -1;
	m.kind = (enum moment_kind)(head & 3);
	m.ms += (int64_t)(head >> KIND_BITS);
	m.offset += bytes;
	m.rows = (int)rows;
	m.cols = (int)cols;
	t->at = at;
	t->last = *ret = m;
	return 1;
}
