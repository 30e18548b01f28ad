/* SPDX-License-Identifier: ISC */
/* The control client against the real tmux: order, errors, hooks, deadlines, bounds. */
#include "tests/unit/tmux/talk.h"

#include <sys/wait.h>

#define PIPELINED 500
#define SHORT_MS 60

static void line(struct tmux_cmd *c, const char *literal)
{
	tmux_cmd_init(c);
	tmux_cmd_add(c, literal);
}

static void run(struct talk *t, const char *literal)
{
	struct tmux_cmd c;

	line(&c, literal);
	talk_run(t, &c);
}

struct ordered {
	unsigned *next, number;
};

static void answered_in_order(void *arg, const struct err *e, const char *text, size_t len)
{
	struct ordered *o = arg;
	char want[16];

	ck_assert_ptr_null(e);
	str_fmt(want, sizeof(want), "n%u", o->number);
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(len, strlen(want));
	ck_assert_uint_eq(o->number, (*o->next)++);
}

START_TEST(pipelined_answers_come_in_order)
{
	static struct ordered all[PIPELINED];
	unsigned next = 0;
	struct talk t;

	talk_start(&t);
	for (unsigned i = 0; i < PIPELINED; i++) {
		struct tmux_cmd c;

		line(&c, "display-message -p");
		tmux_cmd_argf(&c, "n%u", i);
		all[i] = (struct ordered){&next, i};
		ck_assert_int_eq(
			tmux_client_send(t.client, &c, false, answered_in_order, &all[i], NULL),
			0);
		tmux_cmd_finish(&c);
	}
	ck_assert_uint_eq(tmux_client_waiting(t.client), PIPELINED);
	rig_until(next == PIPELINED);
	ck_assert_uint_eq(tmux_client_waiting(t.client), 0);
	talk_end(&t);
}
END_TEST

START_TEST(a_line_of_several_commands_is_one_answer)
{
	struct tmux_cmd c;
	struct talk t;

	talk_start(&t);
	line(&c, "display-message -p one");
	tmux_cmd_add(&c, "set-option -g @x y");
	tmux_cmd_add(&c, "display-message -p two");
	talk_run(&t, &c);
	ck_assert(t.ok);
	ck_assert_str_eq(t.text, "one\ntwo");
	/* an error drops the rest, and the next line's answer is its own */
	line(&c, "display-message -p one");
	tmux_cmd_add(&c, "kill-session -t =none");
	tmux_cmd_add(&c, "display-message -p two");
	talk_run(&t, &c);
	ck_assert(!t.ok);
	ck_assert_int_eq(t.e.code, ERR_FAILED);
	ck_assert_ptr_nonnull(strstr(t.e.message, "can't find session: none"));
	run(&t, "display-message -p three");
	ck_assert_str_eq(t.text, "three");
	run(&t, "no-such-command");
	ck_assert(!t.ok);
	run(&t, "display-message -p four");
	ck_assert_str_eq(t.text, "four");
	talk_end(&t);
}
END_TEST

static void sourced(void *arg, const struct err *e, const char *text, size_t len)
{
	(void)text;
	(void)len;
	ck_assert_ptr_null(e);
	++*(unsigned *)arg;
}

START_TEST(what_a_sourced_file_prints_is_nobodys_answer)
{
	static const char conf[] = "set-option -g @a b\nno-such-command\n";
	static const char good[] = "set-option -g @c d\ndisplay-message -p said\nkill-session -t =none\nset-option -g @e f\n";
	cleanup_free char *bad_path = xasprintf("%s/bad.conf", rig_dir), *path = xasprintf("%s/good.conf", rig_dir);
	cleanup_free char *none = xasprintf("%s/none.conf", rig_dir);
	unsigned done = 0;
	struct talk t;

	ck_assert_int_eq(file_write_atomic(bad_path, conf, strlen(conf), 0600, NULL), 0);
	ck_assert_int_eq(file_write_atomic(path, good, strlen(good), 0600, NULL), 0);
	talk_start(&t);
	ck_assert_int_eq(tmux_client_source(t.client, path, sourced, &done, NULL), 0);
	/* pipelined behind it: the answers are its own */
	run(&t, "show-options -gqv @e");
	ck_assert_str_eq(t.text, "f");
	ck_assert_uint_eq(done, 1);
	ck_assert_int_eq(tmux_client_source(t.client, bad_path, sourced, &done, NULL), 0);
	ck_assert_int_eq(tmux_client_source(t.client, none, sourced, &done, NULL), 0);
	run(&t, "display-message -p mine");
	ck_assert_str_eq(t.text, "mine");
	ck_assert_uint_eq(done, 3);
	ck_assert_uint_eq(tmux_client_waiting(t.client), 0);
	ck_assert(!t.down);
	talk_end(&t);
}
END_TEST

START_TEST(what_hooks_print_is_nobodys_answer)
{
	struct talk t;

	talk_start(&t);
	run(&t, "set-hook -g after-kill-pane \"display-message -p hook ; list-sessions\"");
	run(&t, "split-window -d -t =HUB: -- cat -");
	run(&t, "kill-pane -t =HUB:0.1");
	ck_assert(t.ok);
	ck_assert_str_eq(t.text, "");
	run(&t, "display-message -p mine");
	ck_assert_str_eq(t.text, "mine");
	talk_end(&t);
}
END_TEST

START_TEST(too_many_lines_are_refused_and_the_rest_answered)
{
	struct talk t;
	struct tmux_cmd c;
	struct err e = {0};
	unsigned sent = 0;

	talk_start(&t);
	for (;;) {
		line(&c, "display-message -p x");
		if (tmux_client_send(t.client, &c, false, talk_answer, &t, &e) < 0)
			break;
		tmux_cmd_finish(&c);
		sent++;
	}
	tmux_cmd_finish(&c);
	ck_assert_int_eq(e.code, ERR_BUSY);
	ck_assert_uint_eq(sent, TMUX_QUEUE_MAX);
	rig_until(t.answered == sent);
	run(&t, "display-message -p again");
	ck_assert_str_eq(t.text, "again");
	talk_end(&t);
}
END_TEST

START_TEST(a_stopped_server_passes_its_deadline)
{
	cleanup_close int fd = -1;
	struct ucred cred;
	struct tmux_cmd c;
	struct talk t;

	talk_create(&t, "tmux", SHORT_MS, 10000);
	ck_assert(t.up);
	ck_assert_int_eq(sock_connect(t.socket, &fd, NULL), 0);
	ck_assert_int_eq(sock_peer(fd, &cred, NULL), 0);
	ck_assert_int_eq(kill(cred.pid, SIGSTOP), 0);
	line(&c, "display-message -p x");
	ck_assert_int_eq(tmux_client_send(t.client, &c, false, talk_answer, &t, NULL), 0);
	tmux_cmd_finish(&c);
	rig_until(t.down);
	ck_assert(t.wedged);
	ck_assert_uint_eq(t.answered, 1);
	ck_assert(!t.ok);
	line(&c, "display-message -p x");
	ck_assert_int_eq(tmux_client_send(t.client, &c, false, talk_answer, &t, NULL), -1);
	tmux_cmd_finish(&c);
	ck_assert_int_eq(kill(cred.pid, SIGKILL), 0);
	talk_free(&t);
}
END_TEST

START_TEST(our_own_slowness_is_not_the_servers)
{
	struct tmux_cmd c;
	struct talk t;

	talk_create(&t, "tmux", 4 * SHORT_MS, 10000);
	ck_assert(t.up);
	for (int i = 0; i < 3; i++) {
		int64_t until = clock_mono_ms() + 8 * SHORT_MS;

		line(&c, "display-message -p x");
		ck_assert_int_eq(
			tmux_client_send(t.client, &c, false, talk_answer, &t, NULL), 0);
		tmux_cmd_finish(&c);
		while (clock_mono_ms() < until)
			; /* this process is busy elsewhere: the answer waits unread */
		rig_until(t.answered == (unsigned)i + 1 || t.down);
		ck_assert_msg(!t.down, "%s", t.e.message);
	}
	talk_end(&t);
}
END_TEST

START_TEST(waiting_for_ever_has_no_deadline)
{
	struct tmux_cmd c;
	struct talk t, other;

	talk_create(&t, "tmux", SHORT_MS, 10000);
	line(&c, "wait-for never");
	ck_assert_int_eq(tmux_client_send(t.client, &c, true, talk_answer, &t, NULL), 0);
	tmux_cmd_finish(&c);
	line(&c, "display-message -p woken");
	ck_assert_int_eq(tmux_client_send(t.client, &c, true, talk_answer, &t, NULL), 0);
	tmux_cmd_finish(&c);
	rig_until(t.answered == 1);
	talk_create(&other, "tmux", 10000, 10000);
	ck_assert(other.up);
	for (int64_t until = clock_mono_ms() + 3 * SHORT_MS; clock_mono_ms() < until;)
		run(&other, "display-message -p x");
	ck_assert_uint_eq(t.answered, 1);
	ck_assert(!t.down);
	run(&other, "wait-for -S never");
	rig_until(t.answered == 2);
	ck_assert_str_eq(t.text, "woken");
	talk_free(&t);
	talk_end(&other);
}
END_TEST

START_TEST(a_client_that_never_comes_up_is_given_up_and_ended)
{
	cleanup_free char *fake = xasprintf("%s/fake", rig_dir);
	const char *script = "#!/bin/sh\nexec tail -f /dev/null\n";
	struct talk t;

	ck_assert_int_eq(file_write_atomic(fake, script, strlen(script), 0700, NULL), 0);
	talk_create(&t, fake, SHORT_MS, SHORT_MS);
	ck_assert(t.down);
	ck_assert(t.wedged);
	talk_free(&t);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

static void destroys(void *arg, const struct err *e, const char *text, size_t len)
{
	struct talk *t = arg;

	(void)e;
	(void)text;
	(void)len;
	tmux_client_destroy(t->client);
	t->client = NULL;
	t->ended = true;
}

START_TEST(a_callback_may_destroy_its_client)
{
	struct talk t, other;
	struct tmux_cmd c;

	talk_start(&t);
	for (int i = 0; i < 3; i++) {
		line(&c, "display-message -p x");
		ck_assert_int_eq(tmux_client_send(t.client, &c, false,
					 i == 0 ? destroys : talk_answer, &t, NULL),
			0);
		tmux_cmd_finish(&c);
	}
	rig_until(t.ended);
	ck_assert_uint_eq(t.answered, 0);
	talk_free(&t);
	talk_start(&other); /* the server is still there */
	talk_end(&other);
}
END_TEST

START_TEST(the_end_of_the_server_is_told_with_its_reason)
{
	cleanup_close int fd = -1;
	struct ucred cred;
	struct talk t;

	talk_start(&t);
	ck_assert_int_eq(sock_connect(t.socket, &fd, NULL), 0);
	ck_assert_int_eq(sock_peer(fd, &cred, NULL), 0);
	ck_assert_int_eq(kill(cred.pid, SIGKILL), 0);
	rig_until(t.down);
	ck_assert(!t.wedged);
	ck_assert_int_eq(t.e.code, ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(t.e.message, "server exited unexpectedly"));
	talk_free(&t);
}
END_TEST

RIG_MAIN("tmux/client", pipelined_answers_come_in_order, a_line_of_several_commands_is_one_answer,
	what_a_sourced_file_prints_is_nobodys_answer, what_hooks_print_is_nobodys_answer,
	too_many_lines_are_refused_and_the_rest_answered,
	a_stopped_server_passes_its_deadline, our_own_slowness_is_not_the_servers,
	waiting_for_ever_has_no_deadline, a_client_that_never_comes_up_is_given_up_and_ended,
	a_callback_may_destroy_its_client, the_end_of_the_server_is_told_with_its_reason)
