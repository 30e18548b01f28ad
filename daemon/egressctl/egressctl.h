/* SPDX-License-Identifier: ISC */
/*
 * The daemon's end of tmux-claude-egress: starts it when none runs, tells it which place may reach what,
 * hears what was denied. The program survives the daemon; lists are told again after either restarts.
 */
#ifndef DAEMON_EGRESSCTL_H
#define DAEMON_EGRESSCTL_H

#include <jansson.h>

#include "base/loop.h"
#include "ipc/layout.h"

struct egressctl;

struct egressctl_ops {
	/* A connection was not let out: data {host, port, reason, count}, stolen. Call egressctl_ack with
	 * seq once it is durable. */
	void (*on_denied)(void *arg, uint64_t seq, const char *place, json_t *data);
};

struct egressctl *egressctl_create(struct loop *l, const struct layout *layout,
	const struct egressctl_ops *ops, void *arg);
void egressctl_destroy(struct egressctl *c); /* the program lives on */
/* The place may reach allow (HOST:PORT, NULL-terminated) through S/p/PLACE/egress.sock, which is made
 * here with that owner (uid -1: ours). Known places are told again whenever the program is new. */
int egressctl_add(struct egressctl *c, const char *place, char *const *allow, uid_t uid, gid_t gid,
	struct err *e);
void egressctl_remove(struct egressctl *c, const char *place);
void egressctl_ack(struct egressctl *c, uint64_t seq);
/* Ends the program (down --all); returns at once. */
void egressctl_end(struct egressctl *c);

#endif
