/* SPDX-License-Identifier: ISC */
/*
 * A view of a terminal.
 *
 * A view of the terminal's size gets the whole painting, then the filtered stream. One that falls
 * behind by VIEW_QUEUE_MAX is not fed its backlog: it is given nothing until it has read what waits,
 * then the whole painting anew, so that a stopped view costs a bounded amount and is right as soon as
 * it goes on. A view of another size gets a window painted, at most every PACE_MS.
 */
#include "place/shim/view.h"

#include "base/log.h"
#include "base/util.h"
#include "ipc/link/frame.h"
#include "place/shim/backlog.h"
#include "place/shim/paint.h"

#define VIEW_OUT_MAX (10 * 1024 * 1024) /* the queue and the largest painting */
#define VIEW_PAINT_MAX (8 * 1024 * 1024)
#define PACE_MS 40
#define END_MS 2000

void view_destroy(struct view *v)
{
	if (inst_input(v->inst))
		input_type_end(inst_input(v->inst), v);
	inst_view_remove(v->inst, v);
	conn_destroy(v->conn);
	loop_timer_free(v->pace);
	if (v->clip)
		paint_clip_finish(v->clip);
	free(v->clip);
	free(v);
}

/* Sends terminal bytes. What does not fit ends the view: VIEW_OUT_MAX holds any painting. */
static void send(struct view *v, const void *data, size_t len)
{
	struct buf out;

	if (len == 0)
		return;
	buf_init(&out, VIEW_OUT_MAX);
	if (frame_append_data(&out, FRAME_STREAM_MAIN, data, len) < 0 ||
		conn_write(v->conn, buf_data(&out), out.len) < 0)
		v->stale = true;
	buf_finish(&out);
}

static void paint(struct view *v)
{
	const struct screen *s = inst_screen(v->inst);
	struct buf out;
	int rc;

	buf_init(&out, VIEW_PAINT_MAX);
	rc = v->clip ? paint_clipped(s, v->clip, &out) : paint_full(s, &out);
	v->stale = false;
	if (rc == 0)
		send(v, buf_data(&out), out.len);
	else
		log_warn("view", inst_id(v->inst), "the screen is too large to be painted");
	buf_finish(&out);
}

static void on_pace(void *arg)
{
	struct view *v = arg;

	if (!v->pace_due)
		return;
	if (conn_out_pending(v->conn) > 0) {
		v->stale = true; /* painted when it has read the last one */
		return;
	}
	v->pace_due = false;
	paint(v);
	loop_timer_start(v->pace, PACE_MS);
}

void view_output(struct view *v, const void *live, size_t len, bool whole)
{
	if (v->clip) {
		v->pace_due = true;
		if (!v->stale && !loop_timer_active(v->pace))
			loop_timer_start(v->pace, 0);
		return;
	}
	if (v->stale)
		return;
	if (whole && conn_out_pending(v->conn) + len <= VIEW_QUEUE_MAX) {
		send(v, live, len);
		return;
	}
	v->stale = true;
	if (conn_out_pending(v->conn) == 0)
		paint(v);
}

/* Whole, or as a window onto a terminal of another size. */
static void fit(struct view *v)
{
	int rows, cols;

	screen_size(inst_screen(v->inst), &rows, &cols);
	if (v->rows == rows && v->cols == cols) {
		if (v->clip)
			paint_clip_finish(v->clip);
		free(v->clip);
		v->clip = NULL;
	} else {
		if (!v->clip)
			v->clip = xcalloc(1, sizeof(*v->clip));
		paint_clip_size(v->clip, v->rows, v->cols);
	}
}

void view_resized(struct view *v)
{
	if (!v->begun)
		return; /* what stands above the screen comes first */
	fit(v);
	if (conn_out_pending(v->conn) == 0)
		paint(v);
	else
		v->stale = true;
}

void view_end(struct view *v, json_t *fin)
{
	struct buf out;

	if (v->stale || v->pace_due)
		paint(v);
	buf_init(&out, FRAME_MAX);
	frame_append_fin(&out, FRAME_STREAM_MAIN, fin);
	conn_write(v->conn, buf_data(&out), out.len);
	buf_finish(&out);
	conn_finish(v->conn, END_MS);
	v->conn = NULL;
	view_destroy(v);
}

/* A terminal that lost its focus says so by itself: nobody typed. */
static bool is_typed(const struct frame *f)
{
	return !(f->len == 3 && memcmp(f->payload, "\033[O", 3) == 0);
}

static void on_ctl(struct view *v, const struct frame *f)
{
	json_t *msg = frame_json(f);
	const json_t *size = json_object_get(msg, "resize");

	if (json_array_size(size) == 2) {
		v->rows = (int)json_integer_value(json_array_get(size, 0));
		v->cols = (int)json_integer_value(json_array_get(size, 1));
		if (inst_view_is_owner(v->inst, v))
			inst_resize(v->inst, v->rows, v->cols);
		view_resized(v);
	}
	json_decref(msg);
}

static void on_data(void *arg, struct buf *in)
{
	struct view *v = arg;
	struct frame f;
	size_t used;
	enum frame_result r;

	while ((r = frame_parse(buf_data(in), in->len, &f, &used)) == FRAME_OK) {
		if (f.type == FRAME_CTL) {
			on_ctl(v, &f);
		} else if (f.type == FRAME_DATA && f.stream == FRAME_STREAM_MAIN && !v->read_only &&
			   inst_running(v->inst)) {
			if (is_typed(&f))
				inst_view_owns(v->inst, v);
			input_type(inst_input(v->inst), v, f.payload, f.len);
		}
		buf_consume(in, used);
	}
	if (r == FRAME_BAD)
		view_destroy(v);
}

static void on_drain(void *arg)
{
	struct view *v = arg;

	if (!v->stale)
		return;
	v->pace_due = false;
	paint(v);
}

static void on_close(void *arg, const char *reason)
{
	(void)reason;
	view_destroy(arg);
}

static const struct conn_ops view_ops = {.on_data = on_data, .on_drain = on_drain, .on_close = on_close};

/* What scrolled away before this view came, for its terminal's scrollback. */
static void backlog(struct view *v, int lines)
{
	struct err e = {0};
	struct buf out;

	buf_init(&out, BACKLOG_BYTES_MAX);
	if (backlog_paint(inst_record(v->inst), inst_screen(v->inst), lines, v->rows, v->cols, &out, &e) < 0)
		log_info("view", inst_id(v->inst), "no lines above the screen: %s", e.message);
	send(v, buf_data(&out), out.len);
	buf_finish(&out);
}

void view_create(struct inst *i, int fd, const struct buf *rest, const json_t *params)
{
	struct shim *s = inst_shim(i);
	struct view *v = xcalloc(1, sizeof(*v));
	int rows, cols;

	screen_size(inst_screen(i), &rows, &cols);
	v->inst = i;
	v->rows = (int)json_get_int(params, "rows", rows);
	v->cols = (int)json_get_int(params, "cols", cols);
	v->read_only = json_get_bool(params, "read_only");
	v->person = json_get_bool(params, "person") && !v->read_only;
	v->pace = loop_timer_create(s->loop, on_pace, v);
	v->conn = conn_create(s->loop, fd, -1, FRAME_MAX, VIEW_OUT_MAX, &view_ops, v);
	inst_view_add(i, v);
	backlog(v, (int)json_get_int(params, "lines", 0));
	v->begun = true;
	fit(v);
	paint(v); /* at once: the lines end where this begins */
	if (!inst_running(i)) {
		json_t *fin = inst_exit(i);

		view_end(v, fin);
		json_decref(fin);
		return;
	}
	if (rest->len > 0)
		conn_unread(v->conn, buf_data(rest), rest->len);
}
