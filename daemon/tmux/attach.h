/* SPDX-License-Identifier: ISC */
/*
 * How a person's terminal becomes a client of one of our servers: the words of the tmux command that it
 * runs. A pane has one session, whose clients share one size and one copy mode; so the first to look gets that
 * session, every further one, and who only looks, a session of their own with a view in it, and who looks
 * at several agents a session with a view of each, tiled.
 *
 * A session of somebody's own is made by their own client in one go with destroy-unattached, so it ends with
 * that client, however that ends, and needs nobody to clean up behind it: daemon, server and viewer may
 * die in any order. Its name is none that an agent's session can have, so it is never taken for one.
 */
#ifndef DAEMON_TMUX_ATTACH_H
#define DAEMON_TMUX_ATTACH_H

#include "daemon/tmux/pane.h"

#define TMUX_TILES_MAX 16    /* agents side by side */
#define TMUX_TILE_ROWS 5     /* of the smallest tile */
#define TMUX_TILE_COLS 20
#define TMUX_PROMISE_MS 5000 /* who was given the pane's session is on the way for so long */

/* One agent to be looked at: its pane's id, its name, and the program that shows it. */
struct tmux_look {
	const char *id, *title;
	char *const *argv;
};

struct tmux_attach_how {
	bool own;       /* a session of one's own, even when nobody else looks */
	bool read_only; /* the views' argv says so too */
	bool plain;     /* no colours in the status line */
	int rows, cols; /* of the terminal; 0: not known */
};

struct tmux_attached {
	char socket[108];
	char session[TMUX_TARGET_MAX]; /* for -t */
	char **argv;                   /* behind the program's name; owned vector */
};

/* ERR_STATE: no server of ours can be reached now. ERR_LIMIT: more than can be shown side by side. */
int tmux_attach(struct tmux_pool *p, const struct tmux_look *looks, size_t n,
	const struct tmux_attach_how *how, struct tmux_attached *ret, struct err *e);

#endif
