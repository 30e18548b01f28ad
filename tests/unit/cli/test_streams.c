/* SPDX-License-Identifier: ISC */
/* exec and read over a shim's stream, against a shim of the test's own making; stripping; recordings. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/sock.h"
#include "base/util.h"
#include "cli/plain.h"
#include "ipc/link/frame.h"
#include "tests/unit/cli/fake.h"
#include "tests/unit/run.h"

static struct run r;
static pid_t shim_pid;

#define SAYS(text, part) ck_assert_msg(strstr(text, part), "\"%s\" does not say \"%s\"", text, part)

static char *shim_path(void)
{
	return xasprintf("%s/shim.sock", fake_dir);
}

static void answer(struct fake *f, struct peer_request *req, const char *method, json_t *params)
{
	cleanup_free char *shim = shim_path(), *recording = xasprintf("%s/rec", fake_dir);
	const char *id = json_string_value(json_object_get(params, "id"));

	(void)f;
	if (strcmp(method, "exec") == 0)
		peer_result(req, json_pack("{s:s, s:s}", "socket", shim, "ticket", "t1"));
	else if (!json_object_get(params, "raw"))
		peer_result(req, json_pack("{s:s, s:i}", "text", "screen\n\n", "offset", 7));
	else
		peer_result(req, json_pack("{s:s, s:{s:s?}, s:s}", "instance", "ab12cd", "stream", "socket",
					 strcmp(id, "ended") == 0 ? NULL : shim, "recording", recording));
}

/* The shim: a child that serves one connection with a script. */

typedef void script_fn(int fd);
static struct buf in;
static const char *early; /* a FIN to be sent in one piece with the answer */

static void send_frame(int fd, enum frame_type type, uint32_t stream, const char *text)
{
	struct buf out;
	json_t *msg;

	buf_init(&out, 2 * FRAME_MAX);
	if (type == FRAME_DATA) {
		frame_append_data(&out, stream, text, strlen(text));
	} else {
		msg = json_loads(text, 0, NULL);
		frame_append_fin(&out, stream, msg);
		json_decref(msg);
	}
	write_all(fd, buf_data(&out), out.len);
	buf_finish(&out);
}

/* Waits for one frame of the client: its payload as text, owned; NULL at the end. */
static char *get_frame(int fd, enum frame_type *type)
{
	struct frame f;
	size_t used;

	while (in.len == 0 || frame_parse(buf_data(&in), in.len, &f, &used) != FRAME_OK) {
		ssize_t n = read(fd, buf_reserve(&in, 65536), 65536);
		if (n <= 0)
			return NULL;
		buf_added(&in, (size_t)n);
	}
	char *text = xstrndup((const char *)f.payload, f.len);
	*type = f.type;
	buf_consume(&in, used);
	return text;
}

static void serve(int listener, script_fn *script, const char *want_hello)
{
	char line[4096];
	size_t n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Blocking is simpler here. */
	int fd = accept(listener, NULL, NULL);
	buf_init(&in, 1 << 20);
	while (n + 1 < sizeof(line) && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	json_t *o = json_loads(line, 0, NULL);
	cleanup_free char *hello = json_dumps(json_object_get(o, "params"), JSON_COMPACT | JSON_SORT_KEYS);
	cleanup_free char *reply = xasprintf(
		"{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"first\":3,\"offset\":100}}\n",
		(long long)json_integer_value(json_object_get(o, "id")));
	if (!hello || strcmp(hello, want_hello) != 0) {
		fprintf(stderr, "hello was %s\n", hello ? hello : line);
		_exit(9);
	}
	struct buf out;
	buf_init(&out, 2 * FRAME_MAX);
	buf_append(&out, reply, strlen(reply));
	if (early) {
		json_t *fin = json_loads(early, 0, NULL);
		frame_append_data(&out, FRAME_STREAM_MAIN, "early\n", 6);
		frame_append_fin(&out, FRAME_STREAM_MAIN, fin);
	}
	write_all(fd, buf_data(&out), out.len);
	script(fd);
	close(fd);
	_exit(0);
}

static void start_shim(script_fn *script, const char *want_hello)
{
	cleanup_free char *path = shim_path();
	int listener;

	fake_start(answer);
	ck_assert_int_eq(sock_listen(path, 0600, &listener, NULL), 0);
	shim_pid = fork();
	if (shim_pid == 0) {
		ck_assert_int_eq(fcntl(listener, F_SETFL, 0), 0);
		serve(listener, script, want_hello);
	}
	close(listener);
}

static void shim_ended_well(void)
{
	int status;

	ck_assert_int_eq(waitpid(shim_pid, &status, 0), shim_pid);
	ck_assert_int_eq(status, 0);
}

#define EXEC_HELLO "{\"role\":\"exec\",\"ticket\":\"t1\"}"

/* Says input back until its end. */
static void echo(int fd)
{
	enum frame_type type;
	char *text;

	send_frame(fd, FRAME_DATA, FRAME_STREAM_STDERR, "err\n");
	while ((text = get_frame(fd, &type))) {
		if (type == FRAME_DATA)
			send_frame(fd, FRAME_DATA, FRAME_STREAM_MAIN, text);
		else if (strstr(text, "\"eof\""))
			break;
		free(text);
	}
	free(text);
	send_frame(fd, FRAME_FIN, FRAME_STREAM_MAIN, "{\"code\":7,\"signal\":0}");
}

START_TEST(exec_passes_bytes_and_status)
{
	start_shim(echo, EXEC_HELLO);
	RUN(&r, "two\nlines", "exec", "x", "--env", "A=b", "--", "cat", "-n");
	ck_assert_int_eq(r.code, 7);
	ck_assert_str_eq(r.out, "two\nlines");
	ck_assert_str_eq(r.err, "err\n");
	ck_assert_str_eq(fake_heard(),
		"exec {\"argv\":[\"cat\",\"-n\"],\"env\":{\"A\":\"b\"},\"id\":\"x\"}");
	shim_ended_well();
	run_free(&r);
}
END_TEST

START_TEST(exec_with_json_collects)
{
	start_shim(echo, EXEC_HELLO);
	RUN(&r, "out", "exec", "x", "--json", "--", "cat");
	ck_assert_int_eq(r.code, 7);
	ck_assert_str_eq(r.out, "{\"code\":7,\"signal\":null,\"stdout\":\"out\",\"stderr\":\"err\\n\"}\n");
	ck_assert_str_eq(r.err, "");
	shim_ended_well();
	run_free(&r);
	RUN(&r, NULL, "exec", "x", "-t", "--json", "--", "cat");
	ck_assert_int_eq(r.code, 2);
	run_free(&r);
}
END_TEST

/* Interrupts the client once it is at work (its empty input was told), and waits to hear of it. */
static void interrupt(int fd)
{
	enum frame_type type;
	struct ucred client;
	char *text;

	ck_assert_int_eq(sock_peer(fd, &client, NULL), 0);
	while ((text = get_frame(fd, &type)) && !strstr(text, "\"signal\":\"INT\"")) {
		if (strstr(text, "\"eof\""))
			kill(client.pid, SIGINT);
		free(text);
	}
	free(text);
	send_frame(fd, FRAME_FIN, FRAME_STREAM_MAIN, "{\"code\":-1,\"signal\":2}");
}

START_TEST(exec_passes_signals)
{
	start_shim(interrupt, EXEC_HELLO);
	RUN(&r, NULL, "exec", "x", "--", "sleep");
	ck_assert_int_eq(r.code, 130);
	shim_ended_well();
	run_free(&r);
}
END_TEST

static void refuse(int fd)
{
	send_frame(fd, FRAME_FIN, FRAME_STREAM_MAIN,
		"{\"error\":{\"code\":\"missing_program\",\"message\":\"there is no nosuch\",\"hint\":\"check PATH\"}}");
}

static void lose(int fd)
{
	send_frame(fd, FRAME_DATA, FRAME_STREAM_MAIN, "half");
}

static void garble(int fd)
{
	write_all(fd, "this is no frame, whatever it may look like", 43);
}

START_TEST(exec_tells_our_failures_from_the_commands)
{
	start_shim(refuse, EXEC_HELLO);
	RUN(&r, NULL, "exec", "x", "--", "nosuch");
	ck_assert_int_eq(r.code, 125);
	ck_assert_str_eq(r.err, "tmux-claude: there is no nosuch\nhint: check PATH\n");
	shim_ended_well();
	run_free(&r);
}
END_TEST

START_TEST(exec_says_that_the_place_was_lost)
{
	start_shim(lose, EXEC_HELLO);
	RUN(&r, NULL, "exec", "x", "--", "a");
	ck_assert_int_eq(r.code, 125);
	ck_assert_str_eq(r.out, "half");
	SAYS(r.err, "ended before the command did");
	run_free(&r);
	shim_ended_well();
	/* Nobody listens there any more. */
	RUN(&r, NULL, "exec", "x", "--", "a");
	ck_assert_int_eq(r.code, 125);
	run_free(&r);
}
END_TEST

START_TEST(exec_refuses_what_is_no_frame)
{
	start_shim(garble, EXEC_HELLO);
	RUN(&r, NULL, "exec", "x", "--", "a");
	ck_assert_int_eq(r.code, 125);
	ck_assert_ptr_null(strstr(r.out, "no frame"));
	run_free(&r);
}
END_TEST

static void until_the_client_leaves(int fd)
{
	enum frame_type type;
	char *text;

	while ((text = get_frame(fd, &type)))
		free(text);
}

START_TEST(what_comes_along_with_the_answer_is_seen)
{
	early = "{\"code\":3,\"signal\":0}";
	start_shim(until_the_client_leaves, EXEC_HELLO);
	RUN(&r, NULL, "exec", "x", "--", "a");
	ck_assert_int_eq(r.code, 3);
	ck_assert_str_eq(r.out, "early\n");
	shim_ended_well();
	run_free(&r);
}
END_TEST

static void record(int fd)
{
	send_frame(fd, FRAME_DATA, FRAME_STREAM_MAIN, "a\033[31mb\033]0;ti");
	send_frame(fd, FRAME_DATA, FRAME_STREAM_MAIN, "tle\ac\r\n");
	send_frame(fd, FRAME_FIN, FRAME_STREAM_MAIN, "{}");
}

START_TEST(read_raw_gives_the_bytes)
{
	start_shim(record, "{\"follow\":false,\"instance\":\"ab12cd\",\"role\":\"follow\",\"since\":5}");
	RUN(&r, NULL, "read", "x", "--raw", "--since", "5");
	ck_assert_int_eq(r.code, 0);
	ck_assert_str_eq(r.out, "a\033[31mb\033]0;title\ac\r\n");
	shim_ended_well();
	run_free(&r);
	RUN(&r, NULL, "read", "x", "--raw", "--lines", "5");
	ck_assert_int_eq(r.code, 2);
	run_free(&r);
}
END_TEST

START_TEST(read_since_strips_what_is_no_text)
{
	start_shim(record, "{\"follow\":false,\"instance\":\"ab12cd\",\"role\":\"follow\",\"since\":5}");
	RUN(&r, NULL, "read", "x", "--since", "5");
	ck_assert_str_eq(r.out, "abc\n");
	shim_ended_well();
	run_free(&r);
}
END_TEST

START_TEST(read_follow_shows_the_screen_first)
{
	start_shim(record, "{\"follow\":true,\"instance\":\"ab12cd\",\"role\":\"follow\",\"since\":7}");
	RUN(&r, NULL, "read", "x", "--follow");
	ck_assert_int_eq(r.code, 0);
	ck_assert_str_eq(r.out, "screen\nabc\n");
	shim_ended_well();
	run_free(&r);
}
END_TEST

START_TEST(read_with_json_names_offsets)
{
	start_shim(record, "{\"follow\":true,\"instance\":\"ab12cd\",\"role\":\"follow\"}");
	RUN(&r, NULL, "read", "x", "--follow", "--raw", "--json");
	ck_assert_str_eq(r.out, "{\"first\":3,\"offset\":16,\"data\":\"YRtbMzFtYhtdMDt0aQ==\"}\n"
				"{\"first\":16,\"offset\":23,\"data\":\"dGxlB2MNCg==\"}\n");
	shim_ended_well();
	run_free(&r);
}
END_TEST

static void put_segment(const char *name, const char *text)
{
	cleanup_free char *dir = xasprintf("%s/rec", fake_dir), *path = xasprintf("%s/%s", dir, name);

	mkdir(dir, 0700);
	ck_assert_int_eq(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

START_TEST(an_ended_instance_is_read_from_its_recording)
{
	fake_start(answer);
	put_segment("term.100.rec", "second ");
	put_segment("term.94.rec", "first ");
	put_segment("term.107.rec", "third");
	put_segment("term.json", "no segment");
	RUN(&r, NULL, "read", "ended", "--raw");
	ck_assert_msg(r.code == 0, "%s", r.err);
	ck_assert_str_eq(r.out, "first second third");
	run_free(&r);
	RUN(&r, NULL, "read", "ended", "--json", "--raw");
	SAYS(r.out, "{\"first\":94,\"offset\":112,\"data\":\"");
	run_free(&r);
	RUN(&r, NULL, "read", "ended", "--raw", "--since", "103");
	ck_assert_str_eq(r.out, "ond third");
	run_free(&r);
	RUN(&r, NULL, "read", "ended", "--since", "100", "--json");
	ck_assert_str_eq(r.out, "{\"first\":100,\"offset\":112,\"text\":\"second third\"}\n");
	run_free(&r);
	RUN(&r, NULL, "read", "ended", "--raw", "--since", "3");
	ck_assert_int_eq(r.code, 1);
	SAYS(r.err, "offset 3 is not kept any more");
	run_free(&r);
	RUN(&r, NULL, "read", "ended", "--raw", "--since", "113");
	ck_assert_int_eq(r.code, 1);
	run_free(&r);
}
END_TEST

static void strips(const char *text, size_t len, const char *want)
{
	for (size_t cut = 0; cut <= len; cut++) {
		struct plain p = {0};
		struct buf out;
		buf_init(&out, 4096);
		plain_feed(&p, text, cut, &out);
		plain_feed(&p, text + cut, len - cut, &out);
		buf_append(&out, "", 1);
		ck_assert_msg(strcmp((char *)buf_data(&out), want) == 0, "cut at %zu: %s", cut,
			(char *)buf_data(&out));
		buf_finish(&out);
	}
}

START_TEST(stripping_holds_at_every_split)
{
	static const char full[] = "plain \xc3\xa4\xe4\xb8\xad\xf0\x9f\x90\x99\r\n"
				   "\033[1;31mred\033[0m \033]0;title\a\033]8;;x\033\\link\033P$q\033\\\033(Bset\033=\n"
				   "\xc2\x9b" "31mcsi\xc2\x85\xff\xc3(\x01\x07\t.";
	strips(full, sizeof(full) - 1,
		"plain \xc3\xa4\xe4\xb8\xad\xf0\x9f\x90\x99\nred linkset\ncsi\xef\xbf\xbd\xef\xbf\xbd(\t.");
	strips("10%\r20%\rdone\n", 13, "10%\n20%\ndone\n");
}
END_TEST

TEST_MAIN_FIXTURE("cli/streams", fake_setup, fake_teardown, exec_passes_bytes_and_status,
	exec_with_json_collects, exec_passes_signals, exec_tells_our_failures_from_the_commands,
	exec_says_that_the_place_was_lost, exec_refuses_what_is_no_frame,
	what_comes_along_with_the_answer_is_seen, read_raw_gives_the_bytes,
	read_since_strips_what_is_no_text, read_follow_shows_the_screen_first, read_with_json_names_offsets,
	an_ended_instance_is_read_from_its_recording, stripping_holds_at_every_split)
