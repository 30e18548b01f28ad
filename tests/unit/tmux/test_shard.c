/* SPDX-License-Identifier: ISC */
/* What a shard is: its options, its session, its pulse, and who else may have started it. */
#include "tests/unit/tmux/pool_rig.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PULSE_MS 100
#define WEDGE_MS 400
#define HERD 500 /* on 11 servers */

START_TEST(panes_stand_as_the_design_says)
{
	const char *format = "#{session_name} #{window_panes} #{automatic-rename} #{remain-on-exit} "
			     "#{history_limit}";
	struct tmux_location l;
	char out[1024];

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	l = at("ab12");
	person(l.socket, out, sizeof(out), "list-panes", "-t", l.target, "-F", format, NULL);
	ck_assert_str_eq(out, keeps_dead_panes() ? "ab12 1 0 on 200\n" : "ab12 1 0 off 200\n");
	/* what people open beside it is like any tmux's */
	person(l.socket, NULL, 0, "split-window", "-d", "-t", "=ab12:", "--", "cat", NULL);
	person(l.socket, out, sizeof(out), "list-panes", "-t", l.target, "-F",
		"#{pane_index} #{remain-on-exit}", NULL);
	ck_assert_str_eq(out, keeps_dead_panes() ? "0 on\n1 off\n" : "0 off\n1 off\n");
	pool_down();
}
END_TEST

START_TEST(a_server_is_a_session_of_its_own)
{
	pid_t server;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	server = server_of(at("ab12").socket);
	ck_assert_int_eq(getsid(server), server);
	ck_assert_int_ne(getsid(0), server);
	ck_assert_int_ne(getsid(at("ab12").pid), getsid(0));
	pool_down();
}
END_TEST

START_TEST(a_server_may_open_what_we_may)
{
	struct rlimit r, mine;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &mine), 0);
	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	ck_assert_int_eq(prlimit(server_of(at("ab12").socket), RLIMIT_NOFILE, NULL, &r), 0);
	ck_assert_uint_eq(r.rlim_cur, mine.rlim_cur);
	pool_down();
}
END_TEST

/* What keeps tmux from writing into utmp is the server's alone. */
START_TEST(panes_inherit_nothing_that_was_preloaded)
{
	char *argv[] = {"sh", "-c", "echo \"<${LD_PRELOAD-none}>\"; cat", NULL};
	char out[4096];

	pool_up((struct tmux_limits){0});
	open_argv("ab12", argv);
	rig_until(seen("ab12")->opened == 1);
	rig_until((person(at("ab12").socket, out, sizeof(out), "capture-pane", "-p", "-t", "=ab12:",
			   NULL),
		strstr(out, "<") != NULL));
	ck_assert_ptr_nonnull(strstr(out, "<none>"));
	person(at("ab12").socket, out, sizeof(out), "show-environment", "-g", NULL);
	ck_assert_ptr_null(strstr(out, "LD_PRELOAD"));
	pool_down();
}
END_TEST

START_TEST(a_wedged_server_is_noticed_without_a_command)
{
	pid_t server;

	pool_up((struct tmux_limits){.deadline_ms = WEDGE_MS, .pulse_ms = PULSE_MS});
	open_wait("ab12");
	open_wait("cd34");
	server = server_of(at("ab12").socket);
	ck_assert_int_eq(kill(server, SIGSTOP), 0);
	rig_until(seen("ab12")->back == 1 && seen("cd34")->back == 1);
	ck_assert_uint_lt(seen("ab12")->back_order, seen("cd34")->back_order);
	rig_until(dead(server));
	pool_down();
}
END_TEST

/* The server reads and writes their pipes itself. */
START_TEST(stopped_clients_are_not_in_the_way)
{
	pool_up((struct tmux_limits){.deadline_ms = WEDGE_MS, .pulse_ms = PULSE_MS});
	open_wait("ab12");
	ck_assert_int_eq(kill(client_pid(0), SIGSTOP), 0);
	ck_assert_int_eq(kill(client_pid(1), SIGSTOP), 0);
	open_wait("cd34");
	ck_assert_int_eq(person(at("ab12").socket, NULL, 0, "kill-session", "-t", "=ab12", NULL),
		0);
	rig_until(seen("ab12")->back == 1);
	ck_assert_uint_eq(seen("cd34")->lost + stats().restarts, 0);
	pool_down(); /* leaves none of them */
}
END_TEST

/* How many pulses the server has carried out. */
static size_t pulses(const char *socket)
{
	char out[4096];

	loop_turn(rig_loop, 5);
	ck_assert_int_eq(person(socket, out, sizeof(out), "show-options", "-gqv", "@pulses", NULL), 0);
	return strcspn(out, "\n");
}

START_TEST(an_idle_pulse_changes_nothing)
{
	pid_t server, first, second;
	char *socket;

	pool_up((struct tmux_limits){.pulse_ms = 5});
	open_wait("ab12");
	socket = xstrdup(at("ab12").socket);
	server = server_of(socket);
	first = client_pid(0);
	second = client_pid(1);
	ck_assert_int_eq(person(socket, NULL, 0, "set-hook", "-g", "after-display-message",
				 "set-option -g -a @pulses .", NULL),
		0);
	rig_until(pulses(socket) >= 20);
	ck_assert_int_eq(server_of(at("ab12").socket), server);
	ck_assert_int_eq(client_pid(0), first);
	ck_assert_int_eq(client_pid(1), second);
	ck_assert_uint_eq(seen("ab12")->lost + seen("ab12")->died + stats().restarts, 0);
	free(socket);
	pool_down();
}
END_TEST

/* With the person's own configuration and without ours. */
START_TEST(a_server_started_by_a_person_is_taken_up)
{
	cleanup_free char *socket = NULL;
	cleanup_close int pidfd = -1;
	pid_t server;
	char out[256];

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	socket = xstrdup(at("ab12").socket);
	/* both before the loop turns again */
	pidfd = (int)syscall(SYS_pidfd_open, server_of(socket), 0);
	ck_assert_int_eq(person(socket, NULL, 0, "kill-server", NULL), 0);
	ck_assert_int_eq(poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, RIG_WAIT_MS), 1);
	/* 3.2a sometimes takes a server for dead that it has just started (1 in 60) */
	for (int i = 0; i < 5; i++)
		if (person(socket, NULL, 0, "-f", "/dev/null", "new-session", "-d", "-s", "mine",
			    "--", "cat", "-u", NULL) == 0)
			break;
	server = server_of(socket);
	rig_until(seen("ab12")->back == 1);
	ck_assert_int_eq(server_of(at("ab12").socket), server);
	person(socket, out, sizeof(out), "list-panes", "-t", "=ab12", "-F", "#{history_limit}",
		NULL);
	ck_assert_str_eq(out, "200\n");
	/* our hooks are on it, and the person's session stays */
	ck_assert_int_eq(person(socket, NULL, 0, "rename-session", "-t", "=ab12", "other", NULL),
		0);
	rig_until(at("ab12").target[0] == '$');
	ck_assert_int_eq(person(socket, NULL, 0, "has-session", "-t", "=mine", NULL), 0);
	pool_down();
}
END_TEST

START_TEST(a_configuration_that_changed_comes_into_force_at_adoption)
{
	char out[256];

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	/* as an older daemon would have left it */
	person(at("ab12").socket, NULL, 0, "set-option", "-g", "history-limit", "77", ";",
		"set-option", "-g", "@tmux_claude_conf", "older", NULL);
	tmux_pool_destroy(pool);
	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	person(at("ab12").socket, out, sizeof(out), "show-options", "-gv", "history-limit", NULL);
	ck_assert_str_eq(out, "200\n");
	pool_down();
}
END_TEST

/* A tmux that takes every line and answers none that opens a pane. */
static const char mute[] =
	"#!/bin/sh\n"
	"[ \"$1\" = -V ] && echo tmux 3.3a && exit\n"
	"printf '%%begin 1 1 0\\n%%end 1 1 0\\n'\n"
	"while read -r line; do case $line in\n"
	"new-session*) echo x >>\"${0%/*}/opened\" ;;\n"
	"wait-for*) exec cat >/dev/null ;;\n"
	"*' ; '*) printf '%%begin 1 1 1\\n%%end 1 1 1\\n%%begin 1 1 1\\n%%end 1 1 1\\n' ;;\n"
	"*) printf '%%begin 1 1 1\\n%%end 1 1 1\\n' ;;\n"
	"esac; done\n";

START_TEST(a_herd_goes_out_without_waiting)
{
	cleanup_free char *fake = xasprintf("%s/mute", rig_dir);
	cleanup_free char *log = xasprintf("%s/opened", rig_dir);
	struct stat st = {0};

	ck_assert_int_eq(file_write_atomic(fake, mute, strlen(mute), 0700, NULL), 0);
	pool_up((struct tmux_limits){.program = fake, .deadline_ms = 60000});
	for (unsigned i = 0; i < HERD; i++) {
		char id[8];
		struct tmux_pane_spec spec = {.id = id, .argv = cat_argv};

		str_fmt(id, sizeof(id), "h%03u", i);
		ck_assert_int_eq(tmux_pane_open(pool, &spec, told_open, NULL, NULL), 0);
	}
	ck_assert_uint_eq(stats().servers, (HERD + 47) / 48); /* started side by side */
	rig_until(stat(log, &st) == 0 && st.st_size == 2 * HERD);
	ck_assert_uint_eq(stats().open, 0); /* and not one was answered */
	pool_down();
}
END_TEST

RIG_MAIN("tmux/shard", panes_stand_as_the_design_says, a_server_is_a_session_of_its_own,
	a_server_may_open_what_we_may, panes_inherit_nothing_that_was_preloaded,
	a_wedged_server_is_noticed_without_a_command,
	stopped_clients_are_not_in_the_way, an_idle_pulse_changes_nothing,
	a_server_started_by_a_person_is_taken_up,
	a_configuration_that_changed_comes_into_force_at_adoption,
	a_herd_goes_out_without_waiting)
