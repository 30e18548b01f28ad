/* SPDX-License-Identifier: ISC */
/* The recording of one terminal as it is written. */
#include "place/shim/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "place/shim/packer.h"
#include "record/pack.h"

#define NAME_MAX_LEN SEGMENT_NAME_MAX
#define SEGMENTS_PER_BOUND 16
#define SEGMENT_LEAST 1024
#define SEGMENT_MOST (4u * 1024 * 1024)
#define TIMES_MOST (256u * 1024)
#define STEPPED_BACK_MS 1000 /* a clock that went back further than this was set */

struct record {
	struct tape *tape;
	int fd, times_fd; /* of the last segment, or -1 */
	uint64_t max, total;
	uint64_t segment_max, times_max;
	uint64_t times_len, times_full; /* of the open segment; with this much it is closed */
	uint64_t next; /* where the next byte goes: behind the last segment, or past a hole */
	struct moment last; /* in the times of the open segment */
	int64_t skew;       /* added to the clock, so that it never goes back */
	int64_t now;
	int rows, cols;
	bool pack_failed; /* not tried again before another segment is closed */
	bool dirty, syncing;
	struct loop *loop;
	struct loop_timer *sync;
	struct packer *packer;
	record_key_fn *key;
	void *arg;
};

static void damaged(void *arg, const char *text)
{
	(void)arg;
	log_warn("record", NULL, "%s", text);
}

static struct segment *last_segment(const struct record *r)
{
	struct stock *s = tape_stock(r->tape);

	return s->n ? &s->seg[s->n - 1] : NULL;
}

int record_open(int parent_fd, const char *name, uint64_t max, struct record **ret, struct err *e)
{
	struct record *r = xcalloc(1, sizeof(*r));

	/* The folder may be there already: made by the daemon for a shim that may not make it. */
	if (mkdirat(parent_fd, name, 0700) < 0 && errno != EEXIST && errno != EACCES) {
		free(r);
		return err_set_errno(e, ERR_IO, errno, "cannot make the recording's folder %s", name);
	}
	if (tape_open(parent_fd, name, &r->tape, e) < 0) {
		free(r);
		return -1;
	}
	tape_on_damage(r->tape, damaged, r);
	pack_tidy(tape_dir(r->tape));
	r->fd = r->times_fd = -1;
	r->max = max < RECORD_MAX_LEAST ? RECORD_MAX_LEAST : max;
	r->segment_max = r->max / SEGMENTS_PER_BOUND;
	r->segment_max = r->segment_max < SEGMENT_LEAST ? SEGMENT_LEAST : r->segment_max > SEGMENT_MOST ? SEGMENT_MOST : r->segment_max;
	r->times_max = r->segment_max / 4 > TIMES_MOST ? TIMES_MOST : r->segment_max / 4;
	if (tape_refresh(r->tape, e) < 0) {
		record_close(r);
		return -1;
	}
	r->total = stock_disk(tape_stock(r->tape));
	r->next = tape_end(r->tape);
	*ret = r;
	return 0;
}

/* ---- syncing ---- */

/* First the disk is asked to begin, a while later waited for: there is little left to wait for then. */
static void on_sync(void *arg)
{
	struct record *r = arg;

	if (r->fd < 0)
		return;
	if (!r->syncing) {
		sync_file_range(r->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		if (r->times_fd >= 0)
			sync_file_range(r->times_fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		r->syncing = true;
		r->dirty = false;
		loop_timer_start(r->sync, RECORD_SYNC_MS);
		return;
	}
	r->syncing = false;
	fdatasync(r->fd);
	if (r->times_fd >= 0)
		fdatasync(r->times_fd);
	if (r->dirty)
		loop_timer_start(r->sync, RECORD_SYNC_MS);
}

static void make_dirty(struct record *r)
{
	r->dirty = true;
	if (r->sync && !loop_timer_active(r->sync))
		loop_timer_start(r->sync, RECORD_SYNC_MS);
}

/* ---- segments ---- */

/* Closes the segment that is appended to; synced: now, as nobody will pack it soon. */
static void close_segment(struct record *r, bool synced)
{
	FAULT_POINT("segment.close");
	if (r->fd >= 0 && synced)
		fdatasync(r->fd);
	if (r->times_fd >= 0 && synced)
		fdatasync(r->times_fd);
	if (r->fd >= 0)
		close(r->fd);
	if (r->times_fd >= 0)
		close(r->times_fd);
	r->fd = r->times_fd = -1;
	r->dirty = r->syncing = false;
	loop_timer_stop(r->sync);
	FAULT_POINT("segment.closed");
}

static void drop_oldest(struct record *r)
{
	struct stock *s = tape_stock(r->tape);
	struct segment gone = s->seg[0];

	stock_drop_first(s);
	segment_unlink(tape_dir(r->tape), &gone);
	r->total -= gone.disk < r->total ? gone.disk : r->total;
}

static void keep_bound(struct record *r)
{
	const struct stock *s = tape_stock(r->tape);

	while ((r->total > r->max || s->n > STOCK_MAX) && s->n > 1)
		drop_oldest(r);
}

void record_close(struct record *r)
{
	if (!r)
		return;
	packer_forget(r->packer, r);
	close_segment(r, true);
	loop_timer_free(r->sync);
	tape_close(r->tape);
	free(r);
}

void record_serve(struct record *r, struct loop *l, struct packer *p, record_key_fn *fn, void *arg)
{
	r->loop = l;
	r->packer = p;
	r->key = fn;
	r->arg = arg;
	r->sync = loop_timer_create(l, on_sync, r);
	if (p)
		packer_kick(p, l, r);
}

bool record_unpacked(const struct record *r, struct segment *ret)
{
	const struct stock *s = tape_stock(r->tape);
	size_t closed = s->n > 0 && r->fd >= 0 ? s->n - 1 : s->n;

	if (r->pack_failed)
		return false;
	for (size_t i = 0; i < closed; i++) {
		if (s->seg[i].packed || s->seg[i].len < PACK_LEAST)
			continue;
		*ret = s->seg[i];
		return true;
	}
	return false;
}

void record_packed(struct record *r, const struct segment *seg)
{
	struct stock *s = tape_stock(r->tape);
	struct segment *mine = NULL, packed = *seg;
	char name[SEGMENT_NAME_MAX];
	struct stat st;

	for (size_t i = 0; i < s->n && !mine; i++)
		if (s->seg[i].start == seg->start)
			mine = &s->seg[i];
	packed.packed = true;
	segment_name(&packed, SEGMENT_PACKED, name);
	if (fstatat(tape_dir(r->tape), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r->pack_failed = mine != NULL;
		return;
	}
	if (!mine) { /* dropped while it was being packed */
		unlinkat(tape_dir(r->tape), name, 0);
		return;
	}
	mine->packed = true;
	mine->disk = (uint64_t)st.st_size;
	r->total = stock_disk(s);
}

/* ---- times ---- */

/* The time for what comes now: the clock's, but never before what was said already. */
static int64_t stamp(struct record *r)
{
	int64_t now = clock_wall_ms() + r->skew;

	if (now < r->now - STEPPED_BACK_MS)
		r->skew += r->now - now;
	if (now > r->now)
		r->now = now;
	return r->now;
}

static void put_times(struct record *r, const struct buf *b)
{
	struct segment *last = last_segment(r);

	if (write_all(r->times_fd, buf_data(b), b->len) < 0) {
		/* The whole moments before it stay; those after a torn one would be read wrongly. */
		if (ftruncate(r->times_fd, (off_t)r->times_len) < 0)
			log_warn("record", NULL, "the times of the segment at %" PRIu64 " end early", last->start);
		close(r->times_fd);
		r->times_fd = -1;
		return;
	}
	r->times_len += b->len;
	last->disk += b->len;
	r->total += b->len;
}

static void put_moment(struct record *r, enum moment_kind kind)
{
	struct moment m = {.kind = kind, .offset = r->next, .ms = stamp(r), .rows = r->rows, .cols = r->cols};
	struct buf b;

	if (r->times_fd < 0 || (kind == MOMENT_DATA && m.ms - r->last.ms < TIMELINE_STEP_MS))
		return;
	buf_init(&b, TIMELINE_MOMENT_MAX);
	timeline_put(&m, &r->last, &b);
	put_times(r, &b);
	buf_finish(&b);
}

static void begin_times(struct record *r, uint64_t start)
{
	struct timeline_head h = {.start = start, .ms = stamp(r), .rows = r->rows, .cols = r->cols};
	struct segment s = {.start = start};
	char name[SEGMENT_NAME_MAX];
	struct buf key, out;

	segment_name(&s, SEGMENT_INDEX, name);
	r->times_fd = openat(tape_dir(r->tape), name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	r->times_len = 0;
	r->times_full = r->times_max;
	if (r->times_fd < 0)
		return;
	/* A key that would take much of a small bound is left out. */
	buf_init(&key, r->segment_max);
	buf_init(&out, r->segment_max + TIMELINE_HEAD);
	if (r->key && r->key(r->arg, &key, &r->rows, &r->cols)) {
		h.key = buf_data(&key);
		h.key_len = key.len;
	}
	h.rows = r->rows;
	h.cols = r->cols;
	timeline_put_head(&h, &out);
	r->last = (struct moment){.offset = start, .ms = h.ms};
	put_times(r, &out);
	r->times_full = r->times_len + r->times_max;
	buf_finish(&key);
	buf_finish(&out);
}

void record_size(struct record *r, int rows, int cols)
{
	r->rows = rows;
	r->cols = cols;
	/* Behind a full file the next byte begins another segment, whose head has the size. */
	if (r->fd < 0 || r->times_len >= r->times_full)
		return;
	put_moment(r, MOMENT_SIZE);
	keep_bound(r);
}

/* ---- appending ---- */

uint64_t record_first(const struct record *r)
{
	return tape_stock(r->tape)->n ? tape_first(r->tape) : r->next;
}

uint64_t record_end(const struct record *r)
{
	return r->next;
}

struct tape *record_tape(struct record *r)
{
	return r->tape;
}

static int begin_segment(struct record *r, struct err *e)
{
	struct segment *last = last_segment(r), s = {.start = r->next};
	char name[SEGMENT_NAME_MAX];
	int fd;

	segment_name(&s, SEGMENT_RAW, name);
	fd = openat(tape_dir(r->tape), name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open the recording's %s", name);
	/* What a packer takes now it syncs itself. */
	close_segment(r, !packer_able(r->packer) || r->pack_failed || !last || last->len < PACK_LEAST);
	r->fd = fd;
	/* A segment that stayed empty has the name of the next one: it is that one. */
	if (!last || last->start != r->next)
		stock_add(tape_stock(r->tape), s);
	r->pack_failed = false;
	begin_times(r, r->next);
	if (r->packer)
		packer_kick(r->packer, r->loop, r);
	return 0;
}

/* Makes sure that the last segment is open, ends where the next byte goes and has room. */
static int open_segment(struct record *r, uint64_t most, struct err *e)
{
	const struct segment *last = last_segment(r);

	if (last && r->fd >= 0 && last->start + last->len == r->next && last->len < most && r->times_len < r->times_full)
		return 0;
	return begin_segment(r, e);
}

int record_append(struct record *r, const void *data, size_t len, struct err *e)
{
	const unsigned char *p = data;
	/* Between two calls the terminal's state can be told, so a segment ends there. */
	uint64_t most = r->segment_max;

	while (len > 0) {
		struct segment *last;
		uint64_t room;
		ssize_t n;

		if (open_segment(r, most, e) < 0)
			return -1;
		put_moment(r, MOMENT_DATA);
		most = 2 * r->segment_max;
		last = last_segment(r);
		room = most - last->len;
		do
			n = write(r->fd, p, len < room ? len : room);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return err_set_errno(e, ERR_IO, n < 0 ? errno : ENOSPC, "cannot append to the recording");
		last->len += (uint64_t)n;
		last->disk += (uint64_t)n;
		r->total += (uint64_t)n;
		r->next += (uint64_t)n;
		p += n;
		len -= (size_t)n;
		keep_bound(r);
		make_dirty(r);
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

void record_rest(struct record *r)
{
	close_segment(r, true);
	tape_rest(r->tape);
	r->pack_failed = false;
	if (r->packer)
		packer_kick(r->packer, r->loop, r);
}

ssize_t record_read(struct record *r, uint64_t offset, void *buf, size_t len, uint64_t *ret_offset,
	struct err *e)
{
	if (offset > r->next)
		return err_set(e, ERR_PARAMS, "offset %" PRIu64 " is behind the end of the recording, %" PRIu64,
			offset, r->next);
	if (offset >= tape_end(r->tape) && offset >= record_first(r)) {
		*ret_offset = r->next; /* what is behind the last segment is lost */
		return 0;
	}
	return tape_read(r->tape, offset, buf, len, ret_offset, e);
}

int record_put(struct record *r, const char *name, const void *data, size_t len, struct err *e)
{
	char temporary[NAME_MAX_LEN];
	int fd, failed;

	if (str_fmt(temporary, sizeof(temporary), "%s.new", name) < 0)
		return err_set(e, ERR_INTERNAL, "the name %s is too long", name);
	fd = openat(tape_dir(r->tape), temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot write %s", temporary);
	failed = write_all(fd, data, len) < 0 ? errno : 0;
	close(fd);
	if (!failed && renameat(tape_dir(r->tape), temporary, tape_dir(r->tape), name) < 0)
		failed = errno;
	if (!failed)
		return 0;
	unlinkat(tape_dir(r->tape), temporary, 0);
	return err_set_errno(e, ERR_IO, failed, "cannot write %s", name);
}

int record_get(struct record *r, const char *name, size_t max, char **ret, size_t *ret_len,
	struct err *e)
{
	cleanup_close int fd = openat(tape_dir(r->tape), name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
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
