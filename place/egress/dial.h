/* SPDX-License-Identifier: ISC */
/*
 * Connects to the first of several addresses that answers: each next one is tried when the one before
 * failed or has not answered within DIAL_STAGGER_MS (RFC 8305), all within DIAL_DEADLINE_MS.
 */
#ifndef EGRESS_DIAL_H
#define EGRESS_DIAL_H

#include <stddef.h>

#include "base/loop.h"
#include "ipc/hostport.h"

#define DIAL_ADDRS_MAX 16
#define DIAL_STAGGER_MS 250
#define DIAL_DEADLINE_MS 15000

struct dial;

/* fd is the callee's, connected and non-blocking; or -1 and error. */
typedef void dial_fn(void *arg, int fd, const struct err *error);
/* addrs are copied; fn is called once from the loop, unless cancelled before. */
struct dial *dial_start(struct loop *l, const struct hostport *addrs, size_t n, dial_fn *fn,
	void *arg);
void dial_cancel(struct dial *d); /* NULL ok */

#endif
