/* SPDX-License-Identifier: ISC */
/*
 * One private tmux server: started when needed, connected again when our client dies, replaced when it
 * dies or wedges, ended when asked.
 *
 * Theory. Two control clients sit on the server's hub session: one for commands, one that does
 * nothing but wait for events. Hooks (conf.c) append to a server-wide option and signal a channel;
 * the events client waits for the channel (`wait-for` answers at once, but holds its client's queue),
 * and the line behind it reads and empties the option in one go.
 *
 *   CONNECTING --up--> READY --down--> CONNECTING (at once, then backing off)
 *        `--deadline--> KILLING <--deadline--'      --pid gone--> CONNECTING
 *   any --stop--> STOPPING --pid gone--> gone      KILLING, cannot be killed --> HAUNTED --pid gone--> gone
 *
 * The two connect one after the other, and no command of ours is under way meanwhile: until about 3.7 a
 * session that comes or goes while a control client is half connected crashes the server (tmux pull
 * request 4980; killing such a client does too, 5004), so a half connected one is always waited for.
 * When the events client alone dies, new commands are held back, those under way are let finish, then it is replaced, and on_event says resync.
 *
 * A server may have been started by a person's hand, or by a daemon with another configuration: a stamp set by
 * the last line of ours tells, and where it differs the file is sourced before anything else is done.
 *
 * A client's down does not say whether the server died. It need not: connecting starts a server where
 * none is, and the pid behind the socket (SO_PEERCRED) says whether it is the same one. What stands on
 * it is for the owner to list after each on_ready, and again when on_event says resync. Commands that
 * were under way when a client went down fail as unavailable: done or not, the listing tells.
 */
#ifndef DAEMON_TMUX_SHARD_H
#define DAEMON_TMUX_SHARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "daemon/tmux/client.h"

#define TMUX_KILL_MS 2000     /* a server that was told or made to end has this long */
#define TMUX_BACKOFF_MS 50    /* doubled at each failed attempt behind the first */
#define TMUX_BACKOFF_MAX 5000
#define TMUX_CALM_MS 10000    /* ready for this long: earlier failures are forgotten */

struct tmux_shard;

struct tmux_shard_env {
	struct loop *loop;
	struct tmux_reaper *reaper;
	const char *program, *conf;
	const char *stamp; /* what conf sets TMUX_CONF_OPTION to */
	char *const *env;
	int deadline_ms, start_ms;
};

struct tmux_shard_ops {
	/* Commands can be sent. fresh: another server than before, with nothing of ours on it. */
	void (*on_ready)(void *arg, bool fresh);
	/* Not any more; the shard is at work on it. attempts: failures in a row. tmux_shard_stop may be
	 * called from here. */
	void (*on_down)(void *arg, const struct err *e, unsigned attempts);
	/* A command was refused as ERR_BUSY, and there is room again. */
	void (*on_room)(void *arg);
	/* What hooks said, records ended by ';', or NULL: some may have been missed, list again. */
	void (*on_event)(void *arg, const char *records);
	/* The server's process cannot be ended; its number stays taken until on_gone. */
	void (*on_haunted)(void *arg);
	/* The server has ended and will not be started again; destroy the shard here or later. */
	void (*on_gone)(void *arg);
};

/* Begins to connect at once; failures are told by on_down, never from inside here. env must outlive it. */
struct tmux_shard *tmux_shard_create(const struct tmux_shard_env *env, const char *dir,
	unsigned number, const struct tmux_shard_ops *ops, void *arg);
/* Lets go; the server stays. NULL ok. */
void tmux_shard_destroy(struct tmux_shard *s);
/* Ends the server: TERM, KILL at its deadline. */
void tmux_shard_stop(struct tmux_shard *s);
bool tmux_shard_ready(const struct tmux_shard *s);
/* As tmux_client_send. *ret_seq (may be NULL) numbers the commands of this shard in their order. */
int tmux_shard_send(struct tmux_shard *s, struct tmux_cmd *cmd, tmux_reply_fn *fn, void *arg,
	uint64_t *ret_seq, struct err *e);
/* To be called now and then while it matters that the server answers: nothing else tells of one that wedges
 * when no command goes out. One line, and its deadline. */
void tmux_shard_pulse(struct tmux_shard *s);
unsigned tmux_shard_number(const struct tmux_shard *s);
const char *tmux_shard_socket(const struct tmux_shard *s);
/*
 * Makes the server look for ended programs. tmux built with libutempter (Debian's is) runs a helper at each
 * pane's start and end, under a SIGCHLD handler of that library; a program that ends meanwhile stays a
 * zombie and its pane without a status, until the next SIGCHLD (tmux issue 311; up to 3.4).
 */
void tmux_shard_nudge(struct tmux_shard *s);
/* Removes what a dead server left behind: its socket and lock. */
void tmux_shard_sweep(const char *socket);

#endif
