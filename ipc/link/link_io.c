/* SPDX-License-Identifier: ISC */
/*
 * A link's descriptor. Output is pulled at the end of a loop's turn, so that what one turn made goes
 * out in one write; the next is pulled only when the last was taken, so that streams take turns and
 * little stands in our buffer.
 *
 * A port (virtio-serial, the guest's side) is level-readable for ever while nobody is at the other
 * end, hence edge-triggered; a read of nothing says that the host is away, and the next bytes that it
 * is back. Its fast return may not be seen at all: that is what filler and nonces are for.
 */
#include "ipc/link/link_io.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "ipc/link/frame.h"

#define READ_PIECE 65536
#define READ_BUDGET (4 * READ_PIECE)
#define WRITE_TARGET 65536
#define WRITE_BUDGET (8 * WRITE_TARGET)
#define KEEP_EMPTY 4096 /* an empty buffer larger than this is given back */

enum kind { KIND_SOCKET, KIND_SHARED, KIND_PORT };

struct link_io {
	struct loop *loop;
	struct link *link;
	struct link_ops link_ops; /* the owner's */
	const struct link_io_ops *ops;
	void *arg;
	int fd;
	enum kind kind;
	unsigned generation; /* of the descriptor: callbacks may change it */
	struct loop_io *io;
	struct loop_defer *write_later, *read_later;
	struct loop_timer *timer;
	int64_t timer_at;
	struct buf in, out;
	bool blocked; /* the descriptor takes no more now */
	bool away;    /* nobody is at the other end of the port */
};

static void give_back(struct buf *b)
{
	if (b->len == 0 && b->cap > KEEP_EMPTY)
		buf_finish(b);
}

static void ended(struct link_io *io, const char *what, int errnum)
{
	char reason[128];
	unsigned was = io->generation;

	if (errnum)
		snprintf(reason, sizeof(reason), "%s: %s", what, strerror(errnum));
	else
		snprintf(reason, sizeof(reason), "%s", what);
	loop_io_free(io->io);
	io->io = NULL;
	buf_finish(&io->in);
	buf_finish(&io->out);
	link_disconnected(io->link, reason);
	if (io->generation == was && io->ops && io->ops->on_end)
		io->ops->on_end(io->arg, reason);
}

static void set_blocked(struct link_io *io, bool blocked)
{
	if (io->blocked == blocked)
		return;
	io->blocked = blocked;
	if (io->kind != KIND_PORT)
		loop_io_set(io->io, LOOP_READ | (blocked ? LOOP_WRITE : 0));
}

static void write_some(void *arg)
{
	struct link_io *io = arg;
	size_t budget = WRITE_BUDGET;

	while (io->io && !io->blocked) {
		if (io->out.len == 0 && !link_pull(io->link, &io->out, WRITE_TARGET))
			break;
		if (budget == 0) {
			loop_defer_schedule(io->write_later);
			return;
		}
		ssize_t n = io->kind == KIND_PORT
			? write(io->fd, buf_data(&io->out), io->out.len)
			: send(io->fd, buf_data(&io->out), io->out.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			set_blocked(io, true);
			return;
		}
		if (n < 0) {
			/* A port's host that went away: the read side tells. */
			if (io->kind != KIND_PORT)
				ended(io, "writing to the link failed", errno);
			else
				set_blocked(io, true);
			return;
		}
		buf_consume(&io->out, (size_t)n);
		budget -= (size_t)n < budget ? (size_t)n : budget;
	}
	give_back(&io->out);
}

/* Nobody is at the host's end of a port. What stood in our buffer may be half a frame: filler follows
 * it when somebody comes. */
static void host_away(struct link_io *io)
{
	buf_finish(&io->in);
	buf_finish(&io->out);
	io->away = true;
	link_disconnected(io->link, "nobody is at the host's end of the port");
}

static void read_some(void *arg)
{
	struct link_io *io = arg;
	unsigned was = io->generation;

	for (size_t got = 0; io->io && io->generation == was;) {
		if (got >= READ_BUDGET) {
			if (io->kind == KIND_PORT)
				loop_defer_schedule(io->read_later);
			break;
		}
		unsigned char *p = buf_reserve(&io->in, READ_PIECE);
		ssize_t n = read(io->fd, p, READ_PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0 && io->kind == KIND_PORT) {
			if (!io->away)
				host_away(io);
			break;
		}
		if (n <= 0) {
			ended(io, n ? "reading from the link failed" : "the other end closed the link",
				n ? errno : 0);
			return;
		}
		buf_added(&io->in, (size_t)n);
		got += (size_t)n;
		if (io->away) {
			io->away = io->blocked = false;
			link_connected(io->link, true);
		}
		link_input(io->link, &io->in);
		if (n < READ_PIECE && io->kind != KIND_PORT)
			break;
	}
	if (io->generation == was)
		give_back(&io->in);
}

static void on_io(void *arg, int fd, unsigned events)
{
	struct link_io *io = arg;
	unsigned was = io->generation;

	(void)fd;
	if (events & LOOP_READ)
		read_some(io);
	if ((events & LOOP_WRITE) && io->generation == was && io->io) {
		set_blocked(io, false);
		write_some(io);
	}
}

/* --- between the link and its owner --- */

static void on_up(void *arg, bool new_peer, json_t *hello)
{
	struct link_io *io = arg;
	if (io->link_ops.on_up)
		io->link_ops.on_up(io->arg, new_peer, hello);
}

static void on_down(void *arg, const char *reason)
{
	struct link_io *io = arg;
	if (io->link_ops.on_down)
		io->link_ops.on_down(io->arg, reason);
}

static void on_open(void *arg, struct link_stream *s, json_t *what)
{
	struct link_io *io = arg;
	if (io->link_ops.on_open)
		io->link_ops.on_open(io->arg, s, what);
}

static void on_output(void *arg)
{
	struct link_io *io = arg;
	loop_defer_schedule(io->write_later);
}

/* The timer is only ever made earlier; one that comes too early is started again. */
static void on_deadline(void *arg)
{
	struct link_io *io = arg;
	int64_t at = link_deadline(io->link), now;

	if (at < 0 || (io->timer_at && io->timer_at <= at))
		return;
	now = clock_mono_ms();
	io->timer_at = at;
	loop_timer_start(io->timer, at > now ? at - now : 0);
}

static void on_timer(void *arg)
{
	struct link_io *io = arg;
	io->timer_at = 0;
	link_tick(io->link);
	on_deadline(io);
}

struct link_io *link_io_create(struct loop *l, const struct link_config *c,
	const struct link_ops *ops, void *arg, const struct link_io_ops *io_ops)
{
	static const struct link_ops ours = { on_up, on_down, on_open, on_output, on_deadline };
	struct link_io *io = xcalloc(1, sizeof(*io));

	io->loop = l;
	io->link_ops = *ops;
	io->arg = arg;
	io->ops = io_ops;
	io->fd = -1;
	buf_init(&io->in, FRAME_MAX + READ_PIECE);
	buf_init(&io->out, WRITE_TARGET + 3 * FRAME_MAX);
	io->write_later = loop_defer_create(l, write_some, io);
	io->read_later = loop_defer_create(l, read_some, io);
	io->timer = loop_timer_create(l, on_timer, io);
	io->link = link_create(c, &ours, io);
	return io;
}

void link_io_destroy(struct link_io *io)
{
	if (!io)
		return;
	loop_io_free(io->io);
	if (io->fd >= 0)
		close(io->fd);
	link_destroy(io->link);
	loop_defer_free(io->write_later);
	loop_defer_free(io->read_later);
	loop_timer_free(io->timer);
	buf_finish(&io->in);
	buf_finish(&io->out);
	free(io);
}

struct link *link_io_link(struct link_io *io)
{
	return io->link;
}

bool link_io_attached(const struct link_io *io)
{
	return io->io != NULL;
}

void link_io_detach(struct link_io *io)
{
	io->generation++;
	if (io->io) {
		loop_io_free(io->io);
		io->io = NULL;
		link_disconnected(io->link, "the connection was given up");
	}
	if (io->fd >= 0)
		close(io->fd);
	io->fd = -1;
	buf_finish(&io->in);
	buf_finish(&io->out);
}

static void attach(struct link_io *io, int fd, enum kind kind)
{
	link_io_detach(io);
	io->fd = fd;
	io->kind = kind;
	io->blocked = io->away = false;
	io->io = loop_io_add(io->loop, fd,
		kind == KIND_PORT ? LOOP_READ | LOOP_WRITE | LOOP_EDGE : LOOP_READ, on_io, io);
	link_connected(io->link, kind != KIND_SOCKET);
}

void link_io_attach(struct link_io *io, int fd)
{
	attach(io, fd, KIND_SOCKET);
}

void link_io_attach_shared(struct link_io *io, int fd)
{
	attach(io, fd, KIND_SHARED);
}

void link_io_attach_port(struct link_io *io, int fd)
{
	attach(io, fd, KIND_PORT);
}
