/* SPDX-License-Identifier: ISC */
/*
 * What of a program's output a view may see. A list of what is let through rather than of what is
 * not: a query that reached a user's terminal would be answered by it, into the program's input, and
 * what agents print is not to be trusted with a user's clipboard, title reports or window.
 */
#include "place/shim/filter.h"

#include <string.h>

#include "base/util.h"

#define TABS_MAX (SCREEN_COLS_MAX / 8)

/* Control sequences without leader and intermediates: cursor, erasing, editing, scrolling, tabs, SGR,
 * region, ANSI modes, REP. */
static const char csi_plain[] = "@ABCDEFGHIJKLMPSTXZ`abdefgmr";

static bool private_known(int number)
{
	return modes_find(number) >= 0 || number == 47 || number == 1047 || number == 1048 ||
	       number == 1049;
}

/* Private modes that are known, and only these of a list of several. 1048 as what it does. */
static int filter_private(const struct scan_token *t, struct buf *out)
{
	bool open = false;
	int i, rc = 0;

	for (i = 0; i < t->nparams; i++) {
		int number = t->params[i].value;

		if (!private_known(number))
			continue;
		if (number != 1048) {
			rc |= buf_printf(out, "%s%d", open ? ";" : "\033[?", number);
			open = true;
			continue;
		}
		if (open)
			rc |= buf_append(out, &t->final, 1);
		open = false;
		rc |= buf_printf(out, t->final == 'h' ? "\0337" : "\0338");
	}
	if (open)
		rc |= buf_append(out, &t->final, 1);
	return rc ? -1 : 0;
}

/* Of the ANSI modes only inserting is known. */
static bool has_insert(const struct scan_token *t)
{
	int i;

	for (i = 0; i < t->nparams; i++)
		if (t->params[i].value == 4)
			return true;
	return false;
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
			return has_insert(t);
		if (t->final == 's' || t->final == 'u')
			return t->nparams == 0;
		if (t->final == 'T' && t->nparams > 1)
			return false; /* mouse highlighting */
		return strchr(csi_plain, t->final) != NULL;
	case '?':
		return t->final == 'J' || t->final == 'K';
	case '>':
		/* Of xterm's key resources only the one that modes.h keeps, as only that is put back. */
		return t->final == 'u' || ((t->final == 'm' || t->final == 'n') && scan_param(t, 0, 0) == 4);
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
	return t->inters == 1 && (strchr("()*+", t->inter) || (t->inter == '#' && t->final == '8'));
}

/* Character sets that are not known are ASCII, to the modes too. */
static int filter_esc(const struct scan_token *t, struct buf *out)
{
	if (!esc_allowed(t))
		return 0;
	if (t->inters && t->inter != '#' && t->final != '0')
		return buf_printf(out, "\033%cB", t->inter);
	return buf_append(out, t->data, t->len);
}

static bool printable(const unsigned char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] == 0x7f || (p[i] >= 0x80 && p[i] < 0xa0 && i > 0 && p[i - 1] == 0xc2))
			return false;
	return true;
}

bool filter_is_link(const struct scan_token *t)
{
	return t->kind == SCAN_OSC && t->len >= 2 && t->data[0] == '8' && t->data[1] == ';' &&
	       printable(t->data, t->len) && utf8_valid(t->data, t->len);
}

bool filter_is_title_pop(const struct scan_token *t)
{
	return t->kind == SCAN_CSI && !t->leader && !t->inters && t->final == 't' && scan_param(t, 0, 0) == 23;
}

static int filter_osc(const struct scan_token *t, const struct modes *m, struct buf *out)
{
	if (t->len >= 2 && (t->data[0] == '0' || t->data[0] == '2') && t->data[1] == ';')
		return buf_printf(out, "\033]2;%s\a", m->title);
	if (filter_is_link(t))
		return buf_printf(out, "\033]%.*s\033\\", (int)t->len, (const char *)t->data);
	return 0;
}

/* What tmux (3.3a) does not know, in words it does; soft resets are spelled out by the screen. */
static int filter_csi(const struct scan_token *t, const struct modes *m, struct buf *out)
{
	int n = scan_param(t, 0, 1), rc = 0;

	if (t->leader == '?' && !t->inters && (t->final == 'h' || t->final == 'l'))
		return filter_private(t, out);
	if (filter_is_title_pop(t))
		return buf_printf(out, "\033]2;%s\a", m->title);
	if (!csi_allowed(t) || (t->inters && t->inter == '!'))
		return 0;
	if (t->leader == '?')
		return buf_printf(out, "\033[%d%c", scan_param(t, 0, 0), t->final);
	if (!t->leader && !t->inters && (t->final == 'h' || t->final == 'l'))
		return buf_printf(out, "\033[4%c", t->final);
	if (!t->leader && !t->inters && (t->final == 'a' || t->final == 'e'))
		return buf_printf(out, "\033[%d%c", n, t->final == 'a' ? 'C' : 'B');
	if (!t->leader && !t->inters && t->final == 'I') {
		for (n = n < 1 ? 1 : n > TABS_MAX ? TABS_MAX : n; n > 0; n--)
			rc |= buf_append(out, "\t", 1);
		return rc ? -1 : 0;
	}
	return buf_append(out, t->data, t->len);
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
		return filter_esc(t, out);
	case SCAN_CSI:
		return filter_csi(t, m, out);
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
		/* Keyboard protocols draw nothing. */
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
