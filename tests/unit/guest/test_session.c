/* SPDX-License-Identifier: ISC */
/* The session file of a program, as the real guest program watches it: only true words of this very process go on. */
#include <fcntl.h>

#include "tests/unit/guest/program_help.h"

#define WORDS_MAX 1024
#define QUIET_MS 80 /* more than session.c leaves between two reports */
#define TOO_LARGE (64 * 1024)

static char root[] = "/tmp/tc-session-XXXXXX";
static struct program p;
static struct shim_end *e;
static struct seen *run, *control;
static pid_t pid;
static char words[WORDS_MAX]; /* each report that came: "status/waitingFor " */
static bool deaf;             /* reports are not answered */

static void note(const json_t *msg)
{
	const json_t *params = json_object_get(msg, "params"), *body = json_object_get(params, "body");
	size_t len = strlen(words);

	ck_assert_str_eq(json_string_value(json_object_get(params, "event")), "SessionFile");
	snprintf(words + len, sizeof(words) - len, "%s/%s ", json_string_value(json_object_get(body, "status")),
		json_string_value(json_object_get(body, "waitingFor")));
}

static void on_report(struct shim_end *end, struct seen *x)
{
	static const char answer[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"output\":\"\"}}\n";
	const char *nl;

	(void)end;
	if (!x->what || strcmp(json_string_value(json_object_get(x->what, "kind")), "api") != 0)
		return;
	ck_assert_str_eq(json_string_value(json_object_get(x->what, "instance")), "abc123");
	while (x->data.len && (nl = memchr(buf_data(&x->data), '\n', x->data.len))) {
		size_t len = (size_t)(nl - (char *)buf_data(&x->data));
		json_t *msg = json_loadb((char *)buf_data(&x->data), len, 0, NULL);
		note(msg);
		json_decref(msg);
		buf_consume(&x->data, len + 1);
		if (!deaf)
			link_send(x->s, answer, strlen(answer));
	}
}

static void connect_shim(void)
{
	e = program_connect(&p);
	e->got = on_report;
	control = NULL;
}

/* What the file system told before this has been looked at behind it. */
static void looked(void)
{
	for (int i = 0; i < 2; i++)
		control_ask(e, &control, json_pack("{s:s}", "op", "procs"));
}

/* No report is held back for being too soon behind the one before. */
static void quiet(void)
{
	int64_t end = clock_mono_ms() + QUIET_MS;

	looked();
	while (clock_mono_ms() < end)
		loop_turn(p.loop, QUIET_MS);
}

static void start(const char *folder)
{
	cleanup_free char *whole = xasprintf("%s/%s", root, folder);

	words[0] = '\0';
	deaf = false;
	run = end_open(e, json_pack("{s:s, s:s, s:[s, s, s], s:s, s:s, s:i, s:i}", "kind", "run", "proc", "abc123", "argv",
				  "sh", "-c", "read x", "cwd", "/", "session", whole, "rows", 24, "cols", 80));
	WAIT(p.loop, seen_ctl(run, "started"));
	pid = (pid_t)json_integer_value(seen_ctl(run, "started"));
}

static char *file_of(const char *folder)
{
	return xasprintf("%s/%s/%d.json", root, folder, (int)pid);
}

static void folder(const char *path)
{
	cleanup_free char *whole = xasprintf("%s/%s", root, path);

	ck_assert_int_eq(mkdir(whole, 0700), 0);
}

static void put(const char *path, const void *data, size_t len)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write_all(fd, data, len), 0);
}

static void say(const char *path, const char *status)
{
	cleanup_free char *text = xasprintf("{\"pid\":%d,\"status\":\"%s\"}", (int)pid, status);

	put(path, text, strlen(text));
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(root));
	program_start(&p);
	connect_shim();
}

static void teardown(void)
{
	end_destroy(e);
	program_stop(&p);
	tree_remove(root, NULL);
	memcpy(root + strlen(root) - 6, "XXXXXX", 6);
}

START_TEST(it_is_waited_for_and_each_change_is_told_once)
{
	start("a/b");
	cleanup_free char *path = file_of("a/b");
	looked();
	folder("a");
	folder("a/b");
	say(path, "busy");
	WAIT(p.loop, !strcmp(words, "busy/ "));
	quiet();
	say(path, "busy"); /* the same again is no change */
	quiet();
	static const char waits[] = "{\"status\":\"waiting\",\"waitingFor\":\"permission prompt\",\"statusUpdatedAt\":17}";
	put(path, waits, strlen(waits));
	WAIT(p.loop, !strcmp(words, "busy/ waiting/permission prompt "));
	quiet();
	say(path, "idle");
	WAIT(p.loop, !strcmp(words, "busy/ waiting/permission prompt idle/ "));
}
END_TEST

/* A program that runs, and whose folder is there: its file's path, owned. */
static char *begun(void)
{
	folder("s");
	start("s");
	return file_of("s");
}

START_TEST(half_a_file_says_nothing)
{
	static const char first[] = "{\"status\":\"id", rest[] = "le\"}";
	cleanup_free char *path = begun();

	say(path, "busy");
	WAIT(p.loop, words[0]);
	quiet();
	{ /* half of it while a writer has it open, then the rest */
		cleanup_close int fd = open(path, O_WRONLY | O_TRUNC);
		ck_assert_int_eq(write_all(fd, first, strlen(first)), 0);
		quiet();
		ck_assert_str_eq(words, "busy/ ");
		ck_assert_int_eq(write_all(fd, rest, strlen(rest)), 0);
	}
	WAIT(p.loop, !strcmp(words, "busy/ idle/ "));
	quiet();
	put(path, first, strlen(first)); /* cut off for good */
	quiet();
	put(path, "", 0);
	quiet();
	ck_assert_str_eq(words, "busy/ idle/ ");
	say(path, "shell");
	WAIT(p.loop, !strcmp(words, "busy/ idle/ shell/ "));
}
END_TEST

START_TEST(a_file_in_its_place_is_read_instead)
{
	cleanup_free char *path = begun(), *next = NULL;

	next = xasprintf("%s/next", root);
	say(path, "busy");
	WAIT(p.loop, words[0]);
	quiet();
	say(next, "idle");
	ck_assert_int_eq(rename(next, path), 0);
	WAIT(p.loop, !strcmp(words, "busy/ idle/ "));
	quiet();
	say(path, "busy"); /* of the new one, too */
	WAIT(p.loop, !strcmp(words, "busy/ idle/ busy/ "));
	quiet();
	ck_assert_int_eq(unlink(path), 0);
	quiet();
	say(path, "shell");
	WAIT(p.loop, !strcmp(words, "busy/ idle/ busy/ shell/ "));
	quiet();
	tree_remove(root, NULL); /* with its folders, and they come back */
	quiet();
	ck_assert_int_eq(mkdir(root, 0700), 0);
	folder("s");
	say(path, "idle");
	WAIT(p.loop, !strcmp(words, "busy/ idle/ busy/ shell/ idle/ "));
}
END_TEST

START_TEST(what_another_process_left_under_this_pid_says_nothing)
{
	cleanup_free char *path = begun();
	char text[256];

	snprintf(text, sizeof(text), "{\"status\":\"busy\",\"procStart\":\"%llu\"}", (unsigned long long)proc_start_time(pid) + 1);
	put(path, text, strlen(text));
	quiet();
	ck_assert_str_eq(words, "");
	snprintf(text, sizeof(text), "{\"status\":\"idle\",\"procStart\":\"%llu\"}", (unsigned long long)proc_start_time(pid));
	put(path, text, strlen(text));
	WAIT(p.loop, !strcmp(words, "idle/ "));
}
END_TEST

START_TEST(garbage_says_nothing)
{
	static const char *const bad[] = {"no JSON", "[]", "7", "\"busy\"", "{\"status\":7}", "{\"status\":\"\"}",
		"{\"status\":\"bu\\u0000sy\"}", "{\"status\":\"BUSY\"}", "{\"status\":\"busy\\n\"}", "{\"status\":{}}",
		"{\"status\":\"busy\"} and more", "{\"status\":\"\xff\xfe\"}", "{\"waitingFor\":\"dialog open\"}",
		"{\"status\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"};
	cleanup_free char *path = begun(), *large = xcalloc(1, TOO_LARGE + 32), *other = NULL;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put(path, bad[i], strlen(bad[i]));
		quiet();
		ck_assert_msg(!words[0], "%s was told of %s", words, bad[i]);
	}
	put(path, "\0{\"status\":\"busy\"}\0", 19);
	quiet();
	memset(large, ' ', TOO_LARGE);
	memcpy(large, "{\"status\":\"busy\"}", 17);
	put(path, large, TOO_LARGE);
	quiet();
	/* No file at all: a folder, a pipe, a link to one that says it. */
	other = xasprintf("%s/other", root);
	say(other, "busy");
	unlink(path);
	ck_assert_int_eq(symlink(other, path), 0);
	quiet();
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	quiet();
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	quiet();
	ck_assert_str_eq(words, "");
	rmdir(path);
	/* What is wrong with one word leaves the other. */
	static const char half[] = "{\"status\":\"waiting\",\"waitingFor\":\"<b>\"}";
	put(path, half, strlen(half));
	WAIT(p.loop, !strcmp(words, "waiting/ "));
}
END_TEST

START_TEST(a_report_that_was_lost_with_its_shim_comes_again)
{
	cleanup_free char *path = begun();

	deaf = true;
	say(path, "busy");
	WAIT(p.loop, words[0]);
	end_destroy(e); /* before it was answered */
	words[0] = '\0';
	deaf = false;
	connect_shim();
	WAIT(p.loop, !strcmp(words, "busy/ "));
	/* What changes while one is under way is told last, once. */
	deaf = true;
	say(path, "idle");
	WAIT(p.loop, !strcmp(words, "busy/ idle/ "));
	say(path, "waiting");
	quiet();
	say(path, "shell");
	quiet();
	ck_assert_str_eq(words, "busy/ idle/ ");
	end_destroy(e);
	deaf = false;
	connect_shim();
	WAIT(p.loop, !strcmp(words, "busy/ idle/ shell/ "));
}
END_TEST

START_TEST(who_has_ended_says_nothing)
{
	cleanup_free char *path = begun();

	say(path, "busy");
	WAIT(p.loop, words[0]);
	link_send(run->s, "\n", 1);
	WAIT(p.loop, run->fin);
	quiet();
	say(path, "idle"); /* by whoever has its pid next */
	quiet();
	ck_assert_str_eq(words, "busy/ ");
}
END_TEST

TEST_MAIN_FIXTURE("guest/session", setup, teardown, it_is_waited_for_and_each_change_is_told_once, half_a_file_says_nothing,
	a_file_in_its_place_is_read_instead, what_another_process_left_under_this_pid_says_nothing, garbage_says_nothing,
	a_report_that_was_lost_with_its_shim_comes_again, who_has_ended_says_nothing)
