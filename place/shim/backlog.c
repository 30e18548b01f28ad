/* SPDX-License-Identifier: ISC */
/*
 * The lines above the screen, painted into the scrollback of a terminal that has just come to look.
 *
 * As with `read --lines` (history.c), the recording's tail is fed to a second emulator, whose lines are
 * caught as they leave the top. A new pane is to be there at once, so a short tail is tried first, and
 * a longer one only while lines are wanting and the time lasts.
 *
 * The seam: what follows on the lines is the screen as it is now, which need not be what the second
 * emulator ends with (the terminal may have had another size, or the tail begins too late for it). So
 * the screen's first line is looked for among all that was seen, and the lines end just above it.
 */
#include "place/shim/backlog.h"

#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "place/shim/history.h"
#include "place/shim/paint.h"

#define TAIL_FIRST (32 * 1024)
#define TAIL_LAST (512 * 1024)
#define TAIL_STEP 4
#define TIME_US 5000 /* spent: then no longer tail is tried */

struct line {
	char *paint; /* owned */
	size_t len;
	int width;
	uint64_t text; /* a hash of its characters: for the seam */
};

/* Lines that scrolled off, a ring; then, for the seam, the rows of the second emulator's screen. */
struct lines {
	struct line *at;
	size_t max, count, next;
};

static uint64_t hash_add(uint64_t h, uint32_t v)
{
	return (h ^ v) * 0x100000001b3ull;
}

/* Of a line's characters, blanks at its end left out. */
static uint64_t hash_cells(const struct screen_cell *cells, int cols)
{
	uint64_t h = 0xcbf29ce484222325ull;
	int i, k;

	while (cols > 0 && (cells[cols - 1].chars[0] == 0 || cells[cols - 1].chars[0] == ' '))
		cols--;
	for (i = 0; i < cols; i++) {
		h = hash_add(h, cells[i].chars[0] ? cells[i].chars[0] : ' ');
		for (k = 1; k < SCREEN_CELL_CHARS && cells[i].chars[k]; k++)
			h = hash_add(h, cells[i].chars[k]);
	}
	return h;
}

static uint64_t hash_row(const struct screen *s, int row, bool *blank)
{
	struct screen_cell cells[SCREEN_COLS_MAX];
	int rows, cols, i;

	screen_size(s, &rows, &cols);
	*blank = true;
	for (i = 0; i < cols; i++) {
		screen_cell(s, row, i, &cells[i]);
		if (cells[i].chars[0] != 0 && cells[i].chars[0] != ' ')
			*blank = false;
	}
	return hash_cells(cells, cols);
}

static void on_row(void *arg, const struct screen_cell *cells, int cols)
{
	struct lines *ls = arg;
	struct line *l = &ls->at[ls->next];
	struct buf b;

	buf_init(&b, (size_t)(cols + 1) * 64);
	free(l->paint);
	paint_line(cells, cols, &b);
	l->paint = b.len ? xstrndup((const char *)buf_data(&b), b.len) : NULL;
	l->len = b.len;
	l->width = cols;
	l->text = hash_cells(cells, cols);
	buf_finish(&b);
	ls->next = (ls->next + 1) % ls->max;
	if (ls->count < ls->max)
		ls->count++;
}

static struct line *line_at(const struct lines *ls, size_t i)
{
	return &ls->at[(ls->next + ls->max - ls->count + i) % ls->max];
}

static void lines_finish(struct lines *ls)
{
	for (size_t i = 0; i < ls->max; i++)
		free(ls->at[i].paint);
	free(ls->at);
	*ls = (struct lines){0};
}

/* The rows of a screen down to the last that is not blank, by their hashes. */
static int hash_screen(const struct screen *s, uint64_t hash[SCREEN_ROWS_MAX])
{
	int rows, cols, n = 0;
	bool blank;

	screen_size(s, &rows, &cols);
	for (int i = 0; i < rows; i++) {
		hash[i] = hash_row(s, i, &blank);
		if (!blank)
			n = i + 1;
	}
	return n;
}

/* How many of the lines stand above the screen as it is now. */
static size_t find_seam(const struct lines *ls, const struct screen *scratch, const struct screen *now)
{
	uint64_t was[SCREEN_ROWS_MAX], is[SCREEN_ROWS_MAX];
	int nwas = hash_screen(scratch, was), nis = hash_screen(now, is);
	size_t all = ls->count + (size_t)nwas, k;

	if (screen_modes(now)->alternate || nis == 0 || (nis == nwas && memcmp(was, is, (size_t)nis * 8) == 0))
		return ls->count;
	/* Where the screen as it is now lies on all that was seen: the last such place. */
	for (k = all; k-- > 0;) {
		size_t i = 0, m = all - k < (size_t)nis ? all - k : (size_t)nis;

		while (i < m && is[i] == (k + i < ls->count ? line_at(ls, k + i)->text : was[k + i - ls->count]))
			i++;
		if (i == m && m == (size_t)nis)
			break;
	}
	if (k == (size_t)-1)
		return ls->count;
	return k;
}

/* The rows of the second emulator that stand above the screen as it is now become lines too. */
static void take_rows(struct lines *ls, const struct screen *scratch, size_t n)
{
	struct screen_cell cells[SCREEN_COLS_MAX];
	int rows, cols, used;

	screen_size(scratch, &rows, &cols);
	for (size_t row = 0; row < n && row < (size_t)rows; row++) {
		used = 0;
		for (int i = 0; i < cols; i++) {
			screen_cell(scratch, (int)row, i, &cells[i]);
			if (cells[i].chars[0] != 0 && cells[i].chars[0] != ' ')
				used = i + 1;
		}
		on_row(ls, cells, used);
	}
}

/* Catches the lines of a tail that long; true when a longer one would have more to give. */
static int catch_lines(struct record *r, const struct screen *now, size_t tail_len, struct lines *ls, struct err *e)
{
	const struct screen_ops ops = {.row = on_row};
	struct screen *scratch;
	size_t seam;
	int rc = history_scratch(record_tape(r), now, tail_len, &ops, ls, &scratch, e);

	if (rc < 0)
		return -1;
	seam = find_seam(ls, scratch, now);
	if (seam < ls->count) {
		size_t drop = ls->count - seam;

		ls->next = (ls->next + ls->max - drop) % ls->max;
		ls->count -= drop;
	} else {
		take_rows(ls, scratch, seam - ls->count);
	}
	screen_destroy(scratch);
	return rc;
}

static int height(const struct line *l, int cols)
{
	return l->width <= cols ? 1 : (l->width + cols - 1) / cols;
}

/* Lines are written from the top; then as many as still stand there are pushed up and out. */
static int put_lines(const struct lines *ls, int rows, int cols, struct buf *out)
{
	int used = 0, rc = paint_begin(out);

	rc |= buf_printf(out, "\033[2J\033[H\033[?7h");
	for (size_t i = 0; i < ls->count; i++) {
		const struct line *l = line_at(ls, i);

		rc |= buf_append(out, l->paint, l->len) | buf_append(out, "\r\n", 2);
		used += used < rows ? height(l, cols) : 0;
	}
	used = used < rows ? used : rows - 1;
	rc |= buf_printf(out, "\033[%d;1H", rows);
	while (used-- > 0)
		rc |= buf_append(out, "\n", 1);
	return rc ? -1 : 0;
}

int backlog_paint(struct record *r, const struct screen *now, int lines, int rows, int cols, struct buf *out,
	struct err *e)
{
	struct lines ls = {.max = (size_t)(lines > BACKLOG_LINES_MAX ? BACKLOG_LINES_MAX : lines)};
	int64_t begun = clock_mono_us();
	size_t tail = TAIL_FIRST;
	struct buf paint;
	int rc;

	if (lines <= 0 || rows < 1 || cols < 1)
		return 0;
	for (;;) {
		ls.at = xcalloc(ls.max, sizeof(*ls.at));
		rc = catch_lines(r, now, tail, &ls, e);
		if (rc <= 0 || ls.count == ls.max || tail >= TAIL_LAST || clock_mono_us() - begun > TIME_US)
			break;
		tail *= TAIL_STEP;
		lines_finish(&ls);
		ls.max = (size_t)(lines > BACKLOG_LINES_MAX ? BACKLOG_LINES_MAX : lines);
	}
	if (rc >= 0 && ls.count > 0) {
		buf_init(&paint, BACKLOG_BYTES_MAX);
		rc = put_lines(&ls, rows, cols, &paint) < 0 ? err_set(e, ERR_LIMIT, "the lines are too long")
							     : buf_append(out, buf_data(&paint), paint.len);
		buf_finish(&paint);
	}
	lines_finish(&ls);
	return rc < 0 ? -1 : 0;
}
