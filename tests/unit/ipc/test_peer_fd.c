/* SPDX-License-Identifier: ISC */
/* Descriptors on requests, matched by order. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/peer.h"
#include "tests/unit/run.h"

static struct loop *l;
static struct peer *caller, *callee;
static int answers, taken[4], n_taken;

static void on_request(void *arg, struct peer_request *req, const char *method, json_t *params)
{
	(void)arg;
	(void)params;
	if (strcmp(method, "give") == 0)
		taken[n_taken++] = peer_take_fd(callee);
	peer_result(req, NULL);
}
static void on_notification(void *arg, const char *method, json_t *params)
{
	(void)arg;
	(void)method;
	(void)params;
}
static void on_close(void *arg, const char *reason)
{
	(void)arg;
	(void)reason;
}
static const struct peer_ops ops = {on_request, on_notification, on_close};

static void on_reply(void *arg, json_t *result, const struct err *error)
{
	(void)arg;
	ck_assert_ptr_nonnull(result);
	ck_assert_ptr_null(error);
	answers++;
}

START_TEST(a_request_carries_its_descriptor)
{
	int sp[2], one[2], two[2];
	l = loop_create(NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp), 0);
	ck_assert_int_eq(pipe(one), 0);
	ck_assert_int_eq(pipe(two), 0);
	caller = peer_create(l, sp[0], 0, &ops, NULL);
	callee = peer_create(l, sp[1], 0, &ops, NULL);
	peer_accept_fds(callee);
	peer_call_fd(caller, "give", NULL, one[1], 5000, on_reply, NULL);
	peer_call(caller, "other", NULL, 5000, on_reply, NULL);
	peer_call_fd(caller, "give", NULL, two[1], 5000, on_reply, NULL);
	close(one[1]); /* a copy travels */
	while (answers < 3)
		loop_turn(l, 1000);
	ck_assert_int_eq(n_taken, 2);
	char c;
	ck_assert_int_eq((int)write(taken[0], "1", 1), 1);
	ck_assert_int_eq((int)read(one[0], &c, 1), 1);
	ck_assert_int_eq(c, '1');
	ck_assert_int_eq((int)write(taken[1], "2", 1), 1);
	ck_assert_int_eq((int)read(two[0], &c, 1), 1);
	ck_assert_int_eq(c, '2');
	ck_assert_int_eq(peer_take_fd(callee), -1);
	peer_destroy(caller);
	peer_destroy(callee);
	loop_destroy(l);
}
END_TEST

TEST_MAIN("ipc/peer_fd", a_request_carries_its_descriptor)
