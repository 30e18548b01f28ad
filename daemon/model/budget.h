/* SPDX-License-Identifier: ISC */
/* What an instance and all below it may spend, as plain data; zeroed: no budget. core/budget.h holds them to it. */
#ifndef DAEMON_MODEL_BUDGET_H
#define DAEMON_MODEL_BUDGET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Units: billionths of a dollar, tokens, turns, milliseconds. */
enum budget_kind { BUDGET_USD, BUDGET_TOKENS, BUDGET_TURNS, BUDGET_TIME, BUDGET_KINDS };
/* What happens when it is used up, the weakest first. */
enum budget_action { BUDGET_WARN, BUDGET_PAUSE, BUDGET_END, BUDGET_ACTIONS };
/* What was said of one. */
enum budget_level { BUDGET_QUIET, BUDGET_NEAR, BUDGET_OVER };

#define BUDGET_NEAR_PERCENT 80

struct budget {
	int64_t limit[BUDGET_KINDS]; /* 0: none */
	enum budget_action action;
	enum budget_level said[BUDGET_KINDS];
};

const char *budget_name(enum budget_kind k); /* "budget_usd": argument, key, word in refusals */
const char *budget_action_name(enum budget_action a);
int budget_action_from_name(const char *s, enum budget_action *ret); /* -1 when unknown */
bool budget_any(const struct budget *b);
enum budget_level budget_level_of(int64_t limit, int64_t count);
/* An amount as people write it: dollars and seconds as numbers with a fraction. New. */
json_t *budget_amount_json(enum budget_kind k, int64_t n);
/* "$1.50", "2000000 tokens", "50 turns", "4h": owned. */
char *budget_amount_text(enum budget_kind k, int64_t n);

/* For the row: new reference, NULL when there is none. What cannot be read is as if it had not been written. */
json_t *budget_to_json(const struct budget *b);
void budget_from_json(struct budget *b, const json_t *o);

#endif
