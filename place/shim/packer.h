/* SPDX-License-Identifier: ISC */
/*
 * Has closed segments packed by a program of its own (record/main.c): the shim stays small and quick,
 * and what was begun ends even when the shim is gone. One packer a recording at a time.
 */
#ifndef SHIM_PACKER_H
#define SHIM_PACKER_H

#include "base/loop.h"
#include "place/shim/record.h"

struct packer;

/* Call before privileges are dropped: the program's place may be closed to us afterwards. Without the
 * program nothing is packed, which is logged. */
struct packer *packer_create(void);
/* Packers that run go on. */
void packer_destroy(struct packer *p); /* NULL ok */
/* Packs what is closed, one segment after the other, and tells r by record_packed. */
void packer_kick(struct packer *p, struct loop *l, struct record *r);
/* Can it start packers at all? NULL ok. */
bool packer_able(const struct packer *p);
/* Is that child one of ours? Who reaps what nobody waits for, or ends what is left, must leave it alone. */
bool packer_owns(const struct packer *p, pid_t pid);
/* r is going. */
void packer_forget(struct packer *p, struct record *r);

#endif
