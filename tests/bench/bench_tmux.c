/* SPDX-License-Identifier: ISC */
/*
 * The control client and the pool against what forking tmux for each command costs: latencies, spawn
 * rates, the time from a pane's death to its event.
 * bench_tmux [--rows FILE] [--only WORD] [--runs N] [PANES]
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/tmux/client.h"
#include "daemon/tmux/conf.h"
#include "daemon/tmux/pane.h"
#include "daemon/tmux/reaper.h"
#include "tests/bench/bench.h"

#define ONE_AT_A_TIME 2000
#define PIPELINED 20000
#define WINDOW 500
#define FORKS 100
#define DEATHS 40
#define PANES_DEFAULT 200
#define BACK_PANES 500u
#define PANES_MAX 2000

extern char **environ;

static struct loop *loop;
static char dir[] = "/tmp/tc-bench-tmux-XXXXXX";
static char *program, *conf, **env;
static char *preload; /* no_utmp.c as built; NULL: not found */
static unsigned panes = PANES_DEFAULT;

#define must bench_must
#define median bench_median

/* ---- one client ---- */

static struct tmux_reaper *reaper;
static struct tmux_client *client;
static struct tmux_client_spec spec;
static bool up, down;
static unsigned answered;

static void client_up(void *arg)
{
	(void)arg;
	up = true;
}

static void client_down(void *arg, const struct err *e, bool wedged)
{
	(void)arg;
	(void)e;
	(void)wedged;
	down = true;
}

static void client_answer(void *arg, const struct err *e, const char *text, size_t len)
{
	(void)arg;
	(void)text;
	(void)len;
	must(e == NULL, "a command");
	answered++;
}

static void client_open(const char *socket)
{
	static const struct tmux_client_ops ops = {.on_up = client_up, .on_down = client_down};

	up = down = false;
	spec = (struct tmux_client_spec){program, socket, conf, env, 60000, 60000};
	must(tmux_client_create(loop, reaper, &spec, &ops, NULL, &client, NULL) == 0, "a client");
	while (!up && !down)
		loop_turn(loop, -1);
	must(up, "connecting");
}

static void client_close(void)
{
	struct tmux_cmd c;

	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "kill-server");
	tmux_client_send(client, &c, false, NULL, NULL, NULL);
	tmux_cmd_finish(&c);
	while (!down)
		loop_turn(loop, -1);
	tmux_client_destroy(client);
}

static void send_literal(const char *literal)
{
	struct tmux_cmd c;

	tmux_cmd_init(&c);
	tmux_cmd_add(&c, literal);
	must(tmux_client_send(client, &c, false, client_answer, NULL, NULL) == 0, "sending");
	tmux_cmd_finish(&c);
}

static double display_one_at_a_time(void *arg)
{
	static double v[ONE_AT_A_TIME];
	(void)arg;

	for (unsigned i = 0; i < ONE_AT_A_TIME; i++) {
		int64_t t = clock_mono_us();

		answered = 0;
		send_literal("display-message -p x");
		while (answered == 0)
			loop_turn(loop, -1);
		v[i] = (double)(clock_mono_us() - t);
	}
	return median(v, ONE_AT_A_TIME);
}

static double display_pipelined(void *arg)
{
	int64_t t = clock_mono_us();
	unsigned sent = 0;
	(void)arg;

	answered = 0;
	while (answered < PIPELINED) {
		while (sent < PIPELINED && sent - answered < WINDOW) {
			send_literal("display-message -p x");
			sent++;
		}
		loop_turn(loop, -1);
	}
	return (double)(clock_mono_us() - t) / PIPELINED;
}

static void fork_tmux(char *const *argv)
{
	struct proc_spec ps = {.argv = argv, .envp = env, .cwd = "/"};
	int status;
	pid_t pid;

	must(proc_spawn(&ps, &pid, NULL) == 0, "starting tmux");
	must(waitpid(pid, &status, 0) == pid && status == 0, "a forked tmux");
}

static double display_forked(void *arg)
{
	char *argv[] = {program, "-S", (char *)spec.socket, "display-message", "-p", "x", NULL};
	double v[FORKS];
	(void)arg;

	for (unsigned i = 0; i < FORKS; i++) {
		int64_t t = clock_mono_us();

		fork_tmux(argv);
		v[i] = (double)(clock_mono_us() - t);
	}
	return median(v, FORKS);
}

/* ---- spawning ---- */

static char *fresh_socket(void)
{
	static unsigned n;

	return xasprintf("%s/b%u.sock", dir, n++);
}

/* Sessions by one forked tmux each, on servers of TMUX_PANES_PER_SERVER as the pool has. */
static double spawn_forked(void *arg)
{
	unsigned n = panes < FORKS ? panes : FORKS;
	char *socket = NULL;
	int64_t took = 0;
	(void)arg;

	for (unsigned i = 0; i < n; i++) {
		cleanup_free char *id = xasprintf("p%04u", i);
		char *argv[] = {program, "-S", NULL, "new-session", "-d", "-s", id, "-x", "80",
			"-y", "24", "--", "cat", "-u", NULL};
		int64_t t;

		if (i % TMUX_PANES_PER_SERVER == 0) {
			if (socket != NULL)
				client_close();
			free(socket);
			socket = fresh_socket();
			client_open(socket);
		}
		argv[2] = socket;
		t = clock_mono_us();
		fork_tmux(argv);
		took += clock_mono_us() - t;
	}
	client_close();
	free(socket);
	return n * 1e6 / (double)took;
}

/* The same over one control client a server, pipelined, one server after the other: what the pool's
 * care costs is seen beside this. */
static double spawn_raw(void *arg)
{
	int64_t took = 0;
	(void)arg;

	for (unsigned done = 0; done < panes;) {
		cleanup_free char *socket = fresh_socket();
		unsigned n = panes - done < TMUX_PANES_PER_SERVER ? panes - done
								  : TMUX_PANES_PER_SERVER;
		int64_t t;

		client_open(socket);
		t = clock_mono_us();
		answered = 0;
		for (unsigned i = 0; i < n; i++) {
			cleanup_free char *cmd = xasprintf(
				"new-session -d -s p%04u -x 80 -y 24 -- cat -u", done + i);

			send_literal(cmd);
		}
		while (answered < n)
			loop_turn(loop, -1);
		took += clock_mono_us() - t;
		client_close();
		done += n;
	}
	return panes * 1e6 / (double)took;
}

static struct tmux_pool *pool;
static unsigned opened, died, back;
static bool ended;

static void pane_done(void *arg, const char *id, const struct err *e)
{
	(void)arg;
	(void)id;
	must(e == NULL, "a pane");
	opened++;
}

static void pool_done(void *arg, const char *id, const struct err *e)
{
	(void)arg;
	(void)id;
	(void)e;
	ended = true;
}

static void pane_died(void *arg, const char *id, struct proc_status st, bool again)
{
	(void)arg;
	(void)id;
	(void)st;
	(void)again;
	died++;
}

static void pane_lost(void *arg, const char *id, const char *why, bool again)
{
	(void)arg;
	(void)id;
	(void)why;
	(void)again;
}

static void pane_back(void *arg, const char *id)
{
	(void)arg;
	(void)id;
	back++;
}

static const struct tmux_pool_ops pool_ops = {
	.on_died = pane_died, .on_lost = pane_lost, .on_back = pane_back};

static void pool_up(void)
{
	cleanup_free char *folder = xasprintf("%s/t", dir);

	struct tmux_limits limits = {.preload = preload};

	must(tmux_pool_create(loop, folder, &limits, &pool_ops, NULL, &pool, NULL) == 0, "the pool");
}

static void pool_down(void)
{
	ended = false;
	tmux_pool_end(pool, pool_done, NULL);
	while (!ended)
		loop_turn(loop, -1);
	tmux_pool_destroy(pool);
}

static void open_all(unsigned n)
{
	char *argv[] = {"cat", "-u", NULL};

	opened = 0;
	for (unsigned i = 0; i < n; i++) {
		char id[16];
		struct tmux_pane_spec ps = {.id = id, .argv = argv};

		str_fmt(id, sizeof(id), "p%04u", i);
		must(tmux_pane_open(pool, &ps, pane_done, NULL, NULL) == 0, "opening");
	}
	while (opened < n)
		loop_turn(loop, -1);
}

/* From nothing: starting the servers is part of it. */
static double spawn_pool(void *arg)
{
	int64_t t;
	double rate;
	(void)arg;

	pool_up();
	t = clock_mono_us();
	open_all(panes);
	rate = panes * 1e6 / (double)(clock_mono_us() - t);
	pool_down();
	return rate;
}

static double death_to_event(void *arg)
{
	double v[DEATHS];
	(void)arg;

	pool_up();
	open_all(TMUX_PANES_PER_SERVER);
	for (unsigned i = 0; i < DEATHS; i++) {
		struct tmux_location l;
		char id[16];
		int64_t t;

		str_fmt(id, sizeof(id), "p%04u", i);
		must(tmux_pane_locate(pool, id, &l, NULL) == 0, "finding");
		died = back = 0;
		t = clock_mono_us();
		kill(l.pid, SIGKILL);
		while (died == 0)
			loop_turn(loop, -1);
		v[i] = (double)(clock_mono_us() - t);
		while (back == 0)
			loop_turn(loop, -1);
	}
	pool_down();
	return median(v, DEATHS);
}

/* Who listens in the pool's folder: its servers. */
static void kill_servers(void)
{
	cleanup_free char *folder = xasprintf("%s/t", dir);
	DIR *d = opendir(folder);
	struct dirent *de;

	while ((de = readdir(d)) != NULL) {
		cleanup_free char *path = xasprintf("%s/%s", folder, de->d_name);
		cleanup_close int fd = -1;
		struct ucred cred;

		if (strcmp(de->d_name, ".") != 0 && sock_connect(path, &fd, NULL) == 0 &&
			sock_peer(fd, &cred, NULL) == 0)
			kill(cred.pid, SIGKILL);
	}
	closedir(d);
}

/* Every server at once, with kill -9; until the last pane is back. */
static double back_after_kill(void *arg)
{
	int64_t t;
	(void)arg;

	back = 0;
	t = clock_mono_us();
	kill_servers();
	while (back < BACK_PANES)
		loop_turn(loop, -1);
	return (double)(clock_mono_us() - t) / 1e3;
}

static void deaths(void)
{
	cleanup_free char *note = xasprintf("%u panes, %d a server", BACK_PANES,
		TMUX_PANES_PER_SERVER);
	struct bench_row row = {.what = "every server killed: all panes back", .unit = "ms",
		.note = note, .at_most = 2000};

	bench_run(&(struct bench_row){.what = "a pane's death to the pool's event, 48 panes",
			  .unit = "us", .at_most = 2000}, death_to_event, NULL);
	if (!bench_wanted(row.what))
		return;
	pool_up();
	open_all(BACK_PANES);
	bench_run(&row, back_after_kill, NULL);
	pool_down();
}

static void commands(void)
{
	cleanup_free char *socket = fresh_socket();
	double forked;

	if (!bench_wanted("display-message"))
		return;
	client_open(socket);
	forked = bench_run(&(struct bench_row){.what = "display-message, fork and exec of tmux",
		.unit = "us"}, display_forked, NULL);
	bench_run(&(struct bench_row){.what = "display-message, one at a time", .unit = "us",
			  .than = "a fork of tmux", .reference = forked, .ratio_at_least = 50},
		display_one_at_a_time, NULL);
	bench_run(&(struct bench_row){.what = "display-message, pipelined", .unit = "us",
			  .than = "a fork of tmux", .reference = forked, .ratio_at_least = 100},
		display_pipelined, NULL);
	client_close();
}

static void spawning(void)
{
	cleanup_free char *note = xasprintf("%u panes, %d a server", panes, TMUX_PANES_PER_SERVER);
	double raw, forked;

	raw = bench_run(&(struct bench_row){.what = "new-session, raw control mode", .unit = "/s",
		.note = note}, spawn_raw, NULL);
	forked = bench_run(&(struct bench_row){.what = "new-session, fork and exec of tmux each",
		.unit = "/s"}, spawn_forked, NULL);
	bench_run(&(struct bench_row){.what = "new-session, the pool, against raw control mode",
			  .unit = "/s", .note = note, .than = "raw control mode", .reference = raw},
		spawn_pool, NULL);
	bench_run(&(struct bench_row){.what = "new-session, the pool, against a fork each",
			  .unit = "/s", .note = note, .than = "a fork of tmux", .reference = forked,
			  .ratio_at_least = 5}, spawn_pool, NULL);
}

int main(int argc, char **argv)
{
	int64_t n;

	bench_start(&argc, argv, "tmux");
	if (argc > 1 && str_to_i64(argv[1], 1, PANES_MAX, &n) == 0)
		panes = (unsigned)n;
	signal(SIGPIPE, SIG_IGN);
	loop = loop_create(NULL);
	program = proc_which("tmux");
	must(loop != NULL && program != NULL && mkdtemp(dir) != NULL, "setting up");
	env = tmux_conf_env(environ);
	preload = realpath("tmux-claude-no-utmp.so", NULL);
	reaper = tmux_reaper_create(loop);
	cleanup_free char *text = tmux_conf_text(NULL);
	conf = xasprintf("%s/tmux.conf", dir);
	must(file_write_atomic(conf, text, strlen(text), 0600, NULL) == 0, "the configuration");
	commands();
	spawning();
	deaths();
	tmux_reaper_destroy(reaper);
	loop_destroy(loop);
	strv_free(env);
	free(program);
	free(conf);
	free(preload);
	tree_remove(dir, NULL);
	return bench_end();
}
