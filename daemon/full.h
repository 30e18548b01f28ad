/* SPDX-License-Identifier: ISC */
/*
 * A full disk. When a commit failed for want of room, everybody of that turn has heard so, and what stands in memory is
 * no longer what stands on the disk: the daemon becomes a new one (the same process, executed anew) that only looks, as
 * at a damaged database, and tries with growing pauses whether there is room again. Then it is executed once more and
 * starts as after any death. Nothing tells of room that came free, so it is asked for: one call a try.
 */
#ifndef DAEMON_FULL_H
#define DAEMON_FULL_H

#include "base/loop.h"

/* Free room without which nothing is begun: some turns' worth of the database's log. */
#define FULL_ROOM_BYTES (1024 * 1024)
#define FULL_TIMES_MAX 1000

struct full;

/* May so much be written in that folder? 0; ERR_DISK with what to do; other errors are 0, too: they are told
 * by what comes upon them. */
int full_probe(const char *dir, struct err *e);
/* Tries until there is room, then calls fn once. times: how often in a row the room that was found did not do, the
 * longer is the first pause. dir is borrowed. */
struct full *full_watch(struct loop *l, const char *dir, int times, void (*fn)(void *arg), void *arg);
void full_destroy(struct full *f);
/* Executes the program anew, with the option --full (it waits for room first) or --was-full. Returns only when that
 * failed. */
int full_execute(const char *name, bool waits, int times, struct err *e);
/* Children of the program that was executed before in this process: somebody has to reap them. */
void full_reap(struct loop *l);

#endif
