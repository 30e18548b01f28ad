/* SPDX-License-Identifier: ISC */
/* What differs between versions of tmux, in one table. */
#include "daemon/tmux/version.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/util.h"

#define ASK_MS 5000

/* "3.3a" is 30301: a letter is a patch, as 3.3a is newer than 3.3. */
#define V(major, minor, patch) ((major) * 10000 + (minor) * 100 + (patch))
#define OLDEST V(3, 2, 1)
#define NEWEST V(99, 0, 0) /* "master", "openbsd-7.7": taken as the newest known */

/*
 * What else differs and needs nothing of us (tests/unit/tmux/conform/script runs it on each):
 * #{pane_dead_signal} is empty before 3.3; a window is given its size only when somebody looks in 3.2a;
 * the text of some refusals; from 3.7 on a changed history-limit holds for living panes, and a session's
 * name may hold colons.
 */
static const struct {
	int since;
	size_t flag;
} table[] = {
	{V(3, 3, 0), offsetof(struct tmux_version, dead_panes)},
};

static int version_number(const char *text)
{
	const char *p = str_starts(text, "next-") ? text + strlen("next-") : text;
	int major = 0, minor = 0, patch = 0;

	if (!isdigit((unsigned char)*p))
		return NEWEST;
	while (isdigit((unsigned char)*p) && major < 99)
		major = major * 10 + (*p++ - '0');
	if (*p == '.')
		p++;
	while (isdigit((unsigned char)*p) && minor < 99)
		minor = minor * 10 + (*p++ - '0');
	if (*p >= 'a' && *p <= 'z')
		patch = *p - 'a' + 1;
	return V(major, minor, patch);
}

int tmux_version_parse(const char *said, struct tmux_version *ret, struct err *e)
{
	struct tmux_version v = {0};
	size_t n;
	int number;

	/* 3.2a gives the name by which it was called: "tmux-3.2a 3.2a". */
	n = strcspn(said, " ");
	if (!str_starts(said, "tmux") || said[n] != ' ')
		return err_set(e, ERR_VERSION, "The program found as tmux does not say its version");
	said += n + 1;
	n = strcspn(said, " \r\n");
	if (n == 0 || n >= sizeof(v.text))
		return err_set(e, ERR_VERSION, "The program found as tmux does not say its version");
	memcpy(v.text, said, n);
	number = version_number(v.text);
	if (number < OLDEST) {
		err_set(e, ERR_VERSION, "tmux %s is too old: 3.2a or later is needed", v.text);
		return err_hint(e, "Install a newer tmux, or name it in the option tmux_path");
	}
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		*((bool *)((char *)&v + table[i].flag)) = number >= table[i].since;
	*ret = v;
	return 0;
}

/* Reads the pipe to its end or the deadline. */
static int read_said(int fd, char *out, size_t size)
{
	int64_t until = clock_mono_ms() + ASK_MS;
	size_t len = 0;

	while (len < size - 1) {
		int64_t left = until - clock_mono_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return -1;
		n = read(fd, out + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	out[len] = '\0';
	return 0;
}

int tmux_version_ask(const char *program, char *const *env, struct tmux_version *ret, struct err *e)
{
	char *argv[] = {(char *)program, "-V", NULL};
	struct proc_spec ps = {.argv = argv, .envp = env, .cwd = "/"};
	char said[128];
	int fds[2], got;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_IO, errno, "Cannot make a pipe from tmux");
	cleanup_close int from = fds[0];
	proc_spec_fd(&ps, fds[1], 1);
	got = proc_spawn(&ps, &pid, e);
	close(fds[1]);
	if (got < 0)
		return -1;
	got = read_said(from, said, sizeof(said));
	if (got < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (got < 0)
		return err_set(e, ERR_TIMEOUT, "%s -V did not answer within %d ms", program, ASK_MS);
	return tmux_version_parse(said, ret, e);
}
