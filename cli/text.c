/* SPDX-License-Identifier: ISC */
/* Escaping, measuring and cutting of text for a terminal. */
#include "cli/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/util.h"

#define TEXT_MAX (64 * 1024 * 1024)

static bool utf8_locale = true;

void text_init(void)
{
	setlocale(LC_CTYPE, "");
	utf8_locale = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	/* What the daemon sends is UTF-8 whatever the user's locale. */
	if (!utf8_locale)
		setlocale(LC_CTYPE, "C.UTF-8");
}

bool text_utf8(void)
{
	return utf8_locale;
}

/* Decodes one character: its length, or 0 when s does not begin with a valid one. */
static size_t decode(const unsigned char *s, uint32_t *ret)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (n == 0 || !utf8_valid(s, n))
		return 0;
	uint32_t c = n == 1 ? s[0] : s[0] & (0xff >> (n + 1));
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (s[i] & 0x3f);
	*ret = c;
	return n;
}

/* Characters that act on their surroundings instead of being seen. */
static bool harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x061c ||
	       c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

static void escape_one(struct buf *b, uint32_t c, bool lines)
{
	if (lines && (c == '\n' || c == '\t'))
		buf_printf(b, "%c", (char)c);
	else if (c == '\n')
		buf_printf(b, "\\n");
	else if (c == '\r')
		buf_printf(b, "\\r");
	else if (c == '\t')
		buf_printf(b, "\\t");
	else if (c < 0x80)
		buf_printf(b, "\\x%02x", (unsigned)c);
	else
		buf_printf(b, "\\u{%x}", (unsigned)c);
}

char *text_escape(const char *s, bool lines)
{
	struct buf b;

	buf_init(&b, TEXT_MAX);
	for (const unsigned char *p = (const unsigned char *)(s ? s : ""); *p;) {
		uint32_t c;
		size_t n = decode(p, &c);
		if (n == 0) {
			buf_printf(&b, "\\x%02x", *p);
			n = 1;
		} else if (harmful(c)) {
			escape_one(&b, c, lines);
		} else {
			buf_append(&b, p, n);
		}
		p += n;
	}
	char *out = xstrndup(b.len ? (char *)buf_data(&b) : "", b.len);
	buf_finish(&b);
	return out;
}

static size_t char_width(uint32_t c)
{
	int w = wcwidth((wchar_t)c);
	return w > 0 ? (size_t)w : 0;
}

size_t text_width(const char *s)
{
	size_t width = 0;

	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		uint32_t c;
		size_t n = decode(p, &c);
		width += n ? char_width(c) : 1;
		p += n ? n : 1;
	}
	return width;
}

static const char *ellipsis(void)
{
	return utf8_locale ? "\xe2\x80\xa6" : "~";
}

char *text_cut(const char *s, size_t width)
{
	if (text_width(s) <= width)
		return xstrdup(s);
	if (width == 0)
		return xstrdup("");
	const unsigned char *p = (const unsigned char *)s;
	for (size_t used = 0; *p;) {
		uint32_t c;
		size_t n = decode(p, &c), w = n ? char_width(c) : 1;
		if (used + w > width - 1)
			break;
		used += w;
		p += n ? n : 1;
	}
	return xasprintf("%.*s%s", (int)(p - (const unsigned char *)s), s, ellipsis());
}

char *text_cut_front(const char *s, size_t width)
{
	size_t have = text_width(s);

	if (have <= width)
		return xstrdup(s);
	if (width == 0)
		return xstrdup("");
	const unsigned char *p = (const unsigned char *)s;
	while (*p && have > width - 1) {
		uint32_t c;
		size_t n = decode(p, &c);
		have -= n ? char_width(c) : 1;
		p += n ? n : 1;
	}
	return xasprintf("%s%s", ellipsis(), (const char *)p);
}

char *text_span(int64_t ms, char out[SPAN_MAX])
{
	int64_t s = ms < 0 ? 0 : ms / 1000;

	if (s < 60)
		snprintf(out, SPAN_MAX, "%llds", (long long)s);
	else if (s < 3600)
		snprintf(out, SPAN_MAX, "%lldm", (long long)(s / 60));
	else if (s < 24 * 3600)
		snprintf(out, SPAN_MAX, "%lldh%02lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
	else
		snprintf(out, SPAN_MAX, "%lldd", (long long)(s / 86400 > 99999 ? 99999 : s / 86400));
	return out;
}

int64_t text_parse_time(const char *iso)
{
	struct tm tm = {0};
	const char *rest = iso ? strptime(iso, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	int64_t ms = 0;

	if (!rest)
		return -1;
	if (*rest == '.') {
		int64_t unit = 100;
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
			ms += (*rest - '0') * unit;
	}
	return (int64_t)timegm(&tm) * 1000 + ms;
}

const char *text_since(const char *iso, int64_t now_ms, char out[SPAN_MAX])
{
	int64_t at = text_parse_time(iso);

	return at < 0 ? "" : text_span(now_ms - at, out);
}
