/* SPDX-License-Identifier: ISC */
/* Reading a recording. */
#include "record/tape.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/util.h"
#include "record/packed.h"

struct tape {
	int dir;
	struct stock stock;
	struct packed *open; /* the packed segment read last */
	uint64_t told; /* the place of the damage told last */
	tape_damage_fn *damage;
	void *arg;
};

int tape_open(int parent_fd, const char *name, struct tape **ret, struct err *e)
{
	struct tape *t;
	int dir = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "cannot open the recording %s", name);
	t = xcalloc(1, sizeof(*t));
	t->dir = dir;
	t->told = UINT64_MAX;
	if (tape_refresh(t, e) < 0) {
		tape_close(t);
		return -1;
	}
	*ret = t;
	return 0;
}

void tape_close(struct tape *t)
{
	if (!t)
		return;
	packed_close(t->open);
	stock_finish(&t->stock);
	close(t->dir);
	free(t);
}

int tape_refresh(struct tape *t, struct err *e)
{
	return stock_take(t->dir, &t->stock, e);
}

void tape_on_damage(struct tape *t, tape_damage_fn *fn, void *arg)
{
	t->damage = fn;
	t->arg = arg;
}

static void tell(struct tape *t, uint64_t place, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void tell(struct tape *t, uint64_t place, const char *fmt, ...)
{
	char text[ERR_MESSAGE_MAX + 64];
	va_list ap;

	if (!t->damage || t->told == place)
		return;
	t->told = place;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->damage(t->arg, text);
}

int tape_dir(const struct tape *t)
{
	return t->dir;
}

struct stock *tape_stock(struct tape *t)
{
	return &t->stock;
}

uint64_t tape_first(const struct tape *t)
{
	return stock_first(&t->stock);
}

uint64_t tape_end(const struct tape *t)
{
	return stock_end(&t->stock);
}

int tape_check(const struct tape *t, uint64_t offset, struct err *e)
{
	if (offset > tape_end(t))
		return err_set(e, ERR_PARAMS, "offset %" PRIu64 " is behind the end of the recording, %" PRIu64, offset,
			tape_end(t));
	if (offset >= tape_first(t))
		return 0;
	err_set(e, ERR_NOT_FOUND, "offset %" PRIu64 " is not kept any more", offset);
	return err_hint(e, "the first that is kept is %" PRIu64, tape_first(t));
}

void tape_rest(struct tape *t)
{
	packed_close(t->open);
	t->open = NULL;
}

/* How reading one segment went. */
enum got { GOT_BYTES, GOT_DAMAGE, GOT_GONE };

static enum got read_raw(struct tape *t, const struct segment *s, uint64_t at, void *buf, size_t len, ssize_t *ret,
	struct err *e)
{
	char name[SEGMENT_NAME_MAX];
	cleanup_close int fd = -1;
	struct stat st;

	segment_name(s, SEGMENT_RAW, name);
	fd = openat(t->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return GOT_GONE;
	if (len > s->start + s->len - at)
		len = (size_t)(s->start + s->len - at);
	*ret = fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? -1 : pread(fd, buf, len, (off_t)(at - s->start));
	if (*ret > 0)
		return GOT_BYTES;
	if (*ret < 0)
		err_set_errno(e, ERR_IO, errno, "cannot read the recording's %s", name);
	else
		err_set(e, ERR_IO, "the recording's %s is cut short", name);
	return GOT_DAMAGE;
}

static enum got read_packed(struct tape *t, const struct segment *s, uint64_t at, void *buf, size_t len, ssize_t *ret,
	uint64_t *next, struct err *e)
{
	struct segment raw = {.start = s->start, .len = s->len};
	struct packed *p;

	if (!packed_is(t->open, s)) {
		if (packed_open(t->dir, s, &p, e) < 0) {
			if (e->code == ERR_NOT_FOUND)
				return GOT_GONE;
			/* A packer that was killed may have left the raw one, too. */
			return read_raw(t, &raw, at, buf, len, ret, e) == GOT_BYTES ? GOT_BYTES : GOT_DAMAGE;
		}
		tape_rest(t);
		t->open = p;
	}
	*ret = packed_read(t->open, at, buf, len, next, e);
	return *ret > 0 ? GOT_BYTES : GOT_DAMAGE;
}

/* Reads in segment i; on damage *next is where it makes sense to go on. */
static enum got read_segment(struct tape *t, size_t i, uint64_t at, void *buf, size_t len, ssize_t *ret, uint64_t *next,
	struct err *e)
{
	struct segment s = t->stock.seg[i];

	*next = s.start + s.len;
	if (s.packed)
		return read_packed(t, &s, at, buf, len, ret, next, e);
	if (i + 1 == t->stock.n && t->open)
		tape_rest(t); /* who has come so far reads on here */
	return read_raw(t, &s, at, buf, len, ret, e);
}

ssize_t tape_read(struct tape *t, uint64_t offset, void *buf, size_t len, uint64_t *ret_offset, struct err *e)
{
	bool looked = false;

	for (;;) {
		struct err why = {0};
		uint64_t at, next;
		ssize_t n = 0;
		size_t i;

		if (tape_check(t, offset, e) < 0)
			return -1;
		i = stock_find(&t->stock, offset);
		if (i == t->stock.n) {
			*ret_offset = offset > tape_end(t) ? offset : tape_end(t);
			return 0;
		}
		at = offset < t->stock.seg[i].start ? t->stock.seg[i].start : offset;
		switch (read_segment(t, i, at, buf, len, &n, &next, &why)) {
		case GOT_BYTES:
			*ret_offset = at;
			return n;
		case GOT_GONE:
			/* Packed or dropped since. */
			if (!looked && tape_refresh(t, e) < 0)
				return -1;
			if (!looked) {
				looked = true;
				continue;
			}
			err_set(&why, ERR_IO, "the segment at %" PRIu64 " is missing", t->stock.seg[i].start);
			break;
		case GOT_DAMAGE:
			break;
		}
		tell(t, at, "%s; %" PRIu64 " bytes from offset %" PRIu64 " on are skipped", why.message, next - at, at);
		offset = next;
	}
}

static int raw_times(struct tape *t, const struct segment *s, struct buf *out, struct err *e)
{
	char name[SEGMENT_NAME_MAX];
	cleanup_close int fd = -1;
	unsigned char *to;
	struct stat st;
	ssize_t n;

	segment_name(s, SEGMENT_INDEX, name);
	fd = openat(t->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set_errno(e, ERR_IO, errno, "cannot open the recording's %s", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > TIMELINE_MAX)
		return err_set(e, ERR_IO, "the recording's %s is not a list of times", name);
	to = buf_reserve(out, (size_t)st.st_size + 1);
	n = to ? pread(fd, to, (size_t)st.st_size, 0) : -1;
	if (n < 0)
		return err_set(e, ERR_IO, "cannot read the recording's %s", name);
	buf_added(out, (size_t)n);
	return 0;
}

static int packed_seg_times(struct tape *t, const struct segment *s, struct buf *out, struct err *e)
{
	struct packed *p;

	if (!packed_is(t->open, s)) {
		if (packed_open(t->dir, s, &p, e) < 0)
			return -1;
		tape_rest(t);
		t->open = p;
	}
	return packed_times(t->open, out, e);
}

int tape_times(struct tape *t, size_t i, struct buf *out, struct timeline_head *head, struct timeline *times)
{
	struct segment s = t->stock.seg[i];
	struct err e = {0};
	int r;

	buf_clear(out);
	r = s.packed ? packed_seg_times(t, &s, out, &e) : raw_times(t, &s, out, &e);
	if (r == 0 && out->len == 0) {
		/* None: an old recording, or packed since. */
		struct segment now;
		if (s.packed || tape_refresh(t, &e) < 0 || i >= t->stock.n)
			return -1;
		now = t->stock.seg[i];
		if (now.start != s.start || !now.packed || packed_seg_times(t, &now, out, &e) < 0 || out->len == 0)
			return -1;
		s = now;
	}
	if (r == 0)
		r = timeline_open(times, buf_data(out), out->len, s.start, s.len, head, &e);
	if (r < 0)
		tell(t, s.start, "%s; it is read without them", e.message);
	return r;
}

int64_t tape_time_of(struct tape *t, uint64_t offset)
{
	struct timeline_head head;
	struct timeline times;
	struct moment m;
	struct buf b;
	int64_t ms = -1;
	size_t i = stock_find(&t->stock, offset);

	if (i == t->stock.n && i > 0)
		i--;
	if (i >= t->stock.n)
		return -1;
	buf_init(&b, TIMELINE_MAX + 1);
	if (tape_times(t, i, &b, &head, &times) == 0) {
		ms = head.ms;
		while (timeline_next(&times, &m) > 0 && m.offset <= offset)
			ms = m.ms;
	}
	buf_finish(&b);
	return ms;
}

uint64_t tape_offset_of(struct tape *t, int64_t ms)
{
	struct timeline_head head;
	struct timeline times;
	uint64_t found = tape_end(t);
	struct moment m;
	struct buf b;
	size_t i = t->stock.n;
	bool hit = false;

	buf_init(&b, TIMELINE_MAX + 1);
	/* From the newest segment back to the one that began before. */
	while (i-- > 0) {
		if (i >= t->stock.n || tape_times(t, i, &b, &head, &times) < 0)
			continue;
		if (head.ms >= ms) {
			found = head.start;
			continue;
		}
		while (!hit && timeline_next(&times, &m) > 0)
			if ((hit = m.ms >= ms))
				found = m.offset;
		break;
	}
	buf_finish(&b);
	return found;
}
