/* SPDX-License-Identifier: ISC */
/* What is told to a person on a channel, once: a row from before it is sent until its outcome is known. */
#ifndef DAEMON_NOTICE_H
#define DAEMON_NOTICE_H

#include <stdint.h>

#define NOTICE_ID_SIZE 17
#define NOTICE_CHANNEL_SIZE 16

/* Sending: decided, and maybe begun. Begun: certainly (a program runs). Unknown: begun, and the daemon ended before it heard. */
enum notice_status { NO_PENDING, NO_SENDING, NO_BEGUN, NO_SENT, NO_FAILED, NO_UNKNOWN, NO_COUNT };

struct notice {
	char id[NOTICE_ID_SIZE]; /* whoever receives it twice knows it by this */
	char channel[NOTICE_CHANNEL_SIZE];
	enum notice_status status;
	char *body; /* JSON, owned */
	int64_t attempts;
	int64_t next_ms, created_ms, changed_ms; /* wall clock */
	char *error;                             /* of the last attempt, owned, or NULL */
};

void notice_free(struct notice *n); /* NULL ok */
const char *notice_status_name(enum notice_status s);
int notice_status_from_name(const char *s, enum notice_status *ret);

#endif
