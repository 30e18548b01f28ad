/* SPDX-License-Identifier: ISC */
/* A text that is to be sent later, or again and again, as plain data. */
#ifndef DAEMON_SCHEDULE_H
#define DAEMON_SCHEDULE_H

#include "daemon/model/model.h"
#include "daemon/model/timerule.h"

#define SCHEDULE_TEXT_MAX (32 * 1024)
#define SCHEDULE_KEY "sched/" /* before the keys of its prompts: nobody else's begins so */

/* What makes it due: a moment of the wall clock; a span from when it was made; a rule, again and again; nothing but what it
 * waits for (`when`). */
enum schedule_kind { SK_AT, SK_IN, SK_EVERY, SK_WHEN, SK_COUNT };
/* Missed: it came due while nobody could send it, and was not to be sent late. */
enum schedule_status { SS_ACTIVE, SS_PAUSED, SS_DONE, SS_CANCELLED, SS_MISSED, SS_FAILED, SS_COUNT };

/* Strings are owned unless they are arrays. Absent strings are NULL. */
struct schedule {
	char id[ID_SIZE], instance[ID_SIZE];
	char made_by[ID_SIZE]; /* an instance; "": the operator */
	char key[KEY_SIZE], digest[SHA256_HEX]; /* the caller's, of all that was asked for: a retry makes no second one; or "" */
	enum schedule_kind kind;
	enum schedule_status status;
	enum prompt_way way;
	bool late;     /* one that was missed is sent once, late */
	bool start;    /* an instance that has ended is started for it */
	unsigned when; /* bits by enum inst_state: due, it waits for one of these; 0: for nothing */
	char *text, *rule, *zone; /* rule: in the maker's words */
	struct time_rule every;   /* of SK_EVERY: rule, parsed */
	char *boot;               /* of which due_boot_ms is, for what counts a span */
	int64_t due_ms, due_boot_ms; /* next; of a span the second holds as long as that boot does */
	int64_t times, until_ms;     /* ends after so many, after then; 0: never */
	int64_t held_ms;             /* since when it is due and waits for its instance; 0: it is not */
	int64_t count, missed;
	int64_t last_due_ms, last_ms; /* of the last one that was sent or missed; when it was sent */
	char *reason;                 /* what it waits for, or why it ended */
	int64_t created_ms, changed_ms;
};

void schedule_free(struct schedule *s); /* NULL ok */
bool schedule_open(const struct schedule *s); /* active or paused */
bool schedule_spans(const struct schedule *s); /* it counts time, whatever clocks show */
const char *schedule_kind_name(enum schedule_kind k);
int schedule_kind_from_name(const char *s, enum schedule_kind *ret); /* -1 when unknown */
const char *schedule_status_name(enum schedule_status s);
int schedule_status_from_name(const char *s, enum schedule_status *ret);
/* The key of the prompt of its occurrence n. */
void schedule_key(const struct schedule *s, int64_t n, char out[KEY_SIZE]);
/* For people and programs, without the text. New reference. */
json_t *schedule_to_json(const struct schedule *s);

#endif
