/* SPDX-License-Identifier: ISC */
/*
 * A view of an agent's terminal, straight from its shim: what a tmux pane runs, and what `attach` shows
 * in a person's own terminal. It paints what it is given and passes keys and sizes on; it holds nothing.
 *
 * The shim may not be there yet, and may go away and be replaced: the view says so, waits (inotify on
 * its folder, and a look every RETRY_MS at what inotify cannot tell) and connects again, for WAIT_MS at
 * the most. Only the first connection asks for the lines above the screen: later the terminal has them.
 *
 * Nothing here waits for the terminal: what it does not take stays in `out`, and while that is full no
 * more is taken from the shim, which then keeps nothing for us but paints anew. So a terminal that is
 * stopped costs a bounded amount, a signal is heard at once, and the terminal is as it was before on every
 * way out.
 */
#include "cli/view.h"

#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/detach.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include "ipc/link/shim_stream.h"

#define WAIT_MS (5 * 60 * 1000)
#define RETRY_MS 1000
#define KEYS_MAX DETACH_READ_MAX
#define QUEUE_MAX (128 * 1024) /* keys that wait for the shim; then the keyboard is not read */
#define OUT_HIGH (16 * 1024)   /* output that waits for the terminal; then the shim is not read */
#define OUT_MAX (OUT_HIGH + FRAME_MAX + 4096)
#define LINES 200              /* asked for above the screen: as many as our tmux servers keep */

enum outcome { VIEW_GOING, VIEW_LOST, VIEW_ENDED, VIEW_DETACHED, VIEW_KILLED, VIEW_REFUSED };

struct viewer {
	const struct view_spec *spec;
	struct shim_stream *stream;
	bool answered, filled;
	struct buf out;
	int tty, signals, notify;
	int64_t deadline; /* while there is no shim */
	struct detach detach;
	char last_words[160];
	struct err why;
};

/* Never fails: OUT_MAX has room for a frame and a few words behind OUT_HIGH. */
static void put(struct viewer *v, const void *data, size_t len)
{
	(void)buf_append(&v->out, data, len);
}

/* On the last line, which is painted over: nothing scrolls for it. */
static void say(struct viewer *v, const char *text)
{
	int rows = 24, cols = 80;

	term_size(&rows, &cols);
	buf_printf(&v->out, "\0337\033[r\033[%d;1H\033[0m\033[2K", rows);
	if (text)
		buf_printf(&v->out, "%.*s", cols > 1 ? cols - 1 : 1, text);
	buf_printf(&v->out, "\0338");
}

static json_t *hello(const struct viewer *v)
{
	json_t *o = json_pack("{s:s, s:s, s:b, s:b, s:i}", "role", "view", "instance", v->spec->instance,
		"read_only", v->spec->read_only, "person", v->spec->person, "lines", v->filled ? 0 : LINES);
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
	if (rc > 0 && !v->answered)
		say(v, NULL);
	v->answered = rc > 0;
	v->filled |= v->answered;
	return rc < 0 ? VIEW_REFUSED : VIEW_GOING;
}

/* What has come from the shim, as far as the terminal has room. */
static enum outcome take_frames(struct viewer *v)
{
	enum outcome out = v->answered ? VIEW_GOING : on_answer(v);
	struct frame f;
	int rc;

	while (out == VIEW_GOING && v->answered && v->out.len < OUT_HIGH &&
		(rc = shim_stream_next(v->stream, &f)) != 0) {
		if (rc < 0)
			return VIEW_LOST;
		if (f.type == FRAME_DATA)
			put(v, f.payload, f.len);
		else if (f.type == FRAME_FIN)
			return on_fin(v, &f);
	}
	return out;
}

/* What came before the end of the connection is taken first; of an end, a later read tells again. */
static enum outcome on_stream(struct viewer *v)
{
	int ended = shim_stream_read(v->stream) < 0;
	enum outcome out = take_frames(v);

	return out == VIEW_GOING && ended && v->out.len < OUT_HIGH ? VIEW_LOST : out;
}

static enum outcome on_keys(struct viewer *v)
{
	char keys[KEYS_MAX];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));
	const char *typed;
	size_t len;
	bool leaves;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return VIEW_GOING;
	if (n <= 0)
		return VIEW_KILLED; /* the terminal is gone */
	leaves = detach_feed(&v->detach, keys, (size_t)n, &typed, &len);
	if (len > 0 && v->stream && v->answered && !v->spec->read_only)
		shim_stream_send(v->stream, typed, len);
	return leaves ? VIEW_DETACHED : VIEW_GOING;
}

static enum outcome on_signals(struct viewer *v)
{
	int signo, rows, cols;

	while ((signo = term_signal(v->signals)) != 0) {
		if (signo == SIGCONT)
			term_again(); /* who stopped us may have used the terminal */
		else if (signo != SIGWINCH)
			return VIEW_KILLED;
		/* The shim answers every size with a painting. */
		if (v->stream && v->answered && term_size(&rows, &cols))
			shim_stream_send_ctl(v->stream, json_pack("{s:[i, i]}", "resize", rows, cols));
	}
	return VIEW_GOING;
}

/* False when the terminal is gone. */
static bool flush(struct viewer *v)
{
	while (v->out.len > 0) {
		ssize_t n = write(v->tty, buf_data(&v->out), v->out.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		buf_consume(&v->out, (size_t)n);
	}
	return true;
}

/* Only while there is nobody to talk to: a user has few of these descriptors, and views are many. */
static void notify_open(struct viewer *v)
{
	cleanup_free char *copy = xstrdup(v->spec->socket);

	v->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (v->notify >= 0)
		inotify_add_watch(v->notify, dirname(copy), IN_CREATE | IN_MOVED_TO | IN_ATTRIB);
}

static void notify_close(struct viewer *v)
{
	if (v->notify >= 0)
		close(v->notify);
	v->notify = -1;
}

/* Connects when somebody listens; otherwise, or when refused, why is kept. */
static void try_connect(struct viewer *v)
{
	err_clear(&v->why);
	if (v->notify < 0)
		notify_open(v); /* before the look, or what comes in between is missed */
	if (shim_stream_begin(v->spec->socket, hello(v), &v->stream, &v->why) < 0)
		return;
	notify_close(v);
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
	bool room = v->out.len < OUT_HIGH;
	struct pollfd p[] = {
		{.fd = keys ? STDIN_FILENO : -1, .events = POLLIN},
		{.fd = v->signals, .events = POLLIN},
		{.fd = v->stream ? shim_stream_fd(v->stream) : -1, .events = room ? POLLIN : 0},
		{.fd = v->stream ? -1 : v->notify, .events = POLLIN},
		{.fd = v->out.len > 0 ? v->tty : -1, .events = POLLOUT},
	};
	enum outcome out = VIEW_GOING;

	if (v->stream && shim_stream_pending(v->stream) > 0)
		p[2].events |= POLLOUT;
	if (p[2].events == 0)
		p[2].fd = -1; /* else its end would wake us for ever */
	if (poll(p, ARRAY_LEN(p), v->stream ? -1 : RETRY_MS) < 0 && errno != EINTR)
		return VIEW_KILLED;
	if (p[1].revents)
		out = on_signals(v);
	if (out == VIEW_GOING && room && p[2].revents & (POLLIN | POLLHUP | POLLERR))
		out = on_stream(v);
	if (out == VIEW_GOING && p[0].revents)
		out = on_keys(v);
	if (out == VIEW_GOING && v->stream && shim_stream_flush(v->stream) < 0)
		out = VIEW_LOST;
	if (p[3].revents && v->notify >= 0)
		drain(v->notify);
	if (out == VIEW_GOING && !v->stream)
		try_connect(v);
	return out;
}

/* Frames that came and output that waits, until one of them has to wait for somebody else. */
static enum outcome pump(struct viewer *v)
{
	enum outcome out = VIEW_GOING;
	size_t before;

	do {
		before = v->out.len;
		if (!flush(v))
			return VIEW_KILLED;
		if (v->stream && before >= OUT_HIGH && v->out.len < OUT_HIGH)
			out = take_frames(v);
	} while (out == VIEW_GOING && v->out.len > 0 && v->out.len != before);
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
		if (!v->stream && !waiting) {
			cleanup_free char *text =
				xasprintf("[tmux-claude: %s: waiting for its terminal]", v->spec->instance);
			say(v, text);
		}
		waiting = !v->stream;
		if (waiting && clock_mono_ms() > v->deadline)
			return VIEW_REFUSED;
		out = pump(v);
		if (out == VIEW_GOING)
			out = turn(v);
		if (out == VIEW_LOST) {
			disconnect(v);
			out = VIEW_GOING;
		}
	}
	return out;
}

/* A person's terminal keeps what it shows, above; a pane of ours, which may have run a view before, begins
 * anew. */
static void begin(struct viewer *v)
{
	int rows = 24, cols = 80;

	if (!v->spec->bare) {
		put(v, "\033[H\033[2J\033[3J", 11);
		return;
	}
	term_size(&rows, &cols);
	while (rows-- > 0)
		put(v, "\r\n", 2);
	buf_printf(&v->out, "\033[22;2t\033]2;%s", v->spec->name ? v->spec->name : v->spec->instance);
	if (v->spec->detach > 0)
		buf_printf(&v->out, " (%s leaves)", v->spec->detach_name);
	buf_printf(&v->out, "\033\\");
}

/* What is left to be written when the agent ended is its last words: waited for a little. */
static void finish(struct viewer *v, enum outcome out)
{
	int64_t until = clock_mono_ms() + RETRY_MS;
	int rows = 24, cols = 80;

	term_size(&rows, &cols);
	if (out == VIEW_DETACHED || out == VIEW_KILLED)
		buf_clear(&v->out);
	while (v->out.len > 0 && flush(v) && v->out.len > 0 && clock_mono_ms() < until) {
		struct pollfd p = {.fd = v->tty, .events = POLLOUT};

		poll(&p, 1, RETRY_MS);
	}
	term_restore();
	buf_clear(&v->out);
	/* Below what was painted; a half-written sequence was ended by the reset. */
	buf_printf(&v->out, "%s\033[%d;1H\r\n", v->spec->bare ? "\033[23;2t" : "", rows);
	flush(v);
}

static int tell(const struct viewer *v, enum outcome out, struct err *e)
{
	switch (out) {
	case VIEW_ENDED:
		printf("[tmux-claude: %s: %s]\n", v->spec->instance, v->last_words);
		return EXIT_DONE;
	case VIEW_DETACHED:
		printf("[tmux-claude: %s: left; it goes on]\n", v->spec->instance);
		return EXIT_DONE;
	case VIEW_KILLED:
		/* As the signal would have done it. (A leak checker at exit() hangs when its terminal hangs up.) */
		_exit(EXIT_DONE);
	case VIEW_REFUSED:
	case VIEW_LOST:
	case VIEW_GOING:
		break;
	}
	*e = v->why;
	if (!e->code)
		err_set(e, ERR_UNAVAILABLE, "the terminal of %s cannot be reached", v->spec->instance);
	return -1;
}

int view_run(const struct view_spec *spec, struct err *e)
{
	struct viewer v = {
		.spec = spec, .signals = -1, .notify = -1, .tty = -1, .detach = {.key = spec->detach}};
	enum outcome out;

	fflush(NULL);
	v.signals = term_signal_fd(e);
	if (v.signals < 0 || term_raw(true, e) < 0)
		return -1;
	buf_init(&v.out, OUT_MAX);
	v.tty = term_output();
	begin(&v);
	out = run(&v);
	disconnect(&v);
	finish(&v, out);
	buf_finish(&v.out);
	notify_close(&v);
	close(v.signals);
	return tell(&v, out, e);
}

/* view [--read-only] --shim SOCKET INSTANCE */
int verb_view(struct cli *c, char *const *argv)
{
	struct view_spec spec = {0};
	struct err e = {0};
	int code;

	for (; *argv; argv++) {
		if ((strcmp(*argv, "--shim") == 0 || strcmp(*argv, "--socket") == 0) && argv[1])
			spec.socket = *++argv;
		else if (strcmp(*argv, "--read-only") == 0)
			spec.read_only = true;
		else if (**argv != '-' && !spec.instance)
			spec.instance = *argv;
		else
			spec.socket = NULL, argv += strv_len(argv) - 1;
	}
	if (!spec.socket || !spec.instance) {
		err_set(&e, ERR_PARAMS, "usage: tmux-claude view [--read-only] --shim SOCKET INSTANCE");
		return cli_fail_usage(c, &e);
	}
	code = view_run(&spec, &e);
	if (code < 0)
		code = cli_fail(c, &e);
	/* Our pane may be closed just now, and the SIGCONT that comes with a hang-up takes away the stop by which
	 * a leak checker at exit() holds us: it would wait for it for ever. So there is no exit(). */
	fflush(NULL);
	_exit(code);
}
