/* SPDX-License-Identifier: ISC */
/*
 * The terminal's answers to a program's queries. The identity is that of a modest VT220 with colour.
 * Kitty's keyboard query is not answered on purpose: views come and go with terminals of all kinds, so
 * the protocol must not be promised (a program that switches it on unasked reaches those that have it).
 */
#include <string.h>

#include "place/shim/filter.h"

/* What OSC 10, 11 and 12 are told: a dark terminal, whatever the views are. */
#define COLOR_FG "rgb:e5e5/e5e5/e5e5"
#define COLOR_BG "rgb:0000/0000/0000"

static int answer_attributes(const struct scan_token *t, struct buf *out)
{
	if (scan_param(t, 0, 0) != 0)
		return 0;
	if (!t->leader)
		return buf_printf(out, "\033[?62;22c");
	if (t->leader == '>')
		return buf_printf(out, "\033[>1;10;0c");
	if (t->leader == '=')
		return buf_printf(out, "\033P!|00000000\033\\");
	return 0;
}

static int answer_status(const struct scan_token *t, const struct query_state *q, struct buf *out)
{
	int row = q->row + 1, what = scan_param(t, 0, 0);

	if (modes_is_set(q->modes, MODE_ORIGIN))
		row -= q->modes->top;
	if (!t->leader && what == 5)
		return buf_printf(out, "\033[0n");
	if (!t->leader && what == 6)
		return buf_printf(out, "\033[%d;%dR", row, q->col + 1);
	if (t->leader == '?' && what == 6)
		return buf_printf(out, "\033[?%d;%d;1R", row, q->col + 1);
	if (t->leader == '?' && what == 15)
		return buf_printf(out, "\033[?13n"); /* no printer */
	if (t->leader == '?' && what == 996)
		return buf_printf(out, "\033[?997;1n"); /* dark */
	return 0;
}

/* DECRQM: 1 set, 2 reset, 0 not known. */
static int answer_mode(const struct scan_token *t, const struct query_state *q, struct buf *out)
{
	int number = scan_param(t, 0, 0), id = modes_find(number), value = 0;

	if (t->leader == '?') {
		if (number == 47 || number == 1047 || number == 1049)
			value = q->modes->alternate ? 1 : 2;
		else if (id >= 0)
			value = modes_is_set(q->modes, (enum mode_id)id) ? 1 : 2;
		return buf_printf(out, "\033[?%d;%d$y", number, value);
	}
	if (number == 4)
		value = q->modes->insert ? 1 : 2;
	return buf_printf(out, "\033[%d;%d$y", number, value);
}

static int answer_csi(const struct scan_token *t, const struct query_state *q, struct buf *out)
{
	if (t->inters == 1 && t->inter == '$' && t->final == 'p' && (!t->leader || t->leader == '?'))
		return answer_mode(t, q, out);
	if (t->inters)
		return 0;
	switch (t->final) {
	case 'c':
		return answer_attributes(t, out);
	case 'n':
		return answer_status(t, q, out);
	case 'q':
		return t->leader == '>' ? buf_printf(out, "\033P>|tmux-claude\033\\") : 0;
	case 't':
		if (!t->leader && scan_param(t, 0, 0) == 18)
			return buf_printf(out, "\033[8;%d;%dt", q->rows, q->cols);
		return 0;
	case 'x':
		if (!t->leader && scan_param(t, 0, 0) <= 1)
			return buf_printf(out, "\033[%d;1;1;128;128;1;0x", scan_param(t, 0, 0) + 2);
		return 0;
	default:
		return 0;
	}
}

static int answer_osc(const struct scan_token *t, struct buf *out)
{
	const char *body = (const char *)t->data, *end = t->bel ? "\a" : "\033\\";

	if (strcmp(body, "10;?") == 0 || strcmp(body, "12;?") == 0)
		return buf_printf(out, "\033]%.2s;" COLOR_FG "%s", body, end);
	if (strcmp(body, "11;?") == 0)
		return buf_printf(out, "\033]11;" COLOR_BG "%s", end);
	return 0;
}

int query_answer(const struct scan_token *t, const struct query_state *q, struct buf *out)
{
	switch (t->kind) {
	case SCAN_CSI:
		return answer_csi(t, q, out);
	case SCAN_OSC:
		return answer_osc(t, out);
	case SCAN_ESC:
		return t->inters == 0 && t->final == 'Z' ? buf_printf(out, "\033[?62;22c") : 0;
	case SCAN_STRING:
		/* DECRQSS and XTGETTCAP: "not known", so that nobody waits for an answer. */
		if (t->leader == 'P' && t->len >= 2 && memcmp(t->data, "$q", 2) == 0)
			return buf_printf(out, "\033P0$r\033\\");
		if (t->leader == 'P' && t->len >= 2 && memcmp(t->data, "+q", 2) == 0)
			return buf_printf(out, "\033P0+r\033\\");
		break;
	case SCAN_TEXT:
	case SCAN_C0:
		break;
	}
	return 0;
}
