/* SPDX-License-Identifier: ISC */
/*
 * One instance: its terminal in the place, between stream, screen, recording, input and views.
 *
 * Theory of operation. Bytes from the guest are recorded, then fed to the screen, then acknowledged:
 * what the guest has let go of is on disk (or known to be lost: a hole). Views get the filtered bytes
 * and never hold anything up. Offsets are absolute over the life of the recording: `base` is where the
 * running program's own bytes begin, as a restarted instance goes on in the recording it had.
 *
 * State file (term.json): base, size, and every SNAPSHOT_EVERY bytes a painting of the screen with its
 * offset, so that a new shim paints that, feeds the recording from there, and stands where the old one
 * stood, modes included, however long ago they were set.
 *
 * The end: the guest's FIN says how. It is told as `exited`; the stream, and with it the guest's memory
 * of the exit, is let go only by inst_forget, when the daemon has taken note.
 */
#include "place/shim/inst.h"

#include <ctype.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "place/shim/follow.h"
#include "place/shim/guest.h"
#include "place/shim/holder.h"
#include "place/shim/paint.h"
#include "place/shim/server.h"
#include "place/shim/view.h"

#define STATE_FILE "term.json"
#define STATE_MAX (16 * 1024 * 1024)
#define PAINT_MAX (8 * 1024 * 1024)
#define SNAPSHOT_EVERY (256 * 1024)
#define RESTORE_TAIL (1024 * 1024) /* fed when there is no snapshot */
#define LIVE_MAX (1024 * 1024)
#define PIECE 16384
#define WATCH_PIECE 2048 /* so that text that scrolls by is seen */
#define BUSY_MS 1000
#define BELL_MS 200
#define WATCH_MAX 64

enum inst_state { INST_STARTING, INST_RUNNING, INST_ENDED };

struct watch {
	struct watch *next;
	char *text;
	inst_watch_fn *fn;
	void *arg;
};

struct inst {
	struct inst *next;
	struct shim *shim;
	char id[INST_ID_LEN + 1];
	enum inst_state state;
	struct link_stream *stream;
	struct record *record;
	struct screen *screen;
	struct input *input;
	uint64_t base, offset; /* of the running program's first byte; behind the last one received */
	uint64_t snapshot_at;
	uint64_t input_mark;   /* link_acked that means: the terminal took what was written last */
	bool input_waits;
	bool restoring;        /* no answers to the queries of old */
	bool record_failed;
	pid_t pid;
	int code, signal;
	bool canonical, foreground, busy;
	struct loop_timer *quiet;
	int64_t bell_ms;
	struct view *views, *owner;
	uint64_t inputs; /* counts views' inputs */
	struct follow *follows;
	struct watch *watches;
	struct buf live;
	inst_started_fn *started;
	void *started_arg;
};

bool inst_id_valid(const char *id)
{
	return strlen(id) == INST_ID_LEN && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789") == INST_ID_LEN;
}

struct inst *inst_find(struct shim *s, const char *id)
{
	struct inst *i;

	for (i = s->instances; i && strcmp(i->id, id) != 0; i = i->next)
		;
	return i;
}

struct inst *inst_need(struct shim *s, const char *id, struct err *e)
{
	struct inst *i = inst_find(s, id);

	if (!i)
		err_set(e, ERR_NOT_FOUND, "this place has no instance %s", id);
	return i;
}

/* --- telling --- */

static void tell_activity(struct inst *i)
{
	events_mention(i->shim->events, "activity",
		json_pack("{s:s, s:b, s:b, s:I, s:s, s:b}", "instance", i->id, "busy", i->busy, "foreground",
			i->foreground, "offset", (json_int_t)i->offset, "title",
			screen_modes(i->screen)->title, "canonical", i->canonical));
}

void inst_tell_all(struct shim *s)
{
	struct inst *i;

	for (i = s->instances; i; i = i->next)
		if (i->state == INST_RUNNING)
			tell_activity(i);
}

static void on_quiet(void *arg)
{
	struct inst *i = arg;

	i->busy = false;
	tell_activity(i);
}

/* --- the screen's callbacks --- */

static void on_reply(void *arg, const void *data, size_t len)
{
	struct inst *i = arg;

	if (!i->restoring && i->input)
		input_reply(i->input, data, len);
}

static void on_bell(void *arg)
{
	struct inst *i = arg;
	int64_t now = clock_mono_ms();

	if (i->restoring || now - i->bell_ms < BELL_MS)
		return;
	i->bell_ms = now;
	events_mention(i->shim->events, "bell", json_pack("{s:s}", "instance", i->id));
}

static void on_title(void *arg)
{
	struct inst *i = arg;

	if (!i->restoring)
		tell_activity(i);
}

/* Ends every watch whose text is in `seen`, or on the screen when that is NULL. */
static void check_watches(struct inst *i, const char *seen, size_t len)
{
	struct watch **at = &i->watches, *hit = NULL, *w;

	while ((w = *at)) {
		bool found = seen ? memmem(seen, len, w->text, strlen(w->text)) != NULL
				  : screen_contains(i->screen, w->text);

		if (!found) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = hit;
		hit = w;
	}
	while ((w = hit)) {
		hit = w->next;
		w->fn(w->arg, i->offset, NULL);
		free(w->text);
		free(w);
	}
	screen_catch_lines(i->screen, i->watches != NULL);
}

static void on_line(void *arg, const char *text, size_t len)
{
	struct inst *i = arg;

	if (i->watches && !i->restoring)
		check_watches(i, text, len);
}

static const struct screen_ops screen_ops = {
	.reply = on_reply, .bell = on_bell, .title = on_title, .line = on_line};

/* --- input --- */

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

static const struct input_ops input_ops = {input_write, input_bracketed, input_canonical};

/* --- the state file --- */

static void save(struct inst *i)
{
	struct err e = {0};
	struct buf paint;
	json_t *o;
	char *b64 = NULL, *text;
	int rows, cols;

	buf_init(&paint, PAINT_MAX);
	if (paint_full(i->screen, &paint) == 0)
		b64 = base64_encode(buf_data(&paint), paint.len);
	screen_size(i->screen, &rows, &cols);
	o = json_pack("{s:i, s:I, s:i, s:i, s:I, s:s?}", "version", 1, "base", (json_int_t)i->base, "rows",
		rows, "cols", cols, "offset", (json_int_t)(i->offset - screen_pending(i->screen)), "paint",
		b64);
	text = json_dumps(o, JSON_COMPACT);
	if (record_put(i->record, STATE_FILE, text, strlen(text), &e) < 0)
		log_warn("record", i->id, "%s", e.message);
	i->snapshot_at = i->offset;
	free(text);
	json_decref(o);
	free(b64);
	buf_finish(&paint);
}

static void feed_recorded(struct inst *i, uint64_t from)
{
	char *buf = xcalloc(1, PIECE);
	struct err e = {0};
	ssize_t n;

	while ((n = record_read(i->record, from, buf, PIECE, &from, &e)) > 0) {
		screen_feed(i->screen, buf, (size_t)n, NULL);
		from += (uint64_t)n;
	}
	if (n < 0)
		log_warn("record", i->id, "the screen is not whole: %s", e.message);
	free(buf);
}

/* Makes the screen and brings it to where it stood at the recording's end. */
static void restore(struct inst *i, uint64_t guest_next)
{
	cleanup_free char *text = NULL;
	cleanup_free unsigned char *paint = NULL;
	uint64_t first = record_first(i->record), end = record_end(i->record), from;
	json_t *o = NULL;
	struct err e = {0};
	size_t len;

	if (record_get(i->record, STATE_FILE, STATE_MAX, &text, &len, &e) == 0)
		o = json_loadb(text, len, 0, NULL);
	i->base = (uint64_t)json_get_int(o, "base", guest_next >= end ? 0 : (int64_t)end);
	i->screen = screen_create((int)json_get_int(o, "rows", 24), (int)json_get_int(o, "cols", 80), &screen_ops, i);
	i->restoring = true;
	from = (uint64_t)json_get_int(o, "offset", -1);
	paint = json_get_text(o, "paint", NULL) ? base64_decode(json_get_text(o, "paint", ""), &len) : NULL;
	if (paint && from <= end && from >= first) {
		screen_feed(i->screen, paint, len, NULL);
	} else {
		from = i->base > first ? i->base : first;
		from = end > from && end - from > RESTORE_TAIL ? end - RESTORE_TAIL : from;
	}
	if (from < end)
		feed_recorded(i, from);
	i->restoring = false;
	json_decref(o);
}

/* --- output --- */

static void give_views(struct inst *i, const struct buf *live, bool whole)
{
	struct view *v, *next;

	for (v = i->views; v; v = next) {
		next = v->next;
		view_output(v, buf_data(live), live->len, whole);
	}
}

static void record_bytes(struct inst *i, const void *data, size_t len)
{
	struct err e = {0};
	uint64_t want = i->offset;

	if (record_end(i->record) < want)
		record_skip(i->record, want, &e);
	if (record_append(i->record, data, len, &e) == 0) {
		if (i->record_failed)
			log_info("record", i->id, "recording goes on at offset %llu", (unsigned long long)want);
		i->record_failed = false;
	} else if (!i->record_failed) {
		/* The agent must not stop for it: these bytes are a hole in the recording. */
		log_error("record", i->id, "%s; output is not recorded until there is room", e.message);
		i->record_failed = true;
	}
	i->offset += len;
}

static void feed_piece(struct inst *i, const char *data, size_t len)
{
	bool whole;

	buf_clear(&i->live);
	whole = screen_feed(i->screen, data, len, i->views ? &i->live : NULL) == 0;
	if (i->views)
		give_views(i, &i->live, whole);
	if (i->watches)
		check_watches(i, NULL, 0);
}

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct inst *i = arg;
	const char *p = data;
	size_t at, n;

	record_bytes(i, data, len);
	for (at = 0; at < len; at += n) {
		n = i->watches ? WATCH_PIECE : PIECE;
		n = len - at < n ? len - at : n;
		feed_piece(i, p + at, n);
	}
	link_consumed(s, len);
	follow_kick_all(i->follows);
	input_echoed(i->input);
	if (i->offset - i->snapshot_at >= SNAPSHOT_EVERY)
		save(i);
	loop_timer_start(i->quiet, BUSY_MS);
	if (!i->busy) {
		i->busy = true;
		tell_activity(i);
	}
}

/* --- life --- */

static void destroy(struct inst *i)
{
	struct err gone = {0};
	struct inst **at = &i->shim->instances;
	struct watch *w;

	while (*at && *at != i)
		at = &(*at)->next;
	if (*at)
		*at = i->next;
	err_set(&gone, ERR_CANCELLED, "the instance %s is gone", i->id);
	while ((w = i->watches)) {
		i->watches = w->next;
		w->fn(w->arg, i->offset, &gone);
		free(w->text);
		free(w);
	}
	while (i->views)
		view_destroy(i->views);
	follow_destroy_all(i->follows);
	input_destroy(i->input);
	i->input = NULL;
	if (i->stream)
		link_reset(i->stream, NULL);
	screen_destroy(i->screen);
	record_close(i->record);
	loop_timer_free(i->quiet);
	buf_finish(&i->live);
	free(i);
}

/* The program ended; code -1: it is not known how, for that reason. */
static void ended(struct inst *i, int code, int signal, const char *reason)
{
	struct err gone = {0};
	struct watch *w;
	json_t *fin;

	if (i->state == INST_ENDED)
		return;
	i->state = INST_ENDED;
	i->code = code;
	i->signal = signal;
	i->busy = false;
	loop_timer_stop(i->quiet);
	save(i);
	err_set(&gone, ERR_STATE, "the program in %s has ended", i->id);
	input_fail(i->input, &gone);
	while ((w = i->watches)) {
		i->watches = w->next;
		w->fn(w->arg, i->offset, &gone);
		free(w->text);
		free(w);
	}
	fin = json_pack("{s:i, s:i}", "code", code, "signal", signal);
	while (i->views)
		view_end(i->views, fin);
	follow_kick_all(i->follows);
	json_object_set_new(fin, "instance", json_string(i->id));
	json_object_set_new(fin, "offset", json_integer((json_int_t)i->offset));
	if (reason)
		json_object_set_new(fin, "reason", json_string(reason));
	events_tell(i->shim->events, "exited", fin);
	if (i->shim->holder)
		holder_kick(i->shim->holder);
}

static void start_failed(struct inst *i, const struct err *why)
{
	inst_started_fn *fn = i->started;

	i->started = NULL;
	if (fn)
		fn(i->started_arg, 0, why);
	destroy(i);
}

static void on_started(struct inst *i, pid_t pid)
{
	inst_started_fn *fn = i->started;
	bool fresh = i->state == INST_STARTING;

	i->pid = pid;
	i->state = INST_RUNNING;
	if (!fresh)
		return;
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
			start_failed(i, &e);
		else
			log_warn("guest", i->id, "%s", e.message);
		return;
	}
	if (json_object_get(msg, "started"))
		on_started(i, (pid_t)json_get_int(msg, "started", 0));
	if (json_is_object(tty)) {
		i->canonical = json_get_bool(tty, "canonical");
		i->foreground = json_get_bool(tty, "foreground");
		if (i->state == INST_RUNNING)
			tell_activity(i);
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
		start_failed(i, &e);
		return;
	}
	ended(i, (int)json_get_int(msg, "code", -1), (int)json_get_int(msg, "signal", 0), NULL);
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
		start_failed(i, why);
	else
		ended(i, -1, 0, why->message[0] ? why->message : "the terminal is gone");
}

static const struct link_stream_ops stream_ops = {
	.on_data = on_data, .on_ctl = on_ctl, .on_fin = on_fin, .on_acked = on_acked, .on_reset = on_reset};

/* What both ways of beginning share: memory, recording, input. The screen is the caller's to make. */
static int create(struct shim *s, const char *id, struct inst **ret, struct err *e)
{
	struct record *r;
	struct inst *i;
	size_t n = 0;

	for (i = s->instances; i; i = i->next)
		n++;
	if (n >= INST_MAX)
		return err_set(e, ERR_LIMIT, "a place holds at most %d instances", INST_MAX);
	if (record_open(s->recordings, id, s->conf->record_max, &r, e) < 0)
		return -1;
	i = xcalloc(1, sizeof(*i));
	i->shim = s;
	memcpy(i->id, id, INST_ID_LEN);
	i->record = r;
	i->offset = i->base = i->snapshot_at = record_end(r);
	i->canonical = true;
	i->foreground = true;
	i->quiet = loop_timer_create(s->loop, on_quiet, i);
	i->input = input_create(s->loop, &input_ops, i);
	buf_init(&i->live, LIVE_MAX);
	i->next = s->instances;
	s->instances = i;
	*ret = i;
	return 0;
}

static void begin_screen(struct inst *i, int rows, int cols)
{
	i->screen = screen_create(rows, cols, &screen_ops, i);
	screen_catch_lines(i->screen, false);
}

/* The members of `run` that are the guest's business, as the OPEN of the stream. */
static json_t *run_open(const json_t *params, const char *id, const struct screen *screen)
{
	static const char *const members[] = {"argv", "env", "cwd", "user", "files"};
	json_t *o = json_pack("{s:s, s:s}", "kind", "run", "proc", id);
	int rows, cols;
	size_t k;

	for (k = 0; k < ARRAY_LEN(members); k++)
		if (json_object_get(params, members[k]))
			json_object_set(o, members[k], json_object_get(params, members[k]));
	screen_size(screen, &rows, &cols);
	json_object_set_new(o, "rows", json_integer(rows));
	json_object_set_new(o, "cols", json_integer(cols));
	return o;
}

int inst_run(struct shim *s, const json_t *params, inst_started_fn *fn, void *arg, struct err *e)
{
	const char *id = json_need_text(params, "instance", e);
	struct inst *i;

	if (!id)
		return -1;
	if (!inst_id_valid(id))
		return err_set(e, ERR_PARAMS, "\"%s\" is not an instance's id", id);
	if (!json_is_array(json_object_get(params, "argv")) || !json_array_size(json_object_get(params, "argv")))
		return err_set(e, ERR_PARAMS, "\"argv\" is missing or empty");
	i = inst_find(s, id);
	if (i && i->state != INST_ENDED)
		return err_set(e, ERR_EXISTS, "the instance %s runs already", id);
	if (i)
		inst_forget(s, id, e);
	if (create(s, id, &i, e) < 0)
		return -1;
	begin_screen(i, (int)json_get_int(params, "rows", 24), (int)json_get_int(params, "cols", 80));
	i->stream = link_open(guest_link(s->guest), run_open(params, id, i->screen), &stream_ops, i, e);
	if (!i->stream) {
		destroy(i);
		return -1;
	}
	i->started = fn;
	i->started_arg = arg;
	save(i);
	server_instance_ready(s, i);
	return 0;
}

int inst_adopt(struct shim *s, const json_t *entry, struct err *e)
{
	const char *id = json_need_text(entry, "proc", e);
	uint64_t first = (uint64_t)json_get_int(entry, "first", 0), next = (uint64_t)json_get_int(entry, "next", 0);
	uint64_t from;
	struct inst *i;

	if (!id)
		return -1;
	if (!inst_id_valid(id))
		return err_set(e, ERR_PARAMS, "the guest holds \"%s\", which is no instance", id);
	if (inst_find(s, id))
		return 0;
	if (create(s, id, &i, e) < 0)
		return -1;
	restore(i, next);
	screen_catch_lines(i->screen, false);
	i->state = INST_RUNNING;
	i->pid = (pid_t)json_get_int(entry, "pid", 0);
	from = i->offset > i->base ? i->offset - i->base : 0;
	if (from < first || from > next) {
		log_warn("record", i->id, "the recording ends at %llu, the guest has %llu to %llu",
			(unsigned long long)from, (unsigned long long)first, (unsigned long long)next);
		from = first;
		i->offset = i->base + first > i->offset ? i->base + first : i->offset;
		i->base = i->offset - first;
	}
	i->stream = link_open(guest_link(s->guest),
		json_pack("{s:s, s:s, s:I}", "kind", "attach", "proc", id, "from", (json_int_t)from), &stream_ops,
		i, e);
	if (!i->stream) {
		destroy(i);
		return -1;
	}
	log_info("guest", i->id, "attached to its terminal at offset %llu", (unsigned long long)i->offset);
	server_instance_ready(s, i);
	return 0;
}

void inst_place_gone(struct shim *s, const char *reason)
{
	struct err gone = {0};
	struct inst *i, *next;

	err_set(&gone, ERR_FAILED, "the place ended: %s", reason);
	for (i = s->instances; i; i = next) {
		next = i->next;
		if (i->stream)
			link_reset(i->stream, NULL);
		i->stream = NULL;
		if (i->state == INST_STARTING)
			start_failed(i, &gone);
		else
			ended(i, -1, 0, reason);
	}
}

int inst_forget(struct shim *s, const char *id, struct err *e)
{
	struct inst *i = inst_find(s, id);

	if (!i)
		return 0; /* asked for again: it is forgotten */
	if (i->state != INST_ENDED)
		return err_set(e, ERR_STATE, "the instance %s is still running", id);
	if (i->stream)
		link_close(i->stream);
	i->stream = NULL;
	destroy(i);
	return 0;
}

void inst_destroy_all(struct shim *s)
{
	while (s->instances) {
		if (s->instances->state == INST_RUNNING)
			save(s->instances);
		s->instances->stream = NULL; /* the link goes as a whole */
		destroy(s->instances);
	}
}

json_t *inst_list(struct shim *s)
{
	json_t *list = json_array();
	struct inst *i;

	for (i = s->instances; i; i = i->next)
		json_array_append_new(list,
			json_pack("{s:s, s:I, s:b, s:I, s:o}", "id", i->id, "pid", (json_int_t)i->pid, "running",
				i->state != INST_ENDED, "offset", (json_int_t)i->offset, "exit", inst_exit(i)));
	return list;
}

const char *inst_id(const struct inst *i)
{
	return i->id;
}

struct shim *inst_shim(const struct inst *i)
{
	return i->shim;
}

bool inst_running(const struct inst *i)
{
	return i->state != INST_ENDED;
}

json_t *inst_exit(const struct inst *i)
{
	return i->state != INST_ENDED ? json_null()
				      : json_pack("{s:i, s:i}", "code", i->code, "signal", i->signal);
}

uint64_t inst_offset(const struct inst *i)
{
	return i->offset;
}

struct input *inst_input(struct inst *i)
{
	return i->input;
}

struct screen *inst_screen(struct inst *i)
{
	return i->screen;
}

struct record *inst_record(struct inst *i)
{
	return i->record;
}

int inst_signal(struct inst *i, const char *signal, bool group, struct err *e)
{
	if (i->state != INST_RUNNING || !i->stream)
		return err_set(e, ERR_STATE, "the program in %s does not run", i->id);
	if (link_send_ctl(i->stream, json_pack("{s:s, s:b}", "signal", signal, "group", group)) < 0)
		return err_set(e, ERR_BUSY, "too much waits for the place");
	return 0;
}

void inst_watch(struct inst *i, const char *text, inst_watch_fn *fn, void *arg)
{
	struct watch *w;
	struct err e = {0};
	size_t n = 0;

	for (w = i->watches; w; w = w->next)
		n++;
	if (screen_contains(i->screen, text)) {
		fn(arg, i->offset, NULL);
	} else if (i->state == INST_ENDED || n >= WATCH_MAX) {
		if (n >= WATCH_MAX)
			err_set(&e, ERR_BUSY, "%d texts are waited for already", WATCH_MAX);
		else
			err_set(&e, ERR_STATE, "the program in %s has ended", i->id);
		fn(arg, i->offset, &e);
	} else {
		w = xcalloc(1, sizeof(*w));
		*w = (struct watch){.next = i->watches, .text = xstrdup(text), .fn = fn, .arg = arg};
		i->watches = w;
		screen_catch_lines(i->screen, true);
	}
}

void inst_unwatch(struct inst *i, const char *text)
{
	struct err gone = {0};
	struct watch **at = &i->watches, *w;

	err_set(&gone, ERR_CANCELLED, "the wait was cancelled");
	while ((w = *at)) {
		if (strcmp(w->text, text) != 0) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->fn(w->arg, i->offset, &gone);
		free(w->text);
		free(w);
	}
	screen_catch_lines(i->screen, i->watches != NULL);
}

/* --- views --- */

void inst_resize(struct inst *i, int rows, int cols)
{
	struct view *v, *next;
	int r, c;

	screen_size(i->screen, &r, &c);
	if (i->state == INST_ENDED || (rows == r && cols == c))
		return;
	screen_resize(i->screen, rows, cols);
	screen_size(i->screen, &rows, &cols);
	if (rows == r && cols == c)
		return;
	if (i->stream)
		link_send_ctl(i->stream, json_pack("{s:[i, i]}", "resize", rows, cols));
	save(i);
	for (v = i->views; v; v = next) {
		next = v->next;
		view_resized(v);
	}
}

void inst_view_owns(struct inst *i, struct view *v)
{
	v->last_input = ++i->inputs;
	if (v->read_only)
		return;
	i->owner = v;
	inst_resize(i, v->rows, v->cols);
}

bool inst_view_is_owner(const struct inst *i, const struct view *v)
{
	return i->owner == v;
}

void inst_view_add(struct inst *i, struct view *v)
{
	v->next = i->views;
	i->views = v;
	if (!i->owner)
		inst_view_owns(i, v);
}

void inst_view_remove(struct inst *i, struct view *v)
{
	struct view **at = &i->views, *best = NULL;

	while (*at && *at != v)
		at = &(*at)->next;
	if (*at)
		*at = v->next;
	if (i->owner != v)
		return;
	i->owner = NULL;
	for (v = i->views; v; v = v->next)
		if (!v->read_only && (!best || v->last_input > best->last_input))
			best = v;
	if (best) {
		i->owner = best;
		inst_resize(i, best->rows, best->cols);
	}
}

void inst_follow_add(struct inst *i, struct follow *f)
{
	follow_link(&i->follows, f);
}

void inst_follow_remove(struct inst *i, struct follow *f)
{
	follow_unlink(&i->follows, f);
}
