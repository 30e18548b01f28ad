/* SPDX-License-Identifier: ISC */
/* Processes that left their session are found below a subreaper, and by their environment. */
#include "base/kin.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/proc.h"
#include "base/util.h"
#include "tests/unit/run.h"

/* A grandchild in a session of its own, whose parent has ended; it keeps the pipe open while it lives. */
static void leave(int keep, const char *mark)
{
	char *argv[] = {"sh", "-c", "trap '' HUP TERM; sleep 1000 & wait", NULL};
	char *env[] = {"PATH=/usr/bin:/bin", (char *)mark, NULL};
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0) {
			setsid();
			dup2(keep, 0);
			execve("/bin/sh", argv, env);
			_exit(127);
		}
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void ends(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, 20000), 1);
	ck_assert(p.revents & POLLHUP);
}

START_TEST(all_below_a_subreaper_end)
{
	int fds[2];

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	leave(fds[1], NULL);
	leave(fds[1], NULL);
	close(fds[1]);
	kin_kill_below(getpid());
	ends(fds[0]);
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert(!kin_signal_below(getpid(), 0));
	close(fds[0]);
}
END_TEST

START_TEST(the_marked_end_and_nobody_else)
{
	cleanup_free char *mark = xasprintf("TC_KIN_TEST=%d/x", (int)getpid());
	cleanup_free char *prefix = xasprintf("TC_KIN_TEST=%d/", (int)getpid());
	cleanup_free char *other = xasprintf("TC_KIN_TEST=%d0/x", (int)getpid());
	int fds[2], others[2];

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(others, O_CLOEXEC), 0);
	leave(fds[1], mark);
	leave(others[1], other);
	close(fds[1]);
	close(others[1]);
	/* A program has its environment from its execution on: before, it has ours. */
	for (struct pollfd p = {.fd = fds[0], .events = POLLIN}; poll(&p, 1, 10) == 0;)
		kin_kill_marked((char *[]){prefix, NULL});
	ends(fds[0]);
	ck_assert_int_eq(poll(&(struct pollfd){.fd = others[0], .events = POLLIN}, 1, 0), 0);
	kin_kill_below(getpid());
	ends(others[0]);
	while (waitpid(-1, NULL, 0) > 0)
		;
}
END_TEST

TEST_MAIN("base/kin", all_below_a_subreaper_end, the_marked_end_and_nobody_else)
