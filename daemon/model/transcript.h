/* SPDX-License-Identifier: ISC */
/* What is known of one conversation of an instance: where its file is, and how far it was read. Plain data. */
#ifndef DAEMON_MODEL_TRANSCRIPT_H
#define DAEMON_MODEL_TRANSCRIPT_H

#include <stdint.h>

#include "base/sha256.h"
#include "daemon/model/model.h"

#define CONVERSATION_SIZE 64 /* an id and its NUL */

struct transcript {
	char instance[ID_SIZE];
	char conversation[CONVERSATION_SIZE];
	int64_t number;    /* of its instance, rising: the newest is the present one */
	char *root, *path; /* in its place: a folder, and the file below it; owned */
	int64_t since_ms;  /* what was said before came with a branch or an adoption; 0: nothing did */
	int64_t begun_ms;  /* when we first heard of it */
	int64_t pos;       /* all before is applied (an offset of the copy) */
	int64_t lines, skipped;
};

#endif
