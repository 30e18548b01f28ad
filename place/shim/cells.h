/* SPDX-License-Identifier: ISC */
/*
 * The cells of one screen: rows in a ring, so that what scrolls is not copied. Cells behind a row's last
 * used one are blank without being written, so that erasing costs little too.
 */
#ifndef SHIM_CELLS_H
#define SHIM_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A packed colour: 0 is the default one. */
#define CELL_INDEX 0x01000000u
#define CELL_RGB 0x02000000u

enum { /* behind the eight of ATTR_* */
	CELL_UNDERLINE_SHIFT = 8,
	CELL_UNDERLINE = 7 << CELL_UNDERLINE_SHIFT,
	CELL_WIDE = 1 << 11,    /* the left half of a wide character */
	CELL_TAIL = 1 << 12,    /* its right half */
	CELL_CLUSTER = 1 << 13, /* ch is the number of a cluster */
};
#define CELL_SHAPE (CELL_WIDE | CELL_TAIL | CELL_CLUSTER)

struct cell {
	uint32_t ch; /* 0: never written, or erased */
	uint32_t fg, bg, us;
	uint16_t flags, link;
};

struct row {
	struct cell *cell;
	int used;     /* how many are real; the others are blanks */
	uint32_t rest; /* with this background */
	bool wrapped; /* its text goes on in the next row */
};

struct cells {
	int rows, cols, first; /* first: where row 0 stands in the ring */
	struct row *ring;
	struct cell *mem;
};

extern const struct cell cell_blank;

static inline bool cell_is_text(const struct cell *c)
{
	return c->ch || c->flags & CELL_SHAPE;
}

void cells_init(struct cells *g, int rows, int cols);
void cells_finish(struct cells *g);
static inline struct row *cells_row(const struct cells *g, int row)
{
	int i = g->first + row;

	return &g->ring[i < g->rows ? i : i - g->rows];
}
static inline struct cell cells_get(const struct cells *g, int row, int col)
{
	const struct row *r = cells_row(g, row);

	return col < r->used ? r->cell[col] : (struct cell){.bg = r->rest};
}
/* The row's cells, of which [from, to) may then be overwritten: wide characters that stand across either
 * end become blanks. */
struct cell *cells_open(struct cells *g, int row, int from, int to);
/* Blanks with background bg. */
void cells_erase(struct cells *g, int row, int from, int to, uint32_t bg);
/* Rows [top, bottom) move up by n (down when negative); what comes in is blank. */
void cells_scroll(struct cells *g, int top, int bottom, int n, uint32_t bg);
/* Cells of [from, cols) move right by n (left when negative). */
void cells_shift(struct cells *g, int row, int from, int n, uint32_t bg);
/* Another size: cut_top rows go at the top, the rest is cut or filled at the foot and the right. */
void cells_resize(struct cells *g, int rows, int cols, int cut_top);

#endif
