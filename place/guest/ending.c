/* SPDX-License-Identifier: ISC */
/*
 * The end of a place.
 *
 * In a machine PID 1 does it (init.h): everybody gets TERM, then KILL, then the power goes; we only let
 * our answer reach the shim first. On a host we do it ourselves, for all that descends from us: we are
 * their subreaper, so that what left its session is still found. HUP at once (that is what programs on
 * a terminal expect), TERM after TERM_MS, KILL after KILL_MS; when nobody is left, exits are waited for
 * until they were acknowledged, at most LAST_MS.
 */
#include "place/guest/ending.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/kin.h"
#include "base/log.h"
#include "base/util.h"
#include "place/guest/exec.h"
#include "place/guest/init.h"
#include "place/guest/mount.h"
#include "place/guest/proc.h"
#include "place/guest/tail.h"

#define ANSWER_MS 200
#define TAILS_WAITS 10
#define TERM_MS 500
#define KILL_MS 2000
#define LAST_MS 4000

enum step { STEP_HUP, STEP_TERM, STEP_KILL, STEP_LAST };

struct ending {
	struct guest *guest;
	struct loop_timer *timer;
	enum step step;
	int waited; /* machine: times that what is on its way was waited for */
};

/* Signals all that descend from us. */
static void family_signal(int sig)
{
	kin_signal_below(getpid(), sig);
}

/* --- steps --- */

/* Whoever descends from us has an ancestor that is our child: we are the subreaper. */
static bool childless(void)
{
	siginfo_t si;

	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0;
}

void ending_look(struct guest *g)
{
	struct ending *x = g->ending;

	if (!x || g->machine || !childless())
		return;
	bool busy = tails_settle(g); /* what they wrote last */
	if ((!busy && !proc_any_unacknowledged(g)) || !link_is_up(guest_link(g)))
		loop_stop(g->loop);
	else if (x->step != STEP_LAST) {
		x->step = STEP_LAST;
		loop_timer_start(x->timer, LAST_MS);
	}
}

static void on_timer(void *arg)
{
	struct ending *x = arg;
	struct guest *g = x->guest;
	struct err e = { 0 };

	if (g->machine) {
		if (tails_settle(g) && x->waited++ < TAILS_WAITS) {
			loop_timer_start(x->timer, ANSWER_MS);
			return;
		}
		if (guest_poweroff(&e) < 0)
			log_error("ending", NULL, "%s", e.message);
		return;
	}
	switch (x->step) {
	case STEP_HUP:
		x->step = STEP_TERM;
		family_signal(SIGTERM);
		family_signal(SIGCONT);
		loop_timer_start(x->timer, KILL_MS - TERM_MS);
		break;
	case STEP_TERM:
		x->step = STEP_KILL;
		family_signal(SIGKILL);
		loop_timer_start(x->timer, LAST_MS - KILL_MS);
		break;
	case STEP_KILL:
	case STEP_LAST:
		loop_stop(g->loop);
		break;
	}
}

void ending_start(struct guest *g)
{
	if (g->ending)
		return;
	struct ending *x = g->ending = xcalloc(1, sizeof(*x));
	x->guest = g;
	x->timer = loop_timer_create(g->loop, on_timer, x);
	if (g->machine) {
		loop_timer_start(x->timer, ANSWER_MS);
		return;
	}
	proc_signal_all(g, SIGHUP);
	proc_signal_all(g, SIGCONT);
	exec_signal_all(g, SIGHUP);
	loop_timer_start(x->timer, TERM_MS);
	ending_look(g);
}

void ending_destroy(struct ending *x)
{
	if (!x)
		return;
	loop_timer_free(x->timer);
	free(x);
}

/* --- orphans --- */

struct reaper {
	struct guest *guest;
	struct loop_signal *signal;
	struct loop_defer *again;
};

/* Whose exit somebody waits for is left to them: it is reaped by its own watch, soon. */
static bool watched(struct guest *g, pid_t pid)
{
	return proc_owns(g, pid) || exec_owns(g, pid) || mounts_own(g, pid);
}

static void reap(void *arg)
{
	struct reaper *r = arg;

	for (;;) {
		siginfo_t si = { 0 };
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid == 0)
			break;
		if (watched(r->guest, si.si_pid)) {
			/* It hides the others until then. */
			loop_defer_schedule(r->again);
			break;
		}
		waitpid(si.si_pid, NULL, WNOHANG);
	}
	ending_look(r->guest);
}

static void on_sigchld(void *arg, int signo)
{
	(void)signo;
	loop_defer_schedule(((struct reaper *)arg)->again);
}

struct reaper *reaper_create(struct guest *g)
{
	struct reaper *r = xcalloc(1, sizeof(*r));

	if (!g->machine)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	r->guest = g;
	r->again = loop_defer_create(g->loop, reap, r);
	r->signal = loop_signal_add(g->loop, SIGCHLD, on_sigchld, r);
	return r;
}

void reaper_destroy(struct reaper *r)
{
	if (!r)
		return;
	loop_signal_free(r->signal);
	loop_defer_free(r->again);
	free(r);
}
