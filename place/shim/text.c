/* SPDX-License-Identifier: ISC */
/*
 * Characters onto the cells: wrapping, wide characters, combining marks, insert mode, the line drawing
 * set.
 *
 * A mark joins the character to the left of the cursor (the one in the last column while a wrap is
 * pending), wherever that came from, and so does whatever follows a zero width joiner: as tmux does it,
 * because that is where most views are.
 */
#include "place/shim/screen_int.h"

#include <string.h>

#include "base/util.h"

#define ZWJ 0x200d

/* DEC special graphics, for 0x60 to 0x7e: VT100 user guide, table 3-9. */
static const uint16_t line_drawing[] = {0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0xb0, 0xb1,
	0x2424, 0x240b, 0x2518, 0x2510, 0x250c, 0x2514, 0x253c, 0x23ba, 0x23bb, 0x2500, 0x23bc, 0x23bd,
	0x251c, 0x2524, 0x2534, 0x252c, 0x2502, 0x2264, 0x2265, 0x3c0, 0x2260, 0xa3, 0xb7};

static bool draws_lines(const struct screen *s)
{
	return s->modes.charset[s->modes.shift] == '0';
}

/* A row as it leaves the screen for good. */
static void tell_line(struct screen *s, int row)
{
	buf_clear(&s->line); /* kept: a flood has many lines */
	screen_row_text(s, row, &s->line);
	s->told = row;
	s->ops.line(s->arg, s->line.len ? (const char *)buf_data(&s->line) : "", s->line.len);
}

static void tell_row(struct screen *s, int row)
{
	struct screen_cell *cells;
	int col, cols = s->cols;

	while (cols > 0) {
		struct cell c = cells_get(s->g, row, cols - 1);

		if (cell_is_text(&c) && (c.ch != ' ' || c.flags & CELL_SHAPE))
			break;
		cols--;
	}
	cells = xcalloc((size_t)cols + 1, sizeof(*cells));
	for (col = 0; col < cols; col++)
		screen_cell_on(s, false, row, col, &cells[col]);
	s->ops.row(s->arg, cells, cols);
	free(cells);
}

void text_scroll(struct screen *s, int top, int bottom, int n, uint32_t bg)
{
	int i;

	if (s->catching && top == 0 && n > 0 && !s->modes.alternate)
		for (i = 0; i < n && i < bottom; i++) {
			if (s->ops.line)
				tell_line(s, i);
			if (s->ops.row)
				tell_row(s, i);
		}
	cells_scroll(s->g, top, bottom, n, bg);
}

void text_linefeed(struct screen *s, uint32_t bg)
{
	int top = s->modes.top, bottom = s->modes.bottom ? s->modes.bottom : s->rows;

	if (s->cur.row == bottom - 1)
		text_scroll(s, top, bottom, 1, bg);
	else if (s->cur.row < s->rows - 1)
		s->cur.row++;
	s->cur.wrap = false;
}

/* The new row is plain, whatever the pen is: as tmux, not as xterm. */
static void wrap(struct screen *s)
{
	cells_row(s->g, s->cur.row)->wrapped = true;
	text_linefeed(s, 0);
	s->cur.col = 0;
}

/* The cursor after a character that ended before column `end`. */
static void advance(struct screen *s, int end)
{
	if (end >= s->cols)
		cells_row(s->g, s->cur.row)->wrapped = false;
	s->cur.wrap = end >= s->cols && modes_is_set(&s->modes, MODE_AUTOWRAP);
	s->cur.col = end >= s->cols ? s->cols - 1 : end;
}

/* The cell that a mark joins; NULL at the left edge. */
static struct cell *joined_cell(struct screen *s)
{
	int col = s->cur.wrap ? s->cur.col : s->cur.col - 1;
	struct row *r = cells_row(s->g, s->cur.row);

	if (col < 0)
		return NULL;
	if (col >= r->used)
		cells_open(s->g, s->cur.row, col, col + 1);
	/* A tail's character stands before it. */
	return r->cell[col].flags & CELL_TAIL && col > 0 ? &r->cell[col - 1] : &r->cell[col];
}

static bool ends_with_joiner(const struct screen *s)
{
	int col = s->cur.wrap ? s->cur.col : s->cur.col - 1;
	struct cell c;
	uint32_t chars[SCREEN_CELL_CHARS];
	size_t n;

	if (col < 0)
		return false;
	c = cells_get(s->g, s->cur.row, col);
	if (col > 0 && c.flags & CELL_TAIL)
		c = cells_get(s->g, s->cur.row, col - 1);
	if (!(c.flags & CELL_CLUSTER))
		return false;
	n = cluster_get(s, &c, chars);
	return chars[n - 1] == ZWJ;
}

static void put_char(struct screen *s, uint32_t ch)
{
	int width = char_width(ch);
	struct cell *c;

	if (width == 0 || (ch >= 0x300 && ends_with_joiner(s))) {
		c = joined_cell(s);
		if (c)
			cluster_add(s, c, ch);
		return;
	}
	if (!modes_is_set(&s->modes, MODE_AUTOWRAP) && s->cur.col > s->cols - width)
		return;
	if (s->cur.wrap || s->cur.col > s->cols - width)
		wrap(s);
	if (s->modes.insert)
		cells_shift(s->g, s->cur.row, s->cur.col, width, 0);
	c = cells_open(s->g, s->cur.row, s->cur.col, s->cur.col + width) + s->cur.col;
	c[0] = s->pen;
	c[0].ch = ch;
	if (width == 2) {
		c[0].flags |= CELL_WIDE;
		c[1] = s->pen;
		c[1].flags |= CELL_TAIL;
	}
	advance(s, s->cur.col + width);
}

/* A run of ASCII, a row's part at a time. */
static void put_ascii(struct screen *s, const unsigned char *p, int len)
{
	struct cell cell = s->pen, *c;
	int n, i;

	while (len > 0) {
		if (s->cur.wrap)
			wrap(s);
		n = s->cols - s->cur.col < len ? s->cols - s->cur.col : len;
		c = cells_open(s->g, s->cur.row, s->cur.col, s->cur.col + n) + s->cur.col;
		for (i = 0; i < n; i++) {
			cell.ch = p[i];
			c[i] = cell;
		}
		p += n;
		len -= n;
		advance(s, s->cur.col + n);
		if (len > 0 && !s->cur.wrap) {
			c[n - 1].ch = p[len - 1]; /* no wrapping: all the rest falls on the last column */
			return;
		}
	}
}

static size_t decode(const unsigned char *p, uint32_t *ret)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4, i;
	uint32_t c = n == 1 ? p[0] : (uint32_t)(p[0] & (0xff >> (n + 1)));

	for (i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	*ret = c;
	return n;
}

/* p: valid UTF-8 without controls, as scan.c hands it on. */
void text_put(struct screen *s, const unsigned char *p, size_t len)
{
	const unsigned char *end = p + len, *last = end;
	bool plain = !draws_lines(s) && !s->modes.insert;
	uint32_t c;

	while (last > p && (*--last & 0xc0) == 0x80)
		;
	for (s->last_len = 0; last < end; last++)
		s->last[s->last_len++] = *last;
	while (p < end) {
		const unsigned char *run = p;

		while (plain && run < end && *run < 0x80)
			run++;
		if (run > p) {
			put_ascii(s, p, (int)(run - p));
			p = run;
			continue;
		}
		p += decode(p, &c);
		if (c >= 0x60 && c < 0x7f && draws_lines(s))
			c = line_drawing[c - 0x60];
		put_char(s, c);
	}
	s->generation++;
}
