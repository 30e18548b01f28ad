/* SPDX-License-Identifier: ISC */
/*
 * The daemon's socket, kept where it belongs. A logout deletes the runtime folder, and more than that; somebody may
 * move the socket or put something else in its place. The folder and what is above it are watched, not polled, and the
 * socket is made again as soon as it can be; SIGUSR1 makes the daemon look at once. Connections that stand are
 * not touched. When the state folder itself is moved or removed, nothing more can be recorded where it would be found:
 * that is told, and the daemon is to end.
 */
#ifndef DAEMON_DOOR_H
#define DAEMON_DOOR_H

#include "base/loop.h"
#include "ipc/layout.h"

struct door;

struct door_ops {
	void (*moved)(void *arg, int listen_fd); /* a new descriptor, taken over; the old one is to be closed */
	void (*homeless)(void *arg); /* the state folder is gone: once */
};

/* The socket stands. lock_fd: the home's lock. All borrowed. */
struct door *door_create(struct loop *l, const struct layout *layout, int lock_fd, const struct door_ops *ops,
	void *arg);
void door_destroy(struct door *d);
/* Removes the socket if it is still ours, for good: it is not made again. NULL: nothing. */
void door_close(struct door *d);

#endif
