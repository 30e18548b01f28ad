/* SPDX-License-Identifier: ISC */
/*
 * The daemon's socket: JSON-RPC lines.
 *
 *   place.add {place, allow[]}   with the place's listening socket as a descriptor on the line; without
 *                                one a known place keeps its socket and gets the new list. {}
 *   place.remove {place}         {}
 *   status {}                    {version, pid, epoch, places[]}
 *   ack {seq, epoch?}            denials up to seq (of this epoch) are durable. {}
 *   end                          a notification: the program ends
 *   denied {seq, epoch, place, host, port, reason, count}   a notification from us
 *
 * place.remove and ack may be notifications too. seq counts from 1 in each epoch (a process). A newer connection replaces the older; its denials are
 * told again from the first that is not acknowledged. The end of a connection changes nothing.
 */
#ifndef EGRESS_CONTROL_H
#define EGRESS_CONTROL_H

#include "base/loop.h"

struct control;

/* Listens at path (0600); peers must have this process's uid or root's. */
struct control *control_create(struct loop *l, const char *path, struct err *e);
/* Starts to serve: places, resolver, threads. After privileges were dropped. */
int control_start(struct control *c, struct err *e);
void control_destroy(struct control *c);

#endif
