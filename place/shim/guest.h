/* SPDX-License-Identifier: ISC */
/* The shim's end of the link: connects, keeps connecting, asks the guest program, takes its streams. */
#ifndef SHIM_GUEST_H
#define SHIM_GUEST_H

#include "place/shim/shim.h"

#define GUEST_CALLS_MAX 256

struct guest;

typedef void guest_reply_fn(void *arg, const json_t *ok, const struct err *why); /* one is NULL */

/* Begins to connect to conf->link. on_up is called at the first connection with a guest. */
struct guest *guest_create(struct shim *s, void (*on_up)(struct shim *s));
void guest_destroy(struct guest *g); /* NULL ok */
struct link *guest_link(struct guest *g);
bool guest_is_up(const struct guest *g);
/* Asks the guest program (params stolen, may be NULL); fn is called once, with ERR_TIMEOUT after ms and
 * ERR_UNAVAILABLE when the guest was lost. May be asked before the link is up. */
void guest_call(struct guest *g, const char *op, json_t *params, int64_t ms, guest_reply_fn *fn, void *arg);
/* The holder is gone: nothing will ever answer. */
void guest_gone(struct guest *g);

#endif
