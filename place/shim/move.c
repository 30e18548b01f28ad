/* SPDX-License-Identifier: ISC */
/* The cursor: where functions send it, tab stops, what is saved, and which of the screens it is on. */
#include "place/shim/screen_int.h"

#include <string.h>

#include "base/util.h"

#define TAB_WIDTH 8

static int region_top(const struct screen *s)
{
	return s->modes.top;
}

static int region_bottom(const struct screen *s)
{
	return s->modes.bottom ? s->modes.bottom : s->rows;
}

static int clamp(int v, int low, int high)
{
	return v < low ? low : v > high ? high : v;
}

void move_to(struct screen *s, int row, int col)
{
	s->cur.row = clamp(row, 0, s->rows - 1);
	s->cur.col = clamp(col, 0, s->cols - 1);
	s->cur.wrap = false;
}

/* Rows count from the region's top, and end with it, in origin mode. */
static void move_origin(struct screen *s, int row, int col)
{
	if (modes_is_set(&s->modes, MODE_ORIGIN))
		row = clamp(row, 0, region_bottom(s) - region_top(s) - 1) + region_top(s);
	move_to(s, row, col);
}

/* Up and down end at the region's edge for a cursor that is not already beyond it. */
static void move_rows(struct screen *s, int n, int col)
{
	int row = s->cur.row, low = row < region_top(s) ? 0 : region_top(s);
	int high = row < region_bottom(s) ? region_bottom(s) - 1 : s->rows - 1;

	move_to(s, clamp(row + n, low, high), col);
}

/* --- tab stops --- */

static bool tab_at(const struct screen *s, int col)
{
	return (s->tabs[col / 8] >> (col % 8) & 1) != 0;
}

static void tab_put(struct screen *s, int col, bool on)
{
	if (on)
		s->tabs[col / 8] |= (unsigned char)(1 << (col % 8));
	else
		s->tabs[col / 8] &= (unsigned char)~(1 << (col % 8));
}

void tabs_reset(struct screen *s, int from)
{
	int col;

	for (col = from; col < SCREEN_COLS_MAX; col++)
		tab_put(s, col, col > 0 && col % TAB_WIDTH == 0);
}

bool screen_tabs(const struct screen *s, int col)
{
	return tab_at(s, col);
}

bool screen_tabs_used(const struct screen *s)
{
	return s->tabs_used;
}

/* n stops on (back when negative). A pending wrap stays, as in xterm: the column does. */
void move_tab(struct screen *s, int n)
{
	int col = s->cur.col, step = n < 0 ? -1 : 1;

	for (n = n < 0 ? -n : n; n > 0 && (step < 0 ? col > 0 : col < s->cols - 1); n--)
		do
			col += step;
		while (col > 0 && col < s->cols - 1 && !tab_at(s, col));
	if (col != s->cur.col)
		move_to(s, s->cur.row, col);
}

static void clear_tabs(struct screen *s, int what)
{
	s->tabs_used = true;
	if (what == 0)
		tab_put(s, s->cur.col, false);
	else if (what == 3)
		memset(s->tabs, 0, sizeof(s->tabs));
}

void move_set_tab(struct screen *s)
{
	s->tabs_used = true;
	tab_put(s, s->cur.col, true);
}

/* --- control functions --- */

bool move_csi(struct screen *s, const struct scan_token *t)
{
	int n = scan_param(t, 0, 1), m = scan_param(t, 1, 1);
	int row = s->cur.row, col = s->cur.col;
	bool origin = modes_is_set(&s->modes, MODE_ORIGIN);

	n = n < 1 ? 1 : n;
	m = m < 1 ? 1 : m;
	switch (t->final) {
	case 'A':
		move_rows(s, -n, col);
		return true;
	case 'B':
	case 'e':
		move_rows(s, n, col);
		return true;
	case 'C':
	case 'a':
		move_to(s, row, col + n);
		return true;
	case 'D':
		move_to(s, row, col - n);
		return true;
	case 'E':
		move_rows(s, n, 0);
		return true;
	case 'F':
		move_rows(s, -n, 0);
		return true;
	case 'G':
	case '`':
		move_to(s, row, n - 1);
		return true;
	case 'H':
	case 'f':
		move_origin(s, n - 1, m - 1);
		return true;
	case 'd':
		move_origin(s, n - 1, col);
		return true;
	case 'I':
		move_tab(s, n);
		return true;
	case 'Z':
		move_tab(s, -n);
		return true;
	case 'g':
		clear_tabs(s, scan_param(t, 0, 0));
		return true;
	case 'r':
		if (modes_region(t, s->rows, &n, &m))
			move_to(s, origin ? s->modes.top : 0, 0);
		return true;
	default:
		return false;
	}
}

/* --- saving --- */

void move_save(struct screen *s)
{
	struct saved_cursor *c = &s->saved[s->modes.alternate];

	*c = (struct saved_cursor){.valid = true, .at = s->cur, .pen = s->pen, .shift = s->modes.shift,
		.origin = modes_is_set(&s->modes, MODE_ORIGIN)};
	memcpy(c->charset, s->modes.charset, sizeof(c->charset));
}

/* What was never saved is the home position, plain. */
void move_restore(struct screen *s)
{
	static const struct saved_cursor none = {.charset = {'B', 'B', 'B', 'B'}};
	const struct saved_cursor *c = &s->saved[s->modes.alternate];
	struct cell last;
	int row;

	c = c->valid ? c : &none;
	row = c->origin ? clamp(c->at.row, region_top(s), region_bottom(s) - 1) : c->at.row;
	move_to(s, row, c->at.col);
	last = cells_get(s->g, s->cur.row, s->cols - 1);
	s->cur.wrap = c->at.wrap && c->at.col == s->cols - 1 && cell_is_text(&last);
	if (s->cur.wrap)
		cells_row(s->g, s->cur.row)->wrapped = false; /* not yet again */
	s->pen = c->pen;
	s->modes.set = (s->modes.set & ~(1u << MODE_ORIGIN)) | (c->origin ? 1u << MODE_ORIGIN : 0);
	s->modes.shift = c->shift;
	memcpy(s->modes.charset, c->charset, sizeof(c->charset));
}

/* 47, 1047 and 1049 differ in whether the cursor is saved. The alternate screen is blank whenever it
 * comes: xterm keeps what it held for 47, tmux does not. */
void move_screen(struct screen *s, int number, bool on)
{
	bool was = s->modes.alternate;

	if (on && !was) {
		if (number == 1049)
			move_save(s);
		cells_init(&s->grid[1], s->rows, s->cols);
		s->g = &s->grid[1];
	} else if (!on && was) {
		cells_finish(&s->grid[1]);
		s->g = &s->grid[0];
	}
	s->modes.alternate = on;
	if (on && !was)
		memset(&s->saved[1], 0, sizeof(s->saved[1]));
	if (!on && number == 1049)
		move_restore(s);
}
