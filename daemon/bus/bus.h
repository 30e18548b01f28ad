/* SPDX-License-Identifier: ISC */
/*
 * Publishes events after commit. A subscriber has a cursor into the stored events and is fed from
 * the store in pages, up to the last event that is on disk, so that nothing is lost or told twice wherever it starts; once it has caught up,
 * fresh events go to it directly. One that cannot keep up is told so and dropped by its owner.
 */
#ifndef DAEMON_BUS_H
#define DAEMON_BUS_H

#include <jansson.h>

#include "base/loop.h"
#include "daemon/store/store.h"

struct bus;
struct bus_subscriber;

struct bus_ops {
	/* Sends one event (borrowed); -1: the subscriber's queue is full. */
	int (*send)(void *arg, json_t *event);
	/* How many more bytes its queue takes well. */
	size_t (*room)(void *arg);
	/* It fell behind its bounded queue: tell and drop it (bus_unsubscribe is done already). */
	void (*too_slow)(void *arg);
};

struct bus *bus_create(struct loop *l, struct store *s);
void bus_destroy(struct bus *b);
/* From the first event after `since`. */
struct bus_subscriber *bus_subscribe(struct bus *b, int64_t since, const struct bus_ops *ops, void *arg);
void bus_unsubscribe(struct bus_subscriber *s);
/* The queue has room again: goes on feeding it. */
void bus_drained(struct bus_subscriber *s);
/* Events (an array, in order) are durable now. */
void bus_publish(struct bus *b, const json_t *events);

#endif
