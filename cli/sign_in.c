/* SPDX-License-Identifier: ISC */
/*
 * A renewing login for the fleet. Its refresh token is used up by each renewal, so two holders log each other out: what
 * is taken is taken away from where it was, and what the user's own Claude Code lives by is refused.
 */
#include "cli/sign_in.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/util.h"
#include "login/account.h"

#define STORE_NAME ".credentials.json"
#define OWN_PREFIX "sign-in-" /* folders of sign-ins under way; each is locked as long as its sign-in lives */

/* Folders in which the user's own Claude Code looks for its login. */
static bool users_own(const char *real)
{
	static const char *const variables[] = {"CLAUDE_CONFIG_DIR", "CLAUDE_SECURESTORAGE_CONFIG_DIR"};
	const char *home = getenv("HOME");
	char own[PATH_MAX];

	cleanup_free char *usual = xasprintf("%s/.claude/" STORE_NAME, home ? home : "");
	if (home && realpath(usual, own) && !strcmp(own, real))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		const char *dir = getenv(variables[i]);
		cleanup_free char *path = dir && *dir ? xasprintf("%s/" STORE_NAME, dir) : NULL;
		if (path && realpath(path, own) && !strcmp(own, real))
			return true;
	}
	return false;
}

static int take(struct cli *c, const char *file, struct err *e)
{
	cleanup_free char *text = NULL;
	cleanup_free char *dir = xstrdup(c->layout.login_file);
	size_t len;

	if (file_read(file, LOGIN_FILE_MAX, &text, &len, e) < 0)
		return -1;
	char *login = login_from_sign_in(text, len, clock_wall_ms(), e);
	explicit_bzero(text, len);
	if (!login)
		return err_prefix(e, "%s", file);
	*strrchr(dir, '/') = '\0';
	int r = dir_make(dir, 0700, e);
	if (r == 0)
		r = login_store(c->layout.login_file, login, e);
	explicit_bzero(login, strlen(login));
	free(login);
	if (r < 0 || unlink(file) == 0)
		return r;
	err_set_errno(e, ERR_IO, errno, "%s cannot be removed, and a login with two holders ends itself: nothing is kept", file);
	login_store(c->layout.login_file, NULL, NULL);
	return -1;
}

int sign_in_import(struct cli *c, const char *file, struct err *e)
{
	char real[PATH_MAX];

	if (!realpath(file, real))
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "cannot find %s", file);
	if (users_own(real)) {
		err_set(e, ERR_DENIED, "%s is what your own Claude Code logs in with: each renewal uses up its refresh token, so "
				       "you and the fleet would log each other out", file);
		return err_hint(e, "give the fleet a login of its own: tmux-claude login --subscription (or a token of `claude "
				   "setup-token`: tmux-claude login)");
	}
	return take(c, real, e);
}

/* ---- by Claude Code itself ---- */

/* Its status. Who is told to end ends it first, and looks after what it left. */
static int wait_for(pid_t pid)
{
	cleanup_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	sigset_t ends, before;
	bool told = false;
	int status = 0;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, &before); /* but while it waits: none is missed in between */
	do {
		if (cli_stop && !told)
			kill(pid, SIGTERM);
		told = cli_stop;
	} while (fd >= 0 && ppoll(&p, 1, NULL, &before) < 0 && errno == EINTR);
	sigprocmask(SIG_SETMASK, &before, NULL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int run_sign_in(struct cli *c, const char *program, const char *dir, struct err *e)
{
	extern char **environ;
	cleanup_strv char **env = strv_new();
	char *argv[] = {(char *)(uintptr_t)program, "auth", "login", "--claudeai", NULL};
	struct proc_spec spec = {.argv = argv};
	int status;
	pid_t pid;

	for (char **v = environ; *v; v++) /* another login, or another place for it, would be in its way */
		if (!str_starts(*v, "CLAUDE") && !str_starts(*v, "ANTHROPIC_"))
			strv_push(&env, *v);
	strv_env_set(&env, "CLAUDE_CONFIG_DIR", dir);
	spec.envp = env;
	proc_spec_fd(&spec, 0, 0);
	proc_spec_fd(&spec, c->g.json ? 2 : 1, 1);
	proc_spec_fd(&spec, 2, 2);
	if (proc_spawn(&spec, &pid, e) < 0)
		return err_hint(e, "npm install -g @anthropic-ai/claude-code, or set claude_path in the config");
	status = wait_for(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, ERR_FAILED, "Claude Code did not sign in; nothing was changed");
}

/* Its descriptor, locked; -1: it is another's, or gone. */
static int lock_own(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* What one that was killed left: a login may be in it. */
static void sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *ent;

	while (d && (ent = readdir(d))) {
		cleanup_free char *path = xasprintf("%s/%s", dir, ent->d_name);
		cleanup_close int fd = str_starts(ent->d_name, OWN_PREFIX) ? lock_own(path) : -1;
		if (fd >= 0)
			tree_remove(path, NULL);
	}
	if (d)
		closedir(d);
}

int sign_in_run(struct cli *c, struct err *e)
{
	cleanup_free char *dir = xstrdup(c->layout.login_file);

	*strrchr(dir, '/') = '\0';
	if (cli_config(c, e) < 0 || dir_make(dir, 0700, e) < 0)
		return -1;
	sweep(dir);
	cli_catch_signals();
	cleanup_free char *own = xasprintf("%s/" OWN_PREFIX "XXXXXX", dir);
	cleanup_close int lock = mkdtemp(own) ? lock_own(own) : -1;
	if (lock < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot make a folder in %s", dir);
	cleanup_free char *file = xasprintf("%s/" STORE_NAME, own);
	int r = run_sign_in(c, config_string(c->config, OPT_CLAUDE_PATH), own, e);
	if (r == 0)
		r = take(c, file, e);
	tree_remove(own, NULL);
	return r;
}
