/* SPDX-License-Identifier: ISC */
/*
 * What the files of the pool (pool, notice, server, adopt, pane, pane_cmd, pane_ask, sync) share.
 * Not for other rooms: they see pane.h.
 *
 * Theory. A pane record says what is wanted and what is known; commands only move towards it, and a
 * listing of the server (sync.c) settles what a lost connection left open:
 *
 *   WANTED --sent--> SENT --answered or listed--> OPEN --ended, killed, server lost--> WANTED or DEAD
 *                      `--not listed, refused--> WANTED, or given up
 *   any --close--> CLOSING --answered or not listed--> forgotten
 *
 * A listing says nothing of what was sent behind it: commands are numbered, and a record whose `sent`
 * is above the listing's number is left alone.
 * A pane's end is seen by the pidfd of its program first; hooks say it again, and what pidfds cannot see:
 * what people do in tmux.
 * Everything told to the daemon goes through a queue emptied by a deferred call, so its callbacks may
 * call back in while lists are walked here.
 */
#ifndef DAEMON_TMUX_POOL_H
#define DAEMON_TMUX_POOL_H

#include <sys/queue.h>

#include "daemon/tmux/pane.h"
#include "daemon/tmux/quote.h"
#include "daemon/tmux/reaper.h"
#include "daemon/tmux/shard.h"
#include "daemon/tmux/version.h"

#ifndef TAILQ_FOREACH_SAFE /* glibc's <sys/queue.h> has none */
#define TAILQ_FOREACH_SAFE(var, head, field, next)                                                 \
	for ((var) = TAILQ_FIRST(head); (var) && ((next) = TAILQ_NEXT(var, field), 1);             \
		(var) = (next))
#endif

#define TMUX_BUCKETS 512
#define TMUX_NUDGES_MAX 50    /* listings until an ended program's status is given up */
#define TMUX_HANGUP_MS 2000   /* a closed pane's program has this long to end by itself */
#define TMUX_ATTEMPTS_MAX 5 /* failed starts of a server until who waits is told */

enum pane_phase { PANE_WANTED, PANE_SENT, PANE_OPEN, PANE_DEAD, PANE_CLOSING };

struct waiter {
	STAILQ_ENTRY(waiter) entry;
	tmux_done_fn *fn;
	void *arg;
};
STAILQ_HEAD(waiters, waiter);

struct server;

struct pane {
	TAILQ_ENTRY(pane) all;
	LIST_ENTRY(pane) hash;
	TAILQ_ENTRY(pane) on_server;
	struct tmux_pool *pool;
	struct server *server; /* NULL: not placed yet */
	char id[TMUX_ID_MAX + 1];
	char title[TMUX_TITLE_MAX + 1];
	char status[TMUX_STATUS_MAX + 1];
	char **argv, **env, *cwd;
	int rows, cols;
	bool has_spec; /* false: found by adoption, nobody asked for it yet */
	bool found;
	enum pane_phase phase;
	struct waiters opening, closing;
	unsigned in_flight; /* commands whose reply will name this record */
	bool forgotten;     /* only kept for those */
	uint64_t sent;      /* number of the newest command that made, restarted or ended it */
	bool resend;        /* CLOSING: the command did not get through */
	bool again;         /* CLOSING: asked for meanwhile, opened as soon as it is closed */
	bool back;          /* on_back is due when it is open */
	bool title_sent, status_sent;
	int64_t revived_ms; /* when it was last brought back; 0: never */
	unsigned revives;   /* in a row, each after a longer pause */
	struct loop_timer *revive;
	/* What the server told. */
	bool has_pane;
	unsigned pane_no, session_no;
	bool renamed; /* the session bears another name: it is found by its number */
	bool marked;  /* the id stands on the renamed session */
	bool moved;   /* a person joined the pane to another agent's session */
	pid_t pid;
	unsigned viewers;
	int64_t promised_ms; /* when somebody was last sent to this session, see attach.h; 0: never */
	bool beside;         /* its session is there without it: made anew beside what a person has there */
	/* The pane's program, watched by us: tmux may miss its end (see tmux_shard_nudge), and this is
	 * faster than any hook. */
	struct loop_child *watch;
	pid_t watch_pid;
	bool exited; /* seen by us; its status is not known yet */
	unsigned nudges;
	bool killed; /* CLOSING, gone from tmux: its program is still to end */
	struct loop_timer *patience;
};

/* A shard and the panes placed on it, in the order they were opened. */
struct server {
	TAILQ_ENTRY(server) entry;
	struct tmux_pool *pool;
	struct tmux_shard *shard;
	TAILQ_HEAD(, pane) panes;
	unsigned npanes;
	bool synced; /* listed since it was last ready */
	bool sync_in_flight, sync_wanted;
	uint64_t sync_seq;
	unsigned refusals; /* of listings, in a row */
	struct loop_timer *again; /* asks for the next one then */
	bool adopting;
	bool ending; /* takes no more panes */
	bool gone;
	struct loop_timer *linger;
	struct looks *looks; /* panes of people's own sessions that show an agent; NULL: none */
};

struct notice;

struct tmux_pool {
	struct loop *loop;
	char *dir, *conf_path, *program;
	char stamp[20]; /* of the configuration */
	char **env;
	struct tmux_version version;
	struct tmux_limits limits;
	const struct tmux_pool_ops *ops;
	void *arg;
	struct tmux_reaper *reaper;
	struct tmux_shard_env shard_env;
	TAILQ_HEAD(, server) servers;
	struct loop_timer *pulse; /* runs while there are servers */
	TAILQ_HEAD(, pane) panes;
	LIST_HEAD(, pane) buckets[TMUX_BUCKETS];
	unsigned npanes, nopen, restarts;
	STAILQ_HEAD(, notice) notices;
	struct loop_defer *deliver;
	bool adopting;
	tmux_adopt_fn *adopt_fn;
	void *adopt_arg;
	bool ended; /* tmux_pool_end */
	tmux_done_fn *end_fn;
	void *end_arg;
};

/* The one place that changes it: those that are open are counted, so that a status walks nothing. */
static inline void pane_enter(struct pane *pa, enum pane_phase to)
{
	if (!pa->forgotten)
		pa->pool->nopen += (to == PANE_OPEN) - (pa->phase == PANE_OPEN);
	pa->phase = to;
}

/* notice.c: queued, delivered later */
void pool_deliver(void *pool);
void notices_free(struct tmux_pool *p);
void pool_tell_done(struct tmux_pool *p, tmux_done_fn *fn, void *arg, const char *id,
	const struct err *e);
void pool_tell_all(struct pane *pa, struct waiters *list, const struct err *e);
void pool_tell_died(struct pane *pa, struct proc_status st, bool again);
void pool_tell_lost(struct pane *pa, const char *why, bool again);
void pool_tell_back(struct pane *pa);
void pool_tell_titled(struct pane *pa);
void pool_tell_viewers(struct pane *pa);
/* pool.c: records */
struct pane *pool_find(struct tmux_pool *p, const char *id);
struct pane *pool_add(struct tmux_pool *p, const char *id);
void pool_forget(struct pane *pa); /* from all lists; freed when no reply can name it any more */
void pool_reply_done(struct pane *pa);
void pool_put(struct pane *pa, struct server *sv);
void pool_take(struct pane *pa);

/* server.c */
struct server *server_add(struct tmux_pool *p, unsigned number);
void server_free(struct server *sv);
/* Tried too often for this while: who waits is told; what is only looked for, or wanted by nobody, is ended. */
void server_hopeless(struct server *sv, const struct err *e);
bool server_answers(const struct server *sv); /* connected, and listed since */
void server_pulse(void *pool); /* the timer's */
/* Finds or starts a server with room. ERR_LIMIT when there can be no more. */
int pool_place(struct pane *pa, struct err *e);
void pool_linger(struct server *sv);
void pool_look(struct tmux_pool *p); /* later: is adoption complete, are servers gone? */
void pool_sweep(struct tmux_pool *p); /* now; not from inside a shard's callbacks */

/* adopt.c */
void pool_adopted(struct tmux_pool *p); /* looks whether adoption is complete */

/* pane.c */
bool pane_id_ok(const char *id);
void pane_target(const struct pane *pa, char out[TMUX_TARGET_MAX]);
void pane_opened(struct pane *pa);
void pane_watch(struct pane *pa);
void pane_unwatch(struct pane *pa);
void pane_killed(struct pane *pa); /* CLOSING, and gone from tmux */
void pane_ended(struct pane *pa, struct proc_status st);
void pane_vanished(struct pane *pa, const char *why);
void pane_lost(struct pane *pa, const char *why); /* with its server */
void pane_closed(struct pane *pa, const struct err *e);
void pane_failed(struct pane *pa, const struct err *e);

/* pane_cmd.c */
void pane_cmd_open(struct tmux_cmd *cmd, const struct pane *pa, bool dead_panes);
void pane_send_close(struct pane *pa);
void pane_pump(struct server *sv); /* sends what is wanted, as far as the server is ready */
void pane_touch_up(struct pane *pa); /* title, status, mark: what differs is sent */

/* looks.c: panes of people's own sessions (attach.h) are told the state of the agent that they show. */
void looks_doubt(struct server *sv); /* the connection ended: all are told again */
void looks_begin(struct server *sv); /* a listing follows */
void looks_add(struct server *sv, unsigned pane_no, const char *id);
void looks_end(struct server *sv);
void looks_tell(struct tmux_pool *p, const struct pane *pa);
unsigned looks_count(const struct tmux_pool *p, const char *id);
void looks_free(struct server *sv);

/* sync.c */
void sync_server(struct server *sv);
void sync_event(struct server *sv, const char *records);

#endif
