/* SPDX-License-Identifier: ISC */
/* What holds when nothing more happens: rows, memory, events and the world say the same. */
#include "tests/unit/core/model/model.h"

static const struct instance *owner(const char *place)
{
	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++)
		if (!strcmp(fleet_at(sim.w.fleet, i)->place, place))
			return fleet_at(sim.w.fleet, i);
	return NULL;
}

static bool has_pane(const char *id)
{
	for (size_t i = 0; i < sim.npanes; i++)
		if (!strcmp(sim.pane[i], id))
			return true;
	return false;
}

static void check_world_of(const struct instance *in)
{
	const struct sim_place *p = in->place[0] ? sim_place(in->place) : NULL;
	bool pane = has_pane(in->id);

	if (state_final(in->state)) {
		if (p && (p->holder || p->shim || p->prog.running))
			sim_fail("%s has ended (%s), and its place lives:%s%s%s", in->id, state_name(in->state),
				p->holder ? " holder" : "", p->shim ? " shim" : "", p->prog.running ? " program" : "");
		if (pane)
			sim_fail("%s has ended, and its pane stands", in->id);
		return;
	}
	if (in->state == ST_LOST)
		return;
	if (in->state == ST_STOPPING || in->state == ST_QUEUED || in->state == ST_PROVISIONING)
		sim_fail("%s stays %s", in->id, state_name(in->state));
	if (!p || !p->holder || !p->prog.running || strcmp(p->prog.id, in->id))
		sim_fail("%s is %s, and its program does not run", in->id, state_name(in->state));
	if (!p->shim || !p->conn)
		sim_fail("%s is %s, and its shim is not connected", in->id, state_name(in->state));
	if (!pane)
		sim_fail("%s is %s, and has no pane", in->id, state_name(in->state));
}

static void check_owners(void)
{
	for (size_t i = 0; i < PLACES_MAX; i++) {
		const struct sim_place *p = &sim.place[i];
		if (!(p->exists || p->holder || p->shim || p->coming))
			continue;
		if (!owner(p->id))
			sim_fail("the place %s belongs to nobody:%s%s%s", p->id, p->exists ? " folder" : "",
				p->holder ? " holder" : "", p->shim ? " shim" : "");
	}
	for (size_t i = 0; i < sim.npanes; i++) {
		const struct instance *in = fleet_get(sim.w.fleet, sim.pane[i]);
		if (!in || !state_living(in->state))
			sim_fail("a pane of %s, which does not live", sim.pane[i]);
	}
}

static void check_counts(const struct instance *in)
{
	json_t *o = fleet_instance_json(sim.w.fleet, in), *cap = json_object_get(o, "cap");
	int64_t children = json_integer_value(json_object_get(cap, "children"));
	int64_t all = json_integer_value(json_object_get(cap, "descendants"));

	if (children != model_count_below(in->id, true) || all != model_count_below(in->id, false))
		sim_fail("%s shows %lld children and %lld descendants; there are %lld and %lld", in->id,
			(long long)children, (long long)all, (long long)model_count_below(in->id, true),
			(long long)model_count_below(in->id, false));
	json_decref(o);
}

static void check_told(const struct m_inst *m)
{
	const struct instance *in = fleet_get(sim.w.fleet, m->id);

	if ((in != NULL) != (m->created && !m->removed))
		sim_fail("%s is %s, by the events it is %s", m->id, in ? "there" : "gone",
			!m->created ? "unknown" : m->removed ? "removed" : "there");
	if (!in)
		return;
	if (in->turns > m->stops)
		sim_fail("%s counts %lld turns, and told the end of %d", m->id, (long long)in->turns, m->stops);
	if (in->state != m->state)
		sim_fail("%s is %s, by the events %s", m->id, state_name(in->state), state_name(m->state));
	policy_settled(m, in);
	if (strcmp(in->name ? in->name : "", m->name))
		sim_fail("%s is called '%s', by the events '%s'", m->id, in->name ? in->name : "", m->name);
}

/* ---- memory and disk ---- */

static size_t rows_seen;

static void row_instance(void *arg, struct instance *disk)
{
	const struct instance *in = fleet_get(sim.w.fleet, disk->id);
	json_t *a, *b;

	(void)arg;
	rows_seen++;
	if (!in)
		sim_fail("%s is on disk, not in memory", disk->id);
	a = instance_to_row(disk);
	b = instance_to_row(in);
	if (in->state != ST_QUEUED) { /* its place in the line means nothing any more */
		json_object_del(a, "queue_no");
		json_object_del(b, "queue_no");
	}
	if (!json_equal(a, b)) {
		char *x = json_dumps(a, JSON_SORT_KEYS), *y = json_dumps(b, JSON_SORT_KEYS);
		sim_fail("%s differs:\n  on disk   %s\n  in memory %s", disk->id, x, y);
	}
	json_decref(a);
	json_decref(b);
	instance_free(disk);
}

static void row_place(void *arg, struct place *p)
{
	(void)arg;
	if (!owner(p->id))
		sim_fail("the row of place %s belongs to nobody", p->id);
	place_free(p);
}

static void row_prompt(void *arg, struct prompt *p)
{
	const struct instance *in = fleet_get(sim.w.fleet, p->instance);

	(void)arg;
	/* The first one waits for a restart when its program never ran. */
	if (!in || (state_final(in->state) && !(p->first && in->starts == 0)))
		sim_fail("the prompt %s of %s is never settled", p->key, p->instance);
	if (in && p->awaits && in->state == ST_IDLE)
		sim_fail("the prompt %s of %s is never answered", p->key, p->instance);
	prompt_free(p);
}

static void row_intent(void *arg, const struct intent *in)
{
	const struct instance *of = !strcmp(in->kind, "place") ? owner(in->key) : fleet_get(sim.w.fleet, in->key);

	(void)arg;
	if (!of || state_final(of->state))
		sim_fail("the intent %s of %s stays", in->kind, in->key);
}

static void check_disk(void)
{
	static const struct store_load_ops ops = {.instance = row_instance, .place = row_place,
		.prompt = row_prompt, .intent = row_intent};
	struct err e = {0};

	if (fleet_caps_check(sim.w.fleet, &e) < 0)
		sim_fail("%s", e.message);
	rows_seen = 0;
	if (store_load(sim.reader, &ops, NULL, &e) < 0)
		sim_fail("the rows cannot be read: %s", e.message);
	if (rows_seen != fleet_count(sim.w.fleet))
		sim_fail("%zu instances are on disk, %zu in memory", rows_seen, fleet_count(sim.w.fleet));
}

void model_check_settled(void)
{
	const struct m_inst *m;
	size_t n = model_insts(&m);

	model_check();
	model_check_calls();
	for (size_t i = 0; i < n; i++)
		check_told(&m[i]);
	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++) {
		check_world_of(fleet_at(sim.w.fleet, i));
		check_counts(fleet_at(sim.w.fleet, i));
	}
	check_owners();
	check_disk();
}
