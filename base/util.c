/* SPDX-License-Identifier: ISC */
/* Memory, string vectors, strict parsing, encodings, randomness. */
#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/random.h>

static void *no_memory(void)
{
	static const char text[] = "out of memory\n";
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		abort();
	abort();
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);
	return p ? p : no_memory();
}

void *xrealloc(void *p, size_t size)
{
	void *q = realloc(p, size ? size : 1);
	return q ? q : no_memory();
}

char *xstrdup(const char *s)
{
	return s ? xstrndup(s, strlen(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = xcalloc(len + 1, 1);
	memcpy(p, s, len);
	return p;
}

static char *format_owned(const char *fmt, va_list ap)
{
	char *p = NULL;
	if (vasprintf(&p, fmt, ap) < 0)
		no_memory();
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *p = format_owned(fmt, ap);
	va_end(ap);
	return p;
}

char **strv_new(void)
{
	return xcalloc(1, sizeof(char *));
}

void strv_free(char **v)
{
	for (char **p = v; p && *p; p++)
		free(*p);
	free(v);
}

size_t strv_len(char *const *v)
{
	size_t n = 0;
	while (v && v[n])
		n++;
	return n;
}

static void push_owned(char ***v, char *s)
{
	size_t n = strv_len(*v);
	*v = xrealloc(*v, (n + 2) * sizeof(char *));
	(*v)[n] = s;
	(*v)[n + 1] = NULL;
}

void strv_push(char ***v, const char *s)
{
	push_owned(v, xstrdup(s));
}

void strv_pushf(char ***v, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	push_owned(v, format_owned(fmt, ap));
	va_end(ap);
}

char **strv_copy(char *const *v)
{
	size_t n = strv_len(v);
	char **out = xcalloc(n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++)
		out[i] = xstrdup(v[i]);
	return out;
}

/* The index of KEY's entry, or -1. */
static ssize_t env_find(char *const *env, const char *key)
{
	size_t len = strlen(key);
	for (size_t i = 0; env && env[i]; i++)
		if (strncmp(env[i], key, len) == 0 && env[i][len] == '=')
			return (ssize_t)i;
	return -1;
}

const char *strv_env_get(char *const *env, const char *key)
{
	ssize_t i = env_find(env, key);
	return i < 0 ? NULL : env[i] + strlen(key) + 1;
}

void strv_env_set(char ***env, const char *key, const char *value)
{
	char *entry = xasprintf("%s=%s", key, value);
	ssize_t i = env_find(*env, key);
	if (i < 0) {
		push_owned(env, entry);
		return;
	}
	free((*env)[i]);
	(*env)[i] = entry;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

int str_fmt(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	return n >= 0 && (size_t)n < size ? 0 : -1;
}

void str_line(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (const char *p = text ? text : ""; *p && n + 1 < size; p++) {
		unsigned char c = (unsigned char)*p;
		/* Runs of blanks and control characters become one blank: it is shown on one line. */
		if (c <= ' ' || c == 0x7f) {
			if (n && out[n - 1] != ' ')
				out[n++] = ' ';
			continue;
		}
		out[n++] = (char)c;
	}
	/* A character that was cut in its middle goes whole. */
	size_t start = n;
	while (start > 0 && ((unsigned char)out[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)out[start - 1] >= 0xc0 &&
		!utf8_valid(out + start - 1, n - start + 1))
		n = start - 1;
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	/* strtoll takes spaces and a plus sign; we do not. */
	if (!s || !(*s == '-' || (*s >= '0' && *s <= '9')))
		return -1;
	char *end;
	errno = 0;
	long long v = strtoll(s, &end, 10);
	if (errno || end == s || *end || v < min || v > max)
		return -1;
	*ret = v;
	return 0;
}

/* The length of the sequence at p (at most left bytes), or 0 when it is not UTF-8. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
	if (p[0] < 0x80)
		return 1;
	size_t n = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
		   : (p[0] & 0xf0) == 0xe0        ? 3
		   : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
						  : 0;
	if (n == 0 || n > left)
		return 0;
	/* The second byte's range excludes overlong forms, surrogates and what is past U+10FFFF. */
	unsigned char lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool utf8_valid(const void *data, size_t len)
{
	const unsigned char *p = data;
	for (size_t i = 0, n; i < len; i += n)
		if ((n = utf8_sequence(p + i, len - i)) == 0)
			return false;
	return true;
}

static const char b64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
	const unsigned char *p = data;
	char *out = xcalloc(len / 3 * 4 + 5, 1), *o = out;
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16;
		v |= have > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		v |= have > 2 ? p[i + 2] : 0;
		*o++ = b64_digits[v >> 18];
		*o++ = b64_digits[v >> 12 & 63];
		*o++ = have > 1 ? b64_digits[v >> 6 & 63] : '=';
		*o++ = have > 2 ? b64_digits[v & 63] : '=';
	}
	return out;
}

static int b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

unsigned char *base64_decode(const char *s, size_t *ret_len)
{
	size_t len = strlen(s);
	if (len % 4)
		return NULL;
	size_t pad = len && s[len - 1] == '=' ? (s[len - 2] == '=' ? 2 : 1) : 0;
	cleanup_free unsigned char *out = xcalloc(len / 4 * 3 + 1, 1);
	size_t n = 0;
	uint32_t v = 0;
	for (size_t i = 0; i < len - pad; i++) {
		int d = b64_value(s[i]);
		if (d < 0)
			return NULL;
		v = v << 6 | (uint32_t)d;
		if (i % 4 == 3) {
			out[n++] = (unsigned char)(v >> 16);
			out[n++] = (unsigned char)(v >> 8);
			out[n++] = (unsigned char)v;
			v = 0;
		}
	}
	/* Bits that the padding cuts off must be zero: one value has one spelling. */
	if (pad == 1) {
		if (v & 3)
			return NULL;
		out[n++] = (unsigned char)(v >> 10);
		out[n++] = (unsigned char)(v >> 2);
	} else if (pad == 2) {
		if (v & 15)
			return NULL;
		out[n++] = (unsigned char)(v >> 4);
	}
	*ret_len = n;
	return take_ptr(out);
}

void random_bytes(void *out, size_t n)
{
	unsigned char *p = out;
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			abort(); /* no source of randomness: ids would repeat */
		p += got;
		n -= (size_t)got;
	}
}

void random_id(char *out, size_t n)
{
	static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	for (size_t i = 0; i < n; i++) {
		unsigned range = i == 0 ? 26 : 36;
		unsigned char c;
		do /* the largest multiple of range below 256, so that no letter is likelier */
			random_bytes(&c, 1);
		while (c >= 256 - 256 % range);
		out[i] = set[c % range];
	}
	out[n] = '\0';
}
