/* SPDX-License-Identifier: ISC */
/* The relay: order, back-pressure, half-close, errors. */
#include "place/egress/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "tests/unit/run.h"

static struct loop *l;
static struct relay *r;
static int left, right; /* the outer ends */
static int ends;
static uint64_t got_up, got_down;

static void on_end(void *arg, uint64_t up, uint64_t down)
{
	(void)arg;
	ends++;
	got_up = up;
	got_down = down;
	r = NULL;
}

static void tcp_pair(int p[2])
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&sa, len), 0);
	ck_assert_int_eq(listen(s, 1), 0);
	getsockname(s, (struct sockaddr *)&sa, &len);
	p[0] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(p[0], (struct sockaddr *)&sa, len), 0);
	p[1] = accept(s, NULL, NULL);
	close(s);
}

static void start(const char *first)
{
	int a[2], b[2];
	l = loop_create(NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
	tcp_pair(b);
	left = a[0];
	right = b[1];
	fd_set_nonblock(left);
	fd_set_nonblock(right);
	r = relay_start(l, a[1], b[0], first, strlen(first), on_end, NULL);
}

static void teardown(void)
{
	relay_destroy(r);
	loop_destroy(l);
}

/* Reads what comes at fd until n bytes or the end (0) stand in out; returns how many. */
static size_t drain(int fd, char *out, size_t n)
{
	size_t len = 0;
	for (int idle = 0; len < n && idle < 40;) {
		ssize_t got = read(fd, out + len, n - len);
		if (got == 0)
			break;
		if (got > 0)
			len += (size_t)got;
		idle = got > 0 ? 0 : idle + 1;
		loop_turn(l, got > 0 ? 0 : 5);
	}
	return len;
}

START_TEST(early_bytes_come_first)
{
	start("early ");
	ck_assert_int_eq(write_all(left, "late", 4), 0);
	char b[16] = {0};
	ck_assert_uint_eq(drain(right, b, 10), 10);
	ck_assert_str_eq(b, "early late");
	ck_assert_int_eq(write_all(right, "back", 4), 0);
	ck_assert_uint_eq(drain(left, b, 4), 4);
	ck_assert_mem_eq(b, "back", 4);
	close(left);
	close(right);
	while (!ends)
		loop_turn(l, 1000);
	ck_assert_uint_eq(got_up, 10);
	ck_assert_uint_eq(got_down, 4);
}
END_TEST

START_TEST(a_slow_reader_stops_the_writer)
{
	start("");
	static char block[65536];
	size_t total = 0;
	for (int idle = 0; idle < 20;) {
		ssize_t n = write(left, block, sizeof(block));
		total += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		loop_turn(l, n > 0 ? 0 : 5);
		ck_assert_uint_lt(total, 64u << 20); /* or it buffers without bound */
	}
	size_t got = 0, n;
	static char sink[1 << 20];
	while ((n = drain(right, sink, sizeof(sink))) > 0)
		got += n;
	ck_assert_uint_eq(got, total);
	/* and it goes on */
	ck_assert_int_eq(write_all(left, "more", 4), 0);
	ck_assert_uint_eq(drain(right, sink, 4), 4);
}
END_TEST

START_TEST(an_end_is_passed_on_and_the_other_way_goes_on)
{
	start("");
	char b[64];
	ck_assert_int_eq(write_all(left, "request", 7), 0);
	ck_assert_int_eq(shutdown(left, SHUT_WR), 0);
	ck_assert_uint_eq(drain(right, b, sizeof(b)), 7); /* up to the end */
	ck_assert_int_eq((int)read(right, b, 1), 0);
	ck_assert_int_eq(ends, 0);
	ck_assert_int_eq(write_all(right, "response", 8), 0);
	close(right);
	ck_assert_uint_eq(drain(left, b, sizeof(b)), 8);
	ck_assert_int_eq((int)read(left, b, 1), 0);
	ck_assert_int_eq(ends, 1);
	ck_assert_uint_eq(got_up, 7);
	ck_assert_uint_eq(got_down, 8);
}
END_TEST

START_TEST(the_last_bytes_reach_a_slow_reader)
{
	start("");
	static char block[1 << 20], sink[4 << 20];
	shutdown(left, SHUT_WR);
	size_t total = 0;
	for (int idle = 0; idle < 20;) {
		ssize_t n = write(right, block, sizeof(block));
		total += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		loop_turn(l, n > 0 ? 0 : 5);
	}
	close(right); /* while the relay still holds some of it */
	loop_turn(l, 20);
	size_t got = 0, n;
	while ((n = drain(left, sink, sizeof(sink))) > 0)
		got += n;
	ck_assert_uint_eq(got, total);
	while (!ends)
		loop_turn(l, 1000);
}
END_TEST

START_TEST(a_reset_ends_both)
{
	start("");
	struct linger now = {1, 0};
	setsockopt(right, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(right);
	while (!ends)
		loop_turn(l, 1000);
	char b;
	ck_assert_int_eq((int)read(left, &b, 1), 0);
	ck_assert_int_eq(ends, 1);
}
END_TEST

START_TEST(an_error_of_the_place_resets_the_remote)
{
	int a[2], b[2];
	l = loop_create(NULL);
	tcp_pair(a);
	tcp_pair(b);
	left = a[0];
	right = b[1];
	r = relay_start(l, a[1], b[0], "", 0, on_end, NULL);
	struct linger now = {1, 0};
	setsockopt(left, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(left);
	while (!ends)
		loop_turn(l, 1000);
	char c;
	ck_assert_int_eq((int)read(right, &c, 1), -1);
	ck_assert_int_eq(errno, ECONNRESET); /* not an orderly end */
}
END_TEST

TEST_MAIN_FIXTURE("egress/relay", NULL, teardown, early_bytes_come_first,
	a_slow_reader_stops_the_writer, an_end_is_passed_on_and_the_other_way_goes_on,
	the_last_bytes_reach_a_slow_reader, a_reset_ends_both,
	an_error_of_the_place_resets_the_remote)
