/* SPDX-License-Identifier: ISC */
/* The pool's own life, and its records of panes. */
#include "daemon/tmux/pool.h"

#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/tmux/conf.h"

extern char **environ;

/* ---- records ---- */

static unsigned hash_of(const char *s)
{
	unsigned h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

struct pane *pool_find(struct tmux_pool *p, const char *id)
{
	struct pane *pa;

	LIST_FOREACH (pa, &p->buckets[hash_of(id) % TMUX_BUCKETS], hash)
		if (strcmp(pa->id, id) == 0)
			return pa;
	return NULL;
}

struct pane *pool_add(struct tmux_pool *p, const char *id)
{
	struct pane *pa = xcalloc(1, sizeof(*pa));

	pa->pool = p;
	str_fmt(pa->id, sizeof(pa->id), "%s", id);
	STAILQ_INIT(&pa->opening);
	STAILQ_INIT(&pa->closing);
	TAILQ_INSERT_TAIL(&p->panes, pa, all);
	LIST_INSERT_HEAD(&p->buckets[hash_of(id) % TMUX_BUCKETS], pa, hash);
	p->npanes++;
	return pa;
}

static void waiters_free(struct waiters *list)
{
	struct waiter *w;

	while ((w = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, entry);
		free(w);
	}
}

static void pane_free(struct pane *pa)
{
	TAILQ_REMOVE(&pa->pool->panes, pa, all);
	loop_child_free(pa->watch);
	loop_timer_free(pa->patience);
	loop_timer_free(pa->revive);
	waiters_free(&pa->opening);
	waiters_free(&pa->closing);
	strv_free(pa->argv);
	strv_free(pa->env);
	free(pa->cwd);
	free(pa);
}

void pool_forget(struct pane *pa)
{
	pool_take(pa);
	LIST_REMOVE(pa, hash);
	pane_unwatch(pa);
	pa->pool->npanes--;
	pa->pool->nopen -= pa->phase == PANE_OPEN;
	pa->forgotten = true;
	if (pa->in_flight == 0)
		pane_free(pa);
}

void pool_reply_done(struct pane *pa)
{
	if (--pa->in_flight == 0 && pa->forgotten)
		pane_free(pa);
}

void pool_put(struct pane *pa, struct server *sv)
{
	pool_take(pa);
	pa->server = sv;
	TAILQ_INSERT_TAIL(&sv->panes, pa, on_server);
	sv->npanes++;
	loop_timer_stop(sv->linger);
}

void pool_take(struct pane *pa)
{
	struct server *sv = pa->server;

	if (sv == NULL)
		return;
	TAILQ_REMOVE(&sv->panes, pa, on_server);
	pa->server = NULL;
	pa->has_pane = false;
	if (--sv->npanes == 0)
		pool_linger(sv);
}
/* ---- life ---- */

static int pool_program(struct tmux_pool *p, struct err *e)
{
	const char *name = p->limits.program != NULL ? p->limits.program : "tmux";

	p->program = proc_which(name);
	p->limits.program = NULL;
	if (p->program == NULL) {
		err_set(e, ERR_MISSING, "The program %s was not found", name);
		return err_hint(e, "Install the package tmux (Debian, Ubuntu: apt-get install tmux)");
	}
	if (tmux_version_ask(p->program, p->env, &p->version, e) < 0)
		return -1;
	/* The loader splits at blanks and colons. */
	if (p->limits.preload != NULL && p->limits.preload[0] != '\0' &&
		strpbrk(p->limits.preload, " :") == NULL)
		strv_env_set(&p->env, "LD_PRELOAD", p->limits.preload);
	p->limits.preload = NULL;
	return 0;
}

static int pool_folder(struct tmux_pool *p, struct err *e)
{
	cleanup_free char *longest = xasprintf("%s/%u.sock", p->dir, TMUX_SERVERS_MAX);
	cleanup_free char *conf = tmux_conf_text(p->limits.settings);
	cleanup_free char *text = NULL;

	p->limits.settings = NULL;
	str_fmt(p->stamp, sizeof(p->stamp), "%08x", hash_of(conf));
	text = xasprintf("%sset-option -g " TMUX_CONF_OPTION " %s\n", conf, p->stamp);
	if (sock_path_check(longest, e) < 0 || dir_make(p->dir, 0700, e) < 0)
		return -1;
	return file_write_atomic(p->conf_path, text, strlen(text), 0600, e);
}

static void limits_default(struct tmux_limits *l)
{
	if (l->panes == 0)
		l->panes = TMUX_PANES_PER_SERVER;
	if (l->servers == 0 || l->servers > TMUX_SERVERS_MAX)
		l->servers = TMUX_SERVERS_MAX;
	if (l->deadline_ms <= 0)
		l->deadline_ms = TMUX_DEADLINE_MS;
	if (l->start_ms <= 0)
		l->start_ms = TMUX_START_MS;
	if (l->pulse_ms <= 0)
		l->pulse_ms = TMUX_PULSE_MS;
	if (l->linger_ms == 0)
		l->linger_ms = TMUX_LINGER_MS;
	if (l->linger_ms < 0)
		l->linger_ms = 0;
}

int tmux_pool_create(struct loop *l, const char *dir, const struct tmux_limits *limits,
	const struct tmux_pool_ops *ops, void *arg, struct tmux_pool **ret, struct err *e)
{
	struct tmux_pool *p = xcalloc(1, sizeof(*p));

	p->loop = l;
	p->dir = xstrdup(dir);
	p->conf_path = xasprintf("%s/tmux.conf", dir);
	p->env = tmux_conf_env(environ);
	p->ops = ops;
	p->arg = arg;
	if (limits != NULL)
		p->limits = *limits;
	limits_default(&p->limits);
	TAILQ_INIT(&p->servers);
	TAILQ_INIT(&p->panes);
	STAILQ_INIT(&p->notices);
	p->pulse = loop_timer_create(l, server_pulse, p);
	p->deliver = loop_defer_create(l, pool_deliver, p);
	p->reaper = tmux_reaper_create(l);
	if (pool_program(p, e) < 0 || pool_folder(p, e) < 0) {
		tmux_pool_destroy(p);
		return -1;
	}
	p->shard_env = (struct tmux_shard_env){.loop = l,
		.reaper = p->reaper,
		.program = p->program,
		.conf = p->conf_path,
		.stamp = p->stamp,
		.env = p->env,
		.deadline_ms = p->limits.deadline_ms,
		.start_ms = p->limits.start_ms};
	*ret = p;
	return 0;
}

void tmux_pool_destroy(struct tmux_pool *p)
{
	struct server *sv;
	struct pane *pa;

	if (p == NULL)
		return;
	while ((sv = TAILQ_FIRST(&p->servers)) != NULL)
		server_free(sv);
	while ((pa = TAILQ_FIRST(&p->panes)) != NULL)
		pane_free(pa);
	notices_free(p);
	tmux_reaper_destroy(p->reaper);
	loop_timer_free(p->pulse);
	loop_defer_free(p->deliver);
	strv_free(p->env);
	free(p->program);
	free(p->conf_path);
	free(p->dir);
	free(p);
}

void tmux_pool_end(struct tmux_pool *p, tmux_done_fn *fn, void *arg)
{
	struct err e = {0};
	struct pane *pa, *next;
	struct server *sv;

	err_set(&e, ERR_CANCELLED, "All panes were ended");
	TAILQ_FOREACH_SAFE (pa, &p->panes, all, next)
		if (!pa->forgotten) {
			pool_tell_all(pa, &pa->opening, &e);
			pool_tell_all(pa, &pa->closing, NULL);
			pool_forget(pa);
		}
	p->ended = true;
	p->end_fn = fn;
	p->end_arg = arg;
	TAILQ_FOREACH (sv, &p->servers, entry) {
		sv->ending = true;
		tmux_shard_stop(sv->shard);
	}
	pool_look(p);
}

void tmux_pool_stats(const struct tmux_pool *p, struct tmux_pool_stats *ret)
{
	const struct server *sv;

	*ret = (struct tmux_pool_stats){.panes = p->npanes, .open = p->nopen, .restarts = p->restarts};
	memcpy(ret->version, p->version.text, sizeof(ret->version));
	TAILQ_FOREACH (sv, &p->servers, entry) {
		ret->servers++;
		ret->ready += tmux_shard_ready(sv->shard);
	}
}
