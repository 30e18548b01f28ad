/* SPDX-License-Identifier: ISC */
/* What shard.c and shard_events.c share; shard.h has the theory. */
#ifndef DAEMON_TMUX_SHARD_OWN_H
#define DAEMON_TMUX_SHARD_OWN_H

#include "base/sock.h"
#include "daemon/tmux/shard.h"

enum shard_state {
	SHARD_CONNECTING, /* clients are being started, or a timer runs until the next attempt */
	SHARD_READY,
	SHARD_KILLING,
	SHARD_STOPPING,
	SHARD_HAUNTED,
	SHARD_GONE
};

struct tmux_shard {
	const struct tmux_shard_env *env;
	const struct tmux_shard_ops *ops;
	void *arg;
	unsigned number;
	char socket[SOCK_PATH_MAX + 1];
	struct tmux_client_spec spec;
	enum shard_state state;
	bool stop_wanted;
	bool cmd_up, fresh; /* fresh: to be told when ready */
	bool quiet;         /* READY, but the events client is being replaced */
	unsigned attempts;
	int64_t ready_since;
	uint64_t seq;
	struct tmux_client *cmd, *events;
	bool events_up;
	unsigned events_attempts;
	struct loop_timer *timer;        /* next attempt; patience with an ending server */
	struct loop_timer *events_timer; /* next attempt of the events client */
	pid_t server;
	uint64_t server_start;
	struct loop_child *server_watch;
};

/* shard.c */
int shard_backoff_ms(unsigned attempts);
void shard_kill(struct tmux_shard *s);
void shard_ready(struct tmux_shard *s);

/* shard_events.c */
void events_connect(struct tmux_shard *s);
void events_again(void *shard); /* the timer of the next attempt */

#endif
