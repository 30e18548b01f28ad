/* SPDX-License-Identifier: ISC */
/*
 * The screen of one terminal.
 *
 * Theory of operation: scan.c cuts the bytes into tokens. Each goes to the mode tracker (modes.c), to
 * what draws, to the queries' answers (query.c) and, filtered (filter.c), to the views. Characters and
 * the plain controls are written onto our own cells (text.c), cursor functions are ours (move.c), SGR
 * too (sgr.c): so every part of the state can be read, and painted anew. Erasing, inserting, deleting
 * and scrolling are interpreted by libvterm's state layer, whose callbacks move our cells; it holds no
 * cells itself, is told where the cursor is before each function, and never sees text.
 *
 * libvterm 0.1.4 writes outside its arrays for impossible regions and for more than 16 parameters:
 * neither is passed on.
 */
#include "place/shim/screen_int.h"

#include <vterm.h>

#include "base/util.h"
#include "place/shim/filter.h"
#include "place/shim/sgr.h"

#define REPLY_MAX 4096
#define VTERM_ARGS 16

/* --- libvterm --- */

static void vt_write(struct screen *s, const void *data, size_t len)
{
	vterm_input_write(s->vt, data, len);
}

static int on_scroll(VTermRect r, int downward, int rightward, void *user)
{
	struct screen *s = user;
	int row;

	if (downward)
		text_scroll(s, r.start_row, r.end_row, downward, s->pen.bg);
	for (row = r.start_row; rightward && row < r.end_row; row++)
		cells_shift(s->g, row, r.start_col, -rightward, s->pen.bg);
	return 1;
}

static int on_erase(VTermRect r, int selective, void *user)
{
	struct screen *s = user;
	int row;

	(void)selective;
	for (row = r.start_row; row < r.end_row; row++)
		cells_erase(s->g, row, r.start_col, r.end_col, s->pen.bg);
	return 1;
}

static const VTermStateCallbacks vt_callbacks = {.scrollrect = on_scroll, .erase = on_erase};

/* libvterm's own answers are not wanted: ours are given whichever version is installed. */
static void discard_output(const char *data, size_t len, void *user)
{
	(void)data;
	(void)len;
	(void)user;
}

static void vt_create(struct screen *s)
{
	s->vt = vterm_new(s->rows, s->cols);
	if (!s->vt)
		abort();
	vterm_set_utf8(s->vt, 1);
	vterm_output_set_callback(s->vt, discard_output, NULL);
	vterm_state_set_callbacks(vterm_obtain_state(s->vt), &vt_callbacks, s);
	vterm_state_reset(vterm_obtain_state(s->vt), 1);
}

/* CUP, from 0, without printf's price; returns the length. */
static size_t put_position(char out[16], int row, int col)
{
	size_t n = 0;
	int i, v, unit;

	out[n++] = '\033';
	out[n++] = '[';
	for (i = 0; i < 2; i++) {
		v = i == 0 ? row + 1 : col + 1;
		for (unit = 1000; unit > 1 && unit > v; unit /= 10)
			;
		for (; unit > 0; unit /= 10)
			out[n++] = (char)('0' + v / unit % 10);
		out[n++] = i == 0 ? ';' : 'H';
	}
	return n;
}

/* Has libvterm carry out an editing function where our cursor is. */
static void edit(struct screen *s, const struct scan_token *t)
{
	VTermPos p;
	char seq[16];

	if (t->nparams > VTERM_ARGS)
		return;
	vterm_state_get_cursorpos(vterm_obtain_state(s->vt), &p);
	if (p.row != s->cur.row || p.col != s->cur.col)
		vt_write(s, seq, put_position(seq, s->cur.row, s->cur.col));
	vt_write(s, t->data, t->len);
	vterm_state_get_cursorpos(vterm_obtain_state(s->vt), &p);
	move_to(s, p.row, p.col);
	s->generation++;
}

/* The region as it now is; libvterm goes to the home position. */
static void edit_region(struct screen *s)
{
	char seq[32];

	vt_write(s, seq, (size_t)snprintf(seq, sizeof(seq), "\033[%d;%dr", s->modes.top + 1,
		s->modes.bottom ? s->modes.bottom : s->rows));
}

/* --- life --- */

static int clamp_rows(int rows)
{
	return rows < 1 ? 1 : rows > SCREEN_ROWS_MAX ? SCREEN_ROWS_MAX : rows;
}

/* At least 2: a wide character has to fit. */
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
	cells_init(&s->grid[0], s->rows, s->cols);
	s->g = &s->grid[0];
	vt_create(s);
	tabs_reset(s, 0);
	buf_init(&s->line, SCREEN_COLS_MAX * SCREEN_CELL_UTF8_MAX);
	screen_catch_lines(s, true);
	scan_init(&s->scan);
	modes_init(&s->modes);
	return s;
}

void screen_destroy(struct screen *s)
{
	if (!s)
		return;
	vterm_free(s->vt);
	cells_finish(&s->grid[0]);
	cells_finish(&s->grid[1]);
	store_finish(s);
	buf_finish(&s->line);
	free(s);
}

void screen_catch_lines(struct screen *s, bool on)
{
	s->catching = on && (s->ops.line || s->ops.row);
}

/* --- tokens --- */

/* DECSET and DECRST, a parameter at a time. */
static void feed_private(struct screen *s, const struct scan_token *t)
{
	bool on = t->final == 'h';
	int i;

	for (i = 0; i < t->nparams; i++) {
		struct scan_token one = *t;
		int number = t->params[i].value;

		if (number == 1047 || number == 1049 || number == 47) {
			move_screen(s, number, on);
			continue;
		}
		if (number == 1048) {
			if (on)
				move_save(s);
			else
				move_restore(s);
			continue;
		}
		one.params = &t->params[i];
		one.nparams = 1;
		modes_apply(&s->modes, &one, s->rows);
		if (number == 6)
			move_to(s, on ? s->modes.top : 0, 0);
		else if (number == 7 && !on)
			s->cur.wrap = false;
	}
}

static void feed_repeat(struct screen *s, const struct scan_token *t)
{
	int i, n = scan_param(t, 0, 1);
	unsigned char one[LAST_MAX];
	size_t len = s->last_len;

	memcpy(one, s->last, len);
	n = n < 1 ? 1 : n > s->cols ? s->cols : n; /* bounded: a few bytes must not draw for long */
	for (i = 0; i < n && len > 0; i++) {
		text_put(s, one, len);
		if (s->live && buf_append(s->live, one, len) < 0)
			s->live_full = true;
	}
}

/* DECSTR. Views are given it spelled out: tmux does not know it. */
static void soft_reset(struct screen *s)
{
	edit_region(s);
	s->pen = cell_blank;
	s->saved[s->modes.alternate].valid = false;
	s->cur.wrap = false;
	if (s->live && buf_printf(s->live,
			       "\033]8;;\033\\\033[4l\033[?1;6l\033[?7;25h\033>\033[r\033[m\033(B\033)B\017\033[H\0337\033[%d;%dH",
			       s->cur.row + 1, s->cur.col + 1) < 0)
		s->live_full = true;
}

static void feed_csi(struct screen *s, const struct scan_token *t)
{
	if (t->leader == '?' && !t->inters && (t->final == 'h' || t->final == 'l')) {
		feed_private(s, t);
		s->generation++;
		return;
	}
	modes_apply(&s->modes, t, s->rows);
	if (filter_is_title_pop(t) && s->ops.title)
		s->ops.title(s->arg);
	if (!filter_is_drawing(t))
		return;
	s->generation++;
	if (t->final == 'J' && !t->leader && scan_param(t, 0, 0) == 3 && s->ops.erased)
		s->ops.erased(s->arg);
	if (t->leader || t->inters) {
		if (!t->leader && t->inter == '!')
			soft_reset(s);
		else if (t->leader == '?' && !t->inters)
			edit(s, t);
	} else if (t->final == 'm') {
		sgr_apply(t, &s->pen);
	} else if (t->final == 's') {
		move_save(s);
	} else if (t->final == 'u') {
		move_restore(s);
	} else if (!move_csi(s, t) && t->final != 'h' && t->final != 'l') {
		edit(s, t);
	} else if (t->final == 'r') {
		edit_region(s);
	}
}

static void hard_reset(struct screen *s)
{
	/* tmux (3.3a) stays on the alternate screen. */
	if (s->modes.alternate && s->live && buf_append(s->live, "\033[?1047l", 8) < 0)
		s->live_full = true;
	move_screen(s, 1047, false);
	memset(s->saved, 0, sizeof(s->saved));
	cells_scroll(s->g, 0, s->rows, s->rows, 0);
	s->pen = cell_blank;
	tabs_reset(s, 0);
	edit_region(s);
	move_to(s, 0, 0);
	s->last_len = 0;
}

/* DECALN: the screen full of E, plain, without a region. */
static void fill_with_e(struct screen *s)
{
	static const unsigned char e[] = "E";
	struct cell pen = s->pen;
	int row, col;

	s->modes.top = s->modes.bottom = 0;
	edit_region(s);
	s->pen = cell_blank;
	for (row = 0; row < s->rows; row++) {
		struct cell *c = cells_open(s->g, row, 0, s->cols);

		for (col = 0; col < s->cols; col++)
			c[col] = (struct cell){.ch = e[0]};
		cells_row(s->g, row)->wrapped = false;
	}
	s->pen = pen;
	move_to(s, 0, 0);
}

static void feed_esc(struct screen *s, const struct scan_token *t)
{
	bool was = s->modes.alternate;

	modes_apply(&s->modes, t, s->rows);
	if (!filter_is_drawing(t))
		return;
	s->generation++;
	if (t->inters) {
		if (t->inter == '#')
			fill_with_e(s);
		return;
	}
	switch (t->final) {
	case 'c':
		s->modes.alternate = was;
		hard_reset(s);
		break;
	case '7':
		move_save(s);
		break;
	case '8':
		move_restore(s);
		break;
	case 'H':
		move_set_tab(s);
		break;
	case 'D':
	case 'E':
	case 'M':
		edit(s, t);
		break;
	default:
		break;
	}
}

static void feed_c0(struct screen *s, const struct scan_token *t)
{
	switch (t->final) {
	case 0x07:
		if (s->ops.bell)
			s->ops.bell(s->arg);
		return;
	case 0x08:
		move_to(s, s->cur.row, s->cur.col - 1);
		break;
	case '\t':
		move_tab(s, 1);
		break;
	case '\n':
	case 0x0b:
	case 0x0c:
		text_linefeed(s, s->pen.bg);
		break;
	case '\r':
		s->cur.col = 0;
		s->cur.wrap = false;
		break;
	default:
		modes_apply(&s->modes, t, s->rows);
		return;
	}
	s->generation++;
}

/* OSC 8: the pen's link from now on. "8;params;uri", without an uri: none. */
static void feed_link(struct screen *s, const struct scan_token *t)
{
	const char *text = (const char *)t->data + 2, *uri = strchr(text, ';');

	if (!filter_is_link(t))
		return;
	s->pen.link = uri && uri[1] ? link_number(s, text) : 0;
}

static void feed_osc(struct screen *s, const struct scan_token *t)
{
	modes_apply(&s->modes, t, s->rows);
	if ((t->data[0] == '0' || t->data[0] == '2') && s->ops.title)
		s->ops.title(s->arg);
	else if (!marks_apply(&s->marks, t))
		feed_link(s, t);
	else if (s->ops.mark)
		s->ops.mark(s->arg);
}

static void answer(struct screen *s, const struct scan_token *t)
{
	struct query_state q = {.modes = &s->modes, .rows = s->rows, .cols = s->cols, .row = s->cur.row,
		.col = s->cur.col};
	struct buf out;

	if (!s->ops.reply || !query_possible(t))
		return;
	screen_pen(s, &q.pen);
	buf_init(&out, REPLY_MAX);
	if (query_answer(t, &q, &out) == 0 && out.len > 0)
		s->ops.reply(s->arg, buf_data(&out), out.len);
	buf_finish(&out);
}

static void on_token(void *arg, const struct scan_token *t)
{
	struct screen *s = arg;

	switch (t->kind) {
	case SCAN_TEXT:
		text_put(s, t->data, t->len);
		break;
	case SCAN_C0:
		feed_c0(s, t);
		break;
	case SCAN_ESC:
		feed_esc(s, t);
		answer(s, t);
		break;
	case SCAN_CSI:
		if (!t->leader && !t->inters && t->final == 'b') {
			feed_repeat(s, t);
			return;
		}
		feed_csi(s, t);
		answer(s, t);
		break;
	case SCAN_OSC:
		feed_osc(s, t);
		answer(s, t);
		break;
	case SCAN_STRING:
		answer(s, t);
		break;
	}
	if (s->live && filter_token(t, &s->modes, s->live) < 0)
		s->live_full = true;
}

int screen_feed(struct screen *s, const void *data, size_t len, struct buf *live)
{
	s->live = live;
	s->live_full = false;
	scan_feed(&s->scan, data, len, on_token, s);
	s->live = NULL;
	return s->live_full ? -1 : 0;
}

size_t screen_pending(const struct screen *s)
{
	return scan_pending(&s->scan);
}

/* --- size --- */

/* Rows below the cursor go first, as tmux does it, then those at the top. */
static int cut_top(int rows, int cursor)
{
	return cursor >= rows ? cursor - rows + 1 : 0;
}

void screen_resize(struct screen *s, int rows, int cols)
{
	int cut, primary = s->modes.alternate && s->saved[0].valid ? s->saved[0].at.row : s->cur.row;

	rows = clamp_rows(rows);
	cols = clamp_cols(cols);
	if (rows == s->rows && cols == s->cols)
		return;
	cut = cut_top(rows, primary);
	cells_resize(&s->grid[0], rows, cols, cut);
	if (s->saved[0].valid)
		s->saved[0].at.row = s->saved[0].at.row > cut ? s->saved[0].at.row - cut : 0;
	if (s->modes.alternate) {
		cut = cut_top(rows, s->cur.row);
		cells_resize(&s->grid[1], rows, cols, cut);
	}
	if (cols > s->cols)
		tabs_reset(s, s->cols);
	s->rows = rows;
	s->cols = cols;
	/* As xterm: a new size ends the scrolling region. */
	s->modes.top = s->modes.bottom = 0;
	vt_write(s, "\033[r\033[H", 6);
	vterm_set_size(s->vt, rows, cols);
	move_to(s, s->cur.row - cut, s->cur.col);
	s->generation++;
}
