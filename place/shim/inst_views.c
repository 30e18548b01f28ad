/* SPDX-License-Identifier: ISC */
/* An instance's views and followers, and which of them owns the terminal's size. */
#include "place/shim/follow.h"
#include "place/shim/inst_int.h"
#include "place/shim/view.h"

void inst_resize(struct inst *i, int rows, int cols)
{
	struct view *v, *next;
	int r, c;

	screen_size(i->screen, &r, &c);
	if (i->state == INST_ENDED || (rows == r && cols == c))
		return;
	screen_resize(i->screen, rows, cols);
	screen_size(i->screen, &rows, &cols);
	if (rows == r && cols == c)
		return;
	if (i->stream)
		link_send_ctl(i->stream, json_pack("{s:[i, i]}", "resize", rows, cols));
	record_size(i->record, rows, cols);
	inst_save(i);
	for (v = i->views; v; v = next) {
		next = v->next;
		view_resized(v);
	}
}

void inst_view_owns(struct inst *i, struct view *v)
{
	v->last_input = ++i->inputs;
	if (v->read_only)
		return;
	i->owner = v;
	inst_resize(i, v->rows, v->cols);
}

bool inst_view_is_owner(const struct inst *i, const struct view *v)
{
	return i->owner == v;
}

void inst_view_add(struct inst *i, struct view *v)
{
	v->next = i->views;
	i->views = v;
	if (!i->owner || (v->person && !i->owner->person))
		inst_view_owns(i, v);
}

void inst_view_remove(struct inst *i, struct view *v)
{
	struct view **at = &i->views, *best = NULL;

	while (*at && *at != v)
		at = &(*at)->next;
	if (*at)
		*at = v->next;
	if (i->owner != v)
		return;
	i->owner = NULL;
	for (v = i->views; v; v = v->next)
		if (!v->read_only && (!best || v->last_input > best->last_input))
			best = v;
	if (best) {
		i->owner = best;
		inst_resize(i, best->rows, best->cols);
	}
}

void inst_follow_add(struct inst *i, struct follow *f)
{
	follow_link(&i->follows, f);
}

void inst_follow_remove(struct inst *i, struct follow *f)
{
	follow_unlink(&i->follows, f);
}
