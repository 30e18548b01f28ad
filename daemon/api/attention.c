/* SPDX-License-Identifier: ISC */
/* Who needs a person, as it is asked for and put aside (core/attention.h; docs/attention.md). */
#include "daemon/api/api_int.h"
#include "daemon/core/attention.h"

#define LIST_DEFAULT 500
#define LIST_MAX 1000
#define KEYS_MAX 1000

/* What of the list is meant. */
struct wish {
	struct call *c;
	struct instance **set; /* NULL: everybody */
	size_t n;
	struct selector sel;
	unsigned whys; /* bits; 0: any */
	bool all;
};

static int whys_read(struct call *c, unsigned *ret, struct err *e)
{
	const json_t *w;
	enum attention_why why;
	size_t i;

	json_array_foreach(json_object_get(c->params, "why"), i, w) {
		if (attention_why_from_name(json_string_value(w), &why) < 0) {
			err_set(e, ERR_PARAMS, "there is no reason '%.32s'", json_string_value(w));
			return err_hint(e, "approval, question, plan, trust, login, budget, limit, error, lost, failed, stuck, limited, finished");
		}
		*ret |= 1u << why;
	}
	return 0;
}

static bool wished(const struct wish *w, const struct attention *a, const struct instance *in)
{
	struct call *c = w->c;

	if (!in || (a->acked_ms && !w->all) || (w->whys && !(w->whys & 1u << a->why)))
		return false;
	if (c->who.instance && !fleet_is_within(c->w->fleet, c->who.instance, in->id))
		return false;
	for (size_t i = 0; i < w->n; i++)
		if (w->set[i] == in)
			return true;
	return !w->n && (!w->sel.given || selector_chooses(&w->sel, in));
}

/* items stolen. */
static void answer(struct call *c, json_t *items, size_t total)
{
	struct store *s = c->w->store;

	call_result(c, json_pack("{s:o, s:I, s:I, s:s}", "items", items, "total", (json_int_t)total, "seq",
		(json_int_t)store_event_last(s), "fleet", store_fleet(s)));
}

void api_ATTENTION_LIST(struct call *c)
{
	struct wish w = {.c = c, .all = call_bool(c, "all")};
	int64_t limit = call_int(c, "limit", LIST_DEFAULT);
	struct err err = {0};
	size_t n, total = 0;

	if (whys_read(c, &w.whys, &err) < 0 || selector_read(c, &w.sel, &err) < 0) {
		call_error(c, &err);
		return;
	}
	if (json_array_size(json_object_get(c->params, "ids")) && !(w.set = call_targets(c, FROM_ANY, &w.n)))
		return;
	if (limit < 1 || limit > LIST_MAX)
		limit = LIST_MAX;
	cleanup_free const struct attention **all = fleet_attention(c->w->fleet, &n);
	json_t *items = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct instance *in = fleet_get(c->w->fleet, all[i]->instance);
		if (wished(&w, all[i], in) && (int64_t)total++ < limit)
			json_array_append_new(items, attention_to_json(all[i], in->name));
	}
	free(w.set);
	answer(c, items, total);
}

void api_ATTENTION_ACK(struct call *c)
{
	const json_t *keys = json_object_get(c->params, "items"), *key;
	size_t n = 0, count = json_array_size(keys), i;
	cleanup_free const struct attention **found = xcalloc(count + 1, sizeof(*found));
	struct err err = {0};
	json_t *items;

	if (count > KEYS_MAX)
		err_set(&err, ERR_PARAMS, "more than %d keys are given", KEYS_MAX);
	for (i = 0; i < count && !err.code; i++) {
		key = json_array_get(keys, i);
		found[n] = fleet_attention_find(c->w->fleet, json_string_value(key), &err);
		n += found[n] != NULL;
	}
	if (err.code) { /* all of them, or none */
		call_error(c, &err);
		return;
	}
	items = json_array();
	for (i = 0; i < n; i++) {
		struct instance *in = fleet_get(c->w->fleet, found[i]->instance);
		audit_touches(c, &in, 1);
		fleet_attention_ack(c->w->fleet, found[i], !call_bool(c, "undo"));
		json_array_append_new(items, attention_to_json(found[i], in->name));
	}
	answer(c, items, n);
}
