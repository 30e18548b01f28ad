/* SPDX-License-Identifier: ISC */
/*
 * The connection. Rules that the rest relies on:
 * - One turn reads at most READ_BUDGET bytes, so that one busy peer does not starve the others.
 * - on_data runs from the loop only, never from inside conn_write; likewise on_close, which is put
 *   off with a deferred call when writing finds the peer gone.
 * - An end or an error on the read side is told after all that was read before was offered to
 *   on_data. While paused nothing is read, so an end is noticed only when writing fails.
 * - A callback may destroy the connection: `busy` keeps the memory until the stack is unwound.
 */
#include "base/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"

#define READ_PIECE 65536
#define READ_BUDGET (4 * READ_PIECE)
#define REASON_MAX 128
#define CORK_MAX 65536 /* gathered at the most */

/* A descriptor on its way out: it goes with the byte that is `at` bytes behind the first pending. */
struct out_fd {
	size_t at;
	int fd;
};

struct conn {
	struct loop *loop;
	int fd, wfd; /* equal for sockets */
	bool is_socket;
	struct loop_io *rio, *wio; /* wio is rio for sockets */
	struct loop_defer *later;
	struct loop_timer *linger;
	struct buf in, out;
	struct out_fd out_fds[CONN_FDS_MAX];
	int in_fds[CONN_FDS_MAX];
	size_t n_out_fds, n_in_fds;
	bool takes_fds;
	const struct conn_ops *ops;
	void *arg;
	char reason[REASON_MAX];
	int busy; /* callbacks on the stack */
	bool destroyed;
	bool paused;
	bool corked;
	bool kicked;
	bool drained;    /* on_drain is due */
	bool read_ended; /* nothing more will be read */
	bool write_ended;
	bool write_failed;
	bool shutting; /* shut the write side when out is empty */
	bool finishing;
	bool close_due, close_told;
};

static void set_events(struct conn *c)
{
	bool want_read = !c->paused && !c->read_ended && !c->finishing && buf_room(&c->in) > 0;
	bool want_write = c->out.len > 0 && !c->write_ended;
	unsigned r = want_read ? LOOP_READ : 0, w = want_write ? LOOP_WRITE : 0;
	if (c->wio == c->rio) {
		loop_io_set(c->rio, r | w);
		return;
	}
	loop_io_set(c->rio, r);
	if (c->wio)
		loop_io_set(c->wio, w);
}

static void drop_out_fds(struct conn *c)
{
	for (size_t i = 0; i < c->n_out_fds; i++)
		close(c->out_fds[i].fd);
	c->n_out_fds = 0;
}

static void free_now(struct conn *c)
{
	drop_out_fds(c);
	for (size_t i = 0; i < c->n_in_fds; i++)
		close(c->in_fds[i]);
	buf_finish(&c->in);
	buf_finish(&c->out);
	free(c);
}

/* Stops everything and closes; the memory stays while a callback is on the stack. */
static void stop(struct conn *c)
{
	if (c->wio != c->rio)
		loop_io_free(c->wio);
	loop_io_free(c->rio);
	loop_defer_free(c->later);
	loop_timer_free(c->linger);
	c->rio = c->wio = NULL;
	c->later = NULL;
	c->linger = NULL;
	if (c->wfd >= 0 && c->wfd != c->fd)
		close(c->wfd);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = c->wfd = -1;
	c->destroyed = true;
}

void conn_destroy(struct conn *c)
{
	if (!c)
		return;
	if (!c->destroyed)
		stop(c);
	if (c->busy == 0)
		free_now(c);
}

/* Ends a stretch of callbacks: true when c is gone. */
static bool leave(struct conn *c)
{
	c->busy--;
	if (!c->destroyed)
		return false;
	if (c->busy == 0)
		free_now(c);
	return true;
}

static void set_reason(struct conn *c, const char *what, int errnum)
{
	char text[64];
	if (!c->close_due)
		snprintf(c->reason, sizeof(c->reason), "%s: %s", what,
			strerror_r(errnum, text, sizeof(text)));
	c->close_due = true;
	loop_defer_schedule(c->later);
}

/* The peer takes no more. What it said before may still stand in the kernel: on_later fetches it. */
static void fail_write(struct conn *c, int errnum)
{
	c->write_ended = c->write_failed = true;
	buf_clear(&c->out);
	drop_out_fds(c);
	set_reason(c, "write", errnum);
}

static void shut_write(struct conn *c)
{
	c->write_ended = true;
	if (c->is_socket) {
		shutdown(c->fd, SHUT_WR);
		return;
	}
	if (c->wfd != c->fd) {
		loop_io_free(c->wio);
		c->wio = NULL;
		close(c->wfd);
		c->wfd = -1;
	}
}

static ssize_t write_some(struct conn *c, const void *data, size_t len)
{
	ssize_t n;
	do /* MSG_NOSIGNAL where it can be had; programs with pipes ignore SIGPIPE */
		n = c->is_socket ? send(c->wfd, data, len, MSG_NOSIGNAL)
				 : write(c->wfd, data, len);
	while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t write_parts(struct conn *c, const struct iovec *parts, int n)
{
	struct iovec v[CONN_PARTS_MAX];
	struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)n};
	ssize_t took;

	if (n == 1)
		return write_some(c, parts[0].iov_base, parts[0].iov_len);
	memcpy(v, parts, (size_t)n * sizeof(*v));
	do
		took = c->is_socket ? sendmsg(c->wfd, &m, MSG_NOSIGNAL) : writev(c->wfd, v, n);
	while (took < 0 && errno == EINTR);
	return took;
}

/* Writes from the front of `out`, a descriptor with its byte, no write across the next one's. */
static ssize_t write_front(struct conn *c)
{
	size_t len = c->out.len;
	if (c->n_out_fds == 0)
		return write_some(c, buf_data(&c->out), len);
	bool due = c->out_fds[0].at == 0;
	if (due && c->n_out_fds > 1)
		len = c->out_fds[1].at;
	if (!due)
		len = c->out_fds[0].at;
	ssize_t n = sock_send_fds(c->wfd, buf_data(&c->out), len, &c->out_fds[0].fd, due ? 1 : 0);
	if (n <= 0)
		return n;
	if (due) {
		close(c->out_fds[0].fd);
		c->n_out_fds--;
		memmove(c->out_fds, c->out_fds + 1, c->n_out_fds * sizeof(c->out_fds[0]));
	}
	for (size_t i = 0; i < c->n_out_fds; i++)
		c->out_fds[i].at -= (size_t)n;
	return n;
}

/* Writes what the kernel takes. Sets `drained` when that emptied the buffer. */
static void flush(struct conn *c)
{
	while (c->out.len > 0 && !c->write_ended) {
		ssize_t n = write_front(c);
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				fail_write(c, errno);
			return;
		}
		buf_consume(&c->out, (size_t)n);
		c->drained = c->out.len == 0;
	}
}

/* read, or with the descriptors that come along. Too many: -1 with EMFILE. */
static ssize_t read_some(struct conn *c, void *p, size_t len)
{
	if (!c->takes_fds)
		return read(c->fd, p, len);
	int fds[CONN_FDS_MAX];
	size_t nfds = CONN_FDS_MAX;
	ssize_t n = sock_recv_fds(c->fd, p, len, fds, &nfds);
	bool fits = c->n_in_fds + nfds <= CONN_FDS_MAX;
	for (size_t i = 0; n >= 0 && i < nfds; i++) {
		if (fits)
			c->in_fds[c->n_in_fds++] = fds[i];
		else
			close(fds[i]);
	}
	if (n >= 0 && !fits) {
		errno = EMFILE;
		return -1;
	}
	return n;
}

static unsigned char piece[READ_PIECE]; /* of no connection between two reads; a program has one thread */

/* Reads within the budget. An end is noted, to be told after on_data. */
static void fill(struct conn *c)
{
	size_t budget = READ_BUDGET;
	while (budget > 0 && !c->read_ended) {
		size_t room = buf_room(&c->in);
		if (room > READ_PIECE)
			room = READ_PIECE;
		if (room == 0)
			return;
		/* Most messages are short: memory for the longest is not made and given back for each. */
		bool aside = c->in.cap < c->in.head + c->in.len + room;
		unsigned char *p = aside ? piece : buf_reserve(&c->in, room);
		ssize_t n = read_some(c, p, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			/* EIO is how a terminal's master says that the last of the other side left. */
			if (errno != EIO || c->is_socket) {
				c->write_ended = true;
				buf_clear(&c->out);
				set_reason(c, "read", errno);
			}
			c->read_ended = c->close_due = true;
			return;
		}
		if (n == 0) {
			c->read_ended = c->close_due = true;
			return;
		}
		if (aside)
			buf_append(&c->in, p, (size_t)n);
		else
			buf_added(&c->in, (size_t)n);
		budget -= (size_t)n < budget ? (size_t)n : budget;
		if ((size_t)n < room)
			return; /* the kernel had no more: save the call that says so */
	}
}

/* Offers what stands in `in`. False when c is gone. */
static bool offer(struct conn *c)
{
	if (c->in.len > 0 && !c->paused && !c->finishing) {
		c->busy++;
		c->ops->on_data(c->arg, &c->in);
		if (leave(c))
			return false;
	}
	return true;
}

/* What follows every stretch of work: drain, shutdown, close, events. False when c is gone. */
static bool settle(struct conn *c)
{
	if (c->finishing && (c->out.len == 0 || c->write_ended)) {
		conn_destroy(c);
		return false;
	}
	if (c->out.len == 0 && c->shutting && !c->write_ended)
		shut_write(c);
	if (c->drained && c->out.len == 0 && !c->finishing) {
		c->drained = false;
		if (c->ops->on_drain && !c->write_ended) {
			c->busy++;
			c->ops->on_drain(c->arg);
			if (leave(c))
				return false;
		}
	}
	/* A paused owner has not seen all that was read: it hears of the end when it resumes. */
	if (c->close_due && !c->close_told && !c->finishing &&
		!(c->paused && c->in.len > 0 && !c->write_failed)) {
		c->close_told = true;
		c->busy++;
		c->ops->on_close(c->arg, c->reason);
		if (leave(c))
			return false;
	}
	buf_rest(&c->in);
	buf_rest(&c->out);
	set_events(c);
	return true;
}

static void on_io(void *arg, int fd, unsigned events)
{
	(void)fd;
	struct conn *c = arg;
	if (events & LOOP_WRITE)
		flush(c);
	if (events & LOOP_READ) {
		fill(c);
		if (!offer(c))
			return;
	}
	settle(c);
}

static void on_later(void *arg)
{
	struct conn *c = arg;
	bool last = c->write_failed && !c->read_ended;
	if (last) {
		fill(c);
		c->read_ended = true;
	}
	if (c->kicked || last) {
		c->kicked = false;
		if (!offer(c))
			return;
	}
	settle(c);
}

static void on_linger(void *arg)
{
	conn_destroy(arg);
}

struct conn *conn_create(struct loop *l, int fd, int wfd, size_t in_max, size_t out_max,
	const struct conn_ops *ops, void *arg)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	c->loop = l;
	c->fd = fd;
	c->wfd = wfd >= 0 ? wfd : fd;
	c->ops = ops;
	c->arg = arg;
	int type;
	socklen_t len = sizeof(type);
	c->is_socket = wfd < 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
	buf_init(&c->in, in_max);
	buf_init(&c->out, out_max);
	fd_set_nonblock(c->fd);
	fd_set_nonblock(c->wfd);
	c->rio = loop_io_add(l, c->fd, LOOP_READ, on_io, c);
	c->wio = c->wfd == c->fd ? c->rio : loop_io_add(l, c->wfd, 0, on_io, c);
	c->later = loop_defer_create(l, on_later, c);
	return c;
}

/* Queues what follows the first `skip` bytes. */
static void queue(struct conn *c, const struct iovec *parts, int n, size_t skip)
{
	for (int i = 0; i < n; i++) {
		size_t gone = skip < parts[i].iov_len ? skip : parts[i].iov_len;
		buf_append(&c->out, (const unsigned char *)parts[i].iov_base + gone, parts[i].iov_len - gone);
		skip -= gone;
	}
}

int conn_write(struct conn *c, const void *data, size_t len)
{
	return conn_writev(c, &(struct iovec){(void *)(uintptr_t)data, len}, 1);
}

int conn_writev(struct conn *c, const struct iovec *parts, int n)
{
	size_t len = 0, gone = 0;

	for (int i = 0; i < n; i++)
		len += parts[i].iov_len;
	if (len > buf_room(&c->out) || n > CONN_PARTS_MAX)
		return -1;
	/* A peer that is gone takes everything; on_close tells. */
	if (c->write_ended || c->shutting || c->destroyed || len == 0)
		return 0;
	if (c->corked && c->out.len + len <= CORK_MAX) {
		queue(c, parts, n, 0);
		return 0;
	}
	if (c->corked)
		flush(c); /* what was gathered goes first */
	if (c->write_ended)
		return 0;
	if (c->out.len == 0) {
		ssize_t took = write_parts(c, parts, n);
		if (took < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			fail_write(c, errno);
			return 0;
		}
		gone = took > 0 ? (size_t)took : 0;
		if (gone == len)
			return 0;
	}
	buf_reserve(&c->out, len - gone);
	queue(c, parts, n, gone);
	set_events(c);
	return 0;
}

void conn_cork(struct conn *c, bool corked)
{
	c->corked = corked;
	if (corked || c->destroyed || c->out.len == 0)
		return;
	flush(c);
	set_events(c);
	if (c->busy == 0 && c->drained) /* otherwise it is looked at when the callback is over */
		loop_defer_schedule(c->later);
}

int conn_write_fd(struct conn *c, const void *data, size_t len, int fd)
{
	if (len > buf_room(&c->out) || len == 0 || c->n_out_fds == CONN_FDS_MAX)
		return -1;
	if (c->write_ended || c->shutting || c->destroyed)
		return 0;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -1;
	c->out_fds[c->n_out_fds++] = (struct out_fd){c->out.len, copy};
	buf_append(&c->out, data, len);
	set_events(c); /* written from the loop: descriptors are rare */
	return 0;
}

void conn_accept_fds(struct conn *c)
{
	c->takes_fds = c->is_socket;
}

int conn_take_fd(struct conn *c)
{
	if (c->n_in_fds == 0)
		return -1;
	int fd = c->in_fds[0];
	c->n_in_fds--;
	memmove(c->in_fds, c->in_fds + 1, c->n_in_fds * sizeof(c->in_fds[0]));
	return fd;
}

size_t conn_out_pending(const struct conn *c)
{
	return c->out.len;
}

size_t conn_out_room(const struct conn *c)
{
	return buf_room(&c->out);
}

void conn_pause(struct conn *c, bool paused)
{
	if (c->destroyed || c->paused == paused)
		return;
	c->paused = paused;
	set_events(c);
	/* What was read before the pause, and an end, wait to be told. */
	if (!paused && (c->in.len > 0 || c->close_due))
		conn_kick(c);
}

int conn_unread(struct conn *c, const void *data, size_t len)
{
	if (c->destroyed || buf_append(&c->in, data, len) < 0)
		return -1;
	conn_kick(c);
	return 0;
}

void conn_kick(struct conn *c)
{
	if (c->destroyed)
		return;
	c->kicked = true;
	loop_defer_schedule(c->later);
}

void conn_shutdown(struct conn *c)
{
	if (c->destroyed || c->shutting)
		return;
	c->shutting = true;
	if (c->out.len == 0 && !c->write_ended)
		shut_write(c);
}

void conn_finish(struct conn *c, int ms)
{
	if (!c || c->destroyed)
		return;
	c->finishing = true;
	if (c->out.len == 0 || c->write_ended) {
		conn_destroy(c);
		return;
	}
	c->linger = loop_timer_create(c->loop, on_linger, c);
	loop_timer_start(c->linger, ms);
	set_events(c);
}

int conn_fd(const struct conn *c)
{
	return c->fd;
}

int conn_release(struct conn *c)
{
	int fd = c->fd;
	c->fd = c->wfd = -1;
	conn_destroy(c);
	return fd;
}
