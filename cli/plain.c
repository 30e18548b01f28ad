/* SPDX-License-Identifier: ISC */
/*
 * A terminal's bytes as text. ESC starts a sequence: `[` one of parameters up to a final byte, `]`, `P`,
 * `_`, `^` and `X` a string up to ST or BEL, intermediates up to a final byte, anything else is one byte
 * more. Cursor movements are lost, so what a full-screen program paints comes out as a list of words:
 * this is for programs that print lines.
 */
#include "cli/plain.h"

#include <string.h>

#include "base/util.h"

static void put_char(struct plain *p, struct buf *out)
{
	static const char replacement[] = "\xef\xbf\xbd";

	/* C1 controls act on a terminal just as ESC sequences do. */
	bool c1 = p->want == 2 && p->utf8[0] == 0xc2 && p->utf8[1] < 0xa0;
	if (c1 && p->utf8[1] == 0x9b)
		p->state = PLAIN_CSI;
	else if (c1 && (p->utf8[1] == 0x90 || p->utf8[1] == 0x9d))
		p->state = PLAIN_STRING;
	else if (c1)
		p->state = PLAIN_TEXT;
	else if (p->have == p->want && utf8_valid(p->utf8, p->have))
		buf_append(out, p->utf8, p->have);
	else
		buf_append(out, replacement, 3);
	p->have = p->want = 0;
}

static void text_byte(struct plain *p, unsigned char c, struct buf *out)
{
	if (p->want && (c & 0xc0) == 0x80) {
		p->utf8[p->have++] = c;
		if (p->have == p->want)
			put_char(p, out);
		return;
	}
	if (p->want)
		put_char(p, out); /* cut short */
	if (p->cr && c != '\n' && c != '\r')
		buf_append(out, "\n", 1); /* a line written over: below it instead */
	p->cr = c == '\r';
	if (c == 0x1b) {
		p->state = PLAIN_ESC;
	} else if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f)) {
		buf_append(out, &c, 1);
	} else if (c >= 0x80) {
		p->utf8[0] = c;
		p->have = 1;
		p->want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
		if (p->want == 1)
			put_char(p, out);
	}
}

static void esc_byte(struct plain *p, unsigned char c)
{
	if (c == '[')
		p->state = PLAIN_CSI;
	else if (c == ']' || c == 'P' || c == '_' || c == '^' || c == 'X')
		p->state = PLAIN_STRING;
	else if (c >= 0x20 && c < 0x30)
		p->state = PLAIN_SKIP_ONE;
	else if (c != 0x1b)
		p->state = PLAIN_TEXT;
}

static void feed_byte(struct plain *p, unsigned char c, struct buf *out)
{
	switch (p->state) {
	case PLAIN_TEXT:
		text_byte(p, c, out);
		break;
	case PLAIN_ESC:
		esc_byte(p, c);
		break;
	case PLAIN_CSI:
		if (c == 0x1b)
			p->state = PLAIN_ESC;
		else if (c >= 0x40)
			p->state = PLAIN_TEXT;
		break;
	case PLAIN_STRING:
		if (c == 0x1b)
			p->state = PLAIN_STRING_ESC;
		else if (c == 0x07 || c == 0x18 || c == 0x1a)
			p->state = PLAIN_TEXT;
		break;
	case PLAIN_STRING_ESC:
		p->state = PLAIN_TEXT;
		if (c != '\\')
			esc_byte(p, c);
		break;
	case PLAIN_SKIP_ONE:
		if (c >= 0x30)
			p->state = PLAIN_TEXT;
		break;
	}
}

void plain_feed(struct plain *p, const void *data, size_t len, struct buf *out)
{
	const unsigned char *s = data;

	for (size_t i = 0; i < len; i++)
		feed_byte(p, s[i], out);
}
