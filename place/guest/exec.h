/* SPDX-License-Identifier: ISC */
/* Programs run for one caller: they end with it. */
#ifndef PLACE_GUEST_EXEC_H
#define PLACE_GUEST_EXEC_H

#include "place/guest/guest.h"

#define EXECS_MAX 64

/* {"kind":"exec","argv","env","cwd","user","tty":null|{"rows","cols"}} */
void exec_run(struct guest *g, struct link_stream *s, const json_t *what);
void exec_signal_all(struct guest *g, int sig);
bool exec_owns(const struct guest *g, pid_t pid);
void exec_destroy_all(struct guest *g);

#endif
