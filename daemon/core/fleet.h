/* SPDX-License-Identifier: ISC */
/*
 * The fleet: what exists, what may happen to it, and what is told to the world. Core's public face.
 *
 * Every change goes through fleet_apply (apply.c): it writes the row and the event in one transaction.
 * Callbacks of type fleet_done_fn are called once, after what they report is on disk.
 */
#ifndef DAEMON_CORE_FLEET_H
#define DAEMON_CORE_FLEET_H

#include "base/buf.h"
#include "daemon/core/port.h"

struct fleet;

/* Who asks: the operator (instance NULL), or an instance by the socket it holds. */
struct caller {
	const char *instance; /* an id, or NULL */
};

/* in: borrowed, NULL when error is set (then in may still be told for a failed spawn). */
typedef void fleet_done_fn(void *arg, const struct instance *in, const struct err *error);
typedef void fleet_progress_fn(void *arg, const char *id, const char *stage, const char *text);

/* port, settings and boot are borrowed for the fleet's life. */
struct fleet *fleet_create(const struct core_port *port, const struct core_settings *set);
void fleet_destroy(struct fleet *f); /* nothing running is touched */

/* Loading at start; each takes ownership. Then fleet_reconcile once. */
void fleet_load_instance(struct fleet *f, struct instance *in);
void fleet_load_place(struct fleet *f, struct place *p);
void fleet_load_prompt(struct fleet *f, struct prompt *p);
void fleet_load_intent(struct fleet *f, const struct intent *in);
void fleet_load_spawn_time(struct fleet *f, const struct spawn_time *t); /* after the instances */
void fleet_load_transcript(struct fleet *f, const struct transcript *t);  /* likewise; its strings become ours */
void fleet_load_caps(struct fleet *f, const char *text); /* of the fleet, as meta_put got them; may be NULL */
const char *fleet_caps_key(void); /* under which */
/* Adopts what lives, undoes what was half done, ends what nothing owns. Returns how many places are being
 * adopted; fleet_settled tells when each was found or given up. */
int fleet_reconcile(struct fleet *f);
bool fleet_settled(const struct fleet *f);
/* Places that stand in the world and in no row, and are left alone (spare_unknown); NULL-terminated, borrowed, never
 * NULL. */
char *const *fleet_unknown(const struct fleet *f);

/* By id, then name among the living (then the ended), then unique prefix. ERR_NOT_FOUND,
 * ERR_AMBIGUOUS (names the candidates). An instance as caller sees itself and its descendants. */
struct instance *fleet_resolve(struct fleet *f, const struct caller *who, const char *ref,
	struct err *e);
struct instance *fleet_get(struct fleet *f, const char *id); /* NULL when unknown */
bool fleet_is_within(struct fleet *f, const char *ancestor, const char *id); /* itself included */
/* Top and all below it, parents before their children: top first, then what follows in; NULL at the end.
 * One that was removed in between ends the walk: gather them first. */
struct instance *fleet_next_within(struct fleet *f, const struct instance *top,
	const struct instance *in);
bool fleet_has_living_child(struct fleet *f, const struct instance *in);
size_t fleet_count(const struct fleet *f);
struct instance *fleet_at(const struct fleet *f, size_t n); /* in order of creation */
size_t fleet_living(const struct fleet *f);
/* Something of it still runs, or is being ended: it lives, or its place is not down yet. */
bool fleet_active(struct fleet *f, const struct instance *in);
/* The contract's instance object; new reference. */
json_t *fleet_instance_json(struct fleet *f, const struct instance *in);
/* The same as text, appended to out; -1 when that is full. */
int fleet_instance_write(struct fleet *f, const struct instance *in, struct buf *out);

#define FLEET_CURSOR_MAX 40

/* A part of the list of instances, in order of creation. */
struct fleet_page {
	bool (*want)(void *arg, const struct instance *in);
	void *arg;
	const char *after; /* the cursor of the page before; NULL: from the first */
	int64_t limit;     /* most instances */
	size_t max;        /* most bytes */
	char next[FLEET_CURSOR_MAX]; /* told: the cursor of what follows, empty at the end */
};
/* Appends a JSON array of instance objects to out. What comes and goes between pages is in none or one of
 * them; what stays is in exactly one. -1: no cursor of ours. */
int fleet_list(struct fleet *f, struct fleet_page *p, struct buf *out, struct err *e);

/* ---- usage and budgets: docs/usage.md ---- */

void fleet_load_usage(struct fleet *f, const struct usage_row *r);
void fleet_load_usage_state(struct fleet *f, const struct usage_state *s);
/* What an instance spent, or it and all below it (tree), with what else is known of it; a new object. */
json_t *fleet_usage_json(struct fleet *f, const struct instance *in, bool tree);
/* Which budget keeps it from being given anything, in words (owned); NULL: none. */
char *fleet_budget_held(struct fleet *f, const struct instance *in);

/* ---- caps: docs/caps.md ---- */

#define CAP_DEFAULT (-2) /* in a change of the fleet's: what the config says */

struct cap_change {
	bool given[CAP_KINDS];
	int64_t v[CAP_KINDS];
	bool budget_given[BUDGET_KINDS], action_given;
	int64_t budget[BUDGET_KINDS]; /* 0: none */
	enum budget_action action;
	const json_t *roles; /* role to limit (integer; CAP_UNLIMITED takes it away); may be NULL */
};
/* in NULL: the fleet's own (its CAP_DESCENDANTS are its instances). ERR_DENIED: an instance may lower those of
 * its descendants only. */
int fleet_cap_set(struct fleet *f, const struct caller *who, struct instance *in,
	const struct cap_change *c, struct err *e);
/* {holder, name, role, caps:[{cap, role?, limit, count, left, by, by_name, by_cap, retry_after_ms?}]}: left is
 * what all holders up to the fleet leave, by the one that leaves least. in NULL: the fleet. New reference. */
json_t *fleet_caps_json(struct fleet *f, const struct instance *in);
/* Counts everything anew from the rows; ERR_INTERNAL where what is kept differs. Slow. */
int fleet_caps_check(struct fleet *f, struct err *e);

struct spawn_args {
	struct instance *in;  /* what was asked for, with name, driver... set; stolen */
	const char *prompt;   /* or NULL */
	bool wait;            /* done when it is ready, not at once */
	const char *key;      /* or NULL: the same key again starts nothing, it hears of the first one */
	const char *digest;   /* with a key: of everything that was asked for */
	bool no_queue;        /* refused rather than made to wait for its start */
	fleet_progress_fn *progress; /* may be NULL */
	fleet_done_fn *done;
	void *arg;
};
/* Reserves the caps, inserts the row, starts. Refusals (also caps) come back here, as -1. On success
 * *ret_id (ID_SIZE) names it; done is called later. */
int fleet_spawn(struct fleet *f, const struct caller *who, struct spawn_args *a, char *ret_id,
	struct err *e);
/* Starts one again that ended, is lost or waits for it, resuming the conversation; one that lives is ended in order
 * first (force: at once). The values of its environment are known only to the daemon it was given to: env (an
 * object, or NULL) gives them again; a restart is refused while some are missing, unless without_env. */
struct restart_args {
	bool wait, without_env, force;
	bool restoring; /* no new start of anybody's: it counts for no rate */
	const json_t *env;
	fleet_progress_fn *progress;
	fleet_done_fn *done;
	void *arg;
};
int fleet_restart(struct fleet *f, struct instance *in, const struct restart_args *a, struct err *e);
/* Takes effect with the next end; `never` also ends a wait. */
void fleet_set_restart(struct fleet *f, struct instance *in, enum restart_policy policy);
bool fleet_waits_again(const struct instance *in); /* it waits for its restart policy; nothing of it runs */

#define START_AGAIN_MOST 3 /* so often a start that a daemon left half done is queued again; then it failed */

struct restore_args {
	bool wait; /* done when all stand */
	fleet_progress_fn *progress; /* for each: "restored", "failed" or "left", "3 of 10" */
	void (*done)(void *arg, json_t *result /* stolen */);
	void *arg;
};
/* Starts all that should be running: {restored: [{id, name, state}], not_restored: [{id, name, code, message,
 * hint}]}. */
void fleet_restore(struct fleet *f, const struct restore_args *a);
/* While it is closed nothing is started, and no policy decides. */
void fleet_close(struct fleet *f, bool closing);
int fleet_closing(const struct fleet *f, struct err *e); /* -1 with the reason while it is closed */
/* As fleet_kill of one; keep: it stays wanted. */
void fleet_end(struct fleet *f, struct instance *in, bool force, bool keep, fleet_done_fn *done, void *arg);
/* The variables whose values are not known any more, as "A, B"; owned, NULL when there are none. */
char *fleet_env_missing(const struct instance *in);
/* The caller of spawn or restart (its arg) gave up: undo what is under way (nothing when it is ready).
 * True when done will not be called any more. */
bool fleet_cancel(struct fleet *f, const char *id, void *arg);

/* done when process, place and pane are gone. */
int fleet_kill(struct fleet *f, struct instance *in, bool cascade, bool force, bool rm,
	fleet_done_fn *done, void *arg, struct err *e);
int fleet_remove(struct fleet *f, struct instance *in, struct err *e);
/* Changes the labels (model/label.h) of all of these, or of none. */
int fleet_label(struct fleet *f, const struct caller *who, struct instance *const *set, size_t n,
	const json_t *changes, struct err *e);
int fleet_rename(struct fleet *f, struct instance *in, const char *name, struct err *e);
int fleet_interrupt(struct fleet *f, struct instance *in, fleet_done_fn *done, void *arg,
	struct err *e);

typedef void prompt_done_fn(void *arg, const struct prompt *p, const struct err *error);

/* How far a prompt has to come before its caller hears. */
enum prompt_until { UNTIL_QUEUED = -1, UNTIL_DELIVERED = 0, UNTIL_ANSWERED = 1 };

struct send_args {
	enum prompt_mode mode;
	enum prompt_way way;
	enum prompt_until until;
	bool inside; /* an instance sends it: what could answer a dialog of the program's is refused */
	bool stays; /* it waits in the queue as long as it takes; else, not typed within timeout_ms, it fails */
	const char *text;
	size_t len;
	const char *key; /* or NULL; the same key with the same text again sends nothing, it hears of the first */
	int64_t timeout_ms; /* for the caller, who then hears what there is; -1: none */
	prompt_done_fn *done;
	void *arg;
};
/* The caller's part of a stored key. */
const char *key_shown(const char *key);
int fleet_send(struct fleet *f, struct instance *in, const struct send_args *a, struct err *e);
/* Would it be typed at once? */
bool fleet_takes_prompt(struct fleet *f, const struct instance *in);
/* The caller (its arg) is gone, its prompts go on. True: done will not be called any more. False: it is on its way. */
bool fleet_send_forget(struct fleet *f, const struct instance *in, void *arg);
/* Takes one that waits in the queue out of it: it fails with ERR_CANCELLED, never typed. ERR_STATE: it is under way, or
 * settled; ERR_NOT_FOUND. key: as it is stored. */
int fleet_prompt_cancel(struct fleet *f, struct instance *in, const char *key, struct err *e);

struct wait_handle;
/* until: states with commas between them, and as the last "text=STRING": any of it. done is called at once when it holds already. NULL on error.
 * key (or NULL): who asks again under it, after a daemon that went away, missed no text in between. */
struct wait_handle *fleet_wait(struct fleet *f, struct instance *in, const char *until, const char *key,
	int64_t timeout_ms, fleet_done_fn *done, void *arg, struct err *e);
void fleet_wait_cancel(struct wait_handle *w); /* its caller is gone; done is not called */

/* A call to an instance's shim (screen, exec). ERR_STATE when it has no living place. */
int fleet_shim_call(struct fleet *f, struct instance *in, const char *method, json_t *params,
	int64_t ms, port_reply_fn *fn, void *arg, struct err *e);

/* Its conversations, the oldest first: [{conversation, number, begun, length, lines, skipped}]; new reference. */
json_t *fleet_transcripts_json(struct fleet *f, const struct instance *in);
/* Calls fn once what its program wrote by now was copied and read, or after ms (read false). in NULL: it was removed. */
typedef void fleet_read_fn(void *arg, const struct instance *in, bool read);
void fleet_transcript_read(struct fleet *f, const struct instance *in, int64_t ms, fleet_read_fn *fn, void *arg);

/* Admission as it stands: {pressure, waiting, starting, head: null or {id, reason, detail}}; new reference. */
json_t *fleet_admission_json(struct fleet *f);

/* What the world tells. */
/* Its program was given a login that is good: one that waited for it, at its prompt, goes on. */
void fleet_on_login(struct fleet *f, struct instance *in);
/* The kernel: tasks waited for memory, longer than the option pressure_high allows. */
void fleet_on_pressure(struct fleet *f);
void fleet_on_hello(struct fleet *f, const char *place, json_t *hello);
/* False: it was told before. */
bool fleet_on_shim_event(struct fleet *f, const char *place, uint64_t seq, const char *type,
	json_t *event);
void fleet_on_shim_lost(struct fleet *f, const char *place, const struct err *why);
void fleet_on_denied(struct fleet *f, const char *place, json_t *data /* stolen */);
/* What its place will run under, once that is known; NULL: nothing to say. */
void fleet_place_accel(struct fleet *f, const char *place, const char *accel);
/* The pane stands, or not: an event where that is a change, or tells more (ended, failed). what is a
 * constant. */
void fleet_on_pane(struct fleet *f, const char *instance, bool present, const char *what);
/* Its pane has the name that a rename gave it. */
void fleet_on_titled(struct fleet *f, const char *instance);
/* The panes that outlived the daemon before are known: what it had still to do to them is done. */
void fleet_on_panes_found(struct fleet *f);

#endif
