/* SPDX-License-Identifier: ISC */
/* An emulator that goes through a recording. */
#include "place/shim/player.h"

#include "base/util.h"

#define LOOK_BACK (8u * 1024 * 1024) /* a recording of old has no keys: no further back than this for one */
#define LEAD_MAX 4096 /* looked through for where a line begins, when nothing tells the state */

struct player {
	struct tape *tape;
	struct walk *walk;
	struct screen *screen;
	int rows, cols;
	struct screen_ops ops;
	void *arg;
	bool lost;     /* bytes are missing: the next key is taken */
	bool ragged;   /* and there was none: what comes begins anywhere */
	bool seeking;  /* lines are not told yet: they left before the place that was asked for */
	struct walk_step held; /* a part of its data was taken */
};

struct player *player_create(struct tape *t, int rows, int cols, const struct screen_ops *ops, void *arg)
{
	struct player *p = xcalloc(1, sizeof(*p));

	p->tape = t;
	p->rows = rows;
	p->cols = cols;
	if (ops)
		p->ops = *ops;
	p->arg = arg;
	p->walk = walk_create(t);
	p->screen = screen_create(rows, cols, &p->ops, arg);
	p->lost = true;
	return p;
}

void player_destroy(struct player *p)
{
	if (!p)
		return;
	walk_destroy(p->walk);
	screen_destroy(p->screen);
	free(p);
}

struct screen *player_screen(struct player *p)
{
	return p->screen;
}

struct screen *player_take_screen(struct player *p)
{
	return take_ptr(p->screen);
}

/* A new emulator, brought to a key's state without a word to anybody. */
static void take_key(struct player *p, const struct walk_step *k)
{
	int rows = k->rows ? k->rows : p->rows, cols = k->cols ? k->cols : p->cols;
	struct screen_ops ops = p->ops;

	screen_destroy(p->screen);
	p->screen = screen_create(rows, cols, &ops, p->arg);
	if (k->len) {
		screen_catch_lines(p->screen, false);
		screen_feed(p->screen, k->data, k->len, NULL);
	}
	screen_catch_lines(p->screen, !p->seeking);
	p->lost = false;
	p->ragged = k->len == 0 && k->offset > 0;
}

/* Rubbish at the head of bytes that begin anywhere: the rest of a sequence, half a line. */
static size_t lead(struct player *p, const unsigned char *d, size_t len)
{
	size_t look = len < LEAD_MAX ? len : LEAD_MAX;
	const unsigned char *nl = memchr(d, '\n', look), *esc = memchr(d, 0x1b, look);

	p->ragged = false;
	return nl ? (size_t)(nl - d) + 1 : esc ? (size_t)(esc - d) : 0;
}

static bool feed(struct player *p, const struct walk_step *s, struct buf *live)
{
	size_t skip = p->ragged ? lead(p, s->data, s->len) : 0;

	return screen_feed(p->screen, s->data + skip, s->len - skip, live) == 0;
}

/* False when a view that was given live must be painted anew. */
static bool apply(struct player *p, const struct walk_step *s, struct buf *live)
{
	switch (s->kind) {
	case WALK_KEY:
		/* In the middle of things the emulator knows as much as the key, and more of its lines. */
		if (!p->lost && !s->gap)
			return true;
		take_key(p, s);
		return false;
	case WALK_DATA:
		return feed(p, s, live);
	case WALK_SIZE:
		screen_resize(p->screen, s->rows, s->cols);
		return false;
	case WALK_GAP:
		p->lost = true;
		return true;
	}
	return true;
}

int player_next(struct player *p, struct walk_step *ret, struct buf *live, bool *ret_whole, struct err *e)
{
	struct walk_step s = p->held;
	int r = 1;

	if (live)
		buf_clear(live);
	p->held.len = 0;
	if (!s.len)
		r = walk_next(p->walk, &s, e);
	if (r <= 0)
		return r;
	*ret_whole = apply(p, &s, live);
	*ret = s;
	return 1;
}

/* The last segment from which on the state can be known: one with a key, else the first. */
static uint64_t begin_at(struct player *p, uint64_t offset)
{
	struct stock *s = tape_stock(p->tape);
	size_t i = stock_find(s, offset);
	struct timeline_head head;
	struct timeline line;
	uint64_t at;
	struct buf b;

	if (s->n == 0)
		return 0;
	buf_init(&b, TIMELINE_MAX + 1);
	i = i == s->n ? s->n : i + 1;
	while (i-- > 0)
		if (i < s->n && s->seg[i].start <= offset &&
			(offset - s->seg[i].start > LOOK_BACK || (tape_times(p->tape, i, &b, &head, &line) == 0 && head.key_len)))
			break;
	at = i < s->n ? s->seg[i].start : s->seg[0].start;
	buf_finish(&b);
	return at;
}

/* Goes on to the offset; 0 there, or at the end. */
static int seek(struct player *p, uint64_t offset, struct err *e)
{
	struct walk_step s;
	int r;

	while ((r = walk_next(p->walk, &s, e)) > 0) {
		size_t before = offset > s.offset ? (size_t)(offset - s.offset) : 0;

		if (s.kind == WALK_DATA && before < s.len) {
			p->held = s;
			p->held.data += before;
			p->held.offset += before;
			p->held.len -= before;
			s.len = before;
			if (before)
				feed(p, &s, NULL);
			return 0;
		}
		apply(p, &s, NULL);
	}
	return r;
}

int player_to(struct player *p, uint64_t offset, struct err *e)
{
	int r;

	walk_from(p->walk, begin_at(p, offset));
	p->lost = true;
	p->held.len = 0;
	p->seeking = true;
	screen_catch_lines(p->screen, false);
	r = seek(p, offset, e);
	p->seeking = false;
	screen_catch_lines(p->screen, true);
	return r;
}
