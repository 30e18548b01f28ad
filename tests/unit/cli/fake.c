/* SPDX-License-Identifier: ISC */
/* A daemon that answers as a test tells it to, and runs of the program against it. */
#include "tests/unit/cli/fake.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/unit/run.h"

#define OUTPUT_MAX (16 * 1024 * 1024)

char fake_dir[] = "/tmp/tc-cli-XXXXXX";
static pid_t daemon_pid;
static int heard = -1;

/* The daemon. */

static void on_request(void *arg, struct peer_request *req, const char *method, json_t *params)
{
	struct fake *f = arg;
	cleanup_free char *text = params ? json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS) : xstrdup("{}");

	f->count++;
	dprintf(f->said, "%s %s\n", method, text);
	f->answer(f, req, method, params);
}

static void on_close(void *arg, const char *reason)
{
	struct fake *f = arg;

	(void)reason;
	peer_destroy(f->peer);
	f->peer = NULL;
	dprintf(f->said, "gone\n");
}

static const struct peer_ops ops = {.on_request = on_request, .on_close = on_close};

static void on_accept(void *arg, int fd, unsigned events)
{
	struct fake *f = arg;
	int client = sock_accept(fd);

	(void)events;
	if (client < 0)
		return;
	if (f->peer)
		close(client);
	else
		f->peer = peer_create(f->loop, client, 0, &ops, f);
}

static struct loop_io *accept_io;

void fake_listen(struct fake *f)
{
	struct err e = {0};

	ck_assert_msg(sock_listen(f->path, 0600, &f->listener, &e) == 0, "%s", e.message);
	accept_io = loop_io_add(f->loop, f->listener, LOOP_READ, on_accept, f);
}

void fake_stop_listening(struct fake *f)
{
	loop_io_free(accept_io);
	close(f->listener);
	unlink(f->path);
}

static void serve(fake_fn *answer, int said)
{
	struct fake f = {.answer = answer, .said = said};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	str_fmt(f.path, sizeof(f.path), "%s/run/daemon.sock", fake_dir);
	f.loop = loop_create(NULL);
	fake_listen(&f);
	dprintf(said, "listening\n");
	loop_run(f.loop);
	_exit(0);
}

/* The test. */

void fake_setup(void)
{
	cleanup_free char *run = NULL;

	ck_assert_ptr_nonnull(mkdtemp(fake_dir));
	for (char **v = environ; *v;) {
		bool ours = str_starts(*v, "TMUX") || str_starts(*v, "NO_COLOR");
		cleanup_free char *name = xstrndup(*v, strcspn(*v, "="));
		if (ours)
			unsetenv(name);
		v = ours ? environ : v + 1;
	}
	setenv("TMUX_CLAUDE_HOME", fake_dir, 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	run = xasprintf("%s/run", fake_dir);
	ck_assert_int_eq(mkdir(run, 0700), 0);
}

void fake_teardown(void)
{
	if (daemon_pid > 0) {
		kill(daemon_pid, SIGKILL);
		waitpid(daemon_pid, NULL, 0);
	}
	tree_remove(fake_dir, NULL);
}

void fake_start(fake_fn *answer)
{
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	daemon_pid = fork();
	if (daemon_pid == 0) {
		close(p[0]);
		serve(answer, p[1]);
	}
	close(p[1]);
	heard = p[0];
	ck_assert_str_eq(fake_heard(), "listening");
}

const char *fake_heard(void)
{
	static char line[65536];
	size_t n = 0;

	while (n + 1 < sizeof(line)) {
		ssize_t r = read(heard, line + n, 1);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0 || line[n] == '\n')
			break;
		n++;
	}
	line[n] = '\0';
	return line;
}

int fake_wait(void)
{
	int status;

	ck_assert_int_eq(waitpid(daemon_pid, &status, 0), daemon_pid);
	daemon_pid = 0;
	return status;
}

bool fake_ended(void)
{
	siginfo_t si = {0};

	return waitid(P_PID, (id_t)daemon_pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid == daemon_pid;
}

static int open_in_dir(const char *name, int flags)
{
	cleanup_free char *path = xasprintf("%s/%s", fake_dir, name);
	int fd = open(path, flags | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static char *slurp(const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", fake_dir, name);
	struct err e = {0};
	char *text;
	size_t len;

	ck_assert_msg(file_read(path, OUTPUT_MAX, &text, &len, &e) == 0, "%s", e.message);
	return text;
}

static char *program_path(void)
{
	const char *dir = getenv("TC_BUILDDIR");

	return xasprintf("%s/tmux-claude", dir ? dir : ".");
}

pid_t start_program(char *const *args)
{
	cleanup_free char *program = program_path();
	cleanup_strv char **argv = strv_new();
	pid_t pid;

	strv_push(&argv, program);
	for (; *args; args++)
		strv_push(&argv, *args);
	int out = open_in_dir("out", O_WRONLY | O_CREAT | O_TRUNC);
	int err = open_in_dir("err", O_WRONLY | O_CREAT | O_TRUNC);
	pid = fork();
	if (pid == 0) {
		int in = open_in_dir("in", O_RDONLY | O_CREAT);
		dup2(in, 0);
		dup2(out, 1);
		dup2(err, 2);
		execv(program, argv);
		_exit(99);
	}
	close(out);
	close(err);
	return pid;
}

void finish_program(struct run *r, pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	*r = (struct run){.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		.out = slurp("out"),
		.err = slurp("err")};
}

void run_program(struct run *r, const char *input, char *const *args)
{
	int in = open_in_dir("in", O_WRONLY | O_CREAT | O_TRUNC);

	if (input)
		ck_assert_int_eq(write_all(in, input, strlen(input)), 0);
	close(in);
	finish_program(r, start_program(args));
}

void run_free(struct run *r)
{
	free(r->out);
	free(r->err);
}
