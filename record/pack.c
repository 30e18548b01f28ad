/* SPDX-License-Identifier: ISC */
/* Packing a closed segment. */
#include "record/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <zstd.h>

#include "base/util.h"
#include "record/packed.h"
#include "record/timeline.h"

#define LEVEL 6
#define TABLE_MAX ((size_t)PACKED_FRAMES_MAX * 8 + PACKED_FOOTER + 8)

struct packer {
	int in, out;
	ZSTD_CCtx *ctx;
	unsigned char *raw, *packed; /* PACKED_FRAME, and what that can become */
	size_t packed_max;
	struct buf table; /* entries so far */
	uint32_t frames;
};

static void put_le32(unsigned char *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(v >> 8 * i);
}

static int broken(struct err *e, const char *what)
{
	return err_set_errno(e, ERR_IO, errno, "cannot %s", what);
}

static int add_entry(struct packer *p, size_t packed, size_t len, struct err *e)
{
	unsigned char entry[8];

	put_le32(entry, (uint32_t)packed);
	put_le32(entry + 4, (uint32_t)len);
	p->frames++;
	return buf_append(&p->table, entry, sizeof(entry)) < 0
		       ? err_set(e, ERR_LIMIT, "the segment has more than %u frames", PACKED_FRAMES_MAX)
		       : 0;
}

static ssize_t read_full(int fd, void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, (char *)buf + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int put_frames(struct packer *p, uint64_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = read_full(p->in, p->raw, len < PACKED_FRAME ? (size_t)len : PACKED_FRAME);
		size_t got;

		if (n <= 0)
			return n < 0 ? broken(e, "read the segment") : err_set(e, ERR_IO, "the segment became shorter");
		got = ZSTD_compress2(p->ctx, p->packed, p->packed_max, p->raw, (size_t)n);
		if (ZSTD_isError(got))
			return err_set(e, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(got));
		if (write_all(p->out, p->packed, got) < 0)
			return broken(e, "write the packed segment");
		if (add_entry(p, got, (size_t)n, e) < 0)
			return -1;
		len -= (uint64_t)n;
	}
	return 0;
}

/* The segment's times, if it has any that are readable. */
static int put_times(struct packer *p, int dir, const struct segment *s, struct err *e)
{
	cleanup_free unsigned char *raw = NULL, *packed = NULL;
	char name[SEGMENT_NAME_MAX];
	cleanup_close int fd = -1;
	struct stat st;
	size_t got;

	segment_name(s, SEGMENT_INDEX, name);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > TIMELINE_MAX)
		return 0;
	raw = xcalloc(1, (size_t)st.st_size + 1);
	if (read_full(fd, raw, (size_t)st.st_size) != st.st_size)
		return 0;
	packed = xcalloc(1, 8 + ZSTD_compressBound((size_t)st.st_size));
	got = ZSTD_compress2(p->ctx, packed + 8, ZSTD_compressBound((size_t)st.st_size), raw, (size_t)st.st_size);
	if (ZSTD_isError(got))
		return err_set(e, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(got));
	put_le32(packed, PACKED_SKIPPABLE_TIMES);
	put_le32(packed + 4, (uint32_t)got);
	if (write_all(p->out, packed, 8 + got) < 0)
		return broken(e, "write the packed segment");
	return add_entry(p, 8 + got, 0, e);
}

static int put_table(struct packer *p, struct err *e)
{
	unsigned char head[8], footer[PACKED_FOOTER] = {0};

	put_le32(head, PACKED_SKIPPABLE_TABLE);
	put_le32(head + 4, (uint32_t)p->table.len + PACKED_FOOTER);
	put_le32(footer, p->frames);
	put_le32(footer + 5, PACKED_TABLE_MAGIC);
	if (write_all(p->out, head, sizeof(head)) < 0 ||
		(p->table.len && write_all(p->out, buf_data(&p->table), p->table.len) < 0) ||
		write_all(p->out, footer, sizeof(footer)) < 0)
		return broken(e, "write the packed segment");
	return 0;
}

static int write_packed(struct packer *p, int dir, const struct segment *s, struct err *e)
{
	int r;

	p->ctx = ZSTD_createCCtx();
	if (!p->ctx)
		abort();
	ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_checksumFlag, 1);
	p->packed_max = ZSTD_compressBound(PACKED_FRAME);
	p->raw = xcalloc(1, PACKED_FRAME);
	p->packed = xcalloc(1, p->packed_max);
	buf_init(&p->table, TABLE_MAX);
	r = put_frames(p, s->len, e) < 0 || put_times(p, dir, s, e) < 0 || put_table(p, e) < 0 ? -1 : 0;
	if (r == 0 && fsync(p->out) < 0)
		r = broken(e, "sync the packed segment");
	ZSTD_freeCCtx(p->ctx);
	free(p->raw);
	free(p->packed);
	buf_finish(&p->table);
	return r;
}

/* The unfinished file, held so that no other packer works on it: -1 with ERR_BUSY. */
static int open_new(int dir, const char *name, struct err *e)
{
	cleanup_close int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat held, named;

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot make the recording's %s", name);
	/* Whoever held it may have renamed or removed it before we did. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &held) < 0 ||
		fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) < 0 || held.st_ino != named.st_ino)
		return err_set(e, ERR_BUSY, "another packer is at work on %s", name);
	if (ftruncate(fd, 0) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot empty the recording's %s", name);
	return take_fd(&fd);
}

static int put_in_place(int dir, const struct segment *s, const char *unfinished, int raw, struct err *e)
{
	char name[SEGMENT_NAME_MAX];
	struct stat st;

	segment_name(s, SEGMENT_PACKED, name);
	/* Dropped meanwhile: then it stays dropped. */
	if (fstat(raw, &st) == 0 && st.st_nlink == 0) {
		unlinkat(dir, unfinished, 0);
		return 0;
	}
	if (renameat(dir, unfinished, dir, name) < 0)
		return broken(e, "put the packed segment in its place");
	/* Whoever drops a segment removes the raw one before they look for a packed one: so either they find ours,
	 * or we see here that they were there. */
	if (fstat(raw, &st) == 0 && st.st_nlink == 0) {
		unlinkat(dir, name, 0);
		return 0;
	}
	if (fsync(dir) < 0)
		return broken(e, "sync the packed segment's place");
	segment_name(s, SEGMENT_INDEX, name);
	unlinkat(dir, name, 0);
	segment_name(s, SEGMENT_RAW, name);
	unlinkat(dir, name, 0);
	return 0;
}

int pack_segment(int dir, uint64_t start, struct err *e)
{
	struct segment s = {.start = start};
	char raw[SEGMENT_NAME_MAX], unfinished[SEGMENT_NAME_MAX];
	cleanup_close int in = -1, out = -1;
	struct packer p = {0};
	struct stat st;

	segment_name(&s, SEGMENT_RAW, raw);
	segment_name(&s, SEGMENT_NEW, unfinished);
	out = open_new(dir, unfinished, e);
	if (out < 0)
		return -1;
	in = openat(dir, raw, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (in < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		unlinkat(dir, unfinished, 0); /* packed or dropped already */
		return 0;
	}
	s.len = (uint64_t)st.st_size;
	p.in = in;
	p.out = out;
	if (write_packed(&p, dir, &s, e) == 0 && put_in_place(dir, &s, unfinished, in, e) == 0)
		return 0;
	unlinkat(dir, unfinished, 0);
	return -1;
}

static void tidy_twins(int dir, uint64_t start, uint64_t len)
{
	struct segment s = {.start = start, .len = len, .packed = true};
	char raw[SEGMENT_NAME_MAX], index[SEGMENT_NAME_MAX], packed[SEGMENT_NAME_MAX];
	struct packed *p = NULL;
	struct err e = {0};

	segment_name(&s, SEGMENT_RAW, raw);
	segment_name(&s, SEGMENT_INDEX, index);
	segment_name(&s, SEGMENT_PACKED, packed);
	if (faccessat(dir, raw, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (packed_open(dir, &s, &p, &e) == 0) {
		unlinkat(dir, index, 0);
		unlinkat(dir, raw, 0);
	} else {
		unlinkat(dir, packed, 0);
	}
	packed_close(p);
}

static void tidy_one(int dir, const char *name)
{
	char raw[SEGMENT_NAME_MAX];
	uint64_t start, len;
	struct segment s;
	cleanup_close int fd = -1;

	if (sscanf(name, "term.%" SCNu64 "+%" SCNu64 ".zst", &start, &len) == 2) {
		tidy_twins(dir, start, len);
		return;
	}
	if (sscanf(name, "term.%" SCNu64 ".", &start) != 1)
		return;
	s = (struct segment){.start = start};
	segment_name(&s, SEGMENT_RAW, raw);
	if (strstr(name, ".idx") && faccessat(dir, raw, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		unlinkat(dir, name, 0);
	if (!strstr(name, ".new"))
		return;
	fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dir, name, 0);
}

void pack_tidy(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (!d && fd >= 0)
		close(fd);
	if (!d)
		return;
	while ((ent = readdir(d)))
		tidy_one(dir, ent->d_name);
	closedir(d);
}
