/* SPDX-License-Identifier: ISC */
/*
 * Anything is killed or stopped at any moment, half started things too, while panes are opened and closed;
 * in the end every pane that is wanted is there, once, and nothing else is left. TC_SEED repeats a run,
 * TC_ROUNDS makes it longer.
 */
#include "tests/unit/tmux/pool_rig.h"

#define PANES 24
#define PER_SERVER 8
#define ROUNDS 60
#define WEDGE_MS 700
#define SERVERS_MAX 32

static bool wanted[PANES];
static unsigned failed[PANES]; /* openings that were told, and asked for again */
static unsigned rounds = ROUNDS;

static const struct tmux_limits limits = {.panes = PER_SERVER, .deadline_ms = WEDGE_MS,
	.start_ms = 4 * WEDGE_MS, .pulse_ms = WEDGE_MS};

static char *name_of(unsigned n)
{
	static char id[8];

	str_fmt(id, sizeof(id), "c%02u", n);
	return id;
}

/* Those that listen in the folder now: what has no listener is passed over. */
static unsigned servers_now(char sockets[][128], pid_t *pids)
{
	DIR *d = opendir(pool_dir);
	struct dirent *de;
	unsigned n = 0;

	while (n < SERVERS_MAX && (de = readdir(d)) != NULL) {
		cleanup_close int fd = -1;
		struct ucred cred;

		if (strstr(de->d_name, ".sock") == NULL || strstr(de->d_name, ".lock") != NULL)
			continue;
		str_fmt(sockets[n], sizeof(sockets[n]), "%s/%s", pool_dir, de->d_name);
		if (sock_connect(sockets[n], &fd, NULL) == 0 && sock_peer(fd, &cred, NULL) == 0)
			pids[n++] = cred.pid;
	}
	closedir(d);
	return n;
}

static void signal_a_server(int signo)
{
	static char sockets[SERVERS_MAX][128];
	pid_t pids[SERVERS_MAX];
	unsigned n = servers_now(sockets, pids);

	if (n > 0)
		kill(pids[random() % n], signo);
}

static void a_person_does(const char *what, const char *target)
{
	static char sockets[SERVERS_MAX][128];
	pid_t pids[SERVERS_MAX];
	unsigned n = servers_now(sockets, pids), at;

	if (n == 0)
		return;
	at = (unsigned)random() % n;
	if (strchr("TR", state_of(pids[at])) != NULL)
		return; /* stopped, or about to be: they would wait with us */
	person(sockets[at], NULL, 0, what, target != NULL ? "-t" : NULL, target, NULL);
}

static void kill_a_client(void)
{
	unsigned n = 0;

	while (client_pid(n) > 0)
		n++;
	if (n > 0)
		kill(client_pid((unsigned)random() % n), SIGKILL);
}

static void kill_a_program(void)
{
	struct tmux_location l;

	if (tmux_pane_locate(pool, name_of((unsigned)random() % PANES), &l, NULL) == 0 && l.pid > 0)
		kill(l.pid, SIGKILL);
}

static void toggle_a_pane(void)
{
	unsigned n = (unsigned)random() % PANES;
	struct tmux_pane_spec spec = {.id = name_of(n), .argv = cat_argv};

	if (wanted[n])
		tmux_pane_close(pool, spec.id, NULL, NULL);
	else if (tmux_pane_open(pool, &spec, told_open, NULL, NULL) < 0)
		return; /* its end is under way */
	wanted[n] = !wanted[n];
}

static void restart_the_daemon(void)
{
	tmux_pool_destroy(pool);
	pool_up(limits);
	for (size_t i = 0; i < found_n; i++) /* what nothing owns */
		if (!wanted[atoi(found[i].id + 1)])
			tmux_pane_close(pool, found[i].id, NULL, NULL);
	for (unsigned i = 0; i < PANES; i++)
		if (wanted[i])
			open_argv(name_of(i), cat_argv);
}

static void do_something(void)
{
	switch (random() % 10) {
	case 0:
		signal_a_server(SIGKILL);
		break;
	case 1:
		signal_a_server(SIGSTOP);
		break;
	case 2:
		a_person_does("kill-server", NULL);
		break;
	case 3:
		a_person_does("kill-session", name_of((unsigned)random() % PANES));
		break;
	case 4:
		kill_a_client();
		break;
	case 5:
		kill_a_program();
		break;
	case 6:
		if (random() % 4 == 0)
			restart_the_daemon();
		break;
	default:
		toggle_a_pane();
	}
}

static bool as_wanted(void)
{
	for (unsigned i = 0; i < PANES; i++) {
		struct tmux_location l = {.state = TMUX_PANE_NONE};

		tmux_pane_locate(pool, name_of(i), &l, NULL);
		if (wanted[i] && l.state != TMUX_PANE_OPEN &&
			(!seen(name_of(i))->again || seen(name_of(i))->failed > failed[i])) {
			/* What people killed twice is left until it is asked for; and an opening
			 * fails when no server could be had in several attempts. */
			seen(name_of(i))->again = true;
			failed[i] = seen(name_of(i))->failed;
			open_argv(name_of(i), cat_argv);
		}
		if ((l.state == TMUX_PANE_OPEN) != wanted[i] ||
			(!wanted[i] && l.state != TMUX_PANE_NONE))
			return false;
	}
	return true;
}

/* Every wanted id names one session on one server, and no other id is there. What was killed or stopped
 * last may not have been noticed yet: then it is not so, yet. */
static bool servers_as_wanted(void)
{
	static char sockets[SERVERS_MAX][128];
	pid_t pids[SERVERS_MAX];
	unsigned n = servers_now(sockets, pids), times[PANES] = {0};

	for (unsigned i = 0; i < n; i++) {
		char out[4096];
		char *save = NULL;

		if (state_of(pids[i]) == 'T')
			return false;
		person(sockets[i], out, sizeof(out), "list-sessions", "-F", "#{session_name}", NULL);
		for (char *s = strtok_r(out, "\n", &save); s; s = strtok_r(NULL, "\n", &save))
			if (s[0] == 'c')
				times[atoi(s + 1)]++;
	}
	for (unsigned i = 0; i < PANES; i++)
		if (times[i] != wanted[i])
			return false;
	return true;
}

START_TEST(in_the_end_everything_is_as_wanted)
{
	unsigned seed = 1;

	if (getenv("TC_SEED") != NULL)
		seed = (unsigned)strtoul(getenv("TC_SEED"), NULL, 10);
	if (seed == 0)
		random_bytes(&seed, sizeof(seed));
	if (getenv("TC_ROUNDS") != NULL)
		rounds = (unsigned)strtoul(getenv("TC_ROUNDS"), NULL, 10);
	person_meanwhile = true;
	printf("# seed %u\n", seed);
	fflush(stdout);
	srandom(seed);
	pool_up(limits);
	for (unsigned i = 0; i < rounds; i++) {
		do_something();
		for (long turns = random() % 12; turns > 0; turns--)
			loop_turn(rig_loop, random() % 4);
	}
	rig_until(as_wanted() && servers_as_wanted());
	for (unsigned i = 0; i < PANES; i++)
		if (wanted[i])
			ck_assert_int_eq(kill(at(name_of(i)).pid, 0), 0);
	pool_down();
}
END_TEST

RIG_MAIN("tmux/chaos", in_the_end_everything_is_as_wanted)
