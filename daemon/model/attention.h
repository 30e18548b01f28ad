/* SPDX-License-Identifier: ISC */
/* Who needs a person, and why, as plain data: one row for each thing, known by its key. */
#ifndef DAEMON_ATTENTION_H
#define DAEMON_ATTENTION_H

#include "daemon/model/model.h"

#define ATTENTION_KEY_SIZE 11 /* ten of [a-z0-9] */
#define ATTENTION_SUBJECT_SIZE 80
#define ATTENTION_TEXT_SIZE 400

/* Why; the table says what each is. */
enum attention_why {
#define REASON(sym, name, urgency, command) sym,
#include "ipc/reasons.def"
#undef REASON
	AT_COUNT
};

/* Shown in this order, of the same urgency by age. */
enum attention_urgency { AU_BLOCKED, AU_STOPPED, AU_LOOK, AU_INFO, AU_COUNT };

struct attention {
	char key[ATTENTION_KEY_SIZE]; /* of instance, why and subject: the same thing has the same key, in any daemon */
	char instance[ID_SIZE];
	enum attention_why why;
	char subject[ATTENTION_SUBJECT_SIZE]; /* what exactly: an approval's id, the moment at which the state began */
	char text[ATTENTION_TEXT_SIZE];       /* one line for people; an agent's words may be in it */
	int64_t since_ms;                     /* wall clock */
	int64_t acked_ms;                     /* put aside until it changes; 0: not */
};

const char *attention_why_name(enum attention_why w);
int attention_why_from_name(const char *s, enum attention_why *ret); /* -1 when unknown */
enum attention_urgency attention_urgency(enum attention_why w);
/* Sets the key from the rest. */
void attention_name(struct attention *a);
/* For qsort over pointers: what is more urgent first, then what is older. */
int attention_order(const void *a, const void *b);
/* For people and programs: {key, instance, name, why, urgency, since, text, command, acked}; name may be NULL. New
 * reference. */
json_t *attention_to_json(const struct attention *a, const char *name);

#endif
