/* SPDX-License-Identifier: ISC */
/*
 * One instance: its terminal in the place, between stream, screen, recording, input and views.
 *
 * Theory of operation. Bytes from the guest are recorded, then fed to the screen, then acknowledged:
 * what the guest has let go of is on disk (or known to be lost: a hole). Views get the filtered bytes
 * and never hold anything up. Offsets are absolute over the life of the recording: `base` is where the
 * running program's own bytes begin, as a restarted instance goes on in the recording it had.
 *
 * The end: the guest's FIN says how. It is told as `exited`; the stream, and with it the guest's memory
 * of the exit, is let go only by inst_forget, when the daemon has taken note.
 */
#include "place/shim/inst_int.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "place/shim/follow.h"
#include "place/shim/guest.h"
#include "place/shim/holder.h"
#include "place/shim/paint.h"
#include "place/shim/server.h"
#include "place/shim/typing.h"
#include "place/shim/view.h"

#define SNAPSHOT_EVERY (256 * 1024)
#define LIVE_MAX (1024 * 1024)
#define PIECE 65536
#define WATCH_PIECE 8192 /* so that text that scrolls by is seen */
#define BUSY_MS 1250 /* over a second, so that what prints once a second is not idle in between */
#define BELL_MS 200
#define OFFSET_END (1ll << 53)
#define FLAGS_PER_SECOND 20
#define TITLE_MS 100 /* titles are told of no more often; the last one is */

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

	if (!i && !guest_is_up(s->guest)) { /* a shim that is new has not asked the guest yet */
		err_set(e, ERR_UNAVAILABLE, "whether this place has an instance %s is not known yet", id);
		err_hint(e, "try again in a moment");
	} else if (!i) {
		err_set(e, ERR_NOT_FOUND, "this place has no instance %s", id);
	}
	return i;
}

/* --- telling --- */

static void tell_activity(struct inst *i)
{
	memcpy(i->title_told, screen_modes(i->screen)->title, sizeof(i->title_told));
	i->title_due = false;
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

	if (i->restoring || strcmp(screen_modes(i->screen)->title, i->title_told) == 0)
		return;
	if (loop_timer_active(i->titles)) {
		i->title_due = true;
		return;
	}
	tell_activity(i);
	loop_timer_start(i->titles, TITLE_MS);
}

static void on_titles(void *arg)
{
	struct inst *i = arg;

	if (!i->title_due)
		return;
	tell_activity(i);
	loop_timer_start(i->titles, TITLE_MS);
}

/* The guest may turn its flags over as fast as it likes: past so many a second the daemon hears of the last. */
static void tell_flags(struct inst *i)
{
	int64_t now = clock_mono_ms();

	if (now - i->flags_ms >= 1000) {
		i->flags_ms = now;
		i->flags_told = 0;
	}
	if (++i->flags_told <= FLAGS_PER_SECOND) {
		tell_activity(i);
		return;
	}
	i->title_due = true;
	if (!loop_timer_active(i->titles))
		loop_timer_start(i->titles, TITLE_MS);
}

static void on_line(void *arg, const char *text, size_t len)
{
	struct inst *i = arg;

	if (i->watches && !i->restoring)
		inst_watch_check(i, text, len);
}

const struct screen_ops inst_screen_ops = {
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

static const struct input_ops input_ops = {
	input_write, input_bracketed, input_canonical, input_look, input_drop};

/* --- output --- */

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
		tell_activity(i);
	}
}

/* --- life --- */

static void destroy(struct inst *i)
{
	struct err gone = {0};
	struct inst **at = &i->shim->instances;

	while (*at && *at != i)
		at = &(*at)->next;
	if (*at)
		*at = i->next;
	err_set(&gone, ERR_CANCELLED, "the instance %s is gone", i->id);
	inst_watch_fail(i, &gone);
	while (i->views)
		view_destroy(i->views);
	follow_destroy_all(i->follows);
	input_destroy(i->input);
	i->input = NULL;
	typing_destroy(i->typing);
	if (i->stream)
		link_reset(i->stream, NULL);
	screen_destroy(i->screen);
	record_close(i->record);
	loop_timer_free(i->quiet);
	loop_timer_free(i->titles);
	buf_finish(&i->live);
	free(i);
}

/* The program ended; code -1: it is not known how, for that reason. */
static void ended(struct inst *i, int code, int signal, const char *reason)
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
			start_failed(i, &e);
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
			tell_flags(i);
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
	inst_record_floor(i);
	record_serve(r, s->loop, s->packer, inst_record_key, i);
	i->offset = i->base = i->snapshot_at = record_end(r);
	i->canonical = true;
	i->foreground = true;
	i->quiet = loop_timer_create(s->loop, on_quiet, i);
	i->titles = loop_timer_create(s->loop, on_titles, i);
	i->input = input_create(s->loop, &input_ops, i);
	i->typing = typing_create();
	buf_init(&i->live, LIVE_MAX);
	i->next = s->instances;
	s->instances = i;
	*ret = i;
	return 0;
}

static void begin_screen(struct inst *i, int rows, int cols)
{
	i->screen = screen_create(rows, cols, &inst_screen_ops, i);
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
	if (!conf_has_instance(s->conf, id))
		return err_set(e, ERR_DENIED, "place.json does not name the instance %s", id);
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
	FAULT_POINT("run");
	i->stream = link_open(guest_link(s->guest), run_open(params, id, i->screen), &stream_ops, i, e);
	if (!i->stream) {
		destroy(i);
		return -1;
	}
	i->started = fn;
	i->started_arg = arg;
	FAULT_POINT("run.sent");
	inst_save(i);
	FAULT_POINT("run.saved");
	server_instance_ready(s, i);
	return 0;
}

/* What a guest says that it holds: no more than it may keep, and offsets that JSON can carry. */
static bool held_plausible(int64_t first, int64_t next)
{
	return first >= 0 && first <= next && next < OFFSET_END && next - first <= LINK_OUT_MAX;
}

int inst_adopt(struct shim *s, const json_t *entry, struct err *e)
{
	const char *id = json_need_text(entry, "proc", e);
	int64_t first = json_get_int(entry, "first", 0), next = json_get_int(entry, "next", 0);
	uint64_t from;
	struct inst *i;

	if (!id)
		return -1;
	if (!inst_id_valid(id))
		return err_set(e, ERR_PARAMS, "the guest holds \"%s\", which is no instance", id);
	/* What is inside must not get at the recording of another by claiming its name. */
	if (!conf_has_instance(s->conf, id))
		return err_set(e, ERR_DENIED, "the guest claims to hold %s, which is not of this place", id);
	if (inst_find(s, id))
		return 0;
	if (!held_plausible(first, next))
		return err_set(e, ERR_PARAMS, "the guest claims to hold impossible offsets of %s", id);
	if (create(s, id, &i, e) < 0)
		return -1;
	inst_restore(i, (uint64_t)next);
	screen_catch_lines(i->screen, false);
	i->state = INST_RUNNING;
	i->pid = (pid_t)json_get_int(entry, "pid", 0);
	from = i->offset > i->base ? i->offset - i->base : 0;
	if (from < (uint64_t)first || from > (uint64_t)next) {
		log_warn("record", i->id, "the recording ends at %llu, the guest has %llu to %llu",
			(unsigned long long)from, (unsigned long long)first, (unsigned long long)next);
		from = (uint64_t)first;
		i->offset = i->base + from > i->offset ? i->base + from : i->offset;
		i->base = i->offset - from;
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
	FAULT_POINT("forget");
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
			inst_save(s->instances);
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

