/* SPDX-License-Identifier: ISC */
/* Reading a packed segment. Nothing in the file is believed: sizes are checked before anything is read. */
#include "record/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

#include "base/util.h"
#include "record/timeline.h"

#define ENTRY 8 /* compressed size, size */
#define ENTRY_SUM 12 /* with a checksum, which we do not write */

struct frame {
	uint64_t at;     /* in the file */
	uint64_t offset; /* of its first byte, absolute */
	uint32_t packed, len;
};

struct packed {
	int fd;
	struct segment seg;
	struct frame *frame;
	size_t n;
	size_t times; /* the frame of the times, or n */
	size_t cached; /* the frame in `bytes`, or n */
	unsigned char *bytes;
	ZSTD_DCtx *ctx;
};

static uint32_t le32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int read_at(int fd, void *buf, size_t len, uint64_t at)
{
	unsigned char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Fills in where frames stand; false when sizes do not add up to the file and the segment. */
static bool lay_out(struct packed *p, const unsigned char *table, size_t entry, uint64_t frames_size)
{
	uint64_t at = 0, offset = p->seg.start;

	for (size_t i = 0; i < p->n; i++) {
		struct frame *f = &p->frame[i];

		f->packed = le32(table + i * entry);
		f->len = le32(table + i * entry + 4);
		f->at = at;
		f->offset = offset;
		if (f->len > PACKED_FRAME_MAX)
			return false;
		if (f->len == 0)
			p->times = i;
		else if (f->packed > ZSTD_compressBound(PACKED_FRAME_MAX))
			return false;
		at += f->packed;
		offset += f->len;
	}
	return at == frames_size && offset == p->seg.start + p->seg.len;
}

static int read_table(struct packed *p, uint64_t size)
{
	unsigned char footer[PACKED_FOOTER], head[8];
	cleanup_free unsigned char *table = NULL;
	size_t entry, len;

	if (size < sizeof(footer) + sizeof(head) || read_at(p->fd, footer, sizeof(footer), size - sizeof(footer)) < 0 ||
		le32(footer + 5) != PACKED_TABLE_MAGIC)
		return -1;
	p->n = le32(footer);
	entry = footer[4] & 0x80 ? ENTRY_SUM : ENTRY;
	len = p->n * entry;
	if (p->n > PACKED_FRAMES_MAX || size < len + sizeof(footer) + sizeof(head))
		return -1;
	size -= len + sizeof(footer) + sizeof(head);
	if (read_at(p->fd, head, sizeof(head), size) < 0 || le32(head) != PACKED_SKIPPABLE_TABLE ||
		le32(head + 4) != len + sizeof(footer))
		return -1;
	table = xcalloc(1, len + 1);
	p->frame = xcalloc(p->n + 1, sizeof(*p->frame));
	p->times = p->cached = p->n;
	if (read_at(p->fd, table, len, size + sizeof(head)) < 0)
		return -1;
	return lay_out(p, table, entry, size) ? 0 : -1;
}

int packed_open(int dir, const struct segment *s, struct packed **ret, struct err *e)
{
	char name[SEGMENT_NAME_MAX];
	struct packed *p;
	struct stat st;
	int fd;

	segment_name(s, SEGMENT_PACKED, name);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "cannot open the recording's %s", name);
	p = xcalloc(1, sizeof(*p));
	p->fd = fd;
	p->seg = *s;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || read_table(p, (uint64_t)st.st_size) < 0) {
		packed_close(p);
		return err_set(e, ERR_IO, "the recording's %s is damaged: its table of frames cannot be read", name);
	}
	*ret = p;
	return 0;
}

void packed_close(struct packed *p)
{
	if (!p)
		return;
	close(p->fd);
	ZSTD_freeDCtx(p->ctx);
	free(p->frame);
	free(p->bytes);
	free(p);
}

bool packed_is(const struct packed *p, const struct segment *s)
{
	return p && p->seg.start == s->start && p->seg.len == s->len;
}

/* Unpacks `packed` bytes of the file at `at` into exactly len bytes at to. */
static int unpack(struct packed *p, uint64_t at, size_t packed, void *to, size_t len, struct err *e)
{
	cleanup_free unsigned char *in = xcalloc(1, packed + 1);
	size_t got;

	if (read_at(p->fd, in, packed, at) < 0)
		return err_set(e, ERR_IO, "a frame of the segment at %llu is cut short", (unsigned long long)p->seg.start);
	if (!p->ctx && !(p->ctx = ZSTD_createDCtx()))
		abort();
	got = ZSTD_decompressDCtx(p->ctx, to, len, in, packed);
	if (ZSTD_isError(got) || got != len)
		return err_set(e, ERR_IO, "a frame of the segment at %llu is damaged: %s", (unsigned long long)p->seg.start,
			ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it is too short");
	return 0;
}

static size_t frame_of(const struct packed *p, uint64_t offset)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->frame[mid].offset + p->frame[mid].len > offset)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

ssize_t packed_read(struct packed *p, uint64_t offset, void *buf, size_t len, uint64_t *ret_next, struct err *e)
{
	size_t i = frame_of(p, offset);
	const struct frame *f = &p->frame[i];

	if (i == p->n)
		return 0;
	if (p->cached != i) {
		p->cached = p->n;
		p->bytes = xrealloc(p->bytes, f->len > PACKED_FRAME ? PACKED_FRAME_MAX : PACKED_FRAME);
		if (unpack(p, f->at, f->packed, p->bytes, f->len, e) < 0) {
			*ret_next = f->offset + f->len;
			return -1;
		}
		p->cached = i;
	}
	if (len > f->offset + f->len - offset)
		len = (size_t)(f->offset + f->len - offset);
	memcpy(buf, p->bytes + (offset - f->offset), len);
	return (ssize_t)len;
}

/* The skippable frame: magic, size, then a zstd frame that says its own content's size. */
int packed_times(struct packed *p, struct buf *out, struct err *e)
{
	const struct frame *f = &p->frame[p->times];
	cleanup_free unsigned char *in = NULL;
	unsigned long long len;
	unsigned char *to;
	size_t got;

	if (p->times == p->n)
		return 0;
	if (f->packed < 8 || f->packed > ZSTD_compressBound(TIMELINE_MAX))
		return err_set(e, ERR_IO, "the times of the segment at %llu are damaged", (unsigned long long)p->seg.start);
	in = xcalloc(1, f->packed);
	if (read_at(p->fd, in, f->packed, f->at) < 0 || le32(in) != PACKED_SKIPPABLE_TIMES || le32(in + 4) != f->packed - 8)
		return err_set(e, ERR_IO, "the times of the segment at %llu are damaged", (unsigned long long)p->seg.start);
	len = ZSTD_getFrameContentSize(in + 8, f->packed - 8);
	if (len > TIMELINE_MAX || !(to = buf_reserve(out, len + 1)))
		return err_set(e, ERR_IO, "the times of the segment at %llu are too many", (unsigned long long)p->seg.start);
	got = ZSTD_decompress(to, len, in + 8, f->packed - 8);
	if (ZSTD_isError(got))
		return err_set(e, ERR_IO, "the times of the segment at %llu are damaged", (unsigned long long)p->seg.start);
	buf_added(out, got);
	return 0;
}
