/* SPDX-License-Identifier: ISC */
/* Operations of the model test: starting again, ending the fleet, bringing it back. */
#include <stdio.h>

#include "tests/unit/core/model/model.h"

#define DOWN_ROUNDS 40

/* ---- restart ---- */

static json_t *values(void)
{
	return json_pack("{s:s}", "KEY", "value");
}

static void restart_refused(const struct instance *in, bool full, const struct err *e)
{
	cleanup_free char *missing = fleet_env_missing(in);

	if (e->code == ERR_CAP && !full)
		sim_fail("the restart of %s was refused for a cap that is not reached: %s", in->id, e->message);
	if (state_final(in->state) && !full && !missing && !in->name && !sim.closed && strcmp(in->reason, "no_answer") &&
		e->code != ERR_BUSY && e->code != ERR_UNAVAILABLE && !(in->parent[0] && !fleet_get(sim.w.fleet, in->parent)))
		sim_fail("%s has ended, and cannot be restarted: %s", in->id, e->message);
}

void op_restart(const struct op *op)
{
	struct instance *in = model_pick(op->a);
	struct restart_args a = {.wait = op->b & 1, .force = op->b & 2, .done = model_answer};
	cleanup_json json_t *env = values();
	const struct instance *parent;
	struct m_inst *m;
	struct m_call *c;
	struct err e = {0};
	bool full, ended;

	if (!in)
		return;
	m = model_inst(in->id);
	ended = state_final(in->state);
	parent = in->parent[0] ? fleet_get(sim.w.fleet, in->parent) : NULL;
	full = ended && model_caps_full(parent);
	a.env = m->env && op->c % 3 == 0 ? env : NULL;
	a.without_env = op->c % 3 == 1;
	c = a.arg = model_call(C_RESTART, in->id);
	c->wait = a.wait;
	if (fleet_restart(sim.w.fleet, in, &a, &e) < 0) {
		c->accepted = false;
		restart_refused(in, full, &e);
		return;
	}
	if (full)
		sim_fail("%s was restarted, and a cap above it is reached", in->id);
	if (sim.closed)
		sim_fail("%s was restarted while the fleet is being ended", in->id);
	m->restarts++;
	m->end_told = false;
	policy_forget(m);
}

void op_set(const struct op *op)
{
	struct instance *in = model_pick(op->a);

	if (!in)
		return;
	fleet_set_restart(sim.w.fleet, in, (enum restart_policy)(op->b % RESTART_POLICIES));
	policy_forget(model_inst(in->id));
	model_inst(in->id)->cancels++; /* it may have ended by that */
}

/* ---- up ---- */

struct up_call {
	struct m_call *c;
	size_t n;
	char id[INSTS_UP][ID_SIZE];
};

static bool among(const json_t *list, const char *id)
{
	const json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		if (!strcmp(json_string_value(json_object_get(o, "id")), id))
			return true;
	return false;
}

static void up_done(void *arg, json_t *result)
{
	struct up_call *up = arg;
	const json_t *restored = json_object_get(result, "restored"), *left = json_object_get(result, "not_restored");

	model_said(up->c, NULL);
	for (size_t i = 0; i < up->n; i++) {
		const struct instance *in = fleet_get(sim.w.fleet, up->id[i]);

		/* One that was removed or killed before its turn came is wanted no more. */
		if (among(restored, up->id[i]) == among(left, up->id[i]) && in && in->wanted)
			sim_fail("%s should run and did not, and `up` tells of it %s", up->id[i],
				among(left, up->id[i]) ? "twice" : "nothing");
	}
	json_decref(result);
	free(up);
}

void op_up(const struct op *op)
{
	struct restore_args a = {.wait = op->b & 1, .done = up_done};
	struct up_call *up;
	bool known;

	sim_turn();
	if (sim.closed)
		return;
	up = xcalloc(1, sizeof(*up)); /* one that dies with the daemon is not freed */
	up->c = model_call(C_UP, "-");
	known = fleet_settled(sim.w.fleet);
	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++) {
		const struct instance *in = fleet_at(sim.w.fleet, i);
		bool runs = !state_final(in->state) && in->state != ST_LOST && !fleet_waits_again(in);
		struct m_inst *m = model_inst(in->id);
		if (runs && known)
			continue;
		m->ups++;
		policy_forget(m);
		if (known && in->wanted && up->n < INSTS_UP)
			memcpy(up->id[up->n++], in->id, ID_SIZE);
	}
	a.arg = up;
	fleet_restore(sim.w.fleet, &a);
}

/* ---- down ---- */

static bool begun(char (*ids)[ID_SIZE], size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(ids[i], id))
			return true;
	return false;
}

static void end_one(struct instance *in, bool force, bool keep)
{
	struct m_inst *m = model_inst(in->id);
	struct m_call *c = model_call(keep ? C_ASIDE : C_KILL, in->id);

	c->restarts = m->restarts;
	if (keep)
		m->downs++;
	else
		m->kills++;
	policy_forget(m);
	fleet_end(sim.w.fleet, in, force, keep, model_answer, c);
}

/* As api/down.c: an instance after its children. False: the daemon died meanwhile. */
static bool end_fleet(const struct op *op, int rounds)
{
	static char ids[INSTS_MAX][ID_SIZE];
	int generation = sim.generation;
	size_t n = 0;

	while (rounds-- > 0 && sim.generation == generation) {
		for (size_t i = fleet_count(sim.w.fleet); i-- > 0;) {
			struct instance *in = fleet_at(sim.w.fleet, i);
			if (!fleet_active(sim.w.fleet, in) || begun(ids, n, in->id) ||
				fleet_has_living_child(sim.w.fleet, in))
				continue;
			memcpy(ids[n++], in->id, ID_SIZE);
			end_one(in, op->b & 2, op->b & 1);
		}
		model_rest();
	}
	return sim.generation == generation;
}

static void nothing_begins(const struct op *op)
{
	struct instance *in = model_pick(op->a);
	struct restart_args a = {.done = model_answer, .arg = NULL};
	struct err e = {0};

	if (in && fleet_restart(sim.w.fleet, in, &a, &e) == 0)
		sim_fail("%s was restarted while the fleet is being ended", in->id);
}

void op_down(const struct op *op)
{
	bool given_up = op->c % 4 == 0;

	sim_turn();
	fleet_close(sim.w.fleet, true);
	sim.closed = true;
	sim.closed_seq = store_event_last(sim.w.store);
	nothing_begins(op);
	if (!end_fleet(op, given_up ? 1 : DOWN_ROUNDS))
		return;
	for (size_t i = 0; i < fleet_count(sim.w.fleet) && !given_up; i++)
		if (fleet_active(sim.w.fleet, fleet_at(sim.w.fleet, i)))
			sim_fail("%s is %s after all were ended", fleet_at(sim.w.fleet, i)->id,
				state_name(fleet_at(sim.w.fleet, i)->state));
	if (given_up) {
		fleet_close(sim.w.fleet, false);
		sim.closed = false;
		return;
	}
	model_check_calls();
	sim_daemon_crash(); /* it ends: nothing is under way, and the last turn is on disk */
	sim_daemon_start();
}
