/* SPDX-License-Identifier: ISC */
/* The line of those that wait for their start: lanes that take turns. */
#include "daemon/core/line.h"

#include "base/util.h"

void line_finish(struct line *l)
{
	while (l->first) {
		struct line_lane *lane = l->first;
		l->first = lane->next;
		free(lane);
	}
	idmap_finish(&l->by_parent);
	memset(l, 0, sizeof(*l));
}

/* ---- the ring of lanes ---- */

static void lane_link(struct line *l, struct line_lane *lane)
{
	lane->next = NULL;
	lane->prev = l->last;
	if (l->last)
		l->last->next = lane;
	else
		l->first = lane;
	l->last = lane;
}

static void lane_unlink(struct line *l, struct line_lane *lane)
{
	if (lane->prev)
		lane->prev->next = lane->next;
	else
		l->first = lane->next;
	if (lane->next)
		lane->next->prev = lane->prev;
	else
		l->last = lane->prev;
}

static struct line_lane *lane_of(struct line *l, const char *parent)
{
	struct line_lane *lane;

	if (!parent[0])
		return &l->own;
	lane = idmap_get(&l->by_parent, parent);
	if (lane)
		return lane;
	lane = xcalloc(1, sizeof(*lane));
	str_fmt(lane->parent, sizeof(lane->parent), "%s", parent);
	idmap_put(&l->by_parent, lane->parent, lane);
	lane_link(l, lane);
	return lane;
}

/* ---- coming and going ---- */

void line_add(struct line *l, struct line_entry *e, const char *parent, int64_t no)
{
	struct line_lane *lane = lane_of(l, parent);
	struct line_entry *before = lane->last;

	/* Almost always the last; one that comes back after a restart goes where it was. */
	while (before && before->no > no)
		before = before->prev;
	e->no = no;
	e->place = 0;
	e->lane = lane;
	e->prev = before;
	e->next = before ? before->next : lane->first;
	if (e->prev)
		e->prev->next = e;
	else
		lane->first = e;
	if (e->next)
		e->next->prev = e;
	else
		lane->last = e;
	lane->count++;
	l->count++;
	l->moved = true;
}

void line_drop(struct line *l, struct line_entry *e)
{
	struct line_lane *lane = e->lane;

	if (!lane)
		return;
	if (e->prev)
		e->prev->next = e->next;
	else
		lane->first = e->next;
	if (e->next)
		e->next->prev = e->prev;
	else
		lane->last = e->prev;
	e->lane = NULL;
	e->prev = e->next = NULL;
	lane->count--;
	l->count--;
	l->moved = true;
	if (lane->count || lane == &l->own)
		return;
	lane_unlink(l, lane);
	idmap_drop(&l->by_parent, lane->parent);
	free(lane);
}

void line_take(struct line *l, struct line_entry *e)
{
	struct line_lane *lane = e->lane;

	if (lane != &l->own && lane->next) {
		lane_unlink(l, lane);
		lane_link(l, lane);
	}
	line_drop(l, e);
}

/* ---- the order ---- */

struct line_entry *line_head(const struct line *l)
{
	if (l->own.first)
		return l->own.first;
	return l->first ? l->first->first : NULL;
}

struct line_entry *line_behind(const struct line *l, const struct line_entry *e)
{
	const struct line_lane *next = e->lane == &l->own ? l->first : e->lane->next;

	return next ? next->first : NULL;
}

int64_t line_place_of_new(const struct line *l, const char *parent)
{
	const struct line_lane *mine = parent[0] ? idmap_get(&l->by_parent, parent) : &l->own;
	size_t ahead = l->own.count, turn;
	bool passed = false;

	if (mine == &l->own)
		return (int64_t)ahead + 1;
	turn = mine ? mine->count : 0; /* it goes in its lane's round of this number, from 0 */
	ahead += turn;
	for (const struct line_lane *o = l->first; o; o = o->next) {
		size_t goes = turn + (passed ? 0 : 1); /* lanes before it have had that round, too */
		if (o == mine)
			passed = true;
		else
			ahead += o->count < goes ? o->count : goes;
	}
	return (int64_t)ahead + 1;
}

void line_each(struct line *l, void (*fn)(void *arg, struct line_entry *e), void *arg)
{
	bool more = true;

	for (struct line_entry *e = l->own.first; e; e = e->next)
		fn(arg, e);
	for (struct line_lane *lane = l->first; lane; lane = lane->next)
		lane->cursor = lane->first;
	while (more) {
		more = false;
		for (struct line_lane *lane = l->first; lane; lane = lane->next) {
			struct line_entry *e = lane->cursor;
			if (!e)
				continue;
			lane->cursor = e->next;
			more |= e->next != NULL;
			fn(arg, e);
		}
	}
}

static void number_one(void *arg, struct line_entry *e)
{
	e->place = ++*(int64_t *)arg;
}

void line_number(struct line *l)
{
	int64_t n = 0;

	if (!l->moved)
		return;
	line_each(l, number_one, &n);
	l->moved = false;
}
