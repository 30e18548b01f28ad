/* SPDX-License-Identifier: ISC */
/* The ways in which somebody is told, and what of them is pure: what a notice says, when one is tried again. */
#ifndef DAEMON_NOTIFY_CHANNEL_H
#define DAEMON_NOTIFY_CHANNEL_H

#include "daemon/model/attention.h"
#include "daemon/model/notice.h"
#include "ipc/config.h"

#define NOTICE_ITEMS_MAX 50 /* things in a notice; of more their number is said */
#define NOTICE_TEXT_SIZE 512
#define RING_MAX 640
#define RETRY_MOST_MS INT64_C(3600000)

enum channel_id { CH_TERMINAL, CH_DESKTOP, CH_COMMAND, CH_WEBHOOK, CH_COUNT };

struct channel_def {
	const char *name;
	enum option_id reasons;
	bool posts; /* an attempt that failed is made again, and so is one of which nothing was heard */
	bool (*on)(const struct config *c);
	const char *(*what)(const struct config *c); /* for people: where to; no secrets */
	/* The program (owned) and what it reads (owned, or NULL); -1 with why it cannot be. NULL: the terminals. */
	int (*program)(const struct config *c, const struct notice *n, char ***ret_argv, char **ret_input, struct err *e);
};
extern const struct channel_def channel_defs[CH_COUNT];

unsigned channel_reasons(const struct config *c, const struct channel_def *d); /* bits by enum attention_why */

/* say.c: pure. What is sent, as JSON: {id, time, channel, text, count, reasons{}, items[], more, test?}; owned. */
struct said {
	json_t *items;           /* of attention_to_json */
	unsigned counts[AT_COUNT];
	size_t count;
};
void said_init(struct said *s);
void said_add(struct said *s, const struct attention *a, const char *name);
char *said_body(struct said *s, const char *id, const char *channel, int64_t now_ms, bool test); /* ends s */
/* The one line of a body, without what a terminal would take for more than text; NULL ok. */
void said_text(const char *body, char out[NOTICE_TEXT_SIZE]);
/* How a notice stands, for people and programs: {id, channel, status, attempts, text, error, created, changed, next?}. New. */
json_t *said_notice(const struct notice *n);
/* What a terminal is written: the words bell, osc9 and osc777 of ways. */
size_t said_ring(const char *ways, const char *text, char out[RING_MAX]);
/* Text for notify-send, whose body is markup. */
void said_markup(const char *text, char *out, size_t size);
/* How long after the attempts-th attempt the next is made; -1: it is given up. */
int64_t retry_pause_ms(int64_t first_ms, int64_t attempts, int64_t age_ms, int64_t give_up_ms);

#endif
