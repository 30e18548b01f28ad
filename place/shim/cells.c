/* SPDX-License-Identifier: ISC */
/* The cells of one screen. */
#include "place/shim/cells.h"

#include <string.h>

#include "base/util.h"
#include "place/shim/screen.h"

const struct cell cell_blank;

void cells_init(struct cells *g, int rows, int cols)
{
	int i;

	*g = (struct cells){.rows = rows, .cols = cols};
	g->ring = xcalloc((size_t)rows, sizeof(*g->ring));
	g->mem = xcalloc((size_t)rows * (size_t)cols, sizeof(*g->mem));
	for (i = 0; i < rows; i++)
		g->ring[i].cell = g->mem + (size_t)i * (size_t)cols;
}

void cells_finish(struct cells *g)
{
	free(g->ring);
	free(g->mem);
	*g = (struct cells){.rows = 0};
}

/* Makes cells up to `to` real ones. */
static void use(struct row *r, int to)
{
	for (; r->used < to; r->used++)
		r->cell[r->used] = (struct cell){.bg = r->rest};
}

/* One half of a wide character that lost the other: nothing is left of it, as in tmux. */
static void blank_half(struct cell *c)
{
	*c = cell_blank;
}

struct cell *cells_open(struct cells *g, int row, int from, int to)
{
	struct row *r = cells_row(g, row);

	if (from < r->used) {
		if (from > 0 && r->cell[from].flags & CELL_TAIL)
			blank_half(&r->cell[from - 1]);
		if (to < r->used && r->cell[to].flags & CELL_TAIL)
			blank_half(&r->cell[to]);
	}
	use(r, to);
	return r->cell;
}

void cells_erase(struct cells *g, int row, int from, int to, uint32_t bg)
{
	struct row *r = cells_row(g, row);
	const struct cell blank = {.bg = bg};
	struct cell *c;
	int i;

	if (from >= to)
		return;
	if (to == g->cols)
		r->wrapped = false;
	if (from >= r->used && bg == r->rest)
		return;
	if (to == g->cols || (to >= r->used && bg == r->rest)) {
		cells_open(g, row, from, from < r->used ? r->used : from);
		r->used = from;
		r->rest = bg;
		return;
	}
	c = cells_open(g, row, from, to);
	for (i = from; i < to; i++)
		c[i] = blank;
}

/* The first n of [top, bottom) become the last. */
static void rotate(struct cells *g, int top, int bottom, int n)
{
	struct row keep[SCREEN_ROWS_MAX];
	int height = bottom - top, at = g->first + top, i;

	at = at < g->rows ? at : at - g->rows;
	if (at + height <= g->rows) {
		struct row *r = g->ring + at;

		memcpy(keep, r, (size_t)n * sizeof(*r));
		memmove(r, r + n, (size_t)(height - n) * sizeof(*r));
		memcpy(r + height - n, keep, (size_t)n * sizeof(*r));
		return;
	}
	for (i = 0; i < height; i++)
		keep[i] = *cells_row(g, top + (i + n) % height);
	for (i = 0; i < height; i++)
		*cells_row(g, top + i) = keep[i];
}

void cells_scroll(struct cells *g, int top, int bottom, int n, uint32_t bg)
{
	int height = bottom - top, i;
	bool down = n < 0;

	if (height <= 0 || n == 0)
		return;
	n = down ? -n : n;
	n = n > height ? height : n;
	if (height == g->rows)
		g->first = (g->first + (down ? height - n : n)) % g->rows;
	else if (n < height)
		rotate(g, top, bottom, down ? height - n : n);
	for (i = 0; i < n; i++)
		cells_erase(g, down ? top + i : bottom - 1 - i, 0, g->cols, bg);
}

void cells_shift(struct cells *g, int row, int from, int n, uint32_t bg)
{
	int room = g->cols - from;
	struct cell *c;

	if (room <= 0 || n == 0)
		return;
	if (n >= room || -n >= room) {
		cells_erase(g, row, from, g->cols, bg);
		return;
	}
	if (n < 0) {
		c = cells_open(g, row, from, from - n);
		use(cells_row(g, row), g->cols);
		memmove(c + from, c + from - n, (size_t)(room + n) * sizeof(*c));
		memset(c + g->cols + n, 0, (size_t)-n * sizeof(*c));
		cells_erase(g, row, g->cols + n, g->cols, bg);
		return;
	}
	/* What is pushed out must not leave a half, neither here nor at the edge. */
	cells_open(g, row, from, from);
	c = cells_open(g, row, g->cols - n, g->cols);
	memmove(c + from + n, c + from, (size_t)(room - n) * sizeof(*c));
	memset(c + from, 0, (size_t)n * sizeof(*c));
	cells_erase(g, row, from, from + n, bg);
}

void cells_resize(struct cells *g, int rows, int cols, int cut_top)
{
	struct cells n;
	int i, used;

	cells_init(&n, rows, cols);
	for (i = 0; i < rows && i + cut_top < g->rows; i++) {
		const struct row *from = cells_row(g, i + cut_top);
		struct row *to = &n.ring[i];

		used = from->used < cols ? from->used : cols;
		memcpy(to->cell, from->cell, (size_t)used * sizeof(*to->cell));
		to->used = used;
		to->rest = from->rest;
		to->wrapped = from->wrapped && cols == g->cols;
		if (used > 0 && to->cell[used - 1].flags & CELL_WIDE)
			blank_half(&to->cell[used - 1]);
	}
	cells_finish(g);
	*g = n;
}
