/* SPDX-License-Identifier: ISC */
/*
 * Caps over the tree: may one more be spawned, and what may it spawn itself?
 *
 * Asked in the turn that inserts the row (or queues an ended one again), from the fleet down through every
 * ancestor to the parent, so that what is reached high up explains what is narrow below. Nothing is written
 * for a reservation: the row itself is it (tally.c). Only what no row could tell is noted beside it, in
 * the same transaction: how many were ever spawned (in each ancestor's row) and when (spawn_window.c).
 *
 * A child's own caps are narrowed to what each ancestor has left at that moment, itself not counted; what it
 * got less of is kept in its row (`narrowed`) and told to whoever spawned it.
 */
#include "daemon/core/budget.h"

static struct cap fleet_cap(const struct fleet *f)
{
	struct cap c = {CAP_UNLIMITED, f->set->max_instances, CAP_UNLIMITED, f->set->fleet_spawn_rate,
		CAP_UNLIMITED, f->set->fleet_memory, f->set->fleet_disk};

	for (int k = 0; k < CAP_KINDS; k++)
		if (f->own_set[k])
			*cap_at(&c, k) = cap_get(&f->own_cap, k);
	return c;
}

int64_t holder_limit(const struct fleet *f, const struct unit *u, enum cap_kind k)
{
	struct cap c;

	if (u)
		return cap_get(&u->in->cap, k);
	c = fleet_cap(f);
	return cap_get(&c, k);
}

int64_t holder_count(struct fleet *f, struct unit *u, enum cap_kind k)
{
	const struct tally *t = u ? &u->below : &f->all;

	switch (k) {
	case CAP_CHILDREN:
		return u ? u->living_children : 0;
	case CAP_DESCENDANTS:
		return t->living;
	case CAP_DEPTH:
		return u ? tally_depth(t) : 0;
	case CAP_RATE:
		return window_count(u ? &u->spawned : &f->spawned, CAP_UNLIMITED, NULL);
	case CAP_TOTAL:
		return u ? u->in->spawned_total : 0;
	case CAP_MEMORY:
		return t->memory;
	case CAP_DISK:
		return t->disk;
	case CAP_KINDS:
		break;
	}
	return 0;
}

int64_t holder_role_limit(const struct fleet *f, const struct unit *u, const char *role)
{
	const json_t *v = json_object_get(u ? u->in->max_roles : f->own_roles, role);

	return json_is_integer(v) ? json_integer_value(v) : CAP_UNLIMITED;
}

int64_t holder_role_count(const struct fleet *f, const struct unit *u, const char *role)
{
	return tally_role(u ? &u->below : &f->all, role);
}

/* What one more takes. */
struct need {
	int64_t of[CAP_KINDS];
	const char *role;
	struct unit *parent;
	bool relabel; /* of a role alone */
};

static int refuse_kind(struct fleet *f, const struct need *n, struct unit *holder, enum cap_kind k,
	int64_t count, int64_t wait_ms, struct err *e)
{
	const struct refusal r = {.holder = holder, .kind = k, .count = count, .need = n->of[k],
		.limit = holder_limit(f, holder, k), .wait_ms = wait_ms};

	return cap_refuse(f, n->parent, &r, e);
}

/* The rate is a holder's own: of what it spawns itself, and of all that the fleet spawns. */
static int ask_rate(struct fleet *f, const struct need *n, struct unit *holder, struct err *e)
{
	int64_t limit = holder_limit(f, holder, CAP_RATE), wait;
	int64_t count = window_count(holder ? &holder->spawned : &f->spawned, limit, &wait);

	if (limit == CAP_UNLIMITED || count < limit)
		return 0;
	return refuse_kind(f, n, holder, CAP_RATE, count, wait, e);
}

/* Has this holder, an ancestor at this distance (or the fleet, NULL), room for it? */
static int ask(struct fleet *f, const struct need *n, struct unit *holder, int64_t distance, struct err *e)
{
	static const enum cap_kind order[] = {CAP_DESCENDANTS, CAP_DEPTH, CAP_CHILDREN, CAP_TOTAL, CAP_MEMORY,
		CAP_DISK};

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		enum cap_kind k = order[i];
		int64_t limit = holder_limit(f, holder, k), count, need = n->of[k];
		if (limit == CAP_UNLIMITED || (k == CAP_CHILDREN && distance > 1) || !need)
			continue;
		count = k == CAP_DEPTH ? distance - 1 : holder_count(f, holder, k);
		if (count > limit - need)
			return refuse_kind(f, n, holder, k, count, 0, e);
	}
	if (n->role) {
		struct refusal r = {.holder = holder, .kind = CAP_KINDS, .role = n->role, .need = 1, .relabel = n->relabel,
			.count = holder_role_count(f, holder, n->role),
			.limit = holder_role_limit(f, holder, n->role)};
		if (r.limit != CAP_UNLIMITED && r.count >= r.limit)
			return cap_refuse(f, n->parent, &r, e);
	}
	return 0;
}

static int ask_ancestors(struct fleet *f, const struct need *n, struct unit *a, int64_t distance,
	struct err *e)
{
	if (!a)
		return 0;
	if (ask_ancestors(f, n, a->up, distance + 1, e) < 0)
		return -1;
	return ask(f, n, a, distance, e);
}

static int ask_all(struct fleet *f, const struct need *n, struct err *e)
{
	bool rate = n->of[CAP_RATE] >= 0; /* what is restored was asked for before */

	if (ask(f, n, NULL, 0, e) < 0 || (rate && ask_rate(f, n, NULL, e) < 0))
		return -1;
	if (n->parent && rate && ask_rate(f, n, n->parent, e) < 0)
		return -1;
	return ask_ancestors(f, n, n->parent, 1, e);
}

/* ---- narrowing ---- */

static json_t *amount(int64_t n)
{
	return n == CAP_UNLIMITED ? json_string("unlimited") : json_integer(n);
}

static void narrow(int64_t *at, int64_t left, const struct unit *by, const struct unit **ret_by)
{
	if (left < 0)
		left = 0;
	if (*at != CAP_UNLIMITED && *at <= left)
		return;
	*at = left;
	*ret_by = by;
}

/* What an ancestor leaves to the child to be. */
static void narrow_by(struct fleet *f, const struct need *n, struct unit *a, int64_t distance,
	struct instance *child, const struct unit *by[CAP_KINDS])
{
	static const enum cap_kind shared[] = {CAP_DESCENDANTS, CAP_TOTAL, CAP_MEMORY, CAP_DISK};
	const struct cap *c = &a->in->cap;

	for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
		enum cap_kind k = shared[i];
		int64_t limit = cap_get(c, k), left = limit - holder_count(f, a, k) - n->of[k];
		if (limit == CAP_UNLIMITED)
			continue;
		narrow(cap_at(&child->cap, k), left, a, &by[k]);
		if (k == CAP_DESCENDANTS)
			narrow(&child->cap.max_children, left, a, &by[CAP_CHILDREN]);
	}
	if (c->max_depth != CAP_UNLIMITED)
		narrow(&child->cap.max_depth, c->max_depth - distance, a, &by[CAP_DEPTH]);
	if (distance == 1 && c->spawn_rate != CAP_UNLIMITED)
		narrow(&child->cap.spawn_rate, c->spawn_rate, a, &by[CAP_RATE]);
	if (distance == 1 && c->max_children != CAP_UNLIMITED)
		narrow(&child->cap.max_children, c->max_children, a, &by[CAP_CHILDREN]);
}

static void note_narrowed(struct instance *child, const char *cap, const char *role, int64_t asked,
	int64_t got, const struct unit *by)
{
	json_t *o;

	if (!by)
		return;
	if (!child->narrowed)
		child->narrowed = json_array();
	o = json_pack("{s:s, s:o, s:o, s:s, s:s?}", "cap", cap, "asked", amount(asked), "got", amount(got), "by",
		by->in->id, "by_name", by->in->name);
	if (role)
		json_object_set_new(o, "role", json_string(role));
	json_array_append_new(child->narrowed, o);
}

/* Only roles that it asked to cap: of others its ancestors' caps hold as they are. */
static void narrow_roles(struct fleet *f, struct instance *child, struct unit *parent)
{
	const char *role, *own = instance_role(child);
	json_t *v;

	json_object_foreach(child->max_roles, role, v) {
		int64_t asked = json_integer_value(v), got = asked;
		const struct unit *by = NULL;
		for (struct unit *a = parent; a; a = a->up) {
			int64_t limit = holder_role_limit(f, a, role);
			if (limit != CAP_UNLIMITED)
				narrow(&got, limit - holder_role_count(f, a, role) - (own && !strcmp(own, role)), a,
					&by);
		}
		json_integer_set(v, got);
		note_narrowed(child, "max_role", role, asked, got, by);
	}
}

static void narrow_all(struct fleet *f, const struct need *n, struct instance *child)
{
	const struct unit *by[CAP_KINDS] = {0};
	struct cap asked = child->cap;
	int64_t distance = 1;

	json_decref(child->narrowed);
	child->narrowed = NULL;
	for (struct unit *a = n->parent; a; a = a->up)
		narrow_by(f, n, a, distance++, child, by);
	for (int k = 0; k < CAP_KINDS; k++)
		note_narrowed(child, cap_name(k), NULL, cap_get(&asked, k), cap_get(&child->cap, k), by[k]);
	narrow_roles(f, child, n->parent);
}

/* ---- the calls ---- */

static struct need need_of(const struct instance *in, struct unit *parent)
{
	return (struct need){.of = {[CAP_CHILDREN] = 1, [CAP_DESCENDANTS] = 1, [CAP_DEPTH] = 1, [CAP_TOTAL] = 1,
				     [CAP_MEMORY] = in->vm_memory_mib, [CAP_DISK] = in->vm_disk_mib},
		.role = instance_role(in),
		.parent = parent};
}

int caps_reserve(struct fleet *f, struct unit *parent, struct instance *child, struct err *e)
{
	struct need n = need_of(child, parent);

	if (ask_all(f, &n, e) < 0 || budget_reserve(f, parent, false, e) < 0)
		return -1;
	narrow_all(f, &n, child);
	return 0;
}

int caps_reserve_again(struct unit *u, bool restoring, struct err *e)
{
	struct need n = need_of(u->in, u->up);

	n.of[CAP_TOTAL] = 0; /* it was counted when it was spawned */
	n.of[CAP_RATE] = restoring ? -1 : 0;
	if (u->held.holds)
		n.of[CAP_MEMORY] = n.of[CAP_DISK] = 0;
	return ask_all(u->f, &n, e) < 0 || budget_reserve(u->f, u, true, e) < 0 ? -1 : 0;
}

int caps_reserve_rate(struct unit *u, struct err *e)
{
	struct need n = need_of(u->in, u->up);

	return ask_rate(u->f, &n, NULL, e) < 0 || (n.parent && ask_rate(u->f, &n, n.parent, e) < 0) ? -1 : 0;
}

int caps_reserve_role(struct unit *u, const char *role, struct err *e)
{
	const struct need n = {.role = role, .parent = u->up, .relabel = true};

	return ask(u->f, &n, NULL, 0, e) < 0 ? -1 : ask_ancestors(u->f, &n, u->up, 1, e);
}

void caps_note_spawn(struct unit *u, bool anew)
{
	spawn_note(u->f, u->up);
	for (struct unit *a = anew ? u->up : NULL; a; a = a->up) {
		a->in->spawned_total++;
		unit_save(a);
	}
}
