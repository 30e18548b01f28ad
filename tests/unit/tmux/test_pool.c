/* SPDX-License-Identifier: ISC */
/* The pool against the real tmux: opening, closing, people, refusals. */
#include "tests/unit/tmux/pool_rig.h"

#include <sys/stat.h>

START_TEST(a_pane_opens_and_closes_and_leaves_nothing)
{
	struct tmux_location l;

	pool_up((struct tmux_limits){0});
	ck_assert_uint_eq(found_n, 0);
	open_wait("ab12");
	l = at("ab12");
	ck_assert_int_eq(l.state, TMUX_PANE_OPEN);
	ck_assert_str_eq(l.target, "=ab12");
	ck_assert_int_eq(kill(l.pid, 0), 0);
	close_wait("ab12");
	rig_until(kill(l.pid, 0) < 0); /* not even a zombie under tmux */
	ck_assert_int_eq(tmux_pane_locate(pool, "ab12", &l, NULL), -1);
	rig_until(stats().servers == 0); /* an empty server ends */
	ck_assert_uint_eq(files_left(), 0);
	ck_assert_int_ne(person(l.socket, NULL, 0, "has-session", NULL), 0);
	close_wait("ab12"); /* once more: done */
	pool_down();
}
END_TEST

START_TEST(opening_twice_is_opening_once)
{
	pid_t pid;

	pool_up((struct tmux_limits){0});
	open_argv("ab12", cat_argv);
	open_argv("ab12", cat_argv);
	rig_until(seen("ab12")->opened == 2);
	pid = at("ab12").pid;
	open_wait("ab12");
	ck_assert_int_eq(at("ab12").pid, pid);
	ck_assert_uint_eq(stats().panes, 1);
	pool_down();
}
END_TEST

START_TEST(closing_meanwhile_cancels_the_opening)
{
	pool_up((struct tmux_limits){0});
	open_argv("ab12", cat_argv);
	tmux_pane_close(pool, "ab12", told_closed, NULL);
	rig_until(seen("ab12")->failed == 1 && seen("ab12")->closed == 1);
	ck_assert_int_eq(seen("ab12")->e.code, ERR_CANCELLED);
	/* in flight: the server is up now */
	open_wait("xx");
	open_argv("ab12", cat_argv);
	tmux_pane_close(pool, "ab12", told_closed, NULL);
	rig_until(seen("ab12")->failed == 2 && seen("ab12")->closed == 2);
	ck_assert_uint_eq(stats().panes, 1);
	open_wait("ab12");
	pool_down();
}
END_TEST

/* A restart at once: the one that is being closed makes room for the next. */
START_TEST(what_is_being_closed_is_opened_again)
{
	pid_t pid;

	pool_up((struct tmux_limits){0});
	open_wait("xx");
	open_wait("ab12");
	pid = at("ab12").pid;
	tmux_pane_close(pool, "ab12", told_closed, NULL);
	open_argv("ab12", cat_argv);
	ck_assert_uint_eq(seen("ab12")->opened, 1);
	rig_until(seen("ab12")->opened == 2 && seen("ab12")->closed == 1);
	ck_assert_int_ne(at("ab12").pid, pid);
	ck_assert_int_eq(at("ab12").state, TMUX_PANE_OPEN);
	rig_until(kill(pid, 0) != 0); /* hung up; its server reaps it in its own time */
	/* Closed once more before that: it stays closed. */
	tmux_pane_close(pool, "ab12", told_closed, NULL);
	open_argv("ab12", cat_argv);
	tmux_pane_close(pool, "ab12", told_closed, NULL);
	rig_until(seen("ab12")->failed == 1 && seen("ab12")->closed == 3);
	ck_assert_int_eq(seen("ab12")->e.code, ERR_CANCELLED);
	ck_assert_uint_eq(stats().panes, 1);
	/* Of the record of one that is still opening, too. */
	open_argv("ab12", cat_argv);
	tmux_pane_close(pool, "ab12", told_closed, NULL);
	open_argv("ab12", cat_argv);
	rig_until(seen("ab12")->opened == 3 && seen("ab12")->closed == 4 && seen("ab12")->failed == 2);
	ck_assert_uint_eq(stats().panes, 2);
	ck_assert_int_eq(kill(at("ab12").pid, 0), 0);
	pool_down();
}
END_TEST

START_TEST(nothing_of_the_users_matters)
{
	cleanup_free char *conf = xasprintf("%s/.tmux.conf", rig_dir);
	const char *text = "set -g prefix C-a\nset -g base-index 7\nset -g remain-on-exit off\n";
	char out[4096];
	struct tmux_location l;

	ck_assert_int_eq(file_write_atomic(conf, text, strlen(text), 0600, NULL), 0);
	setenv("HOME", rig_dir, 1);
	setenv("ANTHROPIC_API_KEY", "not-for-panes", 1);
	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	l = at("ab12");
	ck_assert_int_eq(person(l.socket, out, sizeof(out), "show-options", "-gv", "prefix", NULL),
		0);
	ck_assert_str_eq(out, "C-b\n");
	person(l.socket, out, sizeof(out), "show-environment", "-g", NULL);
	ck_assert_ptr_nonnull(strstr(out, "HOME="));
	ck_assert_ptr_null(strstr(out, "not-for-panes"));
	ck_assert_ptr_null(strstr(out, "nowhere"));
	person(l.socket, out, sizeof(out), "list-windows", "-t", l.target, "-F", "#I #W", NULL);
	ck_assert_str_eq(out, "0 ab12\n");
	pool_down();
}
END_TEST

START_TEST(spec_reaches_the_pane_as_it_is)
{
	cleanup_free char *dir = xasprintf("%s/#{pid} ~ $x", rig_dir);
	char *argv[] = {"cat", "-u", "/dev/null", "-", NULL};
	char *env[] = {"TC_ONE=a b", "TC_TWO=#{x}$HOME\"", NULL};
	struct tmux_pane_spec spec = {.id = "ab12",
		.title = "caf\303\251 #{pid}\n\033[1m",
		.argv = argv,
		.env = env,
		.cwd = dir,
		.rows = 31,
		.cols = 117};
	cleanup_free char *link = NULL;
	char out[4096] = "";
	struct tmux_location l;

	ck_assert_int_eq(mkdir(dir, 0700), 0);
	pool_up((struct tmux_limits){0});
	ck_assert_int_eq(tmux_pane_open(pool, &spec, told_open, NULL, NULL), 0);
	rig_until(seen("ab12")->opened == 1);
	l = at("ab12");
	person(l.socket, out, sizeof(out), "list-panes", "-t", l.target, "-F",
		"#{window_name} #{window_width}x#{window_height}", NULL);
	/* a detached window has no status line to give a row to; 3.2a sizes it when somebody looks */
	ck_assert_str_eq(out, keeps_dead_panes() ? "caf\303\251 #{pid}[1m 117x31\n"
						 : "caf\303\251 #{pid}[1m 80x24\n");
	link = xasprintf("/proc/%d/cwd", l.pid);
	/* forked, it still has to enter the folder */
	rig_until(readlink(link, out, sizeof(out)) == (ssize_t)strlen(dir));
	ck_assert_int_eq(memcmp(out, dir, strlen(dir)), 0);
	tmux_pane_rename(pool, "ab12", "new; name");
	rig_until((person(l.socket, out, sizeof(out), "list-windows", "-t", l.target, "-F", "#W",
			   NULL),
		strcmp(out, "new; name\n") == 0));
	pool_down();
}
END_TEST

START_TEST(bad_wishes_are_refused_at_once)
{
	static char big[300 * 1024];
	char *none[] = {NULL}, *large[] = {"cat", big, NULL};
	const char *bad_ids[] = {"", "A", "a b", "a:b", "a.b", "../x", "HUB",
		"a23456789012345678901234567890123", NULL};
	struct tmux_pane_spec spec = {.argv = cat_argv};
	struct err e = {0};

	memset(big, 'x', sizeof(big) - 1);
	pool_up((struct tmux_limits){.panes = 1, .servers = 1});
	for (int i = 0; bad_ids[i] != NULL; i++) {
		spec.id = bad_ids[i];
		ck_assert_int_eq(tmux_pane_open(pool, &spec, told_open, NULL, &e), -1);
		ck_assert_int_eq(e.code, ERR_PARAMS);
	}
	spec.id = "ab12";
	spec.argv = none;
	ck_assert_int_eq(tmux_pane_open(pool, &spec, told_open, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	spec.argv = large;
	ck_assert_int_eq(tmux_pane_open(pool, &spec, told_open, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	open_wait("ab12");
	spec.id = "ab13";
	spec.argv = cat_argv;
	ck_assert_int_eq(tmux_pane_open(pool, &spec, told_open, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_uint_eq(stats().panes, 1);
	pool_down();
}
END_TEST

/* More than the way to the server holds at once. */
START_TEST(a_herd_of_large_commands_goes_out_as_there_is_room)
{
	static char big[100 * 1024];
	char *argv[] = {"sh", "-c", "exec cat -u", big, big, NULL};

	memset(big, 'x', sizeof(big) - 1);
	pool_up((struct tmux_limits){0});
	open_wait("first");
	for (unsigned i = 0; i < 40; i++) {
		char id[8];

		str_fmt(id, sizeof(id), "l%02u", i);
		open_argv(id, argv);
	}
	rig_until(stats().open == 41);
	pool_down();
}
END_TEST

START_TEST(a_missing_or_old_tmux_is_named)
{
	struct tmux_limits limits = {.program = "tmux-that-is-not-there"};
	cleanup_free char *dir = xasprintf("%s/t", rig_dir);
	cleanup_free char *old = xasprintf("%s/old", rig_dir);
	const char *script = "#!/bin/sh\necho tmux 3.1c\n";
	struct tmux_pool *p = NULL;
	struct err e = {0};

	ck_assert_int_eq(tmux_pool_create(rig_loop, dir, &limits, &pool_ops, NULL, &p, &e), -1);
	ck_assert_int_eq(e.code, ERR_MISSING);
	ck_assert_ptr_nonnull(strstr(e.hint, "package tmux"));
	ck_assert_int_eq(file_write_atomic(old, script, strlen(script), 0700, NULL), 0);
	limits.program = old;
	ck_assert_int_eq(tmux_pool_create(rig_loop, dir, &limits, &pool_ops, NULL, &p, &e), -1);
	ck_assert_int_eq(e.code, ERR_VERSION);
	ck_assert_ptr_nonnull(strstr(e.message, "3.1c"));
	ck_assert_ptr_null(p);
}
END_TEST

/* Who waits is told; what is wanted is made as soon as it can be. */
START_TEST(a_server_that_cannot_start_says_why)
{
	cleanup_free char *program = NULL, *ill = NULL;

	sick_tmux(&program, &ill);
	ck_assert_int_eq(file_write_atomic(ill, "", 0, 0600, NULL), 0);
	pool_up((struct tmux_limits){.program = program});
	open_argv("ab12", cat_argv);
	open_argv("cd34", cat_argv);
	rig_until(seen("ab12")->failed == 1 && seen("cd34")->failed == 1);
	ck_assert_int_eq(seen("ab12")->e.code, ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(seen("ab12")->e.message, "lost my temper"));
	ck_assert_int_eq(at("ab12").state, TMUX_PANE_OPENING);
	close_wait("cd34");
	ck_assert_int_eq(unlink(ill), 0);
	rig_until(seen("ab12")->back == 1);
	ck_assert_int_eq(at("ab12").state, TMUX_PANE_OPEN);
	ck_assert_uint_eq(stats().panes, 1);
	ck_assert_int_eq(file_write_atomic(ill, "", 0, 0600, NULL), 0);
	close_wait("ab12");
	rig_until(stats().servers == 0);
	pool_down();
}
END_TEST

/* Closed before it could be made: the server that nobody wants any more is given up. */
START_TEST(a_server_that_cannot_start_is_given_up_with_its_last_pane)
{
	cleanup_free char *program = NULL, *ill = NULL;

	sick_tmux(&program, &ill);
	ck_assert_int_eq(file_write_atomic(ill, "", 0, 0600, NULL), 0);
	pool_up((struct tmux_limits){.program = program});
	open_argv("ab12", cat_argv);
	rig_until(seen("ab12")->failed == 1);
	close_wait("ab12");
	rig_until(stats().servers == 0);
	pool_down();
}
END_TEST

START_TEST(a_program_that_cannot_run_ends_with_its_status)
{
	char *argv[] = {"/no/such/program", "x", NULL};

	pool_up((struct tmux_limits){0});
	open_argv("ab12", argv);
	rig_until(seen("ab12")->died == 3); /* tried again at once, then with pauses */
	ck_assert_uint_eq(seen("ab12")->opened, 1);
	ck_assert(seen("ab12")->again);
	ck_assert_int_ne(seen("ab12")->st.code, 0);
	if (keeps_dead_panes())
		ck_assert_int_eq(at("ab12").state, TMUX_PANE_DEAD);
	close_wait("ab12");
	pool_down();
}
END_TEST

/* A person's client: control mode over a pipe that ends it when it is closed. */
static pid_t attach(const struct tmux_location *l, int *ret_fd)
{
	char *argv[] = {"tmux", "-S", (char *)l->socket, "-C", "attach", "-t", (char *)l->target,
		NULL};
	struct proc_spec ps = {.argv = argv};
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	proc_spec_fd(&ps, fds[0], 0);
	ck_assert_int_eq(proc_spawn(&ps, &pid, NULL), 0);
	close(fds[0]);
	*ret_fd = fds[1];
	return pid;
}

START_TEST(viewers_are_counted_and_see_the_state)
{
	struct tmux_location l;
	char out[256], window[TMUX_TARGET_MAX + 1];
	pid_t pid;
	int fd;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	open_wait("cd34");
	l = at("ab12");
	str_fmt(window, sizeof(window), "%s:", l.target);
	tmux_pane_status(pool, "ab12", "idle #[bold]");
	pid = attach(&l, &fd);
	rig_until(seen("ab12")->viewers == 1);
	ck_assert_uint_eq(at("ab12").viewers, 1);
	rig_until((person(l.socket, out, sizeof(out), "display-message", "-p", "-t", window,
			   "#{@tmux_claude_state}", NULL),
		strcmp(out, "idle ##[bold]\n") == 0));
	tmux_pane_status(pool, "ab12", "working");
	rig_until((person(l.socket, out, sizeof(out), "display-message", "-p", "-t", window,
			   "#{@tmux_claude_state}", NULL),
		strcmp(out, "working\n") == 0));
	close(fd);
	rig_until(seen("ab12")->viewers == 0 && seen("ab12")->viewers_told == 2);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_uint_eq(seen("cd34")->viewers_told, 0);
	pool_down();
}
END_TEST

/* No control client of ours is left, as the server sees it. Does not turn the loop: we do not know yet. */
static bool unheard(const char *socket)
{
	char out[256];

	person(socket, out, sizeof(out), "list-clients", "-t", "=HUB", NULL);
	return out[0] == '\0';
}

START_TEST(what_was_told_to_a_dead_client_is_told_again)
{
	int64_t end = clock_mono_ms() + RIG_WAIT_MS;
	struct tmux_location l;
	char out[256], window[TMUX_TARGET_MAX + 1];
	pid_t pid, ours[2];
	int fd;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	l = at("ab12");
	str_fmt(window, sizeof(window), "%s:", l.target);
	ours[0] = client_pid(0);
	ours[1] = client_pid(1);
	pid = attach(&l, &fd);
	rig_until(seen("ab12")->viewers == 1);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		ck_assert_int_eq(kill(ours[i], SIGKILL), 0);
	while (!unheard(l.socket))
		ck_assert_int_lt(clock_mono_ms(), end);
	tmux_pane_status(pool, "ab12", "working");
	tmux_pane_rename(pool, "ab12", "other");
	rig_until((person(l.socket, out, sizeof(out), "display-message", "-p", "-t", window,
			   "#{@tmux_claude_state} #{window_name}", NULL),
		strcmp(out, "working other\n") == 0));
	close(fd);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	pool_down();
}
END_TEST

START_TEST(what_people_do_in_tmux_is_left_as_it_is)
{
	struct tmux_location l;
	char out[1024];
	pid_t pid;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	l = at("ab12");
	pid = l.pid;
	ck_assert_int_eq(
		person(l.socket, NULL, 0, "split-window", "-d", "-t", "=ab12:", "--", "cat", "-u",
			NULL),
		0);
	ck_assert_int_eq(
		person(l.socket, NULL, 0, "rename-session", "-t", "=ab12", "my own name", NULL), 0);
	rig_until(at("ab12").target[0] == '$');
	l = at("ab12");
	ck_assert_int_eq(person(l.socket, NULL, 0, "has-session", "-t", l.target, NULL), 0);
	/* their pane ends: it goes, as in any tmux, though ours stay */
	ck_assert_int_eq(person(l.socket, NULL, 0, "send-keys", "-t", "my own name:0.1", "C-d",
				 NULL),
		0);
	rig_until((person(l.socket, out, sizeof(out), "list-panes", "-t", l.target, "-F",
			   "#{pane_pid}", NULL),
		atoi(out) == pid && strchr(out, '\n')[1] == '\0'));
	ck_assert_uint_eq(seen("ab12")->lost + seen("ab12")->died, 0);
	close_wait("ab12");
	rig_until(kill(pid, 0) < 0);
	pool_down();
}
END_TEST

START_TEST(a_server_with_a_persons_session_is_left)
{
	struct tmux_location l;

	pool_up((struct tmux_limits){0});
	open_wait("ab12");
	l = at("ab12");
	ck_assert_int_eq(person(l.socket, NULL, 0, "new-session", "-d", "-s", "mine", "--", "cat",
				 "-u", NULL),
		0);
	close_wait("ab12");
	open_wait("cd34"); /* a round trip behind the look at what is left */
	close_wait("cd34");
	ck_assert_int_eq(person(l.socket, NULL, 0, "has-session", "-t", "=mine", NULL), 0);
	ck_assert_int_eq(person(l.socket, NULL, 0, "kill-session", "-t", "=mine", NULL), 0);
	rig_until(stats().servers == 0);
	pool_down();
}
END_TEST

RIG_MAIN("tmux/pool", a_pane_opens_and_closes_and_leaves_nothing, opening_twice_is_opening_once,
	closing_meanwhile_cancels_the_opening, what_is_being_closed_is_opened_again, nothing_of_the_users_matters,
	spec_reaches_the_pane_as_it_is, bad_wishes_are_refused_at_once,
	a_herd_of_large_commands_goes_out_as_there_is_room,
	a_missing_or_old_tmux_is_named, a_server_that_cannot_start_says_why,
	a_server_that_cannot_start_is_given_up_with_its_last_pane,
	a_program_that_cannot_run_ends_with_its_status, viewers_are_counted_and_see_the_state,
	what_was_told_to_a_dead_client_is_told_again,
	what_people_do_in_tmux_is_left_as_it_is, a_server_with_a_persons_session_is_left)
