/* SPDX-License-Identifier: ISC */
/* Where everything stands on disk: see ARCHITECTURE.md, "Folders". */
#include "ipc/layout.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sock.h"
#include "base/util.h"

#ifndef TC_PKGLIBEXECDIR
#define TC_PKGLIBEXECDIR "/usr/local/libexec/tmux-claude"
#endif
#ifndef TC_PKGDATADIR
#define TC_PKGDATADIR "/usr/local/share/tmux-claude"
#endif

/* As long as any of them gets. */
#define SAMPLE_PLACE_SOCKET "%s/aaaaaa/egress.sock"
#define SAMPLE_TMUX_SOCKET "%s/9999.sock"

static const char *env_dir(const char *name)
{
	const char *v = getenv(name);

	/* The XDG specification: relative paths are to be ignored. */
	return v && v[0] == '/' ? v : NULL;
}

/* $name, or $HOME/fallback. Owned. */
static char *xdg(const char *name, const char *fallback)
{
	const char *v = env_dir(name), *home = env_dir("HOME");

	return v ? xstrdup(v) : xasprintf("%s/%s", home ? home : "", fallback);
}

static int home_layout(struct layout *l, const char *home, struct err *e)
{
	if (home[0] == '/') {
		l->home = xstrdup(home);
	} else {
		char cwd[PATH_MAX];
		if (!getcwd(cwd, sizeof(cwd)))
			return err_set_errno(e, ERR_IO, errno,
				"TMUX_CLAUDE_HOME=%s is relative, and the current folder is unknown", home);
		l->home = xasprintf("%s/%s", cwd, home);
	}
	size_t n = strlen(l->home);
	while (n > 1 && l->home[n - 1] == '/')
		l->home[--n] = '\0';
	l->config_file = xasprintf("%s/config", l->home);
	l->login_file = xasprintf("%s/credentials", l->home);
	l->state_dir = xasprintf("%s/state", l->home);
	l->template_dir = xasprintf("%s/templates", l->home);
	l->runtime_dir = xasprintf("%s/run", l->home);
	return 0;
}

static int xdg_layout(struct layout *l, struct err *e)
{
	if (!env_dir("HOME") &&
		!(env_dir("XDG_CONFIG_HOME") && env_dir("XDG_STATE_HOME") && env_dir("XDG_DATA_HOME"))) {
		err_set(e, ERR_FAILED, "the environment has no HOME, so there is nowhere to keep state");
		return err_hint(e, "set HOME, or TMUX_CLAUDE_HOME to a folder for all of it");
	}
	cleanup_free char *config = xdg("XDG_CONFIG_HOME", ".config");
	cleanup_free char *state = xdg("XDG_STATE_HOME", ".local/state");
	cleanup_free char *data = xdg("XDG_DATA_HOME", ".local/share");
	const char *runtime = env_dir("XDG_RUNTIME_DIR");

	l->config_file = xasprintf("%s/tmux-claude/config", config);
	l->login_file = xasprintf("%s/tmux-claude/credentials", config);
	l->state_dir = xasprintf("%s/tmux-claude", state);
	l->template_dir = xasprintf("%s/tmux-claude/templates", data);
	l->runtime_dir = runtime ? xasprintf("%s/tmux-claude", runtime)
				 : xasprintf("/tmp/tmux-claude-%u", (unsigned)getuid());
	return 0;
}

static int check_sockets(const struct layout *l, struct err *e)
{
	cleanup_free char *place = xasprintf(SAMPLE_PLACE_SOCKET, l->places_dir);
	cleanup_free char *tmux = xasprintf(SAMPLE_TMUX_SOCKET, l->tmux_dir);
	const char *all[] = {place, tmux, l->egress_socket, l->daemon_socket};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strlen(all[i]) <= SOCK_PATH_MAX)
			continue;
		err_set(e, ERR_LIMIT, "a socket's path would be %zu bytes long, and the kernel takes %d: %s",
			strlen(all[i]), SOCK_PATH_MAX, all[i]);
		return err_hint(e, "set TMUX_CLAUDE_HOME to a folder with a shorter path");
	}
	return 0;
}

int layout_init(struct layout *ret, struct err *e)
{
	struct layout l = {0};
	const char *home = getenv("TMUX_CLAUDE_HOME");
	int r = home && home[0] ? home_layout(&l, home, e) : xdg_layout(&l, e);

	if (r < 0) {
		layout_finish(&l);
		return -1;
	}
	l.db_file = xasprintf("%s/fleet.db", l.state_dir);
	l.lock_file = xasprintf("%s/daemon.lock", l.state_dir);
	l.log_file = xasprintf("%s/daemon.log", l.state_dir);
	l.places_dir = xasprintf("%s/p", l.state_dir);
	l.recordings_dir = xasprintf("%s/r", l.state_dir);
	l.tmux_dir = xasprintf("%s/t", l.state_dir);
	l.egress_socket = xasprintf("%s/egress.sock", l.state_dir);
	l.daemon_socket = xasprintf("%s/daemon.sock", l.runtime_dir);
	if (check_sockets(&l, e) < 0) {
		layout_finish(&l);
		return -1;
	}
	*ret = l;
	return 0;
}

void layout_finish(struct layout *l)
{
	free(l->home);
	free(l->config_file);
	free(l->login_file);
	free(l->state_dir);
	free(l->db_file);
	free(l->lock_file);
	free(l->log_file);
	free(l->places_dir);
	free(l->recordings_dir);
	free(l->tmux_dir);
	free(l->egress_socket);
	free(l->template_dir);
	free(l->runtime_dir);
	free(l->daemon_socket);
	*l = (struct layout){0};
}

int layout_check_private(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot look at %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_DENIED, "%s is not a folder", path);
	if (st.st_uid != geteuid()) {
		err_set(e, ERR_DENIED, "%s belongs to uid %u, not to us (uid %u)", path,
			(unsigned)st.st_uid, (unsigned)geteuid());
		return err_hint(e, "somebody else made it: set XDG_RUNTIME_DIR or TMUX_CLAUDE_HOME");
	}
	if (st.st_mode & 077) {
		err_set(e, ERR_DENIED, "%s is open to others (mode %04o)", path,
			(unsigned)(st.st_mode & 07777));
		return err_hint(e, "chmod 0700 %s", path);
	}
	return 0;
}

int layout_make(const struct layout *l, struct err *e)
{
	const char *dirs[] = {l->state_dir, l->places_dir, l->recordings_dir, l->tmux_dir,
		l->runtime_dir};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (dir_make(dirs[i], 0700, e) < 0)
			return -1;
	if (layout_check_private(l->state_dir, e) < 0)
		return -1;
	return layout_check_private(l->runtime_dir, e);
}

/* The folder of the running program. Owned. */
static char *own_dir(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	char *slash = strrchr(path, '/');
	*slash = '\0';
	return xstrdup(path[0] ? path : "/");
}

static char *keep_if(char *path, int mode)
{
	struct stat st;

	if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, mode) == 0)
		return path;
	free(path);
	return NULL;
}

char *layout_program(const char *name, struct err *e)
{
	const char *env = getenv("TMUX_CLAUDE_LIBEXEC");
	char *found;

	if (env && env[0]) {
		found = keep_if(xasprintf("%s/%s", env, name), X_OK);
		if (!found)
			err_set(e, ERR_MISSING, "%s is not in TMUX_CLAUDE_LIBEXEC (%s)", name, env);
		return found;
	}
	/* A build tree has them all in one folder; bin and libexec of an installation may have been moved
	 * together. */
	cleanup_free char *own = own_dir();
	if (own) {
		found = keep_if(xasprintf("%s/%s", own, name), X_OK);
		if (!found)
			found = keep_if(xasprintf("%s/../libexec/tmux-claude/%s", own, name), X_OK);
		if (!found)
			found = keep_if(xasprintf("%s/../../bin/%s", own, name), X_OK);
		if (found)
			return found;
	}
	found = keep_if(xasprintf("%s/%s", TC_PKGLIBEXECDIR, name), X_OK);
	if (!found) {
		err_set(e, ERR_MISSING, "our own program %s is not in %s", name, TC_PKGLIBEXECDIR);
		err_hint(e, "run `make install` again, or set TMUX_CLAUDE_LIBEXEC");
	}
	return found;
}

/* configure leaves the name of the source tree in the build tree's file source-dir. Owned, or NULL. */
static char *source_dir(const char *own)
{
	cleanup_free char *file = xasprintf("%s/source-dir", own);
	char *text;
	size_t len;

	if (file_read(file, PATH_MAX, &text, &len, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

char *layout_data(const char *name, struct err *e)
{
	const char *env = getenv("TMUX_CLAUDE_DATA");
	char *found = NULL;

	if (env && env[0]) {
		found = keep_if(xasprintf("%s/%s", env, name), R_OK);
		if (!found)
			err_set(e, ERR_MISSING, "%s is not in TMUX_CLAUDE_DATA (%s)", name, env);
		return found;
	}
	cleanup_free char *own = own_dir();
	if (own) {
		cleanup_free char *source = source_dir(own);
		if (source)
			found = keep_if(xasprintf("%s/place/guest/%s", source, name), R_OK);
		if (!found)
			found = keep_if(xasprintf("%s/../share/tmux-claude/%s", own, name), R_OK);
	}
	if (!found)
		found = keep_if(xasprintf("%s/%s", TC_PKGDATADIR, name), R_OK);
	if (!found) {
		err_set(e, ERR_MISSING, "our own file %s is not in %s", name, TC_PKGDATADIR);
		err_hint(e, "run `make install` again, or set TMUX_CLAUDE_DATA");
	}
	return found;
}
