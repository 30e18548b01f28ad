/* SPDX-License-Identifier: ISC */
/*
 * The daemon's end of a shim, against a fake one: this program itself, under the shim's name. What the
 * fake does stands in place.json.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/shimctl/shimctl.h"
#include "tests/unit/run.h"

#define TURNS_MS 20000

/* ---- the fake shim ---- */

struct fake {
	struct loop *loop;
	struct peer *peer;
	int listen_fd;
	const char *place_dir;
};

static void fake_event(struct fake *f, int seq, const char *type)
{
	peer_notify(f->peer, "event", json_pack("{s:i, s:s, s:s}", "seq", seq, "type", type,
		"instance", "aaaaaa"));
}

static void fake_request(void *arg, struct peer_request *req, const char *method, json_t *params)
{
	struct fake *f = arg;
	struct err e = {0};

	if (!strcmp(method, "hello")) {
		peer_result(req, json_pack("{s:i, s:i, s:s}", "version", 1, "shim_pid", getpid(),
			"role", json_string_value(json_object_get(params, "role"))));
		fake_event(f, 0, "stage");
		fake_event(f, 1, "started");
		/* What no shim should say is passed over. */
		peer_notify(f->peer, "event", json_pack("{s:i}", "seq", 2));
		peer_notify(f->peer, "event", json_pack("{s:i, s:s}", "seq", -2, "type", "x"));
		peer_notify(f->peer, "other", NULL);
	} else if (!strcmp(method, "screen")) {
		peer_result(req, json_pack("{s:O}", "echo", params));
	} else if (!strcmp(method, "silent")) {
		return; /* never answered, as peer.h asks; the test ends us */
	} else if (!strcmp(method, "quit")) {
		loop_stop(f->loop);
	} else {
		err_set(&e, ERR_STATE, "no");
		peer_error(req, &e);
	}
}

static void fake_notification(void *arg, const char *method, json_t *params)
{
	struct fake *f = arg;
	/* Tells back what it was told, as an event. */
	peer_notify(f->peer, "event",
		json_pack("{s:i, s:s, s:s, s:O}", "seq", 0, "type", "heard", "method", method,
			"params", params));
}

static void fake_gone(void *arg, const char *reason)
{
	struct fake *f = arg;
	(void)reason;
	peer_destroy(take_ptr(f->peer));
}

static const struct peer_ops fake_ops = {fake_request, fake_notification, fake_gone};

static void fake_accept(void *arg, int fd, unsigned events)
{
	struct fake *f = arg;
	(void)events;
	int got = sock_accept(fd);
	if (got < 0)
		return;
	peer_destroy(f->peer);
	f->peer = peer_create(f->loop, got, 0, &fake_ops, f);
}

/* Behaviours, by the text of place.json. */
static int fake_main(int argc, char **argv)
{
	struct fake f = {.listen_fd = -1};
	cleanup_free char *how = NULL;
	struct err e = {0};
	if (argc != 3 || strcmp(argv[1], "--place-dir") != 0)
		return 2;
	f.place_dir = argv[2];
	cleanup_free char *place = xasprintf("%s/place.json", f.place_dir);
	cleanup_free char *sock = xasprintf("%s/shim.sock", f.place_dir);
	cleanup_free char *env = xasprintf("%s/env", f.place_dir);
	if (file_read(place, 4096, &how, NULL, &e)) {
		fprintf(stderr, "%s\n", e.message);
		return 3;
	}
	if (!strcmp(how, "ends")) {
		fprintf(stderr, "first line\nno place for me\n");
		return 7;
	}
	const char *secret = getenv("ANTHROPIC_API_KEY");
	file_write_atomic(env, secret ? secret : "none", 4, 0600, NULL);
	f.loop = loop_create(&e);
	if (strcmp(how, "silent") != 0) {
		if (sock_listen(sock, 0600, &f.listen_fd, &e)) {
			fprintf(stderr, "%s\n", e.message);
			return 4;
		}
		loop_io_add(f.loop, f.listen_fd, LOOP_READ, fake_accept, &f);
	}
	fprintf(stderr, "up, session %d\n", getsid(0) == getpid());
	alarm(60); /* whatever happens to the test */
	loop_run(f.loop);
	return 0;
}

/* ---- the tests ---- */

static struct loop *loop;
static char top[64], dir[80];
static struct shimctl *ctl;
static pid_t shim_pid;
static int hellos, losses;
static struct err why;
static json_t *events; /* all that came */
static json_t *answer;
static struct err answer_error;
static int answers;

static void on_hello(void *arg, json_t *hello)
{
	ck_assert_ptr_eq(arg, &loop);
	shim_pid = (pid_t)json_integer_value(json_object_get(hello, "shim_pid"));
	ck_assert_str_eq(json_string_value(json_object_get(hello, "role")), "control");
	hellos++;
	loop_stop(loop);
}
static void on_event(void *arg, uint64_t seq, const char *type, json_t *event)
{
	ck_assert_ptr_eq(arg, &loop);
	ck_assert_int_eq((json_int_t)seq, json_integer_value(json_object_get(event, "seq")));
	ck_assert_str_eq(type, json_string_value(json_object_get(event, "type")));
	json_array_append(events, event);
	loop_stop(loop);
}
static void on_lost(void *arg, const struct err *e)
{
	ck_assert_ptr_eq(arg, &loop);
	losses++;
	why = *e;
	loop_stop(loop);
}
static const struct shimctl_ops ops = {on_hello, on_event, on_lost};

static void on_answer(void *arg, json_t *result, const struct err *error)
{
	ck_assert_ptr_eq(arg, &answers);
	ck_assert((result == NULL) != (error == NULL));
	answers++;
	json_decref(answer);
	answer = json_incref(result);
	if (error)
		answer_error = *error;
	loop_stop(loop);
}

static void behave(const char *how)
{
	cleanup_free char *path = xasprintf("%s/place.json", dir);
	ck_assert_int_eq(file_write_atomic(path, how, strlen(how), 0600, NULL), 0);
}

/* Turns the loop until *n reaches want. */
static void until(const int *n, int want)
{
	int64_t end = clock_mono_ms() + TURNS_MS;
	while (*n < want) {
		ck_assert_msg(clock_mono_ms() < end, "nothing came; last: %s", why.message);
		loop_turn(loop, 1000);
	}
}

static void until_events(size_t want)
{
	int64_t end = clock_mono_ms() + TURNS_MS;
	while (json_array_size(events) < want) {
		ck_assert(clock_mono_ms() < end);
		loop_turn(loop, 1000);
	}
}

static void setup(void)
{
	char self[PATH_MAX], link[128];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	strcpy(top, "/tmp/tc-shimctl-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(dir, sizeof(dir), "%s/place", top);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	snprintf(link, sizeof(link), "%s/tmux-claude-shim", top);
	ck_assert_int_eq(symlink(self, link), 0);
	setenv("TMUX_CLAUDE_LIBEXEC", top, 1);
	setenv("ANTHROPIC_API_KEY", "secret", 1);
	loop = loop_create(NULL);
	events = json_array();
	hellos = losses = answers = 0;
	shim_pid = 0;
	ctl = shimctl_create(loop, dir, &ops, &loop);
	behave("normal");
}

static void teardown(void)
{
	shimctl_destroy(ctl);
	shimctl_finish();
	if (shim_pid > 0) {
		kill(shim_pid, SIGKILL);
		while (waitpid(shim_pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	json_decref(events);
	json_decref(answer);
	answer = NULL;
	loop_destroy(loop);
	tree_remove(top, NULL);
}

static void must_start(void)
{
	struct err e = {0};
	ck_assert_msg(shimctl_start(ctl, &e) == 0, "%s", e.message);
	until(&hellos, 1);
	ck_assert(shimctl_connected(ctl));
}

static char *file_in_place(const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	char *text = NULL;
	struct err e = {0};
	ck_assert_msg(file_read(path, 65536, &text, NULL, &e) == 0, "%s", e.message);
	return text;
}

START_TEST(test_a_started_shim_is_found_and_greeted)
{
	must_start();
	ck_assert_int_eq(losses, 0);
	until_events(2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(events, 0), "type")),
		"stage");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(events, 1), "type")),
		"started");
	cleanup_free char *log = file_in_place("shim.log");
	ck_assert_str_eq(log, "up, session 1\n"); /* a process session of its own */
	cleanup_free char *env = file_in_place("env");
	ck_assert_str_eq(env, "none"); /* keys in our environment stay there */
}
END_TEST

START_TEST(test_calls_are_answered)
{
	must_start();
	shimctl_call(ctl, "screen", json_pack("{s:i}", "lines", 3), 5000, on_answer, &answers);
	until(&answers, 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(answer, "echo"),
				 "lines")), 3);
	shimctl_call(ctl, "nonsense", NULL, 5000, on_answer, &answers);
	until(&answers, 2);
	ck_assert_int_eq(answer_error.code, ERR_STATE);
	shimctl_call(ctl, "silent", NULL, 30, on_answer, &answers);
	until(&answers, 3);
	ck_assert_int_eq(answer_error.code, ERR_TIMEOUT);
}
END_TEST

START_TEST(test_acks_and_api_replies_reach_the_shim)
{
	must_start();
	until_events(2);
	shimctl_ack(ctl, 7, 3000);
	until_events(3);
	json_t *heard = json_array_get(events, 2);
	ck_assert_str_eq(json_string_value(json_object_get(heard, "method")), "ack");
	json_t *params = json_object_get(heard, "params");
	ck_assert_int_eq(json_integer_value(json_object_get(params, "seq")), 7);
	ck_assert_int_eq(json_integer_value(json_object_get(params, "steps_wait_ms")), 3000);
	shimctl_api_reply(ctl, 4, json_pack("{s:s}", "jsonrpc", "2.0"));
	until_events(4);
	heard = json_array_get(events, 3);
	ck_assert_str_eq(json_string_value(json_object_get(heard, "method")), "api_reply");
	params = json_object_get(heard, "params");
	ck_assert_int_eq(json_integer_value(json_object_get(params, "conn")), 4);
	ck_assert(json_is_object(json_object_get(params, "msg")));
}
END_TEST

START_TEST(test_a_call_without_a_connection_fails_later_and_once)
{
	shimctl_call(ctl, "screen", json_object(), 1000, on_answer, &answers);
	shimctl_call(ctl, "screen", NULL, 1000, on_answer, &answers);
	ck_assert_int_eq(answers, 0); /* not from within */
	until(&answers, 2);
	ck_assert_int_eq(answer_error.code, ERR_UNAVAILABLE);
	loop_turn(loop, 0);
	ck_assert_int_eq(answers, 2);
}
END_TEST

START_TEST(test_a_shim_that_ends_at_once_says_why)
{
	struct err e = {0};
	behave("ends");
	ck_assert_int_eq(shimctl_start(ctl, &e), 0);
	until(&losses, 1);
	ck_assert(!shimctl_connected(ctl));
	ck_assert_msg(strstr(why.message, "code 7") && strstr(why.message, "no place for me"), "%s",
		why.message);
	behave("normal"); /* and can be started again */
	must_start();
}
END_TEST

START_TEST(test_a_missing_shim_program_is_said_at_once)
{
	struct err e = {0};
	setenv("TMUX_CLAUDE_LIBEXEC", dir, 1);
	ck_assert_int_eq(shimctl_start(ctl, &e), -1);
	ck_assert_int_eq(e.code, ERR_MISSING);
	setenv("TMUX_CLAUDE_LIBEXEC", top, 1);
	must_start();
}
END_TEST

START_TEST(test_a_killed_shim_is_lost_and_its_calls_fail)
{
	must_start();
	shimctl_call(ctl, "silent", NULL, 60000, on_answer, &answers);
	ck_assert_int_eq(kill(shim_pid, SIGKILL), 0);
	until(&losses, 1);
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(answer_error.code, ERR_UNREACHABLE);
	ck_assert(!shimctl_connected(ctl));
	hellos = 0; /* its stale socket is in nobody's way */
	must_start();
	ck_assert_int_eq(losses, 1);
}
END_TEST

START_TEST(test_a_shim_is_adopted_and_survives_us)
{
	must_start();
	pid_t first = shim_pid;
	shimctl_destroy(ctl);
	ctl = shimctl_create(loop, dir, &ops, &loop);
	hellos = 0;
	shimctl_adopt(ctl);
	until(&hellos, 1);
	ck_assert_int_eq(shim_pid, first);
	ck_assert_int_eq(losses, 0);
}
END_TEST

START_TEST(test_starting_where_one_listens_starts_no_second)
{
	must_start();
	pid_t first = shim_pid;
	shimctl_destroy(ctl);
	ctl = shimctl_create(loop, dir, &ops, &loop);
	hellos = 0;
	must_start();
	ck_assert_int_eq(shim_pid, first);
}
END_TEST

START_TEST(test_one_that_dies_while_greeted_is_replaced)
{
	struct err e = {0};
	cleanup_free char *sock = xasprintf("%s/shim.sock", dir);
	int fd;
	/* A listener that takes connections and answers none: as one that is being killed. */
	ck_assert_int_eq(sock_listen(sock, 0600, &fd, &e), 0);
	ck_assert_int_eq(shimctl_start(ctl, &e), 0);
	close(fd);
	until(&hellos, 1);
	ck_assert_int_eq(losses, 0);
}
END_TEST

START_TEST(test_adopting_where_nobody_listens_is_lost_later)
{
	shimctl_adopt(ctl);
	ck_assert_int_eq(losses, 0); /* not from within */
	until(&losses, 1);
	ck_assert_int_eq(why.code, ERR_UNREACHABLE);
	loop_turn(loop, 0);
	ck_assert_int_eq(losses, 1);
}
END_TEST

START_TEST(test_a_shim_that_never_listens_meets_its_deadline_and_is_ended)
{
	struct err e = {0};
	behave("silent");
	ck_assert_int_eq(shimctl_start(ctl, &e), 0);
	until(&losses, 1);
	ck_assert_int_eq(why.code, ERR_TIMEOUT);
	siginfo_t si;
	/* Reaped by the loop's watch: no child is left. */
	while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0)
		loop_turn(loop, 1000);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	if (!strcmp(name ? name + 1 : argv[0], "tmux-claude-shim"))
		return fake_main(argc, argv);
	const TTest *const tests[] = {
		test_a_started_shim_is_found_and_greeted,
		test_calls_are_answered,
		test_acks_and_api_replies_reach_the_shim,
		test_a_call_without_a_connection_fails_later_and_once,
		test_a_shim_that_ends_at_once_says_why,
		test_a_missing_shim_program_is_said_at_once,
		test_a_killed_shim_is_lost_and_its_calls_fail,
		test_a_shim_is_adopted_and_survives_us,
		test_starting_where_one_listens_starts_no_second,
		test_one_that_dies_while_greeted_is_replaced,
		test_adopting_where_nobody_listens_is_lost_later,
		test_a_shim_that_never_listens_meets_its_deadline_and_is_ended,
	};
	return test_run("shimctl/shimctl", tests, ARRAY_LEN(tests), setup, teardown);
}
