/* SPDX-License-Identifier: ISC */
/*
 * When a segment's bytes came, and what the screen showed before them: the file beside a segment.
 *
 * A head, then moments to the end of the file. Head (little endian): magic 8, start 8, ms 8, rows 2,
 * cols 2, key length 4, checksum 8 (FNV-1a of the rest of the head and the key), then the key: bytes that
 * bring an emulator of that size to where the terminal stood at `start`. A moment: varint (LEB128)
 * milliseconds since the one before << 2 | kind, varint bytes since the one before, and for a size its
 * rows and cols. A byte came at the last moment whose offset is not behind it. A file that was cut anywhere
 * (a crash) is as good as its whole moments; one with moments behind its segment's end was damaged there.
 */
#ifndef RECORD_TIMELINE_H
#define RECORD_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define TIMELINE_HEAD 40
#define TIMELINE_KEY_MAX (8u * 1024 * 1024)
#define TIMELINE_MAX (16u * 1024 * 1024) /* a larger file is not looked at */
#define TIMELINE_MOMENT_MAX 40
#define TIMELINE_STEP_MS 16 /* bytes that come closer together share a moment */

enum moment_kind { MOMENT_DATA, MOMENT_SIZE };

struct moment {
	enum moment_kind kind;
	uint64_t offset;
	int64_t ms; /* since 1970 */
	int rows, cols; /* SIZE */
};

struct timeline_head {
	uint64_t start;
	int64_t ms;
	int rows, cols; /* 0: not known */
	const unsigned char *key;
	size_t key_len; /* 0: none */
};

/* Appends a head: 0, or -1 when out is full. */
int timeline_put_head(const struct timeline_head *h, struct buf *out);
/* Appends a moment not before *last, which becomes it. */
void timeline_put(const struct moment *m, struct moment *last, struct buf *out);

struct timeline {
	const unsigned char *at, *end;
	uint64_t limit; /* offsets past this are damage */
	struct moment last;
};

/* Reads the head of a segment's file (data stays the caller's, h->key points into it). ERR_IO: it is none,
 * or damaged. */
int timeline_open(struct timeline *t, const void *data, size_t len, uint64_t start, uint64_t seg_len,
	struct timeline_head *ret, struct err *e);
/* The next moment: 1, 0 at the end (orderly or cut), -1 damaged from here on. */
int timeline_next(struct timeline *t, struct moment *ret);

#endif
