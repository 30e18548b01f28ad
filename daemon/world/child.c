/* SPDX-License-Identifier: ISC */
/* A child that says something and ends; see child.h. */
#include "daemon/world/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/util.h"
#include "ipc/layout.h"

struct child {
	child_over_fn *fn;
	void *arg;
	pid_t pid;
	int fd;
	struct loop_io *io;
	struct loop_child *watch;
	struct loop_timer *deadline;
	struct proc_status status;
	char text[CHILD_OUTPUT_MAX + 1];
	size_t len;
};

static void let_go(struct child *c)
{
	loop_io_free(c->io);
	if (c->fd >= 0)
		close(c->fd);
	loop_child_free(c->watch);
	loop_timer_free(c->deadline);
	free(c);
}

/* Its output and its end, in whichever order they come. */
static void maybe_over(struct child *c)
{
	if (c->watch || c->io)
		return;
	c->fn(c->arg, c->text, c->status);
	let_go(c);
}

static void on_output(void *arg, int fd, unsigned events)
{
	struct child *c = arg;
	ssize_t n = read(fd, c->text + c->len, CHILD_OUTPUT_MAX - c->len);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		c->len += (size_t)n;
		if (c->len < CHILD_OUTPUT_MAX)
			return;
	}
	loop_io_free(c->io);
	c->io = NULL;
	maybe_over(c);
}

static void on_end(void *arg, pid_t pid, struct proc_status st)
{
	struct child *c = arg;

	(void)pid;
	c->watch = NULL;
	c->status = st;
	loop_timer_stop(c->deadline);
	maybe_over(c);
}

static void on_deadline(void *arg)
{
	kill(((struct child *)arg)->pid, SIGKILL); /* our child, and not reaped yet */
}

static struct child *begin(struct loop *l, const char *program, char *const *argv, int64_t deadline_ms,
	child_over_fn *fn, void *arg, bool lasting, struct err *e)
{
	cleanup_free char *file = layout_program(program, e);
	struct proc_spec spec = {.file = file, .argv = argv, .cwd = "/", .setsid = lasting,
		.pdeathsig = lasting ? 0 : SIGKILL};
	struct child *c;
	int p[2], r;

	if (!file)
		return NULL;
	if (pipe2(p, O_CLOEXEC) < 0) {
		err_set_errno(e, ERR_FAILED, errno, "no pipe for %s", program);
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->fn = fn;
	c->arg = arg;
	c->fd = p[0];
	proc_spec_fd(&spec, p[1], 1);
	r = proc_spawn(&spec, &c->pid, e);
	close(p[1]);
	if (r == 0)
		c->watch = loop_child_watch(l, c->pid, on_end, c, e);
	if (!c->watch) {
		let_go(c);
		return NULL;
	}
	fd_set_nonblock(c->fd);
	c->io = loop_io_add(l, c->fd, LOOP_READ, on_output, c);
	c->deadline = loop_timer_create(l, on_deadline, c);
	loop_timer_start(c->deadline, deadline_ms);
	return c;
}

struct child *child_begin(struct loop *l, const char *program, char *const *argv, int64_t deadline_ms,
	child_over_fn *fn, void *arg, struct err *e)
{
	return begin(l, program, argv, deadline_ms, fn, arg, false, e);
}

struct child *child_begin_lasting(struct loop *l, const char *program, char *const *argv, int64_t deadline_ms,
	child_over_fn *fn, void *arg, struct err *e)
{
	return begin(l, program, argv, deadline_ms, fn, arg, true, e);
}

void child_release(struct child *c)
{
	if (c)
		let_go(c);
}

void child_kill(struct child *c)
{
	if (!c)
		return;
	if (c->watch)
		kill(c->pid, SIGKILL);
	let_go(c);
}
