/* SPDX-License-Identifier: ISC */
/*
 * The stream of an instance's terminal: what it brings goes to recording, screen and views, what is
 * typed goes into it, and its FIN is the program's end.
 */
#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "place/shim/follow.h"
#include "place/shim/holder.h"
#include "place/shim/inst_int.h"
#include "place/shim/view.h"

#define PIECE 65536
#define WATCH_PIECE 8192 /* so that text that scrolls by is seen */
#define SNAPSHOT_EVERY (256 * 1024)
#define BUSY_MS 1250 /* over a second, so that what prints once a second is not idle in between */

static int input_write(void *arg, const void *data, size_t len)
{
	struct inst *i = arg;

	if (!i->stream || link_send(i->stream, data, len) < 0)
		return -1;
	i->input_mark = link_queued(i->stream);
	i->input_waits = true;
	return 0;
}

static bool input_bracketed(void *arg)
{
	const struct inst *i = arg;

	return modes_is_set(screen_modes(i->screen), MODE_BRACKETED_PASTE);
}

static bool input_canonical(void *arg)
{
	return ((const struct inst *)arg)->canonical;
}

static int input_look(void *arg)
{
	struct inst *i = arg;

	return i->stream ? link_send_ctl(i->stream, json_pack("{s:b}", "look", 1)) : -1;
}

static int input_drop(void *arg)
{
	struct inst *i = arg;

	return i->stream ? link_send_ctl(i->stream, json_pack("{s:b}", "drop", 1)) : -1;
}

const struct input_ops inst_input_ops = {
	input_write, input_bracketed, input_canonical, input_look, input_drop};

static void give_views(struct inst *i, const struct buf *live, bool whole)
{
	struct view *v, *next;

	for (v = i->views; v; v = next) {
		next = v->next;
		view_output(v, buf_data(live), live->len, whole);
	}
}

static void feed_piece(struct inst *i, const char *data, size_t len)
{
	bool whole;

	buf_clear(&i->live);
	whole = screen_feed(i->screen, data, len, i->views ? &i->live : NULL) == 0;
	if (i->views)
		give_views(i, &i->live, whole);
	if (i->watches)
		inst_watch_check(i, NULL, 0);
}

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct inst *i = arg;
	const char *p = data;
	size_t at, n;

	inst_record_bytes(i, data, len);
	for (at = 0; at < len; at += n) {
		n = i->watches ? WATCH_PIECE : PIECE;
		n = len - at < n ? len - at : n;
		feed_piece(i, p + at, n);
	}
	link_consumed(s, len);
	follow_kick_all(i->follows);
	input_echoed(i->input);
	if (i->offset - i->snapshot_at >= SNAPSHOT_EVERY)
		inst_save(i);
	loop_timer_start(i->quiet, BUSY_MS);
	if (!i->busy) {
		i->busy = true;
		inst_tell_activity(i);
	} else if (i->marks_due) {
		inst_tell_flags(i);
	}
}

/* The program ended; code -1: it is not known how, for that reason. */
void inst_ended(struct inst *i, int code, int signal, const char *reason)
{
	struct err gone = {0};
	json_t *fin;

	if (i->state == INST_ENDED)
		return;
	i->state = INST_ENDED;
	i->code = code;
	i->signal = signal;
	i->busy = false;
	loop_timer_stop(i->quiet);
	loop_timer_stop(i->titles);
	FAULT_POINT("exit");
	inst_save(i);
	FAULT_POINT("exit.saved");
	record_rest(i->record);
	err_set(&gone, ERR_STATE, "the program in %s has ended", i->id);
	input_fail(i->input, &gone);
	inst_watch_fail(i, &gone);
	fin = json_pack("{s:i, s:i}", "code", code, "signal", signal);
	while (i->views)
		view_end(i->views, fin);
	follow_kick_all(i->follows);
	json_object_set_new(fin, "instance", json_string(i->id));
	json_object_set_new(fin, "offset", json_integer((json_int_t)i->offset));
	if (reason)
		json_object_set_new(fin, "reason", json_string(reason));
	events_tell(i->shim->events, "exited", fin);
	FAULT_POINT("exit.told");
	if (i->shim->holder)
		holder_kick(i->shim->holder);
}

void inst_start_failed(struct inst *i, const struct err *why)
{
	inst_started_fn *fn = i->started;

	i->started = NULL;
	if (fn)
		fn(i->started_arg, 0, why);
	inst_destroy(i);
}

static void on_started(struct inst *i, pid_t pid)
{
	inst_started_fn *fn = i->started;
	bool fresh = i->state == INST_STARTING;

	i->pid = pid;
	i->state = INST_RUNNING;
	if (!fresh)
		return;
	FAULT_POINT("run.started");
	events_tell(i->shim->events, "started", json_pack("{s:s, s:I}", "instance", i->id, "pid", (json_int_t)pid));
	i->started = NULL;
	if (fn)
		fn(i->started_arg, pid, NULL);
}

static void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct inst *i = arg;
	const json_t *tty = json_object_get(msg, "tty");
	struct err e = {0};

	(void)s;
	if (json_object_get(msg, "error")) {
		err_from_json(json_object_get(msg, "error"), &e);
		if (i->state == INST_STARTING)
			inst_start_failed(i, &e);
		else
			log_warn("guest", i->id, "%s", e.message);
		return;
	}
	if (json_object_get(msg, "started"))
		on_started(i, (pid_t)json_get_int(msg, "started", 0));
	if (json_is_object(tty)) {
		bool changed = i->canonical != json_get_bool(tty, "canonical") ||
			       i->foreground != json_get_bool(tty, "foreground");

		i->canonical = json_get_bool(tty, "canonical");
		i->foreground = json_get_bool(tty, "foreground");
		if (i->state == INST_RUNNING && (changed || !json_object_get(msg, "look")))
			inst_tell_flags(i);
		if (json_object_get(msg, "look"))
			input_looked(i->input, (size_t)json_get_int(msg, "unread", 0));
		else
			input_changed(i->input);
	}
	if (json_is_integer(json_object_get(msg, "dropped"))) {
		i->input_waits = false;
		input_dropped(i->input, (size_t)json_get_int(msg, "dropped", 0));
	}
}

static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct inst *i = arg;
	struct err e = {0};

	if (!link_fin_sent(s))
		link_send_fin(s, NULL);
	if (i->state == INST_STARTING) {
		if (json_object_get(msg, "error"))
			err_from_json(json_object_get(msg, "error"), &e);
		else
			err_set(&e, ERR_FAILED, "the program ended before it had started");
		inst_start_failed(i, &e);
		return;
	}
	inst_ended(i, (int)json_get_int(msg, "code", -1), (int)json_get_int(msg, "signal", 0), NULL);
}

static void on_acked(void *arg, struct link_stream *s)
{
	struct inst *i = arg;

	if (!i->input_waits || link_acked(s) < i->input_mark)
		return;
	i->input_waits = false;
	input_taken(i->input);
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct inst *i = arg;

	(void)s;
	i->stream = NULL;
	if (i->state == INST_STARTING)
		inst_start_failed(i, why);
	else
		inst_ended(i, -1, 0, why->message[0] ? why->message : "the terminal is gone");
}

const struct link_stream_ops inst_stream_ops = {
	.on_data = on_data, .on_ctl = on_ctl, .on_fin = on_fin, .on_acked = on_acked, .on_reset = on_reset};
