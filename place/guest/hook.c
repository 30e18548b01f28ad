/* SPDX-License-Identifier: ISC */
/*
 * The roles that agents run. A hook stands in the agent's way: it never fails, says nothing unless the
 * answer has something for the agent, and gives up at once when nobody listens. When the connection
 * ends without an answer (the shim was replaced) it is tried again: the guest program keeps the next
 * one until the new shim is there.
 *
 * A request for permission waits for the operator's answer, for days if need be (the agent's own dialog can be
 * answered meanwhile, and this process is ended or told so): each connection tells the request again, under the
 * same mark, and asks what was decided.
 */
#include "place/guest/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/client.h"
#include "ipc/rpc.h"

#define HOOK_MS 5000
#define HOOK_IN_MAX (8 * 1024 * 1024) /* read; what is larger is reported without its content */
#define HOOK_BODY_MAX (256 * 1024)    /* sent: the shim keeps reports in memory */
#define HOOK_TRIES 3
#define ONCE_LEN 16 /* marks one report, however often it is told */
#define CALL_MS 120000
#define ASK_EVENT "PermissionRequest"
#define API_WAIT "approvals.wait"
#define ASK_WAIT_MS (7 * 24 * 3600 * 1000) /* the agent program's own bound (daemon/agent/claude.c) is a minute more */
#define ASK_SHORT_MS 1000 /* connections that end sooner are counted, and given up after HOOK_TRIES */
#define ASK_FILE_MAX (64 * 1024) /* of the file that is to be changed, for a diff */
#define SHRINK_LIST 32

static int left(int64_t deadline)
{
	int64_t ms = deadline - clock_mono_ms();

	return ms > 0 ? (int)ms : 0;
}

/* --- the body --- */

/* All of standard input; what is past the bound is read and thrown away, so that the agent can write. */
static void read_stdin(struct buf *b, bool *whole, int64_t deadline)
{
	static char piece[65536];
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	*whole = true;
	while (poll(&p, 1, left(deadline)) > 0) {
		ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		if (buf_append(b, piece, (size_t)n) < 0)
			*whole = false;
	}
	*whole = false;
}

static size_t json_size(const json_t *j)
{
	return json_dumpb(j, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* Cuts at a character's border. */
static json_t *cut_text(const json_t *text, size_t max)
{
	const char *s = json_string_value(text);
	size_t n = max;

	while (n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--;
	cleanup_free char *cut = xasprintf("%.*s...", (int)n, s);
	return json_string(cut);
}

static void shrink(json_t *j, size_t text_max)
{
	const char *key;
	json_t *v;
	void *tmp;
	size_t i;

	json_object_foreach_safe(j, tmp, key, v) {
		if (json_is_string(v) && json_string_length(v) > text_max)
			json_object_set_new(j, key, cut_text(v, text_max));
		else
			shrink(v, text_max);
	}
	while (json_is_array(j) && json_array_size(j) > SHRINK_LIST)
		json_array_remove(j, json_array_size(j) - 1);
	json_array_foreach(j, i, v) {
		if (json_is_string(v) && json_string_length(v) > text_max)
			json_array_set_new(j, i, cut_text(v, text_max));
		else
			shrink(v, text_max);
	}
}

void report_shrink(json_t *body, size_t max)
{
	if (json_size(body) <= max)
		return;
	for (size_t text_max = max / 4; text_max > 64 && json_size(body) > max; text_max /= 4)
		shrink(body, text_max);
	if (json_size(body) > max)
		json_object_clear(body);
	json_object_set_new(body, "truncated", json_true());
}

/* --- what is asked for --- */

/* The file that an edit is about, as it is now: {path, text}, {path, absent}; NULL when it is no text or too large. */
static json_t *present_file(const char *path)
{
	cleanup_free char *text = NULL;
	struct err e = { 0 };
	size_t len;

	if (path[0] != '/')
		return NULL;
	if (access(path, F_OK) < 0)
		return errno == ENOENT ? json_pack("{s:s, s:b}", "path", path, "absent", 1) : NULL;
	if (file_read(path, ASK_FILE_MAX, &text, &len, &e) < 0 || strlen(text) != len || !utf8_valid(text, len))
		return NULL;
	return json_pack("{s:s, s:s}", "path", path, "text", text);
}

/* Beside the body: the digest of the whole arguments, which the body may hold cut, and the file as it is. */
static void describe_ask(const json_t *body, json_t *params)
{
	const json_t *input = json_object_get(body, "tool_input");
	const char *path = json_string_value(json_object_get(input, "file_path"));
	char digest[SHA256_HEX];
	cleanup_free char *text = input ? json_dumps(input, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_t *file = path && (json_object_get(input, "content") || json_object_get(input, "old_string") ||
			json_object_get(input, "edits")) ? present_file(path) : NULL;

	if (text) {
		sha256_hex(text, strlen(text), digest);
		json_object_set_new(params, "digest", json_string(digest));
	}
	if (file)
		json_object_set_new(params, "file", file);
}

/* params: what goes beside the body, of a request for permission; else NULL. */
static json_t *read_body(json_t *params, int64_t deadline)
{
	struct buf b;
	bool whole;
	json_t *body;

	buf_init(&b, HOOK_IN_MAX);
	read_stdin(&b, &whole, deadline);
	body = whole ? json_loadb((char *)buf_data(&b), b.len, 0, NULL) : NULL;
	buf_finish(&b);
	if (json_is_object(body)) {
		if (params)
			describe_ask(body, params);
		json_object_del(body, "tool_response"); /* whole files, which nobody reads here: the transcript has them */
		report_shrink(body, HOOK_BODY_MAX);
		return body;
	}
	json_decref(body);
	return json_pack("{s:b}", whole ? "malformed" : "truncated", 1);
}

/* --- asking --- */

/* 1 when all is sent, 0 when the connection ended before, -1 at the deadline. */
static int send_all(int fd, const struct buf *b, int64_t deadline)
{
	for (size_t at = 0; at < b->len;) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		ssize_t n = send(fd, buf_data(b) + at, b->len - at, MSG_NOSIGNAL);
		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return 0; /* the stream behind it was the replaced shim's */
		else if (poll(&p, 1, left(deadline)) <= 0)
			return -1;
	}
	return 1;
}

/* 1 with an answer's line in b, 0 when the connection ended without one, -1 at the deadline. */
static int receive_line(int fd, struct buf *b, int64_t deadline)
{
	const char *line;
	size_t len;
	int r;

	while ((r = rpc_next_line(b, &line, &len)) == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		unsigned char *to = buf_reserve(b, 4096);
		if (!to || poll(&p, 1, left(deadline)) <= 0)
			return -1;
		ssize_t n = read(fd, to, 4096);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return 0;
		buf_added(b, (size_t)n);
	}
	return r;
}

static int ask(const char *path, const struct buf *request, struct buf *reply, int64_t deadline)
{
	cleanup_close int fd = -1;

	if (sock_connect(path, &fd, NULL) < 0)
		return -1;
	int sent = send_all(fd, request, deadline);
	return sent > 0 ? receive_line(fd, reply, deadline) : sent;
}

static void print_output(const struct buf *reply)
{
	const char *line, *text;
	size_t len;

	if (rpc_next_line(reply, &line, &len) <= 0)
		return;
	json_t *j = json_loadb(line, len, 0, NULL);
	const json_t *output = json_object_get(json_object_get(j, "result"), "output");
	text = json_string_value(output);
	if (text)
		fputs(text, stdout);
	else if (output && !json_is_null(output))
		json_dumpf(output, stdout, JSON_COMPACT);
	json_decref(j);
}

static int write_call(struct buf *out, int number, const char *method, json_t *params)
{
	json_t *id = json_integer(number);
	int r = rpc_write_request(out, id, method, params);

	json_decref(id);
	return r;
}

/* One connection: the request is told, then its answer is waited for. As receive_line. */
static int ask_decided(const char *path, const struct buf *report, const struct buf *wait, struct buf *reply,
	int64_t deadline)
{
	cleanup_close int fd = -1;
	const char *line;
	size_t len;

	if (sock_connect(path, &fd, NULL) < 0)
		return -1;
	int r = send_all(fd, report, deadline);
	if (r > 0)
		r = receive_line(fd, reply, deadline);
	if (r <= 0)
		return r;
	if (rpc_next_line(reply, &line, &len) > 0)
		buf_consume(reply, len + 1);
	r = send_all(fd, wait, deadline);
	return r > 0 ? receive_line(fd, reply, deadline) : r;
}

static int wait_decided(const char *path, const char *once, const struct buf *report, struct buf *reply)
{
	int64_t deadline = clock_mono_ms() + ASK_WAIT_MS;
	json_t *params = json_pack("{s:s}", "once", once);
	struct buf wait;
	int r = 0, ended = 0;

	buf_init(&wait, RPC_LINE_MAX);
	if (write_call(&wait, 2, API_WAIT, params) < 0)
		r = -1;
	while (r == 0 && ended < HOOK_TRIES) {
		int64_t begun = clock_mono_ms();

		buf_clear(reply);
		r = ask_decided(path, report, &wait, reply, deadline);
		ended = clock_mono_ms() - begun < ASK_SHORT_MS ? ended + 1 : 0;
	}
	json_decref(params);
	buf_finish(&wait);
	return r;
}

/* A tool begins or ends, and it is none of those that mean more. */
static bool is_step(const json_t *body, char *const *unless)
{
	const char *tool = json_string_value(json_object_get(body, "tool_name"));

	if (!unless || !tool)
		return false;
	while (*unless && strcmp(*unless, tool) != 0)
		unless++;
	return !*unless;
}

int hook_main(const char *event, char *const *step)
{
	const char *path = getenv("TMUX_CLAUDE_SOCKET");
	int64_t deadline = clock_mono_ms() + HOOK_MS;
	struct buf request, reply;
	bool asks = event && !strcmp(event, ASK_EVENT);
	json_t *params;

	if (!path || !*path || !event)
		return 0;
	char once[ONCE_LEN + 1];
	random_id(once, ONCE_LEN);
	params = json_pack("{s:s, s:s}", "event", event, "once", once);
	if (!params)
		return 0; /* an event that is not UTF-8 */
	json_object_set_new(params, "body", read_body(asks ? params : NULL, deadline));
	if (is_step(json_object_get(params, "body"), step))
		json_object_set_new(params, "step", json_true());
	buf_init(&request, RPC_LINE_MAX);
	buf_init(&reply, RPC_LINE_MAX);
	int r = write_call(&request, 1, "report", params) < 0 ? -1 : 0;
	for (int i = 0; i < HOOK_TRIES && r == 0 && !asks; i++) {
		buf_clear(&reply);
		r = ask(path, &request, &reply, deadline);
	}
	if (asks && r == 0)
		r = wait_decided(path, once, &request, &reply);
	if (r > 0)
		print_output(&reply);
	json_decref(params);
	buf_finish(&request);
	buf_finish(&reply);
	return 0;
}

static int call_failed(const struct err *e, int status)
{
	fprintf(stderr, "tmux-claude-guest: %s%s%s\n", e->message, *e->hint ? "; " : "", e->hint);
	return status;
}

int call_main(const char *method, const char *params)
{
	const char *path = getenv("TMUX_CLAUDE_SOCKET");
	json_t *j = params ? json_loads(params, JSON_REJECT_DUPLICATES, NULL) : json_object(), *result;
	struct client *c;
	struct err e = { 0 };

	if (!json_is_object(j)) {
		json_decref(j);
		err_set(&e, ERR_PARAMS, "the parameters are not a JSON object");
		return call_failed(&e, 2);
	}
	if (!path || !*path) {
		json_decref(j);
		err_set(&e, ERR_UNREACHABLE, "TMUX_CLAUDE_SOCKET is not set: this is not inside an instance");
		return call_failed(&e, 3);
	}
	if (client_connect(path, &c, &e) < 0) {
		json_decref(j);
		return call_failed(&e, 3);
	}
	int r = client_call(c, method, j, CALL_MS, NULL, &result, &e);
	client_close(c);
	if (r < 0)
		return call_failed(&e, e.code == ERR_UNREACHABLE ? 3 : 1);
	json_dumpf(result, stdout, JSON_INDENT(1) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(result);
	return 0;
}
