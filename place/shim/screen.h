/* SPDX-License-Identifier: ISC */
/*
 * The screen of one terminal: bytes in, cells and modes out, the program's queries answered here. The
 * only user of libvterm.
 */
#ifndef SHIM_SCREEN_H
#define SHIM_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "place/shim/marks.h"
#include "place/shim/modes.h"

#define SCREEN_ROWS_MAX 500
#define SCREEN_COLS_MAX 1000
#define SCREEN_CELL_CHARS 11 /* tmux keeps 21 bytes of a character: a letter and ten marks */

struct screen_color {
	enum { COLOR_DEFAULT, COLOR_INDEX, COLOR_RGB } kind;
	uint8_t r, g, b; /* INDEX: r is the index */
};

enum {
	ATTR_BOLD = 1,
	ATTR_DIM = 2,
	ATTR_ITALIC = 4,
	ATTR_BLINK = 8,
	ATTR_REVERSE = 16,
	ATTR_CONCEAL = 32,
	ATTR_STRIKE = 64,
	ATTR_OVERLINE = 128,
};

struct screen_attr {
	uint8_t flags;
	uint8_t underline; /* 0 none, 1 single, 2 double, 3 curly, 4 dotted, 5 dashed */
	uint16_t link;     /* for screen_link; 0: none */
	struct screen_color fg, bg, us; /* us: the underline's */
};

struct screen_cell {
	uint32_t chars[SCREEN_CELL_CHARS]; /* 0 behind the last; chars[0] 0: never written or erased */
	uint8_t width;                     /* 1 or 2; 0: the right half of a wide character */
	struct screen_attr attr;
};

#define SCREEN_CELL_UTF8_MAX (SCREEN_CELL_CHARS * 4)

struct screen_ops {
	/* An answer to the program's query: goes to the program's terminal as input. */
	void (*reply)(void *arg, const void *data, size_t len);
	void (*bell)(void *arg);
	void (*title)(void *arg);
	/* The marks of its prompt moved. */
	void (*mark)(void *arg);
	/* A line left the top of the primary screen (UTF-8, trailing blanks trimmed). */
	void (*line)(void *arg, const char *text, size_t len);
	/* The same line as its cells, what was never written at its end left out. */
	void (*row)(void *arg, const struct screen_cell *cells, int cols);
	/* The program asked that the lines which left be forgotten (ED 3). */
	void (*erased)(void *arg);
};

struct screen;

/* ops and each of its members may be NULL. Sizes are clamped to 1..MAX rows, 2..MAX columns. */
struct screen *screen_create(int rows, int cols, const struct screen_ops *ops, void *arg);
void screen_destroy(struct screen *s);
/* Feeds output of the program. What a view may see of it (queries, DCS, clipboard and everything
 * unknown removed) is appended to live when that is not NULL; -1 when live was full (the screen is
 * right all the same; the view must be repainted). */
int screen_feed(struct screen *s, const void *data, size_t len, struct buf *live);
/* Switches ops.line and ops.row on and off (on at first): turning every line into text takes time. */
void screen_catch_lines(struct screen *s, bool on);
/* Bytes fed last that belong to an unfinished sequence: a snapshot taken now stands that far back. */
size_t screen_pending(const struct screen *s);
void screen_resize(struct screen *s, int rows, int cols);
void screen_size(const struct screen *s, int *rows, int *cols);
void screen_cursor(const struct screen *s, int *row, int *col);
/* The cursor stands behind the last column: the next character wraps. */
bool screen_wrap_pending(const struct screen *s);
const struct modes *screen_modes(const struct screen *s);
const struct marks *screen_marks(const struct screen *s);
void screen_cell(const struct screen *s, int row, int col, struct screen_cell *ret);
/* The cell's characters as UTF-8, no NUL; returns the length (0: blank). */
size_t screen_cell_utf8(const struct screen_cell *c, char out[SCREEN_CELL_UTF8_MAX]);
/* One character as UTF-8 (at most 4 bytes). */
size_t screen_utf8(uint32_t c, char *out);
void screen_pen(const struct screen *s, struct screen_attr *ret);
/* What DECSC keeps, on each screen its own: false when nothing is saved. */
struct screen_saved {
	int row, col;
	bool wrap, origin;
	struct screen_attr pen;
	uint8_t shift;
	unsigned char charset[4];
};
bool screen_saved(const struct screen *s, bool alternate, struct screen_saved *ret);
/* A cell of either screen; the alternate one is blank while it does not show. */
void screen_cell_on(const struct screen *s, bool alternate, int row, int col, struct screen_cell *ret);
/* The row's text ran on into the next row, and does so still. */
bool screen_row_wrapped(const struct screen *s, bool alternate, int row);
/* As screen_row_wrapped, with how many blanks at the row's end, which its text leaves out, belong between
 * both. row -1: the one that ops.line is being told of. */
bool screen_row_goes_on(const struct screen *s, bool alternate, int row, int *ret_blanks);
/* "params;uri" of a hyperlink, or NULL. */
const char *screen_link(const struct screen *s, unsigned number);
/* Were there ever links? */
bool screen_links_used(const struct screen *s);
bool screen_tabs(const struct screen *s, int col);
/* Were tab stops ever set or cleared? */
bool screen_tabs_used(const struct screen *s);
/* Appends one row's text, trailing blanks trimmed, no newline. */
int screen_row_text(const struct screen *s, int row, struct buf *out);
/* Appends the whole screen's text: lines ended by \n, empty lines at the foot left out. */
int screen_text(const struct screen *s, struct buf *out);
/* Is text on the screen, on one line or running on over full lines? */
bool screen_contains(const struct screen *s, const char *text);
/* Changes with whatever was painted; for noticing that nothing did. */
uint64_t screen_generation(const struct screen *s);

#endif
