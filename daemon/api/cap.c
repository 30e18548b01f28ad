/* SPDX-License-Identifier: ISC */
/* Caps as they are asked for, shown and changed. */
#include "daemon/api/api_int.h"
#include "ipc/roles.h"

#define FLEET "fleet"

/* What a cap is when nobody says: what the role brings along, or the options say. */
static int64_t cap_otherwise(struct call *c, const char *role, enum cap_kind k)
{
	int64_t n;

	if (role && roles_cap(config_string(c->w->config, OPT_ROLES), role, cap_name(k), &n) == 0)
		return n;
	return cap_get(&c->w->settings.default_cap, k);
}

int role_check(const char *role, struct err *e)
{
	if (role_valid(role))
		return 0;
	err_set(e, ERR_PARAMS, "'%.80s' is no role", role);
	return err_hint(e, "roles are 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit");
}

static int take_role(struct call *c, struct instance *in, struct err *e)
{
	const char *role = call_str(c, "role"), *label = instance_role(in);

	if (role && label && strcmp(role, label) != 0)
		return err_set(e, ERR_PARAMS, "the role is %.63s, but the label says role=%.63s", role, label);
	if (role)
		json_object_set_new(in->labels, ROLE_LABEL, json_string(role));
	else
		role = label;
	return role ? role_check(role, e) : 0;
}

static void default_role_limit(void *arg, const char *role, int64_t limit)
{
	struct instance *in = arg;

	if (limit == CAP_UNLIMITED || json_object_get(in->max_roles, role))
		return;
	if (!in->max_roles)
		in->max_roles = json_object();
	json_object_set_new(in->max_roles, role, json_integer(limit));
}

static void take_role_limits(struct call *c, struct instance *in)
{
	const json_t *asked = json_object_get(c->params, "max_role");
	const char *role;
	void *next;
	json_t *v;

	in->max_roles = json_is_object(asked) && json_object_size(asked) ? json_copy((json_t *)asked) : NULL;
	/* Values of their own: they are narrowed in place. */
	json_object_foreach(in->max_roles, role, v)
		json_object_set_new(in->max_roles, role, json_integer(json_integer_value(v)));
	role_limits_each(config_string(c->w->config, OPT_MAX_ROLES), default_role_limit, in);
	json_object_foreach_safe(in->max_roles, next, role, v)
		if (json_integer_value(v) == CAP_UNLIMITED)
			json_object_del(in->max_roles, role);
	if (in->max_roles && !json_object_size(in->max_roles)) {
		json_decref(in->max_roles);
		in->max_roles = NULL;
	}
}

static int action_asked(struct call *c, enum budget_action *ret, struct err *e)
{
	const char *action = call_str(c, "budget_action");

	if (!action || budget_action_from_name(action, ret) == 0)
		return 0;
	err_set(e, ERR_PARAMS, "'%.32s' is nothing a budget can do", action);
	return err_hint(e, "choose warn, pause or end");
}

/* -1 with an error; *ret: 0 for unlimited. */
static int amount_asked(struct call *c, enum budget_kind k, int64_t *ret, struct err *e)
{
	int64_t n = call_int(c, budget_name(k), CAP_UNLIMITED);

	if (!n)
		return err_set(e, ERR_PARAMS, "%s must be more than 0", budget_name(k));
	*ret = n == CAP_UNLIMITED ? 0 : n;
	return 0;
}

static int budget_asked(struct call *c, struct budget *b, struct err *e)
{
	b->action = BUDGET_PAUSE;
	for (int k = 0; k < BUDGET_KINDS; k++)
		if (amount_asked(c, (enum budget_kind)k, &b->limit[k], e) < 0)
			return -1;
	return action_asked(c, &b->action, e);
}

static int budget_change(struct call *c, const struct instance *in, struct cap_change *ret, bool *any, struct err *e)
{
	for (int k = 0; k < BUDGET_KINDS; k++) {
		if (!json_object_get(c->params, budget_name((enum budget_kind)k)))
			continue;
		ret->budget_given[k] = *any = true;
		if (amount_asked(c, (enum budget_kind)k, &ret->budget[k], e) < 0)
			return -1;
	}
	if (call_str(c, "budget_action"))
		ret->action_given = *any = true;
	if (*any && !in) {
		err_set(e, ERR_PARAMS, "the fleet has no budget");
		return err_hint(e, "give one to the instances at the top");
	}
	return action_asked(c, &ret->action, e);
}

int caps_asked(struct call *c, struct instance *in, struct err *e)
{
	if (take_role(c, in, e) < 0)
		return -1;
	for (int k = 0; k < CAP_KINDS; k++)
		*cap_at(&in->cap, k) = call_int(c, cap_name(k), cap_otherwise(c, instance_role(in), k));
	take_role_limits(c, in);
	return budget_asked(c, &in->budget, e);
}

/* Whose caps: 1 the fleet's, 0 *ret's; -1 after answering. */
static int holder_of(struct call *c, struct instance **ret)
{
	const char *id = call_str(c, "id");
	struct err err = {0};

	*ret = NULL;
	if (!id && c->who.instance) {
		*ret = fleet_get(c->w->fleet, c->who.instance);
		return 0;
	}
	if (id && strcmp(id, FLEET) != 0) {
		*ret = call_target(c, "id");
		return *ret ? 0 : -1;
	}
	if (!c->who.instance)
		return 1;
	err_set(&err, ERR_DENIED, "the fleet's caps are the operator's");
	err_hint(&err, "cap show without an id shows your own, and what above you binds them");
	call_error(c, &err);
	return -1;
}

void api_CAP_SHOW(struct call *c)
{
	struct instance *in;
	struct err err = {0};

	if (holder_of(c, &in) < 0)
		return;
	if (call_bool(c, "check") && !c->who.instance && fleet_caps_check(c->w->fleet, &err) < 0)
		call_error(c, &err);
	else
		call_result(c, fleet_caps_json(c->w->fleet, in));
}

static int change_asked(struct call *c, const struct instance *in, struct cap_change *ret, struct err *e)
{
	bool any = false;

	if (budget_change(c, in, ret, &any, e) < 0)
		return -1;
	for (int k = 0; k < CAP_KINDS; k++) {
		bool living = k == CAP_DESCENDANTS && !in;
		const char *name = living ? "max_instances" : cap_name(k);
		if (!json_object_get(c->params, name))
			continue;
		ret->given[k] = any = true;
		ret->v[k] = call_int(c, name, CAP_DEFAULT);
		if (in && ret->v[k] == CAP_DEFAULT)
			ret->v[k] = cap_otherwise(c, instance_role(in), k);
	}
	if (json_object_get(c->params, in ? "max_instances" : "max_descendants"))
		return err_set(e, ERR_PARAMS, in ? "max_instances is a cap of the fleet; that of an instance is max_descendants"
						 : "max_descendants is a cap of an instance; that of the fleet is max_instances");
	ret->roles = json_object_get(c->params, "max_role");
	if (any || json_object_size(ret->roles))
		return 0;
	err_set(e, ERR_PARAMS, "no cap was named");
	return err_hint(e, "for example --max-children 4");
}

void api_CAP_SET(struct call *c)
{
	struct cap_change change = {0};
	struct instance *in;
	struct err err = {0};

	if (holder_of(c, &in) < 0)
		return;
	if (change_asked(c, in, &change, &err) < 0 ||
		fleet_cap_set(c->w->fleet, &c->who, in, &change, &err) < 0)
		call_error(c, &err);
	else
		turn_answer(c, fleet_caps_json(c->w->fleet, in));
}
