/* SPDX-License-Identifier: ISC */
/* For the formats of transcripts: a line's words and numbers, bounded, and the entries that are made of it. */
#ifndef DAEMON_AGENT_LINES_H
#define DAEMON_AGENT_LINES_H

#include "daemon/agent/transcript.h"

#define BLOCKS_MOST 1000 /* of one line */

/* l->doc: the object of the line. -1: too long, or none. */
int tr_load(const char *line, size_t len, struct transcript_line *l, struct err *e);
void tr_finish(struct transcript_line *l);
/* Ids and names: one that is too long, or holds what is not printable, counts as absent. */
void tr_word(char *out, size_t size, const char *s);
/* Does one of these words stand in the line? */
bool tr_any(const char *line, size_t len, const char *const *words, size_t n);
int64_t tr_tokens(const json_t *o, const char *key); /* 0 for nonsense */
/* For programs that put no marks into a prompt. */
void tr_head(char out[TRANSCRIPT_HEAD_MAX], const char *text);

/* An entry with the line's time, uuid, side and own; new. */
json_t *tr_entry(const struct transcript_line *l, const char *kind);
/* Its text; cut at a character, which is then said. */
void tr_text(json_t *entry, const char *text, size_t max);
json_t *tr_tool(const struct transcript_line *l, const char *tool, const char *id, const json_t *input, size_t max);
json_t *tr_result(const struct transcript_line *l, const char *tool_id, const char *text, size_t max);
/* The message, model, failure and usage of a reply. */
void tr_message(json_t *entry, const struct transcript_line *l);

/* What a program makes of its line: an entry (new), or NULL. */
typedef json_t *(*tr_entry_fn)(const struct transcript_line *l, size_t max);
/* For programs of whose lines each is one entry at the most: transcript_format.entries by what is their own. */
json_t *tr_entries(const struct transcript_line *l, size_t max, tr_entry_fn reply, tr_entry_fn result);

#endif
