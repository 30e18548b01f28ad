/* SPDX-License-Identifier: ISC */
/*
 * What agents spend, counted as their transcripts (or reports) say it: each message once, in the transaction that
 * moves the position behind its line. Sums are carried up the tree as they grow, so nothing is added up when
 * somebody looks. docs/usage.md.
 */
#ifndef DAEMON_CORE_USAGE_H
#define DAEMON_CORE_USAGE_H

#include "daemon/core/fleet_int.h"
#include "daemon/core/transcript.h"
#include "daemon/model/usage.h"

#define USAGE_RECENT 4  /* messages whose figures are at hand: lines of one come one behind the other */
#define USAGE_MODELS 16 /* names of models that an instance may make up; further ones count as "other" */

struct usage_kept {
	struct usage_sum sum[USAGE_KINDS]; /* its own, ... */
	struct usage_sum below;            /* all that of those below it */
	struct usage_state state;
	int64_t window; /* of state.model; 0: not known */
	struct usage_message recent[USAGE_RECENT];
	unsigned nrecent;
	char models[USAGE_MODELS][USAGE_WORD_MAX];
	unsigned nmodels;
};

/* A transcript_consumer_fn. */
void usage_line(struct unit *u, const struct transcript_line *l, bool inherited);
/* A report came, whose program says there what it spent. */
void usage_report(struct unit *u, const char *event, const json_t *body);
void usage_turn_ended(struct unit *u);
/* All that it and everything below it spent, removed ones too. */
struct usage_sum usage_tree(const struct unit *u);
/* The tree changes: what is at and below u counts for all above it, or no more. */
void usage_hang(const struct unit *u, int sign);
void usage_removed(struct unit *u); /* its row goes; before it leaves the tree */
void usage_drop(struct unit *u);
/* Does its program say what it spends? */
bool usage_known(const struct unit *u);

#endif
