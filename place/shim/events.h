/* SPDX-License-Identifier: ISC */
/* What the daemon is told: numbered, kept until it says that it is durable, bounded. */
#ifndef SHIM_EVENTS_H
#define SHIM_EVENTS_H

#include <jansson.h>
#include <stdint.h>

#include "base/loop.h"
#include "ipc/peer.h"

#define EVENTS_MAX 4096
#define EVENTS_BYTES_MAX (4 * 1024 * 1024)

struct events;

/* on_slow: the daemon does not read; drop its connection, it will hear the rest on its next one. */
struct events *events_create(struct loop *l, void (*on_slow)(void *arg), void *arg);
void events_destroy(struct events *ev); /* NULL ok */
/* The daemon's connection, or NULL. What is kept is sent to a new one, oldest first. */
void events_attach(struct events *ev, struct peer *daemon);
/* A report that says "step" (a tool of a turn begins or ends) may wait for as long as the daemon's last acknowledgement
 * said (EVENTS_STEP_MS at most): it would change nothing until then, so of those that wait only the newest is told.
 * Whatever else is told takes it along, so their order stays; after it steps are told at once again, until the daemon has
 * acknowledged it and said so anew. "waited_ms" in an event says how long it waited. */
#define EVENTS_STEP_MS 10000
/* Tells type with the members of fields (stolen, may be NULL), keeping it until acknowledged. When too
 * many are kept the oldest report is dropped and counted in the next event's "dropped". */
void events_tell(struct events *ev, const char *type, json_t *fields);
/* The same with seq 0: lost when no daemon is there. */
void events_mention(struct events *ev, const char *type, json_t *fields);
void events_ack(struct events *ev, uint64_t seq, int64_t steps_wait_ms);
uint64_t events_last(const struct events *ev);

#endif
