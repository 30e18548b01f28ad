/* SPDX-License-Identifier: ISC */
/*
 * What agents spend, as plain data: sums of tokens and cost, one message of a model, and what is kept for an
 * instance. Every sum is bounded, so that no figure a program makes up can overflow one.
 */
#ifndef DAEMON_MODEL_USAGE_H
#define DAEMON_MODEL_USAGE_H

#include <jansson.h>

#include "daemon/model/model.h"

#define USAGE_WORD_MAX 80 /* ids, models */
#define USAGE_EFFORT_MAX 16
#define USAGE_MESSAGE_MOST INT64_C(1000000000) /* tokens of a kind in one message: more is nonsense */
#define USAGE_SUM_MOST INT64_C(4000000000000000000)
#define USAGE_NANO INT64_C(1000000000) /* of a dollar */

enum usage_field {
	US_TURNS, /* that ended */
	US_MESSAGES,
	US_INPUT, /* without the cached ones */
	US_OUTPUT,
	US_CACHE_READ,
	US_CACHE_WRITE,
	US_CACHE_WRITE_1H, /* of cache_write: kept for an hour, at another price */
	US_THINKING,       /* of output */
	US_WEB_SEARCHES,
	US_COST,     /* billionths of a dollar */
	US_UNPRICED, /* tokens whose cost is not known: it is not in US_COST */
	US_FIELDS
};

struct usage_sum {
	int64_t n[US_FIELDS];
};

const char *usage_field_name(enum usage_field f); /* also the column */
/* Never below zero, never above USAGE_SUM_MOST. sign: 1 or -1. */
void usage_add(struct usage_sum *to, const struct usage_sum *what, int sign);
/* What has to be added to `was` to make it `is`; a part may be negative. */
struct usage_sum usage_delta(const struct usage_sum *is, const struct usage_sum *was);
bool usage_none(const struct usage_sum *s);
int64_t usage_tokens(const struct usage_sum *s); /* all that was sent and received */
/* What counts against a budget: what was read from the cache was paid for when it was written, and costs little. */
int64_t usage_tokens_new(const struct usage_sum *s);
/* {messages, input, ..., tokens, cost_usd (null: nothing of it is known), unpriced_tokens}, into o. */
void usage_to_json(const struct usage_sum *s, json_t *o);

/* One message of a model. */
struct usage_message {
	char instance[ID_SIZE];
	char message[USAGE_WORD_MAX]; /* the program's own id: the same again replaces its figures */
	char conversation[USAGE_WORD_MAX];
	char model[USAGE_WORD_MAX]; /* "": not said */
	char effort[USAGE_EFFORT_MAX];
	int64_t turn, time_ms;
	int64_t day; /* 20260131, by the daemon's time zone */
	bool side;   /* of a subagent */
	struct usage_sum sum;
};

/* What is kept for an instance beside its sums. */
struct usage_state {
	char instance[ID_SIZE];
	int64_t begun;        /* turns: prompts that its transcript shows */
	int64_t context;      /* tokens that the last message of its conversation was about; 0: not known */
	char model[USAGE_WORD_MAX], effort[USAGE_EFFORT_MAX]; /* of the last message */
};

/* Whose a sum is, in the table of days. */
enum usage_kind {
	USAGE_OWN,
	USAGE_GONE,    /* of instances below it that were removed */
	USAGE_CARRIED, /* of instances that were below one that was removed: kept for its budget, counted elsewhere too */
	USAGE_KINDS
};

/* A row as it is read: a sum by day and model, or of a turn. Everything is borrowed. */
struct usage_row {
	const char *instance;
	enum usage_kind kind;
	int64_t day, turn, time_ms;
	const char *model, *effort; /* of a turn: models, with commas between them */
	struct usage_sum sum;
};

int64_t usage_day(int64_t wall_ms); /* by this process's time zone */

#endif
