/* SPDX-License-Identifier: ISC */
/* Unix sockets, and descriptors over them. */
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/util.h"

#define SOCK_FDS_MAX 32
#define SOCK_BACKLOG 128

int sock_path_check(const char *path, struct err *e)
{
	size_t len = strlen(path);
	if (len == 0)
		return err_set(e, ERR_PARAMS, "the path of a socket is empty");
	if (len <= SOCK_PATH_MAX)
		return 0;
	err_set(e, ERR_LIMIT, "the socket path %s has %zu bytes, the system's limit is %d", path,
		len, SOCK_PATH_MAX);
	return err_hint(e, "use a shorter folder, for example by TMUX_CLAUDE_HOME");
}

static socklen_t fill(struct sockaddr_un *sa, const char *path)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	memcpy(sa->sun_path, path, strlen(path) + 1);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

static int new_socket(struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		err_set_errno(e, ERR_FAILED, errno, "cannot make a socket");
	return fd;
}

/* Removes what stands at path when it is a socket that nobody listens on. */
static int remove_stale(const char *path, struct err *e)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : err_set_errno(e, ERR_IO, errno, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_EXISTS, "%s exists and is not a socket", path);
	int fd = -1;
	struct err why = {0};
	if (sock_connect(path, &fd, &why) == 0) {
		close(fd);
		return err_set(e, ERR_EXISTS, "another process listens on %s", path);
	}
	/* Full backlogs and missing rights also mean that somebody is there. */
	if (why.code != ERR_UNREACHABLE)
		return err_set(e, ERR_EXISTS, "%s is in use (%s)", path, why.message);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set_errno(e, ERR_IO, errno, "cannot remove the stale socket %s", path);
	return 0;
}

int sock_listen(const char *path, mode_t mode, int *ret_fd, struct err *e)
{
	if (sock_path_check(path, e) < 0 || remove_stale(path, e) < 0)
		return -1;
	cleanup_close int fd = new_socket(e);
	if (fd < 0)
		return -1;
	struct sockaddr_un sa;
	socklen_t len = fill(&sa, path);
	/* On Linux the mode of the socket's inode is that of the descriptor, less the umask: set
	 * before bind, so that the path never has wider rights; then exactly. */
	if (fchmod(fd, mode) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot set the mode of a socket");
	if (bind(fd, (struct sockaddr *)&sa, len) < 0)
		return err_set_errno(e, errno == EADDRINUSE ? ERR_EXISTS : ERR_IO, errno,
			"cannot make the socket %s", path);
	/* The chmod comes last: who watches the folder for it finds somebody listening. */
	if (listen(fd, SOCK_BACKLOG) < 0 || chmod(path, mode) < 0) {
		int saved = errno;
		unlink(path);
		return err_set_errno(e, ERR_IO, saved, "cannot listen on %s", path);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int sock_connect(const char *path, int *ret_fd, struct err *e)
{
	if (sock_path_check(path, e) < 0)
		return -1;
	cleanup_close int fd = new_socket(e);
	if (fd < 0)
		return -1;
	struct sockaddr_un sa;
	socklen_t len = fill(&sa, path);
	int rc;
	do
		rc = connect(fd, (struct sockaddr *)&sa, len);
	while (rc < 0 && errno == EINTR);
	if (rc == 0) {
		*ret_fd = take_fd(&fd);
		return 0;
	}
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		return err_set_errno(e, ERR_UNREACHABLE, errno, "nobody listens on %s", path);
	case EAGAIN:
		return err_set(e, ERR_BUSY, "the queue of %s is full", path);
	case EACCES:
		return err_set_errno(e, ERR_DENIED, errno, "cannot connect to %s", path);
	default:
		return err_set_errno(e, ERR_IO, errno, "cannot connect to %s", path);
	}
}

int sock_accept(int listen_fd)
{
	int fd;
	do
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	return fd;
}

int sock_peer(int fd, struct ucred *ret, struct err *e)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot learn who is connected");
	*ret = cred;
	return 0;
}

ssize_t sock_send_fds(int fd, const void *data, size_t len, const int *fds, size_t nfds)
{
	if (nfds > SOCK_FDS_MAX || len == 0) {
		errno = EINVAL;
		return -1;
	}
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * SOCK_FDS_MAX)];
	} control;
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	ssize_t n;
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t sock_recv_fds(int fd, void *data, size_t len, int *fds, size_t *nfds)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * SOCK_FDS_MAX)];
	} control;
	struct iovec iov = {data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control)};
	size_t max = *nfds, got = 0;
	*nfds = 0;
	ssize_t n;
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int received;
			memcpy(&received, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			/* More than were asked for must not stay open unseen. */
			if (got < max)
				fds[got++] = received;
			else
				close(received);
		}
	}
	*nfds = got;
	return n;
}
