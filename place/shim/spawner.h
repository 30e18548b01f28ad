/* SPDX-License-Identifier: ISC */
/*
 * Starts file servers. Where the shim gives its privileges up and file servers run as another user, a
 * child that keeps them does it: it knows nothing but place.json's list of folders, and takes an index
 * into it.
 */
#ifndef SHIM_SPAWNER_H
#define SHIM_SPAWNER_H

#include "place/shim/conf.h"

struct spawner;

/* Call before the loop is made and before privileges are dropped. */
int spawner_create(const struct conf *c, struct spawner **ret, struct err *e);
void spawner_destroy(struct spawner *sp); /* NULL ok */
/* Starts the file server of a folder; *ret_fd (non-blocking) is its connection. It ends with it. */
int spawner_files(struct spawner *sp, const struct conf_mount *m, int *ret_fd, struct err *e);
/* The helper's pid, or 0. */
pid_t spawner_pid(const struct spawner *sp);

#endif
