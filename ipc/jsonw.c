/* SPDX-License-Identifier: ISC */
/* Writes JSON text straight into a buffer; see jsonw.h. */
#include "ipc/jsonw.h"

#include <string.h>

#include "base/util.h"
#include "ipc/rpc.h"

void jsonw_init(struct jsonw *w, struct buf *out)
{
	*w = (struct jsonw){.out = out};
}

static inline void put(struct jsonw *w, const char *text, size_t len)
{
	struct buf *b = w->out;

	/* Most pieces are a few bytes, and there is room. */
	if (b->mem && b->head + b->len + len <= b->cap && b->len + len <= b->max) {
		memcpy(b->mem + b->head + b->len, text, len);
		b->len += len;
		return;
	}
	if (buf_append(w->out, text, len) < 0)
		w->full = true;
}

static void next(struct jsonw *w)
{
	if (w->comma)
		put(w, ",", 1);
	w->comma = true;
}

void jsonw_open(struct jsonw *w, char c)
{
	next(w);
	put(w, &c, 1);
	w->comma = false;
}

void jsonw_close(struct jsonw *w, char c)
{
	put(w, &c, 1);
	w->comma = true;
}

void jsonw_key(struct jsonw *w, const char *key)
{
	next(w);
	put(w, "\"", 1);
	put(w, key, strlen(key));
	put(w, "\":", 2);
	w->comma = false;
}

/* Bytes from s on that need no escape. */
static size_t plain(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && (unsigned char)s[n] >= 0x20 && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

static void put_string(struct jsonw *w, const char *s, size_t len)
{
	char escape[8];

	put(w, "\"", 1);
	while (len > 0) {
		size_t n = plain(s, len);
		put(w, s, n);
		s += n;
		len -= n;
		if (len == 0)
			break;
		if (*s == '"' || *s == '\\')
			snprintf(escape, sizeof(escape), "\\%c", *s);
		else
			snprintf(escape, sizeof(escape), "\\u%04x", (unsigned char)*s);
		put(w, escape, strlen(escape));
		s++;
		len--;
	}
	put(w, "\"", 1);
}

void jsonw_string(struct jsonw *w, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	next(w);
	if (s == NULL) {
		put(w, "null", 4);
	} else if (utf8_valid(s, len)) {
		put_string(w, s, len);
	} else {
		json_t *clean = json_text(s, len);
		put_string(w, json_string_value(clean), json_string_length(clean));
		json_decref(clean);
	}
}

void jsonw_int(struct jsonw *w, int64_t n)
{
	char text[24];
	char *at = text + sizeof(text);
	uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

	do
		*--at = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (n < 0)
		*--at = '-';
	next(w);
	put(w, at, (size_t)(text + sizeof(text) - at));
}

static int append(const char *data, size_t len, void *arg)
{
	put(arg, data, len);
	return 0;
}

void jsonw_json(struct jsonw *w, const json_t *v)
{
	next(w);
	if (v == NULL)
		put(w, "null", 4);
	else
		json_dump_callback(v, append, w, JSON_COMPACT | JSON_ENCODE_ANY);
}
