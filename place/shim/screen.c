/* SPDX-License-Identifier: ISC */
/*
 * The screen of one terminal, kept by libvterm.
 *
 * Theory of operation: scan.c cuts the bytes into tokens; each token goes to the mode tracker, to
 * libvterm when it draws, to the queries' answers and, filtered, to the views. What libvterm (0.1 to
 * 0.3) lacks is put right here: dim, concealed and overlined are kept in its font attribute (SGR 11
 * to 19, which nobody uses for fonts); the cursor is saved and restored here, once per screen as xterm
 * does it, not once for both; REP is spelled out; SGR with more than 16 parameters is fed in parts; and
 * whether a wrap is pending is found by feeding a text's last character on its own. While the
 * alternate screen shows, the primary one cannot be read from libvterm: it is painted into `primary`
 * at the moment of the switch.
 */
#include "place/shim/screen.h"

#include <vterm.h>

#include "base/util.h"
#include "place/shim/filter.h"
#include "place/shim/paint.h"
#include "place/shim/scan.h"
#include "place/shim/sgr.h"

#define PRIMARY_MAX (8u * 1024 * 1024)
#define LINE_MAX_BYTES (SCREEN_COLS_MAX * SCREEN_CELL_CHARS * 4)
#define TEXT_LINE(cols) ((size_t)(cols)*SCREEN_CELL_CHARS * 4)
#define REPLY_MAX 256
#define VTERM_ARGS 16
#define WIDTHS 64
#define RIGHT_HALF ((uint32_t)-1)

struct saved_cursor {
	bool valid, origin;
	int row, col;
	struct screen_attr pen;
	uint8_t shift;
	unsigned char charset[4];
};

struct screen {
	VTerm *vt, *probe; /* probe: measures characters, */
	struct {
		uint32_t c;
		int width;
	} widths[WIDTHS]; /* and what it said last */
	VTermScreen *vts;
	VTermState *state;
	struct scan scan;
	struct modes modes;
	int rows, cols;
	struct screen_ops ops;
	void *arg;
	struct buf *live; /* during screen_feed */
	bool live_full, wrap_pending;
	bool catching; /* lines that scroll off are wanted */
	bool muted;    /* what is scanned has no effect that lasts: see jump */
	unsigned char last[4]; /* the character printed last, for REP */
	size_t last_len;
	struct saved_cursor saved[2];
	struct buf primary;
	uint64_t generation;
};

static void vt_write(struct screen *s, const void *data, size_t len)
{
	if (!s->muted)
		vterm_input_write(s->vt, data, len);
}

static void color_from_vterm(const VTermColor *c, struct screen_color *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (VTERM_COLOR_IS_DEFAULT_FG(c) || VTERM_COLOR_IS_DEFAULT_BG(c)) {
		ret->kind = COLOR_DEFAULT;
	} else if (VTERM_COLOR_IS_INDEXED(c)) {
		ret->kind = COLOR_INDEX;
		ret->r = c->indexed.idx;
	} else {
		ret->kind = COLOR_RGB;
		ret->r = c->rgb.red;
		ret->g = c->rgb.green;
		ret->b = c->rgb.blue;
	}
}

static void cell_from_vterm(const VTermScreenCell *c, struct screen_cell *ret)
{
	const VTermScreenCellAttrs *a = &c->attrs;
	int i;

	memset(ret, 0, sizeof(*ret));
	ret->width = c->width == 2 ? 2 : 1;
	if (c->chars[0] == RIGHT_HALF)
		ret->width = 0;
	else
		for (i = 0; i < SCREEN_CELL_CHARS && i < VTERM_MAX_CHARS_PER_CELL && c->chars[i]; i++)
			ret->chars[i] = c->chars[i];
	ret->attr.flags = (uint8_t)((a->bold ? ATTR_BOLD : 0) | (a->italic ? ATTR_ITALIC : 0) |
				    (a->blink ? ATTR_BLINK : 0) | (a->reverse ? ATTR_REVERSE : 0) |
				    (a->strike ? ATTR_STRIKE : 0) | sgr_font_flags(a->font));
	ret->attr.underline = (uint8_t)a->underline;
	color_from_vterm(&c->fg, &ret->attr.fg);
	color_from_vterm(&c->bg, &ret->attr.bg);
}

/* Appends a cell's text; what was blank before is written once something follows. */
static int text_put(struct buf *out, const struct screen_cell *c, int *blanks)
{
	char utf8[SCREEN_CELL_UTF8_MAX];
	int rc = 0;

	if (c->width == 0)
		return 0;
	if (c->chars[0] == 0 || (c->chars[0] == ' ' && c->chars[1] == 0)) {
		++*blanks;
		return 0;
	}
	for (; *blanks > 0; --*blanks)
		rc |= buf_append(out, " ", 1);
	rc |= buf_append(out, utf8, screen_cell_utf8(c, utf8));
	return rc;
}

static void push_text(struct screen *s, int cols, const VTermScreenCell *cells)
{
	struct buf text;
	int i, k;

	buf_init(&text, LINE_MAX_BYTES);
	for (i = 0; i < cols; i++) {
		const uint32_t *c = cells[i].chars;
		char utf8[4];

		if (c[0] == 0)
			buf_append(&text, " ", 1);
		for (k = 0; k < VTERM_MAX_CHARS_PER_CELL && c[k] && c[k] != RIGHT_HALF; k++)
			buf_append(&text, utf8, screen_utf8(c[k], utf8));
	}
	s->ops.line(s->arg, text.len ? (const char *)buf_data(&text) : "", text.len);
	buf_finish(&text);
}

static void push_row(struct screen *s, int cols, const VTermScreenCell *cells)
{
	struct screen_cell *row = xcalloc((size_t)cols + 1, sizeof(*row));

	for (int i = 0; i < cols; i++)
		cell_from_vterm(&cells[i], &row[i]);
	s->ops.row(s->arg, row, cols);
	free(row);
}

/* A line as it leaves the screen: what was never written at its end is not looked at. */
static int on_pushline(int cols, const VTermScreenCell *cells, void *user)
{
	struct screen *s = user;

	while (cols > 0 && (cells[cols - 1].chars[0] == 0 || cells[cols - 1].chars[0] == ' '))
		cols--;
	if (s->ops.line)
		push_text(s, cols, cells);
	if (s->ops.row)
		push_row(s, cols, cells);
	return 0;
}

/* libvterm turns every line that scrolls off into cells for who asks: nobody, most of the time. */
static const VTermScreenCallbacks catching_lines = {.sb_pushline = on_pushline};
static const VTermScreenCallbacks no_callbacks;

void screen_catch_lines(struct screen *s, bool on)
{
	s->catching = on && (s->ops.line || s->ops.row);
	vterm_screen_set_callbacks(s->vts, s->catching ? &catching_lines : &no_callbacks, s);
}

/* libvterm's own answers are not wanted: ours are given whichever version is installed. */
static void discard_output(const char *data, size_t len, void *user)
{
	(void)data;
	(void)len;
	(void)user;
}

static int clamp_rows(int rows)
{
	return rows < 1 ? 1 : rows > SCREEN_ROWS_MAX ? SCREEN_ROWS_MAX : rows;
}

/* At least 2: libvterm 0.1.4 writes outside its buffer when a wide character finds one column. */
static int clamp_cols(int cols)
{
	return cols < 2 ? 2 : cols > SCREEN_COLS_MAX ? SCREEN_COLS_MAX : cols;
}

struct screen *screen_create(int rows, int cols, const struct screen_ops *ops, void *arg)
{
	struct screen *s = xcalloc(1, sizeof(*s));

	s->rows = clamp_rows(rows);
	s->cols = clamp_cols(cols);
	if (ops)
		s->ops = *ops;
	s->arg = arg;
	s->vt = vterm_new(s->rows, s->cols);
	if (!s->vt)
		abort();
	vterm_set_utf8(s->vt, 1);
	vterm_output_set_callback(s->vt, discard_output, NULL);
	s->state = vterm_obtain_state(s->vt);
	s->vts = vterm_obtain_screen(s->vt);
	vterm_screen_enable_altscreen(s->vts, 1);
	vterm_screen_set_damage_merge(s->vts, VTERM_DAMAGE_SCREEN);
	screen_catch_lines(s, true);
	vterm_screen_reset(s->vts, 1);
	scan_init(&s->scan);
	modes_init(&s->modes);
	buf_init(&s->primary, PRIMARY_MAX);
	return s;
}

void screen_destroy(struct screen *s)
{
	if (!s)
		return;
	vterm_free(s->vt);
	if (s->probe)
		vterm_free(s->probe);
	buf_finish(&s->primary);
	free(s);
}

void screen_cursor(const struct screen *s, int *row, int *col)
{
	VTermPos p;

	vterm_state_get_cursorpos(s->state, &p);
	*row = p.row < 0 ? 0 : p.row < s->rows ? p.row : s->rows - 1;
	*col = p.col < 0 ? 0 : p.col < s->cols ? p.col : s->cols - 1;
}

static bool pen_bool(const struct screen *s, VTermAttr attr)
{
	VTermValue v = {0};

	return vterm_state_get_penattr(s->state, attr, &v) && v.boolean;
}

static unsigned pen_number(const struct screen *s, VTermAttr attr)
{
	VTermValue v = {0};

	return vterm_state_get_penattr(s->state, attr, &v) ? (unsigned)v.number : 0;
}

void screen_pen(const struct screen *s, struct screen_attr *ret)
{
	VTermValue v = {0};

	memset(ret, 0, sizeof(*ret));
	ret->flags = (uint8_t)((pen_bool(s, VTERM_ATTR_BOLD) ? ATTR_BOLD : 0) |
			       (pen_bool(s, VTERM_ATTR_ITALIC) ? ATTR_ITALIC : 0) |
			       (pen_bool(s, VTERM_ATTR_BLINK) ? ATTR_BLINK : 0) |
			       (pen_bool(s, VTERM_ATTR_REVERSE) ? ATTR_REVERSE : 0) |
			       (pen_bool(s, VTERM_ATTR_STRIKE) ? ATTR_STRIKE : 0) |
			       sgr_font_flags(pen_number(s, VTERM_ATTR_FONT)));
	ret->underline = (uint8_t)pen_number(s, VTERM_ATTR_UNDERLINE);
	if (vterm_state_get_penattr(s->state, VTERM_ATTR_FOREGROUND, &v))
		color_from_vterm(&v.color, &ret->fg);
	if (vterm_state_get_penattr(s->state, VTERM_ATTR_BACKGROUND, &v))
		color_from_vterm(&v.color, &ret->bg);
}

static void feed_font(struct screen *s, unsigned font)
{
	char sgr[8];

	vt_write(s, sgr, (size_t)snprintf(sgr, sizeof(sgr), "\033[%um", 10 + (font & 7)));
}

static void feed_sgr(struct screen *s, const struct scan_token *t)
{
	unsigned font = pen_number(s, VTERM_ATTR_FONT);
	struct buf out;

	buf_init(&out, SCAN_HOLD_MAX * 4);
	sgr_rewrite(t, &font, &out);
	if (out.len)
		vt_write(s, buf_data(&out), out.len);
	buf_finish(&out);
	if (pen_number(s, VTERM_ATTR_FONT) != font)
		feed_font(s, font);
}

static void feed_pen(struct screen *s, const struct screen_attr *a)
{
	struct buf out;

	buf_init(&out, 256);
	sgr_pen(a, &out);
	vt_write(s, buf_data(&out), out.len);
	buf_finish(&out);
}

static void save_cursor(struct screen *s, int which)
{
	struct saved_cursor *c = &s->saved[which];

	screen_cursor(s, &c->row, &c->col);
	screen_pen(s, &c->pen);
	c->origin = modes_is_set(&s->modes, MODE_ORIGIN);
	c->shift = s->modes.shift;
	memcpy(c->charset, s->modes.charset, sizeof(c->charset));
	c->valid = true;
}

static void feed_cursor(struct screen *s, int row, int col, bool origin)
{
	char seq[64];
	int top = origin ? s->modes.top : 0, n;

	row = row >= s->rows ? s->rows - 1 : row;
	col = col >= s->cols ? s->cols - 1 : col;
	n = snprintf(seq, sizeof(seq), "\033[?6%c\033[%d;%dH", origin ? 'h' : 'l',
		row >= top ? row - top + 1 : 1, col + 1);
	vt_write(s, seq, (size_t)n);
}

static void restore_cursor(struct screen *s, int which)
{
	struct saved_cursor none = {.charset = {'B', 'B', 'B', 'B'}};
	const struct saved_cursor *c = s->saved[which].valid ? &s->saved[which] : &none;
	char seq[32];
	int n;

	feed_cursor(s, c->row, c->col, c->origin);
	feed_pen(s, &c->pen);
	s->modes.set = (s->modes.set & ~(1u << MODE_ORIGIN)) | (c->origin ? 1u << MODE_ORIGIN : 0);
	s->modes.shift = c->shift;
	memcpy(s->modes.charset, c->charset, sizeof(c->charset));
	n = snprintf(seq, sizeof(seq), "\033(%c\033)%c\033*%c\033+%c%c", c->charset[0], c->charset[1],
		c->charset[2], c->charset[3], c->shift ? 0x0e : 0x0f);
	vt_write(s, seq, (size_t)n);
}

static void switch_screen(struct screen *s, int number, bool on)
{
	bool was = s->modes.alternate;

	if (on && number == 1049)
		save_cursor(s, 0);
	if (on && !was) {
		buf_clear(&s->primary);
		if (paint_primary(s, &s->primary) < 0)
			buf_clear(&s->primary);
	}
	s->modes.alternate = on;
	vt_write(s, on ? "\033[?1047h" : "\033[?1047l", 8);
	if (!on) {
		buf_finish(&s->primary);
		buf_init(&s->primary, PRIMARY_MAX);
	}
	if (!on && number == 1049)
		restore_cursor(s, 0);
}

/* DECSET and DECRST, a parameter at a time: some are ours, the rest libvterm's and the tracker's. */
static void feed_private(struct screen *s, const struct scan_token *t)
{
	bool on = t->final == 'h';
	int i;

	for (i = 0; i < t->nparams; i++) {
		struct scan_token one = *t;
		int number = t->params[i].value;
		char seq[16];

		if (number == 1047 || number == 1049 || number == 47) {
			switch_screen(s, number, on);
			continue;
		}
		if (number == 1048) {
			if (on)
				save_cursor(s, s->modes.alternate);
			else
				restore_cursor(s, s->modes.alternate);
			continue;
		}
		one.params = &t->params[i];
		one.nparams = 1;
		modes_apply(&s->modes, &one, s->rows);
		if (number == 6 || number == 7)
			vt_write(s, seq, (size_t)snprintf(seq, sizeof(seq), "\033[?%d%c", number, t->final));
	}
}

static void append_live(struct screen *s, const void *data, size_t len)
{
	if (s->live && buf_append(s->live, data, len) < 0)
		s->live_full = true;
}

static void feed_text(struct screen *s, const unsigned char *data, size_t len)
{
	size_t last = len;
	VTermPos before, after;
	VTermScreenCell cell;
	uint32_t c;

	while (last > 0 && (data[--last] & 0xc0) == 0x80)
		;
	s->last_len = len - last;
	memcpy(s->last, data + last, s->last_len);
	if (last > 0)
		vt_write(s, data, last);
	vterm_state_get_cursorpos(s->state, &before);
	vt_write(s, data + last, s->last_len);
	vterm_state_get_cursorpos(s->state, &after);
	s->generation++;
	if (before.row != after.row || before.col != after.col) {
		s->wrap_pending = false;
		return;
	}
	/* It did not move: the last column, unless the character combines with the one before. */
	c = s->last_len == 1 ? s->last[0] : (uint32_t)(s->last[0] & (0xff >> (s->last_len + 1)));
	for (last = 1; last < s->last_len; last++)
		c = c << 6 | (s->last[last] & 0x3f);
	if (c < 0x80 || (vterm_screen_get_cell(s->vts, after, &cell) && cell.chars[0] == c))
		s->wrap_pending = modes_is_set(&s->modes, MODE_AUTOWRAP);
}

static void feed_repeat(struct screen *s, const struct scan_token *t)
{
	int i, n = scan_param(t, 0, 1);
	unsigned char one[4];
	size_t len = s->last_len;

	memcpy(one, s->last, len);
	n = n < 1 ? 1 : n > s->cols ? s->cols : n;
	for (i = 0; i < n && len > 0; i++) {
		feed_text(s, one, len);
		append_live(s, one, len);
	}
}

/* Does the pending wrap survive this token? Only what neither draws nor moves leaves it. */
static bool keeps_wrap(const struct scan_token *t)
{
	if (t->kind == SCAN_CSI)
		return t->final == 'm' || t->final == 'h' || t->final == 'l' || t->final == 'q' ||
		       t->final == 'n' || t->final == 'c' || t->final == 'u';
	return t->kind != SCAN_ESC && !(t->kind == SCAN_C0 && t->final >= 0x08);
}

/* DECSTR spelled out: libvterm's also forgets which screen shows. */
static void soft_reset(struct screen *s)
{
	static const char seq[] = "\033[4l\033[?6l\033[?7h\033[r\033[0m\033(B\033)B\033*B\033+B\017";
	int row, col;

	screen_cursor(s, &row, &col);
	vt_write(s, seq, sizeof(seq) - 1);
	feed_cursor(s, row, col, false);
}

/* libvterm 0.1.4 takes impossible regions, and then writes outside its buffer. */
static void feed_region(struct screen *s, const struct scan_token *t)
{
	char seq[32];
	int top, bottom;

	if (modes_region(t, s->rows, &top, &bottom))
		vt_write(s, seq, (size_t)snprintf(seq, sizeof(seq), "\033[%d;%dr", top, bottom));
}

static void feed_csi(struct screen *s, const struct scan_token *t)
{
	if (t->leader == '?' && !t->inters && (t->final == 'h' || t->final == 'l')) {
		feed_private(s, t);
		return;
	}
	modes_apply(&s->modes, t, s->rows);
	if (!filter_is_drawing(t))
		return;
	s->generation++;
	if (!t->leader && t->inter == '!')
		soft_reset(s);
	else if (!t->leader && !t->inters && t->final == 'm')
		feed_sgr(s, t);
	else if (!t->leader && !t->inters && t->final == 'r')
		feed_region(s, t);
	else if (!t->leader && !t->inters && t->final == 's')
		save_cursor(s, s->modes.alternate);
	else if (!t->leader && !t->inters && t->final == 'u')
		restore_cursor(s, s->modes.alternate);
	else if (t->nparams <= VTERM_ARGS) /* libvterm 0.1.4 writes more of them past their array */
		vt_write(s, t->data, t->len);
}

static void feed_esc(struct screen *s, const struct scan_token *t)
{
	if (!t->inters && t->final == 'c') {
		if (s->modes.alternate)
			switch_screen(s, 1047, false);
		memset(s->saved, 0, sizeof(s->saved));
	}
	modes_apply(&s->modes, t, s->rows);
	if (!filter_is_drawing(t))
		return;
	s->generation++;
	if (!t->inters && t->final == '7') {
		save_cursor(s, s->modes.alternate);
	} else if (!t->inters && t->final == '8') {
		restore_cursor(s, s->modes.alternate);
	} else {
		vt_write(s, t->data, t->len);
	}
}

static void answer(struct screen *s, const struct scan_token *t)
{
	struct query_state q = {.modes = &s->modes, .rows = s->rows, .cols = s->cols};
	struct buf out;

	if (!s->ops.reply || t->kind == SCAN_TEXT || t->kind == SCAN_C0)
		return;
	screen_cursor(s, &q.row, &q.col);
	buf_init(&out, REPLY_MAX);
	if (query_answer(t, &q, &out) == 0 && out.len > 0)
		s->ops.reply(s->arg, buf_data(&out), out.len);
	buf_finish(&out);
}

static void on_token(void *arg, const struct scan_token *t)
{
	struct screen *s = arg;

	if (t->kind == SCAN_CSI && !t->leader && !t->inters && t->final == 'b') {
		feed_repeat(s, t);
		return;
	}
	if (!keeps_wrap(t) && t->kind != SCAN_TEXT)
		s->wrap_pending = false;
	switch (t->kind) {
	case SCAN_TEXT:
		feed_text(s, t->data, t->len);
		break;
	case SCAN_C0:
		modes_apply(&s->modes, t, s->rows);
		if (filter_is_drawing(t)) {
			vt_write(s, &t->final, 1);
			s->generation++;
		}
		if (t->final == 0x07 && s->ops.bell)
			s->ops.bell(s->arg);
		break;
	case SCAN_ESC:
		feed_esc(s, t);
		break;
	case SCAN_CSI:
		feed_csi(s, t);
		break;
	case SCAN_OSC:
		modes_apply(&s->modes, t, s->rows);
		if ((t->data[0] == '0' || t->data[0] == '2') && s->ops.title)
			s->ops.title(s->arg);
		break;
	case SCAN_STRING:
		break;
	}
	answer(s, t);
	if (s->live && filter_token(t, &s->modes, s->live) < 0)
		s->live_full = true;
}

/* How many of the bytes the emulator need not see: plain lines, and so many of them behind that all has
 * scrolled off by the end (libvterm moves its whole buffer for every line). */
static size_t jump(const struct screen *s, const unsigned char *p, size_t len)
{
	int left = 2 * s->rows;
	size_t i, n = len;

	if (s->catching || s->modes.bottom || s->scan.state != SCAN_S_GROUND)
		return 0;
	while (n > 0 && left >= 0)
		if (p[--n] == '\n')
			left--;
	/* The column must not depend on what is left out. */
	if (n == 0 || p[n - 1] != '\r')
		return 0;
	for (i = 0; i <= n; i++)
		if ((p[i] < 0x20 && p[i] != '\r' && p[i] != '\n' && p[i] != '\t') || p[i] == 0x7f)
			return 0;
	return n + 1;
}

int screen_feed(struct screen *s, const void *data, size_t len, struct buf *live)
{
	size_t skip = jump(s, data, len);

	s->live = live;
	s->live_full = false;
	if (skip) {
		s->muted = true;
		scan_feed(&s->scan, data, skip, on_token, s);
		s->muted = false;
	}
	scan_feed(&s->scan, (const unsigned char *)data + skip, len - skip, on_token, s);
	s->live = NULL;
	return s->live_full ? -1 : 0;
}

size_t screen_pending(const struct screen *s)
{
	return scan_pending(&s->scan);
}

/* The primary screen's painting for another size: through an emulator of its own. */
static void resize_primary(struct screen *s, int rows, int cols)
{
	struct screen *scratch = screen_create(s->rows, s->cols, NULL, NULL);

	screen_feed(scratch, buf_data(&s->primary), s->primary.len, NULL);
	screen_resize(scratch, rows, cols);
	buf_clear(&s->primary);
	if (paint_primary(scratch, &s->primary) < 0)
		buf_clear(&s->primary);
	screen_destroy(scratch);
}

void screen_resize(struct screen *s, int rows, int cols)
{
	int row, col;

	rows = clamp_rows(rows);
	cols = clamp_cols(cols);
	if (rows == s->rows && cols == s->cols)
		return;
	if (s->modes.alternate)
		resize_primary(s, rows, cols);
	/* As xterm: a new size ends the scrolling region (libvterm would keep an impossible one). */
	screen_cursor(s, &row, &col);
	vt_write(s, "\033[r", 3);
	s->modes.top = s->modes.bottom = 0;
	feed_cursor(s, row, col, modes_is_set(&s->modes, MODE_ORIGIN));
	vterm_set_size(s->vt, rows, cols);
	s->rows = rows;
	s->cols = cols;
	/* Lines that went off the top take the cursor with them, in libvterm to row -1. */
	screen_cursor(s, &row, &col);
	feed_cursor(s, row, col, modes_is_set(&s->modes, MODE_ORIGIN));
	s->wrap_pending = false;
	s->generation++;
}

void screen_size(const struct screen *s, int *rows, int *cols)
{
	*rows = s->rows;
	*cols = s->cols;
}

bool screen_wrap_pending(const struct screen *s)
{
	return s->wrap_pending;
}

const struct modes *screen_modes(const struct screen *s)
{
	return &s->modes;
}

static bool get_cell(const struct screen *s, int row, int col, struct screen_cell *ret)
{
	VTermScreenCell c;

	memset(&c, 0, sizeof(c));
	if (row < 0 || row >= s->rows || col < 0 || col >= s->cols ||
		!vterm_screen_get_cell(s->vts, (VTermPos){.row = row, .col = col}, &c))
		return false;
	cell_from_vterm(&c, ret);
	return true;
}

/* A character's width, 0 to 2. What libvterm says of a cell depends on the next one's content only. */
static int char_width(struct screen *s, uint32_t c)
{
	char seq[8] = "\r";
	VTermPos p;

	if (c < 0x300)
		return 1;
	if (s->widths[c % WIDTHS].c == c)
		return s->widths[c % WIDTHS].width;
	if (!s->probe) {
		s->probe = vterm_new(1, 8);
		vterm_set_utf8(s->probe, 1);
		vterm_screen_reset(vterm_obtain_screen(s->probe), 1);
	}
	vterm_input_write(s->probe, seq, 1 + screen_utf8(c, seq + 1));
	vterm_state_get_cursorpos(vterm_obtain_state(s->probe), &p);
	s->widths[c % WIDTHS].c = c;
	s->widths[c % WIDTHS].width = p.col;
	return p.col;
}

void screen_cell(const struct screen *s, int row, int col, struct screen_cell *ret)
{
	struct screen *probing = (struct screen *)s; /* measuring changes nothing that can be seen */
	struct screen_cell left;
	bool blank = !get_cell(s, row, col, ret);
	int width = blank || ret->width == 0 ? 1 : char_width(probing, ret->chars[0]);

	if (blank)
		memset(ret, 0, sizeof(*ret));
	/* Halves whose other half is gone (overwritten, cut off by a new size), and marks that found no
	 * character to combine with, are blank. */
	if (!blank && ret->width == 0)
		blank = !get_cell(s, row, col - 1, &left) || left.width != 2 || char_width(probing, left.chars[0]) != 2;
	else if (width != 1)
		blank = width == 0 || ret->width != 2 || col + 1 == s->cols;
	else
		ret->width = 1;
	if (blank) {
		memset(ret->chars, 0, sizeof(ret->chars));
		ret->width = 1;
	}
}

bool screen_saved(const struct screen *s, int *row, int *col, struct screen_attr *pen)
{
	const struct saved_cursor *c = &s->saved[s->modes.alternate ? 1 : 0];

	if (!c->valid)
		return false;
	*row = c->row < s->rows ? c->row : s->rows - 1;
	*col = c->col < s->cols ? c->col : s->cols - 1;
	*pen = c->pen;
	return true;
}

const struct buf *screen_primary(const struct screen *s)
{
	return &s->primary;
}

int screen_row_text(const struct screen *s, int row, struct buf *out)
{
	struct screen_cell c;
	int col, blanks = 0, rc = 0;

	for (col = 0; col < s->cols; col++) {
		screen_cell(s, row, col, &c);
		rc |= text_put(out, &c, &blanks);
	}
	return rc ? -1 : 0;
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

/* Appends all rows as one text, quickly: called for every bit of output while a text is waited for. A
 * full line runs on in the next. padded: blanks written at the end of lines are kept. */
static void all_text(const struct screen *s, bool padded, struct buf *all)
{
	int row;

	for (row = 0; row < s->rows; row++) {
		VTermRect line = {.start_row = row, .end_row = row + 1, .start_col = 0, .end_col = s->cols};
		VTermPos last = {.row = row, .col = s->cols - 1};
		unsigned char *p = buf_reserve(all, TEXT_LINE(s->cols));
		size_t n = p ? vterm_screen_get_text(s->vts, (char *)p, TEXT_LINE(s->cols), line) : 0;

		while (!padded && n > 0 && p[n - 1] == ' ')
			n--;
		buf_added(all, n);
		if (vterm_screen_is_eol(s->vts, last))
			buf_append(all, "\n", 1);
	}
}

bool screen_contains(const struct screen *s, const char *text)
{
	bool found = false;
	int padded;

	for (padded = 0; padded <= 1 && !found; padded++) {
		struct buf all;

		buf_init(&all, (size_t)(s->rows + 1) * (LINE_MAX_BYTES + 1));
		all_text(s, padded, &all);
		found = all.len && memmem(buf_data(&all), all.len, text, strlen(text)) != NULL;
		buf_finish(&all);
	}
	return found;
}

uint64_t screen_generation(const struct screen *s)
{
	return s->generation;
}
