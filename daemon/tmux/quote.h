/* SPDX-License-Identifier: ISC */
/*
 * Builds one control-mode line out of literal words and arguments of any bytes but NUL.
 *
 * Arguments stand in double quotes, where tmux knows \ooo: every byte below 32, 127 and 255 (a raw 0xff
 * cuts the line) and each of " \ $ ~ is written that way; all else passes as it is. Names, folders and
 * titles that tmux expands as formats go through tmux_cmd_format_arg, which doubles each '#' too.
 */
#ifndef DAEMON_TMUX_QUOTE_H
#define DAEMON_TMUX_QUOTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* A line in the making. A failure (too long) sticks until tmux_cmd_init. */
struct tmux_cmd {
	struct buf line;
	unsigned commands; /* in the line, joined by " ; ": each answers with a block of its own */
	bool failed;
};

void tmux_cmd_init(struct tmux_cmd *c); /* bounded by TMUX_LINE_MAX, the newline included */
void tmux_cmd_finish(struct tmux_cmd *c);
/* Starts a command with literal text ("kill-session -t"); a second one is joined with " ; ". Only for
 * text from our own source, never from outside. */
void tmux_cmd_add(struct tmux_cmd *c, const char *literal);
/* More literal text behind a space. */
void tmux_cmd_word(struct tmux_cmd *c, const char *literal);
/* One argument, quoted. */
void tmux_cmd_arg(struct tmux_cmd *c, const char *arg);
void tmux_cmd_argf(struct tmux_cmd *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One argument that tmux expands as a format and that is to come out as it is. */
void tmux_cmd_format_arg(struct tmux_cmd *c, const char *arg);
/* "--" and a program's argv as tmux runs it without a shell: a single element would be given to one,
 * so it is run by env(1). False (and failed) when there is no argv or env could not name it. */
bool tmux_cmd_argv(struct tmux_cmd *c, char *const *argv);
bool tmux_argv_ok(char *const *argv);
/* Ends the line; true when it is whole. The bytes stand in c->line. */
bool tmux_cmd_end(struct tmux_cmd *c);

#endif
