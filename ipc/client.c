/* SPDX-License-Identifier: ISC */
/* A blocking client of the daemon's socket, for the command line: one connection, no loop. */
#include "ipc/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/rpc.h"

#define READ_SIZE (64 * 1024)
#define SEND_TIMEOUT_MS 30000

struct client {
	int fd;
	struct buf in, out;
	int64_t next_id;
	bool heard;   /* something was received since the last call began */
	bool unheard; /* the last call's request was not taken */
	client_notify_fn *notify;
	void *arg;
};

int client_connect(const char *path, struct client **ret, struct err *e)
{
	int fd;

	if (sock_connect(path, &fd, e) < 0)
		return -1;
	struct client *c = xcalloc(1, sizeof(*c));
	c->fd = fd;
	fd_set_nonblock(fd);
	buf_init(&c->in, RPC_LINE_MAX);
	buf_init(&c->out, RPC_LINE_MAX);
	*ret = c;
	return 0;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	close(c->fd);
	buf_finish(&c->in);
	buf_finish(&c->out);
	free(c);
}

void client_on_notify(struct client *c, client_notify_fn *fn, void *arg)
{
	c->notify = fn;
	c->arg = arg;
}

static int gone(struct err *e, const char *why)
{
	err_set(e, ERR_UNREACHABLE, "the daemon closed the connection%s", why);
	return err_hint(e, "`tmux-claude up` starts it again; its log says why it ended");
}

/* ppoll with the signals that may set *stop blocked outside of it, so that one that comes between the
 * check and the wait is not lost. */
static int poll_once(struct pollfd *p, nfds_t n, int64_t deadline, const volatile int *stop)
{
	struct timespec ts, *timeout = NULL;
	sigset_t block, old;
	int r = -1, errnum = EINTR;

	if (deadline >= 0) {
		int64_t left = deadline - clock_mono_ms();
		if (left < 0)
			left = 0;
		ts = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		timeout = &ts;
	}
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGHUP);
	sigprocmask(SIG_BLOCK, &block, &old);
	if (!stop || !*stop) {
		r = ppoll(p, n, timeout, &old);
		errnum = errno;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	errno = errnum;
	return r;
}

int client_poll(struct pollfd *p, size_t n, int64_t deadline, const volatile int *stop, struct err *e)
{
	for (;;) {
		int r = poll_once(p, (nfds_t)n, deadline, stop);

		if (r >= 0)
			return r;
		if (stop && *stop)
			return err_set(e, ERR_CANCELLED, "interrupted");
		if (errno != EINTR)
			return err_set_errno(e, ERR_IO, errno, "cannot wait for the daemon");
	}
}

static int wait_for(struct client *c, short events, int64_t deadline, const volatile int *stop,
	struct err *e)
{
	struct pollfd p = {.fd = c->fd, .events = events};

	return client_poll(&p, 1, deadline, stop, e);
}

bool client_unheard(const struct client *c)
{
	return c->unheard;
}

int client_fd(const struct client *c)
{
	return c->fd;
}

static int send_all(struct client *c, const volatile int *stop, struct err *e)
{
	int64_t deadline = clock_mono_ms() + SEND_TIMEOUT_MS;

	while (c->out.len > 0) {
		ssize_t n = send(c->fd, buf_data(&c->out), c->out.len, MSG_NOSIGNAL);
		if (n > 0) {
			buf_consume(&c->out, (size_t)n);
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			c->unheard = true;
			return gone(e, "");
		}
		int r = wait_for(c, POLLOUT, deadline, stop, e);
		if (r < 0)
			return -1;
		if (r == 0)
			return err_set(e, ERR_TIMEOUT, "the daemon does not read what it is sent");
	}
	return 0;
}

/* Reads what is there, waiting until the deadline: 1 read, 0 the deadline passed, -1 failed. */
static int fill(struct client *c, int64_t deadline, const volatile int *stop, struct err *e)
{
	size_t want = buf_room(&c->in) < READ_SIZE ? buf_room(&c->in) : READ_SIZE;

	for (;;) {
		int r = wait_for(c, POLLIN, deadline, stop, e);
		if (r <= 0)
			return r;
		unsigned char *at = buf_reserve(&c->in, want);
		ssize_t n = recv(c->fd, at, want, 0);
		if (n > 0) {
			buf_added(&c->in, (size_t)n);
			c->heard = true;
			return 1;
		}
		if (n == 0)
			return gone(e, "");
		/* What a socket is closed with unread, or unaccepted, resets the other end; an end is no reset. */
		c->unheard = errno == ECONNRESET && !c->heard;
		if (errno != EAGAIN && errno != EINTR)
			return gone(e, " in the middle of it");
	}
}

/* Takes the next message: 1 with *ret, 0 none is whole yet, -1 it cannot be understood. */
static int next_message(struct client *c, struct rpc_msg *ret, struct err *e)
{
	const char *line;
	json_t *id;
	size_t len;
	int r = rpc_next_line(&c->in, &line, &len);

	if (r < 0)
		return err_set(e, ERR_LIMIT, "the daemon sent a line longer than %d bytes", RPC_LINE_MAX);
	if (r == 0)
		return 0;
	r = rpc_parse(line, len, ret, &id, e);
	buf_consume(&c->in, len + 1);
	json_decref(id);
	if (r < 0)
		return err_prefix(e, "the daemon's answer cannot be understood");
	return 1;
}

/* Deals with one message: 1 it is the answer to id (result or error in m, which the caller finishes). */
static int handle(struct client *c, int64_t id, struct rpc_msg *m)
{
	if (m->kind == RPC_NOTIFICATION && c->notify)
		c->notify(c->arg, m->method, m->params);
	/* An error with a null id answers what the daemon could not parse: only our request can be meant. */
	if ((m->kind == RPC_RESULT && json_integer_value(m->id) == id) ||
		(m->kind == RPC_ERROR && (json_is_null(m->id) || json_integer_value(m->id) == id)))
		return 1;
	rpc_msg_finish(m);
	return 0;
}

int client_call(struct client *c, const char *method, json_t *params, int64_t timeout_ms,
	const volatile int *stop, json_t **ret, struct err *e)
{
	int64_t deadline = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
	json_t *id = json_integer(++c->next_id);
	struct rpc_msg m = {0};
	int r = rpc_write_request(&c->out, id, method, params);

	json_decref(id);
	json_decref(params);
	c->heard = c->unheard = false;
	if (r < 0) {
		err_set(e, ERR_LIMIT, "the request is longer than %d bytes", RPC_LINE_MAX);
		return err_hint(e, "put large input into a file below the agent's folder and name it");
	}
	if (send_all(c, stop, e) < 0)
		return -1;
	for (;;) {
		r = next_message(c, &m, e);
		if (r < 0)
			return -1;
		if (r > 0 && handle(c, c->next_id, &m))
			break;
		if (r > 0)
			continue;
		r = fill(c, deadline, stop, e);
		if (r < 0)
			return -1;
		if (r == 0)
			return err_set(e, ERR_TIMEOUT, "the daemon gave no answer to %s in %lld ms", method,
				(long long)timeout_ms);
	}
	if (m.kind == RPC_ERROR) {
		if (e)
			*e = m.error;
		rpc_msg_finish(&m);
		return -1;
	}
	*ret = json_incref(m.result);
	rpc_msg_finish(&m);
	return 0;
}

int client_pump(struct client *c, int64_t timeout_ms, const volatile int *stop, struct err *e)
{
	int64_t deadline = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
	struct rpc_msg m = {0};

	for (;;) {
		int r;
		while ((r = next_message(c, &m, e)) > 0)
			if (handle(c, -1, &m))
				rpc_msg_finish(&m);
		if (r < 0)
			return -1;
		r = fill(c, deadline, stop, e);
		if (r <= 0)
			return r;
	}
}
