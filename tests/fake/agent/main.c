/* SPDX-License-Identifier: ISC */
/* The program itself: its command line, its start with SessionStart, its end with SessionEnd. */
#include "tests/fake/agent/fake.h"

#include <signal.h>
#include <stdio.h>

#include "base/util.h"

#define KNOB_MAX 1000000000

int64_t fake_knob(const char *name, int64_t otherwise)
{
	const char *text = getenv(name);
	int64_t n;

	return text && str_to_i64(text, 0, KNOB_MAX, &n) == 0 ? n : otherwise;
}

static void knobs_read(struct knobs *k)
{
	const char *hooks = getenv("FAKE_CLAUDE_HOOKS");

	*k = (struct knobs){
		.turn_ms = fake_knob("FAKE_CLAUDE_TURN_MS", 20),
		.spinner_ms = fake_knob("FAKE_CLAUDE_SPINNER_MS", 120),
		.title_ms = fake_knob("FAKE_CLAUDE_TITLE_MS", 960),
		.ask_every = fake_knob("FAKE_CLAUDE_ASK_EVERY", 0),
		.crash_one_in = fake_knob("FAKE_CLAUDE_CRASH_ONE_IN", 0),
		.limit_every = fake_knob("FAKE_CLAUDE_LIMIT_EVERY", 0),
		.by_socket = hooks && !strcmp(hooks, "socket"),
	};
}

static _Noreturn void refuse(const char *what, const char *word)
{
	fprintf(stderr, "fake-claude: %s %s\n", what, word);
	exit(1);
}

static void take_id(char id[UUID_SIZE], const char *text)
{
	if (str_fmt(id, UUID_SIZE, "%s", text) != 0 || strlen(id) != UUID_SIZE - 1)
		refuse("no conversation's id:", text);
}

static void arguments(struct fake *f, char **argv)
{
	char **a = argv + 1;

	for (; *a && strcmp(*a, "--") != 0; a++) {
		bool valued = a[1] != NULL;

		if (!strcmp(*a, "--version")) {
			puts("2.1.329 (fake)");
			exit(0);
		} else if (!strcmp(*a, "--fork-session"))
			f->fork = true;
		else if (!strcmp(*a, "--dangerously-skip-permissions"))
			f->mode = "bypassPermissions";
		else if (!valued)
			refuse("unknown option", *a);
		else if (!strcmp(*a, "--settings"))
			f->settings = *++a;
		else if (!strcmp(*a, "--session-id"))
			take_id(f->conversation, *++a);
		else if (!strcmp(*a, "--resume"))
			take_id(f->resumed, *++a);
		else if (!strcmp(*a, "--permission-mode"))
			f->mode = *++a;
		else if (!strcmp(*a, "--model"))
			f->model = *++a;
		else
			refuse("unknown option", *a);
	}
	if (*a)
		f->prompt = a[1];
	if (!f->conversation[0])
		memcpy(f->conversation, f->resumed, UUID_SIZE);
	if (!f->settings || !f->conversation[0])
		refuse("it needs", "--settings, and --session-id or --resume");
}

static void over(void *arg, const char *output)
{
	struct fake *f = arg;

	(void)output;
	loop_stop(f->loop);
}

void fake_end(struct fake *f, int code, const char *reason)
{
	f->exit_code = code;
	say_truth(f->say, "end", reason);
	hooks_run(f->hooks, "SessionEnd", json_pack("{s:s}", "reason", reason), over, f);
}

static void on_term(void *arg, int signo)
{
	struct fake *f = arg;

	if (f->exit_code < 0)
		fake_end(f, 128 + signo, "other");
}

static void started(void *arg, const char *output)
{
	struct fake *f = arg;

	(void)output;
	say_status(f->say, "idle", NULL);
	term_ready(f->term);
	if (f->prompt)
		turn_submit(f->turn, f->prompt);
}

int main(int argc, char **argv)
{
	struct fake f = {.mode = "default", .exit_code = -1};
	struct err e = {0};

	(void)argc;
	arguments(&f, argv);
	knobs_read(&f.knobs);
	signal(SIGPIPE, SIG_IGN);
	f.cwd = getcwd(NULL, 0);
	f.loop = loop_create(&e);
	f.say = say_create(&f);
	if (!f.loop || !f.cwd)
		refuse("it cannot start:", e.message);
	if (f.resumed[0] && !say_has_transcript(f.say, f.resumed))
		refuse("No conversation found with session ID:", f.resumed);
	if (!f.resumed[0] && say_has_transcript(f.say, f.conversation))
		refuse("already in use: session ID", f.conversation);
	f.hooks = hooks_create(&f);
	f.term = term_create(&f);
	f.turn = turn_create(&f);
	struct loop_signal *sigs[] = {loop_signal_add(f.loop, SIGTERM, on_term, &f),
		loop_signal_add(f.loop, SIGHUP, on_term, &f), loop_signal_add(f.loop, SIGINT, on_term, &f)};
	say_truth(f.say, "start", f.resumed[0] ? "resume" : "startup");
	hooks_run(f.hooks, "SessionStart", json_pack("{s:s, s:s}", "source", f.resumed[0] ? "resume" : "startup", "model",
		f.model ? f.model : "fake"), started, &f);
	loop_run(f.loop);
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++)
		loop_signal_free(sigs[i]);
	turn_destroy(f.turn);
	term_destroy(f.term);
	hooks_destroy(f.hooks);
	say_destroy(f.say);
	loop_destroy(f.loop);
	free(f.cwd);
	return f.exit_code < 0 ? 0 : f.exit_code;
}
