/* SPDX-License-Identifier: ISC */
/*
 * The daemon's connection: its calls. Each method is a row of the table at the foot. A call that has to
 * wait (for the guest, for a terminal, for a text) keeps its request and answers it when it is done.
 */
#include "place/shim/control.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "place/shim/api.h"
#include "place/shim/exec.h"
#include "place/shim/guest.h"
#include "place/shim/history.h"
#include "place/shim/holder.h"
#include "place/shim/inst.h"
#include "place/shim/tail.h"
#include "place/shim/typing.h"

#define SETUP_MS 60000
#define FILES_MS 20000
#define DEADLINE_DEFAULT_MS 10000
#define DEADLINE_MOST_MS 600000
#define SCREEN_TEXT_MAX (900 * 1024) /* of an answer: a line of JSON has at most 1 MiB */

struct control {
	struct peer *peer;
};

typedef void method_fn(struct shim *s, struct peer_request *req, json_t *params);

/* --- small answers --- */

static void answer(struct peer_request *req, int rc, const struct err *e)
{
	if (rc < 0)
		peer_error(req, e);
	else
		peer_result(req, NULL);
}

static struct inst *need_inst(struct shim *s, const json_t *params, struct err *e)
{
	const char *id = json_need_text(params, "instance", e);

	return id ? inst_need(s, id, e) : NULL;
}

/* --- setup, run --- */

static void on_setup(void *arg, const json_t *ok, const struct err *why)
{
	if (why)
		peer_error(arg, why);
	else
		peer_result(arg, json_deep_copy(ok));
}

static void do_setup(struct shim *s, struct peer_request *req, json_t *params)
{
	shim_stage(s, "setup", "");
	guest_call(s->guest, "setup", json_copy(params), SETUP_MS, on_setup, req);
}

/* Files of a place that is set up, written anew while its program runs. */
static void do_files(struct shim *s, struct peer_request *req, json_t *params)
{
	guest_call(s->guest, "files", json_copy(params), FILES_MS, on_setup, req);
}

static void on_run(void *arg, pid_t pid, const struct err *why)
{
	if (why)
		peer_error(arg, why);
	else
		peer_result(arg, json_pack("{s:I}", "pid", (json_int_t)pid));
}

static void do_run(struct shim *s, struct peer_request *req, json_t *params)
{
	struct err e = {0};

	if (!holder_running(s->holder))
		err_set(&e, ERR_UNAVAILABLE, "the place has ended");
	if (e.code || inst_run(s, params, on_run, req, &e) < 0)
		peer_error(req, &e);
	else
		shim_stage(s, "run", json_get_text(params, "instance", ""));
}

/* --- typing (typing.c), signals --- */

typedef void typing_fn(struct inst *i, struct peer_request *req, json_t *params);

static void do_type(struct shim *s, struct peer_request *req, json_t *params, typing_fn *fn)
{
	struct err e = {0};
	struct inst *i = need_inst(s, params, &e);

	if (i)
		fn(i, req, params);
	else
		peer_error(req, &e);
}

static void do_input(struct shim *s, struct peer_request *req, json_t *params)
{
	do_type(s, req, params, typing_do_input);
}

static void do_typed(struct shim *s, struct peer_request *req, json_t *params)
{
	do_type(s, req, params, typing_do_typed);
}

static void do_key(struct shim *s, struct peer_request *req, json_t *params)
{
	do_type(s, req, params, typing_do_key);
}

static void do_signal(struct shim *s, struct peer_request *req, json_t *params)
{
	struct err e = {0};
	struct inst *i = need_inst(s, params, &e);
	const char *name = i ? json_need_text(params, "signal", &e) : NULL;

	answer(req, name ? inst_signal(i, name, json_get_bool(params, "group"), &e) : -1, &e);
}

/* --- looking --- */

static void do_screen(struct shim *s, struct peer_request *req, json_t *params)
{
	int64_t lines = json_get_int(params, "lines", 0);
	struct err e = {0};
	struct inst *i = need_inst(s, params, &e);
	struct buf text;
	int rows, cols, row, col;

	if (!i) {
		peer_error(req, &e);
		return;
	}
	buf_init(&text, SCREEN_TEXT_MAX);
	screen_size(inst_screen(i), &rows, &cols);
	screen_cursor(inst_screen(i), &row, &col);
	if (lines > HISTORY_LINES_MAX)
		lines = HISTORY_LINES_MAX;
	if ((lines > 0 ? history_text(record_tape(inst_record(i)), inst_screen(i), (int)lines, &text, &e)
		       : screen_text(inst_screen(i), &text)) < 0 &&
		text.len == 0)
		err_set(&e, ERR_LIMIT, "the text is larger than %d bytes", SCREEN_TEXT_MAX);
	if (e.code)
		peer_error(req, &e);
	else
		peer_result(req,
			json_pack("{s:s%, s:i, s:i, s:[i, i], s:s, s:b, s:I, s:I}", "text",
				text.len ? (const char *)buf_data(&text) : "", text.len, "rows", rows, "cols", cols,
				"cursor", row, col, "title", screen_modes(inst_screen(i))->title, "alternate",
				screen_modes(inst_screen(i))->alternate, "offset", (json_int_t)inst_offset(i), "first",
				(json_int_t)record_first(inst_record(i))));
	buf_finish(&text);
}

static void on_watch(void *arg, uint64_t offset, const struct err *why)
{
	if (why)
		peer_error(arg, why);
	else
		peer_result(arg, json_pack("{s:I}", "offset", (json_int_t)offset));
}

static void do_watch(struct shim *s, struct peer_request *req, json_t *params)
{
	struct err e = {0};
	struct inst *i = need_inst(s, params, &e);
	const char *text = i ? json_need_text(params, "text", &e) : NULL;

	if (text && !*text)
		err_set(&e, ERR_PARAMS, "\"text\" is empty");
	if (e.code)
		peer_error(req, &e);
	else
		inst_watch(i, json_get_int(params, "watch", 0), json_string_value(json_object_get(params, "key")), text, on_watch,
			req);
}

static void do_unwatch(struct shim *s, struct peer_request *req, json_t *params)
{
	struct err e = {0};
	struct inst *i = need_inst(s, params, &e);

	if (i)
		inst_unwatch(i, json_get_int(params, "watch", 0));
	answer(req, i ? 0 : -1, &e);
}

/* --- the rest --- */

static void do_exec(struct shim *s, struct peer_request *req, json_t *params)
{
	char ticket[EXEC_TICKET_LEN + 1];
	struct err e = {0};

	if (!holder_running(s->holder))
		err_set(&e, ERR_UNAVAILABLE, "the place has ended");
	if (e.code || exec_ticket(s, params, ticket, &e) < 0)
		peer_error(req, &e);
	else
		peer_result(req, json_pack("{s:s}", "ticket", ticket));
}

static void do_tail(struct shim *s, struct peer_request *req, json_t *params)
{
	struct err e = {0};
	uint64_t length;

	if (!holder_running(s->holder))
		err_set(&e, ERR_UNAVAILABLE, "the place has ended");
	if (e.code || tail_follow(s, params, &length, &e) < 0)
		peer_error(req, &e);
	else
		peer_result(req, json_pack("{s:I}", "length", (json_int_t)length));
}

static void on_looked(void *arg, json_t *result, const struct err *why)
{
	if (why)
		peer_error(arg, why);
	else
		peer_result(arg, result);
}

static void do_tail_look(struct shim *s, struct peer_request *req, json_t *params)
{
	struct err e = {0};
	const char *id = json_need_text(params, "instance", &e);

	if (id)
		tail_look(s, id, on_looked, req);
	else
		peer_error(req, &e);
}

static void do_forget(struct shim *s, struct peer_request *req, json_t *params)
{
	struct err e = {0};
	const char *id = json_need_text(params, "instance", &e);

	answer(req, id ? inst_forget(s, id, &e) : -1, &e);
}

static void do_stop(struct shim *s, struct peer_request *req, json_t *params)
{
	int64_t ms = json_get_int(params, "deadline_ms", DEADLINE_DEFAULT_MS);

	holder_stop(s->holder, json_get_bool(params, "force"), ms > DEADLINE_MOST_MS ? DEADLINE_MOST_MS : ms);
	peer_result(req, NULL);
}

static void do_quit(struct shim *s, struct peer_request *req, json_t *params)
{
	struct err e = {0};

	(void)params;
	if (holder_running(s->holder)) {
		err_set(&e, ERR_STATE, "the place still runs");
		err_hint(&e, "stop it first");
		peer_error(req, &e);
		return;
	}
	peer_result(req, NULL);
	s->quitting = true;
	loop_stop(s->loop);
}

/* Resident memory and CPU time of a process, from /proc. */
static json_t *process_stats(pid_t pid)
{
	unsigned long utime = 0, stime = 0;
	long rss = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f) {
		/* The name in parentheses may hold anything but ends with the last one. */
		int c, depth = 0;

		while ((c = fgetc(f)) != EOF && !(c == ')' && depth))
			depth |= c == '(';
		if (fscanf(f, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld",
			    &utime, &stime, &rss) != 3)
			rss = 0;
		fclose(f);
	}
	return json_pack("{s:I, s:I}", "rss_kib", (json_int_t)(rss * (sysconf(_SC_PAGESIZE) / 1024)), "cpu_ms",
		(json_int_t)((utime + stime) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK)));
}

static void do_stats(struct shim *s, struct peer_request *req, json_t *params)
{
	json_t *stats = process_stats(getpid());

	(void)params;
	json_object_set_new(stats, "holder",
		holder_running(s->holder) ? process_stats(holder_pid(s->holder)) : json_null());
	peer_result(req, stats);
}

static const struct {
	const char *name;
	method_fn *fn;
} methods[] = {
	{"setup", do_setup},
	{"files", do_files},
	{"run", do_run},
	{"input", do_input},
	{"typed", do_typed},
	{"key", do_key},
	{"signal", do_signal},
	{"screen", do_screen},
	{"exec", do_exec},
	{"watch", do_watch},
	{"unwatch", do_unwatch},
	{"tail", do_tail},
	{"tail_look", do_tail_look},
	{"forget", do_forget},
	{"stop", do_stop},
	{"quit", do_quit},
	{"stats", do_stats},
};

void control_on_request(struct shim *s, struct peer_request *req, const char *method, json_t *params)
{
	struct err e = {0};
	size_t k;

	for (k = 0; k < ARRAY_LEN(methods); k++) {
		if (strcmp(methods[k].name, method) == 0) {
			methods[k].fn(s, req, params);
			return;
		}
	}
	err_set(&e, ERR_METHOD, "the shim has no method \"%s\"", method);
	peer_error(req, &e);
}

void control_on_notification(struct shim *s, const char *method, json_t *params)
{
	if (strcmp(method, "ack") == 0)
		events_ack(s->events, (uint64_t)json_get_int(params, "seq", 0),
			json_get_int(params, "steps_wait_ms", 0));
	else if (strcmp(method, "api_reply") == 0)
		api_reply(s->api, json_get_int(params, "conn", -1), json_object_get(params, "msg"));
}

void control_attach(struct shim *s, struct peer *p, struct peer_request *req)
{
	control_detach(s);
	s->control = xcalloc(1, sizeof(*s->control));
	s->control->peer = p;
	peer_result(req,
		json_pack("{s:i, s:s, s:I, s:{s:I, s:b}, s:b, s:o, s:I}", "version", SHIM_VERSION, "place",
			s->conf->place, "shim_pid", (json_int_t)getpid(), "holder", "pid",
			(json_int_t)holder_pid(s->holder), "running", holder_running(s->holder), "link",
			guest_is_up(s->guest), "instances", inst_list(s), "seq", (json_int_t)events_last(s->events)));
	events_attach(s->events, p);
	inst_tell_all(s);
	tail_tell_all(s);
	api_daemon(s->api, true);
}

void control_detach(struct shim *s)
{
	if (!s->control)
		return;
	events_attach(s->events, NULL);
	api_daemon(s->api, false);
	inst_daemon_gone(s);
	tail_daemon_gone(s);
	peer_destroy(s->control->peer);
	free(s->control);
	s->control = NULL;
}
