/* SPDX-License-Identifier: ISC */
/* What the daemon is told: queued here, delivered by a deferred call. */
#include "daemon/tmux/pool.h"

#include "base/util.h"

enum notice_kind { NOTICE_DONE, NOTICE_DIED, NOTICE_LOST, NOTICE_BACK, NOTICE_TITLED, NOTICE_VIEWERS };

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
	case NOTICE_TITLED:
		if (p->ops->on_titled != NULL)
			p->ops->on_titled(p->arg, n->id);
		break;
	case NOTICE_VIEWERS:
		if (p->ops->on_viewers != NULL)
			p->ops->on_viewers(p->arg, n->id, n->n);
		break;
	}
}

void pool_deliver(void *arg)
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

void pool_tell_titled(struct pane *pa)
{
	notice_add(pa->pool, NOTICE_TITLED, pa->id);
}

void pool_tell_viewers(struct pane *pa)
{
	notice_add(pa->pool, NOTICE_VIEWERS, pa->id)->n = pa->viewers;
}

void notices_free(struct tmux_pool *p)
{
	struct notice *n;

	while ((n = STAILQ_FIRST(&p->notices)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->notices, entry);
		free(n);
	}
}
