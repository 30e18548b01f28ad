/* SPDX-License-Identifier: ISC */
/*
 * A JSON-RPC connection on the loop, the same for both ends.
 *
 * Reading. Whole lines are taken out of the connection's buffer, at most PEER_BUDGET a turn so that
 * one busy peer never starves the others. Reading stops (and the socket fills up: back-pressure) while
 * the peer has REQUESTS_MAX requests unanswered or more than half of its output bound unread, and goes
 * on when that has passed. A line longer than RPC_LINE_MAX cannot be skipped safely: it is answered
 * with one error, and the connection ends.
 *
 * Writing. A line is queued whole or not at all. A peer that lets its queue fill up is too slow: it is
 * disconnected, never waited for.
 *
 * Ending. Calls of ours that are pending fail, requests of theirs are abandoned (their objects live on
 * until answered, the answer goes nowhere), then the owner hears on_close, never from within one of its
 * own calls. The owner may destroy the peer from any callback: the memory goes when the outermost
 * callback has returned (depth).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ipc/peer_int.h"

#define PEER_BUDGET 64
#define FINISH_MS 1000 /* for the last words to a peer that is being disconnected */

static void peer_free(struct peer *p)
{
	buf_finish(&p->line);
	free(p);
}

void peer_enter(struct peer *p)
{
	p->depth++;
}

bool peer_leave(struct peer *p)
{
	p->depth--;
	if (!p->destroyed)
		return true;
	if (p->depth == 0)
		peer_free(p);
	return false;
}

void peer_end(struct peer *p, const char *reason)
{
	if (p->ended || p->destroyed)
		return;
	p->ended = true;
	str_fmt(p->reason, sizeof(p->reason), "%s", reason);
	loop_defer_schedule(p->defer);
}

/* The line went, or not: then it takes too little. */
static int sent(struct peer *p, int r)
{
	if (r < 0 && p->conn && !p->ended) {
		p->slow = true;
		peer_end(p, "it does not read what it is sent");
	}
	buf_clear(&p->line);
	buf_rest(&p->line);
	return r;
}

int peer_send_line_fd(struct peer *p, int fd)
{
	int r = -1;

	if (p->conn && !p->ended)
		r = fd < 0 ? conn_write(p->conn, buf_data(&p->line), p->line.len)
			   : conn_write_fd(p->conn, buf_data(&p->line), p->line.len, fd);
	return sent(p, r);
}

int peer_send_line(struct peer *p)
{
	return peer_send_line_fd(p, -1);
}

int peer_send_result(struct peer *p, const struct buf *json)
{
	struct iovec parts[] = {{buf_data(&p->line), p->line.len}, {buf_data(json), json->len},
		{(char *)RPC_RESULT_TAIL, strlen(RPC_RESULT_TAIL)}};

	return sent(p, p->conn && !p->ended ? conn_writev(p->conn, parts, ARRAY_LEN(parts)) : -1);
}

void peer_accept_fds(struct peer *p)
{
	if (p->conn)
		conn_accept_fds(p->conn);
}

int peer_take_fd(struct peer *p)
{
	return p->conn ? conn_take_fd(p->conn) : -1;
}

int peer_notify(struct peer *p, const char *method, json_t *params)
{
	int r = rpc_write_notification(&p->line, method, params);

	json_decref(params);
	if (r < 0) {
		peer_end(p, "a notification to it is longer than 1 MiB");
		return -1;
	}
	return peer_send_line(p);
}

void peer_cork(struct peer *p, bool corked)
{
	if (p->conn)
		conn_cork(p->conn, corked);
}

void peer_finish(struct peer *p, int ms)
{
	p->finish_ms = ms;
	peer_end(p, "it was told to go");
}

size_t peer_out_pending(const struct peer *p)
{
	return p->conn ? conn_out_pending(p->conn) : 0;
}

uint64_t peer_heard(const struct peer *p)
{
	return p->heard;
}

static void dispatch(struct peer *p, struct rpc_msg *m)
{
	switch (m->kind) {
	case RPC_REQUEST:
		requests_take(p, m);
		break;
	case RPC_NOTIFICATION:
		if (p->ops->on_notification)
			p->ops->on_notification(p->arg, m->method, m->params);
		break;
	case RPC_RESULT:
	case RPC_ERROR:
		calls_answer(p, m);
		break;
	}
}

/* Answers what could not be parsed. */
static void refuse(struct peer *p, json_t *id, const struct err *e)
{
	rpc_write_error(&p->line, id, e);
	peer_send_line(p);
}

/* Takes one line: 1 done, 0 none there, -1 the connection ended. */
static int take_line(struct peer *p)
{
	struct buf *in = p->in;
	struct rpc_msg m;
	struct err e = {0};
	json_t *id = NULL;
	const char *line;
	size_t len;

	/* A line that trickles in is searched once, not once a byte. */
	if (p->scanned && p->scanned <= in->len && buf_room(in) > 0 &&
		!memchr(buf_data(in) + p->scanned, '\n', in->len - p->scanned)) {
		p->scanned = in->len;
		return 0;
	}
	p->scanned = 0;
	int r = rpc_next_line(in, &line, &len);
	if (r == 0)
		p->scanned = in->len;
	if (r < 0) {
		err_set(&e, ERR_LIMIT, "the message is longer than %d bytes", RPC_LINE_MAX);
		refuse(p, NULL, &e);
		peer_end(p, "it sent a message longer than 1 MiB");
	}
	if (r <= 0)
		return r;
	p->heard++;
	if (len == 0 || (len == 1 && line[0] == '\r')) {
		buf_consume(in, len + 1);
		return 1;
	}
	r = rpc_parse(line, len, &m, &id, &e);
	buf_consume(in, len + 1);
	if (r == 0) {
		dispatch(p, &m);
		rpc_msg_finish(&m);
	} else {
		refuse(p, id, &e);
	}
	json_decref(id);
	return 1;
}

static void on_data(void *arg, struct buf *in)
{
	struct peer *p = arg;
	int budget = PEER_BUDGET, r = 1;

	p->in = in;
	peer_enter(p);
	conn_cork(p->conn, true);
	while (!p->destroyed && !p->ended && !p->stalled && budget-- > 0 && (r = take_line(p)) > 0) {
		if (!p->destroyed && !p->ended && requests_must_stall(p)) {
			p->stalled = true;
			conn_pause(p->conn, true);
		}
	}
	if (!p->destroyed)
		conn_cork(p->conn, false);
	if (!peer_leave(p) || p->ended)
		return;
	if (r > 0 && !p->stalled && in->len > 0)
		conn_kick(p->conn);
}

static void on_drain(void *arg)
{
	struct peer *p = arg;

	peer_enter(p);
	if (p->ops->on_drain && !p->ended)
		p->ops->on_drain(p->arg);
	if (peer_leave(p))
		requests_unstall(p);
}

static void on_conn_close(void *arg, const char *reason)
{
	struct peer *p = arg;

	/* What the budget left over still counts: a peer may speak and go. */
	peer_enter(p);
	while (!p->destroyed && !p->ended && p->in && take_line(p) > 0)
		;
	if (peer_leave(p))
		peer_end(p, reason);
}

static const struct conn_ops conn_ops = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_close = on_conn_close,
};

static void tell_close(struct peer *p)
{
	struct err e = {0};

	p->close_told = true;
	err_set(&e, ERR_UNREACHABLE, "the connection ended before the answer came%s%s",
		p->reason[0] ? ": " : "", p->reason);
	calls_fail(p, &e);
	if (!p->destroyed)
		requests_abandon(p);
	if (!p->destroyed)
		p->ops->on_close(p->arg, p->reason);
}

static void on_defer(void *arg)
{
	struct peer *p = arg;

	peer_enter(p);
	calls_tell_failed(p);
	if (!p->destroyed && p->ended && !p->close_told) {
		/* What was queued (the error that explains the end) still goes out, briefly. */
		if (p->slow)
			conn_destroy(p->conn);
		else
			conn_finish(p->conn, p->finish_ms ? p->finish_ms : FINISH_MS);
		p->conn = NULL;
		tell_close(p);
	}
	peer_leave(p);
}

struct peer *peer_create(struct loop *l, int fd, size_t out_max, const struct peer_ops *ops,
	void *arg)
{
	struct peer *p = xcalloc(1, sizeof(*p));

	p->loop = l;
	p->ops = ops;
	p->arg = arg;
	p->out_max = out_max ? out_max : PEER_OUT_MAX;
	p->timer_at = INT64_MAX;
	buf_init(&p->line, RPC_LINE_MAX);
	p->timer = loop_timer_create(l, calls_on_timer, p);
	p->defer = loop_defer_create(l, on_defer, p);
	p->conn = conn_create(l, fd, -1, RPC_LINE_MAX, p->out_max, &conn_ops, p);
	return p;
}

void peer_destroy(struct peer *p)
{
	if (!p || p->destroyed)
		return;
	peer_enter(p);
	p->destroyed = true;
	if (p->conn)
		conn_cork(p->conn, false); /* answers of this turn still go out */
	conn_destroy(p->conn);
	loop_timer_free(p->timer);
	loop_defer_free(p->defer);
	calls_drop(p);
	requests_abandon(p);
	peer_leave(p);
}

int peer_release(struct peer *p, struct buf *ret_rest, struct err *e)
{
	int fd;

	if (p->ended || !p->conn)
		return err_set(e, ERR_UNREACHABLE, "the connection is closed");
	conn_cork(p->conn, false);
	if (conn_out_pending(p->conn) > 0)
		return err_set(e, ERR_UNAVAILABLE, "the peer does not read what it is sent");
	fd = fcntl(conn_fd(p->conn), F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot keep the connection");
	if (p->in && p->in->len > 0 && buf_append(ret_rest, buf_data(p->in), p->in->len) < 0) {
		close(fd);
		return err_set(e, ERR_LIMIT, "the peer sent more than %zu bytes early", ret_rest->max);
	}
	peer_destroy(p);
	return fd;
}
