/* SPDX-License-Identifier: ISC */
/* A pane's life: what became of it, and what follows. */
#include "daemon/tmux/pool.h"

#include <signal.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/util.h"

bool pane_id_ok(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return n > 0 && n <= TMUX_ID_MAX && id[n] == '\0';
}

void pane_target(const struct pane *pa, char out[TMUX_TARGET_MAX])
{
	if (pa->has_pane && pa->renamed)
		str_fmt(out, TMUX_TARGET_MAX, "$%u", pa->session_no);
	else
		str_fmt(out, TMUX_TARGET_MAX, "=%s", pa->id);
}

static bool may_revive(struct pane *pa)
{
	int64_t now = clock_mono_ms();

	if (!STAILQ_EMPTY(&pa->opening))
		return true; /* asked for while its server was away */
	if (!pa->has_spec || (pa->revived_ms != 0 && now - pa->revived_ms < TMUX_REVIVE_CALM_MS))
		return false;
	pa->revived_ms = now;
	return true;
}

/* A view that was killed is started again: at once, then after growing pauses while it goes on dying. */
static void revive_timer(void *arg)
{
	struct pane *pa = arg;
	struct err e = {0};

	if (pa->phase != PANE_DEAD || pa->pool->ended)
		return;
	pa->revived_ms = clock_mono_ms();
	pane_enter(pa, PANE_WANTED);
	if (pa->server != NULL)
		pane_pump(pa->server);
	else if (pool_place(pa, &e) < 0)
		pane_failed(pa, &e);
}

static void revive(struct pane *pa)
{
	int64_t ms = TMUX_REVIVE_FIRST_MS;

	pa->back = true;
	if (may_revive(pa)) {
		pa->revives = 0;
		pane_enter(pa, PANE_WANTED);
		return;
	}
	for (unsigned i = 0; i < pa->revives && ms < TMUX_REVIVE_MOST_MS; i++)
		ms *= 2;
	pa->revives++;
	pane_enter(pa, PANE_DEAD);
	if (pa->revive == NULL)
		pa->revive = loop_timer_create(pa->pool->loop, revive_timer, pa);
	loop_timer_start(pa->revive, ms);
}

static void pane_set_viewers(struct pane *pa, unsigned n)
{
	if (pa->viewers == n)
		return;
	pa->viewers = n;
	pool_tell_viewers(pa);
}

static void program_ended(void *arg, pid_t pid, struct proc_status st)
{
	struct pane *pa = arg;

	(void)pid;
	(void)st; /* not our child: the status is tmux's to tell */
	pa->watch = NULL;
	if (pa->phase == PANE_CLOSING && pa->killed) {
		pane_killed(pa);
		return;
	}
	pa->exited = true;
	if (pa->phase == PANE_OPEN)
		sync_server(pa->server);
}

void pane_unwatch(struct pane *pa)
{
	loop_child_free(pa->watch);
	pa->watch = NULL;
	pa->watch_pid = 0;
	pa->exited = false;
	pa->nudges = 0;
}

void pane_watch(struct pane *pa)
{
	if (pa->pid <= 0 || pa->watch_pid == pa->pid)
		return;
	pane_unwatch(pa);
	pa->watch_pid = pa->pid;
	pa->watch = loop_child_watch(pa->pool->loop, pa->pid, program_ended, pa, NULL);
	if (pa->watch == NULL) {
		pa->exited = true; /* gone already */
		sync_server(pa->server);
	}
}

void pane_opened(struct pane *pa)
{
	pane_enter(pa, PANE_OPEN);
	FAULT_POINT("pane.opened");
	if (pa->revive != NULL)
		loop_timer_stop(pa->revive);
	pane_watch(pa);
	pool_tell_all(pa, &pa->opening, NULL);
	if (pa->back)
		pool_tell_back(pa);
	pa->back = false;
	pane_touch_up(pa);
}

void pane_ended(struct pane *pa, struct proc_status st)
{
	bool again = (st.code != 0 || st.signal != 0) && pa->has_spec;

	pane_enter(pa, PANE_DEAD);
	pa->pid = 0;
	pane_unwatch(pa);
	pa->back = false;
	if (again)
		revive(pa);
	pool_tell_died(pa, st, again);
}

void pane_vanished(struct pane *pa, const char *why)
{
	bool again = may_revive(pa);

	pane_enter(pa, again ? PANE_WANTED : PANE_DEAD);
	pa->has_pane = false;
	pa->pid = 0;
	pane_unwatch(pa);
	pa->back = again;
	pane_set_viewers(pa, 0);
	pool_tell_lost(pa, why, again);
}

void pane_lost(struct pane *pa, const char *why)
{
	pa->has_pane = false;
	pa->pid = 0;
	pane_unwatch(pa);
	pane_set_viewers(pa, 0);
	if (pa->phase != PANE_OPEN)
		return; /* CLOSING is done when the new server does not list it */
	pane_enter(pa, pa->has_spec ? PANE_WANTED : PANE_DEAD);
	pa->back = pa->has_spec;
	pool_tell_lost(pa, why, pa->has_spec);
}

static void out_of_patience(void *arg)
{
	struct pane *pa = arg;

	if (pa->watch != NULL)
		kill(pa->watch_pid, SIGKILL);
}

void pane_killed(struct pane *pa)
{
	if (pa->watch == NULL) {
		if (pa->server != NULL)
			tmux_shard_nudge(pa->server->shard);
		pane_closed(pa, NULL);
		return;
	}
	if (pa->killed)
		return;
	pa->killed = true;
	pa->patience = loop_timer_create(pa->pool->loop, out_of_patience, pa);
	loop_timer_start(pa->patience, TMUX_HANGUP_MS);
}

/* As a record of its own: replies to what was asked of the old one may still come. */
static void open_again(struct pane *old)
{
	struct pane *pa = pool_add(old->pool, old->id);
	struct err e = {0};

	pane_enter(pa, PANE_WANTED);
	pa->has_spec = true;
	memcpy(pa->title, old->title, sizeof(pa->title));
	memcpy(pa->status, old->status, sizeof(pa->status));
	pa->argv = take_ptr(old->argv);
	pa->env = take_ptr(old->env);
	pa->cwd = take_ptr(old->cwd);
	pa->rows = old->rows;
	pa->cols = old->cols;
	STAILQ_CONCAT(&pa->opening, &old->opening);
	pool_forget(old);
	if (pool_place(pa, &e) < 0)
		pane_failed(pa, &e);
}

void pane_closed(struct pane *pa, const struct err *e)
{
	FAULT_POINT("pane.closed");
	pool_tell_all(pa, &pa->closing, e);
	if (pa->again)
		open_again(pa);
	else
		pool_forget(pa);
}

void pane_failed(struct pane *pa, const struct err *e)
{
	bool known = pa->back || pa->found;

	pool_tell_all(pa, &pa->opening, e);
	if (pa->back)
		pool_tell_lost(pa, e->message, false);
	pa->back = false;
	if (!known) {
		pool_forget(pa);
		return;
	}
	pane_enter(pa, PANE_DEAD);
}
