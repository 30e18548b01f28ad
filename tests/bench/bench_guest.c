/* SPDX-License-Identifier: ISC */
/*
 * The guest program over a unix socket, as on the host driver: round trips, throughput beside a raw
 * copy through the same kind of socket and pipe, starting programs, memory.
 * bench_guest [--rows FILE] [--only WORD] [--runs N] [PATH OF tmux-claude-guest]
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/link/link_io.h"
#include "tests/bench/bench.h"

#define TRIPS 2000
#define BULK (256 * 1024 * 1024)
#define TTY_LINES 4000000
#define STARTS 100
#define DEADLINE_MS 60000

struct stream {
	struct link_stream *s;
	size_t bytes, messages;
	bool ended;
};

static struct loop *loop;
static struct link_io *io;
static bool up;
static pid_t guest;
static char dir[] = "/tmp/tc-bench-guest-XXXXXX";

#define must bench_must

/* --- streams --- */

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	(void)data;
	((struct stream *)arg)->bytes += len;
	link_consumed(s, len);
}

static void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	(void)s;
	(void)msg;
	((struct stream *)arg)->messages++;
}

static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	(void)msg;
	if (!link_fin_sent(s))
		link_send_fin(s, NULL);
	if (arg)
		((struct stream *)arg)->ended = true;
	else
		link_close(s);
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	(void)s;
	fprintf(stderr, "bench_guest: %s\n", why->message);
	must(!arg, "a stream");
}

static const struct link_stream_ops ops = { .on_data = on_data, .on_ctl = on_ctl, .on_fin = on_fin,
	.on_reset = on_reset };

static void on_open(void *arg, struct link_stream *s, json_t *what)
{
	static const struct link_stream_ops quiet = { .on_fin = on_fin, .on_reset = on_reset };

	(void)arg;
	(void)what;
	link_accept(s, &quiet, NULL);
}

static void on_up(void *arg, bool new_peer, json_t *hello)
{
	(void)arg;
	(void)new_peer;
	(void)hello;
	up = true;
}

#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		int64_t until_end = clock_mono_ms() + DEADLINE_MS;                                 \
		while (!(cond)) {                                                                  \
			must(clock_mono_ms() < until_end, #cond);                                  \
			loop_turn(loop, 1000);                                                     \
		}                                                                                  \
	} while (0)

static void open_stream(struct stream *x, json_t *what)
{
	memset(x, 0, sizeof(*x));
	x->s = link_open(link_io_link(io), what, &ops, x, NULL);
	must(x->s != NULL, "opening a stream");
}

static void finish_stream(struct stream *x)
{
	UNTIL(x->ended);
	link_close(x->s);
}

static json_t *exec_of(const char *script)
{
	return json_pack("{s:s, s:[s, s, s], s:s}", "kind", "exec", "argv", "sh", "-c", script, "cwd", "/");
}

static json_t *run_of(const char *script)
{
	return json_pack("{s:s, s:s, s:[s, s, s], s:s, s:i, s:i}", "kind", "run", "proc", "bench", "argv", "sh",
		"-c", script, "cwd", "/", "rows", 24, "cols", 80);
}

/* --- what is measured --- */

static double seconds(int64_t since_us)
{
	return (double)(clock_mono_us() - since_us) / 1e6;
}

static double control_trip(void *arg)
{
	(void)arg;
	struct stream c;
	open_stream(&c, json_pack("{s:s}", "kind", "control"));
	int64_t start = clock_mono_us();
	for (size_t i = 0; i < TRIPS; i++) {
		link_send_ctl(c.s, json_pack("{s:s, s:i}", "op", "procs", "id", 1));
		UNTIL(c.messages > i);
	}
	double us = seconds(start) * 1e6 / TRIPS;
	link_reset(c.s, NULL);
	return us;
}

static double echo_trip(void *arg)
{
	(void)arg;
	struct stream x;
	open_stream(&x, run_of("stty raw -echo; echo; exec cat"));
	UNTIL(x.bytes > 0);
	int64_t start = clock_mono_us();
	for (size_t i = 0; i < TRIPS; i++) {
		size_t n = x.bytes;
		link_send(x.s, "k", 1);
		UNTIL(x.bytes > n);
	}
	double us = seconds(start) * 1e6 / TRIPS;
	link_send_ctl(x.s, json_pack("{s:s, s:b}", "signal", "KILL", "group", 1));
	finish_stream(&x);
	return us;
}

static double exec_out(void *arg)
{
	(void)arg;
	struct stream x;
	int64_t start = clock_mono_us();
	char script[64];
	snprintf(script, sizeof(script), "head -c %d /dev/zero", BULK);
	open_stream(&x, exec_of(script));
	finish_stream(&x);
	must(x.bytes == BULK, "reading all");
	return BULK / seconds(start) / 1e6;
}

static double exec_in(void *arg)
{
	(void)arg;
	static char block[65536];
	struct stream x;
	int64_t start = clock_mono_us();
	open_stream(&x, exec_of("cat >/dev/null"));
	for (size_t sent = 0; sent < BULK;) {
		if (link_send(x.s, block, sizeof(block)) == 0)
			sent += sizeof(block);
		else
			loop_turn(loop, 1000);
	}
	link_send_ctl(x.s, json_pack("{s:b}", "eof", 1));
	finish_stream(&x);
	return BULK / seconds(start) / 1e6;
}

static double tty_out(void *arg)
{
	(void)arg;
	struct stream x;
	char script[64];
	int64_t start = clock_mono_us();
	snprintf(script, sizeof(script), "seq 1 %d | cat", TTY_LINES); /* cat: in blocks */
	open_stream(&x, run_of(script));
	finish_stream(&x);
	return (double)x.bytes / seconds(start) / 1e6;
}

static double start_program(void *arg)
{
	(void)arg;
	int64_t start = clock_mono_us();
	for (int i = 0; i < STARTS; i++) {
		struct stream x;
		open_stream(&x, json_pack("{s:s, s:[s]}", "kind", "exec", "argv", "true"));
		finish_stream(&x);
	}
	return seconds(start) * 1e3 / STARTS;
}

/* What no design could beat: head writes to a pipe, one process moves it to a socket, we read. */
static double raw_copy(void *arg)
{
	(void)arg;
	static char block[65536];
	char script[96];
	struct err e = { 0 };
	int pair[2];
	pid_t pid;
	ssize_t n;
	size_t got = 0;
	int64_t start = clock_mono_us();
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "a socket pair");
	snprintf(script, sizeof(script), "head -c %d /dev/zero | cat", BULK);
	char *argv[] = { (char *)"sh", (char *)"-c", script, NULL };
	struct proc_spec spec = { .argv = argv };
	proc_spec_fd(&spec, pair[1], 1);
	must(proc_spawn(&spec, &pid, &e) == 0, "starting sh");
	close(pair[1]);
	while ((n = read(pair[0], block, sizeof(block))) > 0)
		got += (size_t)n;
	close(pair[0]);
	waitpid(pid, NULL, 0);
	must(got == BULK, "the raw copy");
	return BULK / seconds(start) / 1e6;
}

static double private_kib(void *arg)
{
	char path[64], *text = NULL;
	size_t len;
	long kib = 0;
	(void)arg;
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", guest);
	must(file_read(path, 65536, &text, &len, NULL) == 0, "reading its memory");
	for (char *p = text; (p = strstr(p, "Private_Dirty")); p += 8)
		kib += atol(strchr(p, ':') + 1);
	free(text);
	return (double)kib;
}

static double measure(const char *what, const char *unit, double (*fn)(void *))
{
	return bench_run(&(struct bench_row){.what = what, .unit = unit}, fn, NULL);
}

static void against(const char *what, double raw, double (*fn)(void *), double ratio)
{
	bench_run(&(struct bench_row){.what = what, .unit = "MB/s", .than = "raw copy", .reference = raw,
			  .ratio_at_least = ratio}, fn, NULL);
}

static void connect_guest(const char *program)
{
	static const struct link_ops link_ops = { .on_up = on_up, .on_open = on_open };
	static const struct link_io_ops io_ops = { 0 };
	struct link_config c = { .side = LINK_SHIM };
	struct err e = { 0 };
	int fd;
	must(mkdtemp(dir) != NULL, "mkdtemp");
	cleanup_free char *sock = xasprintf("%s/link.sock", dir);
	must(sock_listen(sock, 0600, &fd, &e) == 0, "listening");
	char *argv[] = { (char *)program, (char *)"--listen", (char *)"10", (char *)"--run-dir", dir, NULL };
	struct proc_spec spec = { .argv = argv, .setsid = true, .pdeathsig = SIGTERM };
	proc_spec_fd(&spec, fd, 10);
	must(proc_spawn(&spec, &guest, &e) == 0, "starting the guest program");
	close(fd);
	io = link_io_create(loop, &c, &link_ops, NULL, &io_ops);
	must(sock_connect(sock, &fd, &e) == 0, "connecting");
	link_io_attach(io, fd);
	UNTIL(up);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	signal(SIGPIPE, SIG_IGN);
	bench_start(&argc, argv, "guest");
	loop = loop_create(&e);
	connect_guest(argc > 1 ? argv[1] : "./tmux-claude-guest");
	double raw;
	measure("guest program, private memory, idle", "KiB", private_kib);
	bench_run(&(struct bench_row){.what = "link round trip (a control call)", .unit = "us", .at_most = 500},
		control_trip, NULL);
	measure("link, key to echo through a raw terminal", "us", echo_trip);
	raw = measure("raw copy: head | cat to a socket", "MB/s", raw_copy);
	against("link, exec, stdout", raw, exec_out, 0.6);
	against("link, exec, stdin", raw, exec_in, 0);
	against("link, run, output of a terminal (lines of 8 bytes)", raw, tty_out, 0);
	measure("exec of true, start to exit", "ms", start_program);
	measure("guest program, private memory, afterwards", "KiB", private_kib);
	kill(guest, SIGTERM);
	waitpid(guest, NULL, 0);
	link_io_destroy(io);
	loop_destroy(loop);
	tree_remove(dir, NULL);
	return bench_end();
}
