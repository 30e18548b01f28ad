/* SPDX-License-Identifier: ISC */
/*
 * What an instance's restart policy remembers, as plain data: it is kept with the row, so that a daemon which
 * is killed in the middle of a wait goes on with it. Times are of the boot's clock (base/clock.h), which no
 * change of the wall clock moves; after a boot of the host the wall clock says how long it was away.
 */
#ifndef DAEMON_MODEL_AGAIN_H
#define DAEMON_MODEL_AGAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define AGAIN_BOOT_SIZE 37
#define AGAIN_FAILURES_MAX 32 /* remembered */

enum restart_policy { RESTART_NEVER, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_POLICIES };

struct again {
	bool waits;         /* for at_ms, to be started again */
	int64_t at_ms;
	int64_t tries;      /* starts by its policy since it last ran well */
	bool started;       /* its program was ready, at started_ms */
	int64_t started_ms;
	int nfailed;        /* failures remembered, the oldest first */
	int64_t failed_ms[AGAIN_FAILURES_MAX];
	char boot[AGAIN_BOOT_SIZE]; /* the boot these times are of; "" when nothing was written yet */
	int64_t boot_ms, wall_ms;   /* both clocks, read at one moment */
};

const char *restart_policy_name(enum restart_policy p);
int restart_policy_from_name(const char *s, enum restart_policy *ret); /* -1 when unknown */

/* New reference; NULL when there is nothing to remember. */
json_t *again_to_json(const struct again *a);
/* What is missing or cannot be is as if it had not been written. */
void again_from_json(struct again *a, const json_t *o);
/* Translates to the boot that is now; a wall clock that was set back means that no time has passed. */
void again_rebase(struct again *a, const char *boot, int64_t boot_ms, int64_t wall_ms);

#endif
