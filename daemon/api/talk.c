/* SPDX-License-Identifier: ISC */
/* Calls that speak with a running instance: wait, interrupt, exec. */
#include "daemon/api/api_int.h"

static void waited(void *arg, const struct instance *in, const struct err *error)
{
	struct call *c = arg;

	c->wait = NULL;
	if (error)
		call_error(c, error);
	else
		call_instance(c, in);
}

void api_WAIT(struct call *c)
{
	struct instance *in = call_target(c, "id");
	double s = call_num(c, "timeout", -1);
	struct err err = {0};

	if (!in)
		return;
	c->wait = fleet_wait(c->w->fleet, in, call_str(c, "until"), s < 0 ? -1 : (int64_t)(s * 1000), waited, c,
		&err);
	if (!c->wait)
		call_error(c, &err);
}

void api_INTERRUPT(struct call *c)
{
	struct instance *in = call_target(c, "id");
	struct err err = {0};

	if (in && fleet_interrupt(c->w->fleet, in, waited, c, &err) < 0)
		call_error(c, &err);
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
