/* SPDX-License-Identifier: ISC */
/* The pool against the real tmux when things die: servers, clients, panes, the daemon itself. */
#include "tests/unit/tmux/pool_rig.h"

#define MANY 100
#define WEDGE_MS 400

static char ids[MANY][8];

static void open_many(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		str_fmt(ids[i], sizeof(ids[i]), "p%03u", i);
		open_argv(ids[i], cat_argv);
	}
	for (unsigned i = 0; i < n; i++)
		rig_until(seen(ids[i])->opened == 1);
}

static unsigned count_back(unsigned n)
{
	unsigned c = 0;

	for (unsigned i = 0; i < n; i++)
		c += seen(ids[i])->back > 0;
	return c;
}

static unsigned kill_clients(int signo)
{
	unsigned n = 0;
	pid_t pid;

	while ((pid = client_pid(n)) > 0 && kill(pid, signo) == 0)
		n++;
	return n;
}

static unsigned fds_open(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

START_TEST(a_hundred_panes_on_three_servers_survive_one)
{
	pid_t pids[MANY], server;
	unsigned fds = fds_open();

	pool_up((struct tmux_limits){0});
	open_many(MANY);
	ck_assert_uint_eq(stats().servers, 3);
	ck_assert_uint_eq(stats().open, MANY);
	for (unsigned i = 0; i < MANY; i++)
		pids[i] = at(ids[i]).pid;
	server = server_of(at(ids[0]).socket);
	ck_assert_int_eq(kill(server, SIGKILL), 0);
	rig_until(count_back(MANY) == 48);
	for (unsigned i = 0; i < MANY; i++) {
		bool hit = i < 48;

		ck_assert_uint_eq(seen(ids[i])->lost, hit);
		ck_assert_uint_eq(seen(ids[i])->back_order, hit ? i + 1 : 0);
		ck_assert_int_eq(at(ids[i]).pid != pids[i], hit);
		ck_assert_int_eq(at(ids[i]).state, TMUX_PANE_OPEN);
	}
	ck_assert_uint_eq(stats().restarts, 1);
	for (unsigned i = 0; i < MANY; i++)
		tmux_pane_close(pool, ids[i], told_closed, NULL);
	for (unsigned i = 0; i < MANY; i++)
		rig_until(seen(ids[i])->closed == 1);
	rig_until(stats().servers == 0);
	pool_down();
	ck_assert_uint_eq(fds_open(), fds);
}
END_TEST

START_TEST(killed_clients_cost_no_pane)
{
	pid_t pid;

	pool_up((struct tmux_limits){0});
	open_many(10);
	pid = at(ids[3]).pid;
	ck_assert_uint_eq(kill_clients(SIGKILL), 2);
	open_wait("later"); /* commands work again */
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_eq(seen(ids[i])->lost + seen(ids[i])->died, 0);
	ck_assert_int_eq(at(ids[3]).pid, pid);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	rig_until(seen(ids[3])->back == 1);
	ck_assert_int_eq(person(at(ids[4]).socket, NULL, 0, "kill-session", "-t", "=p004", NULL),
		0);
	rig_until(seen(ids[4])->back == 1); /* events work again */
	ck_assert_uint_eq(stats().restarts, 0);
	pool_down();
}
END_TEST

/* Told that its server cannot be reached; its session stands all the same, and stays ours. */
START_TEST(what_stands_is_not_forgotten_for_who_waits)
{
	cleanup_free char *program = NULL, *ill = NULL;
	char *socket;
	pid_t pid;

	sick_tmux(&program, &ill);
	pool_up((struct tmux_limits){.program = program});
	open_wait("ab12");
	pid = at("ab12").pid;
	socket = xstrdup(at("ab12").socket);
	ck_assert_int_eq(file_write_atomic(ill, "", 0, 0600, NULL), 0);
	kill_clients(SIGKILL);
	rig_until(at("ab12").state == TMUX_PANE_OPENING);
	open_argv("ab12", cat_argv);
	rig_until(seen("ab12")->failed == 1);
	ck_assert_int_eq(seen("ab12")->e.code, ERR_UNAVAILABLE);
	ck_assert_int_eq(unlink(ill), 0);
	rig_until(seen("ab12")->back == 1);
	ck_assert_int_eq(at("ab12").state, TMUX_PANE_OPEN);
	ck_assert_int_eq(at("ab12").pid, pid);
	ck_assert_uint_eq(seen("ab12")->lost + seen("ab12")->died, 0);
	open_wait("cd34"); /* keeps the server */
	close_wait("ab12");
	ck_assert_int_ne(person(socket, NULL, 0, "has-session", "-t", "=ab12", NULL), 0);
	free(socket);
	pool_down();
}
END_TEST

/* A person's alias can make tmux refuse our listing: that says nothing about the panes. */
START_TEST(a_listing_that_was_refused_closes_nothing)
{
	char *socket;
	pid_t pid;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	pid = at("ab12").pid;
	socket = xstrdup(at("ab12").socket);
	ck_assert_int_eq(person(socket, NULL, 0, "set-option", "-s", "command-alias[99]",
				 "list-panes=no-such-command", NULL),
		0);
	kill_clients(SIGKILL);
	rig_until(at("ab12").state == TMUX_PANE_OPENING);
	open_argv("cd34", cat_argv);
	rig_until(seen("cd34")->failed == 1); /* refused so many times */
	ck_assert_int_eq(seen("cd34")->e.code, ERR_UNAVAILABLE);
	ck_assert_int_eq(person(socket, NULL, 0, "set-option", "-su", "command-alias[99]", NULL), 0);
	rig_until(seen("cd34")->back == 1);
	ck_assert_int_eq(at("ab12").state, TMUX_PANE_OPEN);
	ck_assert_int_eq(at("ab12").pid, pid);
	ck_assert_uint_eq(seen("ab12")->lost + seen("ab12")->died + stats().restarts, 0);
	free(socket);
	pool_down();
}
END_TEST

START_TEST(clients_killed_while_opening)
{
	pool_up((struct tmux_limits){0});
	open_wait("first");
	for (unsigned i = 0; i < 40; i++) {
		str_fmt(ids[i], sizeof(ids[i]), "p%03u", i);
		open_argv(ids[i], cat_argv);
	}
	kill_clients(SIGKILL);
	for (unsigned i = 0; i < 40; i++)
		rig_until(seen(ids[i])->opened == 1);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_uint_eq(seen(ids[i])->lost + seen(ids[i])->died, 0);
	pool_down();
}
END_TEST

START_TEST(a_program_killed_is_started_again_in_place)
{
	struct tmux_location l;
	char before[64], after[64];

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	l = at("ab12");
	person(l.socket, before, sizeof(before), "list-panes", "-t", "=ab12", "-F", "#{pane_id}",
		NULL);
	ck_assert_int_eq(kill(l.pid, SIGKILL), 0);
	rig_until(seen("ab12")->back == 1);
	ck_assert_uint_eq(seen("ab12")->died, 1);
	ck_assert(seen("ab12")->again);
	ck_assert(!keeps_dead_panes() || seen("ab12")->st.signal == SIGKILL);
	person(l.socket, after, sizeof(after), "list-panes", "-t", "=ab12", "-F", "#{pane_id}",
		NULL);
	ck_assert_int_eq(strcmp(before, after) == 0, keeps_dead_panes());
	ck_assert_int_ne(at("ab12").pid, l.pid);
	ck_assert_int_eq(kill(at("ab12").pid, SIGKILL), 0);
	rig_until(seen("ab12")->died == 2);
	ck_assert(seen("ab12")->again);
	if (keeps_dead_panes()) /* for a moment: it may die for ever */
		ck_assert_int_eq(at("ab12").state, TMUX_PANE_DEAD);
	rig_until(seen("ab12")->back == 2);
	ck_assert_int_eq(kill(at("ab12").pid, SIGKILL), 0);
	rig_until(seen("ab12")->died == 3);
	open_wait("ab12"); /* asked for: not waited for */
	ck_assert_int_eq(at("ab12").state, TMUX_PANE_OPEN);
	pool_down();
}
END_TEST

START_TEST(a_program_that_ends_well_is_not_started_again)
{
	char *argv[] = {"sh", "-c", "exit 0", NULL}, *three[] = {"sh", "-c", "exit 3", NULL};

	pool_up((struct tmux_limits){0});
	if (!keeps_dead_panes()) {
		pool_down();
		return;
	}
	open_argv("ab12", argv);
	open_argv("cd34", three);
	rig_until(seen("ab12")->died == 1 && seen("cd34")->died == 3);
	ck_assert_int_eq(seen("ab12")->st.code, 0);
	ck_assert(!seen("ab12")->again);
	ck_assert_int_eq(seen("cd34")->st.code, 3);
	ck_assert(seen("cd34")->again);
	ck_assert_uint_eq(seen("ab12")->died, 1);
	pool_down();
}
END_TEST

START_TEST(a_pane_killed_by_a_person_comes_back_once)
{
	char *socket;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	open_wait("cd34");
	socket = xstrdup(at("ab12").socket);
	ck_assert_int_eq(person(socket, NULL, 0, "kill-pane", "-t", "=ab12:", NULL), 0);
	rig_until(seen("ab12")->back == 1);
	if (!keeps_dead_panes()) {
		free(socket);
		pool_down();
		return;
	}
	ck_assert_uint_eq(seen("ab12")->lost, 1);
	ck_assert_int_eq(person(socket, NULL, 0, "kill-session", "-t", "=ab12", NULL), 0);
	rig_until(seen("ab12")->lost == 2);
	ck_assert(!seen("ab12")->again);
	ck_assert_int_eq(tmux_pane_locate(pool, "ab12", &(struct tmux_location){0}, NULL), -1);
	ck_assert_uint_eq(seen("cd34")->lost + seen("cd34")->died, 0);
	open_wait("ab12");
	/* beside a pane of theirs, and the hub itself */
	person(socket, NULL, 0, "split-window", "-d", "-t", "=cd34:", "--", "cat", "-u", NULL);
	ck_assert_int_eq(person(socket, NULL, 0, "kill-pane", "-t", "=cd34:0.0", NULL), 0);
	rig_until(seen("cd34")->lost == 1);
	ck_assert_int_eq(person(socket, NULL, 0, "kill-session", "-t", "=HUB", NULL), 0);
	open_wait("ef56");
	ck_assert_uint_eq(seen("ef56")->lost + stats().restarts, 0);
	free(socket);
	pool_down();
}
END_TEST

START_TEST(a_wedged_server_is_replaced_and_ended)
{
	pid_t server;

	pool_up((struct tmux_limits){.deadline_ms = WEDGE_MS});
	open_many(5);
	server = server_of(at(ids[0]).socket);
	ck_assert_int_eq(kill(server, SIGSTOP), 0);
	tmux_pane_rename(pool, ids[0], "anything");
	rig_until(count_back(5) == 5);
	rig_until(dead(server));
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_uint_eq(seen(ids[i])->lost, 1);
		ck_assert_uint_eq(seen(ids[i])->back_order, i + 1);
	}
	ck_assert_uint_eq(stats().servers, 1);
	pool_down();
}
END_TEST

START_TEST(a_person_may_kill_the_server)
{
	pool_up((struct tmux_limits){0});
	open_many(5);
	for (unsigned round = 1; round <= 3; round++) {
		ck_assert_int_eq(person(at(ids[0]).socket, NULL, 0, "kill-server", NULL), 0);
		rig_until(seen(ids[4])->back == round);
	}
	ck_assert_uint_eq(stats().restarts, 3);
	pool_down();
}
END_TEST

static bool found_has(const char *id, bool alive)
{
	for (size_t i = 0; i < found_n; i++)
		if (strcmp(found[i].id, id) == 0)
			return found[i].alive == alive;
	return false;
}

START_TEST(a_new_daemon_adopts_what_lives)
{
	pid_t pids[60], gone;

	pool_up((struct tmux_limits){0});
	open_many(60);
	for (unsigned i = 0; i < 60; i++)
		pids[i] = at(ids[i]).pid;
	ck_assert_int_eq(person(at(ids[7]).socket, NULL, 0, "rename-session", "-t", "=p007",
				 "mine", NULL),
		0);
	rig_until(at(ids[7]).target[0] == '$');
	open_wait("zz"); /* behind the mark that this makes */
	tmux_pool_destroy(pool);
	ck_assert(childless());
	gone = pids[5];
	ck_assert_int_eq(kill(gone, SIGKILL), 0);
	rig_until(dead(gone));

	pool_up((struct tmux_limits){0});
	ck_assert_uint_eq(found_n, keeps_dead_panes() ? 61 : 60);
	ck_assert(found_has("p000", true));
	ck_assert(found_has("p007", true));
	ck_assert_uint_eq(stats().restarts, 0);
	for (unsigned i = 0; i < 50; i++) {
		unsigned before = seen(ids[i])->opened;

		open_argv(ids[i], cat_argv);
		rig_until(seen(ids[i])->opened > before);
		if (i != 5)
			ck_assert_int_eq(at(ids[i]).pid, pids[i]);
		ck_assert_int_eq(at(ids[i]).state, TMUX_PANE_OPEN);
	}
	/* what nothing owns */
	for (unsigned i = 50; i < 60; i++)
		close_wait(ids[i]);
	close_wait("zz");
	ck_assert_uint_eq(stats().panes, 50);
	/* adopted panes are brought back like others */
	ck_assert_int_eq(kill(server_of(at(ids[0]).socket), SIGKILL), 0);
	rig_until(count_back(48) == 48);
	pool_down();
}
END_TEST

START_TEST(opening_does_not_wait_for_adoption_to_be_asked_in_order)
{
	pid_t pid;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	open_wait("cd34");
	pid = at("ab12").pid;
	tmux_pool_destroy(pool);
	ck_assert_int_eq(tmux_pool_create(rig_loop, pool_dir, NULL, &pool_ops, NULL, &pool, NULL),
		0);
	adopted = false;
	tmux_pool_adopt(pool, told_adopted, NULL);
	open_argv("ab12", cat_argv);
	open_argv("new1", cat_argv);
	tmux_pane_close(pool, "cd34", told_closed, NULL);
	rig_until(adopted && seen("ab12")->opened == 2 && seen("new1")->opened == 1 &&
		  seen("cd34")->closed == 1);
	ck_assert_int_eq(at("ab12").pid, pid);
	ck_assert_uint_eq(stats().panes, 2);
	pool_down();
}
END_TEST

START_TEST(adoption_ends_a_wedged_server_and_sweeps_a_dead_one)
{
	cleanup_free char *stale = NULL;
	pid_t server, other;

	pool_up((struct tmux_limits){.panes = 1});
	open_wait("ab12");
	open_wait("cd34");
	open_wait("ef56");
	ck_assert_uint_eq(stats().servers, 3);
	server = server_of(at("ab12").socket);
	other = server_of(at("cd34").socket);
	stale = xstrdup(at("cd34").socket);
	tmux_pool_destroy(pool);
	ck_assert_int_eq(kill(server, SIGSTOP), 0);
	ck_assert_int_eq(kill(other, SIGKILL), 0);
	rig_until(dead(other));
	pool_up((struct tmux_limits){.panes = 1, .start_ms = WEDGE_MS});
	ck_assert_uint_eq(found_n, 1);
	ck_assert(found_has("ef56", true));
	ck_assert_int_eq(access(stale, F_OK), -1);
	rig_until(dead(server));
	open_wait("ab12");
	pool_down();
}
END_TEST

/* Stopped for so long that everybody who tried has filled its queue: it cannot even be asked who it is. */
START_TEST(adoption_ends_a_wedged_server_with_a_full_queue)
{
	struct err e = {0};
	char *socket;
	pid_t server;
	int fds[1024];
	unsigned n = 0;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	socket = xstrdup(at("ab12").socket);
	server = server_of(socket);
	tmux_pool_destroy(pool);
	ck_assert_int_eq(kill(server, SIGSTOP), 0);
	rig_until(state_of(server) == 'T');
	while (n < ARRAY_LEN(fds) && sock_connect(socket, &fds[n], &e) == 0)
		n++;
	ck_assert_int_eq(e.code, ERR_BUSY);
	pool_up((struct tmux_limits){.start_ms = WEDGE_MS});
	rig_until(dead(server));
	open_wait("ab12");
	while (n > 0)
		close(fds[--n]);
	free(socket);
	pool_down();
}
END_TEST

/* The daemon as a process of its own: opens panes, says so, and is killed. */
static pid_t daemon_killed(unsigned panes)
{
	char byte;
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		rig_loop = loop_create(NULL);
		pool_dir = NULL;
		pool_up((struct tmux_limits){0});
		for (unsigned i = 0; i < panes; i++) {
			struct tmux_pane_spec spec = {.id = ids[i], .argv = cat_argv};

			tmux_pane_open(pool, &spec, told_open, NULL, NULL);
		}
		rig_until(stats().open > panes / 2);
		ck_assert_int_eq(write_all(fds[1], "x", 1), 0);
		for (;;)
			loop_turn(rig_loop, -1);
	}
	close(fds[1]);
	ck_assert_int_eq((int)read(fds[0], &byte, 1), 1);
	close(fds[0]);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return pid;
}

START_TEST(a_daemon_killed_in_the_middle_loses_nothing)
{
	for (unsigned i = 0; i < 40; i++)
		str_fmt(ids[i], sizeof(ids[i]), "p%03u", i);
	for (unsigned round = 0; round < 5; round++)
		daemon_killed(40);
	pool_up((struct tmux_limits){0});
	ck_assert_uint_ge(found_n, 20);
	for (unsigned i = 0; i < 40; i++)
		open_argv(ids[i], cat_argv);
	for (unsigned i = 0; i < 40; i++)
		rig_until(seen(ids[i])->opened == 1);
	ck_assert_uint_eq(stats().open, 40);
	pool_down();
}
END_TEST

RIG_MAIN("tmux/faults", a_hundred_panes_on_three_servers_survive_one, killed_clients_cost_no_pane,
	what_stands_is_not_forgotten_for_who_waits, a_listing_that_was_refused_closes_nothing,
	clients_killed_while_opening, a_program_killed_is_started_again_in_place,
	a_program_that_ends_well_is_not_started_again, a_pane_killed_by_a_person_comes_back_once,
	a_wedged_server_is_replaced_and_ended, a_person_may_kill_the_server,
	a_new_daemon_adopts_what_lives,
	opening_does_not_wait_for_adoption_to_be_asked_in_order,
	adoption_ends_a_wedged_server_and_sweeps_a_dead_one,
	adoption_ends_a_wedged_server_with_a_full_queue,
	a_daemon_killed_in_the_middle_loses_nothing)
