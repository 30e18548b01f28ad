/* SPDX-License-Identifier: ISC */
/*
 * The call `wait`, on one instance or several: one wait of the core's for each. Until all were so far, each counts from
 * when it was, whatever it does then; until any is, the first ends the call. An error of one is the call's, but with
 * `any` those that can never be so far only count when all of them cannot.
 */
#include "daemon/api/api_int.h"

struct one {
	struct waiting *of;
	struct wait_handle *handle; /* NULL when it is over */
	json_t *row;                /* how it was when it was so far */
};

struct waiting {
	struct call *c;
	struct err first_error;
	size_t n, left;
	bool any, alone;
	struct one one[];
};

static void waiting_free(struct waiting *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->one[i].handle)
			fleet_wait_cancel(w->one[i].handle);
		json_decref(w->one[i].row);
	}
	w->c->waiting = NULL;
	w->c->api->waits--;
	free(w);
}

void waiting_cancel(struct call *c)
{
	waiting_free(c->waiting);
}

static void waiting_over(struct waiting *w, const struct err *e)
{
	struct call *c = w->c;
	bool alone = w->alone;
	json_t *rows = json_array();
	struct err err = {0};

	if (e)
		err = *e;
	for (size_t i = 0; i < w->n; i++)
		if (w->one[i].row)
			json_array_append(rows, w->one[i].row);
	waiting_free(w);
	if (err.code)
		call_error(c, &err);
	else if (alone)
		call_result(c, json_incref(json_array_get(rows, 0)));
	else
		call_rows(c, rows);
	json_decref(rows);
}

static void one_over(void *arg, const struct instance *in, const struct err *error)
{
	struct one *one = arg;
	struct waiting *w = one->of;

	one->handle = NULL;
	w->left--;
	if (error && !w->first_error.code)
		w->first_error = *error;
	if (!error)
		one->row = in ? fleet_instance_json(w->c->w->fleet, in) : json_object();
	if (error && w->any && error->code != ERR_TIMEOUT && w->left > 0)
		return;
	if (error)
		waiting_over(w, w->any && error->code != ERR_TIMEOUT ? &w->first_error : error);
	else if (w->any || w->left == 0)
		waiting_over(w, NULL);
}

static void begin(struct call *c, struct instance *const *set, size_t n, const char *key)
{
	struct waiting *w = xcalloc(1, sizeof(*w) + n * sizeof(w->one[0]));
	double s = call_num(c, "timeout", -1);
	struct err err = {0};

	w->c = c;
	w->n = w->left = n;
	w->any = call_bool(c, "any");
	w->alone = json_object_get(c->params, "id") && call_alone(c, n);
	c->waiting = w;
	c->api->waits++;
	for (size_t i = 0; i < n; i++) {
		w->one[i].of = w;
		w->one[i].handle = fleet_wait(c->w->fleet, set[i], call_str(c, "until"), key,
			s < 0 ? -1 : (int64_t)(s * 1000), one_over, &w->one[i], &err);
		if (w->one[i].handle)
			continue;
		waiting_over(w, &err);
		return;
	}
}

void api_WAIT(struct call *c)
{
	size_t n = 0;
	cleanup_free struct instance **set = call_targets(c, FROM_ANY, &n);
	struct err err = {0};
	char stored[KEY_SIZE];
	const char *key;
	json_t *rows;

	if (!set)
		return;
	if (call_key(c, stored, &key, &err) < 0) {
		call_error(c, &err);
		return;
	}
	if (call_bool(c, "all") && call_bool(c, "any")) {
		err_set(&err, ERR_PARAMS, "wait takes all or any, not both");
		call_error(c, &err);
	} else if (call_bool(c, "resolve")) {
		rows = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(rows, fleet_instance_json(c->w->fleet, set[i]));
		call_rows(c, rows);
		json_decref(rows);
	} else {
		begin(c, set, n, key);
	}
}
