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
#include "ipc/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/conn.h"
#include "base/util.h"

#define PEER_BUDGET 64
#define REQUESTS_MAX 1024
#define CALL_BUCKETS 256 /* a power of two */
#define FINISH_MS 1000   /* for the last words to a peer that is being disconnected */

struct call {
	struct call *next;
	int64_t id;
	int64_t deadline;
	peer_reply_fn *fn;
	void *arg;
};

struct peer_request {
	struct peer *peer; /* NULL when gone */
	struct peer_request *prev, *next;
	json_t *id;
	void (*on_abandon)(void *arg);
	void *abandon_arg;
};

/* A call that failed before it was sent: its owner is told from the loop, not from within peer_call. */
struct failed_call {
	struct failed_call *next;
	peer_reply_fn *fn;
	void *arg;
	struct err error;
};

struct peer {
	struct loop *loop;
	struct conn *conn;
	struct buf *in;  /* the connection's; known since the first bytes */
	size_t scanned;  /* bytes of in that hold no newline */
	struct buf line; /* one message on its way out */
	const struct peer_ops *ops;
	void *arg;
	struct call *calls[CALL_BUCKETS];
	struct failed_call *failed;
	int64_t next_id;
	struct loop_timer *timer;
	int64_t timer_at;
	struct peer_request *requests;
	size_t nrequests;
	size_t out_max;
	struct loop_defer *defer;
	unsigned depth;
	bool stalled, ended, destroyed, close_told, slow;
	char reason[128]; /* why it ended */
};

static void peer_free(struct peer *p)
{
	buf_finish(&p->line);
	free(p);
}

static void enter(struct peer *p)
{
	p->depth++;
}

/* Returns false when the peer is gone. */
static bool leave(struct peer *p)
{
	p->depth--;
	if (!p->destroyed)
		return true;
	if (p->depth == 0)
		peer_free(p);
	return false;
}

/* Ends the connection; the owner is told from the loop. */
static void peer_end(struct peer *p, const char *reason)
{
	if (p->ended || p->destroyed)
		return;
	p->ended = true;
	str_fmt(p->reason, sizeof(p->reason), "%s", reason);
	loop_defer_schedule(p->defer);
}

/* Queues p->line, with fd unless it is -1, and empties it. -1: the peer is too slow and has been ended. */
static int send_line_fd(struct peer *p, int fd)
{
	int r = -1;

	if (p->conn && !p->ended) {
		r = fd < 0 ? conn_write(p->conn, buf_data(&p->line), p->line.len)
			   : conn_write_fd(p->conn, buf_data(&p->line), p->line.len, fd);
		if (r < 0) {
			p->slow = true;
			peer_end(p, "it does not read what it is sent");
		}
	}
	buf_clear(&p->line);
	return r;
}

static int send_line(struct peer *p)
{
	return send_line_fd(p, -1);
}

/* Calls of ours. */

static void add_call(struct peer *p, int64_t id, int64_t ms, peer_reply_fn *fn, void *arg)
{
	struct call *c = xcalloc(1, sizeof(*c));
	struct call **bucket = &p->calls[id & (CALL_BUCKETS - 1)];

	*c = (struct call){.next = *bucket, .id = id, .fn = fn, .arg = arg};
	c->deadline = ms < 0 ? INT64_MAX : clock_mono_ms() + ms;
	*bucket = c;
	if (c->deadline < p->timer_at) {
		p->timer_at = c->deadline;
		loop_timer_start(p->timer, ms);
	}
}

static struct call *take_call(struct peer *p, int64_t id)
{
	for (struct call **at = &p->calls[id & (CALL_BUCKETS - 1)]; *at; at = &(*at)->next) {
		struct call *c = *at;
		if (c->id == id) {
			*at = c->next;
			return c;
		}
	}
	return NULL;
}

static struct call *take_any_call(struct peer *p, int64_t due)
{
	for (size_t b = 0; b < CALL_BUCKETS; b++)
		for (struct call *c = p->calls[b]; c; c = c->next)
			if (c->deadline <= due)
				return take_call(p, c->id);
	return NULL;
}

static void finish_call(struct call *c, json_t *result, const struct err *error)
{
	peer_reply_fn *fn = c->fn;
	void *arg = c->arg;

	free(c);
	fn(arg, result, error);
}

static void on_timer(void *arg)
{
	struct peer *p = arg;
	int64_t now = clock_mono_ms();
	struct call *c;

	enter(p);
	while (!p->destroyed && (c = take_any_call(p, now))) {
		struct err e = {0};
		err_set(&e, ERR_TIMEOUT, "no answer came in time");
		finish_call(c, NULL, &e);
	}
	if (!leave(p))
		return;
	p->timer_at = INT64_MAX;
	for (size_t b = 0; b < CALL_BUCKETS; b++)
		for (c = p->calls[b]; c; c = c->next)
			if (c->deadline < p->timer_at)
				p->timer_at = c->deadline;
	if (p->timer_at != INT64_MAX)
		loop_timer_start(p->timer, p->timer_at > now ? p->timer_at - now : 0);
}

static void fail_later(struct peer *p, peer_reply_fn *fn, void *arg, enum err_code code,
	const char *why)
{
	struct failed_call *f = xcalloc(1, sizeof(*f)), **end = &p->failed;

	*f = (struct failed_call){.fn = fn, .arg = arg};
	err_set(&f->error, code, "%s", why);
	while (*end)
		end = &(*end)->next;
	*end = f;
	loop_defer_schedule(p->defer);
}

void peer_call(struct peer *p, const char *method, json_t *params, int64_t ms, peer_reply_fn *fn,
	void *arg)
{
	peer_call_fd(p, method, params, -1, ms, fn, arg);
}

void peer_call_fd(struct peer *p, const char *method, json_t *params, int fd, int64_t ms,
	peer_reply_fn *fn, void *arg)
{
	int64_t n = ++p->next_id;
	json_t *id = json_integer(n);
	int r = rpc_write_request(&p->line, id, method, params);

	json_decref(id);
	json_decref(params);
	if (p->ended) {
		buf_clear(&p->line);
		fail_later(p, fn, arg, ERR_UNREACHABLE, "the connection is closed");
	} else if (r < 0) {
		fail_later(p, fn, arg, ERR_LIMIT, "the request is longer than 1 MiB");
	} else if (send_line_fd(p, fd) < 0) {
		fail_later(p, fn, arg, ERR_UNREACHABLE, "the peer does not read what it is sent");
	} else {
		add_call(p, n, ms, fn, arg);
	}
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
	return send_line(p);
}

size_t peer_out_pending(const struct peer *p)
{
	return p->conn ? conn_out_pending(p->conn) : 0;
}

/* Requests of theirs. */

static void request_unlink(struct peer_request *req)
{
	struct peer *p = req->peer;

	if (req->prev)
		req->prev->next = req->next;
	else
		p->requests = req->next;
	if (req->next)
		req->next->prev = req->prev;
	req->prev = req->next = NULL;
	req->peer = NULL;
	p->nrequests--;
}

static bool must_stall(const struct peer *p)
{
	return p->nrequests >= REQUESTS_MAX || conn_out_pending(p->conn) > p->out_max / 2;
}

static void unstall(struct peer *p)
{
	if (!p->stalled || p->ended || must_stall(p))
		return;
	p->stalled = false;
	conn_pause(p->conn, false);
	conn_kick(p->conn);
}

static void request_free(struct peer_request *req)
{
	json_decref(req->id);
	free(req);
}

void peer_result(struct peer_request *req, json_t *result)
{
	struct peer *p = req->peer;

	if (!result)
		result = json_object();
	if (p) {
		request_unlink(req);
		if (rpc_write_result(&p->line, req->id, result) < 0) {
			struct err e = {0};
			err_set(&e, ERR_LIMIT, "the result is longer than 1 MiB");
			err_hint(&e, "ask for less at a time");
			rpc_write_error(&p->line, req->id, &e);
		}
		if (send_line(p) == 0)
			unstall(p);
	}
	json_decref(result);
	request_free(req);
}

void peer_error(struct peer_request *req, const struct err *error)
{
	struct peer *p = req->peer;

	if (p) {
		request_unlink(req);
		rpc_write_error(&p->line, req->id, error);
		if (send_line(p) == 0)
			unstall(p);
	}
	request_free(req);
}

struct peer *peer_request_peer(const struct peer_request *req)
{
	return req->peer;
}

json_t *peer_request_id(const struct peer_request *req)
{
	return req->id;
}

void peer_request_on_abandon(struct peer_request *req, void (*fn)(void *arg), void *arg)
{
	req->on_abandon = fn;
	req->abandon_arg = arg;
}

static void abandon_requests(struct peer *p)
{
	while (p->requests) {
		struct peer_request *req = p->requests;
		request_unlink(req);
		if (req->on_abandon)
			req->on_abandon(req->abandon_arg);
	}
}

/* Reading. */

static void dispatch_request(struct peer *p, struct rpc_msg *m)
{
	struct peer_request *req = xcalloc(1, sizeof(*req));

	*req = (struct peer_request){.peer = p, .next = p->requests, .id = json_incref(m->id)};
	if (p->requests)
		p->requests->prev = req;
	p->requests = req;
	p->nrequests++;
	if (p->ops->on_request) {
		p->ops->on_request(p->arg, req, m->method, m->params);
		return;
	}
	struct err e = {0};
	err_set(&e, ERR_METHOD, "nothing is answered on this connection");
	peer_error(req, &e);
}

static void dispatch_answer(struct peer *p, struct rpc_msg *m)
{
	struct call *c = json_is_integer(m->id) ? take_call(p, json_integer_value(m->id)) : NULL;

	/* Unknown: an answer that came after its deadline. */
	if (!c)
		return;
	if (m->kind == RPC_RESULT)
		finish_call(c, m->result, NULL);
	else
		finish_call(c, NULL, &m->error);
}

static void dispatch(struct peer *p, struct rpc_msg *m)
{
	switch (m->kind) {
	case RPC_REQUEST:
		dispatch_request(p, m);
		break;
	case RPC_NOTIFICATION:
		if (p->ops->on_notification)
			p->ops->on_notification(p->arg, m->method, m->params);
		break;
	case RPC_RESULT:
	case RPC_ERROR:
		dispatch_answer(p, m);
		break;
	}
}

/* Answers what could not be parsed. */
static void refuse(struct peer *p, json_t *id, const struct err *e)
{
	rpc_write_error(&p->line, id, e);
	send_line(p);
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
	enter(p);
	while (!p->destroyed && !p->ended && !p->stalled && budget-- > 0 && (r = take_line(p)) > 0) {
		if (!p->destroyed && !p->ended && must_stall(p)) {
			p->stalled = true;
			conn_pause(p->conn, true);
		}
	}
	if (!leave(p) || p->ended)
		return;
	if (r > 0 && !p->stalled && in->len > 0)
		conn_kick(p->conn);
}

static void on_drain(void *arg)
{
	struct peer *p = arg;

	enter(p);
	if (p->ops->on_drain && !p->ended)
		p->ops->on_drain(p->arg);
	if (leave(p))
		unstall(p);
}

static void on_conn_close(void *arg, const char *reason)
{
	struct peer *p = arg;

	/* What the budget left over still counts: a peer may speak and go. */
	enter(p);
	while (!p->destroyed && !p->ended && p->in && take_line(p) > 0)
		;
	if (leave(p))
		peer_end(p, reason);
}

static const struct conn_ops conn_ops = {
	.on_data = on_data,
	.on_drain = on_drain,
	.on_close = on_conn_close,
};

static void tell_failed(struct peer *p)
{
	while (p->failed && !p->destroyed) {
		struct failed_call *f = p->failed;
		p->failed = f->next;
		f->fn(f->arg, NULL, &f->error);
		free(f);
	}
}

static void tell_close(struct peer *p)
{
	struct call *c;

	p->close_told = true;
	while (!p->destroyed && (c = take_any_call(p, INT64_MAX))) {
		struct err e = {0};
		err_set(&e, ERR_UNREACHABLE, "the connection ended before the answer came%s%s",
			p->reason[0] ? ": " : "", p->reason);
		finish_call(c, NULL, &e);
	}
	if (!p->destroyed)
		abandon_requests(p);
	if (!p->destroyed)
		p->ops->on_close(p->arg, p->reason);
}

static void on_defer(void *arg)
{
	struct peer *p = arg;

	enter(p);
	tell_failed(p);
	if (!p->destroyed && p->ended && !p->close_told) {
		/* What was queued (the error that explains the end) still goes out, briefly. */
		if (p->slow)
			conn_destroy(p->conn);
		else
			conn_finish(p->conn, FINISH_MS);
		p->conn = NULL;
		tell_close(p);
	}
	leave(p);
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
	p->timer = loop_timer_create(l, on_timer, p);
	p->defer = loop_defer_create(l, on_defer, p);
	p->conn = conn_create(l, fd, -1, RPC_LINE_MAX, p->out_max, &conn_ops, p);
	return p;
}

void peer_destroy(struct peer *p)
{
	struct call *c;

	if (!p || p->destroyed)
		return;
	enter(p);
	p->destroyed = true;
	conn_destroy(p->conn);
	loop_timer_free(p->timer);
	loop_defer_free(p->defer);
	while ((c = take_any_call(p, INT64_MAX)))
		free(c);
	while (p->failed) {
		struct failed_call *f = p->failed;
		p->failed = f->next;
		free(f);
	}
	abandon_requests(p);
	leave(p);
}

int peer_release(struct peer *p, struct buf *ret_rest, struct err *e)
{
	int fd;

	if (p->ended || !p->conn)
		return err_set(e, ERR_UNREACHABLE, "the connection is closed");
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
