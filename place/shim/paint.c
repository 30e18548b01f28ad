/* SPDX-License-Identifier: ISC */
/* Sequences that paint a screen anew: for a view that comes, for one that fell behind, for snapshots. */
#include "place/shim/paint.h"

#include <string.h>

#include "base/util.h"

#define HASH_SEED 0xcbf29ce484222325ull
#define HASH_PRIME 0x100000001b3ull

/* Brings any terminal to where painting can begin: no attributes, plain charset, whole region. */
#define BEGIN "\033[?25l\033[0m\033(B\033)B\017\033[4l\033[?6l\033[r\033[?7l"

static const struct screen_attr plain_attr;

static bool attr_equal(const struct screen_attr *a, const struct screen_attr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static int put_color(struct buf *out, const struct screen_color *c, int base)
{
	if (c->kind == COLOR_RGB)
		return buf_printf(out, ";%d;2;%d;%d;%d", base + 8, c->r, c->g, c->b);
	if (c->kind == COLOR_DEFAULT)
		return 0;
	if (c->r < 8)
		return buf_printf(out, ";%d", base + c->r);
	if (c->r < 16)
		return buf_printf(out, ";%d", base + 60 + c->r - 8);
	return buf_printf(out, ";%d;5;%d", base + 8, c->r);
}

static int put_attr(struct buf *out, const struct screen_attr *a)
{
	static const struct {
		uint8_t flag, sgr;
	} table[] = {{ATTR_BOLD, 1}, {ATTR_DIM, 2}, {ATTR_ITALIC, 3}, {ATTR_BLINK, 5},
		{ATTR_REVERSE, 7}, {ATTR_CONCEAL, 8}, {ATTR_STRIKE, 9}, {ATTR_OVERLINE, 53}};
	int rc = buf_printf(out, "\033[0");
	size_t i;

	for (i = 0; i < ARRAY_LEN(table); i++)
		if (a->flags & table[i].flag)
			rc |= buf_printf(out, ";%d", table[i].sgr);
	if (a->underline == 3)
		rc |= buf_printf(out, ";4:3");
	else if (a->underline)
		rc |= buf_printf(out, ";%d", a->underline == 2 ? 21 : 4);
	rc |= put_color(out, &a->fg, 30);
	rc |= put_color(out, &a->bg, 40);
	return rc | buf_append(out, "m", 1);
}

struct painter {
	const struct screen *s;
	struct buf *out;
	struct screen_attr attr; /* as switched on in the output */
	int rc;
};

static void set_attr(struct painter *p, const struct screen_attr *a)
{
	if (attr_equal(&p->attr, a))
		return;
	p->rc |= put_attr(p->out, a);
	p->attr = *a;
}

static void put_cell(struct painter *p, const struct screen_cell *c)
{
	char utf8[SCREEN_CELL_UTF8_MAX];
	size_t len = c->width ? screen_cell_utf8(c, utf8) : 0;

	set_attr(p, &c->attr);
	if (len == 0)
		p->rc |= buf_append(p->out, " ", 1);
	else
		p->rc |= buf_append(p->out, utf8, len);
}

/* Paints columns [left, left + cols) of a row where the output's row `at` begins, clearing it. */
static void put_row(struct painter *p, int row, int left, int cols, int at)
{
	struct screen_cell c;
	int col, skipped = 0;

	set_attr(p, &plain_attr);
	p->rc |= buf_printf(p->out, "\033[%d;1H\033[2K", at + 1);
	for (col = left; col < left + cols; col++) {
		screen_cell(p->s, row, col, &c);
		if (c.width == 1 && c.chars[0] == 0 && attr_equal(&c.attr, &plain_attr)) {
			skipped++;
			continue;
		}
		if (skipped > 0)
			p->rc |= buf_printf(p->out, "\033[%dC", skipped);
		skipped = 0;
		if (c.width == 2 && col + 1 == left + cols)
			memset(c.chars, 0, sizeof(c.chars)), c.width = 1; /* cut in half */
		put_cell(p, &c);
		if (c.width == 2)
			col++;
	}
}

static void put_rows(struct painter *p)
{
	int rows, cols, row;

	screen_size(p->s, &rows, &cols);
	memset(&p->attr, 0xff, sizeof(p->attr));
	for (row = 0; row < rows; row++)
		put_row(p, row, 0, cols, row);
}

int paint_begin(struct buf *out)
{
	return buf_printf(out, "\033[?1049l" BEGIN) ? -1 : 0;
}

int paint_line(const struct screen_cell *cells, int cols, struct buf *out)
{
	struct painter p = {.out = out};

	for (int i = 0; i < cols; i++)
		if (cells[i].width > 0)
			put_cell(&p, &cells[i]);
	set_attr(&p, &plain_attr);
	return p.rc ? -1 : 0;
}

int paint_primary(const struct screen *s, struct buf *out)
{
	struct painter p = {.s = s, .out = out};
	struct screen_attr pen;
	int row, col;

	put_rows(&p);
	screen_cursor(s, &row, &col);
	screen_pen(s, &pen);
	set_attr(&p, &pen);
	p.rc |= buf_printf(out, "\033[%d;%dH", row + 1, col + 1);
	return p.rc ? -1 : 0;
}

/* The cursor, with the wrap that may be pending: only printing in the last column brings that about. */
static void put_cursor(struct painter *p, const struct modes *m)
{
	bool origin = modes_is_set(m, MODE_ORIGIN), wrap = modes_is_set(m, MODE_AUTOWRAP);
	struct screen_cell c;
	int row, col;

	screen_cursor(p->s, &row, &col);
	if (origin)
		p->rc |= buf_printf(p->out, "\033[?6h");
	if (wrap)
		p->rc |= buf_printf(p->out, "\033[?7h");
	p->rc |= buf_printf(p->out, "\033[%d;%dH", row + 1 - (origin ? m->top : 0), col + 1);
	screen_cell(p->s, row, col, &c);
	if (screen_wrap_pending(p->s) && c.chars[0])
		put_cell(p, &c);
}

static void put_state(struct painter *p)
{
	const struct modes *m = screen_modes(p->s);
	struct screen_attr pen;
	int row, col;

	p->rc |= modes_paint(m, p->out);
	if (m->title[0])
		p->rc |= buf_printf(p->out, "\033]2;%s\a", m->title);
	if (screen_saved(p->s, &row, &col, &pen)) {
		set_attr(p, &pen);
		p->rc |= buf_printf(p->out, "\033[%d;%dH\0337", row + 1, col + 1);
	}
	if (m->bottom)
		p->rc |= buf_printf(p->out, "\033[%d;%dr", m->top + 1, m->bottom);
	put_cursor(p, m);
	screen_pen(p->s, &pen);
	set_attr(p, &pen);
	if (m->insert)
		p->rc |= buf_printf(p->out, "\033[4h");
	if (m->charset[0] != 'B')
		p->rc |= buf_printf(p->out, "\033(%c", m->charset[0]);
	if (m->charset[1] != 'B')
		p->rc |= buf_printf(p->out, "\033)%c", m->charset[1]);
	if (m->shift)
		p->rc |= buf_append(p->out, "\016", 1);
	if (modes_is_set(m, MODE_CURSOR_VISIBLE))
		p->rc |= buf_printf(p->out, "\033[?25h");
}

int paint_full(const struct screen *s, struct buf *out)
{
	struct painter p = {.s = s, .out = out};
	const struct buf *primary = screen_primary(s);

	p.rc |= buf_printf(out, "\033[?1049l" BEGIN);
	if (screen_modes(s)->alternate) {
		p.rc |= buf_append(out, primary->len ? buf_data(primary) : (const void *)"\033[2J",
			primary->len ? primary->len : 4);
		p.rc |= buf_printf(out, "\033[?1049h" BEGIN);
	}
	put_rows(&p);
	put_state(&p);
	return p.rc ? -1 : 0;
}

void paint_clip_size(struct paint_clip *c, int rows, int cols)
{
	c->rows = rows < 1 ? 1 : rows > SCREEN_ROWS_MAX ? SCREEN_ROWS_MAX : rows;
	c->cols = cols < 1 ? 1 : cols > SCREEN_COLS_MAX ? SCREEN_COLS_MAX : cols;
	c->top = c->left = 0;
	c->begun = false;
	c->hash = xrealloc(c->hash, (size_t)c->rows * sizeof(*c->hash));
}

void paint_clip_finish(struct paint_clip *c)
{
	free(c->hash);
	c->hash = NULL;
}

static uint64_t hash_row(const struct screen *s, int row, int left, int cols)
{
	uint64_t h = HASH_SEED;
	struct screen_cell c;
	int col;

	for (col = left; col < left + cols; col++) {
		const unsigned char *b = (const unsigned char *)&c;
		size_t i;

		screen_cell(s, row, col, &c);
		for (i = 0; i < sizeof(c); i++)
			h = (h ^ b[i]) * HASH_PRIME;
	}
	return h;
}

/* Moves the window so that the cursor is in it, no more than that needs. */
static void follow_cursor(const struct screen *s, struct paint_clip *c)
{
	int rows, cols, row, col;

	screen_size(s, &rows, &cols);
	screen_cursor(s, &row, &col);
	if (row < c->top)
		c->top = row;
	else if (row >= c->top + c->rows)
		c->top = row - c->rows + 1;
	if (c->top > 0 && c->top + c->rows > rows)
		c->top = rows > c->rows ? rows - c->rows : 0;
	if (col < c->left)
		c->left = col;
	else if (col >= c->left + c->cols)
		c->left = col - c->cols + 1;
	if (c->left > 0 && c->left + c->cols > cols)
		c->left = cols > c->cols ? cols - c->cols : 0;
}

int paint_clipped(const struct screen *s, struct paint_clip *c, struct buf *out)
{
	struct painter p = {.s = s, .out = out};
	const struct modes *m = screen_modes(s);
	int i, row, col;

	follow_cursor(s, c);
	if (!c->begun || c->modes.alternate != m->alternate) {
		p.rc |= buf_printf(out, "\033[?1049%c" BEGIN "\033[2J", m->alternate ? 'h' : 'l');
		memset(c->hash, 0, (size_t)c->rows * sizeof(*c->hash));
	}
	p.rc |= buf_printf(out, "\033[?25l");
	memset(&p.attr, 0xff, sizeof(p.attr));
	for (i = 0; i < c->rows; i++) {
		uint64_t h = hash_row(s, c->top + i, c->left, c->cols);

		if (h != c->hash[i])
			put_row(&p, c->top + i, c->left, c->cols, i);
		c->hash[i] = h;
	}
	if (!c->begun || memcmp(&c->modes, m, sizeof(*m)) != 0) {
		p.rc |= modes_paint(m, out);
		if (m->title[0])
			p.rc |= buf_printf(out, "\033]2;%s\a", m->title);
	}
	c->modes = *m;
	c->begun = p.rc == 0;
	screen_cursor(s, &row, &col);
	p.rc |= buf_printf(out, "\033[%d;%dH", row - c->top + 1, col - c->left + 1);
	if (modes_is_set(m, MODE_CURSOR_VISIBLE))
		p.rc |= buf_printf(out, "\033[?25h");
	return p.rc ? -1 : 0;
}
