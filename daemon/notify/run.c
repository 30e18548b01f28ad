/* SPDX-License-Identifier: ISC */
/* Running a program that tells somebody; see run.h. */
#include "daemon/notify/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/util.h"

struct run {
	run_over_fn *fn;
	void *arg;
	pid_t pid;
	int in, out;
	struct loop_io *in_io, *out_io;
	struct loop_child *watch;
	struct loop_timer *deadline;
	char *input;
	size_t input_len, written;
	bool overdue;
	char text[RUN_OUTPUT_MAX + 1];
	size_t len, heard;
};

static void shut(struct loop_io **io, int *fd)
{
	loop_io_free(take_ptr(*io));
	if (*fd >= 0)
		close(take_fd(fd));
}

void run_leave(struct run *r)
{
	if (!r)
		return;
	shut(&r->in_io, &r->in);
	shut(&r->out_io, &r->out);
	loop_child_free(r->watch);
	loop_timer_free(r->deadline);
	free(r->input);
	free(r);
}

static void hear(struct run *r)
{
	char drop[4096];
	bool full = r->len == RUN_OUTPUT_MAX;
	ssize_t n = full ? read(r->out, drop, sizeof(drop)) : read(r->out, r->text + r->len, RUN_OUTPUT_MAX - r->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		r->len += full ? 0 : (size_t)n;
		r->heard += (size_t)n;
	}
	if (n <= 0 || r->heard >= RUN_FLOOD_MAX)
		shut(&r->out_io, &r->out);
}

static void on_output(void *arg, int fd, unsigned events)
{
	(void)fd;
	(void)events;
	hear(arg);
}

static void on_input(void *arg, int fd, unsigned events)
{
	struct run *r = arg;
	ssize_t n = write(fd, r->input + r->written, r->input_len - r->written);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		r->written += (size_t)n;
	if (n <= 0 || r->written == r->input_len) /* it need not read all of it */
		shut(&r->in_io, &r->in);
}

static void on_end(void *arg, pid_t pid, struct proc_status st)
{
	struct run *r = arg;
	char line[RUN_OUTPUT_MAX + 1];

	(void)pid;
	r->watch = NULL;
	if (r->out >= 0) /* what was said last; what others hold open is not waited for */
		hear(r);
	r->text[r->len] = '\0';
	str_line(line, sizeof(line), r->text);
	r->fn(r->arg, st, r->overdue, line);
	run_leave(r);
}

static void on_deadline(void *arg)
{
	struct run *r = arg;

	r->overdue = true;
	kill(-r->pid, SIGKILL); /* our child leads its group, and is not reaped yet */
}

static int start(struct run *r, struct loop *l, char *const *argv, struct err *e)
{
	struct proc_spec spec = {.argv = argv, .cwd = "/", .setsid = true};
	int in[2], out[2], ret;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "no pipe for %s", argv[0]);
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return err_set_errno(e, ERR_FAILED, errno, "no pipe for %s", argv[0]);
	}
	proc_spec_fd(&spec, in[0], 0);
	proc_spec_fd(&spec, out[1], 1);
	proc_spec_fd(&spec, out[1], 2);
	ret = proc_spawn(&spec, &r->pid, e);
	close(in[0]);
	close(out[1]);
	r->in = in[1];
	r->out = out[0];
	if (ret < 0)
		return -1;
	r->watch = loop_child_watch(l, r->pid, on_end, r, e);
	if (!r->watch)
		kill(-r->pid, SIGKILL);
	return r->watch ? 0 : -1;
}

struct run *run_begin(struct loop *l, char *const *argv, const char *input, int64_t deadline_ms, run_over_fn *fn, void *arg,
	struct err *e)
{
	struct run *r = xcalloc(1, sizeof(*r));

	r->fn = fn;
	r->arg = arg;
	r->in = r->out = -1;
	r->input = xstrdup(input ? input : "");
	r->input_len = strlen(r->input);
	if (start(r, l, argv, e) < 0) {
		run_leave(r);
		return NULL;
	}
	fd_set_nonblock(r->in);
	fd_set_nonblock(r->out);
	r->out_io = loop_io_add(l, r->out, LOOP_READ, on_output, r);
	if (r->input_len)
		r->in_io = loop_io_add(l, r->in, LOOP_WRITE, on_input, r);
	else
		shut(&r->in_io, &r->in);
	r->deadline = loop_timer_create(l, on_deadline, r);
	loop_timer_start(r->deadline, deadline_ms);
	return r;
}
