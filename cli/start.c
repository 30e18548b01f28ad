/* SPDX-License-Identifier: ISC */
/*
 * Starting the daemon and waiting for it to come and go. The daemon is detached (a session of its
 * own, its output in the log file) and tells by a pipe that it takes calls; an end of the pipe without
 * a word is a daemon that failed, and the last line of its log says why. A lock keeps two command lines
 * from starting two.
 *
 * Neither a connection nor the home's lock means that a daemon is there: one that was killed holds both until
 * the kernel is through with it. So it has to answer; and when the one that was started found the home occupied,
 * who occupies it is waited for: until it answers, or is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/util.h"
#include "cli/cli.h"

#define START_TIMEOUT_MS 60000
#define READY_FD 3
/* Between looks, and how many, at who cannot be waited for: the kernel, which closes a dead one's files. */
#define OCCUPIED_MS 200
#define OCCUPIED_TRIES 25
#define LOG_TAIL 4096
#define UNWATCHED_MS 250 /* between looks where nothing can be watched (fs.inotify.max_user_instances: 128) */
#define LOCKS_MAX (1024 * 1024)
#define LOG_MAX (8 * 1024 * 1024) /* a longer one is set aside at the next start */

/* Waits for fd to be readable: 1, 0 at the deadline (-1: none), -1 when asked to stop. */
static int wait_fd(int fd, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return client_poll(&p, 1, deadline, &cli_stop, NULL);
}

/* The last line that the log gained after `from`; owned, "" when there is none. */
static char *last_line(const char *log, off_t from)
{
	char text[LOG_TAIL + 1];
	cleanup_close int fd = open(log, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= from)
		return xstrdup("");
	off_t at = st.st_size - from > LOG_TAIL ? st.st_size - LOG_TAIL : from;
	ssize_t n = pread(fd, text, LOG_TAIL, at);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0)
		return xstrdup("");
	text[n] = '\0';
	char *nl = strrchr(text, '\n');
	return xstrdup(nl ? nl + 1 : text);
}

/* "time program[pid] level subsystem: text" without what a person does not need here. */
static const char *without_prefix(const char *line)
{
	const char *p = strstr(line, ": ");

	return p && p[2] ? p + 2 : line;
}

static int spawn_daemon(struct cli *c, int log_fd, int ready_fd, pid_t *pid, struct err *e)
{
	cleanup_free char *program = layout_program("tmux-clauded", e);
	char *argv[] = {program, "--ready-fd", "3", NULL};
	struct proc_spec spec = {.argv = argv, .cwd = "/", .setsid = true};

	if (!program)
		return -1;
	/* A relative one counts from our folder, and the daemon stands in another. */
	if (c->layout.home)
		setenv("TMUX_CLAUDE_HOME", c->layout.home, 1);
	proc_spec_fd(&spec, log_fd, 1);
	proc_spec_fd(&spec, log_fd, 2);
	proc_spec_fd(&spec, ready_fd, READY_FD);
	return proc_spawn(&spec, pid, e);
}

/* 1 when the home was occupied, -1 otherwise. */
static int not_ready(struct cli *c, pid_t pid, off_t log_from, bool ended, struct err *e)
{
	int status = 0;

	if (!ended) {
		err_set(e, ERR_UNREACHABLE, "the daemon (pid %d) was started, and does not answer", (int)pid);
		return err_hint(e, "its log is %s", c->layout.log_file);
	}
	waitpid(pid, &status, 0);
	cleanup_free char *line = last_line(c->layout.log_file, log_from);
	if (line[0])
		err_set(e, ERR_UNREACHABLE, "the daemon could not start: %s", without_prefix(line));
	else if (WIFSIGNALED(status))
		err_set(e, ERR_UNREACHABLE, "the daemon was ended by signal %d as it started",
			WTERMSIG(status));
	else
		err_set(e, ERR_UNREACHABLE, "the daemon ended as it started, with status %d",
			WEXITSTATUS(status));
	err_hint(e, "its log is %s", c->layout.log_file);
	return WIFEXITED(status) && WEXITSTATUS(status) == DAEMON_EXIT_OCCUPIED ? 1 : -1;
}

/* 0 it takes calls, 1 the home is occupied (with e), -1 it failed. */
static int start_locked(struct cli *c, int64_t deadline, struct err *e)
{
	cleanup_free char *old = xasprintf("%s.1", c->layout.log_file);
	int p[2];
	char word;
	pid_t pid;
	struct stat st;

	if (stat(c->layout.log_file, &st) == 0 && st.st_size > LOG_MAX)
		rename(c->layout.log_file, old);
	cleanup_close int log = open(c->layout.log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0 || fstat(log, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot write the log %s", c->layout.log_file);
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot start the daemon");
	cleanup_close int ready = p[0];
	int r = spawn_daemon(c, log, p[1], &pid, e);
	close(p[1]);
	if (r < 0)
		return -1;
	r = wait_fd(ready, deadline);
	if (r < 0)
		return err_set(e, ERR_CANCELLED, "interrupted while the daemon was starting");
	if (r == 0)
		return not_ready(c, pid, st.st_size, false, e);
	if (read(ready, &word, 1) != 1)
		return not_ready(c, pid, st.st_size, true, e);
	return 0;
}

/* 1 a daemon answers: connected; 0 nobody does; -1 it cannot be told. */
static int probe(struct cli *c, int64_t deadline, struct err *e)
{
	json_t *result = NULL;
	struct err why = {0};
	struct client *client;
	int64_t left = deadline - clock_mono_ms();

	if (client_connect(c->layout.daemon_socket, &client, &why) < 0)
		return 0;
	/* Any answer will do, also a refusal. */
	if (client_call(client, "status", NULL, left > 0 ? left : 0, &cli_stop, &result, &why) == 0 ||
		(why.code != ERR_UNREACHABLE && why.code != ERR_TIMEOUT && why.code != ERR_CANCELLED)) {
		json_decref(result);
		c->client = client;
		return 1;
	}
	client_close(client);
	if (why.code == ERR_UNREACHABLE)
		return 0;
	*e = why;
	return -1;
}

/* Has this process that lock? What a file says of a pid is no reason to send it a signal: the kernel's list is. */
static bool has_lock(pid_t pid, int fd)
{
	cleanup_free char *text = NULL, *wanted = NULL;
	char *at, *line;
	struct stat st;

	if (fstat(fd, &st) < 0 || file_read("/proc/locks", LOCKS_MAX, &text, NULL, NULL) < 0)
		return false;
	wanted = xasprintf(" %d %02x:%02x:%lld ", (int)pid, major(st.st_dev), minor(st.st_dev), (long long)st.st_ino);
	for (at = text; (line = strsep(&at, "\n"));)
		if (strstr(line, " FLOCK ") && !strstr(line, "->") && strstr(line, wanted))
			return true;
	return false;
}

/* The process that wrote itself into the home's lock, to be waited for; -1 when it is gone. If it has the lock it is
 * told to look whether its socket stands (daemon/door.h). */
static int holder(const struct cli *c)
{
	char pid[24] = "";
	cleanup_close int fd = open(c->layout.lock_file, O_RDONLY | O_CLOEXEC);
	int pidfd;

	if (fd < 0 || pread(fd, pid, sizeof(pid) - 1, 0) <= 0 || atoi(pid) <= 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	if (pidfd >= 0 && has_lock(atoi(pid), fd))
		syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0);
	return pidfd;
}

/* Waits until who occupies the home is gone or its socket appears: -1 when asked to stop. Takes from *tries when
 * nobody is known who does. notify -1: its folder cannot be watched. */
static int await_change(struct cli *c, int notify, int64_t deadline, int *tries)
{
	cleanup_close int pidfd = holder(c);
	struct pollfd p[] = {{.fd = pidfd, .events = POLLIN}, {.fd = notify, .events = POLLIN}};
	int64_t soon = clock_mono_ms() + (notify < 0 ? UNWATCHED_MS : OCCUPIED_MS);
	char events[4096];

	*tries -= pidfd < 0;
	if (client_poll(p, ARRAY_LEN(p), (pidfd < 0 || notify < 0) && soon < deadline ? soon : deadline, &cli_stop, NULL) < 0)
		return -1;
	while (read(notify, events, sizeof(events)) > 0)
		;
	return 0;
}

int daemon_start(struct cli *c, struct err *e)
{
	int64_t deadline = clock_mono_ms() + START_TIMEOUT_MS;
	int r, tries = OCCUPIED_TRIES;

	if (cli_layout(c, e) < 0 || cli_config(c, e) < 0 || layout_make(&c->layout, e) < 0)
		return -1;
	cleanup_free char *name = xasprintf("%s/start.lock", c->layout.state_dir);
	cleanup_close int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cleanup_close int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (lock < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", name);
	bool watched = notify >= 0 && inotify_add_watch(notify, c->layout.runtime_dir, IN_ATTRIB | IN_MOVED_TO) >= 0;
	/* Held by another command line for at most its own deadline. */
	while (flock(lock, LOCK_EX) < 0)
		if (errno != EINTR || cli_stop)
			return err_set_errno(e, ERR_CANCELLED, errno, "cannot lock %s", name);
	do {
		r = probe(c, deadline, e);
		if (r != 0)
			return r < 0 ? -1 : 0;
		r = start_locked(c, deadline, e);
		if (r == 0)
			return client_connect(c->layout.daemon_socket, &c->client, e);
		if (r < 0)
			return -1;
		if (await_change(c, watched ? notify : -1, deadline, &tries) < 0)
			return err_set(e, ERR_CANCELLED, "interrupted while the daemon was starting");
	} while (clock_mono_ms() < deadline && tries > 0);
	return -1;
}

/* Watches the socket's folder, or while that is not there the nearest one above it. */
static int watch_folder(int fd, const char *socket)
{
	cleanup_free char *copy = xstrdup(socket);
	const uint32_t what = IN_CREATE | IN_ATTRIB | IN_MOVED_TO;

	for (const char *dir = dirname(copy);; dir = dirname((char *)dir)) {
		if (inotify_add_watch(fd, dir, what) >= 0)
			return 0;
		if (!strcmp(dir, "/") || !strcmp(dir, "."))
			return -1;
	}
}

int daemon_await(struct cli *c, int64_t deadline, struct err *e)
{
	cleanup_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char events[4096];
	struct client *probe;
	int r;

	/* Its log as well: between the socket's appearance and listen() nothing else can be waited for. */
	if (fd >= 0 && c->has_layout)
		inotify_add_watch(fd, c->layout.log_file, IN_MODIFY);
	for (;;) {
		bool watched = fd >= 0 && watch_folder(fd, c->socket) >= 0;
		int64_t soon = clock_mono_ms() + UNWATCHED_MS;
		if (client_connect(c->socket, &probe, NULL) == 0) {
			c->client = probe;
			return 0;
		}
		r = wait_fd(watched ? fd : -1, watched || soon > deadline ? deadline : soon);
		if (r < 0)
			return err_set(e, ERR_CANCELLED, "interrupted");
		if (r == 0 && clock_mono_ms() >= deadline) {
			err_set(e, ERR_UNREACHABLE, "the daemon went away and did not come back");
			return err_hint(e, "start it with `tmux-claude up`");
		}
		while (read(fd, events, sizeof(events)) > 0)
			;
	}
}

int daemon_await_end(int pidfd, int64_t timeout_ms, struct err *e)
{
	int r = wait_fd(pidfd, clock_mono_ms() + timeout_ms);

	if (r > 0)
		return 0;
	if (r < 0)
		return err_set(e, ERR_CANCELLED, "interrupted while the daemon was ending");
	return err_set(e, ERR_TIMEOUT, "the daemon still runs %lld s after it was asked to stop",
		(long long)(timeout_ms / 1000));
}
