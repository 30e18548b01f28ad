/* SPDX-License-Identifier: ISC */
/*
 * The tree of parents and children, and the names in use, kept as rows come, change and go, so that
 * nothing has to look through the whole fleet for them.
 *
 * A unit hangs below its parent's unit while both rows exist: one whose parent was removed is a root
 * (its row still names the parent). A ring, which only a damaged row could make, is never closed.
 */
#include "daemon/core/fleet_int.h"
#include "base/log.h"
#include "daemon/core/usage.h"

static bool closes_ring(const struct unit *u, const struct unit *parent)
{
	for (; parent; parent = parent->up)
		if (parent == u)
			return true;
	return false;
}

/* What lives at u and below it counts for all above. */
static void count_above(struct unit *u, int sign)
{
	bool lives = state_living(u->in->state);
	int64_t n = sign * (u->living_below + lives);

	if (u->up && lives)
		u->up->living_children += sign;
	for (struct unit *a = u->up; a; a = a->up)
		a->living_below += n;
	tally_hang(u, sign);
	usage_hang(u, sign);
}

static void hang(struct unit *u, struct unit *parent)
{
	if (closes_ring(u, parent)) {
		log_error("core", u->in->id, "its ancestors are a ring: it is shown as a root");
		return;
	}
	u->up = parent;
	u->older = parent->newest_child;
	if (u->older)
		u->older->younger = u;
	else
		parent->oldest_child = u;
	parent->newest_child = u;
	count_above(u, 1);
}

static void unhang(struct unit *u)
{
	struct unit *parent = u->up;

	if (!parent)
		return;
	*(u->older ? &u->older->younger : &parent->oldest_child) = u->younger;
	*(u->younger ? &u->younger->older : &parent->newest_child) = u->older;
	count_above(u, -1);
	u->up = u->older = u->younger = NULL;
}

static void name_take(struct unit *u)
{
	/* Two of one name can only be a damaged file's: the first keeps it. */
	if (u->in->name && !idmap_get(&u->f->unit_by_name, u->in->name))
		idmap_put(&u->f->unit_by_name, u->in->name, u);
}

static void name_leave(struct unit *u)
{
	if (u->in->name && idmap_get(&u->f->unit_by_name, u->in->name) == u)
		idmap_drop(&u->f->unit_by_name, u->in->name);
}

void tree_add(struct unit *u)
{
	struct unit *parent = u->in->parent[0] ? unit_find(u->f, u->in->parent) : NULL;

	if (parent)
		hang(u, parent);
	if (!state_living(u->in->state))
		return;
	u->f->living++;
	name_take(u);
}

void tree_bind(struct fleet *f)
{
	/* A clock that was set back can have made a child older than its parent: it was loaded first. */
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i], *parent;
		if (u->up || !u->in->parent[0] || !(parent = unit_find(f, u->in->parent)))
			continue;
		hang(u, parent);
	}
}

void tree_drop(struct unit *u)
{
	while (u->oldest_child)
		unhang(u->oldest_child);
	unhang(u);
	if (!state_living(u->in->state))
		return;
	u->f->living--;
	name_leave(u);
}

void tree_lives(struct unit *u, bool lives)
{
	int by = lives ? 1 : -1;

	if (u->up)
		u->up->living_children += by;
	for (struct unit *a = u->up; a; a = a->up)
		a->living_below += by;
	if (lives) {
		u->f->living++;
		name_take(u);
	} else {
		u->f->living--;
		name_leave(u);
	}
}

void tree_rename(struct unit *u, const char *name)
{
	bool living = state_living(u->in->state);

	if (living)
		name_leave(u);
	free(u->in->name);
	u->in->name = xstrdup(name);
	if (living)
		name_take(u);
}

struct unit *tree_next(const struct unit *top, const struct unit *u)
{
	if (u->oldest_child)
		return u->oldest_child;
	while (u != top && !u->younger)
		u = u->up;
	return u == top ? NULL : u->younger;
}

struct unit *tree_last(struct unit *top)
{
	while (top->newest_child)
		top = top->newest_child;
	return top;
}

struct unit *tree_prev(const struct unit *u)
{
	return u->older ? tree_last(u->older) : u->up;
}
