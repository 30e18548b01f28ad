/* SPDX-License-Identifier: ISC */
/* Programs run beside the instances: a ticket from the daemon, then a connection of the user's. */
#ifndef SHIM_EXEC_H
#define SHIM_EXEC_H

#include "place/shim/shim.h"

#define EXEC_TICKET_LEN 32 /* hex digits */
#define EXEC_TICKET_MS 30000
#define EXEC_TICKETS_MAX 64

/* Keeps what is to be run; ticket gets EXEC_TICKET_LEN digits and a NUL. */
int exec_ticket(struct shim *s, const json_t *params, char ticket[EXEC_TICKET_LEN + 1], struct err *e);
/* Takes what a ticket stands for (once); NULL and *e when there is none. New reference. */
json_t *exec_redeem(struct shim *s, const char *ticket, struct err *e);
/* Runs it for the connection, which is taken over. */
void exec_create(struct shim *s, int fd, const struct buf *rest, json_t *params);
/* The guest's stream for the stderr of one of ours; refused (reset) when it is none. */
void exec_stderr(struct shim *s, struct link_stream *stream, const json_t *what);
void exec_finish(struct shim *s); /* tickets */

#endif
