/* SPDX-License-Identifier: ISC */
/*
 * Writing asciicasts. What is written is what a view would have been given: whoever plays the file has no
 * clipboard set and no question asked of his terminal. It opens with a painting of the screen, as a
 * recording need not begin at the beginning. Text that is cut in the middle of a character is held back
 * until the rest comes.
 */
#include "cli/cast.h"

#include <string.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/player.h"

#define HELD_MAX (2 * 65536 + 8)

struct cast {
	const struct cast_spec *spec;
	FILE *out;
	int64_t first, last; /* ms; first -1: nothing was seen yet */
	double at, said;     /* seconds from the beginning, pauses shortened: now, and of the event before */
	struct buf held;     /* bytes that are no whole character yet */
	int rows, cols, gaps;
};

static void header(struct cast *c)
{
	json_int_t when = c->first / 1000;
	json_t *o = c->spec->version == 3
			    ? json_pack("{s:i, s:{s:i, s:i, s:s}, s:I, s:s}", "version", 3, "term", "cols", c->cols, "rows",
				      c->rows, "type", "xterm-256color", "timestamp", when, "title", c->spec->title)
			    : json_pack("{s:i, s:i, s:i, s:I, s:s, s:{s:s}}", "version", 2, "width", c->cols, "height", c->rows,
				      "timestamp", when, "title", c->spec->title, "env", "TERM", "xterm-256color");

	json_dumpf(o, c->out, JSON_COMPACT);
	json_decref(o);
	fputc('\n', c->out);
}

/* Version 2 counts from the beginning, version 3 from the event before. */
static void event(struct cast *c, const char *code, json_t *text)
{
	double time = c->spec->version == 3 ? c->at - c->said : c->at;
	char *s = json_dumps(text, JSON_ENCODE_ANY | JSON_COMPACT);

	fprintf(c->out, "[%.3f, \"%s\", %s]\n", time, code, s ? s : "\"\"");
	/* What rounding left out counts for the next one, or they would add up. */
	c->said += (double)(int64_t)((c->at - c->said) * 1000 + 0.5) / 1000;
	free(s);
	json_decref(text);
}

static void advance(struct cast *c, int64_t ms)
{
	double step;

	if (c->first < 0)
		c->first = c->last = ms;
	step = (double)(ms - c->last) / 1000;
	c->last = ms;
	c->at += c->spec->idle >= 0 && step > c->spec->idle ? c->spec->idle : step;
}

/* How many bytes at the end are the beginning of a character. */
static size_t unfinished(const unsigned char *p, size_t len)
{
	for (size_t n = 1; n <= 3 && n <= len; n++) {
		unsigned char c = p[len - n];

		if ((c & 0xc0) == 0x80)
			continue;
		return c >= 0xc0 && n < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : 2u) ? n : 0;
	}
	return 0;
}

static void output(struct cast *c, const unsigned char *data, size_t len)
{
	size_t tail, whole;
	json_t *text;

	buf_append(&c->held, data, len);
	if (c->held.len == 0)
		return;
	tail = unfinished(buf_data(&c->held), c->held.len);
	whole = c->held.len - tail;
	text = whole ? json_stringn((const char *)buf_data(&c->held), whole) : NULL;
	if (text)
		event(c, "o", text);
	if (text || tail < c->held.len)
		buf_consume(&c->held, whole);
}

static void take(struct cast *c, const struct player_piece *p)
{
	char size[32], text[64];

	if (p->kind == PIECE_DATA || p->kind == PIECE_SIZE || p->kind == PIECE_GAP)
		advance(c, p->ms);
	switch (p->kind) {
	case PIECE_DATA:
		output(c, p->data, p->len);
		break;
	case PIECE_SIZE:
		snprintf(size, sizeof(size), "%dx%d", p->cols, p->rows);
		if (c->rows && (c->rows != p->rows || c->cols != p->cols))
			event(c, "r", json_string(size));
		if (!c->rows) {
			c->rows = p->rows;
			c->cols = p->cols;
			header(c);
		}
		c->rows = p->rows;
		c->cols = p->cols;
		break;
	case PIECE_GAP:
		c->gaps++;
		snprintf(text, sizeof(text), "bytes before offset %lld are missing", (long long)p->offset);
		event(c, "m", json_string(text));
		break;
	case PIECE_DAMAGE:
		c->gaps++;
		break;
	case PIECE_END:
		break;
	}
}

int cast_write(const struct cast_spec *spec, FILE *out, int *ret_gaps, struct err *e)
{
	struct cast c = {.spec = spec, .out = out, .first = -1};
	struct player_piece piece = {.kind = PIECE_DAMAGE};
	struct player p;
	int r;

	player_init(&p);
	buf_init(&c.held, HELD_MAX);
	r = player_start(&p, spec->dir, spec->since, spec->until, 0, 0, e);
	while (r >= 0 && !cli_stop) {
		r = player_next(&p, &piece, e);
		if (r == 0)
			r = player_read(&p, e);
		else if (r > 0 && piece.kind == PIECE_END)
			break;
		else if (r > 0)
			take(&c, &piece);
	}
	player_stop(&p);
	buf_finish(&p.in);
	buf_finish(&c.held);
	*ret_gaps = c.gaps;
	return r < 0 ? -1 : cli_stop ? 1 : 0;
}
