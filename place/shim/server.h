/* SPDX-License-Identifier: ISC */
/* shim.sock: takes connections, hears what each is for, hands it on. */
#ifndef SHIM_SERVER_H
#define SHIM_SERVER_H

#include "place/shim/shim.h"

#define SERVER_CONNS_MAX 256 /* that have not said hello yet */
#define SERVER_HELLO_MS 10000
#define SERVER_VIEW_MS 120000 /* a view waits this long for its instance */

struct server;

/* Listens on SHIM_SOCKET in the current folder; peers of this process' uid (now) or root's are let in. */
int server_create(struct shim *s, struct server **ret, struct err *e);
/* For events_create: drops the daemon that does not read. arg: the shim. */
void server_control_slow(void *arg);
void server_destroy(struct server *v); /* the socket's file stays; NULL ok */
/* An instance is there: views that waited for it are let in. */
void server_instance_ready(struct shim *s, struct inst *i);

#endif
