/* SPDX-License-Identifier: ISC */
/*
 * Tells people of what needs them, on channels of their choice, each thing once on each channel. docs/attention.md has
 * what is promised.
 *
 * Theory. What comes onto the list becomes a row (notified) for each channel that wants its reason, in the transaction
 * that puts it there; what leaves the list before its time loses it. When the oldest of a channel is due (notify_delay),
 * nothing of the channel is under way, its last notice is long enough ago (notify_every) and no quiet hours are, all that
 * waits becomes one notice: its row and body, and that these things went into it, are on disk before it is sent.
 *
 *   PENDING --its time--> SENDING --it runs--> BEGUN --its outcome--> SENT, FAILED, or PENDING again (a post, later)
 *
 * So a daemon that dies sends nothing of what was told, and forgets nothing of what was not. Between SENDING and BEGUN
 * (milliseconds) it cannot be known whether it was begun: it is sent again, under the same id. One that was begun is not
 * (UNKNOWN), but for a post, which may be made again: whoever receives it knows it by its id.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "base/loop.h"
#include "daemon/model/attention.h"
#include "daemon/store/store.h"
#include "ipc/config.h"

struct notify;

struct notify_ops {
	/* Writes of this turn went into the store (r 0), or failed (e). */
	void (*wrote)(void *arg, int r, const struct err *e);
	/* Runs fn once this turn's writes are on disk; not when they could not be. */
	void (*after)(void *arg, void (*fn)(void *fn_arg), void *fn_arg);
	/* What needs a person, by its key, and whose it is (may be NULL); NULL: nobody, or it was put aside. */
	const struct attention *(*item)(void *arg, const char *key, const char **ret_name);
	/* Writes these bytes to the terminals that are attached to agents. */
	void (*ring)(void *arg, const void *data, size_t len);
};

struct notify *notify_create(struct loop *l, struct store *s, const struct config *c, const struct notify_ops *ops, void *arg);
/* The rows of an earlier daemon; nothing is sent before. -1: they cannot be read. */
int notify_load(struct notify *n, struct err *e);
void notify_destroy(struct notify *n);
/* A thing came onto the list, or is another now. In the turn that writes that. */
void notify_item(struct notify *n, const struct attention *a);
void notify_gone(struct notify *n, const char *key); /* it left the list */
/* A notice on that channel (NULL: on all that are on), now. -1: there is no such one, or it is off. */
int notify_test(struct notify *n, const char *channel, struct err *e);
json_t *notify_status(const struct notify *n, int64_t limit, struct err *e); /* new; NULL on error */

#endif
