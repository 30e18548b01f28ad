/* SPDX-License-Identifier: ISC */
/*
 * read: the screen as a person sees it (the daemon renders that), or the recorded bytes, which come
 * straight from the shim, or from the files when it is gone. Without --raw the bytes are stripped to
 * text. With --json a piece is {"offset", "text"} or, when it is not UTF-8 or asked for --raw,
 * {"offset", "data"} in base64; --follow gives one a line.
 */
#include <poll.h>
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/plain.h"
#include "cli/recording.h"
#include "cli/text.h"
#include "ipc/link/shim_stream.h"
#include "ipc/rpc.h"

#define JSON_BYTES_MAX (64 * 1024 * 1024)
#define PIECE_MAX FRAME_PAYLOAD_MAX

struct reader {
	struct cli *cli;
	bool raw, follow;
	int64_t offset;    /* of the next byte; -1 when it is not known (an ended one's, from the first) */
	int64_t began;     /* of the first byte that was read */
	struct plain plain;
	struct buf text;   /* one piece, stripped */
	struct buf whole;  /* with --json and without --follow: all of it */
};

/* The screen, without what a person does not see at its end. */
static void print_screen(struct cli *c, const json_t *screen)
{
	cleanup_free char *text = xstrdup(jstr(screen, "text"));
	size_t n = strlen(text);

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	writer_text(&c->w, C_NONE, text);
	if (n > 0)
		fputc('\n', c->w.out);
}

/* A piece as an object; first is the offset of its first byte. */
static json_t *piece_json(const struct reader *r, int64_t first, int64_t end, const void *data, size_t len)
{
	json_t *o = json_pack("{s:o, s:o}", "first", first < 0 ? json_null() : json_integer(first), "offset",
		end < 0 ? json_null() : json_integer(end));
	json_t *text = r->raw ? NULL : json_stringn(len ? data : "", len);

	if (text) {
		json_object_set_new(o, "text", text);
	} else {
		cleanup_free char *b64 = base64_encode(len ? data : "", len);
		json_object_set_new(o, "data", json_string(b64));
	}
	return o;
}

/* Prints bytes of the terminal: 0, or 1 when nobody reads any more. */
static int on_bytes(void *arg, const void *data, size_t len)
{
	struct reader *r = arg;
	int64_t first = r->offset;

	if (first >= 0)
		r->offset += (int64_t)len;
	if (!r->raw) {
		buf_clear(&r->text);
		plain_feed(&r->plain, data, len, &r->text);
		data = buf_data(&r->text);
		len = r->text.len;
	}
	if (r->cli->g.json && r->follow) {
		json_t *o = piece_json(r, first, r->offset, data, len);
		writer_json_line(&r->cli->w, o);
		json_decref(o);
	} else if (r->cli->g.json) {
		return len > 0 && buf_append(&r->whole, data, len) < 0;
	} else if (len > 0) {
		fwrite(data, 1, len, r->cli->w.out);
		if (r->follow)
			fflush(r->cli->w.out);
	}
	return writer_broken(&r->cli->w);
}

/* What a stream's end says, if it is bad. */
static int fin_error(const struct frame *f, struct err *e)
{
	json_t *msg = frame_json(f), *error = json_object_get(msg, "error");
	int r = 0;

	if (json_is_object(error)) {
		err_from_json(error, e);
		r = -1;
	}
	json_decref(msg);
	return r;
}

/* Until the end of the stream, Ctrl-C, or nobody reads. */
static int pump(struct reader *r, struct shim_stream *s, struct err *e)
{
	for (bool ended = false;;) {
		struct frame f;
		int got;
		while ((got = shim_stream_next(s, &f)) > 0) {
			if (f.type == FRAME_DATA && on_bytes(r, f.payload, f.len) != 0)
				return 0;
			if (f.type == FRAME_FIN)
				return fin_error(&f, e);
		}
		if (got < 0)
			return err_set(e, ERR_FAILED, "the stream of the terminal cannot be understood");
		if (ended)
			return err_set(e, ERR_UNREACHABLE, "the place of the terminal went away");
		struct pollfd p = {.fd = shim_stream_fd(s), .events = POLLIN};
		if (client_poll(&p, 1, -1, &cli_stop, e) < 0)
			return cli_stop ? 0 : -1;
		ended = shim_stream_read(s) < 0;
	}
}

static int from_shim(struct reader *r, const json_t *where, const char *socket, int64_t since, struct err *e)
{
	json_t *hello = json_pack("{s:s, s:s, s:b}", "role", "follow", "instance", jstr(where, "instance"),
		"follow", r->follow);
	struct shim_stream *s = NULL;
	json_t *result = NULL;

	if (since >= 0)
		json_object_set_new(hello, "since", json_integer(since));
	if (shim_stream_open(socket, hello, STREAM_HELLO_MS, &s, &result, e) < 0)
		return -1;
	r->began = r->offset = since >= 0 ? since : jint(result, "first");
	json_decref(result);
	int x = pump(r, s, e);
	shim_stream_close(s);
	return x;
}

/* The bytes from `since` on (-1: the first kept). */
static int read_bytes(struct reader *r, int64_t since, struct err *e)
{
	json_t *where = NULL;
	const char *id = json_string_value(json_object_get(r->cli->args.params, "id"));
	int x;

	if (cli_call(r->cli, "read", json_pack("{s:s, s:b}", "id", id, "raw", 1), -1, &where, e) < 0)
		return -1;
	const char *socket = jstr(json_object_get(where, "stream"), "socket");
	if (socket[0]) {
		x = from_shim(r, where, socket, since, e);
	} else {
		r->began = r->offset = since;
		x = recording_read(jstr(where, "recording"), since, on_bytes, r, e);
	}
	json_decref(where);
	return x;
}

static int whole_json(struct reader *r, struct err *e)
{
	if (buf_room(&r->whole) == 0)
		return err_set(e, ERR_LIMIT, "more than 64 MiB are recorded; leave out --json");
	json_t *o = piece_json(r, r->began, r->offset, buf_data(&r->whole), r->whole.len);
	writer_json(&r->cli->w, o);
	json_decref(o);
	return 0;
}

static int read_stream(struct cli *c, struct reader *r, struct err *e)
{
	const json_t *since = json_object_get(c->args.params, "since");
	int64_t from = since ? json_integer_value(since) : -1;

	if (json_object_get(c->args.params, "lines") && (since || r->raw)) {
		err_set(e, ERR_PARAMS, "--lines goes with the screen, not with --since and --raw");
		return -2;
	}
	/* A person that follows sees the screen first, and then what comes. */
	if (r->follow && !since && !r->raw) {
		json_t *screen = NULL, *params = json_copy(c->args.params);
		if (cli_call(c, "read", params, -1, &screen, e) < 0)
			return -1;
		if (c->g.json)
			writer_json_line(&c->w, screen);
		else
			print_screen(c, screen);
		fflush(c->w.out);
		/* Of one that ended this is all: there is nothing to follow. */
		bool more = json_is_integer(json_object_get(screen, "offset"));
		from = jint(screen, "offset");
		json_decref(screen);
		if (!more)
			return 0;
	}
	if (read_bytes(r, from, e) < 0)
		return -1;
	return c->g.json && !r->follow ? whole_json(r, e) : 0;
}

static int read_screen(struct cli *c, struct err *e)
{
	json_t *result = NULL;

	if (cli_call_verb(c, &result, e) < 0)
		return -1;
	if (c->g.json)
		writer_json(&c->w, result);
	else
		print_screen(c, result);
	json_decref(result);
	return 0;
}

int verb_read(struct cli *c)
{
	struct reader r = {.cli = c, .follow = args_flag(&c->args, "follow")};
	struct err e = {0};

	cli_catch_signals();
	r.raw = json_is_true(json_object_get(c->args.params, "raw"));
	buf_init(&r.text, 4 * PIECE_MAX);
	buf_init(&r.whole, JSON_BYTES_MAX);
	int x = r.follow || r.raw || json_object_get(c->args.params, "since") ? read_stream(c, &r, &e)
									      : read_screen(c, &e);
	buf_finish(&r.text);
	buf_finish(&r.whole);
	if (x == -2)
		return cli_fail_usage(c, &e);
	return x < 0 ? cli_fail(c, &e) : EXIT_DONE;
}
