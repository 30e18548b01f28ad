/* SPDX-License-Identifier: ISC */
/*
 * What agents wrote down of their conversations, as copied by their shims (S/r/INSTANCE/conversation-ID.jsonl), and
 * what follows from it. Each line is applied once: where reading stands is written in the transaction of its effects.
 */
#ifndef DAEMON_CORE_TRANSCRIPT_H
#define DAEMON_CORE_TRANSCRIPT_H

#include "daemon/agent/transcript.h"
#include "daemon/core/fleet_int.h"

/* A line is applied. inherited: it came with a branch or an adoption, and was said before this instance was. */
typedef void transcript_consumer_fn(struct unit *u, const struct transcript_line *l, bool inherited);

enum transcript_saw {
	TRANSCRIPT_SAW_NOT,
	TRANSCRIPT_SAW,
	TRANSCRIPT_SAW_UNSURE, /* nothing of it is copied, or not all that is copied was read yet */
};
/* Does its transcript show that a prompt of this text was taken, at since_ms (wall clock) or later? By its head, blanks
 * run together; the clock of a machine may differ by some seconds. */
enum transcript_saw transcript_saw_prompt(struct unit *u, const char *text, int64_t since_ms);

/* Calls fn once all that its program had written by now was copied and applied (read true), or when that cannot be had
 * within ms: its place does not answer, or it has no transcript. From within a turn; fn may be called at once. */
typedef void transcript_read_fn(void *arg, struct unit *u /* NULL: it was removed */, bool read);
void transcript_when_read(struct unit *u, int64_t ms, transcript_read_fn *fn, void *arg);

#endif
