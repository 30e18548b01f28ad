/* SPDX-License-Identifier: ISC */
/*
 * The daemon's socket: accepts, checks who calls and what was said, hands the call to its handler,
 * answers. Handlers only translate between JSON and core.
 */
#ifndef DAEMON_API_H
#define DAEMON_API_H

#include "daemon/world/world.h"

struct api;

/* Takes listen_fd over (bound by main before anything else is done). */
struct api *api_create(struct world *w, int listen_fd);
/* Takes connections at another descriptor from now on (taken over; -1: no more); those that stand go on. */
void api_listen(struct api *a, int listen_fd);
void api_destroy(struct api *a);
/* main is told to end: all: every instance was ended before. */
void api_on_down(struct api *a, void (*fn)(void *arg), void *arg);

#endif
