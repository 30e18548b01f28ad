/* SPDX-License-Identifier: ISC */
/* A part of a conversation as entries: as many lines as an answer holds, from an offset on, or the last ones. */
#ifndef DAEMON_API_TRANSCRIPT_PAGE_H
#define DAEMON_API_TRANSCRIPT_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/agent/transcript.h"

#define TRANSCRIPT_PAGE_MAX (768 * 1024)       /* of the entries as JSON: the rest of a line is the envelope's */
#define TRANSCRIPT_WINDOW (128 * 1024)         /* read at once */
#define TRANSCRIPT_LAST_MOST (4 * 1024 * 1024) /* looked through from the end for the last entries */

struct page_entry {
	json_t *entry;
	size_t bytes; /* as JSON, with its comma */
};

struct transcript_page {
	/* To be given: */
	const struct transcript_format *format;
	const char *conversation;
	size_t text_max;
	int64_t (*read)(void *ctx, int64_t from, void *buf, size_t size); /* like pread; -1: no copy */
	void *ctx;
	/* What came of it: */
	int64_t next; /* behind the last line that was looked at; given: where to begin */
	bool full;    /* the line at next did not fit any more */
	/* Its own: */
	struct page_entry *e; /* e[first .. first+n) */
	size_t first, n, room, bytes, want;
	bool last, dropped;
};

/* The lines from p->next on, up to `end`. */
void transcript_page_from(struct transcript_page *p, int64_t end);
/* The last `want` entries before `end`, or as many of the last as fit. */
void transcript_page_last(struct transcript_page *p, int64_t end, size_t want);
/* The entries (new reference); p is empty then. To be called once. */
json_t *transcript_page_take(struct transcript_page *p);

#endif
