/* SPDX-License-Identifier: ISC */
/* What a terminal has been switched to: the state an emulator keeps but libvterm does not show. */
#include "place/shim/modes.h"

#include <string.h>

#include "base/util.h"

static const int private_numbers[MODE_COUNT] = {
#define PM(sym, number) [sym] = (number),
	MODES_PRIVATE(PM)
#undef PM
};

/* What DECSTR and RIS leave switched on. */
#define SET_AT_RESET (1u << MODE_AUTOWRAP | 1u << MODE_CURSOR_VISIBLE | 1u << MODE_ALT_SCROLL)

void modes_init(struct modes *m)
{
	memset(m, 0, sizeof(*m));
	m->set = SET_AT_RESET;
	memset(m->charset, 'B', sizeof(m->charset));
}

int modes_find(int number)
{
	int i;

	for (i = 0; i < MODE_COUNT; i++)
		if (private_numbers[i] == number)
			return i;
	return -1;
}

int modes_number(enum mode_id id)
{
	return private_numbers[id];
}

unsigned modes_kitty_flags(const struct modes *m)
{
	int s = m->alternate ? 1 : 0;

	return m->kitty_depth[s] ? m->kitty[s][m->kitty_depth[s] - 1] : 0;
}

/* DECSTR: the modes that concern drawing go back; those that concern input mostly stay. */
static void soft_reset(struct modes *m)
{
	m->set &= ~(1u << MODE_ORIGIN | 1u << MODE_CURSOR_KEYS);
	m->set |= 1u << MODE_AUTOWRAP | 1u << MODE_CURSOR_VISIBLE;
	m->set &= ~(1u << MODE_KEYPAD);
	m->insert = false;
	m->top = m->bottom = 0;
	m->shift = 0;
	memset(m->charset, 'B', sizeof(m->charset));
}

static void set_private(struct modes *m, int number, bool on)
{
	int id = modes_find(number);

	if (id < 0)
		return;
	/* The three ways of tracking the mouse replace one another, as in xterm. */
	if (id == MODE_MOUSE_X10 || id == MODE_MOUSE_CLICK || id == MODE_MOUSE_DRAG ||
		id == MODE_MOUSE_MOVE)
		m->set &= ~(1u << MODE_MOUSE_X10 | 1u << MODE_MOUSE_CLICK | 1u << MODE_MOUSE_DRAG |
			1u << MODE_MOUSE_MOVE);
	if (on)
		m->set |= 1u << id;
	else
		m->set &= ~(1u << id);
}

static void kitty(struct modes *m, const struct scan_token *t)
{
	int s = m->alternate ? 1 : 0;
	uint8_t *stack = m->kitty[s];
	uint8_t *depth = &m->kitty_depth[s];
	int v = scan_param(t, 0, t->leader == '<' ? 1 : 0);

	m->used_kitty = true;
	if (t->leader == '>') {
		if (*depth == MODES_KITTY_DEPTH) {
			memmove(stack, stack + 1, MODES_KITTY_DEPTH - 1);
			--*depth;
		}
		stack[(*depth)++] = (uint8_t)(v & 31);
	} else if (t->leader == '<') {
		*depth = v >= *depth ? 0 : (uint8_t)(*depth - v);
	} else if (t->leader == '=') {
		int how = scan_param(t, 1, 1);

		if (*depth == 0)
			stack[(*depth)++] = 0;
		if (how == 1)
			stack[*depth - 1] = (uint8_t)(v & 31);
		else if (how == 2)
			stack[*depth - 1] |= (uint8_t)(v & 31);
		else if (how == 3)
			stack[*depth - 1] &= (uint8_t)~v;
	}
}

bool modes_region(const struct scan_token *t, int rows, int *top, int *bottom)
{
	*top = scan_param(t, 0, 1);
	*bottom = scan_param(t, 1, rows);
	*top = *top < 1 ? 1 : *top;
	*bottom = *bottom < 1 || *bottom > rows ? rows : *bottom;
	return *top < *bottom;
}

static void region(struct modes *m, const struct scan_token *t, int rows)
{
	int top, bottom;

	if (!modes_region(t, rows, &top, &bottom))
		return;
	m->top = m->bottom = 0;
	if (top > 1 || bottom < rows) {
		m->top = top - 1;
		m->bottom = bottom;
	}
}

/* XTWINOPS 22 and 23: the title is saved and restored. */
static void title_stack(struct modes *m, const struct scan_token *t)
{
	int which = scan_param(t, 1, 0);

	if (which != 0 && which != 2)
		return;
	if (t->params[0].value == 22) {
		if (m->titles_depth == MODES_TITLES)
			memmove(m->titles[0], m->titles[1], sizeof(m->titles) - sizeof(m->titles[0]));
		else
			m->titles_depth++;
		memcpy(m->titles[m->titles_depth - 1], m->title, sizeof(m->title));
	} else if (m->titles_depth > 0) {
		memcpy(m->title, m->titles[--m->titles_depth], sizeof(m->title));
	}
}

static void apply_csi(struct modes *m, const struct scan_token *t, int rows)
{
	int i;

	if (t->inters == 1 && !t->leader && t->inter == ' ' && t->final == 'q') {
		int style = scan_param(t, 0, 0);

		if (style <= 6)
			m->cursor_style = (uint8_t)style;
	} else if (t->inters == 1 && !t->leader && t->inter == '!' && t->final == 'p') {
		soft_reset(m);
	}
	if (t->inters)
		return;
	if (t->leader == '?' && (t->final == 'h' || t->final == 'l')) {
		for (i = 0; i < t->nparams; i++)
			set_private(m, t->params[i].value, t->final == 'h');
	} else if (!t->leader && (t->final == 'h' || t->final == 'l')) {
		for (i = 0; i < t->nparams; i++)
			if (t->params[i].value == 4)
				m->insert = t->final == 'h';
	} else if (!t->leader && t->final == 'r') {
		region(m, t, rows);
	} else if (!t->leader && t->final == 't') {
		if (t->nparams > 0 && (t->params[0].value == 22 || t->params[0].value == 23))
			title_stack(m, t);
	} else if (t->leader && t->leader != '?' && t->final == 'u') {
		kitty(m, t);
	} else if (t->leader == '>' && t->final == 'm') {
		if (scan_param(t, 0, 0) == 4) {
			m->modify_other_keys = (uint8_t)(scan_param(t, 1, 0) & 3);
			m->used_other_keys = true;
		}
	} else if (t->leader == '>' && t->final == 'n') {
		if (scan_param(t, 0, 0) == 4)
			m->modify_other_keys = 0;
	}
}

/* RIS: everything but the title. */
static void hard_reset(struct modes *m)
{
	struct modes n;

	modes_init(&n);
	memcpy(n.title, m->title, sizeof(n.title));
	n.used_kitty = m->used_kitty;
	n.used_other_keys = m->used_other_keys;
	*m = n;
}

static void apply_esc(struct modes *m, const struct scan_token *t)
{
	static const char sets[] = "()*+";
	const char *g = t->inters == 1 ? strchr(sets, t->inter) : NULL;

	if (g && *g)
		m->charset[g - sets] = t->final == '0' ? '0' : 'B';
	if (t->inters)
		return;
	if (t->final == '=')
		m->set |= 1u << MODE_KEYPAD;
	else if (t->final == '>')
		m->set &= ~(1u << MODE_KEYPAD);
	else if (t->final == 'c')
		hard_reset(m);
}

/* OSC 0 and 2: the title, cut at a character's boundary, without controls. */
static void apply_title(struct modes *m, const struct scan_token *t)
{
	char *title = m->title;
	size_t i, n = 0;

	if (t->len < 2 || (t->data[0] != '0' && t->data[0] != '2') || t->data[1] != ';')
		return;
	if (!utf8_valid(t->data + 2, t->len - 2))
		return;
	for (i = 2; i < t->len && n < MODES_TITLE_MAX; i++) {
		if (t->data[i] == 0xc2 && t->data[i + 1] < 0xa0)
			i++; /* U+0080..U+009F: a control to some terminals */
		else if (t->data[i] >= 0x20 && t->data[i] != 0x7f)
			title[n++] = (char)t->data[i];
	}
	while (n > 0 && !utf8_valid(title, n))
		n--;
	title[n] = '\0';
}

void modes_apply(struct modes *m, const struct scan_token *t, int rows)
{
	switch (t->kind) {
	case SCAN_CSI:
		apply_csi(m, t, rows);
		break;
	case SCAN_ESC:
		apply_esc(m, t);
		break;
	case SCAN_OSC:
		apply_title(m, t);
		break;
	case SCAN_C0:
		if (t->final == 0x0e || t->final == 0x0f)
			m->shift = t->final == 0x0e ? 1 : 0;
		break;
	case SCAN_TEXT:
	case SCAN_STRING:
		break;
	}
}

/* Those that modes_paint switches, in the order of the table: what a view's keys and mouse send. */
static bool is_input_mode(int id)
{
	switch ((enum mode_id)id) {
	case MODE_CURSOR_KEYS:
	case MODE_MOUSE_X10:
	case MODE_MOUSE_CLICK:
	case MODE_MOUSE_DRAG:
	case MODE_MOUSE_MOVE:
	case MODE_FOCUS:
	case MODE_MOUSE_UTF8:
	case MODE_MOUSE_SGR:
	case MODE_MOUSE_URXVT:
	case MODE_MOUSE_PIXELS:
	case MODE_BRACKETED_PASTE:
	case MODE_COLOUR_SCHEME:
	case MODE_REVERSE_VIDEO:
		return true;
	case MODE_ORIGIN:
	case MODE_AUTOWRAP:
	case MODE_CURSOR_BLINK:
	case MODE_CURSOR_VISIBLE:
	case MODE_KEYPAD:
	case MODE_ALT_SCROLL:
	case MODE_SYNC_OUTPUT:
	case MODE_COUNT:
		break;
	}
	return false;
}

int modes_paint(const struct modes *m, struct buf *out)
{
	int i, rc = 0;

	for (i = 0; i < MODE_COUNT; i++)
		if (is_input_mode(i) && !modes_is_set(m, (enum mode_id)i))
			rc |= buf_printf(out, "\033[?%dl", private_numbers[i]);
	for (i = 0; i < MODE_COUNT; i++)
		if (is_input_mode(i) && modes_is_set(m, (enum mode_id)i))
			rc |= buf_printf(out, "\033[?%dh", private_numbers[i]);
	rc |= buf_printf(out, modes_is_set(m, MODE_KEYPAD) ? "\033=" : "\033>");
	rc |= buf_printf(out, "\033[%d q", m->cursor_style);
	/* Only where the program ever used them: an old terminal may take them for something else. */
	if (m->used_other_keys)
		rc |= buf_printf(out, "\033[>4;%dm", m->modify_other_keys);
	if (m->used_kitty)
		rc |= buf_printf(out, "\033[=%u;1u", modes_kitty_flags(m));
	return rc ? -1 : 0;
}

static const enum mode_id rest_modes[] = {MODE_CURSOR_BLINK, MODE_ALT_SCROLL, MODE_SYNC_OUTPUT};

int modes_paint_kitty(const struct modes *m, bool alternate, struct buf *out)
{
	int i, rc = 0;

	if (m->used_kitty)
		rc |= buf_printf(out, "\033[<%du", MODES_KITTY_DEPTH);
	for (i = 0; i < m->kitty_depth[alternate]; i++)
		rc |= buf_printf(out, "\033[>%uu", m->kitty[alternate][i]);
	return rc ? -1 : 0;
}

int modes_paint_rest(const struct modes *m, struct buf *out)
{
	int i, rc = modes_paint_kitty(m, m->alternate, out);
	size_t k;

	for (k = 0; k < ARRAY_LEN(rest_modes); k++)
		rc |= buf_printf(out, "\033[?%d%c", private_numbers[rest_modes[k]],
			modes_is_set(m, rest_modes[k]) ? 'h' : 'l');
	for (i = 0; i < m->titles_depth; i++)
		rc |= buf_printf(out, "\033]2;%s\a\033[22;2t", m->titles[i]);
	return rc ? -1 : 0;
}
