/* SPDX-License-Identifier: ISC */
/* Sequences that paint a screen anew: for a view that comes, for one that fell behind, for snapshots. */
#include "place/shim/paint.h"

#include <string.h>

#include "base/util.h"
#include "place/shim/sgr.h"

#define HASH_SEED 0xcbf29ce484222325ull
#define HASH_PRIME 0x100000001b3ull

/* Brings any terminal to where painting can begin: no attributes, plain charset, whole region. With
 * wrapping, so that marks in the last column join what was printed there. */
#define BEGIN "\033[?25l\033[0m\033(B\033)B\017\033[4l\033[?6l\033[r\033[?7h"

static const struct screen_attr plain_attr;

struct painter {
	const struct screen *s;
	struct buf *out;
	bool alternate;          /* whose cells are painted */
	struct screen_attr attr; /* as switched on in the output */
	int rc;
};

static bool attr_equal(const struct screen_attr *a, const struct screen_attr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Nothing is known of the output's attributes. */
static void forget_attr(struct painter *p)
{
	memset(&p->attr, 0xff, sizeof(p->attr));
}

static void set_link(struct painter *p, uint16_t link)
{
	const char *text;

	if (!p->s || p->attr.link == link || !screen_links_used(p->s))
		return;
	text = screen_link(p->s, link);
	p->rc |= buf_printf(p->out, "\033]8;%s\033\\", text ? text : ";");
}

static void set_attr(struct painter *p, const struct screen_attr *a)
{
	if (attr_equal(&p->attr, a))
		return;
	set_link(p, a->link);
	p->rc |= buf_append(p->out, "\033[", 2);
	p->rc |= sgr_params(a, p->out);
	p->rc |= buf_append(p->out, "m", 1);
	p->attr = *a;
}

static void put_text(struct painter *p, const struct screen_cell *c)
{
	char utf8[SCREEN_CELL_UTF8_MAX];
	size_t len = screen_cell_utf8(c, utf8);

	set_attr(p, &c->attr);
	p->rc |= buf_append(p->out, len ? utf8 : " ", len ? len : 1);
}

/* n blanks of one background, erased rather than written. */
static void put_blanks(struct painter *p, const struct screen_attr *a, int n, bool to_end)
{
	bool plain = attr_equal(a, &plain_attr);

	if (n == 0 || (plain && to_end))
		return;
	if (!plain) {
		set_attr(p, a);
		if (to_end)
			p->rc |= buf_printf(p->out, "\033[K");
		else
			p->rc |= buf_printf(p->out, "\033[%dX", n);
	}
	if (!to_end)
		p->rc |= buf_printf(p->out, "\033[%dC", n);
}

/* Paints columns [left, left + cols) of a row from where the cursor is, onto a row that is clear. runs_on:
 * the cursor must end where the next character wraps. */
static void put_cells(struct painter *p, int row, int left, int cols, bool runs_on)
{
	struct screen_attr bg = plain_attr;
	struct screen_cell c;
	int col, blanks = 0;

	for (col = left; col < left + cols; col++) {
		screen_cell_on(p->s, p->alternate, row, col, &c);
		if (c.width == 0 || (c.width == 2 && col + 1 == left + cols)) {
			memset(c.chars, 0, sizeof(c.chars)); /* cut in half by a view's edge */
			c.width = 1;
			c.attr = plain_attr;
		}
		if (c.chars[0] == 0) {
			if (!attr_equal(&c.attr, &bg)) {
				put_blanks(p, &bg, blanks, false);
				blanks = 0;
			}
			bg = c.attr;
			blanks++;
			continue;
		}
		put_blanks(p, &bg, blanks, false);
		blanks = 0;
		bg = plain_attr;
		put_text(p, &c);
		col += c.width - 1;
	}
	put_blanks(p, &bg, blanks, true);
	if (runs_on && blanks > 1)
		p->rc |= buf_printf(p->out, "\033[%dC", blanks - 1);
}

/* Goes to the output's row `at` and clears it. */
static void clear_row(struct painter *p, int at)
{
	set_attr(p, &plain_attr);
	p->rc |= buf_printf(p->out, "\033[%d;1H\033[2K", at + 1);
}

/* All rows. Those that run on are written in one go, so that the terminal knows them as one line. */
static void put_rows(struct painter *p)
{
	int rows, cols, row, k;

	screen_size(p->s, &rows, &cols);
	forget_attr(p);
	for (row = 0; row < rows; row++) {
		clear_row(p, row);
		for (k = row; screen_row_wrapped(p->s, p->alternate, k); k++)
			clear_row(p, k + 1);
		if (k > row)
			p->rc |= buf_printf(p->out, "\033[%d;1H", row + 1);
		for (; row < k; row++)
			put_cells(p, row, 0, cols, true);
		put_cells(p, row, 0, cols, false);
	}
}

/* The cursor; only printing in the last column brings a pending wrap about. */
static void put_cursor(struct painter *p, int row, int col, bool wrap, bool origin)
{
	int top = origin ? screen_modes(p->s)->top : 0;
	struct screen_cell c;

	p->rc |= buf_printf(p->out, "\033[?6%c\033[%d;%dH", origin ? 'h' : 'l', row - top + 1, col + 1);
	if (!wrap)
		return;
	screen_cell_on(p->s, p->alternate, row, col, &c);
	if (c.width == 0) {
		screen_cell_on(p->s, p->alternate, row, col - 1, &c);
		p->rc |= buf_printf(p->out, "\033[D");
	}
	put_text(p, &c);
}

int paint_begin(struct buf *out)
{
	return buf_printf(out, "\033[?1049l" BEGIN) ? -1 : 0;
}

int paint_line(const struct screen_cell *cells, int cols, struct buf *out)
{
	struct painter p = {.out = out};
	int i;

	for (i = 0; i < cols; i++)
		if (cells[i].width > 0)
			put_text(&p, &cells[i]);
	set_attr(&p, &plain_attr);
	return p.rc ? -1 : 0;
}

static void put_region(struct painter *p)
{
	const struct modes *m = screen_modes(p->s);

	if (m->bottom)
		p->rc |= buf_printf(p->out, "\033[%d;%dr", m->top + 1, m->bottom);
}

static void put_charsets(struct painter *p, const unsigned char charset[4], uint8_t shift)
{
	p->rc |= buf_printf(p->out, "\033(%c\033)%c%c", charset[0], charset[1], shift ? 0x0e : 0x0f);
}

/* The cursor that is saved; what was never saved is the home position. Goes before the rows, because
 * what it may have to print does. */
static void put_saved(struct painter *p)
{
	struct screen_saved c = {.charset = {'B', 'B', 'B', 'B'}};

	forget_attr(p);
	screen_saved(p->s, p->alternate, &c);
	if (c.origin)
		put_region(p);
	put_cursor(p, c.row, c.col, c.wrap, c.origin);
	set_attr(p, &c.pen);
	put_charsets(p, c.charset, c.shift);
	p->rc |= buf_printf(p->out, "\0337" BEGIN);
}

static void put_tabs(struct painter *p)
{
	int rows, cols, col;

	if (!screen_tabs_used(p->s))
		return;
	screen_size(p->s, &rows, &cols);
	p->rc |= buf_printf(p->out, "\033[3g");
	for (col = 0; col < cols; col++)
		if (screen_tabs(p->s, col))
			p->rc |= buf_printf(p->out, "\033[1;%dH\033H", col + 1);
}

static void put_state(struct painter *p, bool snapshot)
{
	const struct modes *m = screen_modes(p->s);
	struct screen_attr pen;
	int row, col;

	put_tabs(p);
	put_region(p);
	p->rc |= modes_paint(m, p->out);
	if (snapshot)
		p->rc |= modes_paint_rest(m, p->out) | marks_paint(screen_marks(p->s), p->out);
	if (m->title[0] || m->titles_depth)
		p->rc |= buf_printf(p->out, "\033]2;%s\a", m->title);
	screen_cursor(p->s, &row, &col);
	put_cursor(p, row, col, screen_wrap_pending(p->s), modes_is_set(m, MODE_ORIGIN));
	p->rc |= buf_printf(p->out, "\033[?7%c", modes_is_set(m, MODE_AUTOWRAP) ? 'h' : 'l');
	screen_pen(p->s, &pen);
	set_attr(p, &pen);
	if (m->insert)
		p->rc |= buf_printf(p->out, "\033[4h");
	put_charsets(p, m->charset, m->shift);
	if (modes_is_set(m, MODE_CURSOR_VISIBLE))
		p->rc |= buf_printf(p->out, "\033[?25h");
}

static int paint_all(const struct screen *s, bool snapshot, struct buf *out)
{
	struct painter p = {.s = s, .out = out};
	const struct modes *m = screen_modes(s);

	p.rc |= buf_printf(out, "\033[?1049l" BEGIN);
	put_saved(&p);
	put_rows(&p);
	if (m->alternate) {
		if (snapshot)
			p.rc |= modes_paint_kitty(m, false, out);
		put_region(&p);
		p.rc |= buf_printf(out, "\0338\033[?1049h" BEGIN);
		p.alternate = true;
		put_saved(&p);
		put_rows(&p);
	}
	put_state(&p, snapshot);
	return p.rc ? -1 : 0;
}

int paint_full(const struct screen *s, struct buf *out)
{
	return paint_all(s, false, out);
}

int paint_snapshot(const struct screen *s, struct buf *out)
{
	return paint_all(s, true, out);
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
	const struct modes *m = screen_modes(s);
	struct painter p = {.s = s, .out = out, .alternate = m->alternate};
	int i, row, col;

	follow_cursor(s, c);
	if (!c->begun || c->modes.alternate != m->alternate) {
		p.rc |= buf_printf(out, "\033[?1049%c" BEGIN "\033[2J", m->alternate ? 'h' : 'l');
		memset(c->hash, 0, (size_t)c->rows * sizeof(*c->hash));
	}
	p.rc |= buf_printf(out, "\033[?25l");
	forget_attr(&p);
	for (i = 0; i < c->rows; i++) {
		uint64_t h = hash_row(s, c->top + i, c->left, c->cols);

		if (h != c->hash[i]) {
			clear_row(&p, i);
			put_cells(&p, c->top + i, c->left, c->cols, false);
		}
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
