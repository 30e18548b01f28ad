/* SPDX-License-Identifier: ISC */
/* The connection of both ends: pipelining, bounds both ways, deadlines, ends, and the blocking client. */
#include "ipc/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"
#include "ipc/client.h"
#include "tests/unit/run.h"

#define TURN_MS 5000
#define FLOOD 1500

static struct loop *loop;

/* One end under test on the loop; the other is a bare socket (raw) or another peer. */
struct end {
	struct peer *peer;
	struct peer_request *held[2048];
	size_t nheld, requests, notifications, abandoned, closed;
	bool hold, release;
	char reason[128], last[128];
	int released;
	struct buf rest;
};

static void on_abandon(void *arg)
{
	((struct end *)arg)->abandoned++;
}

static void on_request(void *arg, struct peer_request *req, const char *method, json_t *params)
{
	struct end *end = arg;

	end->requests++;
	str_fmt(end->last, sizeof(end->last), "%s", method);
	if (end->hold) {
		ck_assert_uint_lt(end->nheld, ARRAY_LEN(end->held));
		peer_request_on_abandon(req, on_abandon, end);
		end->held[end->nheld++] = req;
	} else if (strcmp(method, "fail") == 0) {
		struct err e = {0};
		err_set(&e, ERR_NOT_FOUND, "no such thing");
		err_hint(&e, "look elsewhere");
		peer_error(req, &e);
	} else if (strcmp(method, "big") == 0) {
		char *text = xcalloc(RPC_LINE_MAX + 1, 1);
		memset(text, 'x', RPC_LINE_MAX);
		peer_result(req, json_pack("{s:o}", "text", json_string(text)));
		free(text);
	} else if (strcmp(method, "destroy") == 0) {
		peer_result(req, NULL);
		peer_destroy(end->peer);
		end->peer = NULL;
	} else if (end->release) {
		peer_result(req, NULL);
		end->released = peer_release(end->peer, &end->rest, NULL);
		end->peer = NULL;
	} else {
		peer_result(req, params ? json_incref(params) : NULL);
	}
}

static void on_notification(void *arg, const char *method, json_t *params)
{
	struct end *end = arg;
	(void)params;
	end->notifications++;
	str_fmt(end->last, sizeof(end->last), "%s", method);
}

static void on_close(void *arg, const char *reason)
{
	struct end *end = arg;
	end->closed++;
	str_fmt(end->reason, sizeof(end->reason), "%s", reason);
}

static const struct peer_ops ops = {
	.on_request = on_request, .on_notification = on_notification, .on_close = on_close};

static void setup(void)
{
	loop = loop_create(NULL);
	ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
	loop_destroy(loop);
}

/* Turns the loop until cond holds; the deadline is the test's own. */
#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		while (!(cond))                                                                    \
			loop_turn(loop, TURN_MS);                                                  \
	} while (0)

static int start(struct end *end, size_t out_max)
{
	int sv[2];

	*end = (struct end){.released = -1};
	buf_init(&end->rest, 4096);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	end->peer = peer_create(loop, sv[0], out_max, &ops, end);
	return sv[1];
}

static void put(int fd, const char *text)
{
	ck_assert_int_eq(write_all(fd, text, strlen(text)), 0);
}

/* Reads one line of the other end and nothing behind it, turning the loop meanwhile. */
static json_t *get(int fd)
{
	static char line[RPC_LINE_MAX + 2];
	size_t n = 0;
	char *nl = NULL;

	while (!nl) {
		ssize_t r = recv(fd, line + n, sizeof(line) - n, MSG_PEEK | MSG_DONTWAIT);
		if (r == 0)
			return NULL;
		if (r < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			loop_turn(loop, 100);
			continue;
		}
		nl = memchr(line + n, '\n', (size_t)r);
		size_t mine = nl ? (size_t)(nl + 1 - line) - n : (size_t)r;
		ck_assert_int_eq((int)recv(fd, line + n, mine, MSG_DONTWAIT), (int)mine);
		n += mine;
	}
	json_t *o = json_loadb(line, n, 0, NULL);
	ck_assert_ptr_nonnull(o);
	return o;
}

static void get_error(int fd, const char *code, bool null_id)
{
	json_t *o = get(fd);
	ck_assert_ptr_nonnull(o);
	json_t *data = json_object_get(json_object_get(o, "error"), "data");
	ck_assert_str_eq(json_string_value(json_object_get(data, "code")), code);
	ck_assert_int_eq(json_is_null(json_object_get(o, "id")), null_id);
	json_decref(o);
}

#define PING "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\"\xc3\xa4\"}}\n"

START_TEST(a_request_is_answered_at_every_split)
{
	for (size_t cut = 0; cut <= strlen(PING); cut++) {
		struct end end;
		int fd = start(&end, 0);
		ck_assert_int_eq(write_all(fd, PING, cut), 0);
		if (cut > 0)
			loop_turn(loop, TURN_MS);
		put(fd, &PING[cut]);
		json_t *o = get(fd);
		ck_assert_str_eq(
			json_string_value(json_object_get(json_object_get(o, "result"), "x")), "\xc3\xa4");
		json_decref(o);
		peer_destroy(end.peer);
		close(fd);
	}
}
END_TEST

START_TEST(a_request_byte_by_byte)
{
	struct end end;
	int fd = start(&end, 0);

	for (size_t i = 0; i < strlen(PING); i++) {
		ck_assert_int_eq(write_all(fd, &PING[i], 1), 0);
		loop_turn(loop, TURN_MS);
	}
	json_decref(get(fd));
	ck_assert_uint_eq(end.requests, 1);
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_turn)
{
	struct end end;
	int fd = start(&end, 0);
	struct buf b;

	buf_init(&b, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ping\"}\n\r\n\n", i);
	put(fd, (buf_append(&b, "", 1), (char *)buf_data(&b)));
	for (int i = 0; i < 1000; i++) {
		json_t *o = get(fd);
		ck_assert_int_eq(json_integer_value(json_object_get(o, "id")), i);
		json_decref(o);
	}
	ck_assert_uint_eq(end.requests, 1000);
	buf_finish(&b);
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

START_TEST(bad_lines_are_answered_and_the_connection_lives)
{
	struct end end;
	int fd = start(&end, 0);

	put(fd, "nonsense\n");
	get_error(fd, "parse_error", true);
	put(fd, "[" PING);
	get_error(fd, "parse_error", true);
	put(fd, "[]\n");
	get_error(fd, "invalid_request", true);
	put(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}\n");
	get_error(fd, "parse_error", true);
	put(fd, "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}\n");
	get_error(fd, "invalid_request", false);
	put(fd, PING);
	json_decref(get(fd));
	ck_assert_uint_eq(end.requests, 1);
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

START_TEST(an_oversized_line_ends_the_connection_with_a_reason)
{
	struct end end;
	int fd = start(&end, 0);
	char *text = xcalloc(RPC_LINE_MAX, 1);
	size_t sent = 0;

	memset(text, 'x', RPC_LINE_MAX);
	fd_set_nonblock(fd);
	while (sent < RPC_LINE_MAX) {
		ssize_t n = write(fd, text + sent, RPC_LINE_MAX - sent);
		if (n > 0)
			sent += (size_t)n;
		else
			loop_turn(loop, 100);
	}
	get_error(fd, "too_large", true);
	UNTIL(end.closed);
	ck_assert(strstr(end.reason, "1 MiB"));
	ck_assert_ptr_null(get(fd));
	free(text);
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

START_TEST(what_was_sent_before_an_end_is_heard)
{
	struct end end;
	int fd = start(&end, 0);

	struct buf b;

	buf_init(&b, 1 << 16);
	for (int i = 0; i < 500; i++)
		buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"method\":\"event\"}\n");
	ck_assert_int_eq(write_all(fd, buf_data(&b), b.len), 0);
	close(fd);
	buf_finish(&b);
	UNTIL(end.closed);
	ck_assert_uint_eq(end.notifications, 500);
	ck_assert_str_eq(end.reason, "");
	ck_assert_uint_eq(end.closed, 1);
	peer_destroy(end.peer);
}
END_TEST

START_TEST(a_half_closed_client_still_gets_its_answer)
{
	struct end end;
	int fd = start(&end, 0);

	put(fd, PING);
	shutdown(fd, SHUT_WR);
	json_t *o = get(fd);
	ck_assert_ptr_nonnull(o);
	json_decref(o);
	UNTIL(end.closed);
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

START_TEST(a_slow_reader_is_disconnected_not_waited_for)
{
	struct end end;
	int fd = start(&end, 256 * 1024), r = 0, sent = 0;
	char *text = xcalloc(60001, 1);

	memset(text, 'x', 60000);
	while (r == 0 && sent < 1000) {
		r = peer_notify(end.peer, "event", json_pack("{s:s}", "t", text));
		sent++;
	}
	ck_assert_int_eq(r, -1);
	ck_assert_int_lt(sent, 1000);
	ck_assert_uint_eq(end.closed, 0);
	UNTIL(end.closed);
	ck_assert(strstr(end.reason, "does not read"));
	free(text);
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

START_TEST(a_flood_of_requests_is_held_back)
{
	struct end end;
	int fd = start(&end, 0);
	struct buf b;

	end.hold = true;
	buf_init(&b, 1 << 18);
	for (int i = 0; i < FLOOD; i++)
		buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"ping\"}\n", i);
	fd_set_nonblock(fd);
	while (b.len > 0) {
		ssize_t n = write(fd, buf_data(&b), b.len);
		if (n > 0)
			buf_consume(&b, (size_t)n);
		else
			loop_turn(loop, TURN_MS);
	}
	buf_finish(&b);
	UNTIL(end.requests >= 1024);
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 0);
	ck_assert_uint_eq(end.requests, 1024);
	/* One answer lets one more in. */
	peer_result(end.held[0], NULL);
	UNTIL(end.requests == 1025);
	end.hold = false;
	for (size_t i = 1; i < end.nheld; i++)
		peer_result(end.held[i], NULL);
	UNTIL(end.requests == FLOOD);
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

START_TEST(a_requester_that_does_not_read_is_held_back)
{
	struct end end;
	int fd = start(&end, 64 * 1024);
	struct buf b;

	/* Every answer repeats the 20 kB it was asked with; nothing is read until all was offered. */
	buf_init(&b, 64 * 1024);
	buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\"");
	for (int i = 0; i < 20000; i++)
		buf_append(&b, "x", 1);
	buf_printf(&b, "\"}}\n");
	fd_set_nonblock(fd);
	size_t offered = 0, total = 200 * b.len, answers = 0;
	while (answers < 200) {
		size_t at = offered % b.len;
		ssize_t n = offered < total ? write(fd, buf_data(&b) + at, b.len - at) : -1;
		if (n > 0) {
			offered += (size_t)n;
			continue;
		}
		loop_turn(loop, 0);
		if (offered == total || n < 0) {
			json_t *o = get(fd);
			ck_assert_msg(o, "disconnected: %s", end.reason);
			json_decref(o);
			answers++;
		}
	}
	ck_assert_uint_eq(end.closed, 0);
	buf_finish(&b);
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

/* What a handler wrote as text is the result, of any length up to a line's; a longer one is an error. */
START_TEST(a_result_that_is_text_is_sent_whole)
{
	static const size_t sizes[] = {2, 3, 1000, 65000, 65536, 200000, 700000, RPC_LINE_MAX - 40};
	struct end end;
	int fd = start(&end, 0);

	end.hold = true;
	for (size_t k = 0; k <= ARRAY_LEN(sizes); k++) {
		size_t len = k < ARRAY_LEN(sizes) ? sizes[k] : RPC_LINE_MAX - 20;
		struct buf text;
		end.nheld = 0;
		put(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
		UNTIL(end.nheld == 1);
		buf_init(&text, RPC_LINE_MAX);
		buf_append(&text, "\"", 1);
		while (text.len < len - 1)
			buf_append(&text, &"abcdefghijklmnopqrstuvw"[text.len % 23], 1);
		buf_append(&text, "\"", 1);
		peer_result_text(end.held[0], &text);
		json_t *o = get(fd);
		if (k < ARRAY_LEN(sizes)) {
			ck_assert_uint_eq(json_string_length(json_object_get(o, "result")), len - 2);
			ck_assert_mem_eq(json_string_value(json_object_get(o, "result")), buf_data(&text) + 1, len - 2);
		} else {
			ck_assert_ptr_nonnull(json_object_get(o, "error"));
		}
		json_decref(o);
		buf_finish(&text);
	}
	peer_destroy(end.peer);
	close(fd);
}
END_TEST

/* Both ends are peers. */

struct reply {
	int calls;
	enum err_code code;
	char text[128];
	struct peer *destroy;
};

static void on_reply(void *arg, json_t *result, const struct err *error)
{
	struct reply *r = arg;

	r->calls++;
	ck_assert((result == NULL) != (error == NULL));
	if (error) {
		r->code = error->code;
		str_fmt(r->text, sizeof(r->text), "%s|%s", error->message, error->hint);
	}
	if (r->destroy)
		peer_destroy(take_ptr(r->destroy));
}

static void pair(struct end *a, struct end *b)
{
	int sv[2];

	*a = *b = (struct end){.released = -1};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	a->peer = peer_create(loop, sv[0], 0, &ops, a);
	b->peer = peer_create(loop, sv[1], 0, &ops, b);
}

START_TEST(calls_go_both_ways_and_errors_arrive_whole)
{
	struct end a, b;
	struct reply ra = {0}, rb = {0}, big = {0}, large = {0};

	pair(&a, &b);
	peer_call(a.peer, "ping", json_pack("{s:i}", "n", 1), 1000, on_reply, &ra);
	peer_call(b.peer, "fail", NULL, 1000, on_reply, &rb);
	ck_assert_int_eq(ra.calls, 0);
	UNTIL(ra.calls && rb.calls);
	ck_assert_int_eq(ra.code, 0);
	ck_assert_int_eq(rb.code, ERR_NOT_FOUND);
	ck_assert_str_eq(rb.text, "no such thing|look elsewhere");
	/* A result too long for a line is an error, not a silence. */
	peer_call(a.peer, "big", NULL, 1000, on_reply, &big);
	UNTIL(big.calls);
	ck_assert_int_eq(big.code, ERR_LIMIT);
	char *text = xcalloc(RPC_LINE_MAX + 1, 1);
	memset(text, 'x', RPC_LINE_MAX);
	peer_call(a.peer, "ping", json_pack("{s:s}", "n", text), 1000, on_reply, &large);
	ck_assert_int_eq(large.calls, 0);
	UNTIL(large.calls);
	ck_assert_int_eq(large.code, ERR_LIMIT);
	free(text);
	peer_destroy(a.peer);
	peer_destroy(b.peer);
}
END_TEST

START_TEST(deadlines_are_kept_and_late_answers_ignored)
{
	struct end a, b;
	struct reply soon = {0}, later = {0};

	pair(&a, &b);
	b.hold = true;
	peer_call(a.peer, "one", NULL, 100000, on_reply, &later);
	peer_call(a.peer, "two", NULL, 20, on_reply, &soon);
	UNTIL(soon.calls && b.requests == 2);
	ck_assert_int_eq(soon.code, ERR_TIMEOUT);
	ck_assert_int_eq(later.calls, 0);
	peer_result(b.held[1], NULL);
	peer_result(b.held[0], NULL);
	UNTIL(later.calls);
	ck_assert_int_eq(soon.calls, 1);
	ck_assert_int_eq(later.code, 0);
	peer_destroy(a.peer);
	peer_destroy(b.peer);
}
END_TEST

START_TEST(an_end_fails_calls_and_abandons_requests)
{
	struct end a, b;
	struct reply r = {0}, after = {0};

	pair(&a, &b);
	b.hold = true;
	peer_call(a.peer, "one", NULL, -1, on_reply, &r);
	UNTIL(b.requests == 1);
	peer_destroy(a.peer);
	ck_assert_int_eq(r.calls, 0);
	UNTIL(b.closed);
	ck_assert_uint_eq(b.abandoned, 1);
	ck_assert_ptr_null(peer_request_peer(b.held[0]));
	peer_call(b.peer, "late", NULL, 1000, on_reply, &after);
	ck_assert_int_eq(after.calls, 0);
	UNTIL(after.calls);
	ck_assert_int_eq(after.code, ERR_UNREACHABLE);
	peer_destroy(b.peer);
	peer_result(b.held[0], NULL);

	pair(&a, &b);
	b.hold = true;
	peer_call(a.peer, "one", NULL, -1, on_reply, &r);
	UNTIL(b.requests == 1);
	peer_destroy(b.peer);
	ck_assert_uint_eq(b.abandoned, 1);
	UNTIL(a.closed);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.code, ERR_UNREACHABLE);
	peer_result(b.held[0], NULL);
	peer_destroy(a.peer);
}
END_TEST

START_TEST(a_callback_may_destroy_its_peer)
{
	struct end a, b;
	struct reply r = {0};

	pair(&a, &b);
	r.destroy = a.peer;
	peer_call(a.peer, "destroy", NULL, 1000, on_reply, &r);
	peer_call(a.peer, "never", NULL, 1000, on_reply, &r);
	UNTIL(r.calls);
	ck_assert_ptr_null(b.peer);
	ck_assert_uint_eq(b.requests, 1);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, 0);
	ck_assert_int_eq(r.calls, 1);
}
END_TEST

START_TEST(a_descriptor_is_released_with_what_was_read)
{
	struct end end;
	int fd = start(&end, 0);

	end.release = true;
	put(fd, PING "BINARY\x01");
	UNTIL(end.released >= 0);
	json_decref(get(fd));
	ck_assert_uint_eq(end.rest.len, 7);
	ck_assert_mem_eq(buf_data(&end.rest), "BINARY\x01", 7);
	put(end.released, "frames");
	char back[8];
	ck_assert_int_eq(read(fd, back, sizeof(back)), 6);
	ck_assert_uint_eq(end.closed, 0);
	close(end.released);
	close(fd);
	buf_finish(&end.rest);
}
END_TEST

/* The blocking client, against a server in a child. */

static void serve(const char *path, int ready)
{
	struct end end = {.released = -1};
	int listener, fd;

	loop_destroy(loop);
	setup();
	ck_assert_int_eq(sock_listen(path, 0600, &listener, NULL), 0);
	ck_assert_int_eq(write(ready, "x", 1), 1);
	struct pollfd p = {.fd = listener, .events = POLLIN};
	ck_assert_int_eq(poll(&p, 1, TURN_MS), 1);
	fd = sock_accept(listener);
	end.peer = peer_create(loop, fd, 0, &ops, &end);
	while (!end.closed) {
		loop_turn(loop, TURN_MS);
		if (strcmp(end.last, "notify") == 0) {
			end.last[0] = '\0';
			for (int i = 0; i < 3; i++)
				peer_notify(end.peer, "event", json_pack("{s:i}", "seq", i));
		}
		end.hold = end.requests >= 3;
	}
	_exit(0);
}

static void count_events(void *arg, const char *method, json_t *params)
{
	int *n = arg;
	ck_assert_str_eq(method, "event");
	ck_assert_int_eq(json_integer_value(json_object_get(params, "seq")), *n);
	++*n;
}

START_TEST(the_blocking_client)
{
	char dir[] = "/tmp/tc-peer-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(dir));
	cleanup_free char *path = xasprintf("%s/s", dir);
	struct client *c = NULL;
	struct err e = {0};
	json_t *result = NULL;
	int ready[2], events = 0, status;
	char one;

	ck_assert_int_eq(client_connect(path, &c, &e), -1);
	ck_assert_int_eq(e.code, ERR_UNREACHABLE);
	ck_assert_int_eq(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0)
		serve(path, ready[1]);
	ck_assert_int_eq(read(ready[0], &one, 1), 1);
	ck_assert_int_eq(client_connect(path, &c, &e), 0);
	client_on_notify(c, count_events, &events);
	ck_assert_int_eq(client_call(c, "ping", json_pack("{s:i}", "n", 5), TURN_MS, NULL, &result, &e), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(result, "n")), 5);
	json_decref(result);
	ck_assert_int_eq(client_call(c, "fail", NULL, TURN_MS, NULL, &result, &e), -1);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	ck_assert_str_eq(e.hint, "look elsewhere");
	/* Events that come with an answer are seen before or after it, never lost. */
	ck_assert_int_eq(client_call(c, "notify", NULL, TURN_MS, NULL, &result, &e), 0);
	json_decref(result);
	while (events < 3)
		ck_assert_int_eq(client_pump(c, 20, NULL, &e), 0);
	/* Held: the deadline, then a stop that was asked for. */
	ck_assert_int_eq(client_call(c, "held", NULL, 30, NULL, &result, &e), -1);
	ck_assert_int_eq(e.code, ERR_TIMEOUT);
	volatile int stop = 1;
	ck_assert_int_eq(client_call(c, "held", NULL, -1, &stop, &result, &e), -1);
	ck_assert_int_eq(e.code, ERR_CANCELLED);
	char *text = xcalloc(RPC_LINE_MAX + 1, 1);
	memset(text, 'x', RPC_LINE_MAX);
	ck_assert_int_eq(
		client_call(c, "ping", json_pack("{s:s}", "t", text), TURN_MS, NULL, &result, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	free(text);
	client_close(c);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	tree_remove(dir, NULL);
	close(ready[0]);
	close(ready[1]);
}
END_TEST

START_TEST(the_blocking_client_says_that_the_daemon_went)
{
	char dir[] = "/tmp/tc-peer-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(dir));
	cleanup_free char *path = xasprintf("%s/s", dir);
	struct client *c = NULL;
	struct err e = {0};
	json_t *result = NULL;
	int listener;

	ck_assert_int_eq(sock_listen(path, 0600, &listener, NULL), 0);
	ck_assert_int_eq(client_connect(path, &c, &e), 0);
	int fd = sock_accept(listener);
	put(fd, "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}\nhalf a li");
	close(fd);
	ck_assert_int_eq(client_call(c, "ping", NULL, TURN_MS, NULL, &result, &e), -1);
	ck_assert_int_eq(e.code, ERR_UNREACHABLE);
	client_close(c);
	tree_remove(dir, NULL);
	close(listener);
}
END_TEST

TEST_MAIN_FIXTURE("ipc/peer", setup, teardown, a_request_is_answered_at_every_split,
	a_request_byte_by_byte, pipelined_requests_are_answered_in_turn,
	bad_lines_are_answered_and_the_connection_lives,
	an_oversized_line_ends_the_connection_with_a_reason, what_was_sent_before_an_end_is_heard,
	a_half_closed_client_still_gets_its_answer, a_slow_reader_is_disconnected_not_waited_for,
	a_flood_of_requests_is_held_back, a_requester_that_does_not_read_is_held_back, a_result_that_is_text_is_sent_whole,
	calls_go_both_ways_and_errors_arrive_whole, deadlines_are_kept_and_late_answers_ignored,
	an_end_fails_calls_and_abandons_requests, a_callback_may_destroy_its_peer,
	a_descriptor_is_released_with_what_was_read, the_blocking_client,
	the_blocking_client_says_that_the_daemon_went)
