/* SPDX-License-Identifier: ISC */
/*
 * What agents ask a person for: a queue on disk. Core's public face of it; docs/approvals.md has the rules.
 */
#ifndef DAEMON_CORE_ASKS_H
#define DAEMON_CORE_ASKS_H

#include "daemon/core/fleet.h"

#define ASKS_MAX 32   /* open ones of one instance; what is more is left to its terminal */
#define GRANTS_MAX 64 /* of one instance */

/* Loading at start, after the instances; take ownership. */
void fleet_load_approval(struct fleet *f, struct approval *a);
void fleet_load_grant(struct fleet *f, struct grant *g);

/* The hook of a request waits: fn is called once with what it is to print (NULL: nothing, it is left to the
 * terminal), maybe before this returns. */
typedef void ask_wait_fn(void *arg, const char *output);
void fleet_ask_wait(struct fleet *f, struct instance *in, const char *once, ask_wait_fn *fn, void *arg);
/* The one who waits with this arg is gone, for good or (place_lost) with the way to it; fn is not called any more. */
void fleet_ask_gone(struct fleet *f, const char *instance, void *arg, bool place_lost);

/* Of an instance (NULL: of all) the open ones, in the order in which they came. */
void fleet_asks_each(struct fleet *f, void (*fn)(void *arg, const struct approval *a), void *arg);
/* By id or a unique beginning among the open ones; else by id among all that are kept. Owned copy of the row:
 * approval_free. NULL with ERR_NOT_FOUND, ERR_AMBIGUOUS. */
struct approval *fleet_ask_find(struct fleet *f, const char *ref, struct err *e);

struct ask_answer {
	struct agent_verdict verdict;
	const char *by;     /* who answers, for the record */
	bool question;      /* by `answer`: choices were given */
	bool leave;         /* no answer: its program is to ask at its terminal; the rest means nothing */
	/* With allow: a rule for what the instance asks later. */
	bool always;
	int64_t for_ms;     /* 0: no rule (unless always) */
	bool whole_tool;
};
/* Answers all of these (ids, each open) or none: -1 says which and why not. */
int fleet_asks_answer(struct fleet *f, char *const *ids, const struct ask_answer *a, struct err *e);

/* Of an instance, or (NULL) of all. */
void fleet_grants_each(struct fleet *f, const struct instance *in, void (*fn)(void *arg, const struct grant *g),
	void *arg);
/* By id or unique beginning: it holds no more. *ret: what it was; grant_free. */
int fleet_grant_revoke(struct fleet *f, const char *ref, struct grant **ret, struct err *e);

#endif
