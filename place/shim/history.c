/* SPDX-License-Identifier: ISC */
/*
 * What has scrolled off a screen. Nothing of it is held in memory: the recording's tail goes through a second
 * emulator (player.h), whose lines are caught as they leave the top. A program that has the scrollback
 * erased (as those do that print all anew) has it erased here, as in any terminal: so what it prints again is
 * not there twice.
 */
#include "place/shim/history.h"

#include "base/util.h"
#include "place/shim/player.h"

#define JOINED_MAX (64 * 1024) /* a longer line is cut into several */

struct caught {
	struct player *player;
	struct buf *line; /* a ring */
	size_t max, count, next;
	bool goes_on; /* the newest runs on into the next */
};

static struct buf *newest(struct caught *c)
{
	return &c->line[(c->next + c->max - 1) % c->max];
}

static void add_blanks(struct buf *b, int n)
{
	while (n-- > 0)
		buf_append(b, " ", 1);
}

static void on_line(void *arg, const char *text, size_t len)
{
	struct caught *c = arg;
	struct buf *b;
	int blanks;

	if (!c->goes_on || !c->count || buf_room(newest(c)) < len + SCREEN_COLS_MAX) {
		buf_clear(&c->line[c->next]);
		c->next = (c->next + 1) % c->max;
		if (c->count < c->max)
			c->count++;
	}
	b = newest(c);
	buf_append(b, text, len);
	c->goes_on = screen_row_goes_on(player_screen(c->player), false, -1, &blanks);
	add_blanks(b, blanks);
}

static void on_erased(void *arg)
{
	struct caught *c = arg;

	c->count = c->next = 0;
	c->goes_on = false;
}

static int begin(struct tape *t, struct player *p, size_t len, struct err *e)
{
	uint64_t first = tape_first(t), end = tape_end(t);

	return player_to(p, end - first > len ? end - len : first, e);
}

static int finish(struct player *p, struct err *e)
{
	struct walk_step s;
	bool whole;
	int r;

	while ((r = player_next(p, &s, NULL, &whole, e)) > 0)
		;
	return r;
}

int history_scratch(struct tape *t, const struct screen *now, size_t len, const struct screen_ops *ops, void *arg,
	struct screen **ret, struct err *e)
{
	bool more = tape_end(t) - tape_first(t) > len;
	struct player *p;
	int rows, cols, r;

	screen_size(now, &rows, &cols);
	p = player_create(t, rows, cols, ops, arg);
	r = begin(t, p, len, e) < 0 || finish(p, e) < 0 ? -1 : more;
	if (r >= 0)
		*ret = player_take_screen(p);
	player_destroy(p);
	tape_rest(t);
	return r;
}

/* The screen's rows, those that run on joined; how many lines that makes. */
static size_t screen_lines(const struct screen *now, struct buf *out, int *rc)
{
	bool alternate = screen_modes(now)->alternate;
	size_t lines = 0, kept = 0, end = 0;
	int rows, cols, row, blanks;

	screen_size(now, &rows, &cols);
	for (row = 0; row < rows; row++) {
		size_t before = out->len;

		*rc |= screen_row_text(now, row, out);
		if (out->len > before)
			kept = lines + 1;
		if (screen_row_goes_on(now, alternate, row, &blanks)) {
			add_blanks(out, blanks);
			continue;
		}
		*rc |= buf_append(out, "\n", 1);
		lines++;
		if (kept == lines)
			end = out->len;
	}
	out->len = end ? end : 0;
	return kept;
}

static int put_caught(struct caught *c, bool join, struct buf *out)
{
	int rc = 0;

	for (size_t i = 0; i < c->count; i++) {
		const struct buf *b = &c->line[(c->next + c->max - c->count + i) % c->max];

		if (b->len)
			rc |= buf_append(out, buf_data(b), b->len);
		if (!(join && i + 1 == c->count && c->goes_on))
			rc |= buf_append(out, "\n", 1);
	}
	return rc;
}

static int catch_lines(struct tape *t, const struct screen *now, struct caught *c, struct err *e)
{
	const struct screen_ops ops = {.line = on_line, .erased = on_erased};
	int rows, cols, r;

	screen_size(now, &rows, &cols);
	c->player = player_create(t, rows, cols, &ops, c);
	r = begin(t, c->player, HISTORY_TAIL, e) < 0 ? -1 : finish(c->player, e);
	player_destroy(c->player);
	tape_rest(t);
	return r;
}

int history_text(struct tape *t, const struct screen *now, int lines, struct buf *out, struct err *e)
{
	size_t most = (size_t)(lines < 1 ? 1 : lines > HISTORY_LINES_MAX ? HISTORY_LINES_MAX : lines), have;
	struct caught c = {0};
	struct buf text;
	int rc = 0;

	buf_init(&text, out->max);
	have = screen_lines(now, &text, &rc);
	if (have < most) {
		c.max = most - have;
		c.line = xcalloc(c.max, sizeof(*c.line));
		for (size_t i = 0; i < c.max; i++)
			buf_init(&c.line[i], JOINED_MAX);
		rc |= catch_lines(t, now, &c, e) < 0 ? -1 : put_caught(&c, !screen_modes(now)->alternate && have > 0, out);
		for (size_t i = 0; i < c.max; i++)
			buf_finish(&c.line[i]);
		free(c.line);
	}
	if (text.len)
		rc |= buf_append(out, buf_data(&text), text.len);
	buf_finish(&text);
	return rc ? -1 : 0;
}
