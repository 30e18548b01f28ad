/* SPDX-License-Identifier: ISC */
/* SGR: what it makes of a pen, and the one that makes a pen. */
#include "place/shim/sgr.h"

#include "base/util.h"

#define UNDERLINE_MAX 5

/* Attributes that one parameter switches on and another off. */
static const struct {
	uint16_t flag;
	uint8_t on, off;
} switches[] = {{ATTR_BOLD, 1, 22}, {ATTR_DIM, 2, 22}, {ATTR_ITALIC, 3, 23}, {ATTR_BLINK, 5, 25},
	{ATTR_BLINK, 6, 25}, {ATTR_REVERSE, 7, 27}, {ATTR_CONCEAL, 8, 28}, {ATTR_STRIKE, 9, 29},
	{ATTR_OVERLINE, 53, 55}};

static void set_underline(struct cell *pen, int kind)
{
	pen->flags = (uint16_t)((pen->flags & ~CELL_UNDERLINE) | kind << CELL_UNDERLINE_SHIFT);
}

/* A colour (38, 48, 58) at parameter i, its parts joined by ';' or ':', with a colour space or without.
 * Returns how many parameters it takes; *ret is left alone when it is none. */
static int get_color(const struct scan_token *t, int i, uint32_t *ret)
{
	bool colon = i + 1 < t->nparams && t->params[i + 1].colon;
	int kind = scan_param(t, i + 1, 0), take = 1, from = i + 2, v[3] = {0}, k;

	while (colon && i + take < t->nparams && t->params[i + take].colon)
		take++;
	if (!colon)
		take = kind == 2 ? 5 : kind == 5 ? 3 : 2;
	if (colon && kind == 2 && take >= 6)
		from++; /* behind the colour space */
	for (k = 0; k < (kind == 2 ? 3 : 1); k++) {
		v[k] = from + k < i + take ? scan_param(t, from + k, colon ? -1 : 0) : -1;
		if (v[k] < 0 || v[k] > 255 || from + k >= t->nparams)
			return take;
	}
	if (kind == 2)
		*ret = CELL_RGB | (uint32_t)(v[0] << 16 | v[1] << 8 | v[2]);
	else if (kind == 5)
		*ret = CELL_INDEX | (uint32_t)v[0];
	return take;
}

static void apply_one(struct cell *pen, int v)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(switches); i++) {
		if (v == switches[i].on)
			pen->flags |= switches[i].flag;
		else if (v == switches[i].off)
			pen->flags &= (uint16_t)~switches[i].flag;
	}
	if (v == 4 || v == 21 || v == 24)
		set_underline(pen, v == 4 ? 1 : v == 21 ? 2 : 0);
	else if (v >= 30 && v <= 37)
		pen->fg = CELL_INDEX | (uint32_t)(v - 30);
	else if (v >= 40 && v <= 47)
		pen->bg = CELL_INDEX | (uint32_t)(v - 40);
	else if (v >= 90 && v <= 97)
		pen->fg = CELL_INDEX | (uint32_t)(v - 90 + 8);
	else if (v >= 100 && v <= 107)
		pen->bg = CELL_INDEX | (uint32_t)(v - 100 + 8);
	else if (v == 39)
		pen->fg = 0;
	else if (v == 49)
		pen->bg = 0;
	else if (v == 59)
		pen->us = 0;
}

void sgr_apply(const struct scan_token *t, struct cell *pen)
{
	int i = 0;

	do {
		int v = scan_param(t, i, 0), kind;

		if (v == 38 || v == 48 || v == 58) {
			i += get_color(t, i, v == 38 ? &pen->fg : v == 48 ? &pen->bg : &pen->us);
			continue;
		}
		kind = i + 1 < t->nparams && t->params[i + 1].colon ? scan_param(t, i + 1, 0) : -1;
		if (v == 0)
			*pen = (struct cell){.ch = pen->ch, .link = pen->link};
		else if (v == 4 && kind >= 0)
			set_underline(pen, kind > UNDERLINE_MAX ? 1 : kind);
		else if (kind < 0)
			apply_one(pen, v);
		for (i++; i < t->nparams && t->params[i].colon; i++)
			;
	} while (i < t->nparams);
}

static int put_color(struct buf *out, const struct screen_color *c, int base)
{
	if (c->kind == COLOR_RGB)
		return buf_printf(out, ";%d;2;%d;%d;%d", base + 8, c->r, c->g, c->b);
	if (c->kind == COLOR_DEFAULT)
		return 0;
	if (c->r < 8)
		return buf_printf(out, ";%d", base + c->r);
	if (c->r < 16)
		return buf_printf(out, ";%d", base + 60 + c->r - 8);
	return buf_printf(out, ";%d;5;%d", base + 8, c->r);
}

int sgr_params(const struct screen_attr *a, struct buf *out)
{
	int rc = buf_append(out, "0", 1), seen = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(switches); i++)
		if (a->flags & switches[i].flag & ~seen) {
			rc |= buf_printf(out, ";%d", switches[i].on);
			seen |= switches[i].flag;
		}
	if (a->underline > 2)
		rc |= buf_printf(out, ";4:%d", a->underline);
	else if (a->underline)
		rc |= buf_printf(out, ";%d", a->underline == 2 ? 21 : 4);
	rc |= put_color(out, &a->fg, 30);
	rc |= put_color(out, &a->bg, 40);
	/* With colons, so that who does not know it skips it whole. */
	if (a->us.kind == COLOR_RGB)
		rc |= buf_printf(out, ";58:2::%d:%d:%d", a->us.r, a->us.g, a->us.b);
	else if (a->us.kind == COLOR_INDEX)
		rc |= buf_printf(out, ";58:5:%d", a->us.r);
	return rc ? -1 : 0;
}
