/* SPDX-License-Identifier: ISC */
/*
 * What agents wrote down of their conversations, as copied by their shims (S/r/INSTANCE/conversation-ID.jsonl), and
 * what follows from it. Each line is applied once: where reading stands is written in the transaction of its effects.
 */
#ifndef DAEMON_CORE_TRANSCRIPT_H
#define DAEMON_CORE_TRANSCRIPT_H

#include "daemon/agent/transcript.h"
#include "daemon/core/fleet_int.h"

/* A line is applied; inherited: it came with a branch or an adoption, and was said before this instance was. The list of
 * them stands in transcript.c. */
typedef void transcript_consumer_fn(struct unit *u, const struct transcript_line *l, bool inherited);

enum transcript_saw {
	TRANSCRIPT_SAW_NOT,
	TRANSCRIPT_SAW,
	TRANSCRIPT_SAW_UNSURE, /* nothing of it is copied, or not all that is copied was read yet, or one may not be followed */
};
/* Does its transcript show that this prompt was taken, at since_ms (wall clock) or later? seen.c. */
enum transcript_saw transcript_saw_prompt(struct unit *u, const struct prompt *p, int64_t since_ms);

/* Calls fn once all that its program had written by now was copied and applied (read true), or when that cannot be had
 * within ms: its place does not answer, or it has no transcript. fn may be called at once. */
typedef void transcript_read_fn(void *arg, struct unit *u /* NULL: it was removed */, bool read);
void transcript_when_read(struct unit *u, int64_t ms, transcript_read_fn *fn, void *arg);

/* For core's other files: */
transcript_consumer_fn seen_prompt_line;
const struct transcript_format *transcript_format_of(const struct unit *u); /* NULL: its program writes none */
bool transcript_known(const struct unit *u); /* all that is copied was read, and all is copied */
/* Pure: of n times at which a text was seen (ascending), is one left at since_ms or later, when each of m other prompts
 * of that text (ascending) takes the first that is not before it, one each? */
bool seen_is_left(const int64_t *times, size_t n, const int64_t *others, size_t m, int64_t since_ms);
void transcript_report(struct unit *u, const json_t *body);    /* a report came: it may name another file */
void transcript_event(struct unit *u, const json_t *ev);       /* its shim copied something */
void transcript_joined(struct unit *u);                        /* a shim that may not know of it holds its program */
void transcript_place_over(struct unit *u);                    /* nothing is copied any more: what is there is read */
void transcripts_begin(struct fleet *f);                       /* after loading */
void transcripts_drop(struct unit *u);
void transcripts_end(struct fleet *f);

#endif
