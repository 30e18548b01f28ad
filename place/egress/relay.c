/* SPDX-License-Identifier: ISC */
/* The relay. A side is paused while the other has unsent bytes, so that one buffer's worth always
 * fits. */
#include "place/egress/relay.h"

#include <sys/socket.h>

#include "base/conn.h"
#include "base/util.h"

struct side {
	struct relay *relay;
	struct side *other;
	struct conn *conn;
	uint64_t bytes; /* read from here */
	bool ended;
};

struct relay {
	struct side a, b;
	relay_fn *fn;
	void *arg;
};

static void on_data(void *arg, struct buf *in)
{
	struct side *s = arg, *o = s->other;
	if (conn_write(o->conn, buf_data(in), in->len) == 0) {
		s->bytes += in->len;
		buf_consume(in, in->len);
	}
	if (conn_out_pending(o->conn) > 0)
		conn_pause(s->conn, true);
}

static void on_drain(void *arg)
{
	struct side *s = arg;
	conn_pause(s->other->conn, false);
}

/* The other end learns of an error as such, where the kernel lets us say so. */
static void reset(struct side *s)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	setsockopt(conn_fd(s->conn), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void on_close(void *arg, const char *reason)
{
	struct side *s = arg, *o = s->other;
	struct relay *r = s->relay;
	s->ended = true;
	if (*reason)
		reset(o);
	else if (!o->ended) {
		conn_shutdown(o->conn);
		return;
	}
	relay_fn *fn = r->fn;
	void *fn_arg = r->arg;
	uint64_t up = r->a.bytes, down = r->b.bytes;
	if (!*reason) {
		/* Both have ended in order: what is still on its way out goes out. */
		conn_finish(r->a.conn, RELAY_LINGER_MS);
		conn_finish(r->b.conn, RELAY_LINGER_MS);
		r->a.conn = r->b.conn = NULL;
	}
	relay_destroy(r);
	fn(fn_arg, up, down);
}

static const struct conn_ops ops = {on_data, on_drain, on_close};

struct relay *relay_start(struct loop *l, int a, int b, const void *first, size_t first_len,
	relay_fn *fn, void *arg)
{
	struct relay *r = xcalloc(1, sizeof(*r));
	r->fn = fn;
	r->arg = arg;
	r->a = (struct side){.relay = r, .other = &r->b, .bytes = first_len};
	r->b = (struct side){.relay = r, .other = &r->a};
	r->a.conn = conn_create(l, a, -1, RELAY_BUFFER, RELAY_BUFFER, &ops, &r->a);
	r->b.conn = conn_create(l, b, -1, RELAY_BUFFER, RELAY_BUFFER, &ops, &r->b);
	if (first_len > 0 && conn_write(r->b.conn, first, first_len) == 0 &&
		conn_out_pending(r->b.conn) > 0)
		conn_pause(r->a.conn, true);
	return r;
}

void relay_destroy(struct relay *r)
{
	if (!r)
		return;
	conn_destroy(r->a.conn);
	conn_destroy(r->b.conn);
	free(r);
}
