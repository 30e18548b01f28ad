/* SPDX-License-Identifier: ISC */
/* The way out: clients on the loopback, the test as the egress at the other end of the link. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/conn.h"
#include "place/guest/guest.h"
#include "place/guest/proxy.h"
#include "tests/unit/guest/program_help.h"

struct rig {
	struct loop *loop;
	struct guest guest;
	struct shim_end *end;
};

static struct rig r;

/* Allows every host but denied.example; what is sent comes back in capitals after "[...]". */
static void egress_opened(struct shim_end *e, struct seen *x)
{
	const char *host = json_string_value(json_object_get(x->what, "host"));
	(void)e;
	if (strcmp(host, "silent.example") == 0)
		return;
	if (strcmp(host, "reset.example") == 0) {
		struct err why = { 0 };
		err_set(&why, ERR_UNAVAILABLE, "the egress is away");
		link_reset(x->s, &why);
		x->s = NULL;
	} else if (strcmp(host, "denied.example") == 0) {
		link_send_ctl(x->s, json_pack("{s:{s:s, s:s, s:s}}", "error", "code", "denied", "message",
			"denied.example:443 is not allowed", "hint", "spawn with --allow denied.example:443"));
		link_send_fin(x->s, NULL);
	} else {
		link_send_ctl(x->s, json_pack("{s:b}", "ok", 1));
		link_send(x->s, "welcome\n", 8);
	}
}

static void setup(void)
{
	static const struct link_ops ops = { 0 };
	static const struct link_io_ops io_ops = { 0 };
	struct link_config c = { .side = LINK_GUEST };
	struct err e = { 0 };
	int pair[2];
	signal(SIGPIPE, SIG_IGN);
	memset(&r, 0, sizeof(r));
	r.loop = r.guest.loop = loop_create(&e);
	r.guest.io = link_io_create(r.loop, &c, &ops, &r.guest, &io_ops);
	r.end = end_create(r.loop);
	r.end->opened = egress_opened;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	link_io_attach(r.guest.io, pair[0]);
	link_io_attach(r.end->io, pair[1]);
	json_t *none = json_array();
	ck_assert_msg(proxy_set(&r.guest, true, 0, none, &e) == 0, "%s", e.message);
	json_decref(none);
}

static void teardown(void)
{
	proxy_destroy(r.guest.proxy);
	end_destroy(r.end);
	link_io_destroy(r.guest.io);
	loop_destroy(r.loop);
}

struct client {
	struct conn *c;
	struct buf got;
	bool closed;
};

static void client_data(void *arg, struct buf *in)
{
	struct client *c = arg;
	buf_append(&c->got, buf_data(in), in->len);
	buf_clear(in);
}

static void client_close(void *arg, const char *reason)
{
	(void)reason;
	((struct client *)arg)->closed = true;
}

static void client_start(struct client *c, uint16_t port, const void *data, size_t len)
{
	static const struct conn_ops ops = { .on_data = client_data, .on_close = client_close };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	memset(c, 0, sizeof(*c));
	buf_init(&c->got, 1 << 22);
	c->c = conn_create(r.loop, fd, -1, 65536, 1 << 22, &ops, c);
	conn_write(c->c, data, len);
}

static void client_end(struct client *c)
{
	conn_destroy(c->c);
	buf_finish(&c->got);
}

static bool has(struct client *c, const char *text)
{
	const void *data = buf_data(&c->got);
	return data && memmem(data, c->got.len, text, strlen(text)) != NULL;
}

static void client_text(struct client *c, const char *text)
{
	client_start(c, proxy_port(&r.guest), text, strlen(text));
}

START_TEST(connect_passes_bytes_both_ways)
{
	struct client c;
	client_text(&c, "CONNECT Good.Example:443 HTTP/1.1\r\nHost: good.example:443\r\n\r\nearly");
	WAIT(r.loop, has(&c, "welcome\n"));
	ck_assert_int_eq(strncmp((char *)buf_data(&c.got), "HTTP/1.1 200 ", 13), 0);
	struct seen *x = r.end->seen[0];
	ck_assert_str_eq(json_string_value(json_object_get(x->what, "kind")), "egress");
	ck_assert_str_eq(json_string_value(json_object_get(x->what, "host")), "good.example");
	ck_assert_int_eq(json_integer_value(json_object_get(x->what, "port")), 443);
	WAIT(r.loop, seen_text(x, "early"));
	/* Half-closes pass, too. */
	conn_write(c.c, "late", 4);
	conn_shutdown(c.c);
	WAIT(r.loop, x->fin);
	ck_assert(seen_text(x, "earlylate"));
	WAIT(r.loop, c.closed);
	client_end(&c);
}
END_TEST

START_TEST(plain_http_is_rewritten_for_the_server)
{
	struct client c;
	client_text(&c, "POST http://web.example/a/b?c=d HTTP/1.1\r\nhost: web.example\r\nProxy-Connection: keep-alive\r\n"
		"Connection: keep-alive\r\nProxy-Authorization: Basic xyz\r\nContent-Length: 4\r\n\r\nbody");
	WAIT(r.loop, has(&c, "welcome"));
	struct seen *x = r.end->seen[0];
	WAIT(r.loop, seen_text(x, "body"));
	buf_append(&x->data, "", 1);
	ck_assert_str_eq((char *)buf_data(&x->data), "POST /a/b?c=d HTTP/1.1\r\nhost: web.example\r\n"
		"Content-Length: 4\r\nConnection: close\r\n\r\nbody");
	ck_assert_int_eq(json_integer_value(json_object_get(x->what, "port")), 80);
	client_end(&c);
}
END_TEST

START_TEST(a_refusal_is_a_403_with_the_reason)
{
	struct client c;
	client_text(&c, "CONNECT denied.example:443 HTTP/1.1\r\n\r\n");
	WAIT(r.loop, c.closed);
	ck_assert(has(&c, "HTTP/1.1 403 Forbidden\r\n"));
	ck_assert(has(&c, "denied.example:443 is not allowed; spawn with --allow denied.example:443\n"));
	client_end(&c);
	client_text(&c, "GET http://reset.example/ HTTP/1.1\r\n\r\n");
	WAIT(r.loop, c.closed);
	ck_assert(has(&c, "HTTP/1.1 502 ") && has(&c, "the egress is away"));
	client_end(&c);
	client_text(&c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	WAIT(r.loop, c.closed);
	ck_assert(has(&c, "HTTP/1.1 400 "));
	client_end(&c);
}
END_TEST

static const unsigned char greeting[] = { 5, 2, 0, 2 };

START_TEST(socks_speaks_names_and_addresses)
{
	static const unsigned char name[] = "\x05\x01\x00\x03\x0cgood.example\x01\xbb";
	static const unsigned char v4[] = "\x05\x01\x00\x01\x0a\x01\x02\x03\x00\x50";
	static const unsigned char v6[] = "\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50";
	static const unsigned char denied[] = "\x05\x01\x00\x03\x0e" "denied.example\x01\xbb";
	static const unsigned char bind[] = "\x05\x02\x00\x01\x0a\x01\x02\x03\x00\x50";
	static const struct {
		const unsigned char *text;
		size_t len;
		const char *host;
		unsigned char reply;
	} cases[] = { { name, sizeof(name) - 1, "good.example", 0 }, { v4, sizeof(v4) - 1, "10.1.2.3", 0 },
		{ v6, sizeof(v6) - 1, "2001:db8::1", 0 }, { denied, sizeof(denied) - 1, "denied.example", 2 },
		{ bind, sizeof(bind) - 1, NULL, 7 } };
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct client c;
		int before = r.end->nseen;
		client_start(&c, proxy_port(&r.guest), greeting, sizeof(greeting));
		WAIT(r.loop, c.got.len == 2);
		ck_assert_mem_eq(buf_data(&c.got), "\x05\x00", 2);
		/* In two pieces. */
		conn_write(c.c, cases[i].text, 7);
		loop_turn(r.loop, 10);
		conn_write(c.c, cases[i].text + 7, cases[i].len - 7);
		WAIT(r.loop, c.got.len >= 12);
		ck_assert_uint_eq(buf_data(&c.got)[3], cases[i].reply);
		if (cases[i].host)
			ck_assert_str_eq(json_string_value(json_object_get(r.end->seen[before]->what, "host")),
				cases[i].host);
		if (cases[i].reply == 0)
			WAIT(r.loop, has(&c, "welcome"));
		else
			WAIT(r.loop, c.closed);
		client_end(&c);
	}
}
END_TEST

START_TEST(bytes_in_bulk_are_not_faster_than_their_reader)
{
	struct client c;
	static char block[3000000];
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7 >> 4);
	client_text(&c, "CONNECT good.example:443 HTTP/1.1\r\n\r\n");
	WAIT(r.loop, has(&c, "welcome\n"));
	struct seen *x = r.end->seen[0];
	x->lazy = true;
	conn_write(c.c, block, sizeof(block));
	WAIT(r.loop, x->data.len == LINK_WINDOW);
	while (x->data.len < sizeof(block)) {
		size_t n = x->data.len;
		link_consumed(x->s, 100000);
		WAIT(r.loop, x->data.len > n);
	}
	ck_assert_int_eq(memcmp(buf_data(&x->data), block, sizeof(block)), 0);
	/* And back. */
	buf_clear(&c.got);
	for (size_t sent = 0; sent < sizeof(block);) {
		size_t n = link_room(x->s);
		n = n < sizeof(block) - sent ? n : sizeof(block) - sent;
		link_send(x->s, block + sent, n);
		sent += n;
		loop_turn(r.loop, 10);
	}
	WAIT(r.loop, c.got.len == sizeof(block));
	ck_assert_int_eq(memcmp(buf_data(&c.got), block, sizeof(block)), 0);
	client_end(&c);
}
END_TEST

START_TEST(an_address_of_the_host_appears_on_the_loopback)
{
	struct client c;
	struct err e = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	/* A free port. */
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	uint16_t port = ntohs(in.sin_port);
	json_t *list = json_pack("[o]", json_sprintf("127.0.0.1:%d", port));
	for (int i = 0; i < 2; i++) /* asked for again: the same */
		ck_assert_msg(proxy_set(&r.guest, true, 0, list, &e) == 0, "%s", e.message);
	client_start(&c, port, "hello", 5);
	WAIT(r.loop, has(&c, "welcome"));
	struct seen *x = r.end->seen[0];
	WAIT(r.loop, seen_text(x, "hello"));
	ck_assert_str_eq(json_string_value(json_object_get(x->what, "host")), "127.0.0.1");
	ck_assert_int_eq(json_integer_value(json_object_get(x->what, "port")), port);
	client_end(&c);
	json_array_append_new(list, json_string("10.0.0.1:80"));
	ck_assert_int_eq(proxy_set(&r.guest, true, 0, list, &e), -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	json_array_clear(list);
	ck_assert_int_eq(proxy_set(&r.guest, false, 0, list, &e), 0);
	ck_assert_uint_eq(proxy_port(&r.guest), 0);
	json_decref(list);
}
END_TEST

START_TEST(clients_that_leave_at_any_time_do_no_harm)
{
	static const char request[] = "CONNECT silent.example:443 HTTP/1.1\r\nHost: x\r\n\r\nabc";
	for (size_t n = 0; n <= sizeof(request) - 1; n++) {
		struct client c;
		client_start(&c, proxy_port(&r.guest), request, n);
		for (int i = 0; i < 4; i++)
			loop_turn(r.loop, 0);
		client_end(&c);
	}
	struct client c;
	client_text(&c, "CONNECT good.example:443 HTTP/1.1\r\n\r\n");
	WAIT(r.loop, has(&c, "welcome"));
	client_end(&c);
}
END_TEST

TEST_MAIN_FIXTURE("guest/proxy", setup, teardown, connect_passes_bytes_both_ways,
	plain_http_is_rewritten_for_the_server, a_refusal_is_a_403_with_the_reason,
	socks_speaks_names_and_addresses, bytes_in_bulk_are_not_faster_than_their_reader,
	an_address_of_the_host_appears_on_the_loopback, clients_that_leave_at_any_time_do_no_harm)
