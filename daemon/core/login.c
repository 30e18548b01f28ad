/* SPDX-License-Identifier: ISC */
/* Instances that waited for a login, and what becomes of them when there is one again. */
#include "base/log.h"
#include "daemon/core/fleet_int.h"

void fleet_on_login(struct fleet *f, struct instance *in)
{
	struct unit *u = unit_find(f, in->id);
	const struct agent_program *prog = P(f)->agent(P(f)->ctx, in->agent);

	if (!u || u->step != STEP_LIVE || in->state != ST_WAITING || !prog->login_idle || !prog->login_idle(in))
		return;
	log_info("core", in->id, "it has a login again");
	fleet_apply(u, ST_IDLE, "login_back", NULL);
	prompts_next(u);
}
