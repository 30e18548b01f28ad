/* SPDX-License-Identifier: ISC */
/*
 * fake-claude: a small program that does in a terminal what Claude Code 2.1.329 does as far as the daemon relies on
 * it (docs/agents.md), so that a thousand of them fit on a machine. README.md beside it has its prompts and knobs.
 *
 *   term.c   the terminal: keys and pastes in, painting, title and spinner out
 *   hook.c   the hooks of its settings, one at a time, as programs or straight over the socket
 *   say.c    what it writes down: session file, transcript, and the truth for tests
 *   turn.c   a turn, as the prompt's first word asks for
 */
#ifndef FAKE_CLAUDE_H
#define FAKE_CLAUDE_H

#include <jansson.h>

#include "base/loop.h"

#define UUID_SIZE 37

struct knobs {
	int64_t turn_ms;    /* FAKE_CLAUDE_TURN_MS: of a turn that asks for nothing else */
	int64_t spinner_ms; /* FAKE_CLAUDE_SPINNER_MS: 0: none is painted */
	int64_t title_ms;   /* FAKE_CLAUDE_TITLE_MS: 0: it does not turn */
	int64_t ask_every;  /* FAKE_CLAUDE_ASK_EVERY: every so many turns it asks for permission; 0: never */
	int64_t crash_one_in; /* FAKE_CLAUDE_CRASH_ONE_IN: of so many turns one ends it, at random; 0: none */
	int64_t limit_every;  /* FAKE_CLAUDE_LIMIT_EVERY: every so many turns the API is down; 0: never */
	bool by_socket;       /* FAKE_CLAUDE_HOOKS=socket */
};

struct term;
struct hooks;
struct say;
struct turn;

struct fake {
	struct loop *loop;
	struct knobs knobs;
	char *settings, *mode, *model, *prompt, *cwd;
	char conversation[UUID_SIZE];
	char resumed[UUID_SIZE]; /* "" for a new conversation */
	bool fork;
	int exit_code;
	struct term *term;
	struct hooks *hooks;
	struct say *say;
	struct turn *turn;
};

/* main.c */
void fake_end(struct fake *f, int code, const char *reason);
int64_t fake_knob(const char *name, int64_t otherwise);

/* term.c */
struct term *term_create(struct fake *f);
void term_destroy(struct term *t);
/* It takes input, asks for bracketed paste. */
void term_ready(struct term *t);
void term_print(struct term *t, const char *text);
/* Its prompt, or a turn with a spinner. */
void term_busy(struct term *t, bool busy);
/* A dialog with this text takes the keys, or none. */
void term_dialog(struct term *t, const char *text);
/* The prompt stands in the input line again. */
void term_put_back(struct term *t, const char *text);

/* hook.c: body is the event's own fields, taken. done: output is what it printed, "" for nothing, or NULL when it was
 * given up. Hooks run in the order they were asked for, but one that waits for a person runs beside the others. */
typedef void hook_fn(void *arg, const char *output);
struct hooks *hooks_create(struct fake *f);
void hooks_destroy(struct hooks *h);
void hooks_run(struct hooks *h, const char *event, json_t *body, hook_fn *done, void *arg);
/* The hook that waits for a person is ended, and says no more. */
void hooks_kill_waiting(struct hooks *h);
/* It is not asked any more, and goes on until somebody answers it. */
void hooks_leave_waiting(struct hooks *h);

/* say.c */
struct say *say_create(struct fake *f);
void say_destroy(struct say *s);
bool say_has_transcript(const struct say *s, const char *conversation);
const char *say_transcript_path(const struct say *s);
void say_status(struct say *s, const char *status, const char *waiting_for);
void say_prompt(struct say *s, const char *text, bool queued);
void say_reply(struct say *s, const char *text);
/* A line for tests: {"us", "pid", "what", "text"}. */
void say_truth(struct say *s, const char *what, const char *text);

/* turn.c */
struct turn *turn_create(struct fake *f);
void turn_destroy(struct turn *t);
void turn_submit(struct turn *t, const char *text);
void turn_escape(struct turn *t);
/* A key for its dialog: yes or no. */
void turn_choose(struct turn *t, bool yes);
bool turn_busy(const struct turn *t);

#endif
