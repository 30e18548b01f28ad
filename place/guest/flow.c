/* SPDX-License-Identifier: ISC */
/* Taps and sinks: the descriptors' side of every stream. */
#include "place/guest/flow.h"

#include <errno.h>
#include <unistd.h>

#include "base/util.h"

#define READ_PIECE 65536
#define READ_BUDGET (4 * READ_PIECE)
#define KEEP_EMPTY 4096

/* --- tap --- */

struct tap {
	int fd;
	bool own, ended, paused;
	bool *destroyed; /* set while a callback is on the stack */
	struct loop_io *io;
	const struct tap_ops *ops;
	void *arg;
};

static unsigned char piece[READ_PIECE]; /* one thread: every tap reads into the same */

/* What a read gave: bytes, nothing now, no room, the end, or the tap is gone. */
enum got { GOT_SOME, GOT_NOTHING, GOT_NO_ROOM, GOT_END, GOT_DESTROYED };

static enum got tap_read(struct tap *t, size_t *count)
{
	bool destroyed = false;
	size_t room = t->ops->room(t->arg);
	ssize_t n;

	if (room == 0)
		return GOT_NO_ROOM;
	do
		n = read(t->fd, piece, room < sizeof(piece) ? room : sizeof(piece));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return GOT_NOTHING;
	if (n > 0) {
		t->destroyed = &destroyed;
		t->ops->bytes(t->arg, piece, (size_t)n);
		if (destroyed)
			return GOT_DESTROYED;
		t->destroyed = NULL;
		*count += (size_t)n;
		return GOT_SOME;
	}
	loop_io_free(t->io);
	t->io = NULL;
	t->ended = true;
	return GOT_END;
}

static void tap_on_io(void *arg, int fd, unsigned events)
{
	struct tap *t = arg;
	size_t count = 0;
	enum got got = GOT_SOME;

	(void)fd;
	(void)events;
	while (got == GOT_SOME && count < READ_BUDGET)
		got = tap_read(t, &count);
	if (got == GOT_NO_ROOM)
		tap_update(t);
	else if (got == GOT_END)
		t->ops->end(t->arg);
}

struct tap *tap_create(struct loop *l, int fd, bool own, const struct tap_ops *ops, void *arg)
{
	struct tap *t = xcalloc(1, sizeof(*t));

	*t = (struct tap){ .fd = fd, .own = own, .ops = ops, .arg = arg };
	t->io = loop_io_add(l, fd, LOOP_READ, tap_on_io, t);
	return t;
}

void tap_destroy(struct tap *t)
{
	if (!t)
		return;
	if (t->destroyed)
		*t->destroyed = true;
	loop_io_free(t->io);
	if (t->own)
		close(t->fd);
	free(t);
}

void tap_update(struct tap *t)
{
	bool pause = t->ops->room(t->arg) == 0;

	if (pause == t->paused || !t->io)
		return;
	t->paused = pause;
	loop_io_set(t->io, pause ? 0 : LOOP_READ);
}

bool tap_drain(struct tap *t)
{
	size_t count = 0;
	enum got got = GOT_SOME;

	while (got == GOT_SOME && !t->ended)
		got = tap_read(t, &count);
	if (got == GOT_NO_ROOM)
		tap_update(t);
	return got == GOT_NOTHING || got == GOT_END || (got != GOT_DESTROYED && t->ended);
}

/* --- sink --- */

struct sink {
	int fd;
	bool own, ending, broken;
	struct loop_io *io;
	struct buf b;
	sink_taken_fn *taken;
	void *arg;
};

static void sink_close(struct sink *s)
{
	loop_io_free(s->io);
	s->io = NULL;
	if (s->own && s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void sink_flush(struct sink *s)
{
	size_t before = s->b.len;

	while (s->b.len > 0 && !s->broken) {
		ssize_t n = write(s->fd, buf_data(&s->b), s->b.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			s->broken = true;
		else
			buf_consume(&s->b, (size_t)n);
	}
	if (s->broken)
		buf_clear(&s->b);
	if (s->io)
		loop_io_set(s->io, s->b.len > 0 ? LOOP_WRITE : 0);
	size_t done = before - s->b.len;
	if (s->b.len == 0 && s->b.cap > KEEP_EMPTY)
		buf_finish(&s->b);
	if (s->b.len == 0 && (s->ending || s->broken))
		sink_close(s);
	if (done)
		s->taken(s->arg, done);
}

static void sink_on_io(void *arg, int fd, unsigned events)
{
	(void)fd;
	(void)events;
	sink_flush(arg);
}

struct sink *sink_create(struct loop *l, int fd, bool own, size_t max, sink_taken_fn *taken, void *arg)
{
	struct sink *s = xcalloc(1, sizeof(*s));

	*s = (struct sink){ .fd = fd, .own = own, .taken = taken, .arg = arg };
	buf_init(&s->b, max);
	s->io = loop_io_add(l, fd, 0, sink_on_io, s);
	return s;
}

void sink_destroy(struct sink *s)
{
	if (!s)
		return;
	sink_close(s);
	buf_finish(&s->b);
	free(s);
}

int sink_write(struct sink *s, const void *data, size_t len)
{
	bool idle = s->b.len == 0;

	if (s->ending || s->broken) {
		s->taken(s->arg, len);
		return 0;
	}
	if (buf_append(&s->b, data, len) < 0)
		return -1;
	if (idle)
		sink_flush(s);
	return 0;
}

size_t sink_drop(struct sink *s)
{
	size_t n = s->b.len;

	buf_finish(&s->b);
	if (s->io)
		loop_io_set(s->io, 0);
	if (s->ending)
		sink_close(s);
	return n;
}

void sink_end(struct sink *s)
{
	if (s->ending)
		return;
	s->ending = true;
	if (s->b.len == 0)
		sink_close(s);
}
