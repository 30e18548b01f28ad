/* SPDX-License-Identifier: ISC */
/*
 * exec: runs a command beside an agent, in its place, with our standard input, output and error, or
 * with a terminal (-t). The daemon gives a ticket; the bytes go straight to the shim. The command's own
 * status is ours (128 + signal when one ended it); EXIT_OURS when the failure is not the command's.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "base/util.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include "ipc/link/shim_stream.h"
#include "ipc/rpc.h"

#define PIECE 16384
#define QUEUE_MAX (128 * 1024)

struct run {
	struct shim_stream *stream;
	int signals;
	bool tty, input_ended;
	int status; /* -1: it goes on */
};

static void take_fin(struct run *r, const struct frame *f, struct err *e)
{
	json_t *msg = frame_json(f);
	const json_t *error = json_object_get(msg, "error");

	if (error) {
		err_from_json(error, e);
		if (!e->code)
			err_set(e, ERR_FAILED, "the command could not be run");
	} else if (jint(msg, "signal") > 0) {
		r->status = 128 + (int)jint(msg, "signal");
	} else {
		r->status = (int)jint(msg, "code");
		if (r->status < 0)
			err_set(e, ERR_UNAVAILABLE, "the place was lost before the command ended");
	}
	json_decref(msg);
}

static void take_stream(struct run *r, struct err *e)
{
	bool ended = shim_stream_read(r->stream) < 0;
	struct frame f;
	int rc;

	while (!e->code && r->status < 0 && (rc = shim_stream_next(r->stream, &f)) != 0) {
		if (rc < 0)
			err_set(e, ERR_PARSE, "what came from the place is not understood");
		else if (f.type == FRAME_DATA &&
			 write_all(f.stream == FRAME_STREAM_STDERR ? STDERR_FILENO : STDOUT_FILENO, f.payload, f.len) < 0)
			err_set_errno(e, ERR_IO, errno, "cannot write what the command printed");
		else if (f.type == FRAME_FIN)
			take_fin(r, &f, e);
	}
	if (ended && !e->code && r->status < 0)
		err_set(e, ERR_UNAVAILABLE, "the connection to the place was lost before the command ended");
}

static void take_input(struct run *r)
{
	char data[PIECE];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		shim_stream_send(r->stream, data, (size_t)n);
		return;
	}
	r->input_ended = true;
	shim_stream_send_ctl(r->stream, json_pack("{s:b}", "eof", 1));
}

static void take_signals(struct run *r, struct err *e)
{
	int signo, rows, cols;

	while ((signo = term_signal(r->signals)) != 0) {
		if (signo == SIGWINCH && r->tty && term_size(&rows, &cols))
			shim_stream_send_ctl(r->stream, json_pack("{s:[i, i]}", "resize", rows, cols));
		else if (signo == SIGINT || signo == SIGQUIT)
			shim_stream_send_ctl(r->stream, json_pack("{s:s}", "signal", signo == SIGINT ? "INT" : "QUIT"));
		else if (signo == SIGTERM || signo == SIGHUP)
			err_set(e, ERR_CANCELLED, "ended by signal %d; the command is ended, too", signo);
	}
}

static void pump(struct run *r, struct err *e)
{
	while (!e->code && r->status < 0) {
		bool input = !r->input_ended && shim_stream_pending(r->stream) < QUEUE_MAX;
		struct pollfd p[] = {
			{.fd = input ? STDIN_FILENO : -1, .events = POLLIN},
			{.fd = r->signals, .events = POLLIN},
			{.fd = shim_stream_fd(r->stream), .events = POLLIN},
		};

		if (shim_stream_pending(r->stream) > 0)
			p[2].events |= POLLOUT;
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			err_set_errno(e, ERR_IO, errno, "cannot wait");
		if (p[1].revents)
			take_signals(r, e);
		if (p[2].revents & (POLLIN | POLLHUP | POLLERR))
			take_stream(r, e);
		if (p[0].revents && r->status < 0)
			take_input(r);
		if (!e->code && r->status < 0 && shim_stream_flush(r->stream) < 0)
			take_stream(r, e); /* its last words, or that it was lost */
	}
}

static int run_ticket(struct run *r, const json_t *ticket, struct err *e)
{
	json_t *hello = json_pack("{s:s, s:s}", "role", "exec", "ticket", jstr(ticket, "ticket"));

	if (shim_stream_open(jstr(ticket, "socket"), hello, STREAM_HELLO_MS, &r->stream, NULL, e) < 0)
		return -1;
	r->signals = term_signal_fd(e);
	if (r->signals >= 0 && r->tty)
		term_raw(true, e);
	if (!e->code)
		pump(r, e);
	term_restore();
	shim_stream_close(r->stream);
	return e->code ? -1 : 0;
}

int verb_exec(struct cli *c)
{
	struct run r = {.status = -1, .signals = -1, .tty = args_flag(&c->args, "tty")};
	struct err e = {0};
	json_t *ticket = NULL;
	int rows, cols;

	if (r.tty && !isatty(STDIN_FILENO)) {
		err_set(&e, ERR_FAILED, "-t needs a terminal on standard input");
		cli_fail(c, &e);
		return EXIT_OURS;
	}
	if (r.tty && term_size(&rows, &cols)) {
		json_object_set_new(c->args.params, "rows", json_integer(rows));
		json_object_set_new(c->args.params, "cols", json_integer(cols));
	}
	if (cli_call_verb(c, &ticket, &e) < 0 || run_ticket(&r, ticket, &e) < 0) {
		cli_fail(c, &e);
		r.status = EXIT_OURS;
	}
	json_decref(ticket);
	return r.status;
}
