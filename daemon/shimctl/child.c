/* SPDX-License-Identifier: ISC */
/*
 * A shim as a process that this daemon started. It is our child until we end, so its exit is watched by an
 * object that outlives whoever asked for it: it must be reaped whoever is still interested.
 */
#include "daemon/shimctl/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/util.h"
#include "ipc/layout.h"

struct shim_child {
	struct shim_child *prev, *next;
	void (*fn)(void *arg, struct proc_status st); /* NULL: nobody is interested any more */
	void *arg;
	struct loop_child *watch;
	pid_t pid;
};

static struct shim_child *children; /* of this process, until they are reaped */

void shim_said(const char *dir, char *out, size_t size)
{
	cleanup_free char *path = xasprintf("%s/" SHIM_LOG, dir);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char tail[SHIM_LOG_TAIL + 1];
	struct stat st;

	out[0] = '\0';
	if (fd < 0 || fstat(fd, &st))
		return;
	off_t from = st.st_size > SHIM_LOG_TAIL ? st.st_size - SHIM_LOG_TAIL : 0;
	ssize_t n = pread(fd, tail, SHIM_LOG_TAIL, from);
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	tail[n] = '\0';
	const char *line = memrchr(tail, '\n', (size_t)n);
	line = line ? line + 1 : tail;
	if (utf8_valid(line, strlen(line)))
		snprintf(out, size, "; it said: %s", line);
}

static void child_free(struct shim_child *child)
{
	if (child->prev)
		child->prev->next = child->next;
	else
		children = child->next;
	if (child->next)
		child->next->prev = child->prev;
	free(child);
}

void shim_children_finish(void)
{
	while (children) {
		loop_child_free(children->watch);
		child_free(children);
	}
}

static void on_exit_status(void *arg, pid_t pid, struct proc_status st)
{
	struct shim_child child = *(struct shim_child *)arg;

	(void)pid;
	child_free(arg);
	if (child.fn)
		child.fn(child.arg, st);
}

/* What a shim needs of our environment; not the rest, which may hold keys. */
static char **shim_env(void)
{
	static const char *const keys[] = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR",
		"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
		"TMUX_CLAUDE_HOME", "TMUX_CLAUDE_LIBEXEC", "TMUX_CLAUDE_DATA", "TMUX_CLAUDE_LOG_LEVEL", "TMUX_CLAUDE_TEST_BOOT_ID",
		"ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" FAULT_ENV};
	char **env = strv_new();
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (getenv(keys[i]))
			strv_env_set(&env, keys[i], getenv(keys[i]));
	return env;
}

static int start(const char *dir, pid_t *ret, struct err *e)
{
	cleanup_free char *program = layout_program("tmux-claude-shim", e);
	cleanup_free char *log = xasprintf("%s/" SHIM_LOG, dir), *where = xstrdup(dir);
	cleanup_strv char **env = shim_env();
	char *argv[] = {(char *)"tmux-claude-shim", (char *)"--place-dir", where, NULL};

	if (!program)
		return -1;
	cleanup_close int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", log);
	struct proc_spec spec = {.file = program, .argv = argv, .envp = env, .cwd = "/", .setsid = true,
		.pdeathsig = SIGKILL}; /* until its pid file names it: it takes that back itself */
	proc_spec_fd(&spec, fd, 1);
	proc_spec_fd(&spec, fd, 2);
	if (FAULT_ERROR("shim.spawn", e) || proc_spawn(&spec, ret, e))
		return err_prefix(e, "starting the shim");
	FAULT_POINT("shim.spawned");
	return 0;
}

struct shim_child *shim_child_start(struct loop *l, const char *dir, void (*fn)(void *arg, struct proc_status st),
	void *arg, struct err *e)
{
	pid_t pid;

	if (start(dir, &pid, e))
		return NULL;
	struct shim_child *child = xcalloc(1, sizeof(*child));
	struct loop_child *watch = loop_child_watch(l, pid, on_exit_status, child, e);
	if (!watch) {
		free(child);
		return NULL;
	}
	*child = (struct shim_child){.next = children, .fn = fn, .arg = arg, .watch = watch, .pid = pid};
	if (children)
		children->prev = child;
	children = child;
	return child;
}

void shim_child_leave(struct shim_child *child)
{
	if (child)
		child->fn = NULL;
}

pid_t shim_child_pid(const struct shim_child *child)
{
	return child->pid;
}
