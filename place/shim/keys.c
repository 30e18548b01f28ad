/* SPDX-License-Identifier: ISC */
/* The bytes that keys send, by the names tmux gives them. */
#include "place/shim/keys.h"

#include <stdio.h>
#include <strings.h>

#include "base/util.h"
#include "place/shim/modes.h"

enum { MOD_SHIFT = 1, MOD_META = 2, MOD_CTRL = 4 };
enum { KITTY_DISAMBIGUATE = 1, KITTY_ALTERNATE = 4, KITTY_ALL = 8, KITTY_TEXT = 16 };

enum kind {
	CHARACTER, /* code is its code point */
	CONTROL,   /* Enter, Tab, Escape, BSpace: code is what it sends */
	CURSOR,    /* CSI letter, or ESC O letter in application mode */
	FUNCTION,  /* ESC O letter */
	TILDE,     /* CSI number ~ */
	KEYPAD,    /* code is its character; letter that of ESC O in application mode */
};

struct key {
	const char *name;
	enum kind kind;
	unsigned code; /* a code point, TILDE: the number */
	char letter;
	unsigned kitty; /* the code in CSI u, where it differs */
};

static const struct key table[] = {
	{"Enter", CONTROL, '\r', 0, 0},
	{"Escape", CONTROL, 033, 0, 0},
	{"Tab", CONTROL, '\t', 0, 0},
	{"BSpace", CONTROL, 0177, 0, 0},
	{"Space", CHARACTER, ' ', 0, 0},
	{"Up", CURSOR, 0, 'A', 0},
	{"Down", CURSOR, 0, 'B', 0},
	{"Right", CURSOR, 0, 'C', 0},
	{"Left", CURSOR, 0, 'D', 0},
	{"Home", CURSOR, 0, 'H', 0},
	{"End", CURSOR, 0, 'F', 0},
	{"IC", TILDE, 2, 0, 0},
	{"Insert", TILDE, 2, 0, 0},
	{"DC", TILDE, 3, 0, 0},
	{"Delete", TILDE, 3, 0, 0},
	{"PPage", TILDE, 5, 0, 0},
	{"PageUp", TILDE, 5, 0, 0},
	{"PgUp", TILDE, 5, 0, 0},
	{"NPage", TILDE, 6, 0, 0},
	{"PageDown", TILDE, 6, 0, 0},
	{"PgDn", TILDE, 6, 0, 0},
	{"F1", FUNCTION, 0, 'P', 0},
	{"F2", FUNCTION, 0, 'Q', 0},
	{"F3", FUNCTION, 0, 'R', 13},
	{"F4", FUNCTION, 0, 'S', 0},
	{"F5", TILDE, 15, 0, 0},
	{"F6", TILDE, 17, 0, 0},
	{"F7", TILDE, 18, 0, 0},
	{"F8", TILDE, 19, 0, 0},
	{"F9", TILDE, 20, 0, 0},
	{"F10", TILDE, 21, 0, 0},
	{"F11", TILDE, 23, 0, 0},
	{"F12", TILDE, 24, 0, 0},
	{"KP0", KEYPAD, '0', 'p', 57399},
	{"KP1", KEYPAD, '1', 'q', 57400},
	{"KP2", KEYPAD, '2', 'r', 57401},
	{"KP3", KEYPAD, '3', 's', 57402},
	{"KP4", KEYPAD, '4', 't', 57403},
	{"KP5", KEYPAD, '5', 'u', 57404},
	{"KP6", KEYPAD, '6', 'v', 57405},
	{"KP7", KEYPAD, '7', 'w', 57406},
	{"KP8", KEYPAD, '8', 'x', 57407},
	{"KP9", KEYPAD, '9', 'y', 57408},
	{"KP.", KEYPAD, '.', 'n', 57409},
	{"KP/", KEYPAD, '/', 'o', 57410},
	{"KP*", KEYPAD, '*', 'j', 57411},
	{"KP-", KEYPAD, '-', 'm', 57412},
	{"KP+", KEYPAD, '+', 'k', 57413},
	{"KPEnter", KEYPAD, '\r', 'M', 57414},
};

/* --- names --- */

/* One character: ASCII or a whole UTF-8 sequence. Its code point, or 0. */
static unsigned one_character(const char *s)
{
	size_t len = strlen(s), i;
	unsigned c = (unsigned char)s[0];

	if (len == 0 || len > 4 || !utf8_valid(s, len) || c < 0x20 || c == 0x7f)
		return 0;
	if (len == 1)
		return c;
	if (c < 0xc0)
		return 0;
	c &= 0xffu >> (len + 1);
	for (i = 1; i < len; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	}
	return c >= 0x80 && c < 0xa0 ? 0 : c;
}

/* Takes the modifiers off the front of a name: the rest, or NULL when one stands there twice. */
static const char *take_modifiers(const char *name, unsigned *mods)
{
	*mods = 0;
	for (;;) {
		unsigned m = 0;
		size_t n = 2;

		if (name[0] == '^' && name[1]) {
			m = MOD_CTRL;
			n = 1;
		} else if (name[0] && name[1] == '-' && name[2]) {
			m = name[0] == 'C' ? MOD_CTRL : name[0] == 'M' ? MOD_META : name[0] == 'S' ? MOD_SHIFT : 0;
		}
		if (!m)
			return name;
		if (*mods & m)
			return NULL;
		*mods |= m;
		name += n;
	}
}

static const struct key *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* How many letters lie between two names, upper and lower case alike. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[17];
	size_t n = strlen(b), i, j;

	if (n > 16)
		return 99;
	for (j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (i = 1; a[i - 1]; i++) {
		unsigned left_up = row[0];

		row[0] = (unsigned)i;
		for (j = 1; j <= n; j++) {
			unsigned up = row[j], best = left_up + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);

			if (up + 1 < best)
				best = up + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			left_up = up;
			row[j] = best;
		}
	}
	return row[n];
}

const char *key_nearest(const char *name)
{
	static const struct {
		const char *word, *name;
	} others[] = {{"Return", "Enter"}, {"CR", "Enter"}, {"Esc", "Escape"}, {"Backspace", "BSpace"}, {"BS", "BSpace"},
		{"Del", "DC"}, {"Ins", "IC"}, {"Ctrl", "C-c"}, {"BackTab", "BTab"}};
	const char *best = "Enter";
	unsigned mods, least = 99, d;
	const char *rest = take_modifiers(name, &mods);
	size_t i;

	rest = rest ? rest : name;
	for (i = 0; i < ARRAY_LEN(others); i++)
		if (strncasecmp(others[i].word, rest, strlen(others[i].word)) == 0)
			return others[i].name;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		d = distance(rest, table[i].name);
		if (d < least) {
			least = d;
			best = table[i].name;
		}
	}
	return best;
}

/* --- encodings --- */

struct out {
	char *at;
	int len;
};

#define put(o, ...) ((o)->len += snprintf((o)->at + (o)->len, (size_t)(KEY_BYTES_MAX - (o)->len), __VA_ARGS__))

static void put_byte(struct out *o, unsigned c)
{
	o->at[o->len++] = (char)c;
}

static void put_utf8(struct out *o, unsigned c)
{
	if (c < 0x80) {
		put_byte(o, c);
		return;
	}
	if (c < 0x800) {
		put_byte(o, 0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			put_byte(o, 0xe0 | c >> 12);
		} else {
			put_byte(o, 0xf0 | c >> 18);
			put_byte(o, 0x80 | (c >> 12 & 0x3f));
		}
		put_byte(o, 0x80 | (c >> 6 & 0x3f));
	}
	put_byte(o, 0x80 | (c & 0x3f));
}

/* What Ctrl makes of an ASCII character: the control it stands for. As xterm has it, 2 to 8 reach those
 * that no letter does, and what has none stays itself. */
static unsigned control_of(unsigned c, bool *ret_own)
{
	*ret_own = true;
	if (c >= '@' && c <= '~')
		return c & 0x1f;
	if (c >= '3' && c <= '7')
		return c - '3' + 033;
	switch (c) {
	case ' ':
	case '2':
		return 0;
	case '/':
	case '-':
		return 037;
	case '8':
	case '?':
		return 0177;
	}
	*ret_own = false;
	return c;
}

static char shifted_letter(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* CSI code[:shifted];modifiers[;text] u */
static void put_kitty(struct out *o, unsigned code, unsigned mods, unsigned text, unsigned flags)
{
	unsigned shifted = 0;

	if (code >= 'A' && code <= 'Z') { /* codes are those of the unshifted key */
		code += 'a' - 'A';
		mods |= MOD_SHIFT;
	}
	if (mods & MOD_SHIFT && code >= 'a' && code <= 'z')
		shifted = code - ('a' - 'A');
	if (text && mods & (MOD_CTRL | MOD_META))
		text = 0;
	else if (text && shifted)
		text = shifted;
	put(o, "\033[%u", code);
	if (flags & KITTY_ALTERNATE && shifted)
		put(o, ":%u", shifted);
	if (!(flags & KITTY_TEXT))
		text = 0;
	if (mods || text) {
		if (mods)
			put(o, ";%u", mods + 1);
		else
			put(o, ";");
	}
	if (text)
		put(o, ";%u", text);
	put(o, "u");
}

static void put_other(struct out *o, unsigned code, unsigned mods)
{
	put(o, "\033[27;%u;%u~", mods + 1, code);
}

/* Characters, and the four keys that send a control. */
static void put_code(struct out *o, const struct key *k, unsigned mods, const struct key_modes *m)
{
	bool control = k->kind == CONTROL, own = true;
	unsigned code = k->code, c = code;

	if (m->kitty & KITTY_ALL || (m->kitty & KITTY_DISAMBIGUATE &&
					    (control ? mods || code == 033 : (mods & (MOD_CTRL | MOD_META)) != 0))) {
		put_kitty(o, code, mods, control ? 0 : code, m->kitty);
		return;
	}
	if (!control && mods & MOD_SHIFT && code < 0x80) {
		code = c = (unsigned char)shifted_letter((char)code);
		if (!(mods & MOD_CTRL))
			mods &= ~(unsigned)MOD_SHIFT;
	}
	if (code == '\t' && mods == MOD_SHIFT && m->other_keys < 2) {
		put(o, "\033[Z");
		return;
	}
	if (!control && mods & MOD_CTRL && code < 0x80)
		c = control_of(code, &own);
	/* 1: what has no bytes of its own; 2: all that is modified. */
	if ((m->other_keys == 2 && mods) ||
		(m->other_keys == 1 && (!own || mods & MOD_SHIFT || (control && mods & MOD_CTRL)))) {
		put_other(o, code, mods);
		return;
	}
	if (mods & MOD_META)
		put_byte(o, 033);
	put_utf8(o, c);
}

static void put_keypad(struct out *o, const struct key *k, unsigned mods, const struct key_modes *m)
{
	if (m->kitty & KITTY_ALL) {
		put_kitty(o, k->kitty, mods, k->code >= ' ' ? k->code : 0, m->kitty);
		return;
	}
	if (mods & MOD_META)
		put_byte(o, 033);
	if (m->keypad_app)
		put(o, "\033O%c", k->letter);
	else
		put_byte(o, k->code);
}

static void put_key(struct out *o, const struct key *k, unsigned mods, const struct key_modes *m)
{
	switch (k->kind) {
	case CHARACTER:
	case CONTROL:
		put_code(o, k, mods, m);
		break;
	case CURSOR:
	case FUNCTION:
		if (m->kitty && k->kitty && !mods) /* CSI R would be taken for a cursor's position */
			put(o, "\033[%u~", k->kitty);
		else if (m->kitty && k->kitty)
			put(o, "\033[%u;%u~", k->kitty, mods + 1);
		else if (mods)
			put(o, "\033[1;%u%c", mods + 1, k->letter);
		else if (!m->kitty && (k->kind == FUNCTION || m->cursor_app))
			put(o, "\033O%c", k->letter);
		else
			put(o, "\033[%c", k->letter);
		break;
	case TILDE:
		if (mods)
			put(o, "\033[%u;%u~", k->code, mods + 1);
		else
			put(o, "\033[%u~", k->code);
		break;
	case KEYPAD:
		put_keypad(o, k, mods, m);
		break;
	}
}

void key_modes_of(const struct modes *m, struct key_modes *ret)
{
	*ret = (struct key_modes){.cursor_app = modes_is_set(m, MODE_CURSOR_KEYS),
		.keypad_app = modes_is_set(m, MODE_KEYPAD), .other_keys = m->modify_other_keys, .kitty = modes_kitty_flags(m)};
}

int key_encode(const char *name, const struct key_modes *m, char out[KEY_BYTES_MAX])
{
	struct out o = {.at = out};
	struct key one = {.kind = CHARACTER};
	const struct key *k;
	unsigned mods;

	name = take_modifiers(name, &mods);
	if (!name)
		return -1;
	if (strcmp(name, "BTab") == 0) {
		mods |= MOD_SHIFT;
		name = "Tab";
	}
	k = find(name);
	if (!k) {
		one.code = one_character(name);
		if (!one.code)
			return -1;
		k = &one;
	}
	put_key(&o, k, mods, m);
	return o.len;
}
