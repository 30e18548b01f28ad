/* SPDX-License-Identifier: ISC */
/*
 * Panes for agents: the typed face of the tmux room. Nobody else builds tmux syntax.
 *
 * A pool owns private tmux servers (shards) in one folder and opens panes on them: one session per
 * agent, named by the instance's id, running a viewer's argv. It keeps what was asked for, so that
 * what a person, a crash or a wedged server takes away is brought back without asking again:
 *
 *   open -> (server started when none has room) -> callback -> OPEN
 *   a server is lost, or wedged (a command's deadline passed: it is killed)
 *                              -> on_lost for each of its panes, a new server, in order, on_back
 *   a person kills the pane    -> on_lost, opened again once, on_back; the second time only on_lost
 *   the program in it ends     -> on_died; when it did not end by itself with code 0 it is started
 *                                 again (again=true), in place: viewers stay attached. At once, then
 *                                 with pauses from TMUX_REVIVE_FIRST_MS to _MOST_MS
 *
 * tmux 3.2a drops a pane with its program: there every end, a person's hand too, is reported as on_died
 * with code -1, and counts as one that the program did not choose.
 *
 * "Once" is per TMUX_REVIVE_CALM_MS of quiet. A pane that is not brought back stays known (state
 * DEAD) until it is closed or opened again. Servers outlive the daemon and the pool: tmux_pool_destroy
 * leaves them running, tmux_pool_adopt finds them. A server without panes is ended.
 *
 * Callbacks are never called from inside the function that caused them, and may call anything here
 * but tmux_pool_destroy.
 */
#ifndef DAEMON_TMUX_PANE_H
#define DAEMON_TMUX_PANE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"

#define TMUX_PANES_PER_SERVER 48
#define TMUX_SERVERS_MAX 128
#define TMUX_DEADLINE_MS 10000 /* of one command once its predecessor is answered */
#define TMUX_START_MS 15000    /* until a started server or client answers */
#define TMUX_LINGER_MS 3000    /* an empty server is kept this long for the next pane */
#define TMUX_PULSE_MS 15000    /* a server with panes is heard this often */
#define TMUX_REVIVE_CALM_MS 30000
#define TMUX_REVIVE_FIRST_MS 500
#define TMUX_REVIVE_MOST_MS 4000
#define TMUX_ID_MAX 32       /* instance id: [a-z0-9_-]{1,32} */
#define TMUX_TITLE_MAX 128   /* bytes; longer titles are cut at a character */
#define TMUX_STATUS_MAX 128
#define TMUX_TARGET_MAX 80

struct tmux_pool;

/* Zeroed fields mean the defaults above. */
struct tmux_limits {
	const char *program; /* tmux itself; NULL: found in PATH */
	unsigned panes;      /* per server */
	unsigned servers;
	int deadline_ms;
	int start_ms;
	int linger_ms; /* -1: none */
	int pulse_ms;
	const char *preload; /* no_utmp.c as built, for the servers; NULL or "": none */
	/* A person's own settings, put behind ours: commands as words, in a vector that ends with NULL, as
	 * ipc/tmuxconf.h lets them through. NULL: none. Only needed for tmux_pool_create. */
	char **const *settings;
};

struct tmux_pool_ops {
	/* The pane's program ended. again: it is being started again (on_back follows). */
	void (*on_died)(void *arg, const char *id, struct proc_status st, bool again);
	/* The pane is gone though nobody closed it here. again: it is being brought back. */
	void (*on_lost)(void *arg, const char *id, const char *why, bool again);
	void (*on_back)(void *arg, const char *id);
	/* How many people's clients look at the pane, when that changes. May be NULL. */
	void (*on_viewers)(void *arg, const char *id, unsigned n);
	/* The name given by tmux_pane_rename stands. May be NULL. */
	void (*on_titled)(void *arg, const char *id);
};

/* What a pane is to be; everything is copied. */
struct tmux_pane_spec {
	const char *id;
	const char *title; /* the window's name: the agent's; any text */
	char *const *argv; /* run without a shell; at least the program */
	char *const *env;  /* added KEY=VALUE, or NULL */
	const char *cwd;   /* NULL: / */
	int rows, cols;    /* until somebody attaches; 0: 24 x 80 */
};

/* e is NULL when it is done. */
typedef void tmux_done_fn(void *arg, const char *id, const struct err *e);

/*
 * dir (made when absent, 0700) holds N.sock, N.sock.lock and tmux.conf. Runs `tmux -V` once:
 * ERR_MISSING names the package, ERR_VERSION what is needed. limits may be NULL.
 */
int tmux_pool_create(struct loop *l, const char *dir, const struct tmux_limits *limits,
	const struct tmux_pool_ops *ops, void *arg, struct tmux_pool **ret, struct err *e);
/* Lets go: servers and panes stay. No callback is called any more. NULL ok. */
void tmux_pool_destroy(struct tmux_pool *p);

/* A pane found by tmux_pool_adopt. */
struct tmux_found {
	char id[TMUX_ID_MAX + 1];
	bool alive; /* its program runs */
};
typedef void tmux_adopt_fn(void *arg, const struct tmux_found *found, size_t n);
/*
 * At daemon start, before the first open: connects to every server that runs in the folder (a wedged
 * one is killed at its deadline), removes the sockets of dead ones, then reports all agents' panes
 * once. Opens asked for meanwhile wait for it. What was found is kept as it is: tmux_pane_open takes a
 * found pane over (started again in place when its program is dead), tmux_pane_close ends one.
 */
void tmux_pool_adopt(struct tmux_pool *p, tmux_adopt_fn *fn, void *arg);

/*
 * Opens a pane, or takes over the living one of that id: idempotent. When the pane is open already
 * the spec is renewed (title applied) and the callback says done. One that is being closed is opened anew
 * as soon as that is done. 0: fn will be called exactly once
 * (ERR_CANCELLED when it is closed meanwhile, ERR_UNAVAILABLE when no server can be had: it goes on being
 * tried, and on_back tells when it is open). -1: refused at once (bad id, no argv, too large, ERR_LIMIT when the pool is full); fn is not called.
 */
int tmux_pane_open(struct tmux_pool *p, const struct tmux_pane_spec *spec, tmux_done_fn *fn,
	void *arg, struct err *e);
/* Ends the session of that id, and forgets it. fn (may be NULL) is called once; an unknown id is done.
 * ERR_UNAVAILABLE: its server cannot be reached; it is ended as soon as it can. */
void tmux_pane_close(struct tmux_pool *p, const char *id, tmux_done_fn *fn, void *arg);
/* The window's name. A person's own renaming is overwritten. Unknown ids are ignored. */
void tmux_pane_rename(struct tmux_pool *p, const char *id, const char *title);
/* What the status line says beside the name (the agent's state). Kept here and told to tmux only while
 * somebody looks, so it may change often. */
void tmux_pane_status(struct tmux_pool *p, const char *id, const char *text);

enum tmux_pane_state {
	TMUX_PANE_NONE,    /* unknown id */
	TMUX_PANE_OPENING, /* asked for, or being brought back */
	TMUX_PANE_OPEN,
	TMUX_PANE_DEAD,    /* known, but not there or its program ended */
	TMUX_PANE_CLOSING
};

struct tmux_location {
	enum tmux_pane_state state;
	char socket[108];             /* for tmux -S */
	char target[TMUX_TARGET_MAX]; /* for attach -t: "=id" */
	pid_t pid;                    /* the pane's program, 0 when unknown */
	unsigned viewers;
};
/* Where the pane is; ERR_NOT_FOUND for an unknown id, ERR_STATE while it has no server. */
int tmux_pane_locate(struct tmux_pool *p, const char *id, struct tmux_location *ret, struct err *e);

/* Ends every server with all that is on it (`down --all`); fn is called once when none is left. */
void tmux_pool_end(struct tmux_pool *p, tmux_done_fn *fn, void *arg);

struct tmux_pool_stats {
	unsigned servers, ready; /* ready: those that answer */
	unsigned panes, open;
	unsigned restarts; /* servers replaced since the pool was created */
	char version[16];  /* of the tmux program */
};
void tmux_pool_stats(const struct tmux_pool *p, struct tmux_pool_stats *ret);

#endif
