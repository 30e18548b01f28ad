/* SPDX-License-Identifier: ISC */
/* The loop: order within a turn, freeing from callbacks, children. */
#include "base/loop.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/run.h"

#define COARSE_MS 5 /* libevent's clock is the kernel's coarse one: a tick of 4 ms, and what we round */

static struct loop *l;
static char trace[256];

static void setup(void)
{
	struct err e = {0};
	l = loop_create(&e);
	ck_assert_msg(l != NULL, "%s", e.message);
	trace[0] = '\0';
}

static void teardown(void)
{
	loop_destroy(l);
	loop_destroy(NULL);
}

static void note(const char *s)
{
	strcat(trace, s);
}

static void on_timer(void *arg)
{
	note(arg);
}

static struct loop_defer *da, *db, *dc;

static void on_a(void *arg)
{
	(void)arg;
	note("a");
	loop_defer_schedule(da); /* the next turn's */
}
static void on_b(void *arg)
{
	(void)arg;
	note("b");
	loop_defer_free(dc);
	dc = NULL;
	loop_stop(l);
}

START_TEST(deferred_run_once_in_order_after_the_turn)
{
	struct loop_timer *t = loop_timer_create(l, on_timer, "t");
	da = loop_defer_create(l, on_a, NULL);
	db = loop_defer_create(l, on_b, NULL);
	dc = loop_defer_create(l, on_timer, "c");
	loop_defer_schedule(da);
	loop_defer_schedule(db);
	loop_defer_schedule(da);
	loop_defer_schedule(dc); /* freed by b before its turn comes */
	loop_timer_start(t, 0);
	loop_turn(l, 1000);
	ck_assert_str_eq(trace, "tab");
	loop_turn(l, 1000); /* does not wait: a is due */
	ck_assert_str_eq(trace, "taba");
	loop_defer_free(da);
	loop_defer_free(db);
	loop_timer_free(t);
}
END_TEST

static void on_stop(void *arg)
{
	note(arg);
	loop_stop(l);
}

START_TEST(timers_fire_in_order_and_can_be_stopped)
{
	struct loop_timer *a = loop_timer_create(l, on_timer, "1");
	struct loop_timer *b = loop_timer_create(l, on_timer, "x");
	struct loop_timer *c = loop_timer_create(l, on_stop, "2");
	int64_t start = clock_mono_ms();
	loop_timer_start(c, 40);
	loop_timer_start(a, 500);
	loop_timer_start(a, 20); /* restarted, shorter */
	loop_timer_start(b, 10);
	ck_assert(loop_timer_active(b));
	loop_timer_stop(b);
	ck_assert(!loop_timer_active(b));
	loop_run(l);
	ck_assert_str_eq(trace, "12");
	ck_assert_int_ge(clock_mono_ms() - start, 40 - COARSE_MS);
	ck_assert(!loop_timer_active(a));
	loop_timer_free(a);
	loop_timer_free(b);
	loop_timer_free(c);
	loop_timer_free(NULL);
}
END_TEST

START_TEST(a_turn_without_events_ends_at_its_limit)
{
	int64_t start = clock_mono_ms();
	loop_turn(l, 30);
	ck_assert_int_ge(clock_mono_ms() - start, 30 - COARSE_MS);
	loop_turn(l, 0);
}
END_TEST

static struct loop_io *io1, *io2;
static int sp[2], sq[2];

static void on_read_free_both(void *arg, int fd, unsigned events)
{
	char c;
	(void)arg;
	ck_assert_uint_eq(events, LOOP_READ);
	ck_assert_int_eq((int)read(fd, &c, 1), 1);
	note("r");
	loop_io_free(io1);
	loop_io_free(io2);
	io1 = io2 = NULL;
}

START_TEST(a_callback_may_free_itself_and_others_that_are_ready)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sq), 0);
	io1 = loop_io_add(l, sp[0], LOOP_READ, on_read_free_both, NULL);
	io2 = loop_io_add(l, sq[0], LOOP_READ, on_read_free_both, NULL);
	ck_assert_int_eq((int)write(sp[1], "x", 1), 1);
	ck_assert_int_eq((int)write(sq[1], "x", 1), 1);
	loop_turn(l, 1000);
	loop_turn(l, 10);
	ck_assert_str_eq(trace, "r"); /* whichever came first took the other away */
}
END_TEST

static void on_events(void *arg, int fd, unsigned events)
{
	(void)arg;
	(void)fd;
	note(events & LOOP_READ ? "R" : "");
	note(events & LOOP_WRITE ? "W" : "");
}

START_TEST(interest_can_change_and_pause)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	ck_assert_int_eq((int)write(sp[1], "x", 1), 1);
	struct loop_io *io = loop_io_add(l, sp[0], 0, on_events, NULL);
	loop_turn(l, 10);
	ck_assert_str_eq(trace, "");
	loop_io_set(io, LOOP_READ | LOOP_WRITE);
	loop_turn(l, 1000);
	ck_assert_str_eq(trace, "RW");
	loop_io_set(io, LOOP_WRITE);
	loop_turn(l, 1000);
	ck_assert_str_eq(trace, "RWW");
	loop_io_set(io, 0);
	loop_turn(l, 10);
	ck_assert_str_eq(trace, "RWW");
	loop_io_free(io);
}
END_TEST

START_TEST(edge_triggered_reports_changes_only)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	struct loop_io *io = loop_io_add(l, sp[0], LOOP_READ | LOOP_EDGE, on_events, NULL);
	ck_assert_int_eq((int)write(sp[1], "x", 1), 1);
	loop_turn(l, 1000);
	loop_turn(l, 10);
	ck_assert_str_eq(trace, "R");
	ck_assert_int_eq((int)write(sp[1], "y", 1), 1);
	loop_turn(l, 1000);
	ck_assert_str_eq(trace, "RR");
	loop_io_free(io);
}
END_TEST

START_TEST(files_that_epoll_refuses_are_always_ready)
{
	int fd = open("/dev/null", O_RDWR);
	FILE *f = tmpfile();
	struct loop_io *io = loop_io_add(l, fd, LOOP_READ, on_events, NULL);
	loop_turn(l, 1000);
	loop_turn(l, 1000);
	ck_assert_str_eq(trace, "RR");
	loop_io_set(io, 0);
	loop_turn(l, 10);
	ck_assert_str_eq(trace, "RR");
	loop_io_free(io);
	io = loop_io_add(l, fileno(f), LOOP_WRITE, on_events, NULL);
	loop_turn(l, 1000);
	ck_assert_str_eq(trace, "RRW");
	loop_io_free(io);
	close(fd);
	fclose(f);
}
END_TEST

static void on_sig(void *arg, int signo)
{
	(void)arg;
	ck_assert_int_eq(signo, SIGUSR1);
	note("s");
	loop_stop(l);
}

START_TEST(signals)
{
	struct loop_signal *s = loop_signal_add(l, SIGUSR1, on_sig, NULL);
	kill(getpid(), SIGUSR1);
	loop_run(l);
	ck_assert_str_eq(trace, "s");
	loop_signal_free(s);
}
END_TEST

static struct proc_status last;
static pid_t last_pid;
static void on_child(void *arg, pid_t pid, struct proc_status st)
{
	(void)arg;
	last = st;
	last_pid = pid;
	loop_stop(l);
}

static pid_t child(int code, int sig)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (sig)
			raise(sig);
		_exit(code);
	}
	return pid;
}

START_TEST(a_childs_exit_is_told_and_it_is_reaped)
{
	struct err e = {0};
	pid_t pid = child(7, 0);
	ck_assert_ptr_nonnull(loop_child_watch(l, pid, on_child, NULL, &e));
	loop_run(l);
	ck_assert_int_eq(last.code, 7);
	ck_assert_int_eq(last.signal, 0);
	ck_assert_int_eq(last_pid, pid);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), -1);
	pid = child(0, SIGKILL);
	ck_assert_ptr_nonnull(loop_child_watch(l, pid, on_child, NULL, &e));
	loop_run(l);
	ck_assert_int_eq(last.code, -1);
	ck_assert_int_eq(last.signal, SIGKILL);
}
END_TEST

START_TEST(a_child_that_is_dead_already_is_told_too)
{
	struct err e = {0};
	pid_t pid = child(3, 0);
	siginfo_t si;
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	ck_assert_ptr_nonnull(loop_child_watch(l, pid, on_child, NULL, &e));
	loop_run(l);
	ck_assert_int_eq(last.code, 3);
}
END_TEST

START_TEST(a_process_of_others_ends_without_a_status)
{
	/* A grandchild whose parent is gone: adopted by init, so not ours. */
	struct err e = {0};
	int pid_pipe[2], hold[2];
	ck_assert_int_eq(pipe(pid_pipe), 0);
	ck_assert_int_eq(pipe(hold), 0);
	pid_t middle = fork();
	if (middle == 0) {
		pid_t grand = fork();
		if (grand == 0) {
			char c;
			close(hold[1]);
			_exit(read(hold[0], &c, 1) < 0); /* until the test lets go */
		}
		_exit(write(pid_pipe[1], &grand, sizeof(grand)) < 0);
	}
	close(hold[0]);
	pid_t grand;
	ck_assert_int_eq((int)read(pid_pipe[0], &grand, sizeof(grand)), (int)sizeof(grand));
	ck_assert_int_eq(waitpid(middle, NULL, 0), middle);
	ck_assert_ptr_nonnull(loop_child_watch(l, grand, on_child, NULL, &e));
	close(hold[1]);
	loop_run(l);
	ck_assert_int_eq(last_pid, grand);
	ck_assert_int_eq(last.code, -1);
	ck_assert_int_eq(last.signal, 0);
}
END_TEST

START_TEST(nobody_cannot_be_watched_and_watching_can_end)
{
	struct err e = {0};
	ck_assert_ptr_null(loop_child_watch(l, 0x3ffffff, on_child, NULL, &e));
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	pid_t pid = child(0, 0);
	struct loop_child *c = loop_child_watch(l, pid, on_child, NULL, &e);
	loop_child_free(c);
	loop_child_free(NULL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid); /* still ours to reap */
}
END_TEST

TEST_MAIN_FIXTURE("base/loop", setup, teardown, deferred_run_once_in_order_after_the_turn,
	timers_fire_in_order_and_can_be_stopped, a_turn_without_events_ends_at_its_limit,
	a_callback_may_free_itself_and_others_that_are_ready, interest_can_change_and_pause,
	edge_triggered_reports_changes_only, files_that_epoll_refuses_are_always_ready, signals,
	a_childs_exit_is_told_and_it_is_reaped, a_child_that_is_dead_already_is_told_too,
	a_process_of_others_ends_without_a_status, nobody_cannot_be_watched_and_watching_can_end)
