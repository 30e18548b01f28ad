/* SPDX-License-Identifier: ISC */
/*
 * Programs whose screen tells their state: it is read from the shim when the terminal fell quiet, never
 * while it prints, and one look at a time.
 */
#include "daemon/core/fleet_int.h"


static void look_done(void *arg, json_t *result, const struct err *error)
{
	struct unit *u = tick_take(arg);
	const char *text = json_string_value(json_object_get(result, "text"));

	if (!u)
		return;
	u->looking = 0;
	if (!error && text && !u->busy) /* it goes on printing: the next quiet tells */
		report_activity(u, true, text);
}

void look_at(struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	if (!prog->looks || u->busy || u->looking == u->run + 1 || !prog->looks(u->in))
		return;
	if ((u->step != STEP_READY && u->step != STEP_LIVE) || !site_of(u) || !site_of(u)->connected)
		return;
	u->looking = u->run + 1;
	P(u->f)->shim_call(CTX(u->f), u->in->place, "screen", json_pack("{s:s}", "instance", u->in->id), SHIM_CALL_MS,
		look_done, tick_new(u));
}
