/* SPDX-License-Identifier: ISC */
/* Going through a recording in order. */
#include "record/walk.h"

#include "base/util.h"

struct walk {
	struct tape *tape;
	uint64_t at;            /* the next byte */
	bool inside, moved;     /* in a segment; where we are was chosen, so nothing is missing before it */
	uint64_t start, end;    /* of that segment */
	int64_t ms;
	struct buf times;
	struct timeline line;
	struct moment ahead;    /* the next moment, while there is one */
	bool has_ahead;
	unsigned char piece[WALK_PIECE];
};

struct walk *walk_create(struct tape *t)
{
	struct walk *w = xcalloc(1, sizeof(*w));

	w->tape = t;
	w->ms = -1;
	buf_init(&w->times, TIMELINE_MAX + 1);
	walk_from(w, tape_first(t));
	return w;
}

void walk_destroy(struct walk *w)
{
	if (!w)
		return;
	buf_finish(&w->times);
	free(w);
}

void walk_from(struct walk *w, uint64_t offset)
{
	const struct stock *s = tape_stock(w->tape);
	size_t i = stock_find(s, offset);

	w->at = i < s->n ? s->seg[i].start : tape_end(w->tape);
	w->inside = false;
	w->moved = true;
}

static void look_ahead(struct walk *w)
{
	w->has_ahead = timeline_next(&w->line, &w->ahead) > 0;
}

static void enter(struct walk *w, size_t i, struct walk_step *ret)
{
	const struct stock *s = tape_stock(w->tape);
	struct segment seg = s->seg[i];
	struct timeline_head head = {0};

	*ret = (struct walk_step){.kind = WALK_KEY, .offset = seg.start, .gap = seg.start > w->at && !w->moved};
	w->inside = true;
	w->moved = false;
	w->start = seg.start;
	w->end = seg.start + seg.len;
	if (w->at < seg.start)
		w->at = seg.start;
	w->has_ahead = false;
	if (tape_times(w->tape, i, &w->times, &head, &w->line) == 0) {
		w->ms = head.ms;
		ret->rows = head.rows;
		ret->cols = head.cols;
		ret->data = head.key;
		ret->len = head.key_len;
		look_ahead(w);
	}
	ret->ms = w->ms;
}

static int read_on(struct walk *w, struct walk_step *ret, struct err *e)
{
	uint64_t most = w->end - w->at, at;
	ssize_t n;

	if (w->has_ahead && w->ahead.offset - w->at < most)
		most = w->ahead.offset - w->at;
	n = tape_read(w->tape, w->at, w->piece, most < WALK_PIECE ? (size_t)most : WALK_PIECE, &at, e);
	if (n < 0)
		return -1;
	if (n == 0 || at >= w->end) { /* the rest of the segment cannot be read */
		w->at = w->end;
		w->inside = false;
		*ret = (struct walk_step){.kind = WALK_GAP, .offset = w->at, .ms = w->ms};
		return 1;
	}
	if (at > w->at) { /* damage within it: what follows is read again, after it is said */
		w->at = at;
		*ret = (struct walk_step){.kind = WALK_GAP, .offset = at, .ms = w->ms};
		return 1;
	}
	*ret = (struct walk_step){.kind = WALK_DATA, .offset = at, .ms = w->ms, .data = w->piece, .len = (size_t)n};
	w->at += (uint64_t)n;
	return 1;
}

int walk_next(struct walk *w, struct walk_step *ret, struct err *e)
{
	const struct stock *s = tape_stock(w->tape);

	if (!w->inside || w->at >= w->end) {
		size_t i = stock_find(s, w->at);
		if (i == s->n)
			return 0;
		/* The segment we are in grew: its new bytes have no times yet. */
		if (!(w->inside && s->seg[i].start == w->start)) {
			enter(w, i, ret);
			return 1;
		}
		w->end = s->seg[i].start + s->seg[i].len;
	}
	while (w->has_ahead && w->ahead.offset <= w->at) {
		struct moment m = w->ahead;
		w->ms = m.ms;
		look_ahead(w);
		if (m.kind != MOMENT_SIZE)
			continue;
		*ret = (struct walk_step){.kind = WALK_SIZE, .offset = w->at, .ms = m.ms, .rows = m.rows, .cols = m.cols};
		return 1;
	}
	return read_on(w, ret, e);
}
