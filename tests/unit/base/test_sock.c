/* SPDX-License-Identifier: ISC */
/* Unix sockets: stale files, living owners, long paths, descriptors. */
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/util.h"
#include "tests/unit/run.h"

static char dir[64], path[128];

static void setup(void)
{
	strcpy(dir, "/tmp/tc-sock-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
}

static void teardown(void)
{
	tree_remove(dir, NULL);
}

START_TEST(listen_connect_accept_peer)
{
	struct err e = {0};
	int lfd = -1, cfd = -1;
	umask(0);
	ck_assert_int_eq(sock_listen(path, 0600, &lfd, &e), 0);
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert(fcntl(lfd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(sock_accept(lfd), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(sock_connect(path, &cfd, &e), 0);
	int afd = sock_accept(lfd);
	ck_assert_int_ge(afd, 0);
	ck_assert(fcntl(afd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(afd, F_GETFL) & O_NONBLOCK);
	struct ucred who;
	ck_assert_int_eq(sock_peer(afd, &who, &e), 0);
	ck_assert_int_eq(who.pid, getpid());
	ck_assert_uint_eq(who.uid, getuid());
}
END_TEST

START_TEST(a_stale_socket_is_replaced_a_living_one_is_not)
{
	struct err e = {0};
	int a = -1, b = -1;
	ck_assert_int_eq(sock_listen(path, 0600, &a, &e), 0);
	ck_assert_int_eq(sock_listen(path, 0600, &b, &e), -1);
	ck_assert_int_eq(e.code, ERR_EXISTS);
	ck_assert_int_eq(b, -1);
	close(a);
	ck_assert_int_eq(sock_connect(path, &b, &e), -1);
	ck_assert_int_eq(e.code, ERR_UNREACHABLE);
	ck_assert_int_eq(sock_listen(path, 0600, &b, &e), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(sock_connect(path, &a, &e), -1);
	ck_assert_int_eq(e.code, ERR_UNREACHABLE);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_kept)
{
	struct err e = {0};
	int a = -1;
	ck_assert_int_eq(file_write_atomic(path, "precious", 8, 0600, &e), 0);
	ck_assert_int_eq(sock_listen(path, 0600, &a, &e), -1);
	ck_assert_int_eq(e.code, ERR_EXISTS);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(paths_that_do_not_fit_are_named_with_the_limit)
{
	struct err e = {0};
	char longer[SOCK_PATH_MAX + 2];
	memset(longer, 'a', sizeof(longer));
	longer[SOCK_PATH_MAX + 1] = '\0';
	int fd = -1;
	ck_assert_int_eq(sock_path_check(longer, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(e.message, "107"));
	ck_assert_int_eq(sock_listen(longer, 0600, &fd, &e), -1);
	ck_assert_int_eq(sock_connect(longer, &fd, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	longer[SOCK_PATH_MAX] = '\0';
	ck_assert_int_eq(sock_path_check(longer, &e), 0);
	ck_assert_int_eq(sock_path_check("", &e), -1);
	/* The longest path works. */
	snprintf(longer, sizeof(longer), "%s/%0*d", dir, (int)(SOCK_PATH_MAX - strlen(dir) - 1), 7);
	ck_assert_uint_eq(strlen(longer), SOCK_PATH_MAX);
	ck_assert_int_eq(sock_listen(longer, 0600, &fd, &e), 0);
	ck_assert_int_eq(sock_connect(longer, &fd, &e), 0);
}
END_TEST

START_TEST(descriptors_travel)
{
	int sp[2], p[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq((int)sock_send_fds(sp[0], "hi", 2, p, 2), 2);
	char data[8];
	int got[4];
	size_t n = 4;
	ck_assert_int_eq((int)sock_recv_fds(sp[1], data, sizeof(data), got, &n), 2);
	ck_assert_uint_eq(n, 2);
	ck_assert(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq((int)write(got[1], "z", 1), 1);
	ck_assert_int_eq((int)read(p[0], data, 1), 1);
	ck_assert_int_eq(data[0], 'z');
	/* None is fine; more than asked for are closed, not leaked. */
	ck_assert_int_eq((int)sock_send_fds(sp[0], "x", 1, NULL, 0), 1);
	n = 4;
	ck_assert_int_eq((int)sock_recv_fds(sp[1], data, sizeof(data), got, &n), 1);
	ck_assert_uint_eq(n, 0);
	int before = dup(0);
	close(before);
	ck_assert_int_eq((int)sock_send_fds(sp[0], "x", 1, p, 2), 1);
	n = 0;
	ck_assert_int_eq((int)sock_recv_fds(sp[1], data, sizeof(data), got, &n), 1);
	int after = dup(0);
	ck_assert_int_eq(before, after);
	ck_assert_int_eq((int)sock_send_fds(sp[0], "", 0, p, 1), -1);
}
END_TEST

TEST_MAIN_FIXTURE("base/sock", setup, teardown, listen_connect_accept_peer,
	a_stale_socket_is_replaced_a_living_one_is_not, a_file_that_is_no_socket_is_kept,
	paths_that_do_not_fit_are_named_with_the_limit, descriptors_travel)
