/* SPDX-License-Identifier: ISC */
/*
 * How many columns a character takes: as the C library says, which is what tmux asks too, so that a
 * view's columns are ours.
 */
#include <locale.h>
#include <wchar.h>

#include "base/util.h"
#include "place/shim/screen_int.h"

#define KNOWN 256

static locale_t utf8_locale(void)
{
	static const char *const names[] = {"C.UTF-8", "C.utf8", "en_US.UTF-8", ""};
	static locale_t found;
	size_t i;

	for (i = 0; !found && i < ARRAY_LEN(names); i++) {
		locale_t l = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0), old;
		bool wide;

		if (!l)
			continue;
		old = uselocale(l);
		wide = wcwidth(0x4e00) == 2;
		uselocale(old);
		if (wide)
			found = l;
		else
			freelocale(l);
	}
	return found;
}

/* Without any such locale: the large blocks. */
static int guess(uint32_t c)
{
	if ((c >= 0x300 && c < 0x370) || (c >= 0x200b && c <= 0x200f) || (c >= 0xfe00 && c <= 0xfe0f))
		return 0;
	return (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) || (c >= 0xac00 && c < 0xd7a4) ||
	       (c >= 0xf900 && c < 0xfb00) || (c >= 0xff01 && c < 0xff61) || (c >= 0x1f300 && c < 0x1f650) ||
	       (c >= 0x1f900 && c < 0x1fa00) || (c >= 0x20000 && c < 0x3fffe) ? 2 : 1;
}

int char_width(uint32_t c)
{
	static struct {
		uint32_t c;
		int width;
	} known[KNOWN];
	locale_t utf8, old;
	int w;

	if (c < 0x300 || (c >= 0x2500 && c < 0x25a0))
		return 1;
	if ((c >= 0x4e00 && c < 0xa000) || (c >= 0xac00 && c < 0xd7a4))
		return 2;
	if (known[c % KNOWN].c == c)
		return known[c % KNOWN].width;
	utf8 = utf8_locale();
	if (utf8) {
		old = uselocale(utf8);
		w = wcwidth((wchar_t)c);
		uselocale(old);
		w = w < 0 ? 1 : w > 2 ? 2 : w; /* unassigned: tmux draws it in one column */
	} else {
		w = guess(c);
	}
	known[c % KNOWN].c = c;
	known[c % KNOWN].width = w;
	return w;
}
