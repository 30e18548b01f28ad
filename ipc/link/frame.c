/* SPDX-License-Identifier: ISC */
/* Frames to bytes and back; no state, no I/O. */
#include "ipc/link/frame.h"

#include <endian.h>
#include <string.h>

#include "base/util.h"

#define MAGIC 0x4c637413u /* 13 't' 'c' 'L' on the wire: rare in text */
#define CHECKED 28        /* header bytes before its check */

static void put32(unsigned char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static void put64(unsigned char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, 8);
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return le32toh(v);
}

static uint64_t get64(const unsigned char *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return le64toh(v);
}

/* A multiplication per 8 bytes: several GB/s, and still quick where the CPU is emulated, which a
 * CRC in software is not. Every step is a bijection, so a change of one word is always noticed. */
static uint32_t check(const unsigned char *p, size_t len)
{
	const uint64_t prime = 0x9e3779b97f4a7c15ull;
	uint64_t h = 0x243f6a8885a308d3ull ^ len;

	for (; len >= 8; p += 8, len -= 8) {
		h = (h ^ get64(p)) * prime;
		h ^= h >> 32;
	}
	if (len) {
		unsigned char last[8] = {0};
		memcpy(last, p, len);
		h = (h ^ get64(last)) * prime;
		h ^= h >> 32;
	}
	h *= prime;
	return (uint32_t)(h >> 32);
}

/* What a type may look like; the rest is malformed. */
static bool shape_ok(unsigned type, unsigned flags, uint32_t stream, size_t len)
{
	if (type < FRAME_HELLO || type > FRAME_TYPE_LAST || len > FRAME_PAYLOAD_MAX)
		return false;
	bool json = type == FRAME_OPEN || type == FRAME_CTL || type == FRAME_FIN;
	if (flags & ~(json ? FRAME_MORE : 0u))
		return false;
	switch ((enum frame_type)type) {
	case FRAME_HELLO:
		return stream == 0 && len > 0;
	case FRAME_PING:
	case FRAME_PONG:
		return stream == 0 && len == 0;
	case FRAME_ACK:
		return stream != 0 && len == 0;
	case FRAME_OPEN:
	case FRAME_DATA:
	case FRAME_CTL:
		return stream != 0 && len > 0;
	case FRAME_FIN:
	case FRAME_RESET:
		return stream != 0;
	}
	return false;
}

enum frame_result frame_parse(const void *data, size_t len, struct frame *ret, size_t *ret_used)
{
	const unsigned char *p = data;
	unsigned char magic[4];

	if (len == 0)
		return FRAME_WAIT;
	put32(magic, MAGIC);
	if (memcmp(p, magic, len < 4 ? len : 4) != 0)
		return FRAME_BAD;
	if (len < FRAME_HEADER)
		return FRAME_WAIT;
	if (get32(p + CHECKED) != check(p, CHECKED))
		return FRAME_BAD;
	size_t n = get32(p + 12);
	if (!shape_ok(p[4], p[5], get32(p + 8), n) || p[6] || p[7])
		return FRAME_BAD;
	if (len - FRAME_HEADER < n)
		return FRAME_WAIT;
	if (get32(p + 24) != check(p + FRAME_HEADER, n))
		return FRAME_BAD;
	ret->type = p[4];
	ret->flags = p[5];
	ret->stream = get32(p + 8);
	ret->offset = get64(p + 16);
	ret->payload = n ? p + FRAME_HEADER : NULL;
	ret->len = n;
	*ret_used = FRAME_HEADER + n;
	return FRAME_OK;
}

size_t frame_scan(const void *data, size_t len, size_t from)
{
	const unsigned char *p = data;
	unsigned char magic[4];

	put32(magic, MAGIC);
	for (size_t i = from; i < len; i++) {
		const unsigned char *q = memchr(p + i, magic[0], len - i);
		if (!q)
			return len;
		i = (size_t)(q - p);
		if (memcmp(q, magic, len - i < 4 ? len - i : 4) == 0)
			return i;
	}
	return len;
}

int frame_append(struct buf *b, const struct frame *f)
{
	if (!shape_ok(f->type, f->flags, f->stream, f->len))
		return -1;
	unsigned char *p = buf_reserve(b, FRAME_HEADER + f->len);
	if (!p)
		return -1;
	memset(p, 0, FRAME_HEADER);
	put32(p, MAGIC);
	p[4] = (unsigned char)f->type;
	p[5] = (unsigned char)f->flags;
	put32(p + 8, f->stream);
	put32(p + 12, (uint32_t)f->len);
	put64(p + 16, f->offset);
	if (f->len)
		memcpy(p + FRAME_HEADER, f->payload, f->len);
	put32(p + 24, check(p + FRAME_HEADER, f->len));
	put32(p + CHECKED, check(p, CHECKED));
	buf_added(b, FRAME_HEADER + f->len);
	return 0;
}

int frame_append_data(struct buf *b, uint32_t stream, const void *data, size_t len)
{
	size_t frames = (len + FRAME_PAYLOAD_MAX - 1) / FRAME_PAYLOAD_MAX;

	if (len > buf_room(b) || frames * FRAME_HEADER > buf_room(b) - len)
		return -1;
	for (const unsigned char *p = data; len > 0;) {
		size_t n = len < FRAME_PAYLOAD_MAX ? len : FRAME_PAYLOAD_MAX;
		struct frame f = { .type = FRAME_DATA, .stream = stream, .payload = p, .len = n };
		if (frame_append(b, &f) < 0)
			return -1;
		p += n;
		len -= n;
	}
	return 0;
}

static int append_json(struct buf *b, enum frame_type type, uint32_t stream, const json_t *msg)
{
	cleanup_free char *text = msg ? json_dumps(msg, JSON_COMPACT) : xstrdup("{}");
	struct frame f = { .type = type, .stream = stream, .payload = (unsigned char *)text,
		.len = text ? strlen(text) : 0 };

	return text ? frame_append(b, &f) : -1;
}

int frame_append_ctl(struct buf *b, uint32_t stream, const json_t *msg)
{
	return append_json(b, FRAME_CTL, stream, msg);
}

int frame_append_fin(struct buf *b, uint32_t stream, const json_t *msg)
{
	return append_json(b, FRAME_FIN, stream, msg);
}

json_t *frame_json(const struct frame *f)
{
	if (f->len == 0)
		return json_object();
	json_t *j = json_loadb((const char *)f->payload, f->len, JSON_REJECT_DUPLICATES, NULL);
	if (j && !json_is_object(j)) {
		json_decref(j);
		return NULL;
	}
	return j;
}
