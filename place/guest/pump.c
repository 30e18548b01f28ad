/* SPDX-License-Identifier: ISC */
/*
 * A connection and a stream. Each side is read no faster than the other takes: the connection is
 * paused while the stream has no room, the stream's bytes are acknowledged when the connection wrote
 * them. Gone when both directions ended, or when either side broke.
 */
#include "place/guest/pump.h"

#include "base/conn.h"
#include "base/util.h"

#define OUT_MAX (LINK_WINDOW + 65536)
#define FINISH_MS 10000

struct pump {
	struct loop *loop;
	struct conn *conn;
	struct link_stream *stream;
	const struct pump_ops *ops;
	void *arg;
	bool started, heard, ended; /* ended: the connection has no more for us */
	size_t unread;       /* bytes that wait for the start */
	bool in_head, dead;  /* on_head is on the stack: the memory must stay */
	size_t owed;         /* bytes of the stream that the connection has not written */
};

void pump_destroy(struct pump *p)
{
	if (!p)
		return;
	if (p->stream)
		link_reset(p->stream, NULL);
	conn_destroy(p->conn);
	p->stream = NULL;
	p->conn = NULL;
	if (p->ops->on_gone)
		p->ops->on_gone(p->arg);
	p->dead = true;
	if (!p->in_head)
		free(p);
}

void pump_finish(struct pump *p)
{
	conn_finish(p->conn, FINISH_MS);
	p->conn = NULL;
	pump_destroy(p);
}

static void acknowledge(struct pump *p)
{
	if (!p->stream || !p->owed || conn_out_pending(p->conn) > 0)
		return;
	link_consumed(p->stream, p->owed);
	p->owed = 0;
}

static bool finished(struct pump *p)
{
	if (!p->stream || !link_fin_sent(p->stream) || !link_fin_received(p->stream) || p->owed)
		return false;
	link_close(p->stream);
	p->stream = NULL;
	pump_finish(p);
	return true;
}

/* --- the stream --- */

static void on_stream_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct pump *p = arg;

	(void)s;
	if (!p->heard && p->ops->on_first)
		p->ops->on_first(p->arg, p);
	p->heard = true;
	p->owed += len;
	if (conn_write(p->conn, data, len) < 0)
		pump_destroy(p); /* the window was not kept */
	else
		acknowledge(p);
}

static void on_stream_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct pump *p = arg;

	(void)s;
	if (p->ops->on_ctl)
		p->ops->on_ctl(p->arg, p, msg);
}

static void on_stream_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct pump *p = arg;

	(void)s;
	(void)msg;
	conn_shutdown(p->conn);
	finished(p);
}

static void on_stream_acked(void *arg, struct link_stream *s)
{
	struct pump *p = arg;

	if (p->started && link_room(s) > 0) {
		conn_pause(p->conn, false);
		conn_kick(p->conn);
	}
}

static void on_stream_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct pump *p = arg;

	(void)s;
	p->stream = NULL;
	if (!p->started && p->ops->on_refused) {
		p->ops->on_refused(p->arg, p, why);
		return;
	}
	if (p->started && p->ops->on_lost)
		p->ops->on_lost(p->arg, p, why);
	pump_destroy(p);
}

static const struct link_stream_ops stream_ops = { .on_data = on_stream_data, .on_ctl = on_stream_ctl,
	.on_fin = on_stream_fin, .on_acked = on_stream_acked, .on_reset = on_stream_reset };

/* --- the connection --- */

static void send_fin(struct pump *p)
{
	if (!link_fin_sent(p->stream))
		link_send_fin(p->stream, NULL);
	finished(p);
}

static void on_conn_data(void *arg, struct buf *in)
{
	struct pump *p = arg;

	if (!p->started) {
		p->in_head = true;
		if (p->ops->on_head && !p->stream)
			p->ops->on_head(p->arg, p, in);
		p->in_head = false;
		p->unread = in->len;
		if (p->dead)
			free(p);
		return;
	}
	size_t room = link_room(p->stream), n = in->len < room ? in->len : room;
	if (n > 0)
		link_send(p->stream, buf_data(in), n);
	buf_consume(in, n);
	if (in->len > 0)
		conn_pause(p->conn, true);
	else if (p->ended)
		send_fin(p);
}

static void on_conn_drain(void *arg)
{
	struct pump *p = arg;

	acknowledge(p);
	finished(p);
}

static void on_conn_close(void *arg, const char *reason)
{
	struct pump *p = arg;

	if (*reason || !p->stream) {
		pump_destroy(p);
		return;
	}
	p->ended = true;
	if (p->started)
		send_fin(p);
}

static const struct conn_ops conn_ops = { .on_data = on_conn_data, .on_drain = on_conn_drain,
	.on_close = on_conn_close };

/* --- */

struct pump *pump_create(struct loop *l, int fd, const struct pump_ops *ops, void *arg)
{
	struct pump *p = xcalloc(1, sizeof(*p));

	*p = (struct pump){ .loop = l, .ops = ops, .arg = arg };
	p->conn = conn_create(l, fd, -1, PUMP_IN_MAX, OUT_MAX, &conn_ops, p);
	return p;
}

int pump_open(struct pump *p, struct link *l, json_t *what, struct err *e)
{
	p->stream = link_open(l, what, &stream_ops, p, e);
	return p->stream ? 0 : -1;
}

struct link_stream *pump_stream(struct pump *p)
{
	return p->stream;
}

void pump_start(struct pump *p)
{
	p->started = true;
	if (p->unread > 0)
		conn_kick(p->conn);
	else if (p->ended)
		send_fin(p);
}

void pump_write(struct pump *p, const void *data, size_t len)
{
	conn_write(p->conn, data, len);
}
