/* SPDX-License-Identifier: ISC */
/* Sees our client programs off; reaper.h says how and why. */
#include "daemon/tmux/reaper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

struct reapee {
	TAILQ_ENTRY(reapee) entry;
	struct tmux_reaper *reaper;
	uint64_t name;
	pid_t pid;
	struct loop_child *watch;
	struct loop_timer *deadline; /* once released */
	int fd;
	struct loop_io *io;
};

struct tmux_reaper {
	struct loop *loop;
	uint64_t names;
	TAILQ_HEAD(, reapee) list;
};

struct tmux_reaper *tmux_reaper_create(struct loop *l)
{
	struct tmux_reaper *r = xcalloc(1, sizeof(*r));

	r->loop = l;
	TAILQ_INIT(&r->list);
	return r;
}

static void reapee_free(struct reapee *x)
{
	TAILQ_REMOVE(&x->reaper->list, x, entry);
	loop_timer_free(x->deadline);
	loop_io_free(x->io);
	if (x->fd >= 0)
		close(x->fd);
	free(x);
}

static void reapee_output(void *arg, int fd, unsigned events)
{
	struct reapee *x = arg;
	char sink[4096];
	ssize_t n = read(fd, sink, sizeof(sink));

	(void)events;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	loop_io_free(x->io);
	x->io = NULL;
}

static void reapee_ended(void *arg, pid_t pid, struct proc_status st)
{
	(void)pid;
	(void)st;
	reapee_free(arg);
}

static void reapee_late(void *arg)
{
	struct reapee *x = arg;

	kill(x->pid, SIGKILL); /* not reaped yet: the number is still its own */
}

int tmux_reaper_add(struct tmux_reaper *r, pid_t pid, uint64_t *ret, struct err *e)
{
	struct reapee *x = xcalloc(1, sizeof(*x));

	x->reaper = r;
	x->pid = pid;
	x->fd = -1;
	x->name = ++r->names;
	TAILQ_INSERT_TAIL(&r->list, x, entry);
	x->watch = loop_child_watch(r->loop, pid, reapee_ended, x, e);
	if (x->watch == NULL) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		reapee_free(x);
		return -1;
	}
	*ret = x->name;
	return 0;
}

void tmux_reaper_release(struct tmux_reaper *r, uint64_t name, int fd)
{
	struct reapee *x;

	TAILQ_FOREACH (x, &r->list, entry)
		if (x->name == name && x->deadline == NULL) {
			x->deadline = loop_timer_create(r->loop, reapee_late, x);
			loop_timer_start(x->deadline, TMUX_REAP_MS);
			x->fd = fd;
			if (fd >= 0)
				x->io = loop_io_add(r->loop, fd, LOOP_READ, reapee_output, x);
			return;
		}
	if (fd >= 0)
		close(fd);
}

static void reap_now(pid_t pid, int64_t until_ms)
{
	cleanup_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left = until_ms - clock_mono_ms();

	if (fd < 0 || poll(&p, 1, left > 0 ? (int)left : 0) != 1)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void tmux_reaper_destroy(struct tmux_reaper *r)
{
	int64_t until = clock_mono_ms() + TMUX_REAP_MS;
	struct reapee *x;

	if (r == NULL)
		return;
	while ((x = TAILQ_FIRST(&r->list)) != NULL) {
		loop_child_free(x->watch);
		reap_now(x->pid, until);
		reapee_free(x);
	}
	free(r);
}
