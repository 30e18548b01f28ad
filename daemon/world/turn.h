/* SPDX-License-Identifier: ISC */
/*
 * One turn of the loop is one transaction: writes are gathered, committed once at the turn's end, and
 * only then are events published, callers answered and effects on the world begun.
 */
#ifndef DAEMON_TURN_H
#define DAEMON_TURN_H

#include "daemon/bus/bus.h"
#include "daemon/core/port.h"

struct turn;

struct turn *turn_create(struct loop *l, struct store *s, struct bus *b);
void turn_destroy(struct turn *t);
/* A write failed: the commit of this turn is given up, everybody hears this error. */
void turn_failed(struct turn *t, const struct err *e);
/* Runs fn after this turn's commit, in order. */
void turn_after(struct turn *t, port_done_fn *fn, void *arg);
/* As turn_after, without hurrying a commit that may wait; something was or will be written this turn. */
void turn_then(struct turn *t, port_done_fn *fn, void *arg);
/* Adds an event to the transaction and publishes it after the commit. data is stolen. */
void turn_event(struct turn *t, enum event_id type, const char *instance, const char *place,
	json_t *data);
/* What is kept of the events; until then EVENTS_KEPT of them. */
#define EVENTS_KEPT 500000
void turn_keep(struct turn *t, const struct events_keep *keep);
/* Something was written: commit at the turn's end. */
void turn_touch(struct turn *t);
uint64_t turn_writes(const struct turn *t); /* how often so far */
/* Between true and false, what is written may wait for company: it is committed with the next thing that
 * may not, or after TURN_LAZY_MS. For what the world will tell again (an agent's screen moves), so that a
 * thousand agents do not mean a thousand commits a second. turn_after never waits. */
#define TURN_LAZY_MS 50
void turn_lazily(struct turn *t, bool lazy);
/* Commits now, until nothing is left to do. For the daemon's end. */
void turn_flush(struct turn *t);
/* As after a commit that failed: the daemon must end. For damage that a read came upon. */
void turn_break(struct turn *t, const struct err *why);
/* A commit failed and memory is ahead of the disk: called once, the daemon must end and start anew. */
void turn_on_broken(struct turn *t, void (*fn)(void *arg, const struct err *why), void *arg);

/* The time for what goes by its age: the wall clock's, but not its jumps (age.h). */
int64_t turn_age_now(struct turn *t);

#endif
