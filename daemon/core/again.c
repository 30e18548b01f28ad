/* SPDX-License-Identifier: ISC */
/*
 * Starts that an earlier daemon did not live to finish. As long as the program of an instance was certainly not
 * begun, nothing of it has happened: what was made is undone, and it stands in line again where it stood. Once
 * only, so that a start that takes the daemon down does not do so for ever. A program that may have been begun
 * may have acted: that start is `failed`, for whoever asked to decide.
 */
#include "daemon/core/fleet_int.h"
#include "base/log.h"

bool start_again(struct unit *u, bool known)
{
	struct instance *in = u->in;
	cleanup_free char *missing = NULL;

	if (in->state != ST_PROVISIONING && in->state != ST_STARTING)
		return false;
	if ((in->begun && !known) || in->requeued >= START_AGAIN_MOST)
		return false;
	missing = fleet_env_missing(in);
	if (missing)
		return false;
	log_info("core", in->id, "its start was not finished by the last daemon: undone and queued again");
	in->requeued++;
	in->begun = false;
	u->run++;
	u->step = STEP_NONE;
	u->resume = in->starts > 0;
	prompt_first_not_run(u);
	fleet_apply(u, ST_QUEUED, "interrupted", "the daemon was stopped while it was being started; it starts again");
	return true;
}

bool start_again_due(const struct unit *u)
{
	return u->in->state == ST_QUEUED && u->step == STEP_NONE && !again_waits(u->in);
}
