/* SPDX-License-Identifier: ISC */
/*
 * A view of an agent's terminal, straight from its shim: what a tmux pane runs, and what `attach` shows
 * when there is no tmux. It paints what it is given and passes keys and sizes on; it holds nothing.
 *
 * The shim may not be there yet, and may go away and be replaced: the view says so, waits (inotify on
 * its folder, and a look every RETRY_MS at what inotify cannot tell) and connects again, for WAIT_MS at
 * the most. The terminal is as it was before on every way out.
 */
#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include "ipc/link/shim_stream.h"

#define WAIT_MS (5 * 60 * 1000)
#define RETRY_MS 1000
#define KEYS_MAX 4096
#define QUEUE_MAX (128 * 1024) /* keys that wait for the shim; then the keyboard is not read */
#define DETACH_KEY 0x1d        /* C-] */

enum outcome { VIEW_GOING, VIEW_LOST, VIEW_ENDED, VIEW_DETACHED, VIEW_KILLED, VIEW_REFUSED };

struct viewer {
	const char *socket, *instance;
	bool read_only, detachable;
	struct shim_stream *stream;
	bool answered;
	int signals, notify;
	int64_t deadline; /* while there is no shim */
	char last_words[160];
	struct err why;
};

static void put(const void *data, size_t len)
{
	(void)!write_all(STDOUT_FILENO, data, len);
}

static void say(const struct viewer *v, const char *text)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "\033[0m\r\n[tmux-claude: %.6s: %s]\r\n", v->instance, text);

	put(line, (size_t)(n < (int)sizeof(line) ? n : (int)sizeof(line) - 1));
}

static json_t *hello(const struct viewer *v)
{
	json_t *o = json_pack("{s:s, s:s, s:b}", "role", "view", "instance", v->instance, "read_only", v->read_only);
	int rows, cols;

	if (term_size(&rows, &cols)) {
		json_object_set_new(o, "rows", json_integer(rows));
		json_object_set_new(o, "cols", json_integer(cols));
	}
	return o;
}

static void disconnect(struct viewer *v)
{
	shim_stream_close(v->stream);
	v->stream = NULL;
	v->answered = false;
}

static enum outcome on_fin(struct viewer *v, const struct frame *f)
{
	json_t *msg = frame_json(f);
	const json_t *error = json_object_get(msg, "error");
	int signal = (int)json_integer_value(json_object_get(msg, "signal"));
	int code = (int)json_integer_value(json_object_get(msg, "code"));

	if (error)
		snprintf(v->last_words, sizeof(v->last_words), "%.120s", jstr(error, "message"));
	else if (signal > 0)
		snprintf(v->last_words, sizeof(v->last_words), "the agent was ended by signal %d (%s)", signal,
			strsignal(signal));
	else if (code < 0)
		snprintf(v->last_words, sizeof(v->last_words), "the agent's place is gone");
	else
		snprintf(v->last_words, sizeof(v->last_words), "the agent ended with status %d", code);
	json_decref(msg);
	return VIEW_ENDED;
}

static enum outcome on_answer(struct viewer *v)
{
	json_t *result = NULL;
	int rc = shim_stream_answer(v->stream, &result, &v->why);

	json_decref(result);
	v->answered = rc > 0;
	return rc < 0 ? VIEW_REFUSED : VIEW_GOING;
}

static enum outcome on_stream(struct viewer *v)
{
	enum outcome out = VIEW_GOING;
	struct frame f;
	int rc, ended = shim_stream_read(v->stream) < 0;

	if (!v->answered)
		out = on_answer(v);
	while (out == VIEW_GOING && v->answered && (rc = shim_stream_next(v->stream, &f)) != 0) {
		if (rc < 0)
			return VIEW_LOST;
		if (f.type == FRAME_DATA)
			put(f.payload, f.len);
		else if (f.type == FRAME_FIN)
			return on_fin(v, &f);
	}
	return out == VIEW_GOING && ended ? VIEW_LOST : out;
}

static enum outcome on_keys(struct viewer *v)
{
	char keys[KEYS_MAX];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return VIEW_GOING;
	if (n <= 0)
		return VIEW_KILLED; /* the terminal is gone */
	if (v->detachable && memchr(keys, DETACH_KEY, (size_t)n))
		return VIEW_DETACHED;
	if (v->stream && v->answered && !v->read_only)
		shim_stream_send(v->stream, keys, (size_t)n);
	return VIEW_GOING;
}

static enum outcome on_signals(struct viewer *v)
{
	int signo, rows, cols;

	while ((signo = term_signal(v->signals)) != 0) {
		if (signo != SIGWINCH)
			return VIEW_KILLED;
		if (v->stream && v->answered && term_size(&rows, &cols))
			shim_stream_send_ctl(v->stream, json_pack("{s:[i, i]}", "resize", rows, cols));
	}
	return VIEW_GOING;
}

/* Connects when somebody listens; otherwise, or when refused, why is kept. */
static void try_connect(struct viewer *v)
{
	err_clear(&v->why);
	if (shim_stream_begin(v->socket, hello(v), &v->stream, &v->why) == 0)
		v->deadline = clock_mono_ms() + WAIT_MS;
}

static void drain(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

static enum outcome turn(struct viewer *v)
{
	bool keys = !v->stream || shim_stream_pending(v->stream) < QUEUE_MAX;
	struct pollfd p[] = {
		{.fd = keys ? STDIN_FILENO : -1, .events = POLLIN},
		{.fd = v->signals, .events = POLLIN},
		{.fd = v->stream ? shim_stream_fd(v->stream) : -1, .events = POLLIN},
		{.fd = v->stream ? -1 : v->notify, .events = POLLIN},
	};
	enum outcome out = VIEW_GOING;

	if (v->stream && shim_stream_pending(v->stream) > 0)
		p[2].events |= POLLOUT;
	if (poll(p, ARRAY_LEN(p), v->stream ? -1 : RETRY_MS) < 0 && errno != EINTR)
		return VIEW_KILLED;
	if (p[1].revents)
		out = on_signals(v);
	if (out == VIEW_GOING && p[2].revents & (POLLIN | POLLHUP | POLLERR))
		out = on_stream(v);
	if (out == VIEW_GOING && p[0].revents)
		out = on_keys(v);
	if (out == VIEW_GOING && v->stream && shim_stream_flush(v->stream) < 0)
		out = VIEW_LOST;
	if (p[3].revents)
		drain(v->notify);
	if (out == VIEW_GOING && !v->stream)
		try_connect(v);
	return out;
}

/* Runs until the agent ended, the user left, or nobody could be reached for too long. */
static enum outcome run(struct viewer *v)
{
	enum outcome out = VIEW_GOING;
	bool waiting = false;

	v->deadline = clock_mono_ms() + WAIT_MS;
	try_connect(v);
	while (out == VIEW_GOING) {
		if (!v->stream && !waiting)
			say(v, "waiting for its terminal");
		waiting = !v->stream;
		if (waiting && clock_mono_ms() > v->deadline)
			return VIEW_REFUSED;
		out = turn(v);
		if (out == VIEW_LOST) {
			disconnect(v);
			out = VIEW_GOING;
		}
	}
	return out;
}

static int open_notify(const char *socket)
{
	cleanup_free char *copy = xstrdup(socket);
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd >= 0)
		inotify_add_watch(fd, dirname(copy), IN_CREATE | IN_MOVED_TO | IN_ATTRIB);
	return fd;
}

static int show(struct viewer *v, struct err *e)
{
	enum outcome out;

	v->signals = term_signal_fd(e);
	if (v->signals < 0 || term_raw(true, e) < 0)
		return -1;
	v->notify = open_notify(v->socket);
	out = run(v);
	disconnect(v);
	term_restore();
	if (v->notify >= 0)
		close(v->notify);
	close(v->signals);
	switch (out) {
	case VIEW_ENDED:
		printf("[tmux-claude: %s: %s]\n", v->instance, v->last_words);
		return EXIT_DONE;
	case VIEW_DETACHED:
		printf("[tmux-claude: %s: left; it goes on]\n", v->instance);
		return EXIT_DONE;
	case VIEW_KILLED:
		return EXIT_DONE;
	case VIEW_REFUSED:
	case VIEW_LOST:
	case VIEW_GOING:
		break;
	}
	*e = v->why;
	if (!e->code)
		err_set(e, ERR_UNAVAILABLE, "the terminal of %s cannot be reached", v->instance);
	return -1;
}

int view_run(struct cli *c, const char *instance, const char *socket, bool read_only, struct err *e)
{
	struct viewer v = {.socket = socket, .instance = instance, .read_only = read_only, .detachable = true,
		.signals = -1, .notify = -1};

	cli_note(c, "C-] leaves the view.");
	return show(&v, e);
}

/* view [--read-only] --shim SOCKET INSTANCE */
int verb_view(struct cli *c, char *const *argv)
{
	struct viewer v = {.signals = -1, .notify = -1};
	struct err e = {0};
	int code;

	for (; *argv; argv++) {
		if ((strcmp(*argv, "--shim") == 0 || strcmp(*argv, "--socket") == 0) && argv[1])
			v.socket = *++argv;
		else if (strcmp(*argv, "--read-only") == 0)
			v.read_only = true;
		else if (**argv != '-' && !v.instance)
			v.instance = *argv;
		else
			v.socket = NULL, argv += strv_len(argv) - 1;
	}
	if (!v.socket || !v.instance) {
		err_set(&e, ERR_PARAMS, "usage: tmux-claude view [--read-only] --shim SOCKET INSTANCE");
		return cli_fail_usage(c, &e);
	}
	code = show(&v, &e);
	return code < 0 ? cli_fail(c, &e) : code;
}
