/* SPDX-License-Identifier: ISC */
/* Reading and writing of SFTP's types. */
#include "place/files/wire.h"

#include <string.h>

static const unsigned char *take(struct wire *w, size_t n)
{
	static const unsigned char zeros[8];
	if (w->bad || n > w->left) {
		w->bad = true;
		return zeros;
	}
	const unsigned char *p = w->p;
	w->p += n;
	w->left -= n;
	return p;
}

uint8_t wire_u8(struct wire *w)
{
	return *take(w, 1);
}

uint32_t wire_u32(struct wire *w)
{
	const unsigned char *p = take(w, 4);
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t wire_u64(struct wire *w)
{
	uint64_t high = wire_u32(w);
	return high << 32 | wire_u32(w);
}

struct wire_str wire_str(struct wire *w)
{
	struct wire_str s = {0};
	uint32_t len = wire_u32(w);
	if (w->bad || len > w->left) {
		w->bad = true;
		return s;
	}
	s.p = w->p;
	s.len = len;
	w->p += len;
	w->left -= len;
	return s;
}

void wire_attrs(struct wire *w, struct wire_attrs *ret)
{
	const uint32_t known =
		ATTR_SIZE | ATTR_UIDGID | ATTR_PERMISSIONS | ATTR_TIMES | ATTR_EXTENDED;
	*ret = (struct wire_attrs){.flags = wire_u32(w)};
	if (ret->flags & ~known)
		w->bad = true;
	if (ret->flags & ATTR_SIZE)
		ret->size = wire_u64(w);
	if (ret->flags & ATTR_UIDGID) {
		ret->uid = wire_u32(w);
		ret->gid = wire_u32(w);
	}
	if (ret->flags & ATTR_PERMISSIONS)
		ret->mode = wire_u32(w);
	if (ret->flags & ATTR_TIMES) {
		ret->atime = wire_u32(w);
		ret->mtime = wire_u32(w);
	}
	if (ret->flags & ATTR_EXTENDED) {
		/* Each pair takes 8 bytes at least: the packet bounds the count. */
		for (uint32_t n = wire_u32(w); n > 0 && !w->bad; n--) {
			wire_str(w);
			wire_str(w);
		}
	}
}

bool wire_is(struct wire_str s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

void put_u8(struct buf *b, uint8_t v)
{
	buf_append(b, &v, 1);
}

void put_u32(struct buf *b, uint32_t v)
{
	unsigned char p[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
		(unsigned char)(v >> 8), (unsigned char)v};
	buf_append(b, p, sizeof(p));
}

void put_u64(struct buf *b, uint64_t v)
{
	put_u32(b, (uint32_t)(v >> 32));
	put_u32(b, (uint32_t)v);
}

void put_str(struct buf *b, const void *data, size_t len)
{
	put_u32(b, (uint32_t)len);
	buf_append(b, data, len);
}

static uint32_t seconds(time_t t)
{
	return t < 0 ? 0 : t > UINT32_MAX ? UINT32_MAX : (uint32_t)t;
}

void put_stat(struct buf *b, const struct stat *st)
{
	put_u32(b, ATTR_SIZE | ATTR_UIDGID | ATTR_PERMISSIONS | ATTR_TIMES);
	put_u64(b, (uint64_t)st->st_size);
	put_u32(b, st->st_uid);
	put_u32(b, st->st_gid);
	put_u32(b, st->st_mode);
	put_u32(b, seconds(st->st_atime));
	put_u32(b, seconds(st->st_mtime));
}

size_t put_begin(struct buf *b, uint8_t type, uint32_t id)
{
	size_t start = b->len;
	put_u32(b, 0);
	put_u8(b, type);
	put_u32(b, id);
	return start;
}

void put_end(struct buf *b, size_t start)
{
	uint32_t len = (uint32_t)(b->len - start - 4);
	unsigned char *p = buf_data(b) + start;
	p[0] = (unsigned char)(len >> 24);
	p[1] = (unsigned char)(len >> 16);
	p[2] = (unsigned char)(len >> 8);
	p[3] = (unsigned char)len;
}

void put_status(struct buf *b, uint32_t id, enum wire_status code, const char *text)
{
	size_t start = put_begin(b, FXP_STATUS, id);
	put_u32(b, code);
	put_str(b, text, strlen(text));
	put_str(b, "en", 2);
	put_end(b, start);
}
