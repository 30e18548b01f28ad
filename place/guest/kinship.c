/* SPDX-License-Identifier: ISC */
/*
 * Whether a process is of this place.
 *
 * On a host all places share a file system and a user, so anybody can open anybody's socket. We are the
 * subreaper of all that was started here: who is of this place has us among its ancestors, whatever sessions it
 * left. The nearest guest program above it has to be us: a daemon, and with it other places, may itself have been
 * started from within a place. The process at the other end of the socket cannot be another by the time we look: a
 * pidfd taken first still has to stand for a living process after the last look.
 *
 * That is accounting, not defence: who has the same user can trace a process of the place, or be handed a
 * connection by it.
 */
#include "place/guest/kinship.h"

#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "base/util.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define STAT_MAX 4096
#define GENERATIONS_MAX 4096
#define LOOKS_MAX 8 /* an ancestor that ends meanwhile makes us look again */
#define GUEST_PROGRAM "tmux-claude-guest"

/* 0 when there is no such process. */
static pid_t parent_of(pid_t pid)
{
	char path[48], state;
	cleanup_free char *text = NULL;
	size_t len;
	int parent;

	str_fmt(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_read(path, STAT_MAX, &text, &len, NULL) < 0)
		return 0;
	const char *p = strrchr(text, ')');
	return p && sscanf(p + 1, " %c %d", &state, &parent) == 2 ? parent : 0;
}

static bool is_guest(pid_t pid)
{
	char path[48], exe[4096];

	str_fmt(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = 0;
	const char *name = strrchr(exe, '/');
	return name && str_starts(name + 1, GUEST_PROGRAM); /* also "... (deleted)" */
}

bool kinship_ours(pid_t pid)
{
	pid_t self = getpid();

	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		pid_t at = pid;
		for (int n = 0; n < GENERATIONS_MAX; n++) {
			at = parent_of(at);
			if (at == self)
				return true;
			if (at <= 1 || is_guest(at)) /* a hook is a guest program, too, but nobody's parent */
				break;
		}
		if (at == 1 || (at > 1 && is_guest(at)) || parent_of(pid) == 0)
			return false;
	}
	return false;
}

bool kinship_peer(int fd, struct ucred *ret)
{
	socklen_t len = sizeof(*ret), flen = sizeof(int);
	cleanup_close int pidfd = -1;

	*ret = (struct ucred){.pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &len) < 0 || ret->pid <= 0)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &flen) < 0)
		pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	if (pidfd < 0 || !kinship_ours(ret->pid))
		return false;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	return poll(&p, 1, 0) == 0;
}
