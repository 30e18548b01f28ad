/* SPDX-License-Identifier: ISC */
/*
 * Changing caps while the fleet lives. A limit below its count stops new spawns and ends nobody. The operator
 * may set any; an instance may only lower those of its descendants. Every change is an event.
 *
 * What the operator sets of the fleet's own is kept in the store and wins over the config until it is set back
 * to its default.
 */
#include "daemon/core/budget.h"
#include "ipc/schema.h"

#define FLEET_CAPS_KEY "fleet_caps"

static json_t *limit_json(int64_t n)
{
	return n == CAP_UNLIMITED ? json_string("unlimited") : json_integer(n);
}

static bool higher(int64_t a, int64_t b)
{
	return b != CAP_UNLIMITED && (a == CAP_UNLIMITED || a > b);
}

static bool fleet_has(enum cap_kind k)
{
	return k == CAP_DESCENDANTS || k == CAP_RATE || k == CAP_MEMORY || k == CAP_DISK;
}

/* May who change these? Nothing is changed before all are known to pass. */
static int check_lower(struct fleet *f, const struct caller *who, const struct unit *u,
	const struct cap_change *c, struct err *e)
{
	const char *role;
	json_t *v;

	if (!who->instance)
		return 0;
	if (!u || !strcmp(who->instance, u->in->id) || !fleet_is_within(f, who->instance, u->in->id)) {
		err_set(e, ERR_DENIED, "an instance may lower the caps of its descendants, and no others");
		return err_hint(e, "ask the operator");
	}
	for (int k = 0; k < CAP_KINDS; k++) {
		if (!c->given[k] || !higher(c->v[k], cap_get(&u->in->cap, k)))
			continue;
		err_set(e, ERR_DENIED, "an instance may only lower caps, and %s of %s is lower", cap_name(k), u->in->id);
		return err_hint(e, "ask the operator");
	}
	if (budget_check_lower(u, c, e) < 0)
		return -1;
	json_object_foreach((json_t *)c->roles, role, v) {
		if (!higher(json_integer_value(v), holder_role_limit(f, u, role)))
			continue;
		err_set(e, ERR_DENIED, "an instance may only lower caps, and max_role %s of %s is lower", role, u->in->id);
		return err_hint(e, "ask the operator");
	}
	return 0;
}

/* It is kept in the row and looked at by every spawn below. */
static int check_roles(const json_t *roles, const struct cap_change *c, struct err *e)
{
	size_t n = json_object_size(roles);
	const char *role;
	json_t *v;

	json_object_foreach((json_t *)c->roles, role, v)
		n += json_integer_value(v) != CAP_UNLIMITED && !json_object_get(roles, role);
	if (n <= ROLE_LIMITS_MAX || n == json_object_size(roles))
		return 0;
	err_set(e, ERR_LIMIT, "caps of %zu roles are more than the %d that one may have", n, ROLE_LIMITS_MAX);
	return err_hint(e, "'unlimited' takes one away");
}

static void note(json_t *before, json_t *after, const char *cap, int64_t was, int64_t is)
{
	if (was == is)
		return;
	json_object_set_new(before, cap, limit_json(was));
	json_object_set_new(after, cap, limit_json(is));
}

static void set_roles(struct fleet *f, const struct unit *u, json_t **roles, const struct cap_change *c,
	json_t *before, json_t *after)
{
	const char *role;
	json_t *v;

	json_object_foreach((json_t *)c->roles, role, v) {
		cleanup_free char *name = xasprintf("max_role %s", role);
		int64_t to = json_integer_value(v);
		note(before, after, name, holder_role_limit(f, u, role), to);
		if (!*roles)
			*roles = json_object();
		if (to == CAP_UNLIMITED)
			json_object_del(*roles, role);
		else
			json_object_set_new(*roles, role, json_integer(to));
	}
	if (*roles && !json_object_size(*roles)) {
		json_decref(*roles);
		*roles = NULL;
	}
}

static void save_fleet(struct fleet *f)
{
	json_t *o = json_object();
	cleanup_free char *text = NULL;

	for (int k = 0; k < CAP_KINDS; k++)
		if (f->own_set[k])
			json_object_set_new(o, cap_name(k), json_integer(cap_get(&f->own_cap, k)));
	if (f->own_roles)
		json_object_set(o, "max_roles", f->own_roles);
	text = json_object_size(o) ? json_dumps(o, JSON_COMPACT) : NULL;
	P(f)->meta_put(CTX(f), FLEET_CAPS_KEY, text);
	json_decref(o);
}

void fleet_load_caps(struct fleet *f, const char *text)
{
	json_t *o = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	for (int k = 0; k < CAP_KINDS; k++) {
		const json_t *v = json_object_get(o, cap_name(k));
		f->own_set[k] = json_is_integer(v) && fleet_has(k);
		if (f->own_set[k])
			*cap_at(&f->own_cap, k) = json_integer_value(v);
	}
	json_decref(f->own_roles);
	f->own_roles = json_incref(json_object_get(o, "max_roles"));
	json_decref(o);
}

const char *fleet_caps_key(void)
{
	return FLEET_CAPS_KEY;
}

static int set_fleet(struct fleet *f, const struct cap_change *c, json_t *before, json_t *after,
	struct err *e)
{
	for (int k = 0; k < CAP_KINDS; k++) {
		if (!c->given[k] || fleet_has(k))
			continue;
		err_set(e, ERR_PARAMS, "the fleet has no cap %s", cap_name(k));
		return err_hint(e, "it has max_instances, spawn_rate, max_memory, max_disk and max_role");
	}
	for (int k = 0; k < CAP_KINDS; k++) {
		int64_t was = holder_limit(f, NULL, k);
		if (!c->given[k])
			continue;
		f->own_set[k] = c->v[k] != CAP_DEFAULT;
		*cap_at(&f->own_cap, k) = c->v[k];
		note(before, after, k == CAP_DESCENDANTS ? "max_instances" : cap_name(k), was, holder_limit(f, NULL, k));
	}
	set_roles(f, NULL, &f->own_roles, c, before, after);
	save_fleet(f);
	return 0;
}

static void set_unit(struct unit *u, const struct cap_change *c, json_t *before, json_t *after)
{
	for (int k = 0; k < CAP_KINDS; k++) {
		int64_t was = cap_get(&u->in->cap, k);
		if (!c->given[k])
			continue;
		*cap_at(&u->in->cap, k) = c->v[k];
		note(before, after, cap_name(k), was, c->v[k]);
	}
	set_roles(u->f, u, &u->in->max_roles, c, before, after);
	budget_set(u, c, before, after);
	unit_save(u);
}

int fleet_cap_set(struct fleet *f, const struct caller *who, struct instance *in,
	const struct cap_change *c, struct err *e)
{
	struct unit *u = in ? unit_find(f, in->id) : NULL;
	json_t *before = json_object(), *after = json_object();
	int r = check_lower(f, who, u, c, e) < 0 || check_roles(u ? u->in->max_roles : f->own_roles, c, e) < 0 ? -1 : 0;

	if (r == 0 && u)
		set_unit(u, c, before, after);
	else if (r == 0)
		r = set_fleet(f, c, before, after, e);
	if (r == 0 && json_object_size(after))
		P(f)->event_add(CTX(f), EV_CAP, in ? in->id : NULL, NULL,
			json_pack("{s:s, s:s, s:O, s:O}", "holder", in ? in->id : "fleet", "who",
				who->instance ? who->instance : "operator", "before", before, "after", after));
	if (r == 0 && u)
		budget_changed(u);
	json_decref(before);
	json_decref(after);
	return r;
}
