/* SPDX-License-Identifier: ISC */
/* What the files behind core's port share: each fills in its part of the port. */
#ifndef DAEMON_WORLD_INT_H
#define DAEMON_WORLD_INT_H

#include "daemon/world/world.h"
#include "login/account.h"

/* rows.c */
void rows_port(struct core_port *p);

/* transcripts.c */
void transcripts_port(struct core_port *p);
/* What its conversation begins with has to be in its machine: adds that file to files. */
int transcripts_branch(struct world *w, const struct instance *in, json_t *files, struct err *e);

/* usage.c */
void usage_port(struct core_port *p);

/* places.c */
void places_port(struct core_port *p);
void places_finish(struct world *w); /* lets go of every shim */

/* sweep.c: done comes once what is left of a place was ended, or could not be; ERR_CANCELLED: the daemon stops. */
/* A shim or a holder of that place's folder runs. */
bool place_dir_runs(const char *dir);
void sweeps_init(struct world *w);
void sweeps_finish(struct world *w);
void sweeps_add(struct world *w, const char *place, port_done_fn *done, void *arg);

/* room.c */
void room_port(struct core_port *p);
void room_init(struct world *w);
void room_finish(struct world *w);

/* weigh.c: fn comes once, unless the daemon ends before. */
void weigh_begin(struct world *w, const struct memory_holder *held, size_t n, port_weighed_fn *fn, void *arg);
void weigh_finish(struct world *w);

/* launch.c: what tells a running program of the renewing login; a new array, empty where there is nothing to tell. */
json_t *launch_login_files(struct world *w, const struct instance *in, const struct login *login);

/* logins.c */
void logins_init(struct world *w); /* the rows are loaded */
void logins_finish(struct world *w);
/* The way to its place stands (again): it may have missed a renewal. */
void logins_reach(struct world *w, const char *instance);

/* backups.c */
void backups_init(struct world *w); /* the store is loaded; nothing is begun yet */
void backups_finish(struct world *w);

/* panes.c */
extern const struct tmux_pool_ops world_pane_ops;
void panes_port(struct core_port *p);
/* A tmux_adopt_fn: the panes there were when the daemon started. */
void panes_found(void *arg, const struct tmux_found *found, size_t n);
/* An instance changed its state (the data of that event): its status line says so. */
void panes_state(struct world *w, const char *instance, const json_t *data);

/* notices.c: what needs people, told to them. */
void notices_port(struct core_port *p);
void notices_init(struct world *w);
int notices_load(struct world *w, struct err *e);
void notices_finish(struct world *w);

/* recordings.c: what is kept of terminals. */
void recordings_init(struct world *w);
void recordings_finish(struct world *w);
/* An instance ended: the bound over all recordings is looked at soon. */
void recordings_ended(struct world *w);
void recordings_remove(struct world *w, const char *instance);

#endif
