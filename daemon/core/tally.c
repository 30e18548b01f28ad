/* SPDX-License-Identifier: ISC */
/*
 * What stands against the caps: counts of everything below an instance, kept as rows change.
 *
 * A unit's part (struct held) follows from its row and its place's state alone. Whenever either is written
 * (unit_save, place_apply) tally_unit compares it with what was counted last and carries the difference up
 * through every ancestor and into the fleet; hanging a unit into the tree or taking it out carries its whole
 * subtree. So a slot is given back by whatever ended its holder, a spawn costs the depth of the tree,
 * and a recount from the rows (fleet_caps_check) must find the same.
 *
 * A slot is held while the instance lives: also while it is queued, and while it is lost, since it may come
 * back. Memory and disk are held until the place is down as well.
 */
#include "daemon/core/fleet_int.h"

/* A list: a tree has a handful of roles. */
struct role_count {
	struct role_count *next;
	int64_t n;
	char role[];
};

int64_t tally_depth(const struct tally *t)
{
	return (int64_t)t->ndepth;
}

int64_t tally_role(const struct tally *t, const char *role)
{
	for (const struct role_count *c = t->roles; c; c = c->next)
		if (!strcmp(c->role, role))
			return c->n;
	return 0;
}

static void add_role(struct tally *t, const char *role, int64_t n)
{
	struct role_count **at = &t->roles, *c;
	size_t len = strlen(role) + 1;

	while (*at && strcmp((*at)->role, role) != 0)
		at = &(*at)->next;
	c = *at;
	if (!c) {
		c = *at = xcalloc(1, sizeof(*c) + len);
		memcpy(c->role, role, len);
	}
	c->n += n;
	if (!c->n) {
		*at = c->next;
		free(c);
	}
}

static void add_depth(struct tally *t, size_t depth, int64_t n)
{
	if (!n)
		return;
	if (depth >= t->room) {
		size_t room = t->room ? t->room : 4;
		while (room <= depth)
			room *= 2;
		t->depth = xrealloc(t->depth, room * sizeof(int64_t));
		memset(t->depth + t->room, 0, (room - t->room) * sizeof(int64_t));
		t->room = room;
	}
	t->depth[depth] += n;
	if (depth >= t->ndepth)
		t->ndepth = depth + 1;
	while (t->ndepth && !t->depth[t->ndepth - 1])
		t->ndepth--;
}

static void add_held(struct tally *t, const struct held *h, size_t depth, int sign)
{
	t->living += sign * h->lives;
	t->holders += sign * h->holds;
	t->memory += sign * h->memory;
	t->disk += sign * h->disk;
	add_depth(t, depth, sign * h->lives);
	if (h->role)
		add_role(t, h->role, sign);
}

static void add_tally(struct tally *t, const struct tally *below, size_t depth, int sign)
{
	t->living += sign * below->living;
	t->holders += sign * below->holders;
	t->memory += sign * below->memory;
	t->disk += sign * below->disk;
	for (size_t i = 0; i < below->ndepth; i++)
		add_depth(t, depth + i, sign * below->depth[i]);
	for (const struct role_count *c = below->roles; c; c = c->next)
		add_role(t, c->role, sign * c->n);
}

/* By its row and its place; role is borrowed. */
static struct held held_now(const struct unit *u)
{
	const struct site *s = site_of(u);
	struct held h = {.lives = state_living(u->in->state)};

	h.holds = h.lives || (s && s->pl->state != PL_DOWN);
	if (h.holds) {
		h.memory = u->in->vm_memory_mib;
		h.disk = u->in->vm_disk_mib;
	}
	if (h.lives)
		h.role = (char *)(uintptr_t)instance_role(u->in);
	return h;
}

static bool same_held(const struct held *a, const struct held *b)
{
	return a->lives == b->lives && a->holds == b->holds && a->memory == b->memory && a->disk == b->disk &&
	       !strcmp(a->role ? a->role : "", b->role ? b->role : "");
}

static void carry(struct unit *u, int sign)
{
	size_t depth = 0;

	for (struct unit *a = u->up; a; a = a->up)
		add_held(&a->below, &u->held, depth++, sign);
	add_held(&u->f->all, &u->held, 0, sign);
}

void tally_unit(struct unit *u)
{
	struct held now = held_now(u);

	if (same_held(&u->held, &now))
		return;
	carry(u, -1);
	free(u->held.role);
	u->held = now;
	u->held.role = xstrdup(now.role);
	carry(u, 1);
}

void tally_drop(struct unit *u)
{
	carry(u, -1);
	free(u->held.role);
	u->held = (struct held){0};
}

void tally_hang(const struct unit *u, int sign)
{
	size_t depth = 0;

	for (struct unit *a = u->up; a; a = a->up, depth++) {
		add_held(&a->below, &u->held, depth, sign);
		add_tally(&a->below, &u->below, depth + 1, sign);
	}
}

void tally_finish(struct tally *t)
{
	for (struct role_count *c = t->roles, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(t->depth);
	*t = (struct tally){0};
}

/* ---- the check: everything counted anew, the slow way ---- */

static int differs(const char *who, const char *what, int64_t kept, int64_t is, struct err *e)
{
	return err_set(e, ERR_INTERNAL, "the count of %s of %s is kept as %lld but is %lld", what, who,
		(long long)kept, (long long)is);
}

static int compare(const char *who, const struct tally *kept, const struct tally *is, struct err *e)
{
	if (kept->living != is->living)
		return differs(who, "living", kept->living, is->living, e);
	if (kept->holders != is->holders)
		return differs(who, "places", kept->holders, is->holders, e);
	if (kept->memory != is->memory)
		return differs(who, "memory", kept->memory, is->memory, e);
	if (kept->disk != is->disk)
		return differs(who, "disk", kept->disk, is->disk, e);
	if (kept->ndepth != is->ndepth)
		return differs(who, "levels", tally_depth(kept), tally_depth(is), e);
	for (size_t i = 0; i < is->ndepth; i++)
		if (kept->depth[i] != is->depth[i])
			return differs(who, "a level", kept->depth[i], is->depth[i], e);
	for (const struct role_count *c = is->roles; c; c = c->next)
		if (tally_role(kept, c->role) != c->n)
			return differs(who, c->role, tally_role(kept, c->role), c->n, e);
	for (const struct role_count *c = kept->roles; c; c = c->next)
		if (!tally_role(is, c->role))
			return differs(who, c->role, c->n, 0, e);
	return 0;
}

/* Along the rows' own words for their parents, not along the tree that is kept. */
static void recount(const struct fleet *f, const struct unit *top, struct tally *ret)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct unit *u = f->order[i], *a = u;
		struct held h = held_now(u);
		size_t depth = 0;

		while (top && (a = a->in->parent[0] ? unit_find(f, a->in->parent) : NULL) && a != top &&
			depth <= f->count)
			depth++;
		if (!top || (a == top && depth <= f->count))
			add_held(ret, &h, top ? depth : 0, 1);
	}
}

int fleet_caps_check(struct fleet *f, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i <= f->count && r == 0; i++) {
		const struct unit *u = i < f->count ? f->order[i] : NULL;
		struct tally is = {0};

		recount(f, u, &is);
		r = compare(u ? u->in->id : "the fleet", u ? &u->below : &f->all, &is, e);
		tally_finish(&is);
	}
	if (r == 0 && (int64_t)f->living != f->all.living)
		r = differs("the fleet", "living", (int64_t)f->living, f->all.living, e);
	return r;
}
