/* SPDX-License-Identifier: ISC */
/*
 * The lines that a tmux control-mode server writes, as events. Pure: no memory, no descriptors.
 *
 * Theory. Outside a block every line is a notification (`%name ...`) or text that some command or the
 * client program printed. `%begin TIME NUMBER FLAGS` opens a block, and only `%end` or `%error`
 * with exactly the same three words closes it: a body may hold anything, lines that look like guards or
 * notifications among them (a pane's text, an option's value). One thing does come inside blocks: a
 * client that set pause-after gets `%pause %N` and `%continue %N` there (seen on 3.3a to 3.7); only
 * such a client says so with `pauses`, else these are body too (as is %message, which 3.4 and later put
 * into the block of the command that says something). When a server dies in the middle of a
 * block its client prints `%exit REASON` after whatever stood there: only the end of the stream tells
 * that this was no body line, see tmux_parse_exit_reason.
 *
 * Lines are bounded: what passes TMUX_LINE_MAX is cut off there, and the event says `cut`.
 */
#ifndef DAEMON_TMUX_PARSE_H
#define DAEMON_TMUX_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#define TMUX_LINE_MAX 262144 /* longest line reported whole; also the longest that we send */
#define TMUX_GUARD_MAX 64    /* "TIME NUMBER FLAGS" */
#define TMUX_REASON_MAX 128

enum tmux_event_type {
	TMUX_EV_BEGIN,  /* a block opened: flags */
	TMUX_EV_BODY,   /* one of its lines: text */
	TMUX_EV_END,    /* it closed well: flags */
	TMUX_EV_ERROR,  /* it closed with an error (the body says which): flags */
	TMUX_EV_OUTPUT, /* %output, %extended-output: name is the pane ("%3"), text still escaped */
	TMUX_EV_EXIT,   /* %exit: text is the reason, may be empty */
	TMUX_EV_NOTIFY, /* any other %name: name without the %, text behind it */
	TMUX_EV_TEXT    /* a line that is none of these, outside blocks */
};

/* name and text point into the bytes given to tmux_parse_next; not NUL-terminated. */
struct tmux_event {
	enum tmux_event_type type;
	const char *name;
	size_t name_len;
	const char *text;
	size_t text_len;
	unsigned flags; /* of a guard: 1 when the block answers a line that this client sent */
	bool cut;
};

/* Zero-initialise. */
struct tmux_parser {
	bool pauses;
	bool in_block;
	bool skipping; /* the rest of a line that was cut */
	unsigned flags;
	size_t guard_len;
	char guard[TMUX_GUARD_MAX];
	size_t last_len; /* of last: the newest body line when it looks like an exit */
	char last[TMUX_REASON_MAX];
};

/*
 * Takes the next event from the bytes that are there. *consumed is set to what may be dropped (after
 * the event was handled); it may be more than 0 without an event. False: more bytes are needed.
 */
bool tmux_parse_next(struct tmux_parser *p, const char *data, size_t len, size_t *consumed,
	struct tmux_event *ret);

/* At the end of the stream, with the bytes left over (a line without its end): the reason of a %exit
 * that stands at the tail of an open block, into out (NUL-terminated); "" when there is none. */
void tmux_parse_exit_reason(const struct tmux_parser *p, const char *rest, size_t len,
	char out[TMUX_REASON_MAX]);

#endif
