/* SPDX-License-Identifier: ISC */
/* A cell's characters as UTF-8. */
#include "place/shim/screen.h"

size_t screen_utf8(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t screen_cell_utf8(const struct screen_cell *c, char out[SCREEN_CELL_UTF8_MAX])
{
	size_t i, n = 0;

	for (i = 0; i < SCREEN_CELL_CHARS && c->chars[i]; i++)
		n += screen_utf8(c->chars[i], out + n);
	return n;
}
