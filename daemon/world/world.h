/* SPDX-License-Identifier: ISC */
/* The real rooms behind core's port: store, drivers, agents, shims, tmux, egress. */
#ifndef DAEMON_WORLD_H
#define DAEMON_WORLD_H

#include "base/idmap.h"
#include "daemon/notify/notify.h"
#include "daemon/core/fleet.h"
#include "daemon/driver/driver.h"
#include "daemon/egressctl/egressctl.h"
#include "daemon/shimctl/shimctl.h"
#include "daemon/store/store.h"
#include "daemon/tmux/pane.h"
#include "daemon/world/host.h"
#include "daemon/world/turn.h"

struct world_site;

struct world {
	struct loop *loop;
	struct layout *layout;
	struct config *config;
	struct driver_env env;
	struct store *store;
	struct bus *bus;
	struct turn *turn;
	struct tmux_pool *panes; /* NULL when tmux is missing: agents run without */
	struct egressctl *egress;
	struct fleet *fleet;
	struct core_port port;
	struct core_settings settings;
	struct world_site *sites;
	struct idmap site_by_place;
	const struct err *damage; /* the database's: then all is only looked at. NULL: it is sound */
	json_t *unread; /* sentences: rows that could not be read of it; NULL: none */
	struct sweeps *sweeps;
	const char *host_root;   /* "", or where a test keeps its /proc and /sys */
	struct host_watch *watch;
	struct host_room room;   /* as last measured */
	int64_t room_ms;         /* when */
	struct weighing *weighing;
	struct backups *backups;
	struct logins *logins;
	struct notify *notify;
	struct loop_timer *recordings; /* their bound is looked at */
	/* A call from inside a place, for api: {conn, instance, msg}. */
	void (*on_api)(void *arg, const char *place, const char *instance, json_int_t conn, json_t *msg);
	void (*on_api_closed)(void *arg, const char *place, json_int_t conn); /* -1: all of them */
	/* Somebody who is not of the place spoke to an instance's socket: {instance, pid, uid, count}. */
	void (*on_stranger)(void *arg, const char *place, json_t *ev);
	void *api_arg;
};

/* Wires port and fleet; layout, config, store and loop are there. */
int world_init(struct world *w, struct err *e);
/* Reads the rows and reconciles. */
int world_load(struct world *w, struct err *e);
/* The whole of a child that ends what is left of places, by their folders: its exit code (see sweep.c). */
int sweep_main(char *const *dirs);
/* The same for what ID:PID... use of the memory (see weigh.c). */
int weigh_main(char *const *args);
void world_finish(struct world *w); /* lets go; what runs goes on */
void world_api_reply(struct world *w, const char *place, json_int_t conn, json_t *msg);
size_t world_api_pending(struct world *w, const char *place); /* bytes that the place's shim has not taken yet */
/* Opens an instance's pane, or waits for the one under way; -1 when it cannot be had. */
int world_pane_open(struct world *w, const struct instance *in, tmux_done_fn *fn, void *arg);
/* What shows an instance's terminal in a pane; owned. */
char **world_view_argv(struct world *w, const struct instance *in, bool read_only);
/* Where a place's shim listens; owned. */
char *world_shim_socket(struct world *w, const char *place);

/* The daily copies of the database: {keep, folder, count, last, failed}; new. */
json_t *backups_json(const struct world *w);

/* What agents log in with, how long it is good and who uses it, without any secret; new. */
json_t *logins_json(struct world *w);

#define LAUNCH_VM_HOME "/home/agent" /* of the agent in a VM */
/* launch.c: what a place and a program are told at their start. */
json_t *launch_setup_params(void *ctx, const struct place *p, const struct instance *in);
int launch_run_params(void *ctx, const struct place *p, const struct instance *in, const char *prompt,
	bool resume, json_t **ret, char **ret_conversation, struct err *e);
int launch_check(void *ctx, struct instance *in, struct err *e);
/* The params of the shim's `exec` beside an instance; argv, env borrowed, tty stolen. */
json_t *launch_exec_params(struct world *w, const struct instance *in, const json_t *argv,
	const json_t *env, json_t *tty);
char **launch_allow(struct world *w, const struct instance *in); /* config's and its own */

#endif
