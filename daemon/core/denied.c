/* SPDX-License-Identifier: ISC */
/*
 * Connections that were not let out. A program may retry one silently for minutes (Claude Code does, docs/agents.md), so
 * what it was refused stands in the detail of an agent that starts or works, until its next report says otherwise.
 */
#include "daemon/core/fleet_int.h"

#define DENIED "refused its way out to "
#define HOST_SHOWN 128

static bool may_stand_for_it(const struct instance *in)
{
	return in->state == ST_STARTING || (in->state == ST_WORKING && !(in->reason && in->reason[0]));
}

void fleet_on_denied(struct fleet *f, const char *place, json_t *data)
{
	struct site *s = site_find(f, place);
	struct unit *u = s ? s->u : NULL;
	const char *host = json_string_value(json_object_get(data, "host"));
	char shown[HOST_SHOWN], detail[2 * HOST_SHOWN], reason[HOST_SHOWN];

	str_line(shown, sizeof(shown), host ? host : "?");
	str_fmt(detail, sizeof(detail), DENIED "%s:%d: it may retry, and only looks busy (spawn --allow lets it out)", shown,
		(int)json_integer_value(json_object_get(data, "port")));
	P(f)->event_add(CTX(f), EV_DENIED, u ? u->in->id : NULL, place, data);
	/* The first alone: what it is refused next may be a consequence, and is an event, too. */
	if (!u || !may_stand_for_it(u->in) || (u->in->detail && str_starts(u->in->detail, DENIED)))
		return;
	str_fmt(reason, sizeof(reason), "%s", u->in->reason ? u->in->reason : "");
	fleet_apply(u, u->in->state, reason[0] ? reason : NULL, detail);
}
