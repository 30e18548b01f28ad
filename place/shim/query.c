/* SPDX-License-Identifier: ISC */
/*
 * The terminal's answers to a program's queries. The identity is that of a modest VT220 with colour.
 * Kitty's keyboard query is not answered on purpose: views come and go with terminals of all kinds, so
 * the protocol must not be promised (a program that switches it on unasked reaches those that have it).
 */
#include <string.h>
#include <strings.h>

#include "base/util.h"
#include "place/shim/filter.h"
#include "place/shim/sgr.h"

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

/* The palette as xterm has it: sixteen, a cube of 6x6x6, greys. */
static void palette(int i, int rgb[3])
{
	static const uint8_t first[16][3] = {{0, 0, 0}, {205, 0, 0}, {0, 205, 0}, {205, 205, 0}, {0, 0, 238},
		{205, 0, 205}, {0, 205, 205}, {229, 229, 229}, {127, 127, 127}, {255, 0, 0}, {0, 255, 0},
		{255, 255, 0}, {92, 92, 255}, {255, 0, 255}, {0, 255, 255}, {255, 255, 255}};
	static const uint8_t step[6] = {0, 95, 135, 175, 215, 255};
	int k, cube = i - 16;

	for (k = 0; k < 3; k++)
		rgb[k] = i < 16 ? first[i][k] : i < 232 ? step[cube / (k == 0 ? 36 : k == 1 ? 6 : 1) % 6]
							: 8 + 10 * (i - 232);
}

/* OSC 4: pairs of a number and what it shall be; '?' asks. */
static int answer_palette(const char *body, const char *end, struct buf *out)
{
	int rc = 0;

	while (*body) {
		char *rest;
		long i = strtol(body, &rest, 10);
		int rgb[3];

		if (rest == body || *rest != ';')
			break;
		if (rest[1] == '?' && i >= 0 && i < 256) {
			palette((int)i, rgb);
			rc |= buf_printf(out, "\033]4;%ld;rgb:%02x%02x/%02x%02x/%02x%02x%s", i, rgb[0], rgb[0],
				rgb[1], rgb[1], rgb[2], rgb[2], end);
		}
		body = strchr(rest + 1, ';');
		if (!body)
			break;
		body++;
	}
	return rc ? -1 : 0;
}

static int answer_osc(const struct scan_token *t, struct buf *out)
{
	const char *body = (const char *)t->data, *end = t->bel ? "\a" : "\033\\";

	if (strcmp(body, "10;?") == 0 || strcmp(body, "12;?") == 0)
		return buf_printf(out, "\033]%.2s;" COLOR_FG "%s", body, end);
	if (strcmp(body, "11;?") == 0)
		return buf_printf(out, "\033]11;" COLOR_BG "%s", end);
	if (str_starts(body, "4;"))
		return answer_palette(body + 2, end, out);
	return 0;
}

/* DECRQSS: how a setting would be made again. */
static int answer_setting(const char *what, const struct query_state *q, struct buf *out)
{
	const struct modes *m = q->modes;
	int rc;

	if (strcmp(what, "m") == 0) {
		rc = buf_printf(out, "\033P1$r");
		rc |= sgr_params(&q->pen, out);
		return rc | buf_printf(out, "m\033\\");
	}
	if (strcmp(what, "r") == 0)
		return buf_printf(out, "\033P1$r%d;%dr\033\\", m->top + 1, m->bottom ? m->bottom : q->rows);
	if (strcmp(what, " q") == 0)
		return buf_printf(out, "\033P1$r%d q\033\\", m->cursor_style);
	if (strcmp(what, "\"p") == 0)
		return buf_printf(out, "\033P1$r62;1\"p\033\\");
	return buf_printf(out, "\033P0$r\033\\");
}

/* XTGETTCAP: names and values are in hexadecimal; the first unknown one ends the answer. */
static int answer_capability(const char *name, struct buf *out)
{
	static const struct {
		const char *name, *answer;
	} table[] = {
		{"436F", "436F=323536"},             /* Co=256 */
		{"636F6C6F7273", "636F6C6F7273=323536"}, /* colors=256 */
		{"524742", "524742=38"},             /* RGB=8 */
		{"544E", "544E=787465726D2D323536636F6C6F72"}, /* TN=xterm-256color */
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(table); i++)
		if (strcasecmp(table[i].name, name) == 0)
			return buf_printf(out, "\033P1+r%s\033\\", table[i].answer);
	return buf_printf(out, "\033P0+r\033\\"); /* "not known", so that nobody waits for it */
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
		if (t->leader == 'P' && t->len >= 2 && memcmp(t->data, "$q", 2) == 0)
			return answer_setting((const char *)t->data + 2, q, out);
		if (t->leader == 'P' && t->len >= 2 && memcmp(t->data, "+q", 2) == 0)
			return answer_capability((const char *)t->data + 2, out);
		break;
	case SCAN_TEXT:
	case SCAN_C0:
		break;
	}
	return 0;
}
