/* SPDX-License-Identifier: ISC */
/*
 * A renewing login for the fleet. Its refresh token is used up by each renewal, so two holders log each other out: what
 * is taken is taken away from where it was, and what the user's own Claude Code lives by is refused.
 */
#include "cli/sign_in.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/util.h"
#include "login/account.h"

#define STORE_NAME ".credentials.json"

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

static int run_sign_in(struct cli *c, const char *program, const char *dir, struct err *e)
{
	extern char **environ;
	cleanup_strv char **env = strv_new();
	char *argv[] = {(char *)(uintptr_t)program, "auth", "login", "--claudeai", NULL};
	struct proc_spec spec = {.argv = argv};
	int status = 0;
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
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, ERR_FAILED, "Claude Code did not sign in; nothing was changed");
}

int sign_in_run(struct cli *c, struct err *e)
{
	cleanup_free char *dir = xstrdup(c->layout.login_file);
	int r;

	*strrchr(dir, '/') = '\0';
	r = cli_config(c, e);
	if (r == 0)
		r = dir_make(dir, 0700, e);
	cleanup_free char *own = xasprintf("%s/sign-in-XXXXXX", dir);
	if (r == 0 && !mkdtemp(own))
		r = err_set_errno(e, ERR_IO, errno, "cannot make a folder in %s", dir);
	if (r == 0) {
		cleanup_free char *file = xasprintf("%s/" STORE_NAME, own);
		r = run_sign_in(c, config_string(c->config, OPT_CLAUDE_PATH), own, e);
		if (r == 0)
			r = take(c, file, e);
		tree_remove(own, NULL);
	}
	return r;
}
