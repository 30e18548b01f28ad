/* SPDX-License-Identifier: ISC */
/* SGR in the terms of libvterm. */
#include "place/shim/sgr.h"

#include "base/util.h"

#define VTERM_SGR_ARGS 16 /* libvterm takes no more at once */

/* The font attribute's bits, SGR 10 + value. */
enum { FONT_DIM = 1, FONT_CONCEAL = 2, FONT_OVERLINE = 4 };

uint8_t sgr_font_flags(unsigned font)
{
	return (uint8_t)((font & FONT_DIM ? ATTR_DIM : 0) | (font & FONT_CONCEAL ? ATTR_CONCEAL : 0) |
			 (font & FONT_OVERLINE ? ATTR_OVERLINE : 0));
}

static unsigned flags_font(uint8_t flags)
{
	return (flags & ATTR_DIM ? FONT_DIM : 0u) | (flags & ATTR_CONCEAL ? FONT_CONCEAL : 0u) |
	       (flags & ATTR_OVERLINE ? FONT_OVERLINE : 0u);
}

struct sgr_out {
	struct buf *seq;
	int args;
};

/* Appends n parameters as one group that must not be torn. */
static void sgr_group(struct sgr_out *o, const int *v, int n, char sep)
{
	int i;

	if (o->args + n > VTERM_SGR_ARGS) {
		buf_append(o->seq, "m\033[", 3);
		o->args = 0;
	}
	for (i = 0; i < n; i++)
		buf_printf(o->seq, "%.1s%d", i > 0 ? &sep : o->args ? ";" : "", v[i]);
	o->args += n;
}

/* A colour (38, 48) at parameter i, written with ';' or ':', with or without a colour space: appends
 * it as libvterm reads it and returns how many parameters it takes. */
static int sgr_color(struct sgr_out *o, const struct scan_token *t, int i)
{
	int v[5] = {scan_param(t, i, 0), scan_param(t, i + 1, 0)}, n, take = 1, k, from;
	bool colon = i + 1 < t->nparams && t->params[i + 1].colon;

	n = v[1] == 2 ? 5 : v[1] == 5 ? 3 : 0;
	while (colon && i + take < t->nparams && t->params[i + take].colon)
		take++;
	if (!colon)
		take = n ? n : 2;
	from = i + 2 + (colon && n == 5 && take >= 6 ? 1 : 0);
	for (k = 2; k < n; k++)
		v[k] = scan_param(t, from + k - 2, 0) & 0xff;
	if (n && v[0] != 58)
		sgr_group(o, v, n, ';');
	return take;
}

void sgr_rewrite(const struct scan_token *t, unsigned *ret_font, struct buf *out)
{
	unsigned font = *ret_font;
	struct sgr_out o = {.seq = out};
	int i = 0;

	buf_append(o.seq, "\033[", 2);
	do {
		int v[2] = {scan_param(t, i, 0), scan_param(t, i + 1, 0)};

		if (v[0] == 38 || v[0] == 48 || v[0] == 58) {
			i += sgr_color(&o, t, i);
			continue;
		}
		if (v[0] == 0)
			font = 0;
		else if (v[0] == 2 || v[0] == 8 || v[0] == 53)
			font |= v[0] == 2 ? FONT_DIM : v[0] == 8 ? FONT_CONCEAL : FONT_OVERLINE;
		else if (v[0] == 22 || v[0] == 28 || v[0] == 55)
			font &= ~(v[0] == 22 ? FONT_DIM : v[0] == 28 ? FONT_CONCEAL : FONT_OVERLINE) & 7u;
		if (v[0] == 4 && i + 1 < t->nparams && t->params[i + 1].colon) {
			v[1] = v[1] > 3 ? 1 : v[1]; /* dotted and dashed: underlined all the same */
			sgr_group(&o, v, 2, ':');
		} else if (v[0] != 2 && v[0] != 8 && v[0] != 59 && !(v[0] >= 10 && v[0] <= 19)) {
			sgr_group(&o, v, 1, ';');
		}
		for (i++; i < t->nparams && t->params[i].colon; i++)
			;
	} while (i < t->nparams);
	buf_append(o.seq, "m", 1);
	if (o.args == 0)
		buf_clear(out);
	*ret_font = font;
}

static void put_color(struct buf *out, const struct screen_color *c, int base)
{
	if (c->kind == COLOR_INDEX)
		buf_printf(out, ";%d;5;%d", base, c->r);
	else if (c->kind == COLOR_RGB)
		buf_printf(out, ";%d;2;%d;%d;%d", base, c->r, c->g, c->b);
}

void sgr_pen(const struct screen_attr *a, struct buf *out)
{
	static const struct {
		uint8_t flag, sgr;
	} table[] = {{ATTR_BOLD, 1}, {ATTR_ITALIC, 3}, {ATTR_BLINK, 5}, {ATTR_REVERSE, 7},
		{ATTR_STRIKE, 9}};
	size_t i;

	buf_printf(out, "\033[0");
	for (i = 0; i < ARRAY_LEN(table); i++)
		if (a->flags & table[i].flag)
			buf_printf(out, ";%d", table[i].sgr);
	if (a->underline)
		buf_printf(out, ";4:%d", a->underline);
	buf_printf(out, "m\033[%u", 10 + flags_font(a->flags));
	put_color(out, &a->fg, 38);
	put_color(out, &a->bg, 48);
	buf_printf(out, "m");
}
