/* SPDX-License-Identifier: ISC */
/* The connection: order, bounds, half-close, destruction from anywhere. */
#include "base/conn.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "tests/unit/run.h"

static struct loop *l;
static struct conn *c;
static int peer;
static struct buf got;
static int closes, drains, datas;
static char reason[128];
static bool destroy_on_data, destroy_on_close, destroy_on_drain, keep_data, closed_before_data;

static void on_data(void *arg, struct buf *in)
{
	(void)arg;
	datas++;
	closed_before_data = closes > 0;
	if (!keep_data) {
		buf_append(&got, buf_data(in), in->len);
		buf_consume(in, in->len);
	}
	if (destroy_on_data) {
		conn_destroy(c);
		c = NULL;
	}
}
static void on_drain(void *arg)
{
	(void)arg;
	drains++;
	if (destroy_on_drain) {
		conn_destroy(c);
		c = NULL;
	}
}
static void on_close(void *arg, const char *why)
{
	(void)arg;
	closes++;
	snprintf(reason, sizeof(reason), "%s", why);
	if (destroy_on_close) {
		conn_destroy(c);
		c = NULL;
	}
}
static const struct conn_ops ops = {on_data, on_drain, on_close};

static void make(size_t in_max, size_t out_max)
{
	int sp[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sp), 0);
	peer = sp[1];
	c = conn_create(l, sp[0], -1, in_max, out_max, &ops, NULL);
}

static void setup(void)
{
	l = loop_create(NULL);
	buf_init(&got, 16 << 20);
}

static void teardown(void)
{
	conn_destroy(c);
	buf_finish(&got);
	loop_destroy(l);
}

static void say(const char *s)
{
	ck_assert_int_eq(write_all(peer, s, strlen(s)), 0);
}

static void turns(int n)
{
	while (n-- > 0)
		loop_turn(l, 5);
}

START_TEST(bytes_arrive_and_leave)
{
	make(64, 64);
	say("hello");
	loop_turn(l, 1000);
	ck_assert_uint_eq(got.len, 5);
	ck_assert_int_eq(conn_write(c, "world", 5), 0);
	ck_assert_uint_eq(conn_out_pending(c), 0); /* at once */
	char b[8];
	ck_assert_int_eq((int)read(peer, b, 8), 5);
	ck_assert_mem_eq(b, "world", 5);
	ck_assert_int_ge(conn_fd(c), 0);
}
END_TEST

START_TEST(a_message_larger_than_the_bound_is_seen_as_a_full_buffer)
{
	make(8, 8);
	keep_data = true;
	say("0123456789abcdef");
	turns(3);
	ck_assert_int_eq(datas, 1); /* no more until the owner acts */
	keep_data = false;
	conn_kick(c);
	turns(4);
	ck_assert_uint_eq(got.len, 16);
	ck_assert_mem_eq(buf_data(&got), "0123456789abcdef", 16);
}
END_TEST

START_TEST(the_end_comes_after_the_data)
{
	make(64, 64);
	say("last words");
	close(peer);
	turns(3);
	ck_assert_uint_eq(got.len, 10);
	ck_assert_int_eq(closes, 1);
	ck_assert(!closed_before_data);
	ck_assert_str_eq(reason, "");
}
END_TEST

START_TEST(a_slow_peer_meets_the_bound_and_then_drains)
{
	make(64, 1 << 20);
	static char block[65536];
	int64_t total = 0;
	while (conn_write(c, block, sizeof(block)) == 0)
		total += sizeof(block);
	ck_assert_uint_lt(conn_out_room(c), sizeof(block));
	ck_assert_uint_gt(conn_out_pending(c), 0);
	turns(1);
	ck_assert_int_eq(drains, 0);
	fd_set_nonblock(peer);
	while (drains == 0) {
		ssize_t n = read(peer, block, sizeof(block));
		total -= n > 0 ? n : 0;
		loop_turn(l, 5);
	}
	ssize_t n;
	while ((n = read(peer, block, sizeof(block))) > 0)
		total -= n;
	ck_assert_int_eq(total, 0);
	ck_assert_int_eq(drains, 1);
	ck_assert_uint_eq(conn_out_pending(c), 0);
}
END_TEST

START_TEST(paused_reads_nothing_and_resumes)
{
	make(64, 64);
	conn_pause(c, true);
	say("x");
	turns(2);
	ck_assert_int_eq(datas, 0);
	conn_pause(c, false);
	turns(2);
	ck_assert_uint_eq(got.len, 1);
}
END_TEST

static void pause_in_data(void *arg, struct buf *in)
{
	(void)arg;
	datas++;
	buf_append(&got, buf_data(in), 1);
	buf_consume(in, 1);
	conn_pause(c, true);
}
static const struct conn_ops pause_ops = {pause_in_data, on_drain, on_close};

START_TEST(what_was_read_before_a_pause_comes_before_the_end)
{
	int sp[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	c = conn_create(l, sp[0], -1, 64, 64, &pause_ops, NULL);
	ck_assert_int_eq(write_all(sp[1], "ab", 2), 0);
	close(sp[1]);
	turns(3);
	ck_assert_uint_eq(got.len, 1);
	ck_assert_int_eq(closes, 0);
	conn_shutdown(c); /* our own half-close changes nothing of that */
	turns(2);
	ck_assert_int_eq(closes, 0);
	conn_pause(c, false);
	turns(2);
	ck_assert_uint_eq(got.len, 2);
	conn_pause(c, false);
	turns(2);
	ck_assert_int_eq(closes, 1);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_told_from_the_loop_after_its_last_words)
{
	make(64, 64);
	say("bye");
	close(peer);
	ck_assert_int_eq(conn_write(c, "x", 1), 0);
	ck_assert_int_eq(closes, 0); /* never from inside conn_write */
	turns(2);
	ck_assert_int_eq(closes, 1);
	ck_assert_uint_eq(got.len, 3);
	ck_assert_str_eq(reason, "write: Broken pipe");
	ck_assert_int_eq(conn_write(c, "x", 1), 0);
	turns(2);
	ck_assert_int_eq(closes, 1);
}
END_TEST

START_TEST(half_close_both_ways)
{
	make(64, 1 << 20);
	static char block[600000];
	ck_assert_int_eq(conn_write(c, block, sizeof(block)), 0);
	conn_shutdown(c); /* after the bytes */
	ck_assert_int_eq(conn_write(c, "late", 4), 0); /* dropped */
	fd_set_nonblock(peer);
	size_t total = 0;
	ssize_t n = -1;
	for (int i = 0; i < 10000 && n != 0; i++) {
		static char b[65536];
		n = read(peer, b, sizeof(b));
		total += n > 0 ? (size_t)n : 0;
		loop_turn(l, n > 0 ? 0 : 5);
	}
	ck_assert_int_eq((int)n, 0);
	ck_assert_uint_eq(total, sizeof(block));
	say("answer");
	turns(2);
	ck_assert_uint_eq(got.len, 6);
	ck_assert_int_eq(closes, 0);
	close(peer);
	turns(2);
	ck_assert_int_eq(closes, 1);
}
END_TEST

START_TEST(destroying_from_callbacks)
{
	make(64, 64);
	destroy_on_data = true;
	say("x");
	close(peer);
	turns(2);
	ck_assert_ptr_null(c);
	ck_assert_int_eq(closes, 0);
	destroy_on_data = false;
	destroy_on_close = true;
	make(64, 64);
	close(peer);
	turns(2);
	ck_assert_ptr_null(c);
	destroy_on_drain = true;
	make(64, 4 << 20);
	static char block[2 << 20];
	ck_assert_int_eq(conn_write(c, block, sizeof(block)), 0);
	fd_set_nonblock(peer);
	while (c) {
		ssize_t n = read(peer, block, sizeof(block));
		loop_turn(l, n > 0 ? 0 : 5);
	}
	ck_assert_int_eq(drains, 1);
	conn_destroy(NULL);
}
END_TEST

START_TEST(finish_writes_the_rest_then_closes)
{
	make(64, 4 << 20);
	static char block[2 << 20];
	ck_assert_int_eq(conn_write(c, block, sizeof(block)), 0);
	conn_finish(c, 10000);
	c = NULL;
	fd_set_nonblock(peer);
	size_t total = 0;
	ssize_t n = -1;
	while (n != 0) {
		n = read(peer, block, sizeof(block));
		total += n > 0 ? (size_t)n : 0;
		if (n < 0)
			loop_turn(l, 5);
	}
	ck_assert_uint_eq(total, sizeof(block));
	ck_assert_int_eq(closes, 0);
}
END_TEST

START_TEST(finish_gives_up_at_its_deadline)
{
	make(64, 4 << 20);
	static char block[2 << 20];
	ck_assert_int_eq(conn_write(c, block, sizeof(block)), 0);
	conn_finish(c, 20);
	c = NULL;
	loop_turn(l, 1000); /* the deadline is the only event left */
	fd_set_nonblock(peer);
	size_t total = 0;
	ssize_t n;
	while ((n = read(peer, block, sizeof(block))) > 0)
		total += (size_t)n;
	ck_assert_int_eq((int)n, 0); /* closed */
	ck_assert_uint_lt(total, sizeof(block));
}
END_TEST

START_TEST(two_pipes)
{
	int a[2], b[2];
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe2(a, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(b, O_CLOEXEC), 0);
	c = conn_create(l, a[0], b[1], 64, 1 << 20, &ops, NULL);
	ck_assert_int_eq(write_all(a[1], "in", 2), 0);
	turns(2);
	ck_assert_uint_eq(got.len, 2);
	static char block[300000];
	ck_assert_int_eq(conn_write(c, block, sizeof(block)), 0);
	conn_shutdown(c);
	size_t total = 0;
	fd_set_nonblock(b[0]);
	ssize_t n = -1;
	while (n != 0) {
		n = read(b[0], block, sizeof(block));
		total += n > 0 ? (size_t)n : 0;
		if (n < 0)
			loop_turn(l, 5);
	}
	ck_assert_uint_eq(total, sizeof(block));
	ck_assert_int_eq(write_all(a[1], "!", 1), 0);
	close(a[1]);
	turns(3);
	ck_assert_uint_eq(got.len, 3);
	ck_assert_int_eq(closes, 1);
}
END_TEST

START_TEST(descriptors_travel_with_their_bytes)
{
	make(64, 1 << 20);
	struct conn *other = conn_create(l, peer, -1, 64, 64, &ops, NULL);
	conn_accept_fds(other);
	int p1[2], p2[2];
	ck_assert_int_eq(pipe2(p1, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(p2, O_CLOEXEC), 0);
	ck_assert_int_eq(conn_write(c, "a", 1), 0);
	ck_assert_int_eq(conn_write_fd(c, "bc", 2, p1[1]), 0);
	ck_assert_int_eq(conn_write(c, "d", 1), 0);
	ck_assert_int_eq(conn_write_fd(c, "e", 1, p2[1]), 0);
	ck_assert_int_eq(conn_write_fd(c, "", 0, p2[1]), -1);
	while (got.len < 5)
		loop_turn(l, 5);
	ck_assert_mem_eq(buf_data(&got), "abcde", 5);
	int one = conn_take_fd(other), two = conn_take_fd(other);
	ck_assert_int_eq(conn_take_fd(other), -1);
	char b;
	ck_assert_int_eq((int)write(one, "1", 1), 1);
	ck_assert_int_eq((int)write(two, "2", 1), 1);
	ck_assert_int_eq((int)read(p1[0], &b, 1), 1);
	ck_assert_int_eq(b, '1');
	ck_assert_int_eq((int)read(p2[0], &b, 1), 1);
	ck_assert_int_eq(b, '2');
	/* Only so many may wait, in either direction. */
	for (int i = 0; i < CONN_FDS_MAX; i++)
		ck_assert_int_eq(conn_write_fd(c, "f", 1, p1[1]), 0);
	ck_assert_int_eq(conn_write_fd(c, "f", 1, p1[1]), -1);
	while (conn_out_pending(c) > 0)
		loop_turn(l, 5);
	turns(CONN_FDS_MAX + 2); /* one at a time */
	ck_assert_int_eq(closes, 0);
	ck_assert_int_eq(conn_write_fd(c, "g", 1, p1[1]), 0);
	turns(4);
	ck_assert_int_ge(closes, 1);
	ck_assert_str_eq(reason, "read: Too many open files");
	conn_destroy(other);
}
END_TEST

static size_t there(char *out, size_t size)
{
	ssize_t n = recv(peer, out, size, MSG_DONTWAIT);
	return n < 0 ? 0 : (size_t)n;
}

START_TEST(corked_writes_go_out_together_and_in_order)
{
	static char big[100000], in[200000];
	char out[64];

	make(1024, 1 << 20);
	conn_cork(c, true);
	conn_write(c, "one ", 4);
	conn_write(c, "two", 3);
	ck_assert_uint_eq(there(out, sizeof(out)), 0);
	ck_assert_uint_eq(conn_out_pending(c), 7);
	conn_cork(c, false);
	ck_assert_uint_eq(there(out, sizeof(out)), 7);
	ck_assert_mem_eq(out, "one two", 7);
	loop_turn(l, 0);
	ck_assert_int_eq(drains, 1);
	/* What is too large to be gathered takes what was gathered along. */
	memset(big, 'b', sizeof(big));
	conn_cork(c, true);
	conn_write(c, "a", 1);
	conn_write(c, big, sizeof(big));
	conn_write(c, "c", 1);
	conn_cork(c, false);
	size_t n = 0;
	for (int i = 0; i < 100 && n < sizeof(big) + 2; i++) {
		n += there(in + n, sizeof(in) - n);
		loop_turn(l, 0);
	}
	ck_assert_uint_eq(n, sizeof(big) + 2);
	ck_assert_int_eq(in[0], 'a');
	ck_assert_mem_eq(in + 1, big, sizeof(big));
	ck_assert_int_eq(in[n - 1], 'c');
}
END_TEST

/* The kernel takes what it likes of several pieces: nothing of them is lost, doubled or out of its place. */
START_TEST(pieces_arrive_one_behind_the_other)
{
	static char piece[3][300000], in[sizeof(piece) + 16], want[sizeof(piece) + 16];
	static const size_t sizes[][3] = {{3, 5, 2}, {1, 0, 1}, {40, 290000, 2}, {290000, 7, 290000}, {5, 60000, 5536},
		{300000, 300000, 300000}};

	make(1024, 1 << 20);
	for (size_t k = 0; k < sizeof(piece); k++)
		piece[k / sizeof(piece[0])][k % sizeof(piece[0])] = (char)(k * 2654435761u >> 13);
	for (size_t k = 0; k < 2 * ARRAY_LEN(sizes); k++) {
		const size_t *len = sizes[k / 2];
		struct iovec parts[] = {{piece[0], len[0]}, {piece[1], len[1]}, {piece[2], len[2]}};
		size_t n = 0, all = 1;
		want[0] = '<';
		for (int i = 0; i < 3; all += len[i++])
			memcpy(want + all, piece[i], len[i]);
		conn_cork(c, k % 2 == 0);
		ck_assert_int_eq(conn_write(c, "<", 1), 0);
		ck_assert_int_eq(conn_writev(c, parts, 3), 0);
		conn_cork(c, false);
		for (int i = 0; i < 10000 && n < all; i++) {
			n += there(in + n, sizeof(in) - n);
			loop_turn(l, 0);
		}
		ck_assert_uint_eq(n, all);
		ck_assert(memcmp(in, want, all) == 0);
		ck_assert_uint_eq(there(in, 1), 0);
	}
	/* All or nothing. */
	struct iovec much[] = {{piece[0], 300000}, {piece[1], 300000}, {piece[2], 300000}, {piece[0], 300000}};
	ck_assert_int_eq(conn_writev(c, much, 4), -1);
	ck_assert_uint_eq(conn_out_pending(c), 0);
	ck_assert_uint_eq(there(in, 1), 0);
}
END_TEST

TEST_MAIN_FIXTURE("base/conn", setup, teardown, pieces_arrive_one_behind_the_other, corked_writes_go_out_together_and_in_order, bytes_arrive_and_leave,
	a_message_larger_than_the_bound_is_seen_as_a_full_buffer, the_end_comes_after_the_data,
	a_slow_peer_meets_the_bound_and_then_drains, paused_reads_nothing_and_resumes,
	what_was_read_before_a_pause_comes_before_the_end,
	a_peer_that_is_gone_is_told_from_the_loop_after_its_last_words, half_close_both_ways,
	destroying_from_callbacks, finish_writes_the_rest_then_closes,
	finish_gives_up_at_its_deadline, two_pipes, descriptors_travel_with_their_bytes)
