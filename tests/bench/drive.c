/* SPDX-License-Identifier: ISC */
/*
 * What the fleet's benchmark (bench_fleet.py) needs done faster than Python does it.
 *
 *   drive agent SOCKET [HZ]                the agent: tells SOCKET (datagrams) when bytes reach its terminal;
 *                                          prints a line HZ times a second
 *   drive rate DAEMON METHOD PARAMS N W    N calls, W of them unanswered at a time: calls a second
 *   drive trip DAEMON METHOD PARAMS N      N calls, one at a time: microseconds each, a line a call
 *   drive send DAEMON SOCKET N ID...       N prompts, one at a time, to these instances in turn: microseconds
 *                                          from the call to its first byte at the terminal, to the answer, and
 *                                          those that the commits before the first byte took
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define DEADLINE_MS 60000
#define LINE_MAX_BYTES (4 * 1024 * 1024)
#define PIECE 65536

struct seen {
	int64_t us;
	int64_t bytes;
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "drive: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
	exit(1);
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (str_fmt(a.sun_path, sizeof(a.sun_path), "%s", path) != 0)
		fail("the socket's path is too long");
	return a;
}

/* ---- the agent ---- */

static int agent(const char *path, double hz)
{
	struct sockaddr_un to = address(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int64_t period = hz > 0 ? (int64_t)(1e6 / hz) : 0;
	int64_t next = clock_mono_us() + (period ? getpid() * 7919 % period : 0);
	struct termios t;

	if (fd < 0 || tcgetattr(0, &t) < 0)
		fail("starting");
	cfmakeraw(&t);
	tcsetattr(0, TCSANOW, &t);
	for (unsigned long line = 0;;) {
		struct pollfd p = {.fd = 0, .events = POLLIN};
		int64_t left = period ? (next - clock_mono_us()) / 1000 : -1;
		char bytes[4096];

		if (poll(&p, 1, period && left < 0 ? 0 : (int)left) < 0 && errno != EINTR)
			return 1;
		if (p.revents) {
			ssize_t n = read(0, bytes, sizeof(bytes));
			struct seen s = {clock_mono_us(), n};
			if (n <= 0)
				return 0;
			sendto(fd, &s, sizeof(s), 0, (struct sockaddr *)&to,
				(socklen_t)sizeof(to));
		}
		if (period && clock_mono_us() >= next) {
			next += period;
			printf("line %lu of some length, as agents print\r\n", line++);
			fflush(stdout);
		}
	}
}

/* ---- a connection to the daemon ---- */

struct caller {
	int fd;
	char *in;
	size_t len, scanned;
	char last[1024]; /* the beginning of the last answer */
};

static void open_caller(struct caller *c, const char *path)
{
	struct sockaddr_un a = address(path);

	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail(path);
	c->in = xcalloc(1, LINE_MAX_BYTES);
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	errno = 0;
	if (poll(&p, 1, DEADLINE_MS) <= 0)
		fail("waiting");
}

/* Reads what is there; returns how many answers that completed. Errors end the program. */
static unsigned take(struct caller *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, LINE_MAX_BYTES - c->len, MSG_DONTWAIT);
	unsigned lines = 0;
	char *nl;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		fail("the daemon's answer");
	c->len += (size_t)n;
	while ((nl = memchr(c->in + c->scanned, '\n', c->len - c->scanned))) {
		size_t rest = c->len - (size_t)(nl + 1 - c->in);
		*nl = '\0';
		if (strstr(c->in, "\"error\":{")) {
			fprintf(stderr, "drive: %.500s\n", c->in);
			exit(1);
		}
		lines++;
		str_fmt(c->last, sizeof(c->last), "%.*s", (int)sizeof(c->last) - 1, c->in);
		memmove(c->in, nl + 1, rest);
		c->len = rest;
		c->scanned = 0;
	}
	c->scanned = c->len;
	return lines;
}

static void write_whole(struct caller *c, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);
		if (n < 0)
			fail("sending");
		text += n;
		len -= (size_t)n;
	}
}

static void answer(struct caller *c)
{
	while (take(c) == 0)
		wait_for(c->fd, POLLIN);
}

static int64_t number(const char *text)
{
	int64_t n;

	if (text == NULL || str_to_i64(text, 1, 100000000, &n) != 0)
		fail("a number");
	return n;
}

static int rate(char **a)
{
	cleanup_free char *line =
		xasprintf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n", a[1], a[2]);
	size_t len = strlen(line), batch = PIECE / len ? PIECE / len : 1;
	cleanup_free char *many = xcalloc(batch, len + 1);
	int64_t count = number(a[3]), window = number(a[4]), sent = 0, got = 0;
	struct caller c = {0};

	for (size_t i = 0; i < batch; i++)
		memcpy(many + i * len, line, len);
	open_caller(&c, a[0]);
	int64_t start = clock_mono_us();
	while (got < count) {
		int64_t room = window - (sent - got), left = count - sent;
		int64_t n = room < left ? room : left;
		if (n > (int64_t)batch)
			n = (int64_t)batch;
		/* Half a window at a time: not a system call for each. */
		if (n > 0 && (n == left || n * 2 >= window || n == (int64_t)batch)) {
			write_whole(&c, many, (size_t)n * len);
			sent += n;
		}
		unsigned lines = take(&c);
		got += lines;
		if (!lines && (sent == count || sent - got >= window / 2))
			wait_for(c.fd, POLLIN);
	}
	printf("%.1f\n", (double)count * 1e6 / (double)(clock_mono_us() - start));
	return 0;
}

static int trip(char **a)
{
	cleanup_free char *line =
		xasprintf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n", a[1], a[2]);
	struct caller c = {0};

	open_caller(&c, a[0]);
	for (int64_t i = number(a[3]); i > 0; i--) {
		int64_t t = clock_mono_us();
		write_whole(&c, line, strlen(line));
		answer(&c);
		printf("%lld\n", (long long)(clock_mono_us() - t));
	}
	return 0;
}

/* ---- prompts ---- */

/* Microseconds that the daemon's commits have taken so far. */
static long long commit_us(struct caller *c)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"status\"}\n";
	const char *at;

	write_whole(c, line, sizeof(line) - 1);
	answer(c);
	at = strstr(c->last, "\"us\":");
	if (at == NULL)
		fail("the status");
	return atoll(at + 5);
}

/* The time of the first byte at a terminal; then waits for the last of `bytes`. */
static int64_t first_byte(int fd, int64_t bytes, struct caller *aside, long long *commits)
{
	int64_t first = 0;
	struct seen s;

	while (bytes > 0) {
		wait_for(fd, POLLIN);
		if (recv(fd, &s, sizeof(s), 0) != sizeof(s))
			fail("what the agent saw");
		if (!first) {
			first = s.us;
			*commits = commit_us(aside) - *commits;
		}
		bytes -= s.bytes;
	}
	return first;
}

static int send_prompts(char **a, int ids)
{
	struct sockaddr_un here = address(a[1]);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct caller c = {0}, aside = {0};

	unlink(a[1]);
	if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0)
		fail(a[1]);
	open_caller(&c, a[0]);
	open_caller(&aside, a[0]);
	for (int64_t i = 0, n = number(a[2]); i < n; i++) {
		cleanup_free char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\","
						    "\"params\":{\"id\":\"%s\",\"text\":\"x\"}}\n",
			a[3 + i % ids]);
		long long commits = commit_us(&aside);
		int64_t start = clock_mono_us(), first;

		write_whole(&c, line, strlen(line));
		first = first_byte(fd, 2, &aside, &commits); /* the letter and its Enter */
		answer(&c);
		printf("%lld %lld %lld\n", (long long)(first - start), (long long)(clock_mono_us() - start),
			commits);
	}
	unlink(a[1]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "agent"))
		return agent(argv[2], argc > 3 ? atof(argv[3]) : 0);
	if (argc == 7 && !strcmp(argv[1], "rate"))
		return rate(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "trip"))
		return trip(argv + 2);
	if (argc >= 6 && !strcmp(argv[1], "send"))
		return send_prompts(argv + 2, argc - 5);
	fprintf(stderr, "see the head of tests/bench/drive.c\n");
	return 2;
}
