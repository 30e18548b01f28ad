/* SPDX-License-Identifier: ISC */
/*
 * One persistent control-mode client of a tmux server: lines go out pipelined, answers come back in
 * order, each to its own callback.
 *
 * Theory. The client program is `tmux -S SOCKET -f CONF -C new-session -A -s HUB -f
 * no-output,ignore-size`: it starts the server when none runs (tmux's own lock makes one of two racing
 * clients the starter), makes the hub session when it is missing, attaches, and so is all that a start,
 * a reconnect and a take-over need. It receives no pane output, so nothing a pane does can stall it.
 *
 *   STARTING --first guard (flags 0) closes--> UP --EOF, %exit, error guard, deadline--> DOWN
 *
 * Guards with flags 1 answer our lines in the order sent; hooks' guards (flags 0) are skipped. A line of
 * n commands is answered by n blocks, or fewer when one fails: the rest is dropped by tmux.
 * The deadline of a line runs from the moment its predecessor was answered, so a long queue does not
 * count as slowness; one that passes means the server is wedged and is reported as such.
 * tmux_client_destroy closes the pipes rather than signalling (up to 3.6b a signalled client's detach
 * can crash the server), and leaves the process to the reaper, which kills it when it does not end.
 */
#ifndef DAEMON_TMUX_CLIENT_H
#define DAEMON_TMUX_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/loop.h"
#include "daemon/tmux/quote.h"

#define TMUX_HUB "HUB" /* ids are lower case: never one of an agent */
#define TMUX_QUEUE_MAX 1024
#define TMUX_OUT_MAX (4u << 20)
#define TMUX_REPLY_MAX (4u << 20)

struct tmux_client;
struct tmux_reaper;

struct tmux_client_spec {
	const char *program;
	const char *socket;
	const char *conf;
	char *const *env;
	int deadline_ms;
	int start_ms;
};

struct tmux_client_ops {
	void (*on_up)(void *arg);
	/* Once; all waiting lines have been answered with e before. wedged: a deadline passed. */
	void (*on_down)(void *arg, const struct err *e, bool wedged);
	/* A line was refused as ERR_BUSY, and there is room again. May be NULL. */
	void (*on_room)(void *arg);
};

/* e is NULL when the line succeeded; text is the answers' lines joined by newlines (NUL-terminated),
 * or what tmux said when it refused (then e carries it too, as ERR_FAILED). ERR_UNAVAILABLE: the
 * connection ended and whether tmux did it is not known. */
typedef void tmux_reply_fn(void *arg, const struct err *e, const char *text, size_t len);


/* The spec (its strings too) and the reaper must outlive the client. */
int tmux_client_create(struct loop *l, struct tmux_reaper *r, const struct tmux_client_spec *spec,
	const struct tmux_client_ops *ops, void *arg, struct tmux_client **ret, struct err *e);
/* Waiting lines are dropped without a call. Safe in callbacks; NULL ok. */
void tmux_client_destroy(struct tmux_client *c);
/*
 * Sends a line (cmd is ended here; it stays the caller's). forever: no deadline, for wait-for and what
 * stands behind it. -1: not sent: ERR_LIMIT when the line is too long, ERR_BUSY when
 * too much waits, ERR_UNAVAILABLE when the client is not up. fn may be NULL.
 */
int tmux_client_send(struct tmux_client *c, struct tmux_cmd *cmd, bool forever, tmux_reply_fn *fn,
	void *arg, struct err *e);
/*
 * Has a configuration file read. Each command in it is answered by a block of its own, after that of
 * source-file (seen on 3.3a), and nothing tells how many: they are passed over up to a line of ours. What
 * tmux refuses of the file is passed over, too. Otherwise as tmux_client_send.
 */
int tmux_client_source(struct tmux_client *c, const char *path, tmux_reply_fn *fn, void *arg, struct err *e);
/* Gives the client up as if its connection had ended: on_down follows from inside. */
void tmux_client_fail(struct tmux_client *c, const struct err *e, bool wedged);
pid_t tmux_client_pid(const struct tmux_client *c);
size_t tmux_client_waiting(const struct tmux_client *c);

#endif
