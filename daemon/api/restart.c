/* SPDX-License-Identifier: ISC */
/* Calls that start instances again: restart, restore (what `up` asks for), and set, which says when it happens by itself. */
#include "daemon/api/api_int.h"

int call_policy(const struct call *c, enum restart_policy *ret, struct err *e)
{
	const char *word = call_str(c, "restart");

	if (!word || restart_policy_from_name(word, ret) == 0)
		return 0;
	err_set(e, ERR_PARAMS, "'%.32s' is no restart policy", word);
	return err_hint(e, "choose never, on-failure or always");
}

/* ---- restart ---- */

struct one {
	struct call *c;
	bool alone; /* it is all the call is about */
};

static void on_progress(void *arg, const char *id, const char *stage, const char *text)
{
	call_progress(((struct one *)arg)->c, id, stage, text);
}

static void count_down(struct call *c)
{
	if (--c->pending)
		return;
	if (c->first_error.code)
		call_error(c, &c->first_error);
	else
		call_result(c, json_incref(c->collected));
}

static void restarted(void *arg, const struct instance *in, const struct err *error)
{
	struct one *one = arg;
	struct call *c = one->c;
	bool alone = one->alone;

	free(one);
	if (alone) {
		if (error)
			call_error(c, error);
		else
			call_instance(c, in);
		return;
	}
	if (error && !c->first_error.code)
		c->first_error = *error;
	if (in)
		json_array_append_new(c->collected, fleet_instance_json(c->w->fleet, in));
	count_down(c);
}

/* One that is refused stops none of the others; the first refusal is told. */
void api_RESTART(struct call *c)
{
	size_t n = 0;
	cleanup_free struct instance **set = call_targets(c, FROM_ANY, &n);
	struct restart_args a = {.wait = !call_bool(c, "no_wait"),
		.without_env = call_bool(c, "without_env"),
		.force = call_bool(c, "force"),
		.env = json_object_get(c->params, "env"),
		.progress = on_progress,
		.done = restarted};
	bool alone = call_alone(c, n);

	if (!set)
		return;
	c->collected = json_array();
	c->pending = (int)n + 1;
	for (size_t i = 0; i < n; i++) {
		struct one *one = xcalloc(1, sizeof(*one));
		struct err err = {0};
		one->c = c;
		one->alone = alone;
		a.arg = one;
		if (fleet_restart(c->w->fleet, set[i], &a, &err) == 0)
			continue;
		free(one);
		call_by_somebody(c, &err);
		if (!c->first_error.code)
			c->first_error = err;
		c->pending--;
	}
	if (!alone || c->first_error.code)
		count_down(c);
}

/* ---- set ---- */

void api_SET(struct call *c)
{
	size_t n = 0;
	cleanup_free struct instance **set = call_targets(c, FROM_LIVING, &n);
	enum restart_policy policy = RESTART_NEVER;
	json_t *rows;
	struct err err = {0};

	if (!set)
		return;
	if (call_policy(c, &policy, &err) < 0) {
		call_error(c, &err);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < n; i++) {
		fleet_set_restart(c->w->fleet, set[i], policy);
		json_array_append_new(rows, fleet_instance_json(c->w->fleet, set[i]));
	}
	turn_answer(c, rows);
}

/* ---- restore ---- */

static void restored(void *arg, json_t *result)
{
	call_result(arg, result);
}

void api_RESTORE(struct call *c)
{
	const struct restore_args a = {.wait = !call_bool(c, "no_wait"), .progress = call_progress, .done = restored, .arg = c};

	fleet_restore(c->w->fleet, &a);
}
