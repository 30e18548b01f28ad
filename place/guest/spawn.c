/* SPDX-License-Identifier: ISC */
/* From a message to a running program. */
#include "place/guest/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#include "base/proc.h"
#include "base/util.h"
#include "place/guest/enter.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULT_TERM "xterm-256color"

static int strings(const json_t *o, const char *key, char ***ret, struct err *e)
{
	const json_t *a = json_object_get(o, key), *v;
	cleanup_strv char **out = strv_new();
	size_t i;

	if (!json_is_array(a) || json_array_size(a) > SPAWN_STRINGS_MAX)
		return err_set(e, ERR_PARAMS, "\"%s\" is missing, no list, or longer than %d", key,
			SPAWN_STRINGS_MAX);
	json_array_foreach(a, i, v) {
		const char *s = json_string_value(v);
		if (!s || strlen(s) != json_string_length(v))
			return err_set(e, ERR_PARAMS, "\"%s\" holds what no program can be given", key);
		strv_push(&out, s);
	}
	*ret = take_ptr(out);
	return 0;
}

/* What a program of the agent has around it when nobody says otherwise. */
static char **default_env(struct guest *g, bool user)
{
	static const char *const not_theirs[] = { "TMUX", "TMUX_PANE", "CLAUDECODE" };
	char **env = strv_new();

	if (!g->machine) {
		for (char **v = environ; *v; v++) {
			bool skip = str_starts(*v, "TMUX_CLAUDE_") || str_starts(*v, "CLAUDE_CODE_");
			for (size_t i = 0; i < ARRAY_LEN(not_theirs); i++) {
				size_t n = strlen(not_theirs[i]);
				skip = skip || (strncmp(*v, not_theirs[i], n) == 0 && (*v)[n] == '=');
			}
			if (!skip)
				strv_push(&env, *v);
		}
		return env;
	}
	strv_push(&env, "PATH=" DEFAULT_PATH);
	strv_push(&env, "LANG=C.UTF-8");
	strv_env_set(&env, "HOME", user ? g->agent.home : "/root");
	strv_env_set(&env, "USER", user ? g->agent.name : "root");
	strv_env_set(&env, "LOGNAME", user ? g->agent.name : "root");
	strv_env_set(&env, "SHELL", user ? g->agent.shell : "/bin/bash");
	return env;
}

static int parse_env(struct guest *g, const json_t *what, const char *instance, struct spawn *s,
	struct err *e)
{
	cleanup_strv char **given = NULL;

	if (json_object_get(what, "env") && !json_is_null(json_object_get(what, "env")) &&
		strings(what, "env", &given, e) < 0)
		return -1;
	if (given && strv_env_get(given, "PATH")) {
		s->env = take_ptr(given);
	} else {
		s->env = default_env(g, s->user);
		for (char **v = given; v && *v; v++) {
			cleanup_free char *key = xstrndup(*v, strcspn(*v, "="));
			if (strchr(*v, '='))
				strv_env_set(&s->env, key, strchr(*v, '=') + 1);
		}
	}
	if (s->rows && !strv_env_get(s->env, "TERM"))
		strv_env_set(&s->env, "TERM", DEFAULT_TERM);
	if (instance) {
		cleanup_free char *path = xasprintf("%s/%s.sock", g->run_dir, instance);
		strv_env_set(&s->env, "TMUX_CLAUDE_SOCKET", path);
		strv_env_set(&s->env, "TMUX_CLAUDE_INSTANCE", instance);
	}
	return 0;
}

int spawn_parse(struct guest *g, const json_t *what, const char *instance, struct spawn *ret,
	struct err *e)
{
	struct spawn s = { .user = jget_bool(what, "user", true) };
	const json_t *tty = json_object_get(what, "tty");
	const json_t *size = json_is_object(tty) ? tty : what;
	const char *cwd = jget_text(what, "cwd", NULL);

	s.rows = (int)jget_int(size, "rows", json_is_object(tty) ? 24 : 0);
	s.cols = (int)jget_int(size, "cols", json_is_object(tty) ? 80 : 0);
	if (s.rows < 0 || s.cols < 0 || s.rows > SPAWN_ROWS_MAX || s.cols > SPAWN_ROWS_MAX)
		return err_set(e, ERR_PARAMS, "a terminal of %d rows and %d columns cannot be", s.rows, s.cols);
	if (strings(what, "argv", &s.argv, e) < 0)
		return -1;
	if (!s.argv[0] || !*s.argv[0]) {
		spawn_finish(&s);
		return err_set(e, ERR_PARAMS, "\"argv\" names no program");
	}
	if (parse_env(g, what, instance, &s, e) < 0) {
		spawn_finish(&s);
		return -1;
	}
	if (!cwd || !*cwd)
		cwd = strv_env_get(s.env, "HOME");
	s.cwd = xstrdup(cwd && *cwd ? cwd : "/");
	*ret = s;
	return 0;
}

void spawn_finish(struct spawn *s)
{
	strv_free(s->argv);
	strv_free(s->env);
	free(s->cwd);
	memset(s, 0, sizeof(*s));
}

/* In the program's own PATH, not in ours. NULL: nowhere. */
static char *find_program(const struct spawn *s)
{
	const char *path = strv_env_get(s->env, "PATH");

	if (strchr(s->argv[0], '/'))
		return xstrdup(s->argv[0]);
	for (const char *p = path && *path ? path : DEFAULT_PATH;; p++) {
		size_t n = strcspn(p, ":");
		struct stat st;
		cleanup_free char *full = xasprintf("%.*s/%s", (int)n, p, s->argv[0]);
		/* A relative entry would be looked up from our folder; the program's is another. */
		if (n > 0 && *p == '/' && stat(full, &st) == 0 && S_ISREG(st.st_mode) &&
			(st.st_mode & 0111))
			return take_ptr(full);
		p += n;
		if (!*p)
			return NULL;
	}
}

/* In a machine the folder may be our own mount: neither looked at nor waited for. */
static int start_entering(struct guest *g, const struct spawn *s, struct proc_spec *spec,
	pid_t *ret_pid, int *ret_said, struct err *e)
{
	cleanup_strv char **argv = strv_new();
	int p[2];
	int r;

	strv_push(&argv, "tmux-claude-guest");
	strv_push(&argv, "enter");
	strv_push(&argv, s->cwd);
	strv_push(&argv, s->argv[0]);
	for (char **a = s->argv; *a; a++)
		strv_push(&argv, *a);
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot make a pipe");
	spec->file = ENTER_PROGRAM;
	spec->argv = argv;
	spec->envp = s->env;
	spec->cwd = "/";
	spec->setsid = true;
	proc_spec_fd(spec, p[1], ENTER_FD);
	if (s->user) {
		spec->drop = true;
		spec->uid = g->agent.uid;
		spec->gid = g->agent.gid;
	}
	r = proc_spawn(spec, ret_pid, e);
	close(p[1]);
	if (r == 0)
		*ret_said = p[0];
	else
		close(p[0]);
	return r;
}

static int start(struct guest *g, const struct spawn *s, struct proc_spec *spec, pid_t *ret_pid,
	int *ret_said, struct err *e)
{
	if (g->machine)
		return start_entering(g, s, spec, ret_pid, ret_said, e);
	*ret_said = -1;
	cleanup_free char *program = find_program(s);
	struct stat st;

	if (!program) {
		err_set(e, ERR_MISSING, "the program %s was not found in PATH", s->argv[0]);
		return err_hint(e, "install it, or name it with its path");
	}
	if (stat(s->cwd, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, ERR_NOT_FOUND, "the folder %s is not there", s->cwd);
	spec->file = program;
	spec->argv = s->argv;
	spec->envp = s->env;
	spec->cwd = s->cwd;
	spec->setsid = true;
	return proc_spawn(spec, ret_pid, e);
}

static int open_terminal(int *ret_master, int *ret_slave, struct err *e)
{
	cleanup_close int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	int unlock = 0;

	if (m < 0 || ioctl(m, TIOCSPTLCK, &unlock) < 0)
		return err_set_errno(e, errno == ENOSPC ? ERR_BUSY : ERR_FAILED, errno,
			"cannot make a terminal");
	int s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot open the terminal");
	*ret_master = take_fd(&m);
	*ret_slave = s;
	return 0;
}

int spawn_tty(struct guest *g, const struct spawn *s, int *ret_master, int *ret_slave, pid_t *ret_pid,
	int *ret_said, struct err *e)
{
	cleanup_close int master = -1;
	cleanup_close int slave = -1;
	struct proc_spec spec = { .ctty = true };
	struct winsize ws = { .ws_row = (unsigned short)(s->rows ? s->rows : 24),
		.ws_col = (unsigned short)(s->cols ? s->cols : 80) };
	struct termios t;

	if (open_terminal(&master, &slave, e) < 0)
		return -1;
	if (tcgetattr(slave, &t) == 0) {
		t.c_iflag |= IUTF8;
		tcsetattr(slave, TCSANOW, &t);
	}
	ioctl(slave, TIOCSWINSZ, &ws);
	/* So that what the agent starts as itself may open it again by its name (sudo, gpg, script). */
	if (s->user && g->machine && (fchown(slave, g->agent.uid, g->agent.gid) < 0 || fchmod(slave, 0620) < 0))
		return err_set_errno(e, ERR_FAILED, errno, "cannot give the terminal away");
	for (int fd = 0; fd < 3; fd++)
		proc_spec_fd(&spec, slave, fd);
	if (start(g, s, &spec, ret_pid, ret_said, e) < 0)
		return -1;
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}

int spawn_pipes(struct guest *g, const struct spawn *s, int ret_fds[3], pid_t *ret_pid, int *ret_said,
	struct err *e)
{
	int p[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	struct proc_spec spec = { 0 };
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++)
		if (pipe2(p[i], O_CLOEXEC) < 0)
			r = err_set_errno(e, ERR_FAILED, errno, "cannot make pipes");
	for (int i = 0; i < 3 && r == 0; i++)
		proc_spec_fd(&spec, p[i][i > 0], i);
	if (r == 0)
		r = start(g, s, &spec, ret_pid, ret_said, e);
	for (int i = 0; i < 3; i++) {
		int ours = p[i][i == 0], theirs = p[i][i > 0];
		if (theirs >= 0)
			close(theirs);
		if (r == 0) {
			fd_set_nonblock(ours);
			ret_fds[i] = ours;
		} else if (ours >= 0) {
			close(ours);
		}
	}
	return r;
}

int signal_number(const char *name)
{
	int64_t n;

	if (str_starts(name, "SIG"))
		name += 3;
	if (str_to_i64(name, 1, NSIG - 1, &n) == 0)
		return (int)n;
	for (int i = 1; i < NSIG; i++) {
		const char *abbrev = sigabbrev_np(i);
		if (abbrev && strcmp(abbrev, name) == 0)
			return i;
	}
	return 0;
}

void spawn_signal(const json_t *msg, pid_t pid, int master, bool group_default)
{
	int sig = signal_number(jget_text(msg, "signal", ""));
	pid_t group = pid;

	if (sig == 0 || pid <= 0)
		return;
	if (!jget_bool(msg, "group", group_default)) {
		kill(pid, sig);
		return;
	}
	if (master >= 0 && (ioctl(master, TIOCGPGRP, &group) < 0 || group <= 1))
		group = pid;
	kill(-group, sig);
	/* A shell that waits for the foreground job is meant as well when the terminal goes away. */
	if (group != pid && (sig == SIGHUP || sig == SIGTERM || sig == SIGKILL))
		kill(-pid, sig);
}
