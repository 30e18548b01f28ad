/* SPDX-License-Identifier: ISC */
/*
 * Prices of known models.
 *
 * Source: platform.claude.com/docs/en/about-claude/pricing and the models' own pages (dollars for a million tokens,
 * standard tier), PRICE_DATE; Opus 5.5 checked against what Claude Code 2.1.329 itself counts. A model that is not
 * here has no price: its tokens are counted, and its cost is said to be unknown. Batch, fast and regional tiers are
 * not known from a transcript and are not regarded.
 */
#include "daemon/model/price.h"

#include "base/util.h"

#define SEARCH_NANO (USAGE_NANO / 100) /* $10 for 1,000 searches on the web */
#define LONG_PROMPT 100000
#define M INT64_C(1000000)

static const struct known {
	const char *model; /* also of its dated and decorated names: claude-opus-5-5-20260901, ...[1m] */
	struct price price;
	int64_t window;
	struct price long_price; /* of all of a message whose prompt is longer than LONG_PROMPT; 0: the same */
} known[] = {
	{"claude-fable-5-1", {10000, 50000, 12500, 20000, 250}, M, {0}},
	{"claude-fable-5", {10000, 50000, 12500, 20000, 1000}, M, {0}},
	{"claude-opus-5-5", {4000, 20000, 5000, 8000, 200}, M, {0}},
	{"claude-opus-5", {5000, 25000, 6250, 10000, 500}, M, {0}},
	{"claude-opus-4-8", {5000, 25000, 6250, 10000, 500}, 0, {0}},
	{"claude-opus-4-7", {5000, 25000, 6250, 10000, 500}, 0, {0}},
	{"claude-opus-4-6", {5000, 25000, 6250, 10000, 500}, 0, {0}},
	{"claude-opus-4-5", {5000, 25000, 6250, 10000, 500}, 200000, {0}},
	{"claude-opus-4-1", {15000, 75000, 18750, 30000, 1500}, 200000, {0}},
	{"claude-opus-4", {15000, 75000, 18750, 30000, 1500}, 200000, {0}},
	{"claude-sonnet-5-5", {2000, 10000, 2500, 4000, 100}, M, {0}},
	{"claude-sonnet-5", {2000, 10000, 2500, 4000, 200}, M, {0}},
	{"claude-sonnet-4-6", {3000, 15000, 3750, 6000, 300}, 0, {0}},
	{"claude-sonnet-4-5", {3000, 15000, 3750, 6000, 300}, 0, {0}},
	{"claude-sonnet-4", {3000, 15000, 3750, 6000, 300}, 0, {0}},
	{"claude-3-7-sonnet", {3000, 15000, 3750, 6000, 300}, 200000, {0}},
	{"claude-haiku-5-5", {100, 500, 125, 200, 10}, M, {500, 2500, 625, 1000, 50}},
	{"claude-haiku-4-5", {1000, 5000, 1250, 2000, 100}, 200000, {0}},
	{"claude-3-5-haiku", {800, 4000, 1000, 1600, 80}, 200000, {0}},
};

/* Is it that model, or a dated or decorated name of it? claude-opus-4-5 is none of claude-opus-4. */
static bool names(const char *row, const char *model)
{
	size_t n = strlen(row), digits;

	if (strncmp(row, model, n) != 0)
		return false;
	if (model[n] == '-') {
		digits = strspn(model + n + 1, "0123456789");
		if (digits != 8)
			return false;
		n += 1 + digits;
	}
	return model[n] == '\0' || !strcmp(model + n, "[1m]") || model[n] == '@';
}

static const struct known *known_model(const char *model)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (names(known[i].model, model))
			return &known[i];
	return NULL;
}

static bool price_of(const char *list, const char *model, int64_t prompt, struct price *ret)
{
	const struct known *k;

	if (prices_find(list, model, ret))
		return true;
	k = known_model(model);
	if (k)
		*ret = prompt > LONG_PROMPT && k->long_price.input ? k->long_price : k->price;
	return k;
}

void price_message(const char *list, const char *model, struct usage_sum *s)
{
	int64_t w1h = s->n[US_CACHE_WRITE_1H] < s->n[US_CACHE_WRITE] ? s->n[US_CACHE_WRITE_1H] : s->n[US_CACHE_WRITE];
	int64_t prompt = s->n[US_INPUT] + s->n[US_CACHE_READ] + s->n[US_CACHE_WRITE];
	struct price p;

	s->n[US_COST] = s->n[US_UNPRICED] = 0;
	if (!price_of(list, model, prompt, &p)) {
		s->n[US_UNPRICED] = usage_tokens(s);
		return;
	}
	/* At most 10^11 tokens of each kind at 10^7 each. */
	s->n[US_COST] = s->n[US_INPUT] * p.input + s->n[US_OUTPUT] * p.output + s->n[US_CACHE_READ] * p.cache_read +
			(s->n[US_CACHE_WRITE] - w1h) * p.cache_write + w1h * p.cache_write_1h +
			s->n[US_WEB_SEARCHES] * SEARCH_NANO;
}

int64_t price_window(const char *model)
{
	const struct known *k = known_model(model);

	if (strlen(model) > 4 && !strcmp(model + strlen(model) - 4, "[1m]"))
		return M;
	return k ? k->window : 0;
}
