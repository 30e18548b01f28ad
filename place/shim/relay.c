/* SPDX-License-Identifier: ISC */
/*
 * Connections from inside the place to something on the host. Bytes are passed on as they are, each
 * side read no faster than the other takes: the connection is paused while the stream has no room, the
 * stream's bytes are acknowledged when the connection has written them.
 *
 * The egress answers with one line before the bytes; it is taken here and becomes the stream's first
 * CTL, {"ok":true} or {"error":{...}}, so that the guest's proxy can answer its client.
 */
#include "place/shim/relay.h"

#include <sys/socket.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/rpc.h"
#include "place/shim/spawner.h"

#define RELAY_IN_MAX (128 * 1024)
#define RELAY_OUT_MAX (LINK_WINDOW + 65536)
#define ANSWER_MAX 4096
#define END_MS 10000

struct relay {
	struct relay *next, **prev;
	struct conn *conn;
	struct link_stream *stream;
	bool answering; /* the egress has not answered yet */
	size_t owed;
};

static struct relay *relays;
static size_t count;

static void destroy(struct relay *r)
{
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	count--;
	if (r->stream)
		link_reset(r->stream, NULL);
	conn_destroy(r->conn);
	free(r);
}

static void acknowledge(struct relay *r)
{
	if (!r->stream || !r->conn || conn_out_pending(r->conn) > 0)
		return;
	link_consumed(r->stream, r->owed);
	r->owed = 0;
}

/* Both directions ended, and all was passed on. */
static bool finished(struct relay *r)
{
	if (!r->stream || !link_fin_sent(r->stream) || !link_fin_received(r->stream) || r->owed)
		return false;
	link_close(r->stream);
	r->stream = NULL;
	destroy(r);
	return true;
}

static void on_stream_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct relay *r = arg;

	r->owed += len;
	if (conn_write(r->conn, data, len) < 0) {
		/* The window was not kept, or the connection is gone. */
		link_consumed(s, len);
		destroy(r);
		return;
	}
	acknowledge(r);
}

static void on_stream_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct relay *r = arg;

	(void)s;
	(void)msg;
	conn_shutdown(r->conn);
	finished(r);
}

static void on_stream_acked(void *arg, struct link_stream *s)
{
	struct relay *r = arg;

	if (link_room(s) > 0 && !link_fin_sent(s)) {
		conn_pause(r->conn, false);
		conn_kick(r->conn);
	}
}

static void on_stream_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct relay *r = arg;

	(void)s;
	(void)why;
	r->stream = NULL;
	destroy(r);
}

static const struct link_stream_ops stream_ops = {.on_data = on_stream_data, .on_fin = on_stream_fin,
	.on_acked = on_stream_acked, .on_reset = on_stream_reset};

/* The egress' first line; false when r is gone or it is not there yet. */
static bool take_answer(struct relay *r, struct buf *in)
{
	const char *line;
	size_t len;
	json_t *msg;
	int rc = rpc_next_line(in, &line, &len);

	if (rc == 0 && in->len < ANSWER_MAX)
		return false;
	msg = rc > 0 ? json_loadb(line, len, 0, NULL) : NULL;
	if (!json_is_object(msg)) {
		json_decref(msg);
		destroy(r);
		return false;
	}
	buf_consume(in, len + 1);
	r->answering = false;
	if (json_object_get(msg, "error")) {
		link_send_ctl(r->stream, msg);
		link_send_fin(r->stream, NULL);
		return false; /* the guest ends it */
	}
	link_send_ctl(r->stream, msg);
	return true;
}

static void on_conn_data(void *arg, struct buf *in)
{
	struct relay *r = arg;
	size_t n;

	if (r->answering && !take_answer(r, in))
		return;
	if (link_fin_sent(r->stream)) {
		buf_clear(in);
		return;
	}
	n = link_room(r->stream) < in->len ? link_room(r->stream) : in->len;
	if (n > 0)
		link_send(r->stream, buf_data(in), n);
	buf_consume(in, n);
	if (in->len > 0)
		conn_pause(r->conn, true);
}

static void on_conn_drain(void *arg)
{
	struct relay *r = arg;

	acknowledge(r);
	finished(r);
}

static void on_conn_close(void *arg, const char *reason)
{
	struct relay *r = arg;

	if (*reason || r->answering) {
		destroy(r);
		return;
	}
	if (!link_fin_sent(r->stream))
		link_send_fin(r->stream, NULL);
	finished(r);
}

static const struct conn_ops conn_ops = {.on_data = on_conn_data, .on_drain = on_conn_drain, .on_close = on_conn_close};

static struct relay *begin(struct shim *s, struct link_stream *stream, int fd)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->stream = stream;
	r->next = relays;
	r->prev = &relays;
	if (relays)
		relays->prev = &r->next;
	relays = r;
	count++;
	r->conn = conn_create(s->loop, fd, -1, RELAY_IN_MAX, RELAY_OUT_MAX, &conn_ops, r);
	link_accept(stream, &stream_ops, r);
	return r;
}

static void refuse(struct link_stream *stream, const struct err *why)
{
	link_reset(stream, why);
}

static int admit(struct err *e)
{
	return count < RELAYS_MAX ? 0 : err_set(e, ERR_BUSY, "the place has %d connections already", RELAYS_MAX);
}

void relay_egress(struct shim *s, struct link_stream *stream, const json_t *what)
{
	const char *host = json_get_text(what, "host", NULL);
	int64_t port = json_get_int(what, "port", 0);
	struct err e = {0};
	struct relay *r;
	json_t *ask;
	char *line;
	int fd;

	if (!host || strlen(host) > 255 || port < 1 || port > 65535)
		err_set(&e, ERR_PARAMS, "\"host\" or \"port\" is missing or wrong");
	else if (!s->conf->egress)
		err_set(&e, ERR_DENIED, "this place has no way out");
	if (e.code || admit(&e) < 0 || sock_connect(s->conf->egress, &fd, &e) < 0) {
		refuse(stream, &e);
		return;
	}
	r = begin(s, stream, fd);
	r->answering = true;
	ask = json_pack("{s:s, s:I}", "host", host, "port", (json_int_t)port);
	line = json_dumps(ask, JSON_COMPACT);
	conn_write(r->conn, line, strlen(line));
	conn_write(r->conn, "\n", 1);
	free(line);
	json_decref(ask);
}

void relay_files(struct shim *s, struct link_stream *stream, const json_t *what)
{
	const char *path = json_get_text(what, "mount", NULL);
	const struct conf_mount *m = path ? conf_mount(s->conf, path) : NULL;
	struct err e = {0};
	int fd;

	if (!m)
		err_set(&e, ERR_DENIED, "that folder is not one of this place's");
	if (e.code || admit(&e) < 0 || spawner_files(s->spawner, m, &fd, &e) < 0) {
		log_warn("files", NULL, "%s", e.message);
		refuse(stream, &e);
		return;
	}
	begin(s, stream, fd);
}

void relay_destroy_all(void)
{
	while (relays) {
		relays->stream = NULL; /* the link goes as a whole */
		destroy(relays);
	}
}
