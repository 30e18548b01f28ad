/* SPDX-License-Identifier: ISC */
/* A connection that reads an instance's recording from an offset on, and follows it. */
#include "place/shim/follow.h"

#include "base/util.h"
#include "ipc/link/frame.h"

#define FOLLOW_IN_MAX 4096
#define FOLLOW_OUT_MAX (512 * 1024)
#define FOLLOW_PIECE FRAME_PAYLOAD_MAX
#define FOLLOW_LOW (128 * 1024) /* read more when less than this waits to be taken */
#define FOLLOW_TURN (512 * 1024) /* bytes of one turn, however quickly they are taken: others wait */
#define END_MS 2000

struct follow {
	struct follow *next;
	struct inst *inst;
	struct conn *conn;
	uint64_t at; /* the next byte */
	bool follow;
	struct loop_timer *more; /* the rest, in the next turn */
};

void follow_link(struct follow **list, struct follow *f)
{
	f->next = *list;
	*list = f;
}

void follow_unlink(struct follow **list, struct follow *f)
{
	while (*list && *list != f)
		list = &(*list)->next;
	if (*list)
		*list = f->next;
}

static void destroy(struct follow *f)
{
	inst_follow_remove(f->inst, f);
	conn_destroy(f->conn);
	loop_timer_free(f->more);
	free(f);
}

static void finish(struct follow *f, const struct err *why)
{
	json_t *fin = why ? json_pack("{s:o}", "error", err_to_json(why)) : inst_exit(f->inst);
	struct buf out;

	buf_init(&out, FRAME_MAX);
	frame_append_fin(&out, FRAME_STREAM_MAIN, json_is_object(fin) ? fin : NULL);
	conn_write(f->conn, buf_data(&out), out.len);
	buf_finish(&out);
	json_decref(fin);
	conn_finish(f->conn, END_MS);
	f->conn = NULL;
	destroy(f);
}

/* Bytes that were never recorded, or cannot be read: the next one's offset is said. */
static void tell_hole(struct follow *f, uint64_t to)
{
	json_t *msg = json_pack("{s:I}", "offset", (json_int_t)to);
	struct buf out;

	buf_init(&out, FRAME_MAX);
	frame_append_ctl(&out, FRAME_STREAM_MAIN, msg);
	conn_write(f->conn, buf_data(&out), out.len);
	buf_finish(&out);
	json_decref(msg);
}

/* Sends what is recorded until enough waits; true when f is gone. */
static bool pump(struct follow *f)
{
	cleanup_free char *piece = xcalloc(1, FOLLOW_PIECE);
	size_t sent = 0;
	struct err e = {0};

	while (conn_out_pending(f->conn) < FOLLOW_LOW) {
		struct buf out;
		uint64_t at = f->at;
		ssize_t n = record_read(inst_record(f->inst), f->at, piece, FOLLOW_PIECE, &at, &e);

		if (n < 0 || (n == 0 && (!f->follow || !inst_running(f->inst)))) {
			finish(f, n < 0 ? &e : NULL);
			return true;
		}
		if (n == 0)
			break;
		if (at > f->at)
			tell_hole(f, at);
		f->at = at + (uint64_t)n;
		buf_init(&out, FRAME_MAX);
		frame_append_data(&out, FRAME_STREAM_MAIN, piece, (size_t)n);
		conn_write(f->conn, buf_data(&out), out.len);
		buf_finish(&out);
		sent += (size_t)n;
		if (sent >= FOLLOW_TURN) {
			loop_timer_start(f->more, 0);
			break;
		}
	}
	return false;
}

void follow_kick_all(struct follow *list)
{
	struct follow *next;

	for (; list; list = next) {
		next = list->next;
		pump(list);
	}
}

void follow_destroy_all(struct follow *list)
{
	struct follow *next;

	for (; list; list = next) {
		next = list->next;
		destroy(list);
	}
}

static void on_data(void *arg, struct buf *in)
{
	(void)arg;
	buf_clear(in); /* a follower has nothing to say */
}

static void on_drain(void *arg)
{
	pump(arg);
}

static void on_close(void *arg, const char *reason)
{
	(void)reason;
	destroy(arg);
}

static const struct conn_ops follow_ops = {.on_data = on_data, .on_drain = on_drain, .on_close = on_close};

static void on_more(void *arg)
{
	pump(arg);
}

void follow_create(struct inst *i, int fd, const struct buf *rest, uint64_t since, bool follow)
{
	struct follow *f = xcalloc(1, sizeof(*f));

	(void)rest;
	f->inst = i;
	f->at = since;
	f->follow = follow;
	f->more = loop_timer_create(inst_shim(i)->loop, on_more, f);
	f->conn = conn_create(inst_shim(i)->loop, fd, -1, FOLLOW_IN_MAX, FOLLOW_OUT_MAX, &follow_ops, f);
	inst_follow_add(i, f);
	pump(f);
}
