/* SPDX-License-Identifier: ISC */
/*
 * Where a shell stands, by the marks about its prompt that its shim saw (place/shim/marks.c).
 *
 * The shim tells counts rather than each mark, so that a thousand fast commands are one message, and one that
 * was not told is no loss: what grew since the last message has happened. A shim that is new counts anew: what
 * it tells first after a hello is what later ones are compared with.
 */
#include "daemon/core/fleet_int.h"

static const char *const phases[] = {[PHASE_NONE] = "", [PHASE_PROMPT] = "prompt", [PHASE_INPUT] = "input",
	[PHASE_RUNNING] = "running", [PHASE_DONE] = "done"};

static enum agent_phase phase_of(const json_t *o)
{
	const char *word = json_string_value(json_object_get(o, "phase"));

	for (size_t i = PHASE_PROMPT; word && i < ARRAY_LEN(phases); i++)
		if (!strcmp(phases[i], word))
			return (enum agent_phase)i;
	return PHASE_NONE;
}

static bool grew(const json_t *o, const char *key, bool fresh, int64_t *known)
{
	int64_t now = json_integer_value(json_object_get(o, key));
	bool more = !fresh && now != *known;

	*known = now;
	return more;
}

void marks_read(struct unit *u, const json_t *activity)
{
	const json_t *o = json_object_get(activity, "marks"), *code = json_object_get(o, "exit");
	struct agent_marks *m = &u->marks;
	bool fresh = u->marks_anew;

	u->marks_anew = false;
	*m = (struct agent_marks){.phase = phase_of(o)};
	m->began = grew(o, "begun", fresh, &u->marks_begun);
	m->ended = grew(o, "ended", fresh, &u->marks_ended);
	m->prompted = grew(o, "prompts", fresh, &u->marks_prompts);
	m->commands = u->marks_begun > 0;
	m->exit_known = json_is_integer(code);
	m->exit = m->exit_known ? (int)json_integer_value(code) & 0xff : 0;
}

void marks_done(struct unit *u)
{
	u->marks.began = u->marks.ended = u->marks.prompted = false;
}

bool marks_tell(const struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	return !prog->reports && u->marks.commands &&
	       (u->marks.phase == PHASE_PROMPT || u->marks.phase == PHASE_INPUT);
}
