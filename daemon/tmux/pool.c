/* SPDX-License-Identifier: ISC */
/* The pool: its servers, where panes are placed, adoption, and what the daemon is told. */
#include "daemon/tmux/pool.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/tmux/conf.h"

extern char **environ;

/* ---- what the daemon is told ---- */

enum notice_kind { NOTICE_DONE, NOTICE_DIED, NOTICE_LOST, NOTICE_BACK, NOTICE_VIEWERS };

struct notice {
	STAILQ_ENTRY(notice) entry;
	enum notice_kind kind;
	char id[TMUX_ID_MAX + 1];
	tmux_done_fn *fn;
	void *arg;
	struct proc_status st;
	bool again;
	unsigned n;
	struct err e; /* DONE: the error; LOST: message is why */
};

static struct notice *notice_add(struct tmux_pool *p, enum notice_kind kind, const char *id)
{
	struct notice *n = xcalloc(1, sizeof(*n));

	n->kind = kind;
	str_fmt(n->id, sizeof(n->id), "%s", id);
	STAILQ_INSERT_TAIL(&p->notices, n, entry);
	loop_defer_schedule(p->deliver);
	return n;
}

static void notice_tell(struct tmux_pool *p, const struct notice *n)
{
	switch (n->kind) {
	case NOTICE_DONE:
		n->fn(n->arg, n->id, n->e.code != ERR_NONE ? &n->e : NULL);
		break;
	case NOTICE_DIED:
		p->ops->on_died(p->arg, n->id, n->st, n->again);
		break;
	case NOTICE_LOST:
		p->ops->on_lost(p->arg, n->id, n->e.message, n->again);
		break;
	case NOTICE_BACK:
		p->ops->on_back(p->arg, n->id);
		break;
	case NOTICE_VIEWERS:
		if (p->ops->on_viewers != NULL)
			p->ops->on_viewers(p->arg, n->id, n->n);
		break;
	}
}

static void pool_sweep(struct tmux_pool *p);

static void pool_deliver(void *arg)
{
	struct tmux_pool *p = arg;
	struct notice *n;

	while ((n = STAILQ_FIRST(&p->notices)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->notices, entry);
		notice_tell(p, n);
		free(n);
	}
	pool_sweep(p);
}

void pool_tell_done(struct tmux_pool *p, tmux_done_fn *fn, void *arg, const char *id,
	const struct err *e)
{
	struct notice *n;

	if (fn == NULL)
		return;
	n = notice_add(p, NOTICE_DONE, id);
	n->fn = fn;
	n->arg = arg;
	if (e != NULL)
		n->e = *e;
}

void pool_tell_all(struct pane *pa, struct waiters *list, const struct err *e)
{
	struct waiter *w;

	while ((w = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, entry);
		pool_tell_done(pa->pool, w->fn, w->arg, pa->id, e);
		free(w);
	}
}

void pool_tell_died(struct pane *pa, struct proc_status st, bool again)
{
	struct notice *n = notice_add(pa->pool, NOTICE_DIED, pa->id);

	n->st = st;
	n->again = again;
}

void pool_tell_lost(struct pane *pa, const char *why, bool again)
{
	struct notice *n = notice_add(pa->pool, NOTICE_LOST, pa->id);

	err_set(&n->e, ERR_UNAVAILABLE, "%s", why);
	n->again = again;
}

void pool_tell_back(struct pane *pa)
{
	notice_add(pa->pool, NOTICE_BACK, pa->id);
}

void pool_tell_viewers(struct pane *pa)
{
	notice_add(pa->pool, NOTICE_VIEWERS, pa->id)->n = pa->viewers;
}

/* ---- records ---- */

static unsigned bucket_of(const char *id)
{
	unsigned h = 2166136261u;

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return h % TMUX_BUCKETS;
}

struct pane *pool_find(struct tmux_pool *p, const char *id)
{
	struct pane *pa;

	LIST_FOREACH (pa, &p->buckets[bucket_of(id)], hash)
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
	LIST_INSERT_HEAD(&p->buckets[bucket_of(id)], pa, hash);
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

/* ---- servers ---- */

static void server_ready(void *arg, bool fresh)
{
	struct server *sv = arg;
	struct pane *pa, *next;

	if (fresh) {
		bool lost = false;

		TAILQ_FOREACH_SAFE (pa, &sv->panes, on_server, next)
			if (pa->has_pane) {
				lost = true;
				pane_lost(pa, "its tmux server ended");
			}
		sv->pool->restarts += lost;
	}
	sv->synced = false;
	sv->sync_in_flight = false;
	sync_server(sv);
}

/* Nothing can be had where these panes are: who waits is told, what was open goes on being tried. */
static void server_give_up(struct server *sv, const struct err *e)
{
	struct pane *pa, *next;

	TAILQ_FOREACH_SAFE (pa, &sv->panes, on_server, next) {
		if (pa->phase == PANE_CLOSING)
			pane_closed(pa, e);
		else if (!STAILQ_EMPTY(&pa->opening))
			pane_failed(pa, e);
	}
}

static void server_down(void *arg, const struct err *e, unsigned attempts)
{
	struct server *sv = arg;
	struct pane *pa;

	sv->synced = sv->sync_in_flight = false;
	TAILQ_FOREACH (pa, &sv->panes, on_server)
		if (pa->phase == PANE_CLOSING)
			pa->resend = true;
	if (attempts >= TMUX_ATTEMPTS_MAX)
		server_give_up(sv, e);
	if (sv->adopting || (sv->npanes == 0 && attempts >= TMUX_ATTEMPTS_MAX)) {
		sv->ending = true;
		tmux_shard_stop(sv->shard);
	}
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
		pa->phase = pa->phase == PANE_DEAD ? PANE_DEAD : PANE_WANTED;
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

static void server_free(struct server *sv)
{
	TAILQ_REMOVE(&sv->pool->servers, sv, entry);
	tmux_shard_destroy(sv->shard);
	loop_timer_free(sv->linger);
	free(sv);
}

void pool_look(struct tmux_pool *p)
{
	loop_defer_schedule(p->deliver);
}

static void pool_adopted(struct tmux_pool *p);

/* Frees servers that are gone; not from inside their callbacks. */
static void pool_sweep(struct tmux_pool *p)
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
	tmux_shard_stop(sv->shard);
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

static struct server *server_add(struct tmux_pool *p, unsigned number)
{
	static const struct tmux_shard_ops ops = {
		.on_ready = server_ready,
		.on_down = server_down,
		.on_event = server_event,
		.on_haunted = server_haunted,
		.on_gone = server_gone,
	};
	struct server *sv = xcalloc(1, sizeof(*sv)), *other;

	sv->pool = p;
	TAILQ_INIT(&sv->panes);
	sv->linger = loop_timer_create(p->loop, linger_over, sv);
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

/* ---- adoption ---- */

/* Looks whether adoption is complete. */
static void pool_adopted(struct tmux_pool *p)
{
	struct server *sv;
	struct pane *pa, *next;
	struct tmux_found *found;
	size_t n = 0;

	if (!p->adopting)
		return;
	TAILQ_FOREACH (sv, &p->servers, entry)
		if (sv->adopting && !sv->gone)
			return;
	p->adopting = false;
	found = xcalloc(p->npanes + 1, sizeof(*found));
	TAILQ_FOREACH (pa, &p->panes, all)
		if (pa->found && !pa->forgotten) {
			memcpy(found[n].id, pa->id, sizeof(pa->id));
			found[n++].alive = pa->phase == PANE_OPEN;
		}
	TAILQ_FOREACH_SAFE (pa, &p->panes, all, next) {
		struct err e = {0};

		if (pa->forgotten || pa->server != NULL)
			continue;
		if (pa->phase == PANE_CLOSING)
			pane_closed(pa, NULL);
		else if (pa->phase == PANE_WANTED && pool_place(pa, &e) < 0)
			pane_failed(pa, &e);
	}
	TAILQ_FOREACH (sv, &p->servers, entry)
		pool_linger(sv);
	p->adopt_fn(p->adopt_arg, found, n);
	free(found);
}

static bool socket_number(const char *name, unsigned *ret)
{
	size_t len = strlen(name);
	char digits[8] = "";
	int64_t v;

	if (len < 6 || len > sizeof(digits) + 4 || strcmp(name + len - 5, ".sock") != 0)
		return false;
	memcpy(digits, name, len - 5);
	if (str_to_i64(digits, 0, 9999, &v) < 0)
		return false;
	*ret = (unsigned)v;
	return true;
}

static bool server_numbered(const struct tmux_pool *p, unsigned number)
{
	const struct server *sv;

	TAILQ_FOREACH (sv, &p->servers, entry)
		if (tmux_shard_number(sv->shard) == number)
			return true;
	return false;
}

void tmux_pool_adopt(struct tmux_pool *p, tmux_adopt_fn *fn, void *arg)
{
	DIR *d = opendir(p->dir);
	struct dirent *de;

	p->adopting = true;
	p->adopt_fn = fn;
	p->adopt_arg = arg;
	while (d != NULL && (de = readdir(d)) != NULL) {
		cleanup_free char *path = xasprintf("%s/%s", p->dir, de->d_name);
		cleanup_close int fd = -1;
		struct err e = {0};
		unsigned number;

		if (!socket_number(de->d_name, &number) || server_numbered(p, number))
			continue;
		if (sock_connect(path, &fd, &e) == 0)
			server_add(p, number)->adopting = true;
		else if (e.code == ERR_UNREACHABLE)
			tmux_shard_sweep(path);
	}
	if (d != NULL)
		closedir(d);
	pool_look(p);
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
	return tmux_version_ask(p->program, p->env, &p->version, e);
}

static int pool_folder(struct tmux_pool *p, struct err *e)
{
	cleanup_free char *longest = xasprintf("%s/%u.sock", p->dir, TMUX_SERVERS_MAX);
	cleanup_free char *text = tmux_conf_text();

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
	struct notice *n;

	if (p == NULL)
		return;
	while ((sv = TAILQ_FIRST(&p->servers)) != NULL)
		server_free(sv);
	while ((pa = TAILQ_FIRST(&p->panes)) != NULL)
		pane_free(pa);
	while ((n = STAILQ_FIRST(&p->notices)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->notices, entry);
		free(n);
	}
	tmux_reaper_destroy(p->reaper);
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
	const struct pane *pa;

	*ret = (struct tmux_pool_stats){.panes = p->npanes, .restarts = p->restarts};
	memcpy(ret->version, p->version.text, sizeof(ret->version));
	TAILQ_FOREACH (sv, &p->servers, entry) {
		ret->servers++;
		ret->ready += tmux_shard_ready(sv->shard);
	}
	TAILQ_FOREACH (pa, &p->panes, all)
		ret->open += pa->phase == PANE_OPEN && !pa->forgotten;
}
