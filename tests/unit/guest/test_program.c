/* SPDX-License-Identifier: ISC */
/* The real guest program, with a shim played by the test. */
#include <sys/syscall.h>

#include "tests/unit/guest/program_help.h"

static json_t *run_open(const char *id, const char *script)
{
	return json_pack("{s:s, s:s, s:[s, s, s], s:s, s:i, s:i}", "kind", "run", "proc", id, "argv", "sh",
		"-c", script, "cwd", "/", "rows", 24, "cols", 80);
}

static json_t *exec_open(const char *script, json_t *tty)
{
	return json_pack("{s:s, s:[s, s, s], s:s, s:o}", "kind", "exec", "argv", "sh", "-c", script, "cwd",
		"/", "tty", tty);
}

static int fin_int(struct seen *x, const char *key)
{
	return (int)json_integer_value(json_object_get(x->fin, key));
}

/* Waits for the end of a process that is nobody's child here. */
static void wait_gone(struct loop *l, pid_t pid)
{
	struct program p = { .loop = l };
	struct err e = { 0 };
	if (!loop_child_watch(l, pid, program_on_end, &p, &e))
		return; /* gone already */
	WAIT(l, p.ended);
}

START_TEST(a_program_gets_a_terminal_and_its_input_size_and_signals)
{
	struct program p;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	json_t *what = run_open("abc123",
		"trap 'echo size $(stty size)' WINCH; trap 'echo hit; exit 7' TERM; tty; stty size;"
		"echo [$TMUX_CLAUDE_INSTANCE] [$TMUX_CLAUDE_SOCKET] $TERM; read x; echo got:$x;"
		"while :; do read x; done");
	json_object_set_new(what, "env", json_pack("[s]", "TERM=vt220"));
	struct seen *x = end_open(e, what);
	WAIT(p.loop, seen_text(x, "vt220"));
	ck_assert_int_gt(json_integer_value(seen_ctl(x, "started")), 1);
	ck_assert(seen_text(x, "/dev/pts/") && seen_text(x, "24 80\r\n"));
	ck_assert(seen_text(x, "[abc123] ["));
	link_send(x->s, "hello\n", 6);
	WAIT(p.loop, seen_text(x, "got:hello"));
	uint64_t sent = link_queued(x->s);
	WAIT(p.loop, link_acked(x->s) == sent);
	link_send_ctl(x->s, json_pack("{s:[i, i]}", "resize", 33, 99));
	WAIT(p.loop, seen_text(x, "size 33 99"));
	link_send_ctl(x->s, json_pack("{s:s, s:b}", "signal", "TERM", "group", 0));
	WAIT(p.loop, x->fin);
	ck_assert(seen_text(x, "hit\r\n"));
	ck_assert_int_eq(fin_int(x, "code"), 7);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

START_TEST(canonical_and_foreground_are_told_when_they_change)
{
	struct program p;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	struct seen *x = end_open(e, run_open("abc123",
		"set -m; stty raw -echo; echo raw; read x; stty sane; sh -c 'echo fore; read y'; echo back; read z"));
	WAIT(p.loop, seen_ctl(x, "tty"));
	WAIT(p.loop, json_is_false(json_object_get(seen_ctl(x, "tty"), "canonical")));
	link_send(x->s, "\n", 1);
	WAIT(p.loop, json_is_true(json_object_get(seen_ctl(x, "tty"), "canonical")));
	WAIT(p.loop, json_is_false(json_object_get(seen_ctl(x, "tty"), "foreground")));
	ck_assert(seen_text(x, "fore"));
	link_send(x->s, "\n", 1);
	WAIT(p.loop, json_is_true(json_object_get(seen_ctl(x, "tty"), "foreground")));
	end_destroy(e);
	program_stop(&p);
}
END_TEST

START_TEST(what_cannot_run_says_why)
{
	struct program p;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	struct seen *x = end_open(e, json_pack("{s:s, s:s, s:[s], s:i, s:i}", "kind", "run", "proc", "a", "argv",
		"no-such-program-here", "rows", 24, "cols", 80));
	struct seen *y = end_open(e, json_pack("{s:s, s:[s], s:s}", "kind", "exec", "argv", "true", "cwd", "/nowhere"));
	struct seen *z = end_open(e, json_pack("{s:s, s:s}", "kind", "attach", "proc", "nobody"));
	struct seen *u = end_open(e, json_pack("{s:s}", "kind", "telepathy"));
	struct seen *v = end_open(e, json_pack("{s:s, s:s, s:[s]}", "kind", "run", "proc", "../x", "argv", "true"));
	WAIT(p.loop, x->fin && y->fin && z->fin && u->reset && v->fin);
	json_t *err = json_object_get(x->fin, "error");
	ck_assert(json_equal(err, seen_ctl(x, "error")));
	ck_assert_str_eq(json_string_value(json_object_get(err, "code")), "missing_program");
	ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(err, "message")), "no-such-program-here"));
	ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(seen_ctl(y, "error"), "message")), "/nowhere"));
	ck_assert_str_eq(json_string_value(json_object_get(seen_ctl(z, "error"), "code")), "not_found");
	ck_assert_ptr_nonnull(strstr(u->why, "telepathy"));
	link_close(x->s);
	link_reset(y->s, NULL);
	/* It goes on serving. */
	x = end_open(e, run_open("a", "exit 5"));
	WAIT(p.loop, x->fin);
	ck_assert_int_eq(fin_int(x, "code"), 5);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

START_TEST(an_exit_is_kept_until_it_was_acknowledged)
{
	struct program p;
	struct seen *control = NULL;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	struct seen *x = end_open(e, run_open("abc123", "echo last words; kill -9 $$"));
	WAIT(p.loop, x->fin);
	ck_assert_int_eq(fin_int(x, "signal"), SIGKILL);
	end_destroy(e); /* without having closed the stream */

	e = program_connect(&p);
	json_t *list = json_object_get(control_ask(e, &control, json_pack("{s:s}", "op", "procs")), "ok");
	ck_assert_uint_eq(json_array_size(list), 1);
	json_t *entry = json_array_get(list, 0);
	ck_assert_str_eq(json_string_value(json_object_get(entry, "proc")), "abc123");
	ck_assert_int_eq(json_integer_value(json_object_get(entry, "next")), 12);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(entry, "exit"), "signal")), SIGKILL);
	x = end_open(e, json_pack("{s:s, s:s, s:i}", "kind", "attach", "proc", "abc123", "from", 12));
	WAIT(p.loop, x->fin);
	ck_assert_int_eq(fin_int(x, "signal"), SIGKILL);
	ck_assert_uint_eq(x->data.len, 0);
	link_close(x->s);
	list = json_object_get(control_ask(e, &control, json_pack("{s:s}", "op", "procs")), "ok");
	/* The close may come after the question: ask until it is gone, each answer is an event. */
	for (int i = 0; i < 100 && json_array_size(list); i++)
		list = json_object_get(control_ask(e, &control, json_pack("{s:s}", "op", "procs")), "ok");
	ck_assert_uint_eq(json_array_size(list), 0);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

#define FLOOD_LINES 400000

/* The shim is killed again and again in a flood; each one goes on where the one before it had recorded
 * what it got. Every byte arrives once. */
START_TEST(a_flood_survives_shims_that_are_replaced)
{
	struct program p;
	struct buf all;
	unsigned rounds = 0;
	program_start(&p);
	buf_init(&all, SEEN_BYTES_MAX);
	struct shim_end *e = program_connect(&p);
	char script[64];
	snprintf(script, sizeof(script), "seq 1 %d; exit 9", FLOOD_LINES);
	struct seen *x = end_open(e, run_open("flood1", script));
	x->lazy = true;
	for (;;) {
		size_t want = 100000 + 77777 * (rounds % 5), consumed = 0;
		struct seen *control = NULL;
		while (!x->fin && (rounds > 12 || consumed < want)) {
			size_t n = x->data.len - consumed;
			/* Recorded is what was acknowledged, and a little more. */
			link_consumed(x->s, n);
			consumed += n;
			if (n == 0)
				loop_turn(p.loop, 1000);
		}
		/* What came in after the last acknowledgement is recorded, too, in every other round. */
		size_t recorded = rounds % 2 || x->fin ? x->data.len : consumed;
		buf_append(&all, buf_data(&x->data), recorded);
		if (x->fin)
			break;
		rounds++;
		end_destroy(e);
		e = program_connect(&p);
		json_t *list = json_object_get(control_ask(e, &control, json_pack("{s:s}", "op", "procs")), "ok");
		json_t *entry = json_array_get(list, 0);
		json_int_t first = json_integer_value(json_object_get(entry, "first"));
		json_int_t next = json_integer_value(json_object_get(entry, "next"));
		ck_assert_int_le(first, (json_int_t)all.len);
		ck_assert_int_ge(next, (json_int_t)all.len);
		ck_assert_int_le(next - first, 1024 * 1024);
		x = end_open(e, json_pack("{s:s, s:s, s:I}", "kind", "attach", "proc", "flood1", "from",
			(json_int_t)all.len));
		x->lazy = true;
	}
	ck_assert_uint_gt(rounds, 5);
	ck_assert_int_eq(fin_int(x, "code"), 9);
	size_t at = 0;
	for (int i = 1; i <= FLOOD_LINES; i++) {
		char line[16];
		size_t n = (size_t)snprintf(line, sizeof(line), "%d\r\n", i);
		if (at + n > all.len || memcmp(buf_data(&all) + at, line, n) != 0)
			ck_abort_msg("line %d differs, at %zu of %zu", i, at, all.len);
		at += n;
	}
	ck_assert_uint_eq(at, all.len);
	buf_finish(&all);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

START_TEST(a_reader_that_stops_stops_the_program_and_memory_stays)
{
	struct program p;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	struct seen *x = end_open(e, run_open("abc123", "yes 0123456789012345678901234567890123456789"));
	x->lazy = true;
	WAIT(p.loop, x->data.len == LINK_WINDOW);
	struct seen *control = NULL;
	json_int_t before = -1, next = 0;
	/* It goes on reading until it keeps as much as it may. */
	while (next != before || next < 1024 * 1024) {
		before = next;
		json_t *list = json_object_get(control_ask(e, &control, json_pack("{s:s}", "op", "procs")), "ok");
		next = json_integer_value(json_object_get(json_array_get(list, 0), "next"));
	}
	ck_assert_int_eq(next, 1024 * 1024);
	char path[64], *status;
	size_t len;
	snprintf(path, sizeof(path), "/proc/%d/status", p.pid);
	ck_assert_int_eq(file_read(path, 65536, &status, &len, NULL), 0);
	ck_assert_int_lt(atoi(strstr(status, "RssAnon:") + 8), 6 * 1024);
	free(status);
	link_send_ctl(x->s, json_pack("{s:s, s:b}", "signal", "KILL", "group", 1));
	x->lazy = false;
	link_consumed(x->s, LINK_WINDOW);
	WAIT(p.loop, x->fin);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

START_TEST(exec_keeps_the_three_streams_apart)
{
	struct program p;
	static char block[1500000];
	size_t sent = 0;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	struct seen *x = end_open(e, exec_open("cat; echo bad >&2; exit 3", json_null()));
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 13 >> 5);
	while (sent < sizeof(block)) {
		size_t n = link_room(x->s);
		n = n < sizeof(block) - sent ? n : sizeof(block) - sent;
		ck_assert_int_eq(link_send(x->s, block + sent, n), 0);
		sent += n;
		loop_turn(p.loop, 100);
	}
	link_send_ctl(x->s, json_pack("{s:b}", "eof", 1));
	WAIT(p.loop, x->fin);
	ck_assert_int_eq(fin_int(x, "code"), 3);
	ck_assert_uint_eq(x->data.len, sizeof(block));
	ck_assert_int_eq(memcmp(buf_data(&x->data), block, sizeof(block)), 0);
	ck_assert_int_eq(e->nseen, 2);
	struct seen *y = e->seen[1];
	ck_assert_str_eq(json_string_value(json_object_get(y->what, "kind")), "stderr");
	ck_assert_int_eq(json_integer_value(json_object_get(y->what, "of")), link_id(x->s));
	WAIT(p.loop, y->fin);
	ck_assert(seen_text(y, "bad\n"));
	link_close(x->s);
	link_close(y->s);

	/* With a terminal: one stream, a size, an end of input by ^D. */
	x = end_open(e, exec_open("stty size; test -t 0 && cat; exit 4",
		json_pack("{s:i, s:i}", "rows", 11, "cols", 22)));
	WAIT(p.loop, seen_text(x, "11 22"));
	link_send(x->s, "hi\n", 3);
	WAIT(p.loop, seen_text(x, "hi\r\nhi\r\n"));
	link_send_ctl(x->s, json_pack("{s:b}", "eof", 1));
	WAIT(p.loop, x->fin);
	ck_assert_int_eq(fin_int(x, "code"), 4);

	/* What stays in the background does not hold up the end. */
	x = end_open(e, exec_open("sleep 1000 & echo $!", json_null()));
	WAIT(p.loop, x->fin);
	pid_t left = atoi((char *)buf_data(&x->data));
	ck_assert_int_eq(kill(left, 0), 0);
	end_destroy(e);
	program_stop(&p);
	ck_assert_int_eq(kill(left, 0), -1);
}
END_TEST

START_TEST(exec_ends_with_its_caller)
{
	struct program p;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	struct seen *x = end_open(e, exec_open("trap '' HUP; echo $$; sleep 1000", json_null()));
	WAIT(p.loop, seen_text(x, "\n"));
	pid_t pid = atoi((char *)buf_data(&x->data));
	struct seen *y = end_open(e, exec_open("echo $$; exec sleep 1000", json_null()));
	WAIT(p.loop, seen_text(y, "\n"));
	pid_t pid2 = atoi((char *)buf_data(&y->data));
	link_reset(x->s, NULL);
	wait_gone(p.loop, pid); /* did not listen: killed */
	end_destroy(e);
	e = program_connect(&p); /* another shim: whoever called the old one is gone */
	wait_gone(p.loop, pid2);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

/* Answers what comes on an instance's socket. */
static void api_got(struct shim_end *e, struct seen *x)
{
	const char *nl;
	(void)e;
	if (!x->what || strcmp(json_string_value(json_object_get(x->what, "kind")), "api") != 0)
		return;
	while (x->data.len && (nl = memchr(buf_data(&x->data), '\n', x->data.len))) {
		size_t len = (size_t)(nl - (char *)buf_data(&x->data));
		json_t *msg = json_loadb((char *)buf_data(&x->data), len, 0, NULL);
		json_array_append_new(x->ctls, msg);
		buf_consume(&x->data, len + 1);
		const char *method = json_string_value(json_object_get(msg, "method"));
		const char *answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"output\":\"noted\"}}\n";
		if (strcmp(method, "list") == 0)
			answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[{\"id\":\"zz\"}]}\n";
		if (strcmp(method, "kill") == 0)
			answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1006,\"message\":\"not yours\"}}\n";
		link_send(x->s, answer, strlen(answer));
	}
}

static struct seen *api_of(struct shim_end *e, int n)
{
	for (int i = 0; i < e->nseen; i++)
		if (e->seen[i]->what && n-- == 0)
			return e->seen[i];
	return NULL;
}

START_TEST(reports_and_calls_reach_the_shim)
{
	struct program p;
	char script[2048];
	const char *g = program_path();
	char *whole = realpath(g, NULL);
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	e->got = api_got;
	snprintf(script, sizeof(script), "stty -echo; echo '{\"a\":[1]}' | %s hook Stop; echo \" rc=$?\";"
		"%s call list; echo rc=$?; %s call kill '{\"id\":\"zz\"}'; echo rc=$?; %s call kill '['; echo rc=$?;"
		"exit 0", whole, whole, whole, whole);
	struct seen *x = end_open(e, run_open("abc123", script));
	WAIT(p.loop, x->fin);
	struct seen *y = api_of(e, 0);
	ck_assert_str_eq(json_string_value(json_object_get(y->what, "instance")), "abc123");
	json_t *params = json_object_get(json_array_get(y->ctls, 0), "params");
	ck_assert_str_eq(json_string_value(json_object_get(params, "event")), "Stop");
	ck_assert_uint_eq(json_array_size(json_object_get(json_object_get(params, "body"), "a")), 1);
	ck_assert_msg(seen_text(x, "noted rc=0\r\n"), "%.*s", (int)x->data.len, buf_data(&x->data));
	ck_assert(seen_text(x, "\"id\": \"zz\"") && seen_text(x, "not yours") && seen_text(x, "rc=1\r\n"));
	ck_assert(seen_text(x, "rc=2\r\n"));
	free(whole);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

#define HOOK_GIVES_UP_MS 5000 /* of hook.c */

/* A shim is replaced while a report is under way: the reports that the next one got. *ms: how long it took,
 * from before the hook began. */
static size_t report_across_shims(struct program *p, struct shim_end **e, const char *proc, int64_t *ms)
{
	char script[1024];
	cleanup_free char *whole = realpath(program_path(), NULL);
	snprintf(script, sizeof(script), "read x; echo go; echo '{}' | %s hook Stop; echo rc=$?", whole);
	struct seen *x = end_open(*e, run_open(proc, script));
	WAIT(p->loop, seen_ctl(x, "started"));
	int64_t start = clock_mono_ms();
	link_send(x->s, "\n", 1);
	WAIT(p->loop, seen_text(x, "go"));
	/* It may have reached this one already, or not yet: both must work. */
	end_destroy(*e);
	*e = program_connect(p);
	(*e)->got = api_got;
	x = end_open(*e, json_pack("{s:s, s:s, s:i}", "kind", "attach", "proc", proc, "from", 0));
	WAIT(p->loop, x->fin);
	*ms = clock_mono_ms() - start;
	ck_assert(seen_text(x, "rc=0"));
	return api_of(*e, 0) ? json_array_size(api_of(*e, 0)->ctls) : 0;
}

START_TEST(a_report_waits_for_the_next_shim)
{
	struct program p;
	size_t reports = 0;
	int64_t ms = HOOK_GIVES_UP_MS;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	/* A hook gives up in time, rightly: on a machine so busy this says nothing, and is tried again. */
	for (int i = 0; i < 10 && reports == 0 && ms >= HOOK_GIVES_UP_MS; i++) {
		char proc[] = "abc120";
		proc[5] = (char)('0' + i);
		reports = report_across_shims(&p, &e, proc, &ms);
	}
	ck_assert_msg(reports == 1, "%zu reports in %lld ms", reports, (long long)ms);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

START_TEST(a_hook_without_a_listener_ends_at_once)
{
	struct err e = { 0 };
	struct program p = { .loop = loop_create(&e) };
	char *env[] = { (char *)"TMUX_CLAUDE_SOCKET=/nonexistent/sock", NULL };
	char *argv[] = { (char *)program_path(), (char *)"hook", (char *)"Stop", NULL };
	struct proc_spec spec = { .argv = argv, .envp = env };
	int64_t took = HOOK_GIVES_UP_MS;
	/* Sooner than it gives up, though not each time on a busy machine. */
	for (int i = 0; i < 10 && took >= HOOK_GIVES_UP_MS; i++) {
		int64_t start = clock_mono_ms();
		p.ended = false;
		ck_assert_int_eq(proc_spawn(&spec, &p.pid, &e), 0);
		loop_child_watch(p.loop, p.pid, program_on_end, &p, &e);
		WAIT(p.loop, p.ended);
		ck_assert_int_eq(p.status.code, 0);
		took = clock_mono_ms() - start;
	}
	ck_assert_int_lt(took, HOOK_GIVES_UP_MS);
	loop_destroy(p.loop);
}
END_TEST

START_TEST(on_a_host_setup_writes_below_its_own_folder_only)
{
	struct program p;
	struct seen *control = NULL;
	char inside[128], outside[128], through[128], *text;
	size_t len;
	struct stat st;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	snprintf(inside, sizeof(inside), "%s/sub/dir/settings.json", p.dir);
	snprintf(outside, sizeof(outside), "%s/../tc-guest-escaped", p.dir);
	snprintf(through, sizeof(through), "%s/link/tc-guest-escaped", p.dir);
	char *link = xasprintf("%s/link", p.dir);
	ck_assert_int_eq(symlink("/tmp", link), 0);
	free(link);
	json_t *r = control_ask(e, &control, json_pack("{s:s, s:s, s:[{s:s, s:i, s:s}]}", "op", "setup", "hostname",
		"not-this-machine", "files", "path", inside, "mode", 0640, "content", "secret"));
	ck_assert_ptr_nonnull(json_object_get(r, "ok"));
	ck_assert_int_eq(file_read(inside, 100, &text, &len, NULL), 0);
	ck_assert_str_eq(text, "secret");
	free(text);
	ck_assert_int_eq(stat(inside, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0640);
	/* One that is there is left alone when asked so. */
	r = control_ask(e, &control, json_pack("{s:s, s:[{s:s, s:s, s:b}]}", "op", "setup", "files", "path", inside,
		"content", "other", "if_absent", 1));
	ck_assert_ptr_nonnull(json_object_get(r, "ok"));
	ck_assert_int_eq(stat(inside, &st), 0);
	ck_assert_int_eq(st.st_size, 6);
	/* Of one that is written anew it is said whether it was so. */
	for (int i = 0; i < 4; i++) {
		r = control_ask(e, &control, json_pack("{s:s, s:[{s:s, s:s}]}", "op", "files", "files", "path", inside, "content",
			i < 2 ? "another" : "more"));
		ck_assert_int_eq(json_is_true(json_object_get(json_object_get(r, "ok"), "changed")), i % 2 == 0);
	}
	const char *bad[] = { outside, through, "/tmp/tc-guest-escaped", "relative", p.dir };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		r = control_ask(e, &control, json_pack("{s:s, s:[{s:s, s:s}]}", "op", "setup", "files", "path", bad[i],
			"content", "x"));
		ck_assert_msg(json_object_get(r, "error") != NULL, "%s was written", bad[i]);
	}
	ck_assert_int_eq(access("/tmp/tc-guest-escaped", F_OK), -1);
	char name[256];
	gethostname(name, sizeof(name));
	ck_assert_str_ne(name, "not-this-machine");
	r = control_ask(e, &control, json_pack("{s:s}", "op", "dance"));
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(r, "error"), "code")), "unknown_method");
	end_destroy(e);
	program_stop(&p);
}
END_TEST

START_TEST(poweroff_leaves_nobody_behind_and_tells_the_exits)
{
	struct program p;
	struct seen *control = NULL;
	program_start(&p);
	struct shim_end *e = program_connect(&p);
	struct seen *x = end_open(e, run_open("abc123",
		"trap '' HUP TERM; setsid sh -c 'trap \"\" HUP TERM; sleep 1000' & echo left $! end; wait"));
	WAIT(p.loop, seen_text(x, "end"));
	pid_t left = atoi(strstr((char *)buf_data(&x->data), "left") + 5);
	ck_assert_int_eq(kill(left, 0), 0);
	json_t *r = control_ask(e, &control, json_pack("{s:s}", "op", "poweroff"));
	ck_assert_ptr_nonnull(json_object_get(r, "ok"));
	WAIT(p.loop, x->fin);
	ck_assert_int_eq(fin_int(x, "signal"), SIGKILL);
	link_close(x->s);
	WAIT(p.loop, p.ended);
	ck_assert_int_eq(p.status.code, 0);
	ck_assert_int_eq(kill(left, 0), -1);
	end_destroy(e);
	program_stop(&p);
}
END_TEST

TEST_MAIN("guest/program", a_program_gets_a_terminal_and_its_input_size_and_signals,
	canonical_and_foreground_are_told_when_they_change, what_cannot_run_says_why,
	an_exit_is_kept_until_it_was_acknowledged, a_flood_survives_shims_that_are_replaced,
	a_reader_that_stops_stops_the_program_and_memory_stays, exec_keeps_the_three_streams_apart,
	exec_ends_with_its_caller, reports_and_calls_reach_the_shim, a_report_waits_for_the_next_shim,
	a_hook_without_a_listener_ends_at_once, on_a_host_setup_writes_below_its_own_folder_only,
	poweroff_leaves_nobody_behind_and_tells_the_exits)
