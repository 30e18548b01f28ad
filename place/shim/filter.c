/* SPDX-License-Identifier: ISC */
/*
 * What of a program's output a view may see. A list of what is let through rather than of what is
 * not: a query that reached a user's terminal would be answered by it, into the program's input, and
 * what agents print is not to be trusted with a user's clipboard, title reports or window.
 */
#include "place/shim/filter.h"

#include <string.h>

/* Control sequences without leader and intermediates: cursor, erasing, editing, scrolling, tabs, SGR,
 * region, ANSI modes, REP. */
static const char csi_plain[] = "@ABCDEFGHIJKLMPSTXZ`abdefgmr";

static bool private_known(int number)
{
	return modes_find(number) >= 0 || number == 47 || number == 1047 || number == 1048 ||
	       number == 1049;
}

/* Private modes that are known, and only these of a list of several. */
static int filter_private(const struct scan_token *t, struct buf *out)
{
	bool first = true;
	int i, rc = 0;

	for (i = 0; i < t->nparams; i++) {
		if (!private_known(t->params[i].value))
			continue;
		rc |= buf_printf(out, "%s%d", first ? "\033[?" : ";", t->params[i].value);
		first = false;
	}
	if (!first)
		rc |= buf_printf(out, "%c", t->final);
	return rc ? -1 : 0;
}

static bool csi_allowed(const struct scan_token *t)
{
	if (t->inters == 1 && !t->leader)
		return (t->inter == ' ' && t->final == 'q') || (t->inter == '!' && t->final == 'p');
	if (t->inters)
		return false;
	switch (t->leader) {
	case 0:
		if (t->final == 'h' || t->final == 'l')
			return t->nparams == 1 && t->params[0].value == 4;
		if (t->final == 's' || t->final == 'u')
			return t->nparams == 0;
		return strchr(csi_plain, t->final) != NULL;
	case '?':
		return t->final == 'J' || t->final == 'K';
	case '>':
		return t->final == 'u' || (t->final == 'm' && t->nparams > 0) || t->final == 'n';
	case '<':
	case '=':
		return t->final == 'u';
	default:
		return false;
	}
}

static bool esc_allowed(const struct scan_token *t)
{
	if (t->inters == 0)
		return strchr("78=>DEHMc", t->final) != NULL;
	return t->inters == 1 && ((strchr("()*+", t->inter) && strchr("0B", t->final)) ||
				  (t->inter == '#' && t->final == '8'));
}

static bool printable(const unsigned char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] == 0x7f || (p[i] >= 0x80 && p[i] < 0xa0 && i > 0 && p[i - 1] == 0xc2))
			return false;
	return true;
}

static int filter_osc(const struct scan_token *t, const struct modes *m, struct buf *out)
{
	if (t->len >= 2 && (t->data[0] == '0' || t->data[0] == '2') && t->data[1] == ';')
		return buf_printf(out, "\033]2;%s\a", m->title);
	if (t->len >= 2 && t->data[0] == '8' && t->data[1] == ';' && printable(t->data, t->len))
		return buf_printf(out, "\033]%.*s\033\\", (int)t->len, (const char *)t->data);
	return 0;
}

int filter_token(const struct scan_token *t, const struct modes *m, struct buf *out)
{
	switch (t->kind) {
	case SCAN_TEXT:
		return buf_append(out, t->data, t->len);
	case SCAN_C0:
		if (t->final < 0x07 || t->final > 0x0f)
			return 0;
		return buf_append(out, &t->final, 1);
	case SCAN_ESC:
		return esc_allowed(t) ? buf_append(out, t->data, t->len) : 0;
	case SCAN_CSI:
		if (t->leader == '?' && !t->inters && (t->final == 'h' || t->final == 'l'))
			return filter_private(t, out);
		return csi_allowed(t) ? buf_append(out, t->data, t->len) : 0;
	case SCAN_OSC:
		return filter_osc(t, m, out);
	case SCAN_STRING:
		break;
	}
	return 0;
}

bool filter_is_drawing(const struct scan_token *t)
{
	switch (t->kind) {
	case SCAN_TEXT:
		return true;
	case SCAN_C0:
		return t->final >= 0x08 && t->final <= 0x0f;
	case SCAN_ESC:
		return esc_allowed(t);
	case SCAN_CSI:
		/* libvterm reads keyboard sequences as if they had no leader. */
		if (t->leader && t->leader != '?')
			return false;
		return (t->leader == '?' && !t->inters && (t->final == 'h' || t->final == 'l')) ||
		       csi_allowed(t);
	case SCAN_OSC:
	case SCAN_STRING:
		break;
	}
	return false;
}
