/* SPDX-License-Identifier: ISC */
/* A blocking client of the daemon's socket, for the command line: one connection, no loop. */
#ifndef IPC_CLIENT_H
#define IPC_CLIENT_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct client;

/* ERR_UNREACHABLE when no daemon answers at path. */
int client_connect(const char *path, struct client **ret, struct err *e);
void client_close(struct client *c);
/* Called for each notification that arrives while waiting (progress, event). */
typedef void client_notify_fn(void *arg, const char *method, json_t *params);
void client_on_notify(struct client *c, client_notify_fn *fn, void *arg);
/* Sends and waits for the answer; timeout_ms -1: for ever. params stolen; *ret a new reference.
 * Interrupted by a signal whose handler set *stop (may be NULL): ERR_CANCELLED. */
int client_call(struct client *c, const char *method, json_t *params, int64_t timeout_ms,
	const volatile int *stop, json_t **ret, struct err *e);
/* Waits for notifications (events --follow) until *stop, the end of the connection (-1) or
 * timeout_ms (0). */
int client_pump(struct client *c, int64_t timeout_ms, const volatile int *stop, struct err *e);
/* After a call that failed: the connection ended before the other side had taken the request, of which so
 * nothing was done (it was dying: the kernel accepts connections until a process is all gone). */
bool client_unheard(const struct client *c);
int client_fd(const struct client *c); /* stays the client's */
/* poll() until a deadline of clock_mono_ms (-1: none) that does not miss *stop (may be NULL): what poll
 * returns, 0 at the deadline, -1 with ERR_CANCELLED or ERR_IO. For waits beside the client's own. */
int client_poll(struct pollfd *p, size_t n, int64_t deadline, const volatile int *stop, struct err *e);

#endif
