/* SPDX-License-Identifier: ISC */
/* Calls that speak with a running instance: interrupt, exec. */
#include "daemon/api/api_int.h"

struct interrupted {
	struct call *c;
	size_t at; /* its place in the answer */
};

static void count_down(struct call *c)
{
	if (--c->pending)
		return;
	if (c->first_error.code)
		call_error(c, &c->first_error);
	else if (call_alone(c, json_array_size(c->collected)))
		call_result(c, json_incref(json_array_get(c->collected, 0)));
	else
		call_rows(c, c->collected);
}

static void interrupted(void *arg, const struct instance *in, const struct err *error)
{
	struct interrupted *x = arg;
	struct call *c = x->c;

	if (error && !c->first_error.code)
		c->first_error = *error;
	json_array_set_new(c->collected, x->at, in ? fleet_instance_json(c->w->fleet, in) : json_object());
	free(x);
	count_down(c);
}

/* One that is refused stops none of the others; the first refusal is told. */
void api_INTERRUPT(struct call *c)
{
	size_t n = 0;
	cleanup_free struct instance **set = call_targets(c, FROM_ANY, &n);

	if (!set)
		return;
	c->collected = json_array();
	c->pending = (int)n + 1;
	for (size_t i = 0; i < n; i++) {
		struct interrupted *x = xcalloc(1, sizeof(*x));
		struct err err = {0};
		*x = (struct interrupted){.c = c, .at = i};
		json_array_append_new(c->collected, json_object());
		if (fleet_interrupt(c->w->fleet, set[i], interrupted, x, &err) < 0)
			interrupted(x, NULL, &err);
	}
	count_down(c);
}

static void exec_ready(void *arg, json_t *result, const struct err *error)
{
	struct call *c = arg;
	struct instance *in = error ? NULL : fleet_get(c->w->fleet, c->who_id);
	cleanup_free char *sock = in ? world_shim_socket(c->w, in->place) : NULL;

	if (error)
		call_error(c, error);
	else
		call_result(c, json_pack("{s:s?, s:O?}", "socket", sock, "ticket",
				       json_object_get(result, "ticket")));
}

void api_EXEC(struct call *c)
{
	struct instance *in = call_target(c, "id");
	json_t *params, *tty = json_null();
	struct err err = {0};

	if (!in)
		return;
	if (call_bool(c, "tty"))
		tty = json_pack("{s:I, s:I}", "rows", (json_int_t)call_int(c, "rows", 24), "cols",
			(json_int_t)call_int(c, "cols", 80));
	memcpy(c->who_id, in->id, ID_SIZE); /* whom it concerns, for the answer */
	params = launch_exec_params(c->w, in, json_object_get(c->params, "argv"),
		json_object_get(c->params, "env"), tty);
	if (fleet_shim_call(c->w->fleet, in, "exec", params, SHIM_MS, exec_ready, c, &err) < 0)
		call_error(c, &err);
}
