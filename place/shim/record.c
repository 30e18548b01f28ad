/* SPDX-License-Identifier: ISC */
/* The recording of one terminal: its bytes by absolute offset, the oldest dropped. */
#include "place/shim/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/util.h"

#define NAME_MAX_LEN 48
#define SEGMENTS_PER_BOUND 4

struct segment {
	uint64_t start, len;
};

struct record {
	int dir;
	int fd; /* of the last segment, or -1 */
	uint64_t max, total;
	struct segment seg[RECORD_SEGMENTS_MAX];
	size_t nseg;
	uint64_t next; /* where the next byte goes: behind the last segment, or past a hole */
};

static void segment_name(uint64_t start, char out[NAME_MAX_LEN])
{
	snprintf(out, NAME_MAX_LEN, "term.%" PRIu64 ".rec", start);
}

static int by_start(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* The start in a segment's name, or -1 when it is no segment's. */
static int parse_name(const char *name, uint64_t *start)
{
	char canonical[NAME_MAX_LEN];
	uint64_t v;

	if (sscanf(name, "term.%" SCNu64 ".rec", &v) != 1)
		return -1;
	segment_name(v, canonical);
	if (strcmp(canonical, name) != 0)
		return -1;
	*start = v;
	return 0;
}

static void drop_oldest(struct record *r)
{
	char name[NAME_MAX_LEN];

	segment_name(r->seg[0].start, name);
	unlinkat(r->dir, name, 0);
	r->total -= r->seg[0].len;
	memmove(r->seg, r->seg + 1, --r->nseg * sizeof(r->seg[0]));
}

static void add_segment(struct record *r, struct segment s)
{
	if (r->nseg == RECORD_SEGMENTS_MAX) {
		qsort(r->seg, r->nseg, sizeof(r->seg[0]), by_start);
		drop_oldest(r);
	}
	r->seg[r->nseg++] = s;
	r->total += s.len;
}

static int take_stock(struct record *r, struct err *e)
{
	int fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return err_set_errno(e, ERR_IO, errno, "cannot list the recording's folder");
	}
	while ((ent = readdir(d))) {
		struct segment s;
		struct stat st;

		if (parse_name(ent->d_name, &s.start) < 0 ||
			fstatat(r->dir, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		s.len = (uint64_t)st.st_size;
		add_segment(r, s);
	}
	closedir(d);
	qsort(r->seg, r->nseg, sizeof(r->seg[0]), by_start);
	if (r->nseg)
		r->next = r->seg[r->nseg - 1].start + r->seg[r->nseg - 1].len;
	return 0;
}

int record_open(int parent_fd, const char *name, uint64_t max, struct record **ret, struct err *e)
{
	struct record *r;
	int dir;

	/* The folder may be there already: made by the daemon for a shim that may not make it. */
	if (mkdirat(parent_fd, name, 0700) < 0 && errno != EEXIST && errno != EACCES)
		return err_set_errno(e, ERR_IO, errno, "cannot make the recording's folder %s", name);
	dir = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open the recording's folder %s", name);
	r = xcalloc(1, sizeof(*r));
	r->dir = dir;
	r->fd = -1;
	r->max = max < RECORD_MAX_LEAST ? RECORD_MAX_LEAST : max;
	if (take_stock(r, e) < 0) {
		record_close(r);
		return -1;
	}
	*ret = r;
	return 0;
}

void record_close(struct record *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	close(r->dir);
	free(r);
}

uint64_t record_first(const struct record *r)
{
	return r->nseg ? r->seg[0].start : r->next;
}

uint64_t record_end(const struct record *r)
{
	return r->next;
}

/* Makes sure that the last segment is open, ends where the next byte goes and has room. */
static int open_segment(struct record *r, struct err *e)
{
	struct segment *last = r->nseg ? &r->seg[r->nseg - 1] : NULL;
	char name[NAME_MAX_LEN];
	bool fits = last && last->start + last->len == r->next &&
		    last->len < r->max / SEGMENTS_PER_BOUND;
	int fd;

	if (fits && r->fd >= 0)
		return 0;
	segment_name(fits ? last->start : r->next, name);
	fd = openat(r->dir, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open the recording's %s", name);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = fd;
	/* A segment that stayed empty has the name of the next one: it is that one. */
	if (!fits && !(last && last->start == r->next))
		add_segment(r, (struct segment){.start = r->next});
	return 0;
}

int record_append(struct record *r, const void *data, size_t len, struct err *e)
{
	const unsigned char *p = data;

	while (len > 0) {
		struct segment *last;
		uint64_t room;
		ssize_t n;

		if (open_segment(r, e) < 0)
			return -1;
		last = &r->seg[r->nseg - 1];
		room = r->max / SEGMENTS_PER_BOUND - last->len;
		do
			n = write(r->fd, p, len < room ? len : room);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return err_set_errno(e, ERR_IO, n < 0 ? errno : ENOSPC, "cannot append to the recording");
		last->len += (uint64_t)n;
		r->total += (uint64_t)n;
		r->next += (uint64_t)n;
		p += n;
		len -= (size_t)n;
		while (r->total > r->max && r->nseg > 1)
			drop_oldest(r);
	}
	return 0;
}

int record_skip(struct record *r, uint64_t offset, struct err *e)
{
	if (offset < r->next)
		return err_set(e, ERR_PARAMS, "the recording goes on to offset %" PRIu64 " already", r->next);
	r->next = offset;
	return 0;
}

ssize_t record_read(struct record *r, uint64_t offset, void *buf, size_t len, uint64_t *ret_offset,
	struct err *e)
{
	size_t i;

	if (offset > r->next)
		return err_set(e, ERR_PARAMS, "offset %" PRIu64 " is behind the end of the recording, %" PRIu64,
			offset, r->next);
	if (offset < record_first(r)) {
		err_set(e, ERR_NOT_FOUND, "offset %" PRIu64 " is not kept any more", offset);
		return err_hint(e, "the first that is kept is %" PRIu64, record_first(r));
	}
	for (i = 0; i < r->nseg; i++) {
		const struct segment *s = &r->seg[i];
		uint64_t at = offset < s->start ? s->start : offset;
		char name[NAME_MAX_LEN];
		cleanup_close int fd = -1;
		ssize_t n;

		if (at >= s->start + s->len)
			continue;
		segment_name(s->start, name);
		fd = openat(r->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (len > s->start + s->len - at)
			len = (size_t)(s->start + s->len - at);
		n = fd < 0 ? -1 : pread(fd, buf, len, (off_t)(at - s->start));
		if (n < 0)
			return err_set_errno(e, ERR_IO, errno, "cannot read the recording's %s", name);
		*ret_offset = at;
		return n;
	}
	*ret_offset = r->next;
	return 0;
}

int record_put(struct record *r, const char *name, const void *data, size_t len, struct err *e)
{
	char temporary[NAME_MAX_LEN];
	int fd, failed;

	if (str_fmt(temporary, sizeof(temporary), "%s.new", name) < 0)
		return err_set(e, ERR_INTERNAL, "the name %s is too long", name);
	fd = openat(r->dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot write %s", temporary);
	failed = write_all(fd, data, len) < 0 ? errno : 0;
	close(fd);
	if (!failed && renameat(r->dir, temporary, r->dir, name) < 0)
		failed = errno;
	if (!failed)
		return 0;
	unlinkat(r->dir, temporary, 0);
	return err_set_errno(e, ERR_IO, failed, "cannot write %s", name);
}

int record_get(struct record *r, const char *name, size_t max, char **ret, size_t *ret_len,
	struct err *e)
{
	cleanup_close int fd = openat(r->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_free char *data = NULL;
	struct stat st;
	size_t got = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set_errno(e, ERR_NOT_FOUND, errno, "cannot open %s", name);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		return err_set(e, ERR_LIMIT, "%s is not a file of at most %zu bytes", name, max);
	data = xcalloc(1, (size_t)st.st_size + 1);
	while (got < (size_t)st.st_size) {
		ssize_t n = read(fd, data + got, (size_t)st.st_size - got);

		if (n <= 0)
			return err_set_errno(e, ERR_IO, n < 0 ? errno : EIO, "cannot read %s", name);
		got += (size_t)n;
	}
	*ret = take_ptr(data);
	*ret_len = got;
	return 0;
}
