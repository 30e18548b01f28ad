/* SPDX-License-Identifier: ISC */
/*
 * The hooks of its settings. As the real one runs them: `/bin/sh -c COMMAND`, the body on its standard input, one
 * after the other, while the turn stands still; PermissionRequest beside the dialog. With FAKE_CLAUDE_HOOKS=socket
 * no program is started: what the reporter would send goes over the socket, a connection each, so that what is
 * measured of a thousand is not a thousand forks a second.
 */
#include "tests/fake/agent/fake.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"

#define SETTINGS_MAX (1024 * 1024)
#define OUTPUT_MAX (1024 * 1024)
#define BODY_PIPE (1024 * 1024)
#define WAITING_EVENT "PermissionRequest"
#define HOOK_WORD " hook " /* GUEST hook EVENT [step [TOOL...]] */
#define ONCE_LEN 16
#define RETRY_MS 200
#define TRIES_MAX 25 /* while the shim is being replaced */

struct run {
	struct run *next; /* in line */
	struct hooks *hooks;
	char *event, *command, *body, *once;
	hook_fn *done;
	void *arg;
	bool waits, asked;
	int tries, fd; /* its output, or its connection */
	pid_t pid;
	struct loop_io *io;
	struct loop_child *child;
	struct loop_timer *again;
	struct buf out;
};

struct hooks {
	struct fake *fake;
	json_t *settings;
	struct run *first, **last; /* the first runs */
	struct run *waiting;       /* beside them */
	struct run *left;          /* nobody asks them any more */
	struct loop_defer *defer;
};

static void begin(struct run *r);

static void run_free(struct run *r)
{
	loop_io_free(r->io);
	if (r->child)
		loop_child_free(r->child);
	loop_timer_free(r->again);
	if (r->fd >= 0)
		close(r->fd);
	buf_finish(&r->out);
	free(r->event);
	free(r->command);
	free(r->body);
	free(r->once);
	free(r);
}

static void unlink_run(struct hooks *h, struct run *r)
{
	struct run **at = &h->left;

	if (h->waiting == r) {
		h->waiting = NULL;
		return;
	}
	if (h->first == r) {
		h->first = r->next;
		if (!h->first)
			h->last = &h->first;
		return;
	}
	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
}

static void ended(struct run *r, const char *output)
{
	struct hooks *h = r->hooks;
	hook_fn *done = r->done;
	void *arg = r->arg;
	cleanup_free char *text = xstrdup(output);
	bool was_first = h->first == r;

	unlink_run(h, r);
	run_free(r);
	if (was_first && h->first)
		loop_defer_schedule(h->defer);
	if (done)
		done(arg, text);
}

static void on_defer(void *arg)
{
	struct hooks *h = arg;

	if (h->first && h->first->fd < 0 && !h->first->pid && !(h->first->again && loop_timer_active(h->first->again)))
		begin(h->first);
}

/* ---- as a program ---- */

static void program_over(struct run *r)
{
	if (r->io || r->child)
		return;
	if (buf_append(&r->out, "", 1) < 0)
		buf_clear(&r->out);
	ended(r, r->out.len ? (const char *)buf_data(&r->out) : "");
}

static void on_output(void *arg, int fd, unsigned events)
{
	struct run *r = arg;
	unsigned char *to = buf_reserve(&r->out, 4096);
	ssize_t n = to ? read(fd, to, 4096) : 0;

	(void)events;
	if (n > 0) {
		buf_added(&r->out, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_io_free(take_ptr(r->io));
	program_over(r);
}

static void on_child(void *arg, pid_t pid, struct proc_status st)
{
	struct run *r = arg;

	(void)pid;
	(void)st;
	r->child = NULL;
	r->pid = 0;
	program_over(r);
}

static void start_program(struct run *r)
{
	char *argv[] = {"/bin/sh", "-c", r->command, NULL};
	struct proc_spec spec = {.argv = argv, .setsid = true};
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	struct err e = {0};

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		abort();
	fcntl(in[1], F_SETPIPE_SZ, BODY_PIPE);
	if (write_all(in[1], r->body, strlen(r->body)) < 0)
		abort();
	close(in[1]);
	proc_spec_fd(&spec, in[0], 0);
	proc_spec_fd(&spec, out[1], 1);
	int rc = proc_spawn(&spec, &r->pid, &e);
	close(in[0]);
	close(out[1]);
	r->fd = out[0];
	if (rc < 0) {
		ended(r, "");
		return;
	}
	fd_set_nonblock(r->fd);
	r->io = loop_io_add(r->hooks->fake->loop, r->fd, LOOP_READ, on_output, r);
	r->child = loop_child_watch(r->hooks->fake->loop, r->pid, on_child, r, &e);
}

/* ---- over the socket ---- */

static void hang_up(struct run *r)
{
	loop_io_free(take_ptr(r->io));
	close(r->fd);
	r->fd = -1;
}

static void on_again(void *arg)
{
	begin(arg);
}

static void try_again(struct run *r)
{
	if (r->fd >= 0)
		hang_up(r);
	r->asked = false;
	buf_clear(&r->out);
	if (++r->tries > TRIES_MAX && !r->waits) {
		ended(r, "");
		return;
	}
	if (!r->again)
		r->again = loop_timer_create(r->hooks->fake->loop, on_again, r);
	loop_timer_start(r->again, RETRY_MS);
}

/* The whole line in one go: a fresh unix socket takes more than our bodies. */
static int send_call(struct run *r, const char *method, json_t *params)
{
	json_t *call = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", r->asked ? 2 : 1, "method", method, "params",
		params);
	cleanup_free char *text = json_dumps(call, JSON_COMPACT), *line = xasprintf("%s\n", text);
	size_t len = strlen(line);

	json_decref(call);
	return send(r->fd, line, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
}

static void answered(struct run *r, const char *line, size_t len)
{
	json_t *j = json_loadb(line, len, 0, NULL), *output = json_object_get(json_object_get(j, "result"), "output");
	cleanup_free char *text = json_is_string(output) ? xstrdup(json_string_value(output))
							 : json_dumps(output, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(j);
	if (!r->waits || r->asked) {
		ended(r, text ? text : "");
		return;
	}
	buf_clear(&r->out);
	r->asked = true;
	if (send_call(r, "approvals.wait", json_pack("{s:s}", "once", r->once)) < 0)
		try_again(r);
}

static void on_answer(void *arg, int fd, unsigned events)
{
	struct run *r = arg;
	unsigned char *to = buf_reserve(&r->out, 4096), *nl;
	ssize_t n = to ? read(fd, to, 4096) : 0;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		try_again(r);
		return;
	}
	buf_added(&r->out, (size_t)n);
	nl = memchr(buf_data(&r->out), '\n', r->out.len);
	if (nl)
		answered(r, (const char *)buf_data(&r->out), (size_t)(nl - buf_data(&r->out)));
}

static void start_socket(struct run *r)
{
	const char *path = getenv("TMUX_CLAUDE_SOCKET"), *words = strstr(r->command, HOOK_WORD), *tool;
	json_t *body = json_loads(r->body, 0, NULL), *params;

	if (!path || !words) {
		json_decref(body);
		ended(r, "");
		return;
	}
	if (sock_connect(path, &r->fd, NULL) < 0) {
		json_decref(body);
		r->fd = -1;
		try_again(r);
		return;
	}
	r->io = loop_io_add(r->hooks->fake->loop, r->fd, LOOP_READ, on_answer, r);
	words += strlen(HOOK_WORD);
	params = json_pack("{s:s%, s:s, s:o}", "event", words, strcspn(words, " "), "once", r->once, "body", body);
	tool = json_string_value(json_object_get(body, "tool_name"));
	if (tool && strstr(words, " step") && !strstr(words, tool))
		json_object_set_new(params, "step", json_true());
	if (send_call(r, "report", params) < 0)
		try_again(r);
}

static void begin(struct run *r)
{
	if (r->hooks->fake->knobs.by_socket)
		start_socket(r);
	else
		start_program(r);
}

/* ---- asking for one ---- */

/* The first command of an event in the settings, or NULL. */
static const char *command_of(const struct hooks *h, const char *event)
{
	const json_t *groups = json_object_get(json_object_get(h->settings, "hooks"), event);

	return json_string_value(
		json_object_get(json_array_get(json_object_get(json_array_get(groups, 0), "hooks"), 0), "command"));
}

static char *body_text(const struct fake *f, const char *event, json_t *body)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "session_id", f->conversation, "transcript_path",
		say_transcript_path(f->say), "cwd", f->cwd, "hook_event_name", event, "permission_mode", f->mode);

	json_object_update(o, body);
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	json_decref(body);
	return text;
}

void hooks_run(struct hooks *h, const char *event, json_t *body, hook_fn *done, void *arg)
{
	const char *command = command_of(h, event);
	struct run *r = xcalloc(1, sizeof(*r));

	*r = (struct run){.hooks = h, .event = xstrdup(event), .command = xstrdup(command ? command : "true x"), .fd = -1,
		.body = body_text(h->fake, event, body), .done = done, .arg = arg, .waits = !strcmp(event, WAITING_EVENT)};
	r->once = xcalloc(1, ONCE_LEN + 1);
	random_id(r->once, ONCE_LEN);
	buf_init(&r->out, OUTPUT_MAX);
	if (r->waits) {
		h->waiting = r;
		begin(r);
		return;
	}
	*h->last = r;
	h->last = &r->next;
	if (h->first == r)
		loop_defer_schedule(h->defer);
}

void hooks_kill_waiting(struct hooks *h)
{
	struct run *r = h->waiting;

	if (!r)
		return;
	r->done = NULL;
	if (r->pid)
		kill(-r->pid, SIGKILL); /* its end frees it */
	else
		ended(r, NULL);
	if (h->waiting)
		hooks_leave_waiting(h);
}

void hooks_leave_waiting(struct hooks *h)
{
	struct run *r = take_ptr(h->waiting);

	if (!r)
		return;
	r->done = NULL;
	r->next = h->left;
	h->left = r;
}

struct hooks *hooks_create(struct fake *f)
{
	struct hooks *h = xcalloc(1, sizeof(*h));
	cleanup_free char *text = NULL;
	struct err e = {0};
	size_t len;

	h->fake = f;
	h->last = &h->first;
	h->defer = loop_defer_create(f->loop, on_defer, h);
	if (file_read(f->settings, SETTINGS_MAX, &text, &len, &e) < 0 || !(h->settings = json_loadb(text, len, 0, NULL))) {
		fprintf(stderr, "fake-claude: settings: %s\n", e.message);
		exit(1);
	}
	return h;
}

void hooks_destroy(struct hooks *h)
{
	hooks_kill_waiting(h);
	while (h->left) {
		struct run *r = h->left;
		h->left = r->next;
		if (r->pid)
			kill(-r->pid, SIGKILL);
		run_free(r);
	}
	while (h->first) {
		struct run *r = h->first;
		h->first = r->next;
		run_free(r);
	}
	loop_defer_free(h->defer);
	json_decref(h->settings);
	free(h);
}
