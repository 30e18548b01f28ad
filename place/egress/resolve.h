/* SPDX-License-Identifier: ISC */
/*
 * Names to addresses, by the host's own resolver (getaddrinfo: /etc/hosts, nsswitch, search order),
 * which blocks: a fixed number of threads do that and nothing else. A call that takes longer than its
 * caller's deadline is left behind; its thread is busy until the resolver gives up.
 */
#ifndef EGRESS_RESOLVE_H
#define EGRESS_RESOLVE_H

#include <stddef.h>

#include "base/loop.h"
#include "ipc/hostport.h"

#define RESOLVE_THREADS 4
#define RESOLVE_QUEUE_MAX 256 /* names waiting for a thread */
#define RESOLVE_DEADLINE_MS 10000
#define RESOLVE_ADDRS_MAX 16 /* of one name; further ones are dropped */

struct resolver;
struct resolve;

/* addrs (borrowed, in the resolver's order of preference, with the port asked for), or error. */
typedef void resolve_fn(void *arg, const struct hostport *addrs, size_t n, const struct err *error);
struct resolver *resolver_create(struct loop *l, struct err *e);
/* Pending calls are dropped silently. Threads inside the system's resolver are left behind. */
void resolver_destroy(struct resolver *r);
/* h must be a name. fn is called once from the loop, unless cancelled before. NULL when the queue is
 * full (ERR_BUSY). */
struct resolve *resolve_start(struct resolver *r, const struct hostport *h, resolve_fn *fn, void *arg,
	struct err *e);
void resolve_cancel(struct resolve *q); /* NULL ok */

/* Tests: another function instead of getaddrinfo and freeaddrinfo; before resolver_create. */
struct addrinfo;
void resolve_set_source(int (*get)(const char *, const char *, const struct addrinfo *,
				struct addrinfo **),
	void (*release)(struct addrinfo *));

#endif
