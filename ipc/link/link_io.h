/* SPDX-License-Identifier: ISC */
/* Joins a link to a descriptor and the loop: reads, pulls, writes, keeps its time. */
#ifndef IPC_LINK_LINK_IO_H
#define IPC_LINK_LINK_IO_H

#include "base/loop.h"
#include "ipc/link/link.h"

struct link_io;

struct link_io_ops {
	/* The connection ended (after link_disconnected). Call link_io_detach or link_io_attach from here
	 * or later. Never called for a port. */
	void (*on_end)(void *arg, const char *reason);
};

/*
 * Makes the link, too: `ops` are the owner's; on_output and on_deadline are taken care of (and are
 * ignored when set). Nothing is connected yet.
 */
struct link_io *link_io_create(struct loop *l, const struct link_config *c,
	const struct link_ops *ops, void *arg, const struct link_io_ops *io_ops);
void link_io_destroy(struct link_io *io); /* the link as well; not from within its callbacks. NULL ok */
struct link *link_io_link(struct link_io *io);

/* Takes fd over (a connected unix socket, non-blocking) in place of an earlier one. */
void link_io_attach(struct link_io *io, int fd);
/* As link_io_attach for a socket behind which stands another stream that is not made anew with it:
 * QEMU's side of a virtio-serial port. Filler goes ahead. */
void link_io_attach_shared(struct link_io *io, int fd);
/* Takes over a virtio-serial port (the guest's side), for good: nobody at the other end is no end. */
void link_io_attach_port(struct link_io *io, int fd);
void link_io_detach(struct link_io *io); /* closes the descriptor; the link keeps its streams */
bool link_io_attached(const struct link_io *io);

#endif
