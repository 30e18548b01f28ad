/* SPDX-License-Identifier: ISC */
/*
 * Which segments a recording has.
 *
 * A recording is a folder. Its bytes have absolute offsets; they lie in segments:
 *   term.START.rec       the bytes from offset START on, as they came; the newest one is appended to
 *   term.START.idx       when they came (timeline.h), beside it
 *   term.START+LEN.zst   a closed segment of LEN bytes with its times, packed (packed.h)
 *   term.START.new       one that is being packed; means nothing until it is renamed
 * Names say all that is needed to find a byte, so that what is on disk after any crash says exactly
 * what was recorded. A hole between two segments is what could not be recorded (a full disk). A raw
 * segment beside its packed twin is what a packer left that was killed before its last step.
 */
#ifndef RECORD_STOCK_H
#define RECORD_STOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SEGMENT_NAME_MAX 64
#define STOCK_MAX 4096 /* segments of one recording; more are made by nobody */

struct segment {
	uint64_t start, len;
	uint64_t disk; /* bytes its files take */
	bool packed;
};

/* Ordered by start. Zero-initialised: empty. */
struct stock {
	struct segment *seg;
	size_t n, cap;
};

enum segment_file { SEGMENT_RAW, SEGMENT_INDEX, SEGMENT_PACKED, SEGMENT_NEW };

void segment_name(const struct segment *s, enum segment_file file, char out[SEGMENT_NAME_MAX]);
/* Removes all files of a segment. */
void segment_unlink(int dir, const struct segment *s);

/* Replaces *s by what the folder holds. */
int stock_take(int dir, struct stock *s, struct err *e);
void stock_finish(struct stock *s);
void stock_add(struct stock *s, struct segment seg); /* behind the last */
void stock_drop_first(struct stock *s);
/* The first segment that ends behind offset; s->n when there is none. */
size_t stock_find(const struct stock *s, uint64_t offset);
/* Bytes on disk, all files of all segments. */
uint64_t stock_disk(const struct stock *s);
/* The first byte kept, and one past the last; both 0 when there is nothing. */
uint64_t stock_first(const struct stock *s);
uint64_t stock_end(const struct stock *s);

#endif
