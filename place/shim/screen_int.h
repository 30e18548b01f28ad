/* SPDX-License-Identifier: ISC */
/* What the files of the emulator share: its state, and each file's part of it. */
#ifndef SHIM_SCREEN_INT_H
#define SHIM_SCREEN_INT_H

#include "place/shim/cells.h"
#include "place/shim/scan.h"
#include "place/shim/screen.h"

#define TABS_BYTES ((SCREEN_COLS_MAX + 7) / 8)
#define LINKS_MAX 512
#define LINKS_BYTES_MAX (256u * 1024)
#define LAST_MAX 4

struct cursor {
	int row, col;
	bool wrap; /* behind the last column: the next character goes to the next row */
};

struct saved_cursor {
	bool valid, origin;
	struct cursor at;
	struct cell pen;
	uint8_t shift;
	unsigned char charset[4];
};

/* Characters of more than one code point, by the number that cells hold. Collected when full. */
struct clusters {
	uint32_t (*v)[SCREEN_CELL_CHARS];
	uint32_t count, size;
};

/* Hyperlinks (OSC 8, "params;uri"), by the number that cells hold; 0 is none. Collected when full. */
struct links {
	char *text[LINKS_MAX];
	size_t bytes;
	bool used; /* ever */
};

struct screen {
	struct VTerm *vt;
	struct scan scan;
	struct modes modes;
	struct marks marks;
	int rows, cols;
	struct cells grid[2];  /* primary, alternate; the second exists while it shows */
	struct cells *g;       /* the one that shows */
	struct cursor cur, vt_cur; /* vt_cur: where libvterm has it */
	struct cell pen;       /* ch 0 */
	struct saved_cursor saved[2];
	unsigned char tabs[TABS_BYTES];
	bool tabs_used;        /* ever set or cleared */
	struct clusters clusters;
	struct links links;
	struct screen_ops ops;
	void *arg;
	struct buf line;  /* the text of one that scrolls off */
	struct buf *live; /* during screen_feed */
	bool live_full;
	bool catching;                /* lines that scroll off are wanted */
	int told;                     /* the row that ops.line is told of */
	unsigned char last[LAST_MAX]; /* the character printed last, for REP */
	size_t last_len;
	uint64_t generation;
};

/* width.c */
int char_width(uint32_t c);

/* text.c: characters onto the cells. */
void text_put(struct screen *s, const unsigned char *p, size_t len);
/* Down a row, scrolling the region at its foot. */
void text_linefeed(struct screen *s, uint32_t bg);
/* Rows [top, bottom) scroll by n; those that leave the primary screen at its top are told of. */
void text_scroll(struct screen *s, int top, int bottom, int n, uint32_t bg);

/* store.c: what cells refer to. */
size_t cluster_get(const struct screen *s, const struct cell *c, uint32_t ret[SCREEN_CELL_CHARS]);
/* Adds ch to what cell c shows; false when it has no room. */
bool cluster_add(struct screen *s, struct cell *c, uint32_t ch);
uint16_t link_number(struct screen *s, const char *text);
void store_finish(struct screen *s);

/* move.c: the cursor, tab stops, what is saved, which screen shows. */
void move_to(struct screen *s, int row, int col);
/* Cursor functions and tabs: false when t is none of these. */
bool move_csi(struct screen *s, const struct scan_token *t);
void move_tab(struct screen *s, int n);
void move_set_tab(struct screen *s);
void move_save(struct screen *s);
void move_restore(struct screen *s);
void move_screen(struct screen *s, int number, bool on);
void tabs_reset(struct screen *s, int from);

#endif
