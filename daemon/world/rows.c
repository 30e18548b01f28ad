/* SPDX-License-Identifier: ISC */
/* Core's port to the store: rows, intents and events of this turn's transaction. */
#include "base/util.h"
#include "daemon/world/world_int.h"

static void check(struct world *w, int r, const struct err *e)
{
	if (r < 0)
		turn_failed(w->turn, e);
	else
		turn_touch(w->turn);
}

static void w_instance_put(void *ctx, const struct instance *i)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_instance_put(w->store, i, &err), &err);
}

static void w_instance_delete(void *ctx, const char *id)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_instance_delete(w->store, id, &err), &err);
}

static void w_place_put(void *ctx, const struct place *p)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_place_put(w->store, p, &err), &err);
}

static void w_place_delete(void *ctx, const char *id)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_place_delete(w->store, id, &err), &err);
}

static void w_prompt_put(void *ctx, const struct prompt *p)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_prompt_put(w->store, p, &err), &err);
}

static struct prompt *w_prompt_get(void *ctx, const char *key)
{
	return store_prompt_get(((struct world *)ctx)->store, key);
}

static void w_spawn_key_put(void *ctx, const struct spawn_key *k)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_spawn_key_put(w->store, k, &err), &err);
}

static int w_spawn_key_get(void *ctx, const char *key, struct spawn_key *ret)
{
	return store_spawn_key_get(((struct world *)ctx)->store, key, ret);
}

static void w_spawn_time_add(void *ctx, const struct spawn_time *t, int64_t older_ms)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_spawn_time_add(w->store, t, older_ms, &err), &err);
}

static void w_spawn_times_other(void *ctx, const char *boot)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_spawn_times_other(w->store, boot, &err), &err);
}

static void w_approval_put(void *ctx, const struct approval *a)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_approval_put(w->store, a, &err), &err);
}

static struct approval *w_approval_get(void *ctx, const char *id)
{
	return store_approval_get(((struct world *)ctx)->store, id);
}

static struct approval *w_approval_once(void *ctx, const char *instance, const char *once)
{
	return store_approval_once(((struct world *)ctx)->store, instance, once);
}

static void w_grant_put(void *ctx, const struct grant *g)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_grant_put(w->store, g, &err), &err);
}

static void w_grant_delete(void *ctx, const char *id)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_grant_delete(w->store, id, &err), &err);
}

static void w_schedule_put(void *ctx, const struct schedule *s)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_schedule_put(w->store, s, &err), &err);
}

static void schedule_seen(void *arg, struct schedule *s)
{
	*(bool *)arg = true;
	schedule_free(s);
}

static bool w_schedule_used(void *ctx, const char *id)
{
	const struct schedule_query q = {.prefix = id, .ended = true, .limit = 1};
	bool seen = false;

	store_schedules(((struct world *)ctx)->store, &q, schedule_seen, &seen, NULL);
	return seen;
}

static void w_meta_put(void *ctx, const char *key, const char *value)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, value ? store_meta_set(w->store, key, value, &err) : store_meta_delete(w->store, key, &err), &err);
}

static void w_intent_add(void *ctx, const char *kind, const char *key)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_intent_add(w->store, kind, key, &err), &err);
}

static void w_intent_done(void *ctx, const char *kind, const char *key)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_intent_done(w->store, kind, key, &err), &err);
}

/* What a pane is to say of a state, once that is on disk. */
struct state_words {
	struct world *w;
	char instance[ID_SIZE];
	json_t *data;
};

static void state_durable(void *arg, const struct err *error)
{
	struct state_words *x = arg;

	if (!error)
		panes_state(x->w, x->instance, x->data);
	json_decref(x->data);
	free(x);
}

static void state_tell(struct world *w, const char *instance, json_t *data)
{
	struct state_words *x = xcalloc(1, sizeof(*x));

	x->w = w;
	snprintf(x->instance, ID_SIZE, "%s", instance);
	x->data = json_incref(data);
	turn_then(w->turn, state_durable, x);
}

/* Whose it was is asked of its events as long as there are any. */
static void note_gone(struct world *w, const char *id, const json_t *data)
{
	const char *up = json_string_value(json_object_get(data, "parent"));
	cleanup_free char *above = xstrdup("");
	struct err err = {0};

	while (up) {
		const struct instance *in = fleet_get(w->fleet, up);
		struct gone *g = in ? NULL : store_gone_get(w->store, up);
		const char *more = g ? g->above : "";
		char *longer = xasprintf("%s%s%s%s%s", more, *more ? " " : "", up, *above ? " " : "", above);
		store_gone_free(g);
		free(above);
		above = longer;
		up = in && in->parent[0] ? in->parent : NULL;
	}
	check(w, store_gone_put(w->store, id, above, json_object_get(data, "labels"), store_event_last(w->store), &err), &err);
}

static void w_event_add(void *ctx, enum event_id type, const char *instance, const char *place,
	json_t *data)
{
	struct world *w = ctx;
	enum inst_state to;

	if (type == EV_STATE && instance && w->panes)
		state_tell(w, instance, data);
	if (type == EV_STATE && state_from_name(json_string_value(json_object_get(data, "to")), &to) == 0 && !state_living(to))
		recordings_ended(w);
	json_incref(data);
	turn_event(w->turn, type, instance, place, data);
	if (type == EV_REMOVED)
		note_gone(w, instance, data);
	json_decref(data);
}

static bool w_id_used(void *ctx, const char *id)
{
	return store_id_used(((struct world *)ctx)->store, id);
}

static void w_after_commit(void *ctx, port_done_fn *fn, void *arg)
{
	turn_after(((struct world *)ctx)->turn, fn, arg);
}

static uint64_t w_writes(void *ctx)
{
	return turn_writes(((struct world *)ctx)->turn);
}

static void w_lazily(void *ctx, bool lazy)
{
	turn_lazily(((struct world *)ctx)->turn, lazy);
}

void rows_port(struct core_port *p)
{
	p->instance_put = w_instance_put;
	p->instance_delete = w_instance_delete;
	p->place_put = w_place_put;
	p->place_delete = w_place_delete;
	p->prompt_put = w_prompt_put;
	p->prompt_get = w_prompt_get;
	p->spawn_key_put = w_spawn_key_put;
	p->spawn_key_get = w_spawn_key_get;
	p->spawn_time_add = w_spawn_time_add;
	p->spawn_times_other = w_spawn_times_other;
	p->approval_put = w_approval_put;
	p->approval_get = w_approval_get;
	p->approval_once = w_approval_once;
	p->grant_put = w_grant_put;
	p->grant_delete = w_grant_delete;
	p->schedule_put = w_schedule_put;
	p->schedule_used = w_schedule_used;
	p->meta_put = w_meta_put;
	p->intent_add = w_intent_add;
	p->intent_done = w_intent_done;
	p->event_add = w_event_add;
	p->id_used = w_id_used;
	p->writes = w_writes;
	p->lazily = w_lazily;
	p->after_commit = w_after_commit;
}
