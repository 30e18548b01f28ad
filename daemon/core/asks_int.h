/* SPDX-License-Identifier: ISC */
/* What the files of the queue of approvals share. */
#ifndef DAEMON_CORE_ASKS_INT_H
#define DAEMON_CORE_ASKS_INT_H

#include "daemon/core/asks.h"
#include "daemon/core/fleet_int.h"

/* One request. */
struct ask {
	struct ask *next;
	struct unit *u;
	struct approval *a;
	ask_wait_fn *fn; /* who waits; NULL: nobody (yet) */
	void *arg;
	int64_t alone_ms; /* monotonic: since when nobody waits; 0: somebody does */
	struct loop_timer *timer;
};

/* Of one instance. */
struct asks {
	struct ask *open, *unused; /* in the order in which they came */
	int nopen, nunused;
	struct grant **grants;
	size_t ngrants;
	bool full_told;
};

/* asks.c */
struct asks *asks_of(struct unit *u);
void approval_fresh_id(struct fleet *f, char out[ID_SIZE]);
/* Answered: written down, told, and handed to whoever waits. output is stolen. k may be gone afterwards. */
void ask_settle(struct ask *k, enum approval_status status, const char *by, const char *reason, json_t *output);
/* One was answered through us: what the instance waits for now is the next that is open, or it goes on. */
void asks_state_follows(struct unit *u);

/* grants.c */
struct grant *grant_for(struct unit *u, const struct approval *a); /* NULL: none allows it */
void grant_make(struct unit *u, const struct approval *a, const struct ask_answer *w);
void grants_end(struct unit *u, const char *why);

#endif
