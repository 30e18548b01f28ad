/* SPDX-License-Identifier: ISC */
/* Notifications, wired: their rows are written in the world's turns, their terminals are tmux's. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/util.h"
#include "daemon/core/attention.h"
#include "daemon/tmux/ring.h"
#include "daemon/world/world_int.h"

static void on_wrote(void *arg, int r, const struct err *e)
{
	struct world *w = arg;

	if (r < 0)
		turn_failed(w->turn, e);
	else
		turn_touch(w->turn);
}

static void w_attention_put(void *ctx, const struct attention *a)
{
	struct world *w = ctx;
	struct err err = {0};

	on_wrote(w, store_attention_put(w->store, a, &err), &err);
	notify_item(w->notify, a);
}

static void w_attention_delete(void *ctx, const char *key)
{
	struct world *w = ctx;
	struct err err = {0};

	on_wrote(w, store_attention_delete(w->store, key, &err), &err);
	notify_gone(w->notify, key);
}

void notices_port(struct core_port *p)
{
	p->attention_put = w_attention_put;
	p->attention_delete = w_attention_delete;
}

struct later {
	void (*fn)(void *arg);
	void *arg;
};

static void durable(void *arg, const struct err *error)
{
	struct later *l = arg;

	if (!error)
		l->fn(l->arg);
	free(l);
}

static void on_after(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
	struct later *l = xcalloc(1, sizeof(*l));

	l->fn = fn;
	l->arg = fn_arg;
	turn_after(((struct world *)arg)->turn, durable, l);
}

static const struct attention *on_item(void *arg, const char *key, const char **ret_name)
{
	struct world *w = arg;
	const struct attention *a = fleet_attention_find(w->fleet, key, NULL);
	const struct instance *in = a ? fleet_get(w->fleet, a->instance) : NULL;

	if (!in || a->acked_ms)
		return NULL;
	*ret_name = in->name;
	return a;
}

struct ring {
	size_t len;
	char data[];
};

/*
 * Behind tmux's back, for it has no way for this: what it draws goes through the same terminal. One that has not taken what
 * tmux wrote last may stand within a sequence, so it gets the last byte alone when that is a bell, which is harmless
 * anywhere. One that is stopped takes nothing, and is not waited for.
 */
static void ring_one(void *arg, const char *tty)
{
	const struct ring *r = arg;
	cleanup_close int fd = str_starts(tty, "/dev/") ? open(tty, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW) : -1;
	const char *data = r->data;
	size_t len = r->len;
	int queued = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || !isatty(fd) || (st.st_uid != geteuid() && geteuid() != 0))
		return;
	if (ioctl(fd, TIOCOUTQ, &queued) == 0 && queued > 0) {
		data += len - 1;
		len = *data == '\a';
	}
	while (len && write(fd, data, len) < 0 && errno == EINTR)
		;
}

static void on_ring(void *arg, const void *data, size_t len)
{
	struct world *w = arg;
	struct ring *r;

	if (!w->panes || !len)
		return;
	r = xcalloc(1, sizeof(*r) + len);
	r->len = len;
	memcpy(r->data, data, len);
	tmux_pool_terminals(w->panes, ring_one, r, free);
}

static const struct notify_ops ops = {.wrote = on_wrote, .after = on_after, .item = on_item, .ring = on_ring};

void notices_init(struct world *w)
{
	w->notify = notify_create(w->loop, w->store, w->config, &ops, w);
}

int notices_load(struct world *w, struct err *e)
{
	return notify_load(w->notify, e);
}

void notices_finish(struct world *w)
{
	notify_destroy(take_ptr(w->notify));
}
