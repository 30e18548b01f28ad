/* SPDX-License-Identifier: ISC */
/* Do two screens stand alike, in all that can be seen of them now or later? For tests and fuzzing. */
#ifndef TESTS_SCREEN_SAME_H
#define TESTS_SCREEN_SAME_H

#include <stdio.h>
#include <string.h>

#include "place/shim/screen.h"

static char same_why[256];

#define SAME_FAIL(...) (snprintf(same_why, sizeof(same_why), __VA_ARGS__), same_why)

/* Links are the same when their texts are, whatever their numbers. */
static inline bool same_attr(const struct screen *a, const struct screen *b, struct screen_attr x,
	struct screen_attr y)
{
	const char *la = screen_link(a, x.link), *lb = screen_link(b, y.link);

	if ((la || lb) && (!la || !lb || strcmp(la, lb) != 0))
		return false;
	x.link = y.link = 0;
	return memcmp(&x, &y, sizeof(x)) == 0;
}

static inline const char *same_cells(const struct screen *a, const struct screen *b, bool alternate)
{
	struct screen_cell x, y;
	int rows, cols, r, c;

	screen_size(a, &rows, &cols);
	for (r = 0; r < rows; r++) {
		for (c = 0; c < cols; c++) {
			screen_cell_on(a, alternate, r, c, &x);
			screen_cell_on(b, alternate, r, c, &y);
			if (memcmp(x.chars, y.chars, sizeof(x.chars)) != 0 || x.width != y.width ||
				!same_attr(a, b, x.attr, y.attr))
				return SAME_FAIL("screen %d cell %d,%d: U+%X/%d flags %x bg %d:%d link %d; U+%X/%d "
						 "flags %x bg %d:%d link %d", alternate, r, c, x.chars[0], x.width,
					x.attr.flags, x.attr.bg.kind, x.attr.bg.r, x.attr.link, y.chars[0], y.width,
					y.attr.flags, y.attr.bg.kind, y.attr.bg.r, y.attr.link);
		}
		if (screen_row_wrapped(a, alternate, r) != screen_row_wrapped(b, alternate, r))
			return SAME_FAIL("screen %d row %d: runs on in one only", alternate, r);
	}
	return NULL;
}

static inline const char *same_saved(const struct screen *a, const struct screen *b, bool alternate)
{
	struct screen_saved none = {.charset = {'B', 'B', 'B', 'B'}}, x = none, y = none;

	screen_saved(a, alternate, &x);
	screen_saved(b, alternate, &y);
	if (x.row != y.row || x.col != y.col || x.wrap != y.wrap || x.origin != y.origin || x.shift != y.shift ||
		memcmp(x.charset, y.charset, 2) != 0 || !same_attr(a, b, x.pen, y.pen))
		return SAME_FAIL("screen %d saved cursor: %d,%d wrap %d origin %d; %d,%d wrap %d origin %d", alternate,
			x.row, x.col, x.wrap, x.origin, y.row, y.col, y.wrap, y.origin);
	return NULL;
}

/* snapshot: also what views are not given. */
static inline const char *same_modes(const struct screen *a, const struct screen *b, bool snapshot)
{
	const struct modes *x = screen_modes(a), *y = screen_modes(b);
	uint32_t ignored = snapshot ? 0 : 1u << MODE_SYNC_OUTPUT | 1u << MODE_CURSOR_BLINK | 1u << MODE_ALT_SCROLL;
	int rows, cols, i;

	screen_size(a, &rows, &cols);
	if ((x->set & ~ignored) != (y->set & ~ignored))
		return SAME_FAIL("modes %x; %x", x->set & ~ignored, y->set & ~ignored);
	if (x->insert != y->insert || x->cursor_style != y->cursor_style || x->shift != y->shift ||
		memcmp(x->charset, y->charset, 2) != 0)
		return SAME_FAIL("insert, cursor style or charsets");
	if (x->top != y->top || x->bottom != y->bottom)
		return SAME_FAIL("region %d,%d; %d,%d", x->top, x->bottom, y->top, y->bottom);
	if (modes_kitty_flags(x) != modes_kitty_flags(y) || x->modify_other_keys != y->modify_other_keys)
		return SAME_FAIL("keyboard flags");
	if (strcmp(x->title, y->title) != 0)
		return SAME_FAIL("title '%.99s'; '%.99s'", x->title, y->title);
	for (i = 0; i < cols; i++)
		if (screen_tabs(a, i) != screen_tabs(b, i))
			return SAME_FAIL("tab stop at %d in one only", i);
	if (!snapshot)
		return NULL;
	if (x->titles_depth != y->titles_depth ||
		memcmp(x->titles, y->titles, x->titles_depth * sizeof(x->titles[0])) != 0)
		return SAME_FAIL("stacks of titles: %d; %d", x->titles_depth, y->titles_depth);
	for (i = 0; i < 1 + x->alternate; i++)
		if (x->kitty_depth[i] != y->kitty_depth[i] || memcmp(x->kitty[i], y->kitty[i], x->kitty_depth[i]) != 0)
			return SAME_FAIL("stack of keyboard flags %d: %d; %d", i, x->kitty_depth[i], y->kitty_depth[i]);
	return NULL;
}

/* NULL, or the first difference (valid until the next call). */
static inline const char *screens_differ(const struct screen *a, const struct screen *b, bool snapshot)
{
	struct screen_attr pa, pb;
	int ra, ca, rb, cb, k;
	bool alternate = screen_modes(a)->alternate;
	const char *why;

	screen_size(a, &ra, &ca);
	screen_size(b, &rb, &cb);
	if (ra != rb || ca != cb || alternate != screen_modes(b)->alternate)
		return SAME_FAIL("size %d,%d; %d,%d or which screen", ra, ca, rb, cb);
	for (k = 0; k <= alternate; k++)
		if ((why = same_cells(a, b, k == 1)) || (why = same_saved(a, b, k == 1)))
			return why;
	screen_cursor(a, &ra, &ca);
	screen_cursor(b, &rb, &cb);
	if (ra != rb || ca != cb || screen_wrap_pending(a) != screen_wrap_pending(b))
		return SAME_FAIL("cursor %d,%d wrap %d; %d,%d wrap %d", ra, ca, screen_wrap_pending(a), rb, cb,
			screen_wrap_pending(b));
	screen_pen(a, &pa);
	screen_pen(b, &pb);
	if (!same_attr(a, b, pa, pb))
		return SAME_FAIL("pen");
	return same_modes(a, b, snapshot);
}

#endif
