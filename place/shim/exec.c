/* SPDX-License-Identifier: ISC */
/*
 * Programs run beside the instances.
 *
 * A connection's frames and a stream's records are passed to one another; neither side is read faster
 * than the other takes: the connection is paused while the stream has no room, and the stream's bytes
 * are acknowledged as the connection has written them. The end is told when stdout's FIN has come and
 * stderr's stream, if there is one, has ended. A connection that goes away ends the program.
 */
#include "place/shim/exec.h"

#include "base/util.h"
#include "ipc/link/frame.h"
#include "place/shim/guest.h"

#define EXEC_OUT_MAX (2 * LINK_WINDOW + 4 * FRAME_MAX)
#define EXEC_ROOM_MIN FRAME_PAYLOAD_MAX
#define END_MS 5000

struct exec_ticket {
	struct exec_ticket *next;
	struct shim *shim;
	char ticket[EXEC_TICKET_LEN + 1];
	json_t *params;
	struct loop_timer *timer;
};

struct exec {
	struct exec *next;
	struct shim *shim;
	struct conn *conn;
	struct link_stream *out, *err;
	size_t out_owed, err_owed; /* to be acknowledged when the connection has drained */
	json_t *fin;
};

static struct exec *execs; /* one shim per process: stderr streams find theirs here */

/* --- tickets --- */

static void ticket_free(struct exec_ticket *t)
{
	struct exec_ticket **at = &t->shim->tickets;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	json_decref(t->params);
	loop_timer_free(t->timer);
	free(t);
}

static void on_ticket_timer(void *arg)
{
	ticket_free(arg);
}

int exec_ticket(struct shim *s, const json_t *params, char ticket[EXEC_TICKET_LEN + 1], struct err *e)
{
	unsigned char random[EXEC_TICKET_LEN / 2];
	struct exec_ticket *t;
	size_t n = 0, i;

	for (t = s->tickets; t; t = t->next)
		n++;
	if (n >= EXEC_TICKETS_MAX)
		return err_set(e, ERR_BUSY, "%zu tickets are not used yet", n);
	if (!json_is_array(json_object_get(params, "argv")) || !json_array_size(json_object_get(params, "argv")))
		return err_set(e, ERR_PARAMS, "\"argv\" is missing or empty");
	t = xcalloc(1, sizeof(*t));
	t->shim = s;
	random_bytes(random, sizeof(random));
	for (i = 0; i < sizeof(random); i++)
		snprintf(t->ticket + 2 * i, 3, "%02x", random[i]);
	t->params = json_deep_copy(params);
	t->timer = loop_timer_create(s->loop, on_ticket_timer, t);
	loop_timer_start(t->timer, EXEC_TICKET_MS);
	t->next = s->tickets;
	s->tickets = t;
	memcpy(ticket, t->ticket, sizeof(t->ticket));
	return 0;
}

json_t *exec_redeem(struct shim *s, const char *ticket, struct err *e)
{
	struct exec_ticket *t;
	json_t *params;

	for (t = s->tickets; t && strcmp(t->ticket, ticket) != 0; t = t->next)
		;
	if (!t) {
		err_set(e, ERR_DENIED, "there is no such ticket");
		err_hint(e, "a ticket can be used once, within %d s", EXEC_TICKET_MS / 1000);
		return NULL;
	}
	params = json_incref(t->params);
	ticket_free(t);
	return params;
}

void exec_finish(struct shim *s)
{
	while (s->tickets)
		ticket_free(s->tickets);
}

/* --- running --- */

static void destroy(struct exec *x)
{
	struct exec **at = &execs;

	while (*at && *at != x)
		at = &(*at)->next;
	if (*at)
		*at = x->next;
	if (x->out)
		link_reset(x->out, NULL);
	if (x->err)
		link_reset(x->err, NULL);
	conn_destroy(x->conn);
	json_decref(x->fin);
	free(x);
}

static void end(struct exec *x)
{
	struct buf out;

	if (!x->fin || x->err)
		return;
	buf_init(&out, 2 * FRAME_MAX);
	frame_append_fin(&out, FRAME_STREAM_MAIN, x->fin);
	if (x->out) {
		if (!link_fin_sent(x->out))
			link_send_fin(x->out, NULL);
		link_consumed(x->out, x->out_owed);
		link_close(x->out);
	}
	x->out = NULL;
	if (x->conn && conn_write(x->conn, buf_data(&out), out.len) == 0) {
		conn_finish(x->conn, END_MS);
		x->conn = NULL;
	}
	buf_finish(&out);
	destroy(x);
}

static void fail(struct exec *x, const struct err *why)
{
	json_decref(x->fin);
	x->fin = json_pack("{s:o}", "error", err_to_json(why));
	if (x->err)
		link_reset(x->err, NULL);
	x->err = NULL;
	end(x);
}

static void acknowledge(struct exec *x)
{
	if (conn_out_pending(x->conn) > 0)
		return;
	if (x->out && x->out_owed)
		link_consumed(x->out, x->out_owed);
	if (x->err && x->err_owed)
		link_consumed(x->err, x->err_owed);
	x->out_owed = x->err_owed = 0;
}

static void pass_data(struct exec *x, uint32_t number, const void *data, size_t len)
{
	struct err e = {0};
	struct buf out;

	buf_init(&out, len + 8 * FRAME_MAX);
	frame_append_data(&out, number, data, len);
	if (conn_write(x->conn, buf_data(&out), out.len) < 0)
		err_set(&e, ERR_INTERNAL, "the window was not kept");
	buf_finish(&out);
	if (e.code)
		fail(x, &e);
	else
		acknowledge(x);
}

static void on_out(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct exec *x = arg;

	(void)s;
	x->out_owed += len;
	pass_data(x, FRAME_STREAM_MAIN, data, len);
}

static void on_out_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct exec *x = arg;
	struct err e = {0};
	struct buf out;

	(void)s;
	if (json_object_get(msg, "error")) {
		err_from_json(json_object_get(msg, "error"), &e);
		fail(x, &e);
		return;
	}
	buf_init(&out, FRAME_MAX);
	if (frame_append_ctl(&out, FRAME_STREAM_MAIN, msg) == 0)
		conn_write(x->conn, buf_data(&out), out.len);
	buf_finish(&out);
}

static void on_out_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct exec *x = arg;

	(void)s;
	json_decref(x->fin);
	x->fin = json_deep_copy(msg);
	end(x);
}

static void on_out_acked(void *arg, struct link_stream *s)
{
	struct exec *x = arg;

	if (link_room(s) >= EXEC_ROOM_MIN) {
		conn_pause(x->conn, false);
		conn_kick(x->conn);
	}
}

static void on_out_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct exec *x = arg;
	struct err e = {0};

	(void)s;
	x->out = NULL;
	err_set(&e, ERR_UNAVAILABLE, "the program is lost: %s",
		why->message[0] ? why->message : "the place ended it");
	fail(x, &e);
}

static const struct link_stream_ops out_ops = {.on_data = on_out, .on_ctl = on_out_ctl, .on_fin = on_out_fin,
	.on_acked = on_out_acked, .on_reset = on_out_reset};

static void on_err(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct exec *x = arg;

	(void)s;
	x->err_owed += len;
	pass_data(x, FRAME_STREAM_STDERR, data, len);
}

static void on_err_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct exec *x = arg;

	(void)msg;
	if (!link_fin_sent(s))
		link_send_fin(s, NULL);
	link_consumed(s, x->err_owed);
	x->err_owed = 0;
	link_close(s);
	x->err = NULL;
	end(x);
}

static void on_err_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct exec *x = arg;

	(void)s;
	(void)why;
	x->err = NULL;
	x->err_owed = 0;
	end(x);
}

static const struct link_stream_ops err_ops = {.on_data = on_err, .on_fin = on_err_fin, .on_reset = on_err_reset};

void exec_stderr(struct shim *s, struct link_stream *stream, const json_t *what)
{
	int64_t of = json_get_int(what, "of", -1);
	struct err e = {0};
	struct exec *x;

	for (x = execs; x; x = x->next)
		if (x->shim == s && x->out && (int64_t)link_id(x->out) == of && !x->err)
			break;
	if (!x) {
		err_set(&e, ERR_NOT_FOUND, "no program of ours has that stream");
		link_reset(stream, &e);
		return;
	}
	x->err = stream;
	link_accept(stream, &err_ops, x);
}

/* Takes a frame of the connection; false when it must wait for room. */
static bool take_frame(struct exec *x, const struct frame *f)
{
	json_t *msg;

	if (f->type == FRAME_DATA) {
		if (link_room(x->out) < f->len)
			return false;
		link_send(x->out, f->payload, f->len);
	} else if (f->type == FRAME_CTL) {
		msg = frame_json(f);
		if (msg)
			link_send_ctl(x->out, msg);
	}
	return true;
}

static void on_data(void *arg, struct buf *in)
{
	struct exec *x = arg;
	enum frame_result r;
	struct frame f;
	size_t used;

	while ((r = frame_parse(buf_data(in), in->len, &f, &used)) == FRAME_OK && x->out && !link_fin_sent(x->out)) {
		if (!take_frame(x, &f)) {
			conn_pause(x->conn, true);
			return;
		}
		buf_consume(in, used);
	}
	if (r == FRAME_BAD)
		destroy(x);
}

static void on_drain(void *arg)
{
	acknowledge(arg);
}

static void on_close(void *arg, const char *reason)
{
	(void)reason;
	destroy(arg);
}

static const struct conn_ops exec_ops = {.on_data = on_data, .on_drain = on_drain, .on_close = on_close};

void exec_create(struct shim *s, int fd, const struct buf *rest, json_t *params)
{
	static const char *const members[] = {"argv", "env", "cwd", "user", "tty"};
	struct exec *x = xcalloc(1, sizeof(*x));
	json_t *what = json_pack("{s:s}", "kind", "exec");
	struct err e = {0};
	size_t k;

	for (k = 0; k < ARRAY_LEN(members); k++)
		if (json_object_get(params, members[k]))
			json_object_set(what, members[k], json_object_get(params, members[k]));
	x->shim = s;
	x->next = execs;
	execs = x;
	x->conn = conn_create(s->loop, fd, -1, 2 * FRAME_MAX, EXEC_OUT_MAX, &exec_ops, x);
	x->out = link_open(guest_link(s->guest), what, &out_ops, x, &e);
	if (!x->out) {
		fail(x, &e);
	} else if (rest->len > 0) {
		conn_unread(x->conn, buf_data(rest), rest->len);
	}
}
