/* SPDX-License-Identifier: ISC */
/*
 * What events say of a row: enough that a list and the events after it, folded, are the next list. Each change of what
 * a list shows is one event, and an event says how things are after it. A `pid` or `exit` that is not there is none.
 */
#include "daemon/core/fleet_int.h"

static json_t *limit_json(int64_t n)
{
	return n == CAP_UNLIMITED ? json_string("unlimited") : json_integer(n);
}

/* As `before` and `after` of cap.changed. */
static json_t *limits(const struct instance *in)
{
	json_t *o = json_object(), *v;
	const char *role;

	for (int k = 0; k < CAP_KINDS; k++)
		json_object_set_new(o, cap_name(k), limit_json(cap_get(&in->cap, k)));
	json_object_foreach(in->max_roles, role, v) {
		cleanup_free char *name = xasprintf("max_role %s", role);
		json_object_set_new(o, name, limit_json(json_integer_value(v)));
	}
	for (int k = 0; k < BUDGET_KINDS; k++)
		if (in->budget.limit[k])
			json_object_set_new(o, budget_name((enum budget_kind)k),
				budget_amount_json((enum budget_kind)k, in->budget.limit[k]));
	if (budget_any(&in->budget))
		json_object_set_new(o, "budget_action", json_string(budget_action_name(in->budget.action)));
	return o;
}

void tell_created(struct unit *u)
{
	const struct instance *in = u->in;

	P(u->f)->event_add(CTX(u->f), EV_CREATED, in->id, NULL,
		json_pack("{s:s?, s:s?, s:s, s:s, s:s?, s:O, s:o, s:s}", "name", in->name, "parent",
			in->parent[0] ? in->parent : NULL, "driver", in->driver, "agent", in->agent, "dir",
			in->dir, "labels", in->labels, "caps", limits(in), "restart",
			restart_policy_name(in->restart)));
}

static void put_program(json_t *o, const struct instance *in)
{
	if (in->pid)
		json_object_set_new(o, "pid", json_integer(in->pid));
	if (in->exit.known)
		json_object_set_new(o, "exit",
			json_pack("{s:o, s:o}", "code", in->exit.code >= 0 ? json_integer(in->exit.code) : json_null(),
				"signal", in->exit.signal ? json_integer(in->exit.signal) : json_null()));
}

json_t *tell_state(const struct unit *u, enum inst_state from)
{
	const struct instance *in = u->in;
	json_t *o = json_pack("{s:s, s:s, s:s?, s:s?}", "from", state_name(from), "to", state_name(in->state), "reason",
		in->reason, "detail", in->detail);

	put_program(o, in);
	return o;
}

void tell_program(const struct unit *u)
{
	json_t *o = json_object();

	put_program(o, u->in);
	P(u->f)->event_add(CTX(u->f), EV_PROGRAM, u->in->id, u->in->place[0] ? u->in->place : NULL, o);
}

void unit_program(struct unit *u, int64_t pid)
{
	if (u->in->pid == pid)
		return;
	u->in->pid = pid;
	settle_forget(u);
	tell_program(u);
}

void unit_pane(struct unit *u, bool present, const char *what)
{
	if (u->in->has_pane == present)
		return;
	u->in->has_pane = present;
	u->pane_told = what;
	P(u->f)->event_add(CTX(u->f), EV_PANE, u->in->id, NULL,
		json_pack("{s:s, s:b}", "state", what, "present", present));
}
