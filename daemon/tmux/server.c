/* SPDX-License-Identifier: ISC */
/* The pool's servers: what becomes of the panes on one, where panes are placed, when one is ended. */
#include "daemon/tmux/pool.h"

#include "base/fault.h"
#include "base/util.h"

static void server_ready(void *arg, bool fresh)
{
	struct server *sv = arg;
	struct pane *pa, *next;

	if (fresh) {
		bool lost = false;

		looks_free(sv);
		TAILQ_FOREACH_SAFE (pa, &sv->panes, on_server, next)
			if (pa->has_pane) {
				lost = true;
				pane_lost(pa, "its tmux server ended");
			}
		sv->pool->restarts += lost;
	}
	sv->synced = false;
	sv->sync_in_flight = false;
	sv->refusals = 0;
	sync_server(sv);
}

/* Nothing can be had where these panes are: who waits is told, and no more than that. Whether a session
 * stands there is not known, and what is wanted goes on being tried: on_back tells of it then. */
static void server_give_up(struct server *sv, const struct err *e)
{
	struct pane *pa;

	TAILQ_FOREACH (pa, &sv->panes, on_server) {
		if (pa->phase == PANE_CLOSING) {
			pool_tell_all(pa, &pa->closing, e);
		} else if (!STAILQ_EMPTY(&pa->opening)) {
			pa->back = true;
			pool_tell_all(pa, &pa->opening, e);
		}
	}
}

static void server_stop(struct server *sv)
{
	sv->ending = true;
	FAULT_POINT("tmux.give_up");
	tmux_shard_stop(sv->shard);
}

void server_hopeless(struct server *sv, const struct err *e)
{
	server_give_up(sv, e);
	if (sv->adopting || sv->npanes == 0)
		server_stop(sv);
}

static void list_again(void *arg)
{
	sync_server(arg);
}

static void server_down(void *arg, const struct err *e, unsigned attempts)
{
	struct server *sv = arg;
	struct pane *pa;

	sv->synced = sv->sync_in_flight = false;
	looks_doubt(sv);
	TAILQ_FOREACH (pa, &sv->panes, on_server)
		if (pa->phase == PANE_CLOSING)
			pa->resend = true;
	if (attempts >= TMUX_ATTEMPTS_MAX)
		server_hopeless(sv, e);
	else if (sv->adopting)
		server_stop(sv);
}

static void server_room(void *arg)
{
	struct server *sv = arg;

	if (sv->sync_wanted)
		sync_server(sv);
	pane_pump(sv);
}

static void server_event(void *arg, const char *records)
{
	sync_event(arg, records);
}

/* Its panes go elsewhere; it stays only for its number. */
static void server_move_away(struct server *sv)
{
	struct pane *pa;

	sv->ending = true;
	while ((pa = TAILQ_FIRST(&sv->panes)) != NULL) {
		struct err e = {0};

		if (pa->phase == PANE_CLOSING) {
			pane_closed(pa, NULL);
			continue;
		}
		if (pa->has_pane)
			pane_lost(pa, "its tmux server does not answer");
		pool_take(pa);
		pane_enter(pa, pa->phase == PANE_DEAD ? PANE_DEAD : PANE_WANTED);
		if (pa->phase == PANE_WANTED && pool_place(pa, &e) < 0)
			pane_failed(pa, &e);
	}
}

static void server_haunted(void *arg)
{
	struct server *sv = arg;

	sv->pool->restarts++;
	server_move_away(sv);
	sv->adopting = false;
	tmux_shard_stop(sv->shard);
	pool_look(sv->pool);
}

static void server_gone(void *arg)
{
	struct server *sv = arg;

	server_move_away(sv);
	sv->gone = true;
	sv->adopting = false;
	pool_look(sv->pool);
}

void server_free(struct server *sv)
{
	TAILQ_REMOVE(&sv->pool->servers, sv, entry);
	tmux_shard_destroy(sv->shard);
	loop_timer_free(sv->linger);
	loop_timer_free(sv->again);
	looks_free(sv);
	free(sv);
}

bool server_answers(const struct server *sv)
{
	return sv != NULL && !sv->ending && sv->synced && tmux_shard_ready(sv->shard);
}

void pool_look(struct tmux_pool *p)
{
	loop_defer_schedule(p->deliver);
}

/* Frees servers that are gone; not from inside their callbacks. */
void pool_sweep(struct tmux_pool *p)
{
	struct server *sv, *next;

	TAILQ_FOREACH_SAFE (sv, &p->servers, entry, next)
		if (sv->gone)
			server_free(sv);
	pool_adopted(p);
	if (p->ended && TAILQ_EMPTY(&p->servers) && p->end_fn != NULL) {
		pool_tell_done(p, p->end_fn, p->end_arg, "", NULL);
		p->end_fn = NULL;
	}
}

/* An empty server is ended unless a person has sessions of their own on it. */
static void linger_listed(void *arg, const struct err *e, const char *text, size_t len)
{
	struct server *sv = arg;

	(void)len;
	if (sv->npanes > 0 || sv->ending)
		return;
	if (e == NULL && strcmp(text, TMUX_HUB) != 0)
		return; /* the end of theirs is an event, and looks again */
	sv->ending = true;
	FAULT_POINT("tmux.end");
	tmux_shard_stop(sv->shard);
	FAULT_POINT("tmux.end_asked");
}

static void linger_over(void *arg)
{
	struct server *sv = arg;
	struct tmux_cmd cmd;

	if (sv->npanes > 0 || sv->ending || sv->adopting)
		return;
	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "list-sessions -F");
	tmux_cmd_arg(&cmd, "#{session_name}");
	/* Not ready: the listing made when it is starts the timer again. */
	tmux_shard_send(sv->shard, &cmd, linger_listed, sv, NULL, NULL);
	tmux_cmd_finish(&cmd);
}

void pool_linger(struct server *sv)
{
	if (!sv->ending && sv->npanes == 0)
		loop_timer_start(sv->linger, sv->pool->limits.linger_ms);
}

/* One timer for all, so that an idle daemon wakes for it once. */
void server_pulse(void *pool)
{
	struct tmux_pool *p = pool;
	struct server *sv;

	TAILQ_FOREACH (sv, &p->servers, entry)
		if (sv->npanes > 0)
			tmux_shard_pulse(sv->shard);
	if (!TAILQ_EMPTY(&p->servers))
		loop_timer_start(p->pulse, p->limits.pulse_ms);
}

struct server *server_add(struct tmux_pool *p, unsigned number)
{
	static const struct tmux_shard_ops ops = {
		.on_ready = server_ready,
		.on_down = server_down,
		.on_room = server_room,
		.on_event = server_event,
		.on_haunted = server_haunted,
		.on_gone = server_gone,
	};
	struct server *sv = xcalloc(1, sizeof(*sv)), *other;

	sv->pool = p;
	TAILQ_INIT(&sv->panes);
	sv->linger = loop_timer_create(p->loop, linger_over, sv);
	sv->again = loop_timer_create(p->loop, list_again, sv);
	if (!loop_timer_active(p->pulse))
		loop_timer_start(p->pulse, p->limits.pulse_ms);
	sv->shard = tmux_shard_create(&p->shard_env, p->dir, number, &ops, sv);
	TAILQ_FOREACH (other, &p->servers, entry)
		if (tmux_shard_number(other->shard) > number) {
			TAILQ_INSERT_BEFORE(other, sv, entry);
			return sv;
		}
	TAILQ_INSERT_TAIL(&p->servers, sv, entry);
	return sv;
}

int pool_place(struct pane *pa, struct err *e)
{
	struct tmux_pool *p = pa->pool;
	struct server *sv;
	unsigned free_number = 0, n = 0;

	if (p->adopting)
		return 0; /* placed when that is over */
	TAILQ_FOREACH (sv, &p->servers, entry) {
		if (!sv->ending && sv->npanes < p->limits.panes) {
			pool_put(pa, sv);
			pane_pump(sv);
			return 0;
		}
		n++;
		if (tmux_shard_number(sv->shard) == free_number)
			free_number++;
	}
	if (n >= p->limits.servers)
		return err_set(e, ERR_LIMIT,
			"All %u tmux servers are full with %u panes each", n, p->limits.panes);
	pool_put(pa, server_add(p, free_number));
	return 0;
}
