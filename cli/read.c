/* SPDX-License-Identifier: ISC */
/*
 * read: the screen as a person sees it (the shim renders that, or its program from the files when it or the
 * daemon is gone), or the recorded bytes (recording.h). Without --raw the bytes are stripped to
 * text. With --json a piece is {"offset", "text"} or, when it is not UTF-8 or asked for --raw,
 * {"offset", "data"} in base64; --follow gives one a line.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/plain.h"
#include "cli/recording.h"
#include "cli/text.h"
#include "ipc/link/frame.h"

#define JSON_BYTES_MAX (64 * 1024 * 1024)
#define PIECE_MAX FRAME_PAYLOAD_MAX

struct reader {
	struct cli *cli;
	bool raw, follow;
	int64_t offset;    /* of the next byte; -1: none was read yet */
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
static int on_bytes(void *arg, uint64_t offset, const void *data, size_t len)
{
	struct reader *r = arg;
	int64_t first = (int64_t)offset;

	if (r->offset >= 0 && first > r->offset)
		cli_note(r->cli, "%lld bytes are missing from offset %lld on.", (long long)(first - r->offset),
			(long long)r->offset);
	if (r->began < 0)
		r->began = first;
	r->offset = first + (int64_t)len;
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

/* The bytes from `since` on (-1: the first kept). */
static int read_bytes(struct reader *r, int64_t since, struct err *e)
{
	const char *id = json_string_value(json_object_get(r->cli->args.params, "id"));

	r->began = r->offset = since;
	return recording_follow(r->cli, id, since, r->follow, on_bytes, r, e);
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

/* The last screen from the files, with the daemon away. */
static int screen_from_files(struct cli *c, json_t **ret, struct err *e)
{
	cleanup_free char *lines = xasprintf("%lld", (long long)jint(c->args.params, "lines"));
	struct source where = {0};
	struct err why = *e;
	struct buf out;
	int fd, status = 0;
	pid_t pid;

	if (source_find(c, jstr(c->args.params, "id"), &where, e) < 0)
		return -1;
	char *argv[] = {NULL, "--render", where.dir, "--lines", lines, NULL};
	int r = recording_child(argv, true, &fd, &pid, e);
	buf_init(&out, JSON_BYTES_MAX);
	if (r == 0) {
		unsigned char *to;
		ssize_t n;
		while ((to = buf_reserve(&out, PIECE_MAX)) && (n = read(fd, to, PIECE_MAX)) > 0)
			buf_added(&out, (size_t)n);
		close(fd);
		waitpid(pid, &status, 0);
		*ret = out.len ? json_loadb((char *)buf_data(&out), out.len, 0, NULL) : NULL;
		if (!*ret) {
			*e = why;
			r = -1;
		}
	}
	buf_finish(&out);
	source_finish(&where);
	return r;
}

static int read_screen(struct cli *c, struct err *e)
{
	json_t *result = NULL;

	if (cli_call_verb(c, &result, e) < 0 && (e->code != ERR_UNREACHABLE || screen_from_files(c, &result, e) < 0))
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
