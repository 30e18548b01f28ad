/* SPDX-License-Identifier: ISC */
/*
 * read --follow, --since and --raw: the recorded bytes, straight from the shim. Without --raw what
 * moves a cursor or colours is left out, so that a log or a pipe gets text.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

#include "base/proc.h"
#include "base/util.h"
#include "cli/verbs.h"
#include "ipc/link/shim_stream.h"
#include "ipc/layout.h"
#include "ipc/rpc.h"

/* Leaves escape sequences and controls out of a stream of bytes, wherever it is cut. */
enum strip_state { STRIP_TEXT, STRIP_ESC, STRIP_CSI, STRIP_STRING, STRIP_STRING_ESC };

static enum strip_state strip_byte(enum strip_state st, unsigned char c, bool *keep)
{
	*keep = false;
	switch (st) {
	case STRIP_TEXT:
		*keep = c >= 0x20 ? c != 0x7f : c == '\n' || c == '\t';
		return c == 0x1b ? STRIP_ESC : STRIP_TEXT;
	case STRIP_ESC:
		if (c == '[')
			return STRIP_CSI;
		if (c == ']' || c == 'P' || c == '_' || c == '^' || c == 'X')
			return STRIP_STRING;
		return c >= 0x20 && c <= 0x2f ? STRIP_ESC : STRIP_TEXT;
	case STRIP_CSI:
		return c == 0x1b ? STRIP_ESC : c >= 0x40 && c <= 0x7e ? STRIP_TEXT : STRIP_CSI;
	case STRIP_STRING:
		return c == 0x07 || c == 0x18 ? STRIP_TEXT : c == 0x1b ? STRIP_STRING_ESC : STRIP_STRING;
	case STRIP_STRING_ESC:
		return c == '\\' ? STRIP_TEXT : STRIP_ESC;
	}
	return STRIP_TEXT;
}

static size_t strip(enum strip_state *st, const unsigned char *in, size_t len, char *out)
{
	size_t i, n = 0;
	bool keep;

	for (i = 0; i < len; i++) {
		*st = strip_byte(*st, in[i], &keep);
		if (keep)
			out[n++] = (char)in[i];
	}
	return n;
}

static int put(bool raw, enum strip_state *st, const struct frame *f)
{
	char text[FRAME_PAYLOAD_MAX];
	size_t n;

	if (raw)
		return write_all(STDOUT_FILENO, f->payload, f->len);
	n = strip(st, f->payload, f->len, text);
	return write_all(STDOUT_FILENO, text, n);
}

/* 1 when it ended, 0 when it goes on, -1 with why. */
static int take(struct shim_stream *s, bool raw, enum strip_state *st, struct err *e)
{
	bool ended = shim_stream_read(s) < 0;
	struct frame f;
	int rc;

	while ((rc = shim_stream_next(s, &f)) > 0) {
		json_t *msg = NULL;

		if (f.type == FRAME_DATA && put(raw, st, &f) < 0)
			return err_set_errno(e, ERR_IO, errno, "cannot write");
		if (f.type != FRAME_FIN)
			continue;
		msg = frame_json(&f);
		if (json_object_get(msg, "error"))
			err_from_json(json_object_get(msg, "error"), e);
		json_decref(msg);
		return e->code ? -1 : 1;
	}
	if (rc < 0 || ended)
		return err_set(e, ERR_UNAVAILABLE, "the connection to the agent's place was lost");
	return 0;
}

static int follow(struct shim_stream *s, bool raw, struct err *e)
{
	enum strip_state st = STRIP_TEXT;
	int rc = 0;

	while (rc == 0 && !cli_stop) {
		struct pollfd p = {.fd = shim_stream_fd(s), .events = POLLIN};

		if (poll(&p, 1, -1) < 0) {
			if (errno != EINTR)
				return err_set_errno(e, ERR_IO, errno, "cannot wait");
			continue;
		}
		rc = take(s, raw, &st, e);
	}
	return rc < 0 ? -1 : 0;
}

/* Of an ended agent: its shim is gone, so the shim's program reads the recording. */
static int dump(const char *recording, const json_t *since, bool raw, struct err *e)
{
	cleanup_free char *prog = layout_program("tmux-claude-shim", e);
	cleanup_free char *from = xasprintf("%lld", (long long)json_integer_value(since));
	char *argv[] = {prog, "--dump", (char *)recording, json_is_integer(since) ? "--since" : NULL, from, NULL};
	struct proc_spec spec = {.argv = argv};
	enum strip_state st = STRIP_TEXT;
	struct frame f = {0};
	unsigned char piece[FRAME_PAYLOAD_MAX];
	int p[2], status = 0, rc = 0;
	ssize_t n;
	pid_t pid;

	if (!prog)
		return -1;
	if (pipe(p) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot make a pipe");
	proc_spec_fd(&spec, p[1], 1);
	proc_spec_fd(&spec, STDERR_FILENO, 2);
	if (proc_spawn(&spec, &pid, e) < 0)
		rc = -1;
	close(p[1]);
	while (rc == 0 && (n = read(p[0], piece, sizeof(piece))) > 0) {
		f.payload = piece;
		f.len = (uint32_t)n;
		if (put(raw, &st, &f) < 0)
			rc = err_set_errno(e, ERR_IO, errno, "cannot write");
	}
	close(p[0]);
	if (rc == 0 && waitpid(pid, &status, 0) == pid && status)
		rc = err_set(e, ERR_NOT_FOUND, "that part of the recording is not kept");
	return rc;
}

int read_stream(struct cli *c)
{
	const json_t *params = c->args.params, *since = json_object_get(params, "since");
	bool raw = json_is_true(json_object_get(params, "raw"));
	json_t *where = NULL, *hello;
	struct shim_stream *s = NULL;
	struct err e = {0};
	int rc;

	cli_catch_signals();
	rc = cli_call(c, "read", json_pack("{s:s, s:b}", "id", jstr(params, "id"), "raw", 1), -1, &where, &e);
	if (rc == 0 && !json_is_string(json_object_get(json_object_get(where, "stream"), "socket"))) {
		rc = dump(jstr(where, "recording"), since, raw, &e);
		json_decref(where);
		return rc < 0 ? cli_fail(c, &e) : EXIT_DONE;
	}
	if (rc == 0) {
		hello = json_pack("{s:s, s:s, s:b}", "role", "follow", "instance", jstr(where, "instance"), "follow",
			args_flag(&c->args, "follow"));
		if (json_is_integer(since))
			json_object_set(hello, "since", (json_t *)since);
		rc = shim_stream_open(jstr(json_object_get(where, "stream"), "socket"), hello, STREAM_HELLO_MS, &s, NULL, &e);
	}
	if (rc == 0)
		rc = follow(s, raw, &e);
	shim_stream_close(s);
	json_decref(where);
	return rc < 0 ? cli_fail(c, &e) : EXIT_DONE;
}
