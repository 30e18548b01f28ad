/* SPDX-License-Identifier: ISC */
/*
 * The recording of one terminal: its bytes by absolute offset, the oldest dropped when it grows too
 * large.
 *
 * A folder of segments, term.OFFSET.rec, each named by the offset of its first byte; a segment's size
 * tells where it ends, so that what is on disk after any crash says exactly what was recorded. A hole
 * between two segments is what could not be recorded (a full disk). The newest is appended to; when it
 * holds a quarter of the bound another is begun, and the oldest goes as the sum passes the bound.
 */
#ifndef SHIM_RECORD_H
#define SHIM_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define RECORD_MAX_LEAST 4096
#define RECORD_SEGMENTS_MAX 64 /* more than holes and rotation make; then the oldest goes */

struct record;

/* Opens (makes) the folder `name` below parent_fd (AT_FDCWD for a path of its own) and takes stock of
 * it. max: most bytes kept, at least RECORD_MAX_LEAST. */
int record_open(int parent_fd, const char *name, uint64_t max, struct record **ret, struct err *e);
void record_close(struct record *r); /* NULL ok */
/* The offset of the oldest byte kept, and the one behind the newest. */
uint64_t record_first(const struct record *r);
uint64_t record_end(const struct record *r);
/* Appends. On failure nothing, or a part, was appended: record_end tells. */
int record_append(struct record *r, const void *data, size_t len, struct err *e);
/* The next byte to be appended has this offset (>= record_end): what lies between was lost. */
int record_skip(struct record *r, uint64_t offset, struct err *e);
/* Reads up to len bytes at offset: how many, 0 at the end. *ret_offset is where they really stand: past
 * a hole. An offset that is not kept any more is ERR_NOT_FOUND, naming the first kept; one behind the
 * end ERR_PARAMS. */
ssize_t record_read(struct record *r, uint64_t offset, void *buf, size_t len, uint64_t *ret_offset,
	struct err *e);
/* Small files beside the segments (the snapshot of the screen), whole or not at all. */
int record_put(struct record *r, const char *name, const void *data, size_t len, struct err *e);
/* *ret owned, NUL behind it. */
int record_get(struct record *r, const char *name, size_t max, char **ret, size_t *ret_len,
	struct err *e);

#endif
