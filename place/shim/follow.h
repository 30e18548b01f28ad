/* SPDX-License-Identifier: ISC */
/* A connection that reads an instance's recording from an offset on, and follows it. */
#ifndef SHIM_FOLLOW_H
#define SHIM_FOLLOW_H

#include "place/shim/inst.h"

struct follow;

/* fd is taken over. since must have been checked to be kept. */
void follow_create(struct inst *i, int fd, const struct buf *rest, uint64_t since, bool follow);
/* There is more in the recording, or the program ended. */
void follow_kick_all(struct follow *list);
void follow_destroy_all(struct follow *list);
void follow_link(struct follow **list, struct follow *f);
void follow_unlink(struct follow **list, struct follow *f);

#endif
