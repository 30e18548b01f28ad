/* SPDX-License-Identifier: ISC */
/*
 * The key that leaves a bare view, in every way in which terminals send it.
 *
 * A program can switch the user's terminal to other encodings, and then the control byte never comes: kitty's
 * keyboard protocol sends CSI code ; modifiers u (https://sw.kovidgoyal.net/kitty/keyboard-protocol/),
 * xterm's modifyOtherKeys CSI 27 ; modifiers ; code ~. Nobody may be caught in a view for that. A sequence may
 * come in two reads: its beginning is kept until the rest is there. What is pasted in brackets (CSI 200 ~ to
 * CSI 201 ~) is not typed, and leaves nothing.
 */
#include "cli/detach.h"

#include <ctype.h>
#include <string.h>

#include "base/util.h"

#define FIELDS_MAX 3
#define MOD_CTRL 4
#define MOD_LOCKS (64 | 128) /* caps lock, num lock: say nothing */
#define EVENT_RELEASE 3
#define PASTE_BEGIN 200
#define PASTE_END 201

int detach_key(const char *name)
{
	if (strcmp(name, "none") == 0)
		return 0;
	if (strlen(name) != 3 || (name[0] != 'C' && name[0] != '^') || name[1] != '-')
		return -1;
	int c = toupper((unsigned char)name[2]);
	/* Not C-[, which is Escape, nor those that a terminal cannot tell from Tab and Enter. */
	if (c < 'A' || c > '_' || c == '[' || c == 'I' || c == 'J' || c == 'M')
		return -1;
	return c & 0x1f;
}

enum csi { CSI_NONE, CSI_BEGUN, CSI_WHOLE };

/* A CSI sequence as far as it can be of interest here. */
struct sequence {
	size_t len;
	unsigned field[FIELDS_MAX], sub[FIELDS_MAX]; /* its numbers, and the first number behind a colon of each */
	int nfields;
	char final;
};

static enum csi parse_csi(const char *data, size_t len, struct sequence *ret)
{
	struct sequence s = {.nfields = 1};
	bool in_sub = false, more = false;

	if (data[0] != 0x1b || (len > 1 && data[1] != '['))
		return CSI_NONE;
	for (size_t i = 2; i < len; i++) {
		unsigned *at = in_sub ? &s.sub[s.nfields - 1] : &s.field[s.nfields - 1];

		if (isdigit((unsigned char)data[i])) {
			if (!more && *at < 0x110000)
				*at = *at * 10 + (unsigned)(data[i] - '0');
		} else if (data[i] == ':') {
			more = in_sub;
			in_sub = true;
		} else if (data[i] == ';') {
			if (++s.nfields > FIELDS_MAX)
				return CSI_NONE;
			in_sub = more = false;
		} else {
			s.final = data[i];
			s.len = i + 1;
			*ret = s;
			return CSI_WHOLE;
		}
	}
	return CSI_BEGUN;
}

static bool names(int key, unsigned code, unsigned modifiers)
{
	return modifiers > 0 && ((modifiers - 1) & ~(unsigned)MOD_LOCKS) == MOD_CTRL && code < 0x80 &&
	       toupper((int)code) == (key | 0x40);
}

static bool is_key(int key, const struct sequence *s)
{
	if (s->final == 'u' && s->nfields >= 2)
		return names(key, s->field[0], s->field[1]) && s->sub[1] != EVENT_RELEASE;
	return s->final == '~' && s->nfields == 3 && s->field[0] == 27 && names(key, s->field[2], s->field[1]);
}

/* What is pasted is text, whatever bytes it has. */
static bool is_bracket(const struct sequence *s, unsigned which)
{
	return s->final == '~' && s->nfields == 1 && s->field[0] == which;
}

/* Where the key or an unfinished sequence begins in d->at, or its end. True: it is the key. */
static bool scan(struct detach *d, size_t *ret)
{
	size_t i = 0;
	bool found = false;

	while (i < d->len && !found) {
		struct sequence s = {.len = 1};
		enum csi what = parse_csi(d->at + i, d->len - i, &s);

		if (what == CSI_BEGUN && d->len - i <= DETACH_HELD_MAX)
			break;
		if (what == CSI_WHOLE && is_bracket(&s, d->pasting ? PASTE_END : PASTE_BEGIN))
			d->pasting = !d->pasting;
		else if (!d->pasting)
			found = (unsigned char)d->at[i] == d->key || (what == CSI_WHOLE && is_key(d->key, &s));
		/* A byte that is no text ends a sequence, and may begin the next. */
		if (!found)
			i += what == CSI_WHOLE && s.final >= 0x40 ? s.len : 1;
	}
	*ret = i;
	return found;
}

bool detach_feed(struct detach *d, const char *data, size_t len, const char **ret, size_t *ret_len)
{
	size_t from = d->passed, to, begun;
	bool found = false;

	/* What was held is behind us: it is carried to the front first. */
	memmove(d->at, d->at + d->begun, d->len - d->begun);
	d->len -= d->begun;
	if (len > DETACH_READ_MAX)
		len = DETACH_READ_MAX;
	memcpy(d->at + d->len, data, len);
	d->len += len;
	begun = d->len;
	if (d->key > 0)
		found = scan(d, &begun);
	/* Escape and Alt-[ are keys of their own; nobody types more of a sequence by hand. */
	to = found || d->len - begun > 2 ? begun : d->len;
	*ret = d->at + from;
	*ret_len = to > from ? to - from : 0;
	d->begun = begun;
	d->passed = (to > from ? to : from) - begun;
	return found;
}
