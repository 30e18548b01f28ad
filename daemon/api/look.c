/* SPDX-License-Identifier: ISC */
/* Calls that only look: list, show, read, logs, status. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/proc.h"
#include "daemon/api/api_int.h"

#define READ_LINES_MAX 100000
#define RENDER_MS 20000

/* What a list was asked for. */
struct list_filter {
	struct call *c;
	bool all;
	struct selector sel;
};

static bool wanted(void *arg, const struct instance *in)
{
	const struct list_filter *q = arg;
	struct call *c = q->c;

	if (c->who.instance && !fleet_is_within(c->w->fleet, c->who.instance, in->id))
		return false;
	if (!q->sel.states && !q->all && !state_living(in->state))
		return false;
	return selector_chooses(&q->sel, in);
}

/* What it may need: memory that is not written to costs nothing. */
static size_t list_room(const struct fleet *f, const struct fleet_page *p)
{
	size_t rows = fleet_count(f);

	if (p->limit < (int64_t)rows)
		rows = (size_t)p->limit;
	return rows < RPC_LINE_MAX / LIST_ROW_ROOM ? (rows + 1) * LIST_ROW_ROOM : RPC_LINE_MAX;
}

/* A call that names no limit and no cursor gets an array, as long as that fits into a line. */
static void list_answer(struct call *c, struct fleet_page *p, bool paged)
{
	struct buf text;
	struct err err = {0};

	buf_init(&text, RPC_LINE_MAX);
	buf_reserve(&text, list_room(c->w->fleet, p)); /* rather than growing in ten steps */
	if (paged)
		buf_append(&text, "{\"instances\":", 13);
	if (fleet_list(c->w->fleet, p, &text, &err) < 0) {
		call_error(c, &err);
	} else if (paged) {
		/* The answer waits for the disk where it is ahead of it, so this is the last event it has in it. */
		buf_printf(&text, ",\"seq\":%" PRId64 ",\"next\":", store_event_last(c->w->store));
		buf_printf(&text, p->next[0] ? "\"%s\"}" : "null}", p->next);
		call_result_text(c, &text);
	} else if (p->next[0]) {
		err_set(&err, ERR_LIMIT, "the list is longer than 1 MiB");
		err_hint(&err, "give a limit: the answer is then {instances, next}, and next the cursor of "
			       "the following page");
		call_error(c, &err);
	} else {
		call_result_text(c, &text);
	}
	buf_finish(&text);
}

void api_LIST(struct call *c)
{
	const char *cursor = call_str(c, "cursor");
	struct list_filter q = {.c = c, .all = call_bool(c, "all")};
	int64_t limit = call_int(c, "limit", 0);
	struct fleet_page p = {.want = wanted, .arg = &q, .after = cursor,
		.limit = limit ? limit : INT64_MAX, .max = LIST_PAGE_MAX};
	struct err err = {0};

	if (selector_read(c, &q.sel, &err) < 0)
		call_error(c, &err);
	else
		list_answer(c, &p, cursor || limit);
}

void api_SHOW(struct call *c)
{
	struct instance *in = call_target(c, "id");

	if (in)
		call_instance(c, in);
}

/* ---- read ---- */

static void screen_read(void *arg, json_t *result, const struct err *error)
{
	struct call *c = arg;

	if (error)
		call_error(c, error);
	else
		call_result(c, json_incref(result));
}

/* Of an ended instance: its shim is gone, so the shim's program renders the recording. */
struct render {
	struct api *api;
	struct call *c;
	int fd;
	struct loop_io *io;
	struct loop_timer *timer;
	struct loop_child *child;
	pid_t pid;
	struct buf out;
};

static void render_end(struct render *r, const struct err *e)
{
	json_t *o = NULL;
	struct err err = {0};

	if (!e) {
		o = json_loadb((char *)buf_data(&r->out), r->out.len, 0, NULL);
		if (!o)
			e = (err_set(&err, ERR_FAILED, "the recording could not be rendered"), &err);
	}
	if (e)
		call_error(r->c, e);
	else
		call_result(r->c, o);
	r->api->renders--;
	loop_io_free(r->io);
	loop_timer_free(r->timer);
	close(r->fd);
	buf_finish(&r->out);
	free(r);
}

static void render_data(void *arg, int fd, unsigned events)
{
	struct render *r = arg;

	(void)events;
	for (;;) {
		unsigned char *to = buf_reserve(&r->out, 65536);
		ssize_t n = to ? read(fd, to, 65536) : 0;
		if (n > 0)
			buf_added(&r->out, (size_t)n);
		if (n < 0)
			return; /* more comes */
		if (n == 0) {
			render_end(r, NULL);
			return;
		}
	}
}

static void render_late(void *arg)
{
	struct render *r = arg;
	struct err err = {0};

	kill(r->pid, SIGKILL);
	err_set(&err, ERR_TIMEOUT, "the recording took too long to render");
	render_end(r, &err);
}

static void render_reaped(void *arg, pid_t pid, struct proc_status st)
{
	(void)arg;
	(void)pid;
	(void)st;
}

static void read_ended(struct call *c, const struct instance *in, int64_t lines)
{
	struct err err = {0};
	cleanup_free char *prog = layout_program("tmux-claude-shim", &err);
	cleanup_free char *dir = xasprintf("%s/%s", c->w->layout->recordings_dir, in->id);
	char n[24], rows[24], cols[24];
	char *argv[] = {prog, "--render", dir, "--lines", n, "--rows", rows, "--cols", cols, NULL};
	struct proc_spec spec = {.argv = argv, .cwd = "/"};
	struct render *r;
	int p[2];

	if (c->api->renders >= RENDERS_MAX) {
		err_set(&err, ERR_BUSY, "%d recordings are being rendered already", c->api->renders);
		call_error(c, &err);
		return;
	}
	snprintf(n, sizeof(n), "%lld", (long long)lines);
	snprintf(rows, sizeof(rows), "%d", in->rows);
	snprintf(cols, sizeof(cols), "%d", in->cols);
	if (!prog || pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0) {
		if (prog)
			err_set(&err, ERR_UNAVAILABLE, "no pipe could be made");
		call_error(c, &err);
		return;
	}
	proc_spec_fd(&spec, p[1], 1);
	r = xcalloc(1, sizeof(*r));
	if (proc_spawn(&spec, &r->pid, &err) < 0) {
		close(p[0]);
		close(p[1]);
		free(r);
		call_error(c, &err);
		return;
	}
	close(p[1]);
	loop_child_watch(c->w->loop, r->pid, render_reaped, NULL, NULL);
	r->c = c;
	r->api = c->api;
	r->api->renders++;
	r->fd = p[0];
	buf_init(&r->out, RPC_LINE_MAX);
	r->io = loop_io_add(c->w->loop, p[0], LOOP_READ, render_data, r);
	r->timer = loop_timer_create(c->w->loop, render_late, r);
	loop_timer_start(r->timer, RENDER_MS);
}

/* For bytes: where they stream from. They never pass through JSON. */
static void read_stream(struct call *c, const struct instance *in)
{
	cleanup_free char *sock = world_shim_socket(c->w, in->place);
	cleanup_free char *dir = xasprintf("%s/%s", c->w->layout->recordings_dir, in->id);

	call_result(c, json_pack("{s:s, s:{s:s?}, s:s}", "instance", in->id, "stream", "socket",
			       state_living(in->state) ? sock : NULL, "recording", dir));
}

void api_READ(struct call *c)
{
	struct instance *in = call_target(c, "id");
	int64_t lines = call_int(c, "lines", 0);
	json_t *params;
	struct err err = {0};

	if (!in)
		return;
	if (call_bool(c, "raw") || json_object_get(c->params, "since")) {
		read_stream(c, in);
		return;
	}
	if (lines > READ_LINES_MAX)
		lines = READ_LINES_MAX;
	params = json_pack("{s:s}", "instance", in->id);
	if (lines)
		json_object_set_new(params, "lines", json_integer(lines));
	if (c->w->damage && in->starts > 0) {
		read_ended(c, in, lines); /* its shim is not spoken to; the recording is there */
		return;
	}
	if (!fleet_shim_call(c->w->fleet, in, "screen", params, SHIM_MS, screen_read, c, &err))
		return;
	if (in->starts > 0)
		read_ended(c, in, lines);
	else
		call_error(c, &err);
}

/* ---- logs, events ---- */

/* The last n lines of a file, at most LOG_TAIL_MAX of it. */
static json_t *tail(const char *dir, const char *name, int64_t n)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_free char *text = xcalloc(1, LOG_TAIL_MAX + 1);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t got;
	char *at;

	if (fd < 0)
		return json_string("");
	got = pread(fd, text, LOG_TAIL_MAX, size > LOG_TAIL_MAX ? size - LOG_TAIL_MAX : 0);
	if (got < 0)
		got = 0;
	at = text + got;
	if (at > text && at[-1] == '\n')
		at--;
	while (at > text && (at[-1] != '\n' || --n > 0))
		at--;
	return json_text(at, (size_t)(text + got - at));
}

void api_LOGS(struct call *c)
{
	struct instance *in = call_target(c, "id");
	int64_t n = call_int(c, "lines", LOG_LINES_DEFAULT);
	cleanup_free char *dir = NULL;
	struct err err = {0};
	json_t *events;

	if (!in)
		return;
	events = store_events(c->w->store, -1, n > EVENTS_MAX ? EVENTS_MAX : n, in->id, &err);
	if (!events) {
		call_error(c, &err);
		return;
	}
	dir = place_dir(c->w->layout, in->place);
	call_result(c, json_pack("{s:o, s:o, s:o}", "events", events, "shim", tail(dir, "shim.log", n),
			       "console", tail(dir, "console.log", n)));
}

/* read_only: why nothing can be changed; unknown: places that live and are in no row. */
static void status_of_store(struct world *w, json_t *o)
{
	json_t *unknown = json_array();

	for (char *const *p = fleet_unknown(w->fleet); *p; p++)
		json_array_append_new(unknown, json_string(*p));
	json_object_set_new(o, "unknown", unknown);
	json_object_set_new(o, "read_only", w->damage ? json_pack("{s:o, s:s, s:o}", "reason",
		json_text(w->damage->message, strlen(w->damage->message)), "hint", w->damage->hint, "unread",
		w->unread ? json_incref(w->unread) : json_array()) : json_null());
}

void api_STATUS(struct call *c)
{
	struct tmux_pool_stats st = {0};
	int64_t commits, commit_us;
	json_t *o;

	if (c->w->panes)
		tmux_pool_stats(c->w->panes, &st);
	store_commits(c->w->store, &commits, &commit_us);
	o = json_pack("{s:s, s:i, s:I, s:I, s:I, s:b, s:{s:s, s:i, s:i}, s:s, s:s, s:I, s:s, s:{s:I, s:I}}",
			       "version", PACKAGE_VERSION, "pid", (int)getpid(), "uptime_ms",
			       (json_int_t)(clock_mono_ms() - c->api->started_ms), "instances",
			       (json_int_t)fleet_count(c->w->fleet), "living",
			       (json_int_t)fleet_living(c->w->fleet), "settled", fleet_settled(c->w->fleet), "tmux",
			       "version", st.version, "servers", (int)st.servers, "panes", (int)st.open, "socket",
			       c->w->layout->daemon_socket, "state_dir", c->w->layout->state_dir, "last_event",
			       (json_int_t)store_event_last(c->w->store), "fleet", store_fleet(c->w->store), "commits", "count",
			       (json_int_t)commits, "us", (json_int_t)commit_us);
	json_object_set_new(o, "admission", fleet_admission_json(c->w->fleet));
	json_object_set_new(o, "waits", json_integer(c->api->waits));
	json_object_set_new(o, "backups", backups_json(c->w));
	json_object_set_new(o, "login", logins_json(c->w));
	status_of_store(c->w, o);
	call_result(c, o);
}
