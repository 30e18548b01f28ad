/* SPDX-License-Identifier: ISC */
/*
 * Spawn caps over the tree. Counts are derived from the rows, so a slot is taken by inserting the
 * child's row and given back by its end, whatever ended it; nothing can leak.
 */
#include "daemon/core/fleet_int.h"


static bool descends(const struct fleet *f, const struct instance *in, const char *ancestor,
	int64_t *ret_depth)
{
	int64_t depth = 0;

	while (in->parent[0] && depth <= (int64_t)f->count) {
		struct unit *p;
		depth++;
		if (!strcmp(in->parent, ancestor)) {
			*ret_depth = depth;
			return true;
		}
		p = unit_find(f, in->parent);
		if (!p)
			return false;
		in = p->in;
	}
	return false;
}

void caps_count(const struct fleet *f, const char *id, struct cap_counts *ret)
{
	struct cap_counts c = {0};

	for (size_t i = 0; i < f->count; i++) {
		const struct instance *in = f->order[i]->in;
		int64_t depth;
		if (!in->parent[0] || !state_living(in->state) || !descends(f, in, id, &depth))
			continue;
		c.descendants++;
		if (depth == 1)
			c.children++;
		if (depth > c.depth)
			c.depth = depth;
	}
	*ret = c;
}

void caps_count_all(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		f->order[i]->counts = (struct cap_counts){0};
	for (size_t i = 0; i < f->count; i++) {
		const struct instance *in = f->order[i]->in;
		struct unit *up;
		if (!state_living(in->state))
			continue;
		for (int64_t depth = 1; in->parent[0] && depth <= (int64_t)f->count; depth++) {
			up = unit_find(f, in->parent);
			if (!up)
				break;
			up->counts.descendants++;
			up->counts.children += depth == 1;
			if (depth > up->counts.depth)
				up->counts.depth = depth;
			in = up->in;
		}
	}
}

/* Spawns by parent in the last minute; *ret_wait: ms until the oldest of them no longer counts. Kept
 * apart from the rows: a child that was removed still counts. */
static int64_t recent_spawns(const struct fleet *f, const char *parent, int64_t *ret_wait)
{
	struct unit *u = unit_find(f, parent);
	int64_t now = clock_wall_ms();
	size_t kept = 0;

	for (size_t i = 0; u && i < u->nspawned; i++)
		if (u->spawned[i] > now - RATE_WINDOW_MS && u->spawned[i] <= now)
			u->spawned[kept++] = u->spawned[i];
	if (u)
		u->nspawned = kept;
	*ret_wait = kept ? u->spawned[0] + RATE_WINDOW_MS - now : 0;
	return (int64_t)kept;
}

void caps_note_spawn(struct unit *parent, int64_t when)
{
	parent->spawned = xrealloc(parent->spawned, (parent->nspawned + 1) * sizeof(int64_t));
	parent->spawned[parent->nspawned++] = when;
}

static int refuse(const struct fleet *f, const char *cap, const char *holder, int64_t count,
	int64_t limit, const char *passes, struct err *e)
{
	P(f)->event_add(CTX(f), EV_REFUSED, holder[0] ? holder : NULL, NULL,
		json_pack("{s:s, s:s?, s:I, s:I}", "cap", cap, "holder", holder[0] ? holder : NULL,
			"count", (json_int_t)count, "limit", (json_int_t)limit));
	err_set(e, ERR_CAP, "the cap %s of %s%s is reached: %lld of %lld", cap,
		holder[0] ? "instance " : "the fleet", holder, (long long)count, (long long)limit);
	return err_hint(e, "%s", passes);
}

static bool reached(int64_t count, int64_t limit)
{
	return limit != CAP_UNLIMITED && count >= limit;
}

/* At most what is asked, and at most what the ancestor has left. */
static int64_t narrow(int64_t asked, int64_t left)
{
	if (left == CAP_UNLIMITED)
		return asked;
	if (left < 0)
		left = 0;
	return asked == CAP_UNLIMITED || asked > left ? left : asked;
}

/* What a, an ancestor at this distance from the child to be, has to say; narrows the child's caps. */
static int ask_ancestor(struct fleet *f, const struct instance *a, int64_t depth, struct instance *child,
	struct err *e)
{
	struct cap_counts c;

	caps_count(f, a->id, &c);
	if (reached(c.descendants, a->cap.max_descendants))
		return refuse(f, "max_descendants", a->id, c.descendants, a->cap.max_descendants,
			"it passes when one of its descendants ends", e);
	if (a->cap.max_depth != CAP_UNLIMITED && depth > a->cap.max_depth)
		return refuse(f, "max_depth", a->id, depth - 1, a->cap.max_depth,
			"it never passes here: spawn from an instance higher in the tree", e);
	if (depth == 1 && reached(c.children, a->cap.max_children))
		return refuse(f, "max_children", a->id, c.children, a->cap.max_children,
			"it passes when one of its children ends", e);
	if (a->cap.max_descendants != CAP_UNLIMITED) {
		int64_t left = a->cap.max_descendants - c.descendants - 1;
		child->cap.max_descendants = narrow(child->cap.max_descendants, left);
		child->cap.max_children = narrow(child->cap.max_children, left);
	}
	if (a->cap.max_depth != CAP_UNLIMITED)
		child->cap.max_depth = narrow(child->cap.max_depth, a->cap.max_depth - depth);
	return 0;
}

/* From the root down: what is reached high up explains what is narrow below. */
static int ask_ancestors(struct fleet *f, const struct instance *a, int64_t depth,
	struct instance *child, struct err *e)
{
	struct unit *up = a->parent[0] ? unit_find(f, a->parent) : NULL;

	if (up && depth <= (int64_t)f->count && ask_ancestors(f, up->in, depth + 1, child, e) < 0)
		return -1;
	return ask_ancestor(f, a, depth, child, e);
}

int caps_reserve(struct fleet *f, const struct instance *parent, struct instance *child,
	struct err *e)
{
	int64_t living = (int64_t)fleet_living(f), wait;
	char when[96];

	if (reached(living, f->set->max_instances))
		return refuse(f, "max_instances", "", living, f->set->max_instances,
			"it passes when an instance ends; the option max_instances raises it", e);
	if (!parent)
		return 0;
	if (reached(recent_spawns(f, parent->id, &wait), parent->cap.spawn_rate)) {
		snprintf(when, sizeof(when), "it passes in %lld s", (long long)(wait / 1000 + 1));
		return refuse(f, "spawn_rate", parent->id, recent_spawns(f, parent->id, &wait),
			parent->cap.spawn_rate, when, e);
	}
	if (ask_ancestors(f, parent, 1, child, e) < 0)
		return -1;
	child->cap.spawn_rate = narrow(child->cap.spawn_rate, parent->cap.spawn_rate);
	child->cap.max_children = narrow(child->cap.max_children, parent->cap.max_children);
	return 0;
}
