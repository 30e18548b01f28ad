/* SPDX-License-Identifier: ISC */
/* The recorded bytes of an instance that has ended, by the shim's program. */
#include "cli/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/proc.h"
#include "base/util.h"
#include "cli/cli.h"

#define PIECE 65536
#define WORDS_MAX 4096

/* Why it failed: the text of the last line of its log, "time program[pid] level subsystem: text". */
static int failed(int fd, const char *dir, struct err *e)
{
	char words[WORDS_MAX + 1];
	ssize_t n = read(fd, words, WORDS_MAX);

	words[n > 0 ? n : 0] = '\0';
	words[strcspn(words, "\n")] = '\0';
	char *text = strstr(words, ": ");
	return err_set(e, ERR_NOT_FOUND, "the recording %s cannot be read%s%s", dir, text ? ": " : "",
		text ? text + 2 : "");
}

static int start(const char *dir, int64_t since, int out, int err, pid_t *pid, struct err *e)
{
	cleanup_free char *program = layout_program("tmux-claude-shim", e);
	cleanup_free char *from = xasprintf("%lld", (long long)since);
	char *argv[] = {program, "--dump", (char *)dir, since >= 0 ? "--since" : NULL, from, NULL};
	struct proc_spec spec = {.argv = argv};

	if (!program)
		return -1;
	proc_spec_fd(&spec, out, 1);
	proc_spec_fd(&spec, err, 2);
	return proc_spawn(&spec, pid, e);
}

/* 0 at the end, 1 when fn had enough or we are asked to stop. */
static int pump(int fd, recording_fn *fn, void *arg)
{
	char piece[PIECE];

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (client_poll(&p, 1, -1, &cli_stop, NULL) < 0)
			return 1;
		ssize_t n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		if (fn(arg, piece, (size_t)n) != 0)
			return 1;
	}
}

int recording_read(const char *dir, int64_t since, recording_fn *fn, void *arg, struct err *e)
{
	int out[2], err[2], status = 0;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot make a pipe");
	if (pipe2(err, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return err_set_errno(e, ERR_IO, errno, "cannot make a pipe");
	}
	int r = start(dir, since, out[1], err[1], &pid, e);
	close(out[1]);
	close(err[1]);
	if (r == 0) {
		bool enough = pump(out[0], fn, arg) != 0;
		if (enough)
			kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		if (!enough && status != 0)
			r = failed(err[0], dir, e);
	}
	close(out[0]);
	close(err[0]);
	return r;
}
