/* SPDX-License-Identifier: ISC */
/* Starts file servers, by a child that keeps the privileges for it where they are needed. */
#include "place/shim/spawner.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"

#define REPLY_TIMEOUT_S 10

struct spawner {
	const struct conf *conf;
	int fd; /* to the helper, or -1: done here */
	pid_t pid;
};

/* What the helper answers: with a descriptor when code is ERR_NONE. */
struct reply {
	int code;
	char message[ERR_MESSAGE_MAX];
};

static int start(const struct conf *c, size_t index, int *ret_fd, struct err *e)
{
	const struct conf_mount *m = &c->mounts[index];
	char *argv[] = {c->files_program, "--root", m->path, "--fd", "0", m->read_only ? "--read-only" : NULL, NULL};
	struct proc_spec spec = {.argv = argv, .cwd = "/", .setsid = true, .no_new_privs = true,
		.pdeathsig = SIGKILL}; /* even a stopped one goes with its shim */
	cleanup_close int ours = -1, theirs = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot make a socket for the file server");
	ours = pair[0];
	theirs = pair[1];
	proc_spec_fd(&spec, theirs, 0);
	proc_spec_fd(&spec, 2, 2);
	if (c->files_uid != CONF_AS_IS && c->files_uid != geteuid()) {
		spec.drop = true;
		spec.uid = c->files_uid;
		spec.gid = c->files_gid;
	}
	if (proc_spawn(&spec, &pid, e) < 0)
		return err_prefix(e, "cannot start the file server");
	if (fd_set_nonblock(ours) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot use the file server's socket");
	*ret_fd = take_fd(&ours);
	return 0;
}

/* The helper: answers until the shim goes. Its children are reaped by the kernel. */
static _Noreturn void serve(const struct conf *c, int fd)
{
	uint32_t index;

	signal(SIGCHLD, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_NAME, "shim-files");
	for (;;) {
		ssize_t n = recv(fd, &index, sizeof(index), 0);
		struct reply reply = {0};
		struct err e = {0};
		int made = -1;

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(index))
			_exit(0);
		if (index >= c->nmounts)
			err_set(&e, ERR_PARAMS, "there is no such folder");
		else
			start(c, index, &made, &e);
		reply.code = (int)e.code;
		memcpy(reply.message, e.message, sizeof(reply.message));
		if (sock_send_fds(fd, &reply, sizeof(reply), &made, made >= 0 ? 1 : 0) < 0)
			_exit(0);
		if (made >= 0)
			close(made);
	}
}

int spawner_create(const struct conf *c, struct spawner **ret, struct err *e)
{
	struct spawner *sp = xcalloc(1, sizeof(*sp));
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	int pair[2];

	sp->conf = c;
	sp->fd = -1;
	*ret = sp;
	if (!c->files_program || c->shim_uid == CONF_AS_IS || c->shim_uid == geteuid())
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		*ret = NULL;
		free(sp);
		return err_set_errno(e, ERR_FAILED, errno, "cannot make the file servers' socket");
	}
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	sp->pid = fork();
	if (sp->pid == 0) {
		close(pair[0]);
		serve(c, pair[1]);
	}
	close(pair[1]);
	sp->fd = pair[0];
	if (sp->pid > 0)
		return 0;
	*ret = NULL;
	spawner_destroy(sp);
	return err_set_errno(e, ERR_FAILED, errno, "cannot start the file servers' helper");
}

void spawner_destroy(struct spawner *sp)
{
	if (!sp)
		return;
	if (sp->fd >= 0)
		close(sp->fd);
	free(sp);
}

int spawner_files(struct spawner *sp, const struct conf_mount *m, int *ret_fd, struct err *e)
{
	uint32_t index = (uint32_t)(m - sp->conf->mounts);
	struct reply reply;
	size_t nfds = 1;
	int fd = -1;

	if (sp->fd < 0)
		return start(sp->conf, index, ret_fd, e);
	if (send(sp->fd, &index, sizeof(index), MSG_NOSIGNAL) != sizeof(index))
		return err_set_errno(e, ERR_FAILED, errno, "the file servers' helper is gone");
	if (sock_recv_fds(sp->fd, &reply, sizeof(reply), &fd, &nfds) != sizeof(reply))
		return err_set(e, ERR_FAILED, "the file servers' helper does not answer");
	reply.message[sizeof(reply.message) - 1] = '\0';
	if (reply.code != ERR_NONE || nfds != 1) {
		if (nfds == 1)
			close(fd);
		return err_set(e, ERR_FAILED, "%s", reply.message);
	}
	*ret_fd = fd;
	return fd_set_nonblock(fd);
}

pid_t spawner_pid(const struct spawner *sp)
{
	return sp ? sp->pid : 0;
}
