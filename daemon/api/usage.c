/* SPDX-License-Identifier: ISC */
/* The call `usage`: what agents spent, by instance, tree, turn, day or model (docs/usage.md). */
#include <time.h>

#include "base/clock.h"
#include "daemon/api/api_int.h"
#include "daemon/model/usage.h"

#define ROWS_MOST (LIST_PAGE_MAX / 128) /* each has more bytes than that: so many are refused below */
#define KEY_MAX 128

enum by { BY_INSTANCE, BY_TREE, BY_TURN, BY_DAY, BY_MODEL };

static const char *const by_names[] = {"instance", "tree", "turn", "day", "model"};

struct keyed {
	char key[KEY_MAX];
	struct usage_sum sum;
};

struct report {
	struct call *c;
	enum by by;
	int64_t since_ms; /* 0: all */
	struct instance **set;
	size_t n;
	bool whole;          /* all that there is: with what nobody is left of */
	struct idmap chosen; /* ids of set */
	json_t *rows;
	struct idmap by_key; /* of keyed */
	struct keyed **keyed;
	size_t nkeyed;
	struct usage_sum total;
	const struct instance *in; /* of turns: whose they are */
};

static int since_asked(struct call *c, int64_t *ret, struct err *e)
{
	const char *since = call_str(c, "since");

	*ret = 0;
	if (!since)
		return 0;
	if (moment_read(since, ret) == 0)
		return 0;
	err_set(e, ERR_PARAMS, "'%.40s' is no time", since);
	return err_hint(e, "write 15m (ago; s, m, h, d), 14:30, 2026-01-31 or 2026-01-31T14:30:00");
}

static int by_asked(struct call *c, enum by *ret, struct err *e)
{
	const char *by = call_str(c, "by");

	*ret = BY_INSTANCE;
	for (size_t i = 0; by && i < ARRAY_LEN(by_names); i++) {
		if (strcmp(by_names[i], by) != 0)
			continue;
		*ret = (enum by)i;
		by = NULL;
	}
	if (!by)
		return 0;
	err_set(e, ERR_PARAMS, "usage is not told by '%.32s'", by);
	return err_hint(e, "choose turn, instance, tree, day or model");
}

/* Whose: those that are meant; an instance without a word means itself and what is below it. -1 after answering. */
static int whose(struct report *r)
{
	struct call *c = r->c;
	struct fleet *f = c->w->fleet;
	struct selector s;
	struct err err = {0};

	if (selector_read(c, &s, &err) < 0) {
		call_error(c, &err);
		return -1;
	}
	if (s.given || json_array_size(json_object_get(c->params, "ids"))) {
		r->set = call_targets(c, FROM_ANY, &r->n);
		return r->set ? 0 : -1;
	}
	r->whole = !c->who.instance;
	r->set = xcalloc(fleet_count(f) + 1, sizeof(struct instance *));
	for (size_t i = 0; i < fleet_count(f); i++)
		if (!c->who.instance || fleet_is_within(f, c->who.instance, fleet_at(f, i)->id))
			r->set[r->n++] = fleet_at(f, i);
	return 0;
}

static void row_add(struct report *r, json_t *row, const struct usage_sum *s)
{
	if (json_array_size(r->rows) < ROWS_MOST)
		json_array_append(r->rows, row);
	if (s)
		usage_add(&r->total, s, 1);
	json_decref(row);
}

/* ---- by instance and tree: sums that are kept ---- */

static void who(json_t *o, const struct instance *in)
{
	json_object_set_new(o, "id", json_string(in->id));
	json_object_set_new(o, "name", in->name ? json_string(in->name) : json_null());
	json_object_set_new(o, "parent", in->parent[0] ? json_string(in->parent) : json_null());
	json_object_set_new(o, "agent", json_string(in->agent));
	json_object_set_new(o, "state", json_string(state_name(in->state)));
}

static struct usage_sum sum_of(const json_t *o)
{
	struct usage_sum s = {0};

	for (int i = 0; i < US_COST; i++)
		s.n[i] = json_integer_value(json_object_get(o, usage_field_name((enum usage_field)i)));
	s.n[US_COST] = (int64_t)(json_number_value(json_object_get(o, "cost_usd")) * (double)USAGE_NANO + 0.5);
	s.n[US_UNPRICED] = json_integer_value(json_object_get(o, "unpriced_tokens"));
	return s;
}

/* Is somebody above it among those that are shown? */
static bool shown_above(const struct report *r, const struct instance *in)
{
	size_t left = fleet_count(r->c->w->fleet); /* a damaged row may name itself */

	while (in && in->parent[0] && left--) {
		if (idmap_get(&r->chosen, in->parent))
			return true;
		in = fleet_get(r->c->w->fleet, in->parent);
	}
	return false;
}

static void by_instance(struct report *r)
{
	for (size_t i = 0; i < r->n; i++) {
		json_t *o = fleet_usage_json(r->c->w->fleet, r->set[i], r->by == BY_TREE);
		/* In a tree what is below somebody shown is in that one's sum already. */
		bool counts = r->by == BY_INSTANCE || !shown_above(r, r->set[i]);
		struct usage_sum s = sum_of(o);

		who(o, r->set[i]);
		row_add(r, o, counts ? &s : NULL);
	}
}

/* ---- by what the store has ---- */

static void key_add(struct report *r, const char *key, const struct usage_sum *s)
{
	struct keyed *k = idmap_get(&r->by_key, key);

	if (!k) {
		k = xcalloc(1, sizeof(*k));
		str_fmt(k->key, sizeof(k->key), "%s", key);
		idmap_put(&r->by_key, k->key, k);
		r->keyed = xrealloc(r->keyed, (r->nkeyed + 1) * sizeof(struct keyed *));
		r->keyed[r->nkeyed++] = k;
	}
	usage_add(&k->sum, s, 1);
	usage_add(&r->total, s, 1);
}

static void day_row(void *arg, const struct usage_row *row)
{
	struct report *r = arg;
	char key[KEY_MAX];

	if (r->by == BY_DAY)
		str_fmt(key, sizeof(key), "%04d-%02d-%02d", (int)(row->day / 10000), (int)(row->day / 100 % 100), (int)(row->day % 100));
	else if (r->by == BY_MODEL)
		str_fmt(key, sizeof(key), "%s", *row->model ? row->model : "unknown");
	else
		str_fmt(key, sizeof(key), "%s", *row->instance ? row->instance : "removed");
	key_add(r, key, &row->sum);
}

static int by_text(const void *a, const void *b)
{
	return strcmp((*(struct keyed *const *)a)->key, (*(struct keyed *const *)b)->key);
}

/* Sums by key, in the order of the keys. */
static void keys_out(struct report *r)
{
	if (r->nkeyed)
		qsort(r->keyed, r->nkeyed, sizeof(struct keyed *), by_text);
	for (size_t i = 0; i < r->nkeyed; i++) {
		const char *key = r->keyed[i]->key;
		const struct instance *in = r->by == BY_INSTANCE ? fleet_get(r->c->w->fleet, key) : NULL;
		json_t *o = json_object();
		usage_to_json(&r->keyed[i]->sum, o);
		if (in)
			who(o, in);
		else
			json_object_set_new(o, r->by == BY_INSTANCE ? "id" : by_names[r->by], json_string(key));
		row_add(r, o, NULL);
	}
}

/* One by one: of few only theirs is read, however much there is. */
static int read_days(struct report *r, struct err *e)
{
	struct store *s = r->c->w->store;
	int64_t since = r->since_ms ? usage_day(r->since_ms) : 0;

	for (size_t i = 0; i < r->n; i++)
		if (store_usage_days(s, r->set[i]->id, since, day_row, r, e) < 0)
			return -1;
	if (r->whole && store_usage_days(s, "", since, day_row, r, e) < 0)
		return -1;
	keys_out(r);
	return 0;
}

static void turn_row(void *arg, const struct usage_row *row)
{
	struct report *r = arg;
	json_t *o = json_pack("{s:s, s:s?, s:I, s:I, s:s, s:s}", "id", r->in->id, "name", r->in->name, "turn",
		(json_int_t)row->turn, "time", (json_int_t)row->time_ms, "model", row->model, "effort", row->effort);

	usage_to_json(&row->sum, o);
	json_object_del(o, "turns");
	row_add(r, o, &row->sum);
}

static int read_rows(struct report *r, struct err *e)
{
	struct store *s = r->c->w->store;

	if (r->by != BY_TURN)
		return read_days(r, e);
	for (size_t i = 0; i < r->n && json_array_size(r->rows) < ROWS_MOST; i++) {
		r->in = r->set[i];
		if (store_usage_turns(s, r->in->id, r->since_ms, turn_row, r, e) < 0)
			return -1;
	}
	return 0;
}

static json_t *answer(struct report *r)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;
	char zone[16] = "";
	json_t *total = json_object();

	if (localtime_r(&now, &tm))
		strftime(zone, sizeof(zone), "%z", &tm);
	usage_to_json(&r->total, total);
	return json_pack("{s:s, s:s, s:o, s:O, s:o}", "by", by_names[r->by], "zone", zone, "since",
		r->since_ms ? json_integer(r->since_ms) : json_null(), "rows", r->rows, "total", total);
}

void api_USAGE(struct call *c)
{
	struct report r = {.c = c};
	struct err err = {0};

	if (by_asked(c, &r.by, &err) < 0 || since_asked(c, &r.since_ms, &err) < 0) {
		call_error(c, &err);
		return;
	}
	if (r.by == BY_TREE && r.since_ms) {
		err_set(&err, ERR_PARAMS, "of a tree there are sums of all time alone");
		err_hint(&err, "--by day --since ... of the same instances is what was spent since");
		call_error(c, &err);
		return;
	}
	if (whose(&r) < 0)
		return;
	r.rows = json_array();
	for (size_t i = 0; i < r.n; i++)
		idmap_put(&r.chosen, r.set[i]->id, r.set[i]);
	if (r.by == BY_TREE || (r.by == BY_INSTANCE && !r.since_ms))
		by_instance(&r);
	else if (read_rows(&r, &err) < 0) {
		call_error(c, &err);
		goto out;
	}
	json_t *o = answer(&r);
	if (json_dumpb(o, NULL, 0, JSON_COMPACT) > LIST_PAGE_MAX) {
		json_decref(o);
		err_set(&err, ERR_LIMIT, "the answer has more than %d bytes", LIST_PAGE_MAX);
		err_hint(&err, "ask for fewer: by name, with a selector, or --since");
		call_error(c, &err);
	} else {
		call_result(c, o);
	}
out:
	idmap_finish(&r.chosen);
	free(r.set);
	json_decref(r.rows);
	idmap_finish(&r.by_key);
	for (size_t i = 0; i < r.nkeyed; i++)
		free(r.keyed[i]);
	free(r.keyed);
}
