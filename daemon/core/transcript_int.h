/* SPDX-License-Identifier: ISC */
/* What the two files about conversations share: transcript.c (which there are) and transcript_read.c (reading them). */
#ifndef DAEMON_CORE_TRANSCRIPT_INT_H
#define DAEMON_CORE_TRANSCRIPT_INT_H

#include "daemon/core/transcript.h"

struct track {
	struct track *next;
	struct transcript row;
	int64_t length; /* of the copy, as last told */
	bool followed;  /* its shim was asked to, since the last that is known of it */
	bool within;    /* pos stands within a line that is passed over */
	bool said;      /* that lines were */
	bool due;       /* it stands in the list of those to be read */
	struct unit *u;
	struct track *due_next;
};

struct read_wait {
	struct read_wait *next;
	struct fleet *f;
	char id[ID_SIZE];
	bool looked; /* the lengths are known: all up to them is to be read */
	struct loop_timer *deadline;
	transcript_read_fn *fn;
	void *arg;
};

struct reading {
	struct fleet *f;
	struct loop_timer *timer;
	struct track *first, **last;
	struct read_wait *waits;
};

/* transcript.c */
void tracks_look(struct unit *u); /* how long the copies are, on this host */

/* transcript_read.c */
void track_due(struct track *t); /* there may be more of its copy than was read */
bool tracks_read(const struct unit *u); /* all that is known to be copied */
void reading_drop(struct unit *u); /* nothing of it is read any more; who waits hears so */

#endif
