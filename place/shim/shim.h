/* SPDX-License-Identifier: ISC */
/*
 * What the parts of the shim share.
 *
 * Who knows whom: main makes a shim and starts holder and guest; server takes connections and gives
 * them to control (the daemon), view, exec or follow by their hello; guest owns the link and gives the
 * streams that come from inside to relay (files, egress) and api (instances' sockets); inst is one
 * instance's terminal, between its stream, its screen, its recording, its input and its views.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include <jansson.h>

#include "base/conn.h"
#include "base/loop.h"
#include "ipc/link/link.h"
#include "place/shim/conf.h"
#include "place/shim/events.h"

#define SHIM_VERSION 1
#define SHIM_SOCKET "shim.sock"
#define SHIM_PID_FILE "shim.pid"
#define HOLDER_PID_FILE "holder.pid"
#define GUEST_EPOCH_FILE "guest.epoch"
#define CONSOLE_FILE "console.log"

struct inst;
struct console;
struct holder;
struct guest;
struct control;
struct api;
struct exec_ticket;
struct server;
struct packer;
struct spawner;

struct shim {
	struct loop *loop;
	struct conf *conf;
	int recordings; /* the folder, opened before privileges were dropped */
	int epoch;      /* GUEST_EPOCH_FILE, likewise: the folder may not be ours to write to later */
	struct events *events;
	struct holder *holder;
	struct console *console; /* NULL: none is kept */
	struct guest *guest;
	struct server *server;
	struct control *control;
	struct api *api;
	struct spawner *spawner;
	struct packer *packer;
	struct inst *instances;
	struct exec_ticket *tickets;
	bool quitting; /* asked to go for good: the socket goes, too */
	uint64_t started_ms; /* clock_mono_ms at the start, for stages */
};

/* Tells how far a start has come (not kept). */
void shim_stage(struct shim *s, const char *stage, const char *text);

/* JSON members with a default; a member of another type counts as absent. */
const char *json_get_text(const json_t *o, const char *key, const char *def);
int64_t json_get_int(const json_t *o, const char *key, int64_t def);
bool json_get_bool(const json_t *o, const char *key);
/* A member that must be a text (an array, an integer): NULL and *e set when it is not. */
const char *json_need_text(const json_t *o, const char *key, struct err *e);

#endif
