/* SPDX-License-Identifier: ISC */
/*
 * A non-blocking byte connection on the loop with bounded buffers both ways: what every server,
 * client and relay of the project stands on. It reads while there is room, tells its owner, and
 * writes what the owner appends as the peer takes it.
 */
#ifndef BASE_CONN_H
#define BASE_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/loop.h"

#define CONN_FDS_MAX 8 /* descriptors waiting in one direction of a connection */

struct conn;

struct conn_ops {
	/* New bytes stand in `in`; consume what is understood. Called again only when more arrive
	 * (or by conn_kick). `in` full and nothing consumed means: the message is too large. */
	void (*on_data)(void *arg, struct buf *in);
	/* The output buffer became empty. May be NULL. */
	void (*on_drain)(void *arg);
	/* The peer closed or an error occurred: reason is "" for an orderly end. Called once, never
	 * from inside conn_write. What was read before has been given to on_data. The owner calls
	 * conn_destroy from here or later. */
	void (*on_close)(void *arg, const char *reason);
};

/* Takes fd over. wfd: a second descriptor for writing (pipes), or -1 for the same. */
struct conn *conn_create(struct loop *l, int fd, int wfd, size_t in_max, size_t out_max,
	const struct conn_ops *ops, void *arg);
void conn_destroy(struct conn *c); /* closes at once; NULL ok; safe inside callbacks */
/* Queues bytes: 0, or -1 when the out buffer's bound would be passed (nothing queued): the peer is
 * too slow, decide what that means. Tries to write at once when the queue was empty. */
int conn_write(struct conn *c, const void *data, size_t len);
/* The same of several pieces, at most CONN_PARTS_MAX, one behind the other, all or nothing. What the kernel takes at
 * once is copied nowhere else. */
#define CONN_PARTS_MAX 4
int conn_writev(struct conn *c, const struct iovec *parts, int n);
/* Between true and false small writes are gathered, to go out in one piece: for many answers in one
 * turn. */
void conn_cork(struct conn *c, bool corked);
/* As conn_write over a unix socket, with a descriptor on the first byte. fd stays the caller's (a copy
 * waits). -1 also when CONN_FDS_MAX wait already, or none can be copied. */
int conn_write_fd(struct conn *c, const void *data, size_t len, int fd);
/* From now on descriptors that come with the bytes are kept (otherwise the kernel closes them); more
 * than CONN_FDS_MAX untaken ones end the connection. */
void conn_accept_fds(struct conn *c);
int conn_take_fd(struct conn *c); /* the oldest, now the caller's; -1: none */
size_t conn_out_pending(const struct conn *c);
size_t conn_out_room(const struct conn *c);
void conn_pause(struct conn *c, bool paused); /* stop/resume reading: back-pressure */
void conn_kick(struct conn *c);               /* calls on_data again soon, if bytes are there */
/* Puts bytes that were read elsewhere (with an earlier protocol's last message) where on_data finds
 * them, behind what stands there, and calls it soon. -1 when the in buffer's bound would be passed. */
int conn_unread(struct conn *c, const void *data, size_t len);
/* Ends after the output is written: then the write side is shut (or closed). Reading goes on. */
void conn_shutdown(struct conn *c);
/* Destroys itself once the output is written, or after ms. The owner must forget c. */
void conn_finish(struct conn *c, int ms);
int conn_fd(const struct conn *c);
/* Destroys c but for its descriptor, which is returned; what stands unread in `in` and unsent is
 * lost: take it before. For one descriptor only. */
int conn_release(struct conn *c);

#endif
