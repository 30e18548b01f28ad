/* SPDX-License-Identifier: ISC */
/* Waiting for a socket to be listened on in a place's folder. */
#ifndef DAEMON_SHIMCTL_FIND_H
#define DAEMON_SHIMCTL_FIND_H

#include "base/err.h"
#include "base/loop.h"

struct find;

/* fn is called whenever the socket may be there; when it is, it calls find_stop. */
struct find *find_create(struct loop *l, const char *dir, const char *socket, void (*fn)(void *arg), void *arg);
void find_destroy(struct find *f); /* NULL ok; safe in fn */
/* ERR_FAILED when the folder cannot be watched. */
int find_start(struct find *f, struct err *e);
void find_stop(struct find *f); /* also of one that does not wait */
/* At the daemon's end, before loop_destroy. */
void find_finish(void);

#endif
