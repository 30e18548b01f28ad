/* SPDX-License-Identifier: ISC */
/*
 * Starts programs. The child shares the parent's memory until exec (vfork: 0.27 ms, where fork takes
 * 1.3 ms with 20 MB resident), so between the two it calls only system calls and touches only its own
 * stack frame. When it also changes identity it is forked:
 * from the moment its uid changes, others with that uid may stop it, and a stopped vfork child
 * would stop us. The same when it is to be noted first: it waits, before all else, for a byte of a
 * pipe that only we can write to; our death is the end of that pipe, and then its own.
 *
 * Why it failed comes back over a pipe that exec closes.
 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/util.h"

#define EXEC_DEADLINE_MS 10000

/* What the child was doing when it failed. */
enum step { STEP_NOTED, STEP_FDS, STEP_SESSION, STEP_TTY, STEP_IDENTITY, STEP_DEATHSIG, STEP_CWD, STEP_EXEC };

static const char *const step_names[] = {
	[STEP_NOTED] = "it was not noted",
	[STEP_FDS] = "cannot arrange its descriptors",
	[STEP_SESSION] = "cannot make a session",
	[STEP_TTY] = "cannot take the terminal",
	[STEP_IDENTITY] = "cannot become the other user",
	[STEP_DEATHSIG] = "cannot bind it to its parent",
	[STEP_CWD] = "cannot enter its folder",
	[STEP_EXEC] = "cannot execute it",
};

struct report {
	int step;
	int errnum;
};

void proc_spec_fd(struct proc_spec *s, int from, int to)
{
	if (s->nfds >= PROC_FDS_MAX)
		abort(); /* a bug: the table is fixed by the caller */
	s->fds[s->nfds++] = (struct proc_fd){from, to};
}

char *proc_which(const char *name)
{
	if (!*name)
		return NULL;
	if (strchr(name, '/'))
		return access(name, X_OK) == 0 ? xstrdup(name) : NULL;
	const char *path = getenv("PATH");
	if (!path)
		path = "/usr/local/bin:/usr/bin:/bin";
	for (const char *p = path;; p++) {
		size_t len = strcspn(p, ":");
		cleanup_free char *full = len ? xasprintf("%.*s/%s", (int)len, p, name)
					      : xasprintf("./%s", name);
		struct stat st;
		if (stat(full, &st) == 0 && S_ISREG(st.st_mode) && access(full, X_OK) == 0)
			return take_ptr(full);
		p += len;
		if (!*p)
			return NULL;
	}
}

/* ---- in the child: only system calls from here on ---- */

struct child {
	const struct proc_spec *spec;
	const char *file;
	char *const *envp;
	int report_fd;
	int gate[2]; /* -1: not to wait */
	pid_t parent;
};

/* Until the parent has noted us: 0; -1 when it did not, or is dead. */
static int child_wait(const int gate[2])
{
	char go;
	ssize_t n;

	close(gate[1]); /* ours would keep it open for ever */
	while ((n = read(gate[0], &go, 1)) < 0 && errno == EINTR)
		;
	return n == 1 ? 0 : -1;
}

static int child_fds(const struct proc_spec *s, int *report_fd)
{
	int moved[PROC_FDS_MAX], top = 3;
	for (size_t i = 0; i < s->nfds; i++)
		if (s->fds[i].to >= top)
			top = s->fds[i].to + 1;
	/* First everything out of the way of every target, then each to its place. */
	*report_fd = fcntl(*report_fd, F_DUPFD_CLOEXEC, top);
	if (*report_fd < 0)
		return -1;
	for (size_t i = 0; i < s->nfds; i++)
		if ((moved[i] = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, top)) < 0)
			return -1;
	if (syscall(SYS_close_range, 0, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return -1;
	bool listed[3] = {false, false, false};
	for (size_t i = 0; i < s->nfds; i++) {
		if (dup2(moved[i], s->fds[i].to) < 0)
			return -1;
		if (s->fds[i].to < 3)
			listed[s->fds[i].to] = true;
	}
	for (int fd = 0; fd < 3; fd++) {
		if (listed[fd])
			continue;
		close(fd);
		/* The lowest free number is fd: all below are open. */
		if (open("/dev/null", O_RDWR) != fd)
			return -1;
	}
	return 0;
}

static void child_signals(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &sa, NULL); /* KILL, STOP and libc's own refuse: as they should */
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The libc wrappers would tell other threads; the system calls change this process alone. */
static int child_identity(const struct proc_spec *s)
{
	if (syscall(SYS_setgroups, 0, NULL) < 0 && geteuid() == 0)
		return -1;
	if (syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0)
		return -1;
	return (int)syscall(SYS_setresuid, s->uid, s->uid, s->uid);
}

static int child_run(struct child *c)
{
	const struct proc_spec *s = c->spec;
	if (s->note && child_wait(c->gate) < 0)
		return STEP_NOTED;
	if (child_fds(s, &c->report_fd) < 0)
		return STEP_FDS;
	if (s->setsid && setsid() < 0)
		return STEP_SESSION;
	if (s->ctty && ioctl(0, TIOCSCTTY, 0) < 0)
		return STEP_TTY;
	if (s->drop && child_identity(s) < 0)
		return STEP_IDENTITY;
	/* After the identity: a change of credentials clears it. */
	if (s->pdeathsig &&
		(prctl(PR_SET_PDEATHSIG, s->pdeathsig, 0, 0, 0) < 0 || getppid() != c->parent))
		return STEP_DEATHSIG;
	if (s->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return STEP_IDENTITY;
	if (s->cwd && chdir(s->cwd) < 0)
		return STEP_CWD;
	child_signals();
	execve(c->file, s->argv, c->envp);
	return STEP_EXEC;
}

static void __attribute__((noreturn)) child_main(struct child *c)
{
	struct report r;
	r.step = child_run(c);
	r.errnum = errno;
	while (write(c->report_fd, &r, sizeof(r)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* A frame of its own, so that nothing of the parent's lives in registers the child changes. */
static pid_t __attribute__((noinline)) start(struct child *c)
{
	pid_t pid = c->spec->drop || c->spec->note ? fork() : vfork();
	if (pid == 0)
		child_main(c);
	return pid;
}

/* ---- in the parent ---- */

/* Waits for exec (end of file) or a report: 1 with *r, 0 for exec, -1 for none within the deadline. */
static int read_report(int fd, struct report *r)
{
	int64_t deadline = clock_mono_ms() + EXEC_DEADLINE_MS;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - clock_mono_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n == 0)
			return -1;
		if (n < 0)
			continue; /* EINTR */
		ssize_t got = read(fd, r, sizeof(*r));
		if (got < 0 && errno == EINTR)
			continue;
		return got == (ssize_t)sizeof(*r) ? 1 : 0;
	}
}

static int spawn_error(const char *name, const struct report *r, struct err *e)
{
	const char *what = step_names[r->step];
	if (r->step == STEP_EXEC && (r->errnum == ENOENT || r->errnum == ENOTDIR)) {
		err_set_errno(e, ERR_MISSING, r->errnum, "cannot start %s", name);
		return err_hint(e, "check the name and that it (and its interpreter) is installed");
	}
	return err_set_errno(e, ERR_FAILED, r->errnum, "cannot start %s: %s", name, what);
}

static void reap(pid_t pid, int flags)
{
	while (waitpid(pid, NULL, flags) < 0 && errno == EINTR)
		;
}

/* Has the waiting child noted, and lets it go on. */
static int let_go(const struct proc_spec *s, pid_t pid, int gate, struct err *e)
{
	if (s->note(s->note_arg, pid, e) < 0)
		return -1;
	while (write(gate, "", 1) < 0)
		if (errno != EINTR)
			return err_set_errno(e, ERR_FAILED, errno, "cannot let the new process %d go", (int)pid);
	return 0;
}

int proc_spawn(const struct proc_spec *s, pid_t *ret_pid, struct err *e)
{
	const char *name = s->file ? s->file : s->argv[0];
	cleanup_free char *found = NULL;
	if (!name || !*name)
		return err_set(e, ERR_PARAMS, "cannot start a program without a name");
	if (!strchr(name, '/') && !(found = proc_which(name))) {
		err_set(e, ERR_MISSING, "the program %s was not found in PATH", name);
		return err_hint(e, "install it, or name it with its path");
	}
	int pipe_fds[2], gate[2] = {-1, -1};
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot start %s", name);
	cleanup_close int rd = pipe_fds[0];
	cleanup_close int wr = pipe_fds[1];
	if (s->note && pipe2(gate, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot start %s", name);
	cleanup_close int gate_rd = gate[0];
	cleanup_close int gate_wr = gate[1];
	struct child c = {.spec = s, .file = found ? found : name, .envp = s->envp ? s->envp : environ,
		.report_fd = wr, .gate = {gate_rd, gate_wr}, .parent = getpid()};
	/* No handler of ours may run in the child while it shares our memory. */
	sigset_t all, old;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid_t pid = start(&c);
	int saved = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(take_fd(&wr));
	if (pid < 0)
		return err_set_errno(e, ERR_FAILED, saved, "cannot make a process for %s", name);
	if (s->note && let_go(s, pid, gate_wr, e) < 0) {
		kill(pid, SIGKILL);
		reap(pid, 0);
		return -1;
	}
	struct report r;
	int got = read_report(rd, &r);
	if (got == 0) {
		*ret_pid = pid;
		return 0;
	}
	if (got < 0)
		kill(pid, SIGKILL); /* it may not even die: never wait for that one */
	reap(pid, got < 0 ? WNOHANG : 0);
	return got > 0 ? spawn_error(name, &r, e)
		       : err_set(e, ERR_TIMEOUT, "%s was not executed within %d s", name,
				 EXEC_DEADLINE_MS / 1000);
}
