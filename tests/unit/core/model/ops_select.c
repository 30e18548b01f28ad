/* SPDX-License-Identifier: ISC */
/*
 * Operations of the model test: labels, and the selectors of calls (api/select.c and api/access.c, the real ones)
 * against a choice that the model makes by the events.
 */
#include <stdio.h>

#include "daemon/api/api_int.h"
#include "tests/unit/core/model/model.h"

static struct err refused;

/* What select.c wants of the rest of the api, which is not here. */
const char *call_str(const struct call *c, const char *name)
{
	return json_string_value(json_object_get(c->params, name));
}

void call_error(struct call *c, const struct err *e)
{
	(void)c;
	refused = *e;
}

void audit_touches(struct call *c, struct instance *const *set, size_t n)
{
	(void)c;
	(void)set;
	(void)n;
}

/* ---- labels ---- */

static const char *team_of(uint32_t n)
{
	static const char *const teams[] = {"red", "blue", "green"};

	return teams[n % ARRAY_LEN(teams)];
}

void labels_told(struct m_inst *m, const json_t *data)
{
	const char *team = json_string_value(json_object_get(json_object_get(data, "labels"), "team"));

	snprintf(m->team, sizeof(m->team), "%s", team ? team : "");
}

void op_label(const struct op *op)
{
	struct instance *set[3];
	struct caller who = {0};
	cleanup_json json_t *changes = json_array();
	char text[32];
	struct err e = {0};
	size_t n = 0;

	for (size_t i = 0; i < 1 + op->b % 3 && i < fleet_count(sim.w.fleet); i++)
		set[n++] = model_pick(op->a + (uint32_t)i);
	snprintf(text, sizeof(text), op->c % 4 ? "team=%s" : "team-", team_of(op->c >> 4));
	json_array_append_new(changes, json_string(text));
	if (fleet_label(sim.w.fleet, &who, set, n, changes, &e) < 0)
		sim_fail("a label was refused: %s", e.message);
}

/* ---- the model's choice ---- */

struct choice {
	const char *caller, *team, *parent;
	bool not_team, self;
	unsigned states; /* bits; 0: those that live */
};

static bool is_below(const struct m_inst *m, const char *top)
{
	while (m->parent[0]) {
		if (!strcmp(m->parent, top))
			return true;
		m = model_inst(m->parent);
		if (m->removed) /* its children are nobody's */
			return false;
	}
	return false;
}

static bool chosen(const struct choice *ch, const struct m_inst *m)
{
	if (!m->created || m->removed)
		return false;
	if (ch->caller && !is_below(m, ch->caller) && !(ch->self && !strcmp(m->id, ch->caller)))
		return false;
	if (ch->team && !strcmp(m->team, ch->team) == ch->not_team)
		return false;
	if (ch->parent && strcmp(m->parent, ch->parent))
		return false;
	return ch->states ? (ch->states >> m->state) & 1 : state_living(m->state);
}

static json_t *params_of(const struct choice *ch)
{
	json_t *p = json_object();
	char text[32];

	if (ch->team) {
		snprintf(text, sizeof(text), "team%s%s", ch->not_team ? "!=" : "=", ch->team);
		json_object_set_new(p, "label", json_pack("[s]", text));
	}
	if (ch->parent)
		json_object_set_new(p, "parent", json_string(ch->parent));
	if (ch->states) {
		json_t *words = json_array();
		for (int s = 0; s < ST_COUNT; s++)
			if ((ch->states >> s) & 1)
				json_array_append_new(words, json_string(state_name((enum inst_state)s)));
		json_object_set_new(p, "state", words);
	}
	return p;
}

static void compare(const struct choice *ch, struct instance **set, size_t n)
{
	const struct m_inst *all;
	size_t count = model_insts(&all), want = 0;

	for (size_t i = 0; i < count; i++) {
		bool is = false;
		for (size_t k = 0; k < n; k++)
			is = is || !strcmp(set[k]->id, all[i].id);
		want += chosen(ch, &all[i]);
		if (is != chosen(ch, &all[i]))
			sim_fail("%s (%s, team '%s', parent '%s') is %s by a selector%s%s%s%s of %s", all[i].id,
				state_name(all[i].state), all[i].team, all[i].parent, is ? "chosen" : "left out",
				ch->team ? ch->not_team ? " team!=" : " team=" : "", ch->team ? ch->team : "",
				ch->parent ? " parent=" : "", ch->parent ? ch->parent : "",
				ch->caller ? ch->caller : "the operator");
	}
	if (want != n)
		sim_fail("a selector chooses %zu, %zu are right", n, want);
}

void op_select(const struct op *op)
{
	struct choice ch = {0};
	struct instance *caller, *parent;
	struct call c = {.w = &sim.w};
	struct instance **set;
	size_t n;

	sim_turn(); /* events tell what is on disk */
	if (!model_heard_all())
		return;
	caller = op->a % 2 ? model_pick_living(op->a / 2) : NULL;
	ch.caller = caller ? caller->id : NULL;
	c.method = method_find(op->b & 1 ? "label" : "show");
	ch.self = !(op->b & 1);
	c.who.instance = ch.caller;
	if (op->b & 2)
		ch.team = team_of(op->b >> 8);
	ch.not_team = op->b & 4;
	parent = model_pick(op->c);
	if (op->b & 8 && parent && (!caller || fleet_is_within(sim.w.fleet, caller->id, parent->id)))
		ch.parent = parent->id;
	if (op->b & 16 || !(ch.team || ch.parent))
		ch.states = op->c & 32 ? 1u << ST_IDLE | 1u << ST_EXITED | 1u << ST_QUEUED : 1u << ST_EXITED | 1u << ST_FAILED;
	c.params = params_of(&ch);
	err_clear(&refused);
	set = call_targets(&c, FROM_LIVING, &n);
	if (!set && refused.code != ERR_NOT_FOUND)
		sim_fail("a selector was refused: %s", refused.message);
	compare(&ch, set, set ? n : 0);
	free(set);
	json_decref(c.params);
}
