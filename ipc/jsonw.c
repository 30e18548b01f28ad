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

void jsonw_raw_slow(struct jsonw *w, const char *text, size_t len)
{
	if (buf_append(w->out, text, len) < 0)
		w->full = true;
}

static inline void next(struct jsonw *w)
{
	if (w->comma)
		jsonw_raw(w, ",", 1);
	w->comma = true;
}

void jsonw_open(struct jsonw *w, char c)
{
	next(w);
	jsonw_raw(w, &c, 1);
	w->comma = false;
}

void jsonw_close(struct jsonw *w, char c)
{
	jsonw_raw(w, &c, 1);
	w->comma = true;
}

void jsonw_key(struct jsonw *w, const char *key)
{
	next(w);
	jsonw_raw(w, "\"", 1);
	jsonw_raw(w, key, strlen(key));
	jsonw_raw(w, "\":", 2);
	w->comma = false;
}

static inline bool plain_byte(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The high bit of each byte of these eight that does not stand in a string as it is. (A borrow may add bytes
 * above one that is such; never below the first.) */
static inline uint64_t not_plain(const char *s)
{
	const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80;
	uint64_t v, quote, back;

	memcpy(&v, s, sizeof(v));
	quote = v ^ ones * '"';
	back = v ^ ones * '\\';
	return ((v - ones * 0x20) | (quote - ones) | (back - ones) | v) & high;
}

/* Do all bytes stand in a string as they are? */
static bool all_plain(const char *s, size_t len)
{
	size_t n = 0;

	if (len >= sizeof(uint64_t)) {
		for (; n + sizeof(uint64_t) <= len; n += sizeof(uint64_t))
			if (not_plain(s + n))
				return false;
		return n == len || !not_plain(s + len - sizeof(uint64_t));
	}
	while (n < len && plain_byte((unsigned char)s[n]))
		n++;
	return n == len;
}

static void put_escape(struct jsonw *w, char c)
{
	static const char named[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
	const char *at = strchr(named, c);
	char escape[8];
	int n = at ? snprintf(escape, sizeof(escape), "\\%c", names[at - named])
		   : snprintf(escape, sizeof(escape), "\\u%04X", (unsigned char)c);

	jsonw_raw(w, escape, (size_t)n);
}

static void put_escaped(struct jsonw *w, const char *s, size_t len)
{
	jsonw_raw(w, "\"", 1);
	for (size_t n; len > 0; s += n, len -= n) {
		n = 0;
		while (n < len && (plain_byte((unsigned char)s[n]) || (unsigned char)s[n] >= 0x80))
			n++;
		jsonw_raw(w, s, n);
		if (n < len)
			put_escape(w, s[n++]);
	}
	jsonw_raw(w, "\"", 1);
}

void jsonw_string(struct jsonw *w, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	next(w);
	if (s == NULL) {
		jsonw_raw(w, "null", 4);
	} else if (all_plain(s, len)) {
		jsonw_raw(w, "\"", 1);
		jsonw_raw(w, s, len);
		jsonw_raw(w, "\"", 1);
	} else if (utf8_valid(s, len)) {
		put_escaped(w, s, len);
	} else {
		json_t *clean = json_text(s, len);
		put_escaped(w, json_string_value(clean), json_string_length(clean));
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
	jsonw_raw(w, at, (size_t)(text + sizeof(text) - at));
}

static int append(const char *data, size_t len, void *arg)
{
	jsonw_raw(arg, data, len);
	return 0;
}

/* Labels are such: jansson's own writer keeps a table of what it is within, for each. */
static bool put_strings(struct jsonw *w, const json_t *v)
{
	const char *key;
	json_t *value;
	size_t before = w->out->len;

	jsonw_raw(w, "{", 1);
	w->comma = false;
	json_object_foreach((json_t *)(uintptr_t)v, key, value) {
		if (!json_is_string(value) || json_string_length(value) != strlen(json_string_value(value))) {
			buf_truncate(w->out, before);
			w->comma = true;
			return false;
		}
		jsonw_string(w, key);
		jsonw_raw(w, ":", 1);
		w->comma = false;
		jsonw_string(w, json_string_value(value));
	}
	jsonw_close(w, '}');
	return true;
}

void jsonw_json(struct jsonw *w, const json_t *v)
{
	next(w);
	if (v == NULL)
		jsonw_raw(w, "null", 4);
	else if (json_is_true(v))
		jsonw_raw(w, "true", 4);
	else if (json_is_false(v))
		jsonw_raw(w, "false", 5);
	else if (!json_is_object(v) || !put_strings(w, v))
		json_dump_callback(v, append, w, JSON_COMPACT | JSON_ENCODE_ANY);
}
