/* SPDX-License-Identifier: ISC */
/*
 * What is typed into one terminal: pastes, keys, raw bytes and the answers to queries, one after the
 * other, each taken by the terminal before the next is given.
 *
 * A paste goes in pieces of at most INPUT_PIECE_LINES lines and INPUT_PIECE_BYTES bytes, never
 * splitting a character, each bracketed when the program asked for that: larger ones are treated as
 * attachments by Claude Code, and what arrives with its Enter in one read is taken for text. Enter is
 * therefore a write of its own: after the text was taken, and for a program that reads raw after
 * something was painted or INPUT_ECHO_MS passed, whichever is first.
 */
#ifndef SHIM_INPUT_H
#define SHIM_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/loop.h"

#define INPUT_MAX (1024 * 1024)    /* bytes of one input */
#define INPUT_QUEUE_MAX (4 * 1024 * 1024)
#define INPUT_PIECE_LINES 3
#define INPUT_PIECE_BYTES 780
#define INPUT_RAW_BYTES 4096       /* a piece of raw input */
#define INPUT_LINE_MAX 4095        /* a line a canonical terminal can take */
#define INPUT_ECHO_MS 20
#define INPUT_REPLY_MAX 16384      /* answers to queries that wait */

enum input_mode { INPUT_PASTE, INPUT_RAW };

struct input_ops {
	/* Writes to the terminal; input_taken is called when it took all of that. 0, or -1: no terminal
	 * takes it now; try again at the next input_taken. */
	int (*write)(void *arg, const void *data, size_t len);
	/* How the terminal is switched now. */
	bool (*bracketed)(void *arg);
	bool (*canonical)(void *arg);
};

typedef void input_done_fn(void *arg, const struct err *why); /* why NULL: taken */

struct input;

struct input *input_create(struct loop *l, const struct input_ops *ops, void *arg);
/* What waits is failed first with ERR_CANCELLED. NULL ok. */
void input_destroy(struct input *in);
/* Queues. enter: the bytes to send on their own afterwards (NULL: none). fn (may be NULL) is called once,
 * never from within. Refused (-1, fn not called): too large, the queue is full, a line a canonical
 * terminal cannot take. */
int input_add(struct input *in, enum input_mode mode, const void *data, size_t len, const char *enter,
	input_done_fn *fn, void *fn_arg, struct err *e);
/* A view's keys: raw, nobody waits for them; dropped when too many wait. */
void input_type(struct input *in, const void *data, size_t len);
/* The answer to a query: ahead of what waits, behind the piece under way. */
void input_reply(struct input *in, const void *data, size_t len);
/* The terminal took everything written so far. */
void input_taken(struct input *in);
/* The program printed something (an echo, perhaps). */
void input_echoed(struct input *in);
/* Everything that waits fails with why. */
void input_fail(struct input *in, const struct err *why);
bool input_idle(const struct input *in);

/* The bytes of a key by tmux's names: "Enter", "C-c", "M-x", "Up", "F5", "Space" or one character. app:
 * cursor keys in application mode. Returns the length, or -1 when the name is unknown. */
#define INPUT_KEY_MAX 16
int input_key(const char *name, bool app, char out[INPUT_KEY_MAX]);

/* For input_add, and tests: the length of the next piece of clean text. */
size_t input_piece(const char *text, size_t len);
/* Removes controls but \n and \t in place; returns the new length. */
size_t input_clean(char *text, size_t len);

#endif
