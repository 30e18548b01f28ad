/* SPDX-License-Identifier: ISC */
/*
 * Publishes events after commit. A subscriber has a cursor into the stored events and is fed from
 * the store in pages, up to the last event that is on disk, so that nothing is lost or told twice wherever it starts;
 * once it has caught up, fresh events go to it directly. While its queue is full it is fed no further: its queue is
 * bounded, and its events wait on the disk. One that takes nothing for bus_patience, or whose next event is not
 * kept any more, is told the last event it was given and why it ends, and dropped; nobody else waits for it.
 *
 * A subscriber that wants some events only is told its position now and then, so that it can go on from there.
 */
#ifndef DAEMON_BUS_H
#define DAEMON_BUS_H

#include <jansson.h>

#include "base/loop.h"
#include "daemon/store/store.h"

#define BUS_PATIENCE_MS 30000
#define BUS_POSITION_EVERY 256 /* events that it did not want, at most, before it is told where it is */

struct bus;
struct bus_subscriber;

struct bus_ops {
	/* Sends one event (borrowed); -1: the subscriber's queue is full. */
	int (*send)(void *arg, json_t *event);
	/* How many more bytes its queue takes well. */
	size_t (*room)(void *arg);
	/* It is dropped (bus_unsubscribe is done already): why, and after which event it may go on. */
	void (*dropped)(void *arg, const struct err *why, int64_t seq);
	/* Does it want this one? NULL: all. */
	bool (*wants)(void *arg, const json_t *event);
	/* All up to here that it wants was sent. Called only after it did not want something; may be NULL. */
	void (*position)(void *arg, int64_t seq);
};

struct bus *bus_create(struct loop *l, struct store *s);
void bus_destroy(struct bus *b);
/* How long a subscriber may take nothing of its full queue; 0: BUS_PATIENCE_MS. */
void bus_patience(struct bus *b, int64_t ms);
/* From the first event after `since`. */
struct bus_subscriber *bus_subscribe(struct bus *b, int64_t since, const struct bus_ops *ops, void *arg);
void bus_unsubscribe(struct bus_subscriber *s);
/* The queue has room again: goes on feeding it. */
void bus_drained(struct bus_subscriber *s);
/* Events (an array, in order) are durable now. */
void bus_publish(struct bus *b, const json_t *events);
size_t bus_count(const struct bus *b);

#endif
