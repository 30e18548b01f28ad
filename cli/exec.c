/* SPDX-License-Identifier: ISC */
/*
 * exec: a command beside an agent. The daemon gives a ticket, the bytes go straight to the shim. The
 * status is the command's own (128 + N when signal N ended it), 125 when the failure is ours. Without a
 * terminal of its own the command gets our signals; with one it gets our keys, raw.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/term.h"
#include "ipc/link/shim_stream.h"
#include "ipc/rpc.h"

#define PIECE 16384
#define QUEUE_MAX (STREAM_OUT_MAX / 2) /* input that waits; then no more is read */
#define CAPTURE_MAX (16 * 1024 * 1024)

struct exec {
	struct cli *cli;
	struct shim_stream *stream;
	bool tty, in_ended;
	int signals;
	int status; /* -1 while it runs */
	json_t *fin;
	struct buf out, err; /* with --json */
};

static const struct {
	int signo;
	const char *name;
} passed[] = {{SIGINT, "INT"}, {SIGTERM, "TERM"}, {SIGQUIT, "QUIT"}};

static int finished(struct exec *x, const struct frame *f, struct err *e)
{
	x->fin = frame_json(f);
	const json_t *error = json_object_get(x->fin, "error");
	json_int_t signo = jint(x->fin, "signal");

	if (json_is_object(error)) {
		err_from_json(error, e);
		return -1;
	}
	if (signo <= 0 && jint(x->fin, "code") < 0)
		return err_set(e, ERR_UNAVAILABLE, "the place was lost before the command ended");
	x->status = signo > 0 ? 128 + (int)signo : (int)jint(x->fin, "code");
	return 0;
}

/* The command's output: -1 with an error of our own. */
static int put(struct exec *x, bool err, const struct frame *f, struct err *e)
{
	if (x->cli->g.json) {
		if (buf_append(err ? &x->err : &x->out, f->payload, f->len) == 0)
			return 0;
		err_set(e, ERR_LIMIT, "the command printed more than 16 MiB, which is the most with --json");
		return err_hint(e, "leave out --json, or write into a file");
	}
	if (write_all(err ? 2 : 1, f->payload, f->len) == 0)
		return 0;
	if (errno != EPIPE)
		return err_set_errno(e, ERR_IO, errno, "the command's output cannot be written");
	/* Whoever read it had enough: as if the command itself had written there. */
	x->status = 128 + SIGPIPE;
	return 0;
}

static int take_frames(struct exec *x, struct err *e)
{
	bool ended = shim_stream_read(x->stream) < 0;
	struct frame f;
	int got, r = 0;

	while (r == 0 && x->status < 0 && (got = shim_stream_next(x->stream, &f)) != 0) {
		if (got < 0)
			return err_set(e, ERR_FAILED, "the command's stream cannot be understood");
		if (f.type == FRAME_DATA)
			r = put(x, f.stream == FRAME_STREAM_STDERR, &f, e);
		else if (f.type == FRAME_FIN && f.stream == FRAME_STREAM_MAIN)
			r = finished(x, &f, e);
	}
	if (r == 0 && ended && x->status < 0)
		return err_set(e, ERR_UNREACHABLE, "the connection to the place ended before the command did");
	return r;
}

static void take_input(struct exec *x)
{
	char piece[PIECE];
	ssize_t n = read(0, piece, sizeof(piece));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		shim_stream_send(x->stream, piece, (size_t)n);
		return;
	}
	x->in_ended = true;
	shim_stream_send_ctl(x->stream, json_pack("{s:b}", "eof", 1));
}

/* -1: our terminal is gone; with the connection the command goes, too. */
static int take_signals(struct exec *x, struct err *e)
{
	int signo, rows, cols;

	while ((signo = term_signal(x->signals)) != 0) {
		if (signo == SIGWINCH && x->tty && term_size(&rows, &cols))
			shim_stream_send_ctl(x->stream, json_pack("{s:[i, i]}", "resize", rows, cols));
		for (size_t i = 0; i < ARRAY_LEN(passed); i++)
			if (passed[i].signo == signo)
				shim_stream_send_ctl(x->stream, json_pack("{s:s}", "signal", passed[i].name));
		if (signo == SIGHUP)
			return err_set(e, ERR_CANCELLED, "the terminal went away; the command is ended, too");
	}
	return 0;
}

static int pump(struct exec *x, struct err *e)
{
	/* What came along with the answer to hello is read already: poll would not tell of it. */
	if (take_frames(x, e) < 0)
		return -1;
	while (x->status < 0) {
		bool room = shim_stream_pending(x->stream) < QUEUE_MAX;
		struct pollfd p[] = {
			{.fd = shim_stream_fd(x->stream), .events = POLLIN},
			{.fd = x->signals, .events = POLLIN},
			{.fd = x->in_ended || !room ? -1 : 0, .events = POLLIN},
		};
		if (shim_stream_pending(x->stream) > 0)
			p[0].events |= POLLOUT;
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return err_set_errno(e, ERR_IO, errno, "cannot wait for the command");
		if (p[1].revents && take_signals(x, e) < 0)
			return -1;
		if (p[2].revents)
			take_input(x);
		/* A failed write shows as the end of what can be read, after what was said before it. */
		if (shim_stream_pending(x->stream) > 0)
			shim_stream_flush(x->stream);
		if ((p[0].revents & (POLLIN | POLLHUP | POLLERR)) && take_frames(x, e) < 0)
			return -1;
	}
	return 0;
}

static int connect_stream(struct exec *x, struct err *e)
{
	json_t *params = x->cli->args.params, *result = NULL;
	int rows = 24, cols = 80;

	if (x->tty) {
		term_size(&rows, &cols);
		json_object_set_new(params, "rows", json_integer(rows));
		json_object_set_new(params, "cols", json_integer(cols));
	}
	if (cli_call_verb(x->cli, &result, e) < 0)
		return -1;
	json_t *hello = json_pack("{s:s, s:s}", "role", "exec", "ticket", jstr(result, "ticket"));
	int r = shim_stream_open(jstr(result, "socket"), hello, STREAM_HELLO_MS, &x->stream, NULL, e);
	json_decref(result);
	return r;
}

static int run(struct exec *x, struct err *e)
{
	if (connect_stream(x, e) < 0)
		return -1;
	x->signals = term_signal_fd(e);
	if (x->signals < 0)
		return -1;
	if (x->tty && isatty(0) && term_raw(false, e) < 0)
		return -1;
	int r = pump(x, e);
	term_restore();
	return r;
}

static void add_output(json_t *o, const char *name, const struct buf *b)
{
	json_t *text = json_stringn(b->len ? (const char *)buf_data(b) : "", b->len);
	cleanup_free char *key = xasprintf("%s_b64", name);

	if (text) {
		json_object_set_new(o, name, text);
		return;
	}
	cleanup_free char *b64 = base64_encode(buf_data(b), b->len);
	json_object_set_new(o, key, json_string(b64));
}

static void print_json(struct exec *x)
{
	json_int_t signo = jint(x->fin, "signal");
	json_t *o = json_pack("{s:o, s:o}", "code",
		signo > 0 ? json_null() : json_integer(jint(x->fin, "code")), "signal",
		signo > 0 ? json_integer(signo) : json_null());

	add_output(o, "stdout", &x->out);
	add_output(o, "stderr", &x->err);
	writer_json(&x->cli->w, o);
	json_decref(o);
}

int verb_exec(struct cli *c)
{
	struct exec x = {.cli = c, .status = -1, .signals = -1};
	struct err e = {0};

	cli_catch_signals();
	x.tty = json_is_true(json_object_get(c->args.params, "tty"));
	if (x.tty && c->g.json) {
		err_set(&e, ERR_PARAMS, "--tty and --json exclude each other");
		return cli_fail_usage(c, &e);
	}
	buf_init(&x.out, CAPTURE_MAX);
	buf_init(&x.err, CAPTURE_MAX);
	int r = run(&x, &e);
	if (r < 0)
		cli_fail(c, &e);
	else if (c->g.json)
		print_json(&x);
	shim_stream_close(x.stream);
	if (x.signals >= 0)
		close(x.signals);
	json_decref(x.fin);
	buf_finish(&x.out);
	buf_finish(&x.err);
	return r < 0 ? EXIT_OURS : x.status;
}
