/* SPDX-License-Identifier: ISC */
/* One instance: its terminal in the place, between stream, screen, recording, input and views. */
#ifndef SHIM_INST_H
#define SHIM_INST_H

#include <jansson.h>

#include "place/shim/input.h"
#include "place/shim/record.h"
#include "place/shim/screen.h"
#include "place/shim/shim.h"

#define INST_ID_LEN 6
#define INST_MAX 64 /* instances of one place */

struct view;
struct follow;

/* started: pid > 0; or why it could not be. Called once. */
typedef void inst_started_fn(void *arg, pid_t pid, const struct err *why);
typedef void inst_watch_fn(void *arg, uint64_t offset, const struct err *why);

bool inst_id_valid(const char *id);
struct inst *inst_find(struct shim *s, const char *id);
/* As inst_find, with ERR_NOT_FOUND. */
struct inst *inst_need(struct shim *s, const char *id, struct err *e);
/* Opens its recording and starts it in the place: params as of `run`. fn is called once when this
 * returned 0. */
int inst_run(struct shim *s, const json_t *params, inst_started_fn *fn, void *arg, struct err *e);
/* Takes over a terminal that the guest holds (entry: of its `procs`). */
int inst_adopt(struct shim *s, const json_t *entry, struct err *e);
/* The place is gone: ends all that run, telling of it. */
void inst_place_gone(struct shim *s, const char *reason);
/* Drops what is left of an instance that ended; running ones are refused. */
int inst_forget(struct shim *s, const char *id, struct err *e);
void inst_destroy_all(struct shim *s);
/* [{id,pid,running,offset,exit}] */
json_t *inst_list(struct shim *s);

const char *inst_id(const struct inst *i);
struct shim *inst_shim(const struct inst *i);
bool inst_running(const struct inst *i);
/* {"code","signal"} or null; new reference. */
json_t *inst_exit(const struct inst *i);
uint64_t inst_offset(const struct inst *i);
struct input *inst_input(struct inst *i);
struct screen *inst_screen(struct inst *i);
struct record *inst_record(struct inst *i);
/* Asks the guest to signal the program, or everything on its terminal. */
int inst_signal(struct inst *i, const char *signal, bool group, struct err *e);
void inst_resize(struct inst *i, int rows, int cols);
/* Calls fn once the text has been painted, or the watch of that number was cancelled. With a key (NULL: none) it goes on
 * when the daemon goes away, and is taken up by the next call with the same key and text: what was painted in between counts. */
void inst_watch(struct inst *i, int64_t number, const char *key, const char *text, inst_watch_fn *fn, void *arg);
void inst_unwatch(struct inst *i, int64_t number);
/* The daemon's connection ended: nobody waits any more, a text that was not given whole is forgotten. */
void inst_daemon_gone(struct shim *s);

/* Tells the activity of all that run: to a daemon that has just come. */
void inst_tell_all(struct shim *s);

/* Views and followers of the terminal; each takes itself off the list when it goes. */
void inst_view_add(struct inst *i, struct view *v);
void inst_view_remove(struct inst *i, struct view *v);
/* A view typed: it owns the size from now on. */
void inst_view_owns(struct inst *i, struct view *v);
bool inst_view_is_owner(const struct inst *i, const struct view *v);
void inst_follow_add(struct inst *i, struct follow *f);
void inst_follow_remove(struct inst *i, struct follow *f);

#endif
