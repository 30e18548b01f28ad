/* SPDX-License-Identifier: ISC */
/* What core's own files share: the fleet's tables and the steps of one instance's life. */
#ifndef DAEMON_CORE_FLEET_INT_H
#define DAEMON_CORE_FLEET_INT_H

#include <inttypes.h>

#include "base/clock.h"
#include "base/idmap.h"
#include "base/util.h"
#include "daemon/core/backoff.h"
#include "daemon/core/caps.h"
#include "daemon/core/fleet.h"
#include "daemon/core/line.h"

#define SHIM_CALL_MS 15000   /* a shim's own work */
#define SETUP_CALL_MS 120000 /* mounts and files inside a slow guest */
#define STOP_MS 10000        /* an orderly end of a place before it is killed */
#define STOP_GRACE_MS 5000   /* after that, before we kill the processes ourselves */
#define ASK_MS 60000         /* for a new shim to learn what a guest holds */
#define SHIM_RESTARTS_MAX 3  /* shims in a row that said nothing before the place is given up */
#define SHIM_AT_ONCE 3       /* lost shims in a row that are replaced at once; then with growing pauses */
#define SHIM_PAUSE_MS 250
#define SHIM_PAUSE_MOST_MS 8000
#define PROMPTS_MAX 64       /* queued for one instance; as many raw ones */
#define PROMPT_BYTES_MAX (8 * 1024 * 1024) /* of them together */
#define RANDOM_KEY_LEN 32
#define ENTER_AGAIN_MS 2000  /* no report by then: Enter once more (facts: a swallowed Enter) */
#define BUSY_PAUSE_MS 250    /* before a shim that had no room is tried again */
#define REPORTS_KNOWN 32 /* by their marks: told again, they count once */
#define CLEAR_LINES_MAX 100   /* of a prompt that was put back and is cleared */
#define AGAIN_TEXT_MAX 512

/* How far the start of an instance is. LIVE: its program runs and it was ready or waits. */
enum step { STEP_NONE, STEP_MAKE, STEP_LINK, STEP_SETUP, STEP_RUN, STEP_READY, STEP_LIVE, STEP_STOP };

/* Somebody who waits for an operation on an instance. */
struct waiter_done {
	struct waiter_done *next;
	fleet_done_fn *fn;
	void *arg;
};

struct pending_prompt {
	struct pending_prompt *next;
	struct prompt *p;
	struct unit *u;
	bool marked;       /* typed at a shell's prompt whose marks tell when it is taken */
	bool first_by_arg; /* given on the command line, nothing to type */
	bool typed;        /* handed to the shim */
	bool typing;       /* ... which has not answered yet */
	bool again;        /* its Enter was sent once more */
	bool ask;          /* handed over by an earlier daemon: the shim knows what became of it */
	bool interrupted;  /* while it was at work its program was told to stop */
	bool merged;       /* delivered while a turn was under way, which has not ended */
	bool own_turn;     /* ... and has: it may have joined that turn, or have the next one to itself */
	int64_t deadline, typed_ms; /* monotonic */
	struct prompt_waiter *waiters;
};

struct wait_handle {
	struct wait_handle *next;
	struct fleet *f;
	struct unit *u; /* not to be used once over */
	char id[ID_SIZE];
	int64_t number; /* the shim knows its watch by it */
	struct err err;
	bool by_text, over;
	unsigned until; /* states, any of them: bits by enum inst_state */
	char *text, *key;
	struct loop_timer *timer;
	fleet_done_fn *done;
	void *arg;
};

/* An instance with what is only known while the daemon runs. */
struct unit {
	struct fleet *f;
	struct instance *in;
	/* The tree (tree.c): siblings are in the order in which they came. */
	struct unit *up, *oldest_child, *newest_child, *older, *younger;
	int64_t living_children, living_below;
	enum step step;
	unsigned run; /* counts starts and stops: a late answer of an older one is ignored */
	bool resume;
	bool cancelled;
	bool remove_after; /* kill --rm, spawn --rm */
	bool retitle;      /* renamed by a daemon that may not have told its pane */
	bool keep;         /* ended by `down --all --keep`: it stays wanted */
	bool coming_back;  /* the state it enters is passed through: it is started again */
	struct loop_timer *again_timer;
	bool force;
	struct err failure; /* why the start failed */
	/* Admission (admit.c). */
	struct line_entry line; /* while it waits for its start */
	int64_t passed_ms;	/* since when it does not fit and others may overtake; 0: it was not */
	bool slot;              /* its start is under way, and counted */
	struct start_need need;
	int64_t told_place; /* in line, to its caller */
	int told_why;
	struct loop_timer *deadline;
	/* the caller of spawn or restart */
	fleet_done_fn *start_done;
	fleet_progress_fn *progress;
	void *start_arg;
	struct waiter_done *start_more; /* those who asked for the same spawn again, by its key */
	bool keyed; /* its caller will ask again: a lost connection undoes nothing */
	struct waiter_done *stop_done;
	/* the terminal, as last told */
	bool busy, foreground, canonical;
	int left_lines;   /* of a prompt that an interrupt may have put back into the input line */
	int last_lines;   /* of the prompt that was typed last */
	bool half_typed;  /* the last one's shim died over it: its beginning may stand in the input line */
	bool interrupted; /* our interrupt is the last it was told; no report since */
	int64_t interrupted_ms; /* monotonic: when that was */
	uint64_t reports[REPORTS_KNOWN]; /* a ring of the newest reports' marks */
	unsigned nreports;
	unsigned ignored;   /* reports, since the last of which it was told */
	int64_t ignored_ms; /* when that was */
	struct loop_timer *quiet;
	struct loop_timer *settle;
	struct pace *pace;  /* its own, ahead of its row's; NULL: not asked for yet */
	int64_t moved_ms;   /* monotonic: when something of it moved last; 0: not yet */
	bool moved_working; /* and it worked then */
	int64_t resumed_ms; /* monotonic: it was told to go on after a limit, and showed nothing yet; 0: not */
	int64_t session_ms; /* when its session file's word came, by the boot's clock */
	char *title;
	bool title_moved; /* since its last report */
	unsigned looking;         /* the run whose screen is being read, and one; 0: none */
	struct agent_marks marks; /* of its prompt, as last told */
	bool marks_anew;          /* its shim is another: its counts begin anew */
	int64_t marks_begun, marks_ended, marks_prompts;
	const char *pane_told; /* what was last told of its pane */
	struct pending_prompt *prompts, *raws;
	struct pending_prompt *awaited; /* delivered, their turn has not ended (answer.c) */
	struct loop_timer *broken;      /* runs while a turn looks interrupted */
	struct loop_timer *prompt_timer;
	int64_t busy_until; /* monotonic: its shim had no room; 0: nothing is held back */
	struct wait_handle *waits;
	struct asks *asks; /* asks_int.h; NULL: it never asked */
	int64_t ask_settled_ms; /* when the last of them was, by the boot's clock */
	struct need *needs;     /* why it needs a person (attention.c) */
	bool seen;              /* somebody looked since it became idle */
	struct held held;    /* what of it is counted above */
	struct tally below;
	struct spawn_window spawned; /* by it, in the last minute */
	struct refusals *refusals;   /* met by it */
	bool other_way;              /* this start goes the other way than its first attempt (start.c) */
	int64_t turns_before;        /* as that found it */
	struct track *tracks;        /* its conversations, the newest first (transcript.c) */
	struct usage_kept *usage;    /* usage.h; NULL: nothing was spent by it, nor below it */
	struct loop_timer *budget_timer;
	int64_t budget_pressed_ms; /* monotonic: it was interrupted for its budget; 0: not */
	bool tracks_full;            /* it was said that further ones are not followed */
};

/* A place with what is only known while the daemon runs. */
struct site {
	struct fleet *f;
	struct site *next, **at; /* at: what points to it */
	struct place *pl;
	struct unit *u; /* the instance in it (one today; the rows allow several) */
	bool connected;
	bool same_shim; /* the one that an earlier daemon spoke to */
	bool starting;  /* its shim was started and has not been heard of: it must not be overtaken */
	bool adopting;  /* found at the daemon's start, not yet heard of */
	bool asking;    /* its shim is new and asks the guest what it holds */
	bool finding;   /* the same, beside a daemon that knows: calls and prompts wait for the answer */
	bool stopping;  /* being ended */
	bool killing;   /* ... and its processes are being killed: its end follows */
	bool holder_over; /* the shim told so */
	bool retry;     /* start it again once it is down */
	bool rowless;   /* a folder that nothing owns: it never gets a row, its id may have been another's */
	bool seq_ahead; /* shim_seq is more than its row says (ack.c) */
	bool steps_wait; /* its shim may believe that they may */
	uint64_t ack_seq; /* acknowledged at the end of this turn; 0: nothing is */
	struct site *owed_next, **owed_at; /* its shim waits for an acknowledgement; owed_at NULL: it does not */
	int64_t owed_ms;                   /* since then */
	int lost;       /* shims lost in a row */
	int unheard;    /* of them, since the last hello */
	int64_t lost_ms;
	struct loop_timer *stop_timer, *ask_timer, *again_timer;
};

struct fleet {
	const struct core_port *port;
	const struct core_settings *set;
	struct idmap unit_by_id, site_by_id;
	struct idmap unit_by_name; /* of the living */
	struct unit **order; /* by creation */
	size_t count, room;
	size_t living; /* of them */
	struct site *sites;
	int adopting;
	bool closing; /* down --all is under way: nothing is started */
	bool restoring;
	struct restore *restores;
	int64_t waits; /* numbers them */
	struct admission *admission;
	struct tally all;
	struct spawn_window spawned;
	struct refusals *refusals; /* of spawns without a parent */
	struct hand_over *handing; /* answers that wait for the commit (asks.c) */
	/* Caps of its own that were set while it ran: they win over the config. */
	struct cap own_cap;
	bool own_set[CAP_KINDS];
	json_t *own_roles;
	char **unknown; /* places left alone */
	struct reading *reading; /* of conversations */
	struct site *owed, **owed_last; /* shims that wait for an acknowledgement (ack.c) */
	struct loop_timer *owed_timer;
	struct loop_timer *stuck_timer;
	int64_t stuck_at; /* it stands at; 0: nowhere */
	struct alarm *limit_alarm;
	int64_t limit_at; /* it stands at; 0: nowhere */
	struct need *needs; /* all of them (attention.c) */
	size_t nneeds;
	int64_t resumed_ms; /* monotonic: when a limited one went on last; 0: none did */
	struct schedules *schedules; /* schedule_int.h; NULL: there never was one */
};

#define P(f) ((f)->port)
#define CTX(f) ((f)->port->ctx)

/* fleet.c */
struct unit *unit_find(const struct fleet *f, const char *id);
struct unit *unit_add(struct fleet *f, struct instance *in);
void unit_drop(struct unit *u);
struct site *site_find(const struct fleet *f, const char *id);
struct site *site_of(const struct unit *u);
struct site *site_add(struct fleet *f, struct place *p);
void site_drop(struct site *s);
int64_t place_number_free(const struct fleet *f);
/* The daemon is new and still asks what lives in its place. */
bool site_being_found(const struct unit *u);

/* tree.c: parents, children, the names in use */
void tree_add(struct unit *u);  /* hangs it below its parent, when that is there */
void tree_bind(struct fleet *f); /* after loading: children that were loaded before their parents */
void tree_drop(struct unit *u); /* its children become roots */
void tree_lives(struct unit *u, bool lives); /* it began to live, or ended */
void tree_rename(struct unit *u, const char *name);
/* Top and all below it, parents before their children: from top on, NULL at the end. */
struct unit *tree_next(const struct unit *top, const struct unit *u);
/* The same backwards: from tree_last(top) on, to top. */
struct unit *tree_last(struct unit *top);
struct unit *tree_prev(const struct unit *u);

/* apply.c: the one function that changes state. Enters `to`, keeps the times, writes row and event,
 * wakes who waits. reason and detail may be NULL. */
void fleet_apply(struct unit *u, enum inst_state to, const char *reason, const char *detail);
void state_stamp(struct instance *in); /* it entered its state now */
int64_t state_ms(const struct instance *in); /* for how long it has been in it */
bool move_legal(enum inst_state from, enum inst_state to);
void place_apply(struct site *s, enum place_state to, const char *reason);
void site_save(struct site *s);
void unit_save(struct unit *u);

/* tell.c: what events say of a row */
void tell_created(struct unit *u);
json_t *tell_state(const struct unit *u, enum inst_state from); /* new */
/* Its program has this pid now (0: it runs no more). An event when that is another; the caller saves the row. */
void unit_program(struct unit *u, int64_t pid);
void tell_program(const struct unit *u);
/* The same for whether it has a pane. */
void unit_pane(struct unit *u, bool present, const char *what);

/* A late answer finds its unit again, or learns that it moved on. */
struct tick {
	struct fleet *f;
	char id[ID_SIZE];
	unsigned run;
};
struct tick *tick_new(const struct unit *u);
struct unit *tick_take(void *arg); /* frees the tick; NULL when the unit is gone or in another run */

/* caps.c */
/* Would one more child of parent (NULL: of nobody) pass? Narrows its caps to what is left, and notes that. */
int caps_reserve(struct fleet *f, struct unit *parent, struct instance *child, struct err *e);
/* May it be started again though it has its slot (it lives, or is lost)? */
int caps_reserve_rate(struct unit *u, struct err *e);
/* Would it pass again, after its end? What it was given stays its own. */
int caps_reserve_again(struct unit *u, bool restoring, struct err *e); /* restoring: no rate counts */
/* May it have this role from now on? */
int caps_reserve_role(struct unit *u, const char *role, struct err *e);
/* It was spawned (anew), or started again: counted for the rate, and for the totals of all above. */
void caps_note_spawn(struct unit *u, bool anew);
/* A holder of caps is an instance, or the fleet (NULL). */
int64_t holder_limit(const struct fleet *f, const struct unit *u, enum cap_kind k);
int64_t holder_count(struct fleet *f, struct unit *u, enum cap_kind k);
int64_t holder_role_limit(const struct fleet *f, const struct unit *u, const char *role);
int64_t holder_role_count(const struct fleet *f, const struct unit *u, const char *role);

/* spawn_window.c */
void spawn_note(struct fleet *f, struct unit *parent); /* now; parent NULL: the operator's own */
void spawns_settle(struct fleet *f); /* after loading */

/* cap_say.c */
struct refusal {
	struct unit *holder; /* NULL: the fleet */
	enum cap_kind kind;  /* CAP_KINDS: of a role */
	const char *role;
	int64_t count, limit, need;
	int64_t wait_ms; /* of a rate: until it passes, -1: never */
	bool relabel;    /* no spawn: another label was to be given */
};
/* Sets *e with all of it, tells the event; -1. */
int cap_refuse(struct fleet *f, struct unit *asker, const struct refusal *r, struct err *e);
json_t *caps_report(struct fleet *f, struct unit *u); /* each cap, see fleet_caps_json */

/* admit.c; admit.h has the rest */
/* Its row is there, queued: it starts as soon as its turn has come and the host has room for it. */
void admit(struct unit *u);

/* again.c: starts that a daemon did not live to finish */
/* Undoes a start of which nothing ran yet, and queues it again, once. False: it cannot be known, or it was
 * done before. The caller ends what there is of its place; when that is gone it stands in line. known: its
 * program was certainly not begun, whatever the row says. */
bool start_again(struct unit *u, bool known);
/* Its start is undone so, and its place is gone now. */
bool start_again_due(const struct unit *u);
/* revive.c: what becomes of one that runs no more */
/* Enters its last state, or goes on by its restart policy. to: exited, failed or lost. */
void unit_ends(struct unit *u, enum backoff_end end, enum inst_state to, const char *reason, const char *detail);
/* Starts it now; when its place is still being ended, once that is gone. */
void revive_now(struct unit *u, const char *why);
void revive_loaded(struct fleet *f); /* once, after reconciling */
bool again_waits(const struct instance *in); /* queued by its policy, for a time to come */
void again_forget(struct unit *u);
void again_started(struct unit *u);
void again_arm(struct unit *u);
void again_touch(struct unit *u); /* what is remembered becomes of this moment and boot */
void again_say(const struct instance *in, int64_t now, char *out, size_t size);

/* restart.c */
int restore_room(struct unit *u, bool restoring, struct err *e); /* do the caps allow one that ended to live again? */
void restart_over(struct unit *u); /* its place is gone, ended by a restart */

/* restore.c */
void site_found(struct site *s); /* what lives there is known, or given up */
void restores_drop(struct fleet *f);

/* start.c */
/* who NULL: the operator. */
int start_name_free(struct fleet *f, const struct caller *who, const char *name, const struct instance *self,
	struct err *e);
void start_begin(struct unit *u);
void start_linked(struct site *s, struct unit *u);      /* its place's link is up */
/* Its program ended with 1 before it was ready, and may not have found its conversation, or found it where none was
 * expected: once, it is started as if it were the other way round. False: it is not for that. */
bool start_other_way(struct site *s, struct unit *u);
void start_ready(struct unit *u);                       /* it stands at its prompt, or waits for a person */
void start_fail(struct unit *u, const struct err *why); /* undo */
void start_answer(struct unit *u, const struct err *why); /* tells the callers of spawn, if any */
/* Tells a caller of the unit as it is once this turn is on disk; why NULL: it went well. */
void answer_later(struct unit *u, fleet_done_fn *fn, void *arg, const struct err *why);
bool start_awaited(const struct unit *u);
void start_deadline(struct unit *u); /* (again) waits for the program to be ready */
/* Its place ended before it ran: once more, or fail. */
void start_place_lost(struct site *s, struct unit *u, const struct err *why);
void start_stage(struct unit *u, const char *stage, const char *text);

/* stop.c */
/* why, a constant: "killed", "down" or "restart". */
void stop_begin(struct unit *u, bool force, const char *why);
void stop_place(struct site *s, bool force);
void stop_holder_over(struct site *s); /* the shim told that the place ended */
void stop_shim_lost(struct site *s);   /* its connection ended while stopping */
void unit_over(struct unit *u);        /* nothing of it runs any more: its last state, and who waits hears */
void removals_again(struct fleet *f); /* those that ended to be removed, and were not */

/* look.c */
void look_at(struct unit *u); /* reads its screen, when that tells its state and it is quiet */

/* marks.c */
void marks_read(struct unit *u, const json_t *activity); /* into u->marks */
void marks_done(struct unit *u); /* what happened has been taken note of */
/* It stands at a prompt, and its marks will tell when it takes a line. */
bool marks_tell(const struct unit *u);

/* prompt.c, prompt_new.c, answer.c: see prompts.h */
void prompts_next(struct unit *u);
void prompts_fact(struct unit *u, const struct agent_fact *fact);
void prompts_fail(struct unit *u, const struct err *why);
/* Its place does not answer, and may yet: what stays in the queue does, what was typed is asked about then. */
void prompts_away(struct unit *u, const struct err *why);
/* The prompt of spawn: a row from the beginning, given once its program runs; kept while no program of the
 * instance ever ran. */
void prompt_first_make(struct unit *u, const char *text);
/* It goes on the command line: from now on handed over. Its text (borrowed), or NULL when there is none. */
const char *prompt_first_by_arg(struct unit *u);
void prompt_first_not_run(struct unit *u); /* that command line was never run */
/* The program runs: it counts from now, and whoever waits for the start hears what became of it. */
void prompt_first_go(struct unit *u);
/* Its program is gone, or its place: what was delivered is not answered any more. */
void answers_fail(struct unit *u, const struct err *why);
/* A new daemon found it: a turn that was interrupted before ends for us, too. */
void answers_found(struct unit *u);
void answers_interrupted(struct unit *u); /* the keys that interrupt were pressed */
/* Forgets all of them; nobody is told. */
void prompts_drop(struct unit *u);

/* schedule.c, schedule_due.c */
void schedules_begin(struct fleet *f); /* the fleet is known: from now on they come due */
void schedules_moved(struct fleet *f); /* an instance may take what is held back for it */
void schedules_removed(struct unit *u);
void schedules_drop(struct fleet *f);

/* type.c: handing prompts to the shim */
void type_later(struct unit *u, struct pending_prompt *pp);
char *type_shim_word(const struct unit *u); /* names its present shim; owned */
void type_ask(struct unit *u); /* what became of those that an earlier daemon handed over? */
int type_lines(const struct prompt *p);
/* How long the terminal must have been quiet before a key goes to what waits for one. */
int64_t type_quiet_ms(const struct unit *u);

/* env.c */
void env_note_names(struct instance *in);
/* What was given again joins what is known. -1: values are missing. */
int env_again(struct instance *in, const struct restart_args *a, struct err *e);

/* spawn_key.c */
/* Was this spawn asked for before? 1: its caller waits or was answered; 0: no; -1: refused. */
int spawned_before(struct fleet *f, const struct spawn_args *a, char *ret_id, struct err *e);
void spawn_key_note(struct unit *u, const struct spawn_args *a);

/* asks.c */
/* What a report means for the queue of approvals. True: it asked for something that was allowed on the spot, so it waits for
 * nobody. */
bool asks_report(struct unit *u, const char *event, const json_t *report);
void asks_state(struct unit *u, enum inst_state to, const char *reason); /* it entered this state */
/* The way to its place broke, or is there again: hooks that are alone have their time from when it is. */
void asks_reach(struct unit *u);
void asks_drop(struct unit *u);

/* attention.c */
void attention_look(struct unit *u);      /* what it needs a person for may have changed */
void attention_gone(struct unit *u);      /* it is removed: so is what it needed */
void attention_drop(struct unit *u);      /* forgets it; nobody is told */
void attention_loaded(struct fleet *f);   /* a new daemon knows how things are */

/* wait.c */
void waits_check(struct unit *u);
void waits_end(struct unit *u);
void waits_again(struct unit *u);

/* report.c */
void report_fact(struct unit *u, const struct agent_fact *fact);
void report_came(struct unit *u, const json_t *ev);   /* a hook's, or the guest program's own */
/* screen: its text, when it was read for this; else NULL */
void report_activity(struct unit *u, bool quiet, const char *screen);
void activity_came(struct unit *u, const json_t *ev); /* the terminal's */

/* settle.c: what its session file says, against what its hooks said */
void settle_word(struct unit *u, const char *word);
void settle_look(struct unit *u);   /* after every report, and when it is found again */
void settle_forget(struct unit *u); /* another program runs, or none; the caller saves the row */

/* rejoin.c */
void rejoin_known(struct site *s);                     /* its shim knows it: what waited for that goes on */
void rejoin_adopted(struct site *s, const json_t *ev); /* a shim tells what its guest holds */

/* live.c */
void live_exited(struct site *s, struct unit *u, const json_t *ev);
/* Its place is gone though nobody ended it. */
void live_place_lost(struct site *s, const char *reason, const char *detail);

#endif
