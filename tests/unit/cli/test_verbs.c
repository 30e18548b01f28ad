/* SPDX-License-Identifier: ISC */
/* The program itself: what it asks a daemon, prints, and returns; and what it does without one. */
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/util.h"
#include "tests/unit/cli/fake.h"
#include "tests/unit/run.h"

static struct run r;

#define SAYS(text, part) ck_assert_msg(strstr(text, part), "\"%s\" does not say \"%s\"", text, part)

static json_t *instance(const char *id, const char *name, const char *state)
{
	return json_pack("{s:s, s:s, s:n, s:s, s:s, s:s, s:s, s:{s:i, s:i}, s:s}", "id", id, "name", name,
		"parent", "driver", "host", "agent", "shell", "state", state, "dir", "/d", "cap", "children", 0,
		"max_children", 8, "title", "title\033]0;owned\a");
}

static void respond(struct fake *f, struct peer_request *req, const char *method, json_t *params)
{
	struct err e = {0};

	(void)f;
	if (strcmp(method, "list") == 0) {
		json_t *list = json_array();
		bool second = json_object_get(params, "cursor") != NULL;
		if (!json_object_get(params, "state"))
			json_array_append_new(list, second ? instance("xy34zz", "second", "idle")
							   : instance("ab12cd", "fixer", "working"));
		if (json_object_get(params, "parent"))
			peer_result(req, json_pack("{s:o, s:s?}", "instances", list, "next", second ? NULL : "c1"));
		else
			peer_result(req, list);
	} else if (strcmp(method, "spawn") == 0) {
		const char *name = json_string_value(json_object_get(params, "name"));
		if (name && strcmp(name, "slow") == 0)
			return; /* answered never: the client is to go */
		if (name && strcmp(name, "full") == 0) {
			err_set(&e, ERR_CAP, "the fleet holds 100 of 100 instances");
			err_hint(&e, "raise max_instances");
			peer_error(req, &e);
			return;
		}
		peer_notify(f->peer, "progress", json_pack("{s:s, s:s}", "stage", "boot", "text", "it boots"));
		peer_result(req, instance("ab12cd", "fixer", "idle"));
	} else if (strcmp(method, "send") == 0) {
		peer_result(req, json_pack("{s:s, s:s}", "key", "k", "status", "delivered"));
	} else if (strcmp(method, "read") == 0) {
		peer_result(req, json_pack("{s:s}", "text", "one\n\033[31mtwo\n\n   \n"));
	} else if (strcmp(method, "wait") == 0) {
		json_t *in = instance("ab12cd", "fixer", "idle");
		peer_result(req, json_object_get(params, "resolve") ? json_pack("[o]", in) : in);
	} else if (strcmp(method, "kill") == 0) {
		json_t *list = json_array();
		json_array_append_new(list, instance("ab12cd", "fixer", "exited"));
		peer_result(req, list);
	} else {
		err_set(&e, ERR_NOT_FOUND, "there is no instance 'x\033[2J'");
		peer_error(req, &e);
	}
}

START_TEST(without_a_daemon_it_says_so_with_status_3)
{
	RUN(&r, NULL, "--no-start", "list");
	ck_assert_int_eq(r.code, 3);
	ck_assert_str_eq(r.out, "");
	SAYS(r.err, "tmux-claude: no daemon listens on ");
	SAYS(r.err, "\nhint: start it with `tmux-claude up`\n");
	run_free(&r);
	RUN(&r, NULL, "status", "--json");
	ck_assert_int_eq(r.code, 3);
	ck_assert_str_eq(r.err, "");
	json_t *o = json_loads(r.out, 0, NULL), *error = json_object_get(o, "error");
	ck_assert_uint_eq(json_object_size(o), 1);
	ck_assert_str_eq(json_string_value(json_object_get(error, "code")), "daemon_unreachable");
	ck_assert(json_is_true(json_object_get(error, "retryable")));
	ck_assert(json_is_string(json_object_get(error, "message")));
	ck_assert(json_is_string(json_object_get(error, "hint")));
	json_decref(o);
	run_free(&r);
	RUN(&r, NULL, "down");
	ck_assert_int_eq(r.code, 3);
	run_free(&r);
	RUN(&r, NULL, "list", "--socket", "/nonexistent/sock");
	ck_assert_int_eq(r.code, 3);
	SAYS(r.err, "/nonexistent/sock");
	run_free(&r);
}
END_TEST

START_TEST(wrong_usage_is_status_2)
{
	static char *const lines[][4] = {{"spwan"}, {"list", "--sate", "x"}, {"spawn", "--cpus", "x"}, {"send", "a"},
		{"--nonsense"}, {"template"}, {"help", "nope"}, {"--socket"}, {"up", "--no-start"},
		{"login", "--show", "--forget"}};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		run_program(&r, NULL, lines[i]);
		ck_assert_msg(r.code == 2, "%s: %d", lines[i][0], r.code);
		ck_assert_str_eq(r.out, "");
		SAYS(r.err, "tmux-claude: ");
		run_free(&r);
	}
	RUN(&r, NULL, "list", "--sate", "x", "--json");
	ck_assert_int_eq(r.code, 2);
	SAYS(r.out, "{\"error\":{\"code\":\"invalid_params\"");
	ck_assert_str_eq(r.err, "");
	run_free(&r);
	RUN(&r, NULL, "list", "--help");
	ck_assert_int_eq(r.code, 0);
	SAYS(r.out, "usage: tmux-claude list");
	run_free(&r);
}
END_TEST

START_TEST(list_prints_a_table_or_an_array)
{
	fake_start(respond);
	RUN(&r, NULL, "list", "--label", "a=b", "--all", "--tree");
	ck_assert_int_eq(r.code, 0);
	ck_assert_str_eq(fake_heard(), "list {\"all\":true,\"label\":[\"a=b\"],\"limit\":10000}");
	ck_assert_str_eq(fake_heard(), "gone");
	SAYS(r.out, "ID      NAME   STATE");
	SAYS(r.out, "ab12cd  fixer  working");
	SAYS(r.out, "title\\x1b]0;owned\\x07");
	ck_assert_ptr_null(strchr(r.out, '\033'));
	run_free(&r);
	RUN(&r, NULL, "list", "--json");
	json_t *o = json_loads(r.out, 0, NULL);
	ck_assert_uint_eq(json_array_size(o), 1);
	json_decref(o);
	run_free(&r);
	RUN(&r, NULL, "list", "--parent", "a", "--json"); /* in pages */
	o = json_loads(r.out, 0, NULL);
	ck_assert_uint_eq(json_array_size(o), 2);
	json_decref(o);
	run_free(&r);
	ck_assert_str_eq(fake_heard(), "list {\"limit\":10000}");
	ck_assert_str_eq(fake_heard(), "gone");
	ck_assert_str_eq(fake_heard(), "list {\"limit\":10000,\"parent\":\"a\"}");
	ck_assert_str_eq(fake_heard(), "list {\"cursor\":\"c1\",\"limit\":10000,\"parent\":\"a\"}");
	RUN(&r, NULL, "list", "--state", "idle");
	ck_assert_str_eq(r.out, "");
	SAYS(r.err, "No instances");
	run_free(&r);
	RUN(&r, NULL, "list", "--state", "idle", "--json");
	ck_assert_str_eq(r.out, "[]\n");
	run_free(&r);
}
END_TEST

START_TEST(spawn_prints_the_id_alone)
{
	cleanup_free char *cwd = getcwd(NULL, 0);
	cleanup_free char *want = xasprintf("spawn {\"dir\":\"%s\",\"name\":\"n\"}", cwd);
	fake_start(respond);
	RUN(&r, NULL, "spawn", "n");
	ck_assert_int_eq(r.code, 0);
	ck_assert_str_eq(r.out, "ab12cd\n");
	ck_assert_str_eq(r.err, "");
	ck_assert_str_eq(fake_heard(), want);
	run_free(&r);
	RUN(&r, NULL, "spawn", "n", "--json");
	json_t *o = json_loads(r.out, 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(o, "state")), "idle");
	json_decref(o);
	run_free(&r);
	RUN(&r, NULL, "spawn", "full");
	ck_assert_int_eq(r.code, 1);
	ck_assert_str_eq(r.err, "tmux-claude: the fleet holds 100 of 100 instances\nhint: raise max_instances\n");
	run_free(&r);
	RUN(&r, NULL, "spawn", "full", "--json");
	ck_assert_int_eq(r.code, 1);
	ck_assert_str_eq(r.out, "{\"error\":{\"code\":\"cap_reached\",\"message\":\"the fleet holds 100 of 100 "
				"instances\",\"hint\":\"raise max_instances\",\"retryable\":true}}\n");
	run_free(&r);
}
END_TEST

START_TEST(an_interrupt_closes_the_connection)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	fake_start(respond);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		pid_t pid = start_program((char *const[]){"spawn", "slow", NULL});
		ck_assert(str_starts(fake_heard(), "spawn "));
		kill(pid, signals[i]);
		ck_assert_str_eq(fake_heard(), "gone");
		finish_program(&r, pid);
		ck_assert_int_eq(r.code, 1);
		SAYS(r.err, "interrupted");
		run_free(&r);
	}
}
END_TEST

START_TEST(errors_are_escaped)
{
	fake_start(respond);
	RUN(&r, NULL, "show", "x");
	ck_assert_int_eq(r.code, 1);
	ck_assert_str_eq(r.err, "tmux-claude: there is no instance 'x\\x1b[2J'\n");
	run_free(&r);
}
END_TEST

START_TEST(send_reads_standard_input)
{
	char *big = xcalloc((1 << 20) + 2, 1);
	fake_start(respond);
	RUN(&r, "two\nlines\n", "send", "fixer", "-");
	ck_assert_int_eq(r.code, 0);
	ck_assert_str_eq(r.out, "");
	ck_assert_str_eq(fake_heard(), "send {\"id\":\"fixer\",\"text\":\"two\\nlines\"}");
	run_free(&r);
	memset(big, 'x', (1 << 20) + 1);
	RUN(&r, big, "send", "fixer", "-");
	ck_assert_int_eq(r.code, 1);
	SAYS(r.err, "longer than 1024 KiB");
	SAYS(r.err, "hint: ");
	run_free(&r);
	free(big);
	/* Raw, it is bytes: nothing is taken off the end. */
	RUN(&r, "y\n", "send", "--raw", "fixer", "-");
	ck_assert_str_eq(fake_heard(), "gone");
	ck_assert_str_eq(fake_heard(), "send {\"data\":\"eQo=\",\"id\":\"fixer\",\"raw\":true}");
	run_free(&r);
	RUN(&r, NULL, "send", "fixer", "--keys", "C-c", "Up", "-", "--timeout", "3");
	ck_assert_str_eq(fake_heard(), "gone");
	ck_assert_str_eq(fake_heard(), "send {\"id\":\"fixer\",\"keys\":[\"C-c\",\"Up\",\"-\"],\"timeout\":3.0}");
	run_free(&r);
	RUN(&r, NULL, "send", "fixer");
	ck_assert_int_eq(r.code, 2);
	SAYS(r.err, "needs TEXT or --keys");
	run_free(&r);
}
END_TEST

START_TEST(other_verbs_print_what_is_of_use)
{
	fake_start(respond);
	RUN(&r, NULL, "read", "fixer", "--lines", "3");
	ck_assert_str_eq(r.out, "one\n\\x1b[31mtwo\n");
	run_free(&r);
	ck_assert_str_eq(fake_heard(), "read {\"id\":\"fixer\",\"lines\":3}");
	RUN(&r, NULL, "wait", "fixer", "--until", "text=a b", "--timeout", "0.5");
	ck_assert_str_eq(r.out, "idle\n");
	run_free(&r);
	ck_assert_str_eq(fake_heard(), "gone");
	ck_assert_str_eq(fake_heard(), "wait {\"ids\":[\"fixer\"],\"resolve\":true,\"timeout\":0.5,\"until\":\"text=a b\"}");
	const char *heard = fake_heard(); /* with a key of its own, under which it may ask again */
	ck_assert_msg(str_starts(heard, "wait {\"id\":\"ab12cd\",\"key\":\""), "%s", heard);
	ck_assert_ptr_nonnull(strstr(heard, "\",\"timeout\":0.5,\"until\":\"text=a b\"}"));
	RUN(&r, NULL, "kill", "fixer");
	ck_assert_str_eq(r.out, "ab12cd  fixer  exited\n");
	run_free(&r);
}
END_TEST

static void event(struct fake *f, int seq)
{
	peer_notify(f->peer, "event",
		json_pack("{s:i, s:s, s:s, s:{s:s}}", "seq", seq, "type", "instance.state", "instance", "ab12cd",
			"data", "to", "idle"));
}

static void come_back(void *arg)
{
	fake_listen(arg);
}

static void drop(void *arg)
{
	struct fake *f = arg;
	struct loop_timer *t = loop_timer_create(f->loop, come_back, f);

	peer_destroy(f->peer);
	f->peer = NULL;
	fake_stop_listening(f);
	loop_timer_start(t, 50);
}

static void answer_events(struct fake *f, struct peer_request *req, const char *method, json_t *params)
{
	int since = (int)json_integer_value(json_object_get(params, "since"));

	(void)method;
	peer_result(req, json_pack("{s:i}", "seq", since));
	for (int seq = since + 1; seq <= since + 3; seq++)
		event(f, seq);
	event(f, since + 1); /* twice: to be dropped */
	if (f->count < 2)
		loop_defer_schedule(loop_defer_create(f->loop, drop, f));
}

START_TEST(events_are_gapless_across_a_daemon_that_comes_back)
{
	fake_start(answer_events);
	RUN(&r, NULL, "events", "--follow", "--since", "7", "--limit", "5", "--json");
	ck_assert_int_eq(r.code, 0);
	ck_assert_str_eq(fake_heard(), "subscribe {\"since\":7}");
	ck_assert_str_eq(fake_heard(), "subscribe {\"since\":10}");
	int want = 8;
	for (char *line = strtok(r.out, "\n"); line; line = strtok(NULL, "\n")) {
		json_t *o = json_loads(line, 0, NULL);
		ck_assert_int_eq(json_integer_value(json_object_get(o, "seq")), want++);
		json_decref(o);
	}
	ck_assert_int_eq(want, 13);
	run_free(&r);
}
END_TEST

static void end_process(void *arg)
{
	(void)arg;
	_exit(0);
}

static void answer_down(struct fake *f, struct peer_request *req, const char *method, json_t *params)
{
	struct loop_timer *t = loop_timer_create(f->loop, end_process, f);

	(void)method;
	(void)params;
	peer_result(req, NULL);
	fake_stop_listening(f);
	loop_timer_start(t, 200);
}

START_TEST(down_returns_when_the_process_is_gone)
{
	fake_start(answer_down);
	RUN(&r, NULL, "down", "--all", "--json");
	ck_assert_msg(r.code == 0, "%s%s", r.err, r.out);
	ck_assert(fake_ended());
	ck_assert_str_eq(r.out, "{}\n");
	ck_assert_str_eq(fake_heard(), "down {\"all\":true,\"progress\":true}");
	run_free(&r);
}
END_TEST

/* Runs the program on a terminal of cols columns: what it wrote there. */
static char *on_terminal(unsigned short cols, char *const *args)
{
	struct winsize ws = {.ws_row = 24, .ws_col = cols};
	char *text = xcalloc(65536, 1);
	size_t n = 0;
	int master;
	pid_t pid = forkpty(&master, NULL, NULL, &ws);

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		const char *dir = getenv("TC_BUILDDIR");
		cleanup_free char *program = xasprintf("%s/tmux-claude", dir ? dir : ".");
		setenv("TERM", "xterm", 1);
		execv(program, args);
		_exit(99);
	}
	for (ssize_t got; n < 65000 && (got = read(master, text + n, 65000 - n)) > 0;)
		n += (size_t)got;
	waitpid(pid, NULL, 0);
	close(master);
	return text;
}

START_TEST(a_terminal_gets_colours_and_its_width)
{
	fake_start(respond);
	cleanup_free char *colored = on_terminal(60, (char *const[]){"tmux-claude", "list", NULL});
	SAYS(colored, "\033[36mworking\033[0m");
	for (char *line = strtok(colored, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		size_t width = 0;
		for (char *p = line; *p; p++) {
			if (*p == '\033')
				p += strcspn(p, "m");
			else if (((unsigned char)*p & 0xc0) != 0x80)
				width++;
		}
		ck_assert_uint_le(width, 60);
	}
	setenv("NO_COLOR", "1", 1);
	cleanup_free char *plain = on_terminal(60, (char *const[]){"tmux-claude", "list", NULL});
	ck_assert_ptr_null(strchr(plain, '\033'));
	cleanup_free char *spawned = on_terminal(100, (char *const[]){"tmux-claude", "spawn", NULL});
	SAYS(spawned, "boot     it boots");
	SAYS(spawned, "ab12cd");
}
END_TEST

START_TEST(a_reader_that_had_enough_is_no_error)
{
	int p[2], status;

	fake_start(respond);
	ck_assert_int_eq(pipe(p), 0);
	close(p[0]);
	const char *dir = getenv("TC_BUILDDIR");
	cleanup_free char *program = xasprintf("%s/tmux-claude", dir ? dir : ".");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		execl(program, program, "list", NULL);
		_exit(99);
	}
	close(p[1]);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	pid = fork();
	if (pid == 0) {
		int full = open("/dev/full", O_WRONLY);
		dup2(full, 1);
		dup2(open("/dev/null", O_WRONLY), 2);
		execl(program, program, "list", NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

static char *in_dir(const char *name)
{
	return xasprintf("%s/%s", fake_dir, name);
}

static void put_file(const char *name, const char *text, mode_t mode)
{
	cleanup_free char *path = in_dir(name);
	struct err e = {0};

	ck_assert_msg(file_write_atomic(path, text, strlen(text), mode, &e) == 0, "%s", e.message);
}

START_TEST(a_login_is_kept_for_its_owner_alone)
{
	cleanup_free char *file = in_dir("credentials"), *text = NULL;
	struct stat st;
	size_t len;

	RUN(&r, NULL, "login", "--show", "--json");
	ck_assert_str_eq(r.out, "{\"kept\":false,\"kind\":null}\n");
	run_free(&r);
	RUN(&r, "sk-ant-oat01-secret\r\n", "login");
	ck_assert_msg(r.code == 0, "%s", r.err);
	ck_assert_ptr_null(strstr(r.out, "secret"));
	run_free(&r);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(file_read(file, 4096, &text, &len, NULL), 0);
	json_t *o = json_loads(text, 0, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(o, "kind")), "oauth_token");
	ck_assert_str_eq(json_string_value(json_object_get(o, "value")), "sk-ant-oat01-secret");
	ck_assert_uint_eq(json_object_size(o), 2);
	json_decref(o);
	RUN(&r, "sk-ant-api03-other\n", "login");
	ck_assert_int_eq(r.code, 0);
	run_free(&r);
	RUN(&r, NULL, "login", "--show", "--json");
	ck_assert_str_eq(r.out, "{\"kept\":true,\"kind\":\"api_key\"}\n");
	run_free(&r);
	static const char *const bad[] = {"", "\n", "short", "two words of it", "umlaut-\xc3\xa4-in-it"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		RUN(&r, bad[i], "login");
		ck_assert_int_eq(r.code, 1);
		run_free(&r);
	}
	RUN(&r, NULL, "login", "--show", "--json");
	SAYS(r.out, "api_key");
	run_free(&r);
	RUN(&r, NULL, "login", "--forget");
	ck_assert_int_eq(r.code, 0);
	ck_assert_int_eq(access(file, F_OK), -1);
	run_free(&r);
}
END_TEST

START_TEST(a_bad_config_names_its_line)
{
	put_file("config", "cpus = 2\nmemory = lots\n", 0600);
	RUN(&r, NULL, "config", "check");
	ck_assert_int_eq(r.code, 1);
	SAYS(r.err, "/config:2: memory must be a whole number");
	run_free(&r);
	RUN(&r, NULL, "list");
	SAYS(r.err, "config:2");
	ck_assert_int_ne(r.code, 0);
	run_free(&r);
	put_file("config", "cpus = 3\n", 0600);
	RUN(&r, NULL, "config", "show", "--json");
	json_t *all = json_loads(r.out, 0, NULL), *o;
	size_t i;
	bool seen = false;
	json_array_foreach(all, i, o)
		if (strcmp(json_string_value(json_object_get(o, "name")), "cpus") == 0)
			seen = json_integer_value(json_object_get(o, "value")) == 3;
	ck_assert(seen);
	json_decref(all);
	run_free(&r);
	RUN(&r, NULL, "config", "show", "--example");
	SAYS(r.out, "\n#cpus = 2\n");
	run_free(&r);
}
END_TEST

START_TEST(a_daemon_that_cannot_start_is_quoted)
{
	put_file("tmux-clauded",
		"#!/bin/sh\necho '2026-01-01T00:00:00.000Z tmux-clauded[1] error main: the database is too new' >&2\n"
		"exit 1\n",
		0700);
	setenv("TMUX_CLAUDE_LIBEXEC", fake_dir, 1);
	RUN(&r, NULL, "list");
	ck_assert_int_eq(r.code, 3);
	SAYS(r.err, "tmux-claude: the daemon could not start: the database is too new\nhint: its log is ");
	run_free(&r);
	put_file("tmux-clauded", "#!/bin/sh\nkill -9 $$\n", 0700);
	RUN(&r, NULL, "up");
	ck_assert_int_eq(r.code, 3);
	SAYS(r.err, "signal 9");
	run_free(&r);
	cleanup_free char *program = in_dir("tmux-clauded");
	unlink(program);
	RUN(&r, NULL, "up");
	ck_assert_int_eq(r.code, 1);
	SAYS(r.err, "tmux-clauded is not in");
	run_free(&r);
}
END_TEST

static void build_script(const char *body)
{
	cleanup_free char *text = xasprintf("out=$4\n%s\n", body);

	put_file("build-template", text, 0600);
	put_file("own.recipe", "# mine\nname  own\n", 0600);
	put_file("tmux-claude-guest", "x", 0700);
	setenv("TMUX_CLAUDE_DATA", fake_dir, 1);
	setenv("TMUX_CLAUDE_LIBEXEC", fake_dir, 1);
}

#define STAMP                                                                                      \
	"mkdir -p \"$out\" && echo '{\"name\":\"own\",\"built_at\":\"2026-01-01T00:00:00Z\",\"guest_sha256\":\"" \
	"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\",\"recipe_sha256\":\"%s\"}' " \
	">\"$out/template.json\"\n"

START_TEST(template_build_shows_steps_and_list_tells_the_stale)
{
	cleanup_free char *stale = xasprintf("echo '{\"stage\":\"disk\",\"done\":1,\"of\":2,\"text\":\"the "
					     "disk\"}'\n" STAMP,
		"00");
	build_script(stale);
	RUN(&r, NULL, "template", "build", "own");
	ck_assert_msg(r.code == 0, "%s", r.err);
	SAYS(r.err, "[1/2] the disk");
	SAYS(r.out, "/templates/own\n");
	run_free(&r);
	RUN(&r, NULL, "template", "list");
	SAYS(r.out, "stale: its recipe has changed since");
	run_free(&r);
	RUN(&r, NULL, "template", "build", "own", "--if-missing", "--json");
	SAYS(r.out, "\"stale\":true");
	run_free(&r);
	build_script("echo '{\"stage\":\"disk\",\"error\":{\"message\":\"the disk is full\",\"hint\":\"make room\"}}'\n"
		     "exit 1");
	RUN(&r, NULL, "template", "build", "own");
	ck_assert_int_eq(r.code, 1);
	ck_assert_str_eq(r.err,
		"tmux-claude: the template 'own' was not built: the disk is full\nhint: make room\n");
	run_free(&r);
	RUN(&r, NULL, "template", "build", "nope");
	ck_assert_int_eq(r.code, 1);
	SAYS(r.err, "no recipe 'nope'");
	run_free(&r);
	RUN(&r, NULL, "template", "build", "../x");
	ck_assert_int_eq(r.code, 1);
	run_free(&r);
	cleanup_free char *path = in_dir("own.recipe");
	RUN(&r, NULL, "template", "build", "other", "--recipe", path);
	ck_assert_int_eq(r.code, 1);
	SAYS(r.err, "makes the template 'own', not 'other'");
	run_free(&r);
}
END_TEST

START_TEST(template_build_waits_for_the_script_to_clean_up)
{
	cleanup_free char *fifo = in_dir("fifo"), *cleaned = in_dir("cleaned");
	char word;

	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	cleanup_free char *body = xasprintf("trap 'echo x >%s; exit 143' TERM\necho x >%s\nwhile :; do read -t 1 x "
					    "<>/dev/zero; done",
		cleaned, fifo);
	build_script(body);
	pid_t pid = start_program((char *const[]){"template", "build", "own", NULL});
	int fd = open(fifo, O_RDONLY);
	ck_assert_int_eq(read(fd, &word, 1), 1);
	close(fd);
	kill(pid, SIGTERM);
	finish_program(&r, pid);
	ck_assert_int_eq(r.code, 1);
	SAYS(r.err, "interrupted; nothing was changed");
	ck_assert_int_eq(access(cleaned, F_OK), 0);
	run_free(&r);
}
END_TEST

START_TEST(doctor_reports_each_check)
{
	RUN(&r, NULL, "doctor", "--json");
	json_t *o = json_loads(r.out, 0, NULL), *checks = json_object_get(o, "checks"), *check;
	size_t i;
	bool failed = false;
	ck_assert_uint_ge(json_array_size(checks), 10);
	json_array_foreach(checks, i, check) {
		const char *level = json_string_value(json_object_get(check, "level"));
		ck_assert(json_string_length(json_object_get(check, "text")) > 0);
		failed |= strcmp(level, "fail") == 0;
		ck_assert_int_eq(json_is_true(json_object_get(check, "ok")), strcmp(level, "fail") != 0);
		if (strcmp(level, "ok") != 0)
			ck_assert(json_string_length(json_object_get(check, "hint")) > 0);
	}
	ck_assert_int_eq(r.code, failed);
	json_decref(o);
	run_free(&r);
	RUN(&r, NULL, "doctor");
	SAYS(r.out, "tmux");
	run_free(&r);
}
END_TEST

TEST_MAIN_FIXTURE("cli/verbs", fake_setup, fake_teardown, without_a_daemon_it_says_so_with_status_3,
	wrong_usage_is_status_2, list_prints_a_table_or_an_array, spawn_prints_the_id_alone,
	an_interrupt_closes_the_connection, errors_are_escaped, send_reads_standard_input,
	other_verbs_print_what_is_of_use, events_are_gapless_across_a_daemon_that_comes_back,
	down_returns_when_the_process_is_gone, a_terminal_gets_colours_and_its_width,
	a_reader_that_had_enough_is_no_error, a_login_is_kept_for_its_owner_alone, a_bad_config_names_its_line,
	a_daemon_that_cannot_start_is_quoted, template_build_shows_steps_and_list_tells_the_stale,
	template_build_waits_for_the_script_to_clean_up, doctor_reports_each_check)
