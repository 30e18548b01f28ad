/* SPDX-License-Identifier: ISC */
/* The text of an input: cleaned, cut into pieces, measured. */
#include "place/shim/input.h"

static bool continues(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t input_clean(char *text, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == 0xc2 && i + 1 < len && continues(text[i + 1]) && (unsigned char)text[i + 1] < 0xa0)
			i++; /* U+0080..U+009F: controls, too */
		else if (c == '\r' && (i + 1 == len || text[i + 1] != '\n'))
			text[n++] = '\n';
		else if ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')
			text[n++] = text[i];
	}
	return n;
}

size_t input_cut(const char *text, size_t len, size_t max)
{
	size_t n = max;

	if (len <= max)
		return len;
	while (n > 1 && max - n < 3 && continues(text[n]))
		n--;
	return continues(text[n]) ? max : n; /* no character is that long: it is not UTF-8 */
}

size_t input_piece(const char *text, size_t len)
{
	size_t n = 0, end = input_cut(text, len, INPUT_PIECE_BYTES);
	int newlines = 0;

	/* Three lines have two newlines between them. */
	while (n < end && !(text[n] == '\n' && ++newlines == INPUT_PIECE_LINES))
		n++;
	return n;
}

size_t input_longest_line(const char *text, size_t len)
{
	size_t longest = 0, from = 0, i;

	for (i = 0; i <= len; i++) {
		if (i < len && text[i] != '\n')
			continue;
		if (i - from > longest)
			longest = i - from;
		from = i + 1;
	}
	return longest;
}

void input_brackets_feed(struct input_brackets *b, const void *data, size_t len)
{
	static const char start[] = "\033[20";
	const char *p = data;

	for (size_t i = 0; i < len; i++) {
		if (b->at < 4 && p[i] == start[b->at]) {
			b->at++;
		} else if (b->at == 4 && (p[i] == '0' || p[i] == '1')) {
			b->end = p[i] == '1';
			b->at++;
		} else {
			if (b->at == 5 && p[i] == '~')
				b->open = !b->end;
			b->at = p[i] == start[0];
		}
	}
}
