/* SPDX-License-Identifier: ISC */
/* The words of the option `prices`. */
#include "ipc/prices.h"

#include <ctype.h>

#include "base/util.h"

#define MILLI 1000       /* a tenth of a cent for a million tokens is the finest that can be written */
#define PRICE_MOST 10000 /* dollars for a million tokens */
#define MODEL_MAX 80

/* "3", "0.25": thousandths; *s moves behind it. -1: it is none. */
static int64_t number(const char **s)
{
	int64_t n = 0, scale = MILLI;
	const char *p = *s;

	if (!isdigit((unsigned char)*p))
		return -1;
	for (; isdigit((unsigned char)*p); p++)
		if ((n = n * 10 + (*p - '0')) > PRICE_MOST)
			return -1;
	n *= MILLI;
	if (*p == '.')
		for (p++; isdigit((unsigned char)*p); p++) {
			scale /= 10;
			if (!scale && *p != '0')
				return -1;
			n += (*p - '0') * scale;
		}
	*s = p;
	return n;
}

/* One word: 0 and its price, at most to its end. Model is the part before '='. */
static int word_read(const char *w, size_t len, size_t *ret_model, struct price *ret)
{
	cleanup_free char *text = xstrndup(w, len);
	const char *eq = strrchr(text, '='), *p = eq ? eq + 1 : NULL;
	int64_t v[5];
	int n = 0;

	if (!p || eq == text || (size_t)(eq - text) >= MODEL_MAX)
		return -1;
	for (;;) {
		if (n == 5 || (v[n++] = number(&p)) < 0)
			return -1;
		if (*p != ',')
			break;
		p++;
	}
	if (*p || n < 4)
		return -1;
	*ret_model = (size_t)(eq - text);
	/* Dollars for a million tokens, in thousandths, are billionths of a dollar a token. Without a price of their own
	 * tokens that are kept for an hour cost twice the input (as Anthropic's do), or what they cost to write. */
	*ret = (struct price){v[0], v[1], v[2], n == 5 ? v[4] : v[2] > 2 * v[0] ? v[2] : 2 * v[0], v[3]};
	return 0;
}

static const char *word_next(const char *list, size_t *ret_len)
{
	list += strspn(list, " \t");
	*ret_len = strcspn(list, " \t");
	return *ret_len ? list : NULL;
}

int prices_check(const char *list, struct err *e)
{
	struct price p;
	size_t len, model;

	for (const char *w = list; (w = word_next(w, &len)); w += len) {
		if (word_read(w, len, &model, &p) == 0)
			continue;
		err_set(e, ERR_PARAMS, "'%.*s' is no price", len > 100 ? 100 : (int)len, w);
		return err_hint(e, "write MODEL=IN,OUT,CACHE_WRITE,CACHE_READ, in dollars for a million tokens: my-model=3,15,3.75,0.30");
	}
	return 0;
}

bool prices_find(const char *list, const char *model, struct price *ret)
{
	size_t len, n;

	for (const char *w = list ? list : ""; (w = word_next(w, &len)); w += len)
		if (word_read(w, len, &n, ret) == 0 && strlen(model) == n && !memcmp(w, model, n))
			return true;
	return false;
}
