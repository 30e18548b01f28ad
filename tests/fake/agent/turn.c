/* SPDX-License-Identifier: ISC */
/*
 * A turn, as the prompt asks for (README.md has the words). What is submitted while it works is reported at once and
 * merged: several prompts may end in one Stop. Esc ends it, and reports nothing: the session file tells.
 */
#include "tests/fake/agent/fake.h"

#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/util.h"

#define DIALOG_AFTER_MS 300 /* docs/agents.md: the request is reported 0.3 to 0.5 s before its dialog stands */
#define SAID_MAX 512
#define LIMIT_SAID "Claude AI usage limit reached|%lld"
#define API_DOWN_SAID "API Error: Connection error. (ECONNREFUSED)"
#define CONTINUED "continue" /* what the daemon says after a limit */

struct turn {
	struct fake *fake;
	bool busy, ending;  /* ending: its Stop is being reported */
	int64_t generation; /* what a hook of an earlier one says is nothing any more */
	char *prompt;
	char **after; /* submitted while it was ending */
	int64_t count, ends_ms, period_ms, due_ms;
	int tools;
	bool flips, inside, asking, question;
	char said[SAID_MAX];
	char tool[SAID_MAX];
	struct loop_timer *timer, *dialog;
};

static void next(struct turn *t);

/* ---- its hooks ---- */

struct tick {
	struct turn *turn;
	int64_t generation;
	void (*fn)(struct turn *t, const char *output);
};

static void ticked(void *arg, const char *output)
{
	struct tick *k = arg;

	if (k->generation == k->turn->generation)
		k->fn(k->turn, output);
	free(k);
}

static void report(struct turn *t, const char *event, json_t *body, void (*fn)(struct turn *t, const char *output))
{
	struct tick *k = xcalloc(1, sizeof(*k));

	*k = (struct tick){t, t->generation, fn};
	hooks_run(t->fake->hooks, event, body, ticked, k);
}

bool turn_busy(const struct turn *t)
{
	return t->busy;
}

/* ---- its end ---- */

static void at_prompt(struct turn *t)
{
	cleanup_strv char **after = take_ptr(t->after);

	t->generation++;
	t->busy = t->ending = t->asking = t->inside = false;
	loop_timer_stop(t->timer);
	loop_timer_stop(t->dialog);
	term_dialog(t->fake->term, NULL);
	term_busy(t->fake->term, false);
	say_status(t->fake->say, "idle", NULL);
	for (char **a = after; a && *a; a++)
		turn_submit(t, *a);
}

static void stopped(struct turn *t, const char *output)
{
	(void)output;
	at_prompt(t);
}

static void finish(struct turn *t)
{
	char said[SAID_MAX + 32];

	if (t->period_ms || str_starts(t->prompt, "stamp:"))
		str_fmt(said, sizeof(said), "t=%lld", (long long)clock_mono_us());
	else
		str_fmt(said, sizeof(said), "%s", t->said);
	say_reply(t->fake->say, said);
	term_print(t->fake->term, said);
	say_truth(t->fake->say, "stop", said);
	t->ending = true;
	report(t, "Stop", json_pack("{s:s, s:[]}", "last_assistant_message", said, "background_tasks"), stopped);
}

static void fail(struct turn *t, const char *error, const char *said)
{
	say_truth(t->fake->say, "failure", error);
	t->ending = true;
	report(t, "StopFailure", json_pack("{s:s, s:s}", "error", error, "last_assistant_message", said), stopped);
}

/* ---- tools ---- */

static json_t *tool_body(const struct turn *t, const char *name)
{
	if (t->question || t->flips)
		return json_pack("{s:s, s:{s:[{s:s, s:s, s:b, s:[{s:s, s:s}, {s:s, s:s}]}]}}", "tool_name", "AskUserQuestion",
			"tool_input", "questions", "question", t->tool, "header", "fake", "multiSelect", 0, "options", "label",
			"yes", "description", "yes", "label", "no", "description", "no");
	return json_pack("{s:s, s:{s:s}}", "tool_name", name, "tool_input", "command", t->tool);
}

static void tool_told(struct turn *t, const char *output)
{
	(void)output;
	next(t);
}

static void tool_begins(struct turn *t)
{
	t->inside = true;
	report(t, "PreToolUse", tool_body(t, "Bash"), tool_told);
}

static void tool_ends(struct turn *t)
{
	json_t *body = tool_body(t, "Bash");

	t->inside = false;
	json_object_set_new(body, "tool_response", json_pack("{s:s}", "stdout", "fake"));
	report(t, "PostToolUse", body, tool_told);
}

/* ---- asking ---- */

static void verdict(struct turn *t, const char *output)
{
	json_t *j = output ? json_loads(output, 0, NULL) : NULL;
	const json_t *d = json_object_get(json_object_get(j, "hookSpecificOutput"), "decision");
	const char *behavior = json_string_value(json_object_get(d, "behavior"));
	const char *message = json_string_value(json_object_get(d, "message"));

	if (t->asking && behavior) {
		t->asking = false;
		loop_timer_stop(t->dialog);
		term_dialog(t->fake->term, NULL);
		say_status(t->fake->say, "busy", NULL);
		say_truth(t->fake->say, "verdict", behavior);
		if (!strcmp(behavior, "allow")) {
			str_fmt(t->said, sizeof(t->said), "ran: %s", t->tool);
			tool_ends(t);
		} else {
			str_fmt(t->said, sizeof(t->said), "denied: %.400s", message ? message : "");
			t->inside = false;
			next(t);
		}
	}
	json_decref(j);
}

static void on_dialog(void *arg)
{
	struct turn *t = arg;

	term_dialog(t->fake->term, t->question ? "Fake question: 1. yes 2. no" : "Do you want to proceed? 1. Yes 3. No");
	say_status(t->fake->say, "waiting", t->question ? "input needed" : "permission prompt");
}

static void ask(struct turn *t)
{
	t->asking = true;
	say_truth(t->fake->say, "ask", t->tool);
	report(t, "PermissionRequest", tool_body(t, "Bash"), verdict);
	loop_timer_start(t->dialog, DIALOG_AFTER_MS);
}

void turn_choose(struct turn *t, bool yes)
{
	if (!t->asking)
		return;
	t->asking = false;
	term_dialog(t->fake->term, NULL);
	say_truth(t->fake->say, "chosen", yes ? "yes" : "no");
	if (yes) {
		hooks_leave_waiting(t->fake->hooks);
		say_status(t->fake->say, "busy", NULL);
		str_fmt(t->said, sizeof(t->said), "ran: %s", t->tool);
		tool_ends(t);
	} else {
		hooks_kill_waiting(t->fake->hooks);
		at_prompt(t);
	}
}

/* ---- its steps ---- */

static void die(struct turn *t)
{
	say_truth(t->fake->say, "crash", "");
	kill(getpid(), SIGKILL);
}

static void next(struct turn *t)
{
	int64_t wait = t->fake->knobs.turn_ms;

	if (t->inside && t->asking)
		return;
	if (t->period_ms) {
		t->due_ms += t->period_ms;
		wait = t->due_ms - clock_mono_ms();
	}
	if (t->inside && !t->period_ms && !t->asking && (t->question || t->ends_ms < 0)) {
		t->ends_ms = 0;
		ask(t);
		return;
	}
	loop_timer_start(t->timer, wait > 0 ? wait : 0);
}

static void step(struct turn *t)
{
	if (t->period_ms && clock_mono_ms() < t->ends_ms) {
		if (t->inside)
			tool_ends(t);
		else
			tool_begins(t);
		return;
	}
	if (t->inside)
		tool_ends(t);
	else if (t->tools-- > 0)
		tool_begins(t);
	else
		finish(t);
}

static void on_timer(void *arg)
{
	step(arg);
}

static bool word(const char *prompt, const char *name, const char **rest)
{
	size_t n = strlen(name);

	if (strncmp(prompt, name, n) != 0 || prompt[n] != ':')
		return false;
	*rest = prompt + n + 1 + strspn(prompt + n + 1, " ");
	return true;
}

/* `work: SECONDS HZ`: reports at that rate, each fake at its own moment within the period. */
static void work(struct turn *t, const char *rest, bool flips)
{
	double seconds = 0, hz = 1;

	if (sscanf(rest, "%lf %lf", &seconds, &hz) < 1 || hz <= 0)
		hz = 1;
	t->period_ms = (int64_t)(1000 / hz) > 0 ? (int64_t)(1000 / hz) : 1;
	t->ends_ms = clock_mono_ms() + (int64_t)(seconds * 1000);
	t->flips = flips;
	t->due_ms = clock_mono_ms() + getpid() * INT64_C(7919) % t->period_ms;
	loop_timer_start(t->timer, t->due_ms - clock_mono_ms());
}

/* What the knobs put into turns that ask for nothing. True: the turn is that. */
static bool by_knob(struct turn *t)
{
	const struct knobs *k = &t->fake->knobs;
	unsigned r;

	random_bytes(&r, sizeof(r));
	if (k->crash_one_in && r % (unsigned)k->crash_one_in == 0)
		die(t);
	if (k->limit_every && t->count % k->limit_every == 0) {
		fail(t, "server_error", API_DOWN_SAID);
		return true;
	}
	if (k->ask_every && t->count % k->ask_every == 0) {
		t->ends_ms = -1;
		tool_begins(t);
		return true;
	}
	return false;
}

static void begin(struct turn *t)
{
	const char *p = t->prompt, *rest = "";
	char said[SAID_MAX];

	str_fmt(t->said, sizeof(t->said), "echo: %.400s", p);
	str_fmt(t->tool, sizeof(t->tool), "true");
	if (word(p, "work", &rest) || word(p, "flip", &rest)) {
		work(t, rest, *p == 'f');
	} else if (word(p, "ask", &rest) || word(p, "question", &rest)) {
		t->question = *p == 'q';
		str_fmt(t->tool, sizeof(t->tool), "%.400s", rest);
		t->ends_ms = -1;
		tool_begins(t);
	} else if (word(p, "tools", &rest)) {
		t->tools = atoi(rest);
		step(t);
	} else if (word(p, "limit", &rest)) {
		str_fmt(said, sizeof(said), LIMIT_SAID, (long long)(clock_wall_ms() / 1000 + atoi(rest)));
		fail(t, "rate_limit", said);
	} else if (word(p, "crash", &rest)) {
		die(t);
	} else if (word(p, "exit", &rest)) {
		fake_end(t->fake, atoi(rest), "prompt_input_exit");
	} else if (!word(p, "hold", &rest) && !by_knob(t)) {
		if (word(p, "say", &rest))
			str_fmt(t->said, sizeof(t->said), "%.400s", rest);
		loop_timer_start(t->timer, t->fake->knobs.turn_ms);
	}
}

static void submitted(struct turn *t, const char *output)
{
	(void)output;
	begin(t);
}

static void merged(struct turn *t, const char *output)
{
	(void)t;
	(void)output;
}

void turn_submit(struct turn *t, const char *text)
{
	bool queued = t->busy;

	if (t->ending) {
		if (!t->after)
			t->after = strv_new();
		strv_push(&t->after, text);
		return;
	}
	say_truth(t->fake->say, "prompt", text);
	say_prompt(t->fake->say, text, queued);
	if (!queued) {
		free(t->prompt);
		t->prompt = xstrdup(text);
		t->busy = true;
		t->flips = t->question = t->inside = false;
		t->tools = 0;
		t->period_ms = t->ends_ms = 0;
		t->count++;
		say_status(t->fake->say, "busy", NULL);
		term_busy(t->fake->term, true);
	}
	report(t, "UserPromptSubmit", json_pack("{s:s}", "prompt", text), queued ? merged : submitted);
}

void turn_escape(struct turn *t)
{
	if (!t->busy)
		return;
	bool silent = !t->inside && !t->period_ms && !t->ending;
	say_truth(t->fake->say, "escape", t->prompt);
	at_prompt(t);
	if (silent && !t->busy)
		term_put_back(t->fake->term, t->prompt);
}

struct turn *turn_create(struct fake *f)
{
	struct turn *t = xcalloc(1, sizeof(*t));

	t->fake = f;
	t->timer = loop_timer_create(f->loop, on_timer, t);
	t->dialog = loop_timer_create(f->loop, on_dialog, t);
	return t;
}

void turn_destroy(struct turn *t)
{
	loop_timer_free(t->timer);
	loop_timer_free(t->dialog);
	strv_free(t->after);
	free(t->prompt);
	free(t);
}
