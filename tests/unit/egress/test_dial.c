/* SPDX-License-Identifier: ISC */
/* Connecting to the first of several addresses that answers. */
#include "place/egress/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/run.h"

static struct loop *l;
static int got_fd, calls;
static struct err got_err;

static void on_dialled(void *arg, int fd, const struct err *e)
{
	(void)arg;
	calls++;
	got_fd = fd;
	if (e)
		got_err = *e;
	loop_stop(l);
}

static void setup(void)
{
	l = loop_create(NULL);
	got_fd = -1;
}
static void teardown(void)
{
	loop_destroy(l);
}

/* A socket bound to a free port of 127.0.0.1; listening unless backlog is -1. */
static int bound(int backlog, struct hostport *at)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
	if (backlog >= 0)
		ck_assert_int_eq(listen(fd, backlog), 0);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	ck_assert_int_eq(hostport_set(at, "127.0.0.1", ntohs(sa.sin_port), NULL), 0);
	return fd;
}

START_TEST(falls_back_over_dead_addresses)
{
	struct hostport to[3];
	int dead1 = bound(-1, &to[0]), dead2 = bound(-1, &to[1]), alive = bound(8, &to[2]);
	int64_t took = DIAL_STAGGER_MS;
	/* Refusals are not waited for: two of them would take two staggers each time; a busy machine does not. */
	for (int i = 0; i < 20 && took >= DIAL_STAGGER_MS; i++) {
		if (got_fd >= 0)
			close(got_fd);
		calls = 0;
		got_fd = -1;
		int64_t start = clock_mono_ms();
		dial_start(l, to, 3, on_dialled, NULL);
		ck_assert_int_eq(calls, 0);
		loop_run(l);
		ck_assert_int_ge(got_fd, 0);
		ck_assert_int_eq(calls, 1);
		took = clock_mono_ms() - start;
		if (took >= DIAL_STAGGER_MS)
			close(accept(alive, NULL, NULL));
	}
	ck_assert_int_lt(took, DIAL_STAGGER_MS);
	ck_assert(fcntl(got_fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(got_fd, F_GETFD) & FD_CLOEXEC);
	int c = accept(alive, NULL, NULL);
	ck_assert_int_eq((int)write(got_fd, "x", 1), 1);
	char b;
	ck_assert_int_eq((int)read(c, &b, 1), 1);
	close(dead1);
	close(dead2);
}
END_TEST

START_TEST(a_silent_address_delays_by_the_stagger_only)
{
	/* A full backlog answers nothing on loopback. */
	struct hostport to[2];
	int silent = bound(0, &to[0]), alive = bound(8, &to[1]);
	int64_t fills[8];
	for (int i = 0; i < 8; i++) {
		struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(to[0].port),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		fills[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect((int)fills[i], (struct sockaddr *)&sa, sizeof(sa));
	}
	int64_t start = clock_mono_ms();
	dial_start(l, to, 2, on_dialled, NULL);
	loop_run(l);
	ck_assert_int_ge(got_fd, 0);
	ck_assert_int_ge(clock_mono_ms() - start, DIAL_STAGGER_MS - 5); /* timers go by ticks of 4 ms */
	ck_assert_int_ge(accept(alive, NULL, NULL), 0);
	close(silent);
}
END_TEST

START_TEST(when_all_fail_the_reason_is_told)
{
	struct hostport to[2];
	bound(-1, &to[0]);
	bound(-1, &to[1]);
	dial_start(l, to, 2, on_dialled, NULL);
	loop_run(l);
	ck_assert_int_eq(got_fd, -1);
	ck_assert_int_eq(got_err.code, ERR_UNAVAILABLE);
	ck_assert(got_err.retryable);
	ck_assert_ptr_nonnull(strstr(got_err.message, "Connection refused"));
	ck_assert_ptr_nonnull(strstr(got_err.message, "127.0.0.1:"));
	dial_start(l, to, 0, on_dialled, NULL);
	loop_run(l);
	ck_assert_int_eq(calls, 2);
}
END_TEST

START_TEST(cancelled_is_silent_and_leaks_nothing)
{
	struct hostport to;
	int s = bound(8, &to);
	int before = dup(0);
	close(before);
	dial_cancel(dial_start(l, &to, 1, on_dialled, NULL));
	struct dial *d = dial_start(l, &to, 1, on_dialled, NULL);
	loop_turn(l, 100); /* the attempt is under way, or even there */
	if (calls == 0)
		dial_cancel(d);
	else
		close(got_fd);
	int after = dup(0);
	ck_assert_int_eq(before, after);
	dial_cancel(NULL);
	close(s);
}
END_TEST

TEST_MAIN_FIXTURE("egress/dial", setup, teardown, falls_back_over_dead_addresses,
	a_silent_address_delays_by_the_stagger_only, when_all_fail_the_reason_is_told,
	cancelled_is_silent_and_leaks_nothing)
