/* SPDX-License-Identifier: ISC */
/*
 * A world for the real core, store, turn and bus that behaves as the real one: places, shims, guests and
 * panes that live on when the daemon dies, and messages between them that wait in order until the test
 * lets the next one go. There is one of it in a process.
 */
#ifndef TESTS_MODEL_SIM_H
#define TESTS_MODEL_SIM_H

#include "base/clock.h"
#include "base/util.h"
#include "daemon/world/world_int.h"
#include "tests/unit/core/model/fake_loop.h"

#define PLACES_MAX 96
#define MSGS_MAX 256
#define KEPT_MAX 64
#define TYPED_MAX 64

/* The program of an instance, in the guest. */
struct sim_prog {
	bool was, running; /* it was started; it runs */
	bool reports, ready_told, busy, waiting;
	bool exit_kept; /* the guest has not been told to forget it */
	int pid, code, prompts_due;
	char id[ID_SIZE];
};

/* A message on its way between daemon and shim. */
struct sim_msg {
	enum { M_HELLO, M_EVENT, M_ANSWER, M_CALL } kind;
	uint64_t seq;
	char word[24]; /* the event's type, the call's method */
	json_t *body;
	enum err_code error;
	port_reply_fn *fn;
	void *arg;
};

struct sim_queue {
	struct sim_msg m[MSGS_MAX];
	size_t n;
};

struct sim_typed {
	char key[KEY_SIZE];
	int times; /* how often its text reached the terminal */
};

struct sim_place {
	bool exists; /* its folder does */
	char id[ID_SIZE], instance[ID_SIZE];
	bool holder, link, stop_asked;
	int holder_pid, guest; /* guest: which program holds the terminals, by number */
	struct sim_prog prog;
	/* its shim */
	bool shim, coming, knows; /* knows: it has asked the guest */
	int shim_pid;
	uint64_t seq;
	struct sim_msg kept[KEPT_MAX]; /* not acknowledged */
	size_t nkept;
	struct sim_msg last; /* event that the daemon took, of that shim */
	int last_shim;
	struct sim_typed typed[TYPED_MAX];
	size_t ntyped;
	/* the daemon's end, which dies with it */
	bool want, adopt, conn; /* a connection is wanted; an adopted one, not a start; it stands */
	bool killing;
	struct sim_queue to_shim, to_daemon;
	struct sim_msg watches[16]; /* not answered yet */
	size_t nwatches;
	port_done_fn *made, *killed;
	void *made_arg, *killed_arg;
};

struct sim {
	struct world w; /* port.ctx: first */
	struct sim_place place[PLACES_MAX];
	char pane[PLACES_MAX][ID_SIZE];
	size_t npanes;
	int pids, guests;
	bool alive;      /* a daemon is */
	bool broken;     /* it must end */
	bool fail_commit, fail_make, refuse_call;
	bool crash_soon;
	int crash_answers, answers; /* every so many answers the daemon dies; 0: never for that */
	char dir[128];
	int generation; /* daemons so far */
	struct store *reader; /* sees what is on disk */
	bool closed;      /* down --all is under way */
	int64_t closed_seq; /* ... since this event */
};

extern struct sim sim;

/* sim.c: the daemon's life */
void sim_begin(uint64_t seed, const char *dir);
void sim_daemon_start(void);
void sim_daemon_crash(void);
void sim_turn(void); /* until the turn's end, commit and all that follows from it */
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
char *sim_db_path(void); /* owned */

/* places.c: what happens in the world */
void sim_port(struct core_port *p);
struct sim_place *sim_place(const char *id);
struct sim_place *sim_place_of(const char *instance); /* where its program is, or was */
/* How many things could happen next in it, and the n-th of them. */
size_t sim_steps(const struct sim_place *p);
void sim_step(struct sim_place *p, size_t n);
void sim_shim_dies(struct sim_place *p);
void sim_holder_dies(struct sim_place *p);
void sim_guest_restarts(struct sim_place *p);
void sim_prog_exits(struct sim_place *p, int code);
void sim_prog_says(struct sim_place *p, const char *event);
void sim_event_twice(struct sim_place *p);
void sim_reboot(void);
void sim_daemon_gone(void);
/* The daemon drops its connection, or loses it: pending calls fail; the loss is told. */
void sim_disconnect(struct sim_place *p, bool lost);
/* model.c: a text reached a terminal */
void model_typed(const char *key);
const struct agent_program *sim_agent(void *ctx, const char *name);

#endif
