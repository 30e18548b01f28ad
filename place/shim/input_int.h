/* SPDX-License-Identifier: ISC */
/* What input's files share: the queue, and the write that was not taken yet. */
#ifndef SHIM_INPUT_INT_H
#define SHIM_INPUT_INT_H

#include "base/buf.h"
#include "place/shim/input.h"

#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"
#define BRACKET_LEN (sizeof(PASTE_BEGIN) - 1)
#define WRITE_MAX (INPUT_RAW_BYTES + 2 * BRACKET_LEN)
#define OWED_MAX (BRACKET_LEN * 2 + 4)

enum step { STEP_BEGIN, STEP_TEXT, STEP_ECHO, STEP_READ, STEP_ENTER, STEP_END };

struct job {
	struct job *next;
	enum input_mode mode;
	bool typed;      /* a view's keys: more may be added behind */
	const void *src; /* which view */
	struct input_brackets brackets;
	char *data;
	size_t len, done;
	bool whole, expect_brackets;
	bool looked, held; /* held: it was waited for in vain */
	bool open;         /* its one bracket was begun */
	bool canonical;    /* when its lines were measured */
	int64_t quiet_ms, hold_end;
	int64_t deadline;  /* monotonic; 0: none */
	int64_t allowed_ms;
	char *enter;
	input_done_fn *fn;
	void *arg;
};

/* The write that was not taken yet. */
struct under_way {
	enum { W_NONE, W_TEXT, W_ENTER, W_REPLY, W_OWED } what;
	char data[WRITE_MAX];
	size_t len, pre, text; /* pre bytes of bracket, then so many of the job's text */
	bool paste, was_open;  /* in brackets; begun by an earlier write */
};

struct input {
	struct input_ops ops;
	void *arg;
	struct job *head, **tail;
	size_t queued, jobs;
	enum step step;
	struct under_way w;
	bool looking, dropping;
	bool look_again; /* what was typed before is not read yet: asked again soon */
	size_t unread;   /* as last told */
	int64_t echo_ms, echo_end; /* how long the echo is waited for this time, and in all */
	int64_t printed_ms; /* when the program printed last */
	bool running; /* against recursion */
	struct buf replies, owed;
	struct loop_timer *wait, *deadline;
	struct loop_defer *defer;
};

/* input_write.c */
/* Writes; data may be that of in->w. False: no terminal takes it now. */
bool input_put(struct input *in, int what, const void *data, size_t len);
/* Writes the next piece of the head's text. */
void input_write_piece(struct input *in, struct job *j);
/* The write under way is over, but for its last n bytes: what of it is owed? Returns how much of the text
 * was taken, that which is owed included. */
size_t input_write_over(struct input *in, size_t n);
void input_owe_end(struct input *in); /* of an open bracket */

#endif
