/* SPDX-License-Identifier: ISC */
/* Looking at a screen: its cells as others see them, its text. */
#include "place/shim/screen_int.h"

#include <string.h>

#include "base/util.h"

void screen_size(const struct screen *s, int *rows, int *cols)
{
	*rows = s->rows;
	*cols = s->cols;
}

void screen_cursor(const struct screen *s, int *row, int *col)
{
	*row = s->cur.row;
	*col = s->cur.col;
}

bool screen_wrap_pending(const struct screen *s)
{
	return s->cur.wrap;
}

const struct modes *screen_modes(const struct screen *s)
{
	return &s->modes;
}

const struct marks *screen_marks(const struct screen *s)
{
	return &s->marks;
}

uint64_t screen_generation(const struct screen *s)
{
	return s->generation;
}

static struct screen_color color_of(uint32_t c)
{
	struct screen_color ret;

	memset(&ret, 0, sizeof(ret)); /* compared as bytes */
	ret.kind = COLOR_DEFAULT;
	if (c & CELL_INDEX) {
		ret.kind = COLOR_INDEX;
		ret.r = (uint8_t)c;
	} else if (c & CELL_RGB) {
		ret.kind = COLOR_RGB;
		ret.r = (uint8_t)(c >> 16);
		ret.g = (uint8_t)(c >> 8);
		ret.b = (uint8_t)c;
	}
	return ret;
}

static void attr_of(const struct cell *c, struct screen_attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->flags = (uint8_t)c->flags;
	ret->underline = (uint8_t)((c->flags & CELL_UNDERLINE) >> CELL_UNDERLINE_SHIFT);
	ret->fg = color_of(c->fg);
	ret->bg = color_of(c->bg);
	ret->us = color_of(c->us);
	ret->link = c->link;
}

void screen_cell_on(const struct screen *s, bool alternate, int row, int col, struct screen_cell *ret)
{
	const struct cells *g = &s->grid[alternate ? 1 : 0];
	struct cell c = cell_blank;

	if (row >= 0 && row < g->rows && col >= 0 && col < g->cols)
		c = cells_get(g, row, col);
	memset(ret, 0, sizeof(*ret));
	cluster_get(s, &c, ret->chars);
	ret->width = c.flags & CELL_WIDE ? 2 : c.flags & CELL_TAIL ? 0 : 1;
	attr_of(&c, &ret->attr);
}

void screen_cell(const struct screen *s, int row, int col, struct screen_cell *ret)
{
	screen_cell_on(s, s->modes.alternate, row, col, ret);
}

bool screen_row_wrapped(const struct screen *s, bool alternate, int row)
{
	const struct cells *g = &s->grid[alternate ? 1 : 0];
	struct cell last, next;

	if (row < 0 || row + 1 >= g->rows || !cells_row(g, row)->wrapped)
		return false;
	last = cells_get(g, row, g->cols - 1);
	next = cells_get(g, row + 1, 0);
	return cell_is_text(&next) && (cell_is_text(&last) || next.flags & CELL_WIDE);
}

bool screen_row_goes_on(const struct screen *s, bool alternate, int row, int *ret_blanks)
{
	const struct cells *g = &s->grid[alternate ? 1 : 0];
	int col;

	row = row < 0 ? s->told : row;
	*ret_blanks = 0;
	if (!screen_row_wrapped(s, alternate, row))
		return false;
	for (col = g->cols - 1; col >= 0; col--) {
		struct cell c = cells_get(g, row, col);

		if (cell_is_text(&c) && c.ch == ' ')
			++*ret_blanks;
		else if (cell_is_text(&c) || col < g->cols - 1)
			break;
	}
	return true;
}

void screen_pen(const struct screen *s, struct screen_attr *ret)
{
	attr_of(&s->pen, ret);
}

bool screen_links_used(const struct screen *s)
{
	return s->links.used;
}

const char *screen_link(const struct screen *s, unsigned number)
{
	return number < LINKS_MAX ? s->links.text[number] : NULL;
}

bool screen_saved(const struct screen *s, bool alternate, struct screen_saved *ret)
{
	const struct saved_cursor *c = &s->saved[alternate ? 1 : 0];
	struct cell last;

	if (!c->valid)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->row = c->at.row < s->rows ? c->at.row : s->rows - 1;
	ret->col = c->at.col < s->cols ? c->at.col : s->cols - 1;
	ret->origin = c->origin;
	if (c->origin && s->modes.bottom)
		ret->row = ret->row < s->modes.top ? s->modes.top :
			ret->row >= s->modes.bottom ? s->modes.bottom - 1 : ret->row;
	last = cells_get(&s->grid[alternate ? 1 : 0], ret->row, s->cols - 1);
	ret->wrap = c->at.wrap && c->at.col == s->cols - 1 && cell_is_text(&last);
	ret->shift = c->shift;
	memcpy(ret->charset, c->charset, sizeof(ret->charset));
	attr_of(&c->pen, &ret->pen);
	return true;
}

/* A row's text up to its last character; padded: blanks that were written count as such. */
static int row_text(const struct screen *s, int row, bool padded, struct buf *out)
{
	const struct row *r = cells_row(s->g, row);
	int col, used = r->used, rc = 0;
	uint32_t chars[SCREEN_CELL_CHARS];
	char utf8[SCREEN_CELL_UTF8_MAX];

	while (used > 0 && (r->cell[used - 1].ch == 0 || (r->cell[used - 1].ch == ' ' && !padded)) &&
		!(r->cell[used - 1].flags & CELL_SHAPE))
		used--;
	for (col = 0; col < used; col++) {
		const struct cell *c = &r->cell[col];
		size_t n, i, len = 0;

		if (c->flags & CELL_TAIL)
			continue;
		n = cluster_get(s, c, chars);
		for (i = 0; i < n; i++)
			len += screen_utf8(chars[i], utf8 + len);
		rc |= buf_append(out, len ? utf8 : " ", len ? len : 1);
	}
	return rc ? -1 : 0;
}

int screen_row_text(const struct screen *s, int row, struct buf *out)
{
	return row_text(s, row, false, out);
}

int screen_text(const struct screen *s, struct buf *out)
{
	int row, rc = 0;
	size_t end = out->len;

	for (row = 0; row < s->rows; row++) {
		size_t before = out->len;

		rc |= screen_row_text(s, row, out);
		if (out->len > before)
			end = out->len + 1;
		rc |= buf_append(out, "\n", 1);
	}
	if (out->len > end)
		out->len = end;
	return rc ? -1 : 0;
}

/* Appends all rows as one text; a full line runs on in the next. */
static void all_text(const struct screen *s, bool padded, struct buf *all)
{
	int row;

	for (row = 0; row < s->rows; row++) {
		struct cell last = cells_get(s->g, row, s->cols - 1);

		row_text(s, row, padded, all);
		if (!cells_row(s->g, row)->wrapped && last.ch == 0 && !(last.flags & CELL_SHAPE))
			buf_append(all, "\n", 1);
	}
}

bool screen_contains(const struct screen *s, const char *text)
{
	bool found = false;
	int padded;

	for (padded = 0; padded <= 1 && !found; padded++) {
		struct buf all;

		buf_init(&all, (size_t)s->rows * ((size_t)s->cols * SCREEN_CELL_UTF8_MAX + 1));
		all_text(s, padded, &all);
		found = all.len && memmem(buf_data(&all), all.len, text, strlen(text)) != NULL;
		buf_finish(&all);
	}
	return found;
}
