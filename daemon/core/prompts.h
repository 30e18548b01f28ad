/* SPDX-License-Identifier: ISC */
/* What the files about prompts share: prompt.c (their turn, their end), prompt_new.c (how they come), answer.c (what
 * came of those that were delivered), type.c (handing over). */
#ifndef DAEMON_CORE_PROMPTS_H
#define DAEMON_CORE_PROMPTS_H

#include "daemon/core/fleet_int.h"

#define HELD_MS (24 * 3600 * 1000LL) /* for a first prompt that waits for its user's login */
#define REPORT_MS 60000LL            /* for the report of one that could wait in the queue for ever */
#define BY_ARGUMENT "argument"       /* the reason of a first prompt that is on its way so */

#define HALF_WAY_MS 10000 /* for the report of one whose shim ended over it */

/* Somebody who wants to hear of a prompt once it is so far. */
struct prompt_waiter {
	struct prompt_waiter *next;
	enum prompt_until until;
	int64_t deadline; /* monotonic; INT64_MAX: none but the prompt's own */
	prompt_done_fn *done;
	void *arg;
};

/* prompt.c */
void prompt_wait_for(struct prompt_waiter **list, enum prompt_until until, int64_t deadline, prompt_done_fn *done,
	void *arg);
/* Tells these, after the commit, what became of p. Takes both. */
void prompt_tell_later(struct fleet *f, struct prompt *p, struct prompt_waiter *waiters);
/* Those of the waiters that want no more than it has reached; they are taken off. */
struct prompt_waiter *prompt_waiters_due(struct pending_prompt *pp, enum prompt_until reached);
/* Its row with this status. */
void prompt_status_put(struct unit *u, struct pending_prompt *pp, enum prompt_status st);
void prompt_event(const struct unit *u, const struct prompt *p);
/* Off its list, with its last status; who waits hears after the commit. */
void prompt_settle(struct unit *u, struct pending_prompt *pp, enum prompt_status st, const struct err *why);
/* The same for one that is on no list any more. */
void prompt_close(struct unit *u, struct pending_prompt *pp, enum prompt_status st, const struct err *why);
/* Nothing of it was typed: it is queued again, and goes not before pause_ms. */
void prompt_again(struct pending_prompt *pp, int64_t pause_ms);
struct pending_prompt *prompt_find(struct unit *u, const char *key); /* not settled; NULL */
void prompt_free_pending(struct pending_prompt *pp); /* nobody is told */
void prompts_arm(struct unit *u);
/* At its prompt: idle, or with work left in the background only (which may never end). */
bool prompt_at(const struct instance *in);

/* interrupt.c */
/* A turn is under way, and its program can be told to stop. */
bool prompt_interruptible(const struct unit *u);
/* Queues the keys that do, as a row of their own: no crash forgets or repeats them. The caller goes on with prompts_next. */
void prompt_interrupt(struct unit *u);
/* Such keys are pressed now: what its program told before does not say that it goes on, even when it is heard later. */
void prompt_interrupted(struct unit *u);
/* What waits in the queue stays there as long as it takes; its callers hear that it is queued. */
void prompts_hold(struct unit *u);

/* prompt_new.c */
struct pending_prompt *prompt_pending_new(struct unit *u, struct prompt *p, const char *key, int64_t ms);
void prompt_queue(struct unit *u, struct pending_prompt *pp);
/* Is it the waiter of a spawn? Its argument is a tick. */
bool prompt_waiter_is_first(const struct prompt_waiter *w);

/* answer.c */
/* It was delivered, and its program tells of the end of its turn. */
void answers_await(struct unit *u, struct pending_prompt *pp);
void answers_loaded(struct unit *u, struct pending_prompt *pp);
void answers_fact(struct unit *u, const struct agent_fact *fact);
/* A turn is under way for what is known: its end was not told, and nobody here interrupted it. That its program seems to
 * stand at its prompt may be older than the turn. */
bool answers_due(const struct unit *u);

/* type.c */
/* Will the program say that it took this one, and when its turn ends? */
bool type_reported(const struct unit *u, const struct prompt *p);
bool type_interrupts(const struct pending_prompt *pp); /* the very keys that interrupt */

#endif
