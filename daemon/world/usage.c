/* SPDX-License-Identifier: ISC */
/* Core's port to what is kept of usage. */
#include "base/util.h"
#include "daemon/world/world_int.h"

static void check(struct world *w, int r, const struct err *e)
{
	if (r < 0)
		turn_failed(w->turn, e);
	else
		turn_touch(w->turn);
}

static bool w_get(void *ctx, const char *instance, const char *message, struct usage_message *ret)
{
	return store_usage_get(((struct world *)ctx)->store, instance, message, ret);
}

static void w_put(void *ctx, const struct usage_message *m)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_usage_put(w->store, m, &err), &err);
}

static void w_trim(void *ctx, const char *instance)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_usage_trim(w->store, instance, &err), &err);
}

static void w_add(void *ctx, const char *instance, enum usage_kind kind, int64_t day, const char *model,
	const struct usage_sum *delta)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_usage_add(w->store, instance, kind, day, model, delta, &err), &err);
}

static void w_state_put(void *ctx, const struct usage_state *s)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_usage_state_put(w->store, s, &err), &err);
}

static void w_removed(void *ctx, const char *instance, const char *parent)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_usage_removed(w->store, instance, parent, &err), &err);
}

static bool w_conversation(void *ctx, const char *instance, const char *conversation, const char *but, struct usage_sum *ret)
{
	return store_usage_conversation(((struct world *)ctx)->store, instance, conversation, but, ret);
}

void usage_port(struct core_port *p)
{
	p->usage_get = w_get;
	p->usage_put = w_put;
	p->usage_trim = w_trim;
	p->usage_add = w_add;
	p->usage_state_put = w_state_put;
	p->usage_removed = w_removed;
	p->usage_conversation = w_conversation;
}
