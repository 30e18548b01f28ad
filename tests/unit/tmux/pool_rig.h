/* SPDX-License-Identifier: ISC */
/* A pool with everything it tells written down, and what a person does to its servers from outside. */
#ifndef TESTS_UNIT_TMUX_POOL_RIG_H
#define TESTS_UNIT_TMUX_POOL_RIG_H

#include "tests/unit/tmux/rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/wait.h>

#include "base/proc.h"
#include "daemon/tmux/pane.h"
#include "daemon/tmux/pool.h"

#define SEEN_MAX 1024

/* What was told of one pane. */
struct seen {
	char id[TMUX_ID_MAX + 1];
	unsigned opened, failed, closed, died, lost, back, viewers_told;
	unsigned viewers, back_order;
	struct proc_status st;
	bool again;
	struct err e;
	char why[ERR_MESSAGE_MAX];
};

static struct seen seen_all[SEEN_MAX];
static unsigned seen_n, seen_back;
static struct tmux_pool *pool;
static char *pool_dir;
static struct tmux_found *found;
static size_t found_n;
static bool adopted, ended;

static inline struct seen *seen(const char *id)
{
	for (unsigned i = 0; i < seen_n; i++)
		if (strcmp(seen_all[i].id, id) == 0)
			return &seen_all[i];
	ck_assert_uint_lt(seen_n, SEEN_MAX);
	str_fmt(seen_all[seen_n].id, sizeof(seen_all[seen_n].id), "%s", id);
	return &seen_all[seen_n++];
}

static inline void told_died(void *arg, const char *id, struct proc_status st, bool again)
{
	struct seen *s = seen(id);

	(void)arg;
	s->died++;
	s->st = st;
	s->again = again;
}

static inline void told_lost(void *arg, const char *id, const char *why, bool again)
{
	struct seen *s = seen(id);

	(void)arg;
	s->lost++;
	s->again = again;
	str_fmt(s->why, sizeof(s->why), "%s", why);
}

static inline void told_back(void *arg, const char *id)
{
	(void)arg;
	seen(id)->back++;
	seen(id)->back_order = ++seen_back;
}

static inline void told_viewers(void *arg, const char *id, unsigned n)
{
	(void)arg;
	seen(id)->viewers = n;
	seen(id)->viewers_told++;
}

static inline void told_open(void *arg, const char *id, const struct err *e)
{
	struct seen *s = seen(id);

	(void)arg;
	if (e == NULL) {
		s->opened++;
	} else {
		s->failed++;
		s->e = *e;
	}
}

static inline void told_closed(void *arg, const char *id, const struct err *e)
{
	(void)arg;
	ck_assert_ptr_null(e);
	seen(id)->closed++;
}

static inline void told_adopted(void *arg, const struct tmux_found *f, size_t n)
{
	(void)arg;
	adopted = true;
	free(found);
	found = xcalloc(n + 1, sizeof(*found));
	if (n > 0)
		memcpy(found, f, n * sizeof(*f));
	found_n = n;
}

static inline void told_ended(void *arg, const char *id, const struct err *e)
{
	(void)arg;
	(void)id;
	ck_assert_ptr_null(e);
	ended = true;
}

static const struct tmux_pool_ops pool_ops = {told_died, told_lost, told_back, told_viewers};

/* Short patience, no lingering: tests say where they need other. */
static inline void pool_up(struct tmux_limits limits)
{
	struct err e = {0};

	cleanup_free char *preload = xasprintf("%s/tmux-claude-no-utmp.so",
		getenv("TC_BUILDDIR") != NULL ? getenv("TC_BUILDDIR") : ".");

	if (limits.linger_ms == 0)
		limits.linger_ms = -1;
	if (limits.preload == NULL && access(preload, X_OK) == 0)
		limits.preload = preload;
	if (pool_dir == NULL)
		pool_dir = xasprintf("%s/t", rig_dir);
	ck_assert_msg(tmux_pool_create(rig_loop, pool_dir, &limits, &pool_ops, NULL, &pool, &e) ==
			      0,
		"%s", e.message);
	adopted = false;
	tmux_pool_adopt(pool, told_adopted, NULL);
	rig_until(adopted);
}

static char *const cat_argv[] = {"cat", "-u", NULL};

static inline void open_argv(const char *id, char *const *argv)
{
	struct tmux_pane_spec spec = {.id = id, .title = id, .argv = argv};
	struct err e = {0};

	ck_assert_msg(tmux_pane_open(pool, &spec, told_open, NULL, &e) == 0, "%s", e.message);
}

static inline void open_wait(const char *id)
{
	unsigned before = seen(id)->opened;

	open_argv(id, cat_argv);
	rig_until(seen(id)->opened > before);
}

static inline void close_wait(const char *id)
{
	unsigned before = seen(id)->closed;

	tmux_pane_close(pool, id, told_closed, NULL);
	rig_until(seen(id)->closed > before);
}

static inline struct tmux_location at(const char *id)
{
	struct tmux_location l;
	struct err e = {0};

	ck_assert_msg(tmux_pane_locate(pool, id, &l, &e) == 0, "%s", e.message);
	return l;
}

/* What is counted as panes change is what a walk finds. */
static inline void count_open(void)
{
	const struct pane *pa;
	unsigned n = 0;

	TAILQ_FOREACH (pa, &pool->panes, all)
		n += pa->phase == PANE_OPEN && !pa->forgotten;
	ck_assert_uint_eq(pool->nopen, n);
}

static inline struct tmux_pool_stats stats(void)
{
	struct tmux_pool_stats st;

	tmux_pool_stats(pool, &st);
	count_open();
	return st;
}

/* tmux 3.2a drops a pane with its program: no status, and no telling whether a person closed it. */
static inline bool keeps_dead_panes(void)
{
	return !str_starts(stats().version, "3.2");
}

static inline pid_t server_of(const char *socket)
{
	cleanup_close int fd = -1;
	struct ucred cred;

	ck_assert_int_eq(sock_connect(socket, &fd, NULL), 0);
	ck_assert_int_eq(sock_peer(fd, &cred, NULL), 0);
	return cred.pid;
}

/* One of our control clients: children of this process, in the order in which they were started; 0 when
 * there are not as many. */
static inline pid_t client_pid(unsigned n)
{
	cleanup_free char *path = xasprintf("/proc/self/task/%d/children", (int)getpid());
	cleanup_free char *text = NULL;
	char *save = NULL, *w;

	ck_assert_int_eq(file_read(path, 65536, &text, NULL, NULL), 0);
	w = strtok_r(text, " ", &save);
	while (n-- > 0 && w != NULL)
		w = strtok_r(NULL, " ", &save);
	return w != NULL ? atoi(w) : 0;
}

/* A tmux that works only while `ill` is not there; the paths are the caller's to free. */
static inline void sick_tmux(char **ret_program, char **ret_ill)
{
	cleanup_free char *script = NULL;

	*ret_program = xasprintf("%s/sick", rig_dir);
	*ret_ill = xasprintf("%s/ill", rig_dir);
	script = xasprintf("#!/bin/sh\n[ \"$1\" != -V ] && [ -e '%s' ] && echo 'lost my temper' >&2 && exit 1\n"
			   "exec tmux \"$@\"\n",
		*ret_ill);
	ck_assert_int_eq(file_write_atomic(*ret_program, script, strlen(script), 0700, NULL), 0);
}

/* Does the loop turn while a person's command runs? It must where a server may be ended that has something
 * left to tell us: it waits until that is read. */
static bool person_meanwhile;

/* Runs `tmux -S SOCKET ...` as a person would; its output into out (may be NULL). */
static inline int person(const char *socket, char *out, size_t size, ...)
{
	char **argv = strv_new();
	struct proc_spec ps = {.cwd = "/"};
	int fds[2], status;
	const char *s;
	size_t len = 0;
	ssize_t n;
	va_list ap;
	pid_t pid;

	strv_push(&argv, "tmux");
	strv_push(&argv, "-S");
	strv_push(&argv, socket);
	va_start(ap, size);
	while ((s = va_arg(ap, const char *)) != NULL)
		strv_push(&argv, s);
	va_end(ap);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ps.argv = argv;
	proc_spec_fd(&ps, fds[1], 1);
	ck_assert_int_eq(proc_spawn(&ps, &pid, NULL), 0);
	close(fds[1]);
	if (person_meanwhile) {
		rig_until(waitpid(pid, &status, WNOHANG) == pid);
		pid = 0;
	}
	while (out != NULL && len + 1 < size && (n = read(fds[0], out + len, size - len - 1)) > 0)
		len += (size_t)n;
	if (out != NULL)
		out[len] = '\0';
	if (pid != 0)
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	close(fds[0]);
	strv_free(argv);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The state of a process as the kernel names it: 'S', 'T', 'Z', ...; 'X' when there is none. */
static inline char state_of(pid_t pid)
{
	cleanup_free char *path = xasprintf("/proc/%d/stat", (int)pid);
	cleanup_free char *text = NULL;
	const char *state;
	size_t len;

	if (file_read(path, 4096, &text, &len, NULL) < 0)
		return 'X';
	state = strrchr(text, ')');
	return state != NULL ? state[2] : 'X';
}

/* Ended, though its parent (init, for servers) may not have taken note yet. */
static inline bool dead(pid_t pid)
{
	return strchr("XZ", state_of(pid)) != NULL;
}

static inline unsigned files_left(void)
{
	DIR *d = opendir(pool_dir);
	struct dirent *de;
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while ((de = readdir(d)) != NULL)
		n += de->d_name[0] != '.' && strcmp(de->d_name, "tmux.conf") != 0;
	closedir(d);
	return n;
}

/* True when no child of this process is left, not even a zombie. */
static inline bool childless(void)
{
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static inline void pool_down(void)
{
	ended = false;
	tmux_pool_end(pool, told_ended, NULL);
	rig_until(ended);
	ck_assert_uint_eq(files_left(), 0);
	if (pool)
		count_open();
	tmux_pool_destroy(pool);
	ck_assert(childless());
	free(pool_dir);
	free(found);
}

#endif
