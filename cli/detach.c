/* SPDX-License-Identifier: ISC */
/*
 * The key that leaves a bare view, in every way in which terminals send it.
 *
 * A program can switch the user's terminal to other encodings, and then the control byte never comes: kitty's
 * keyboard protocol sends CSI code ; modifiers u (https://sw.kovidgoyal.net/kitty/keyboard-protocol/),
 * xterm's modifyOtherKeys CSI 27 ; modifiers ; code ~. Nobody may be caught in a view for that.
 */
#include "cli/detach.h"

#include <ctype.h>
#include <string.h>

#include "base/util.h"

#define FIELDS_MAX 3
#define MOD_CTRL 4
#define MOD_LOCKS (64 | 128) /* caps lock, num lock: say nothing */
#define EVENT_RELEASE 3

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

/* A CSI sequence at data: its length (0: none, or not whole), its numbers with the first number behind a
 * colon, its final byte. */
static size_t parse_csi(const char *data, size_t len, unsigned field[FIELDS_MAX], unsigned sub[FIELDS_MAX], int *nfields,
	char *final)
{
	bool in_sub = false, more = false;
	size_t i;

	if (len < 3 || data[0] != 0x1b || data[1] != '[')
		return 0;
	memset(field, 0, FIELDS_MAX * sizeof(*field));
	memset(sub, 0, FIELDS_MAX * sizeof(*sub));
	*nfields = 1;
	for (i = 2; i < len; i++) {
		unsigned *at = in_sub ? &sub[*nfields - 1] : &field[*nfields - 1];

		if (isdigit((unsigned char)data[i])) {
			if (!more && *at < 0x110000)
				*at = *at * 10 + (unsigned)(data[i] - '0');
		} else if (data[i] == ':') {
			more = in_sub;
			in_sub = true;
		} else if (data[i] == ';') {
			if (++*nfields > FIELDS_MAX)
				return 0;
			in_sub = more = false;
		} else {
			*final = data[i];
			return i + 1;
		}
	}
	return 0;
}

static bool names(int key, unsigned code, unsigned modifiers)
{
	return modifiers > 0 && ((modifiers - 1) & ~(unsigned)MOD_LOCKS) == MOD_CTRL && code < 0x80 &&
	       toupper((int)code) == (key | 0x40);
}

static size_t match_csi(int key, const char *data, size_t len)
{
	unsigned field[FIELDS_MAX], sub[FIELDS_MAX];
	int n;
	char final;
	size_t used = parse_csi(data, len, field, sub, &n, &final);

	if (used == 0)
		return 0;
	if (final == 'u' && n >= 2 && names(key, field[0], field[1]) && sub[1] != EVENT_RELEASE)
		return used;
	if (final == '~' && n == 3 && field[0] == 27 && names(key, field[2], field[1]))
		return used;
	return 0;
}

size_t detach_find(int key, const char *data, size_t len, size_t *ret_end)
{
	for (size_t i = 0; key > 0 && i < len; i++) {
		size_t used = (unsigned char)data[i] == key ? 1 : match_csi(key, data + i, len - i);

		if (used > 0) {
			*ret_end = i + used;
			return i;
		}
	}
	return len;
}
