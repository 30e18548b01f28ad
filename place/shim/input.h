/* SPDX-License-Identifier: ISC */
/*
 * What is typed into one terminal: pastes, keys, raw bytes and the answers to queries, one after the
 * other, each taken by the terminal before the next is given.
 *
 * An input is a job. Jobs wait in one queue and are typed whole, one after the other; what people type in
 * views stands in the same queue. A job goes through
 *
 *   BEGIN  the terminal's mode is asked for (once, at its place: what was told before may be old); a
 *          program that is known to ask for bracketed paste, or whose terminal is canonical still and
 *          would cut a line, is waited for, at most INPUT_HOLD_MS
 *   TEXT   pieces are written, each when the terminal took the one before
 *   ECHO   the text was taken: the echo is waited for, at most INPUT_ECHO_MS, and longer while the program
 *          has not read all of it (asked for again and again, INPUT_HOLD_MS at most)
 *   ENTER  Enter, a write of its own: with the text in one read it is taken for text
 *   END    all was taken
 *
 * A paste is bracketed when the program asked for that: in pieces of at most INPUT_PIECE_LINES lines and
 * INPUT_PIECE_BYTES bytes, each in brackets of its own (Claude Code treats larger ones as attachments), or
 * as one when the caller says `whole`. No piece splits a character.
 *
 * Deadlines. A job that was not begun by its deadline ends, and nothing of it was typed. One that was
 * begun and stands still is cut: what the terminal did not take of the piece under way is called back
 * (ops.drop), the rest never goes, and the error says how much was taken. When a piece was cut in the
 * middle, the rest of its character and the end of its bracket are owed: they go before anything else
 * does, as soon as the terminal takes bytes again, so that the next input is not taken for part of it.
 */
#ifndef SHIM_INPUT_H
#define SHIM_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

#define INPUT_MAX (1024 * 1024)    /* bytes of one input */
#define INPUT_QUEUE_MAX (4 * 1024 * 1024)
#define INPUT_JOBS_MAX 512
#define INPUT_PIECE_LINES 3
#define INPUT_PIECE_BYTES 780
#define INPUT_RAW_BYTES 4096       /* a piece of what needs no small ones */
#define INPUT_LINE_MAX 4095        /* a line a canonical terminal can take */
#define INPUT_ECHO_MS 20
#define INPUT_LOOK_MS 1000         /* for the mode to be told */
#define INPUT_HOLD_MS 2000         /* for the program to be ready */
#define INPUT_OPEN_MS 1000         /* a paste in a view that does not go on */
#define INPUT_DROP_MS 2000         /* for what was not taken to be called back */
#define INPUT_REPLY_MAX 16384      /* answers to queries that wait */

enum input_mode { INPUT_PASTE, INPUT_RAW };

struct input_ops {
	/* Writes to the terminal; input_taken is called when it took all of that. 0, or -1: no terminal
	 * takes it now; try again at the next input_taken. */
	int (*write)(void *arg, const void *data, size_t len);
	/* How the terminal is switched now. */
	bool (*bracketed)(void *arg);
	bool (*canonical)(void *arg);
	/* Asks how it is switched; input_looked is called when that is known. -1 (or NULL): it cannot be
	 * asked, what was told last holds. */
	int (*look)(void *arg);
	/* Calls back what it did not take yet; input_dropped says how much that was. -1 (or NULL): cannot. */
	int (*drop)(void *arg);
};

/* why NULL: all was taken. taken: bytes of the (cleaned) text that the terminal took. */
typedef void input_done_fn(void *arg, size_t taken, const struct err *why);

struct input_job {
	enum input_mode mode;
	const void *data; /* copied */
	size_t len;
	const char *enter;    /* the bytes to send on their own afterwards, or NULL */
	bool whole;           /* a paste: one pair of brackets around all of it */
	bool expect_brackets; /* the program is known to ask for bracketed paste: it is waited for */
	int64_t quiet_ms;     /* not before it printed nothing for so long (at most INPUT_HOLD_MS); 0: now */
	int64_t deadline_ms;  /* from now; 0: none */
	input_done_fn *fn;    /* called once, never from within; may be NULL */
	void *arg;
};

struct input;

struct input *input_create(struct loop *l, const struct input_ops *ops, void *arg);
/* What waits is failed first with ERR_CANCELLED. NULL ok. */
void input_destroy(struct input *in);
/* Queues. Refused (-1, fn not called): too large, the queue is full. */
int input_add(struct input *in, const struct input_job *what, struct err *e);
/* The keys of the view src: raw, nobody waits for them; dropped when too many wait. What it pastes in
 * brackets stays whole. */
void input_type(struct input *in, const void *src, const void *data, size_t len);
/* The view src is gone. */
void input_type_end(struct input *in, const void *src);
/* The answer to a query: ahead of what waits, behind the piece (and the bracket) under way. */
void input_reply(struct input *in, const void *data, size_t len);
/* The terminal took everything written so far. */
void input_taken(struct input *in);
/* The answer to ops.look: the mode is known, and how much was taken that the program has not read. */
void input_looked(struct input *in, size_t unread);
/* The mode changed by itself. */
void input_changed(struct input *in);
/* The answer to ops.drop: n bytes of the last write were not taken, and never will be. */
void input_dropped(struct input *in, size_t n);
/* The program printed something (an echo, or it switched its terminal). */
void input_echoed(struct input *in);
/* Everything that waits fails with why. */
void input_fail(struct input *in, const struct err *why);
bool input_idle(const struct input *in);

/* --- text (input_text.c), pure --- */
/* The length of the next piece of clean text. */
size_t input_piece(const char *text, size_t len);
/* At most max bytes of text, but whole characters. */
size_t input_cut(const char *text, size_t len, size_t max);
/* Removes controls but \n and \t in place; a line may end in \r\n or \r. Returns the new length. */
size_t input_clean(char *text, size_t len);
/* The longest line of the text. */
size_t input_longest_line(const char *text, size_t len);
/* Follows ESC[200~ and ESC[201~ through bytes in any pieces. Zeroed: outside. */
struct input_brackets {
	unsigned char at; /* matched of the sequence */
	bool end, open;
};
void input_brackets_feed(struct input_brackets *b, const void *data, size_t len);

#endif
