/* SPDX-License-Identifier: ISC */
/* What a terminal has been switched to: the state an emulator keeps but libvterm does not show. */
#ifndef SHIM_MODES_H
#define SHIM_MODES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "place/shim/scan.h"

#define MODES_TITLE_MAX 255
#define MODES_KITTY_DEPTH 8
#define MODES_TITLES 8 /* deepest stack of titles */

/* The DEC private modes that are known: PM(symbol, number). Others are not passed to views. */
#define MODES_PRIVATE(PM)                                                                          \
	PM(MODE_CURSOR_KEYS, 1)                                                                    \
	PM(MODE_REVERSE_VIDEO, 5)                                                                  \
	PM(MODE_ORIGIN, 6)                                                                         \
	PM(MODE_AUTOWRAP, 7)                                                                       \
	PM(MODE_MOUSE_X10, 9)                                                                      \
	PM(MODE_CURSOR_BLINK, 12)                                                                  \
	PM(MODE_CURSOR_VISIBLE, 25)                                                                \
	PM(MODE_KEYPAD, 66)                                                                        \
	PM(MODE_MOUSE_CLICK, 1000)                                                                 \
	PM(MODE_MOUSE_DRAG, 1002)                                                                  \
	PM(MODE_MOUSE_MOVE, 1003)                                                                  \
	PM(MODE_FOCUS, 1004)                                                                       \
	PM(MODE_MOUSE_UTF8, 1005)                                                                  \
	PM(MODE_MOUSE_SGR, 1006)                                                                   \
	PM(MODE_ALT_SCROLL, 1007)                                                                  \
	PM(MODE_MOUSE_URXVT, 1015)                                                                 \
	PM(MODE_MOUSE_PIXELS, 1016)                                                                \
	PM(MODE_BRACKETED_PASTE, 2004)                                                             \
	PM(MODE_SYNC_OUTPUT, 2026)                                                                 \
	PM(MODE_COLOUR_SCHEME, 2031)

enum mode_id {
#define PM(sym, number) sym,
	MODES_PRIVATE(PM)
#undef PM
	MODE_COUNT
};

struct modes {
	uint32_t set;              /* bit per mode_id */
	bool alternate;            /* 47, 1047, 1049 */
	bool insert;               /* ANSI mode 4 */
	uint8_t cursor_style;      /* DECSCUSR 0..6 */
	uint8_t modify_other_keys; /* CSI > 4 ; N m */
	uint8_t shift;             /* which of G0, G1 is in use */
	unsigned char charset[4];  /* designators of G0..G3 */
	int top, bottom;           /* scrolling region, first row and one past the last; 0,0: whole */
	/* Kitty keyboard flags: a stack for each of the two screens. */
	uint8_t kitty[2][MODES_KITTY_DEPTH];
	uint8_t kitty_depth[2];
	bool used_kitty, used_other_keys; /* ever: else modes_paint leaves them alone */
	char title[MODES_TITLE_MAX + 1];
	char titles[MODES_TITLES][MODES_TITLE_MAX + 1]; /* saved ones, the newest last */
	uint8_t titles_depth;
};

void modes_init(struct modes *m);
static inline bool modes_is_set(const struct modes *m, enum mode_id id)
{
	return (m->set >> id & 1u) != 0;
}
/* The table's index of a private mode number, or -1. */
int modes_find(int number);
int modes_number(enum mode_id id);
/* Takes note of what a token changes. rows: the screen's height. */
void modes_apply(struct modes *m, const struct scan_token *t, int rows);
/* The rows, from 1, of a DECSTBM; false when it names no region (terminals ignore it then). */
bool modes_region(const struct scan_token *t, int rows, int *top, int *bottom);
unsigned modes_kitty_flags(const struct modes *m);
/* Appends the sequences that bring a terminal in any state to these modes: input modes, cursor keys,
 * keypad, kitty flags, style. Not the screen, the region, origin, wrap, charset and cursor visibility,
 * which belong to the painting. 0, or -1 when out is full. */
int modes_paint(const struct modes *m, struct buf *out);
/* The stack of keyboard flags of one screen. */
int modes_paint_kitty(const struct modes *m, bool alternate, struct buf *out);
/* What only an emulator of ours should stand in too: stacks, synchronized output. Goes with the above. */
int modes_paint_rest(const struct modes *m, struct buf *out);

#endif
