/* SPDX-License-Identifier: ISC */
/* An emulator that goes through a recording: what the terminal showed at any offset, and what came then. */
#ifndef SHIM_PLAYER_H
#define SHIM_PLAYER_H

#include "place/shim/screen.h"
#include "record/walk.h"

struct player;

/* ops and arg are the emulator's (ops may be NULL). rows, cols: where the recording does not say. t stays
 * the caller's. */
struct player *player_create(struct tape *t, int rows, int cols, const struct screen_ops *ops, void *arg);
void player_destroy(struct player *p); /* NULL ok */
struct screen *player_screen(struct player *p);
/* The screen becomes the caller's; the player can only be destroyed. */
struct screen *player_take_screen(struct player *p);
/* Brings the screen to what it showed at offset (or the first kept, or the end): 0, -1 on errors. */
int player_to(struct player *p, uint64_t offset, struct err *e);
/* Goes on by one step, which the screen has then taken: as walk_next. live (may be NULL) is cleared and gets
 * what a view may see of it; *ret_whole is false when the screen must be painted anew for a view. */
int player_next(struct player *p, struct walk_step *ret, struct buf *live, bool *ret_whole, struct err *e);

#endif
