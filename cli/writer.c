/* SPDX-License-Identifier: ISC */
/* The two back ends of every verb's result, and the error of a program that cannot write. */
#include "cli/writer.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/util.h"
#include "cli/text.h"

#define FIELD_COLUMN 14

static const char *const colors[C_COUNT] = {
	[C_NONE] = "",
	[C_DIM] = "\033[2m",
	[C_BOLD] = "\033[1m",
	[C_RED] = "\033[31m",
	[C_GREEN] = "\033[32m",
	[C_YELLOW] = "\033[1;33m",
	[C_BLUE] = "\033[34m",
	[C_MAGENTA] = "\033[35m",
	[C_CYAN] = "\033[36m",
};

const char *color_on(bool on, enum color c)
{
	return on ? colors[c] : "";
}

const char *color_off(bool on, enum color c)
{
	return on && c != C_NONE ? "\033[0m" : "";
}

static bool wants_color(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(f)) && !(no && no[0]) && !(term && strcmp(term, "dumb") == 0);
}

void writer_init(struct writer *w, FILE *out, bool json)
{
	struct winsize ws;

	*w = (struct writer){.out = out, .json = json};
	w->color = !json && wants_color(out);
	w->color_err = wants_color(stderr);
	if (isatty(fileno(out)))
		w->width = ioctl(fileno(out), TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 ? ws.ws_col : 80;
}

static void dump(const struct writer *w, const json_t *value, size_t flags)
{
	json_dumpf(value, w->out, flags | JSON_ENCODE_ANY);
	fputc('\n', w->out);
}

void writer_json(const struct writer *w, const json_t *value)
{
	dump(w, value, w->width ? JSON_INDENT(2) : JSON_COMPACT);
}

void writer_json_line(const struct writer *w, const json_t *value)
{
	dump(w, value, JSON_COMPACT);
	fflush(w->out);
}

void writer_text(const struct writer *w, enum color c, const char *s)
{
	cleanup_free char *safe = text_escape(s, true);

	fprintf(w->out, "%s%s%s", color_on(w->color, c), safe, color_off(w->color, c));
}

void writer_printf(const struct writer *w, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	writer_text(w, C_NONE, s);
	free(s);
}

void writer_field(const struct writer *w, const char *name, enum color c, const char *value)
{
	cleanup_free char *safe = text_escape(value, false);

	fprintf(w->out, "%s%s:%s%*s%s%s%s\n", color_on(w->color, C_DIM), name, color_off(w->color, C_DIM),
		(int)(strlen(name) + 1 < FIELD_COLUMN ? FIELD_COLUMN - strlen(name) - 1 : 1), "",
		color_on(w->color, c), safe, color_off(w->color, c));
}

void writer_field_if(const struct writer *w, const char *name, const char *value)
{
	if (value[0])
		writer_field(w, name, C_NONE, value);
}

bool writer_broken(const struct writer *w)
{
	return ferror(w->out) != 0;
}

int writer_finish(struct writer *w, struct err *e)
{
	errno = 0;
	if (fflush(w->out) == 0 && !ferror(w->out))
		return 0;
	if (errno == EPIPE || errno == 0)
		return 0;
	return err_set_errno(e, ERR_IO, errno, "the output cannot be written");
}

/* Tables. */

struct cell {
	char *text; /* escaped */
	enum color color;
};

struct table {
	struct table_title *columns;
	size_t ncolumns;
	struct cell *cells;
	size_t ncells, room, nrows;
};

struct table *table_create(void)
{
	return xcalloc(1, sizeof(struct table));
}

void table_destroy(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->ncells; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t->columns);
	free(t);
}

void table_column(struct table *t, const char *title, unsigned flags)
{
	t->columns = xrealloc(t->columns, (t->ncolumns + 1) * sizeof(*t->columns));
	t->columns[t->ncolumns++] = (struct table_title){title, flags};
}

struct table *table_of(const struct table_title *titles, size_t n)
{
	struct table *t = table_create();

	for (size_t i = 0; i < n; i++)
		table_column(t, titles[i].title, titles[i].flags);
	return t;
}

static void add_cell(struct table *t, enum color c, char *text)
{
	if (t->ncells == t->room) {
		t->room = t->room ? t->room * 2 : 64;
		t->cells = xrealloc(t->cells, t->room * sizeof(*t->cells));
	}
	t->cells[t->ncells++] = (struct cell){text, c};
}

void table_row(struct table *t)
{
	/* Cells that the row before left out are empty. */
	while (t->ncells < t->nrows * t->ncolumns)
		add_cell(t, C_NONE, xstrdup(""));
	t->nrows++;
}

void table_cell(struct table *t, enum color c, const char *s)
{
	if (t->ncells < t->nrows * t->ncolumns)
		add_cell(t, c, text_escape(s, false));
}

void table_cellf(struct table *t, enum color c, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	table_cell(t, c, s);
	free(s);
}

static const struct cell *cell_at(const struct table *t, size_t row, size_t col)
{
	size_t i = row * t->ncolumns + col;
	return i < t->ncells ? &t->cells[i] : NULL;
}

/* Widths of the columns; 0 for those that are left out. Flexible ones give way to the terminal. */
static size_t *layout(const struct table *t, int width)
{
	size_t *w = xcalloc(t->ncolumns, sizeof(*w)), total = 0;

	for (size_t c = 0; c < t->ncolumns; c++) {
		size_t most = 0;
		for (size_t r = 0; r < t->nrows; r++) {
			const struct cell *cell = cell_at(t, r, c);
			size_t n = cell ? text_width(cell->text) : 0;
			most = n > most ? n : most;
		}
		if (most == 0 && (t->columns[c].flags & T_HIDE_EMPTY))
			continue;
		size_t title = strlen(t->columns[c].title);
		w[c] = most > title ? most : title;
		total += w[c] + (total ? 2 : 0);
	}
	while (width > 0 && total > (size_t)width) {
		size_t widest = t->ncolumns;
		for (size_t c = 0; c < t->ncolumns; c++)
			if ((t->columns[c].flags & T_FLEX) && w[c] > 8 &&
				(widest == t->ncolumns || w[c] > w[widest]))
				widest = c;
		if (widest == t->ncolumns)
			break;
		w[widest]--;
		total--;
	}
	return w;
}

static void write_cell(const struct writer *w, const struct table_title *col, const char *text, size_t width,
	enum color color, bool last)
{
	cleanup_free char *cut = (col->flags & T_PATH)   ? text_cut_front(text, width)
				 : (col->flags & T_FLEX) ? text_cut(text, width)
							 : xstrdup(text);
	size_t used = text_width(cut), pad = used < width ? width - used : 0;

	if (col->flags & T_RIGHT)
		fprintf(w->out, "%*s", (int)pad, "");
	fprintf(w->out, "%s%s%s", color_on(w->color, color), cut, color_off(w->color, color));
	if (!(col->flags & T_RIGHT) && !last)
		fprintf(w->out, "%*s", (int)pad, "");
}

static void write_row(const struct table *t, const struct writer *w, const size_t *widths, size_t row,
	bool title)
{
	bool first = true;
	size_t last = 0;

	for (size_t c = 0; c < t->ncolumns; c++)
		if (widths[c])
			last = c;
	for (size_t c = 0; c < t->ncolumns; c++) {
		const struct cell *cell = title ? NULL : cell_at(t, row, c);
		if (!widths[c])
			continue;
		if (!first)
			fputs("  ", w->out);
		first = false;
		write_cell(w, &t->columns[c], title ? t->columns[c].title : cell ? cell->text : "", widths[c],
			title  ? C_DIM
			: cell ? cell->color
			       : C_NONE,
			c == last);
	}
	fputc('\n', w->out);
}

void table_write(const struct table *t, const struct writer *w)
{
	size_t *widths = layout(t, w->width);

	write_row(t, w, widths, 0, true);
	for (size_t r = 0; r < t->nrows; r++)
		write_row(t, w, widths, r, false);
	free(widths);
}
