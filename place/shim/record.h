/* SPDX-License-Identifier: ISC */
/*
 * The recording of one terminal as it is written: its bytes by absolute offset, when they came, the
 * oldest dropped when it grows too large. What lies on disk, and how it is read: record/.
 *
 * Theory of operation. The newest segment is appended to; with a sixteenth of the bound (at most
 * SEGMENT_MOST), or with too many times beside it, it is closed and another is begun, which opens with
 * the terminal's state (its key): so it can be read without those before it. A segment that stood there
 * at the start is never appended to. A closed one is packed by another program (packer.h). As the sum of
 * all files passes the bound, the oldest segment goes; so at most the bound is on disk, and beside it one
 * segment that is being packed.
 *
 * What survives. A crash of the shim: every byte that was appended, and when it came. A crash of the
 * machine: every segment that is packed or was closed by the end of its program, and of the open one
 * what was appended more than 2 * RECORD_SYNC_MS before: the disk is asked to begin, and RECORD_SYNC_MS later
 * waited for, when little is left to wait for (measured: docs/recordings.md). Nothing is synced while
 * nothing is appended.
 *
 * A full disk: what cannot be appended becomes a hole in the offsets; the next byte that can be begins
 * a new segment.
 */
#ifndef SHIM_RECORD_H
#define SHIM_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "record/tape.h"

#define RECORD_MAX_LEAST 4096
#define RECORD_SYNC_MS 5000

struct record;
struct packer;

/* Appends what brings an emulator of *rows and *cols (set here) to where the terminal stands at
 * record_end. false: it cannot be said. */
typedef bool record_key_fn(void *arg, struct buf *out, int *rows, int *cols);

/* Opens (makes) the folder `name` below parent_fd (AT_FDCWD for a path of its own) and takes stock of
 * it. max: most bytes kept, at least RECORD_MAX_LEAST. */
int record_open(int parent_fd, const char *name, uint64_t max, struct record **ret, struct err *e);
void record_close(struct record *r); /* NULL ok */
/* What a record that lives in a loop has: syncing, packing (p may be NULL), keys (fn may be NULL). */
void record_serve(struct record *r, struct loop *l, struct packer *p, record_key_fn *fn, void *arg);
/* The offset of the oldest byte kept, and the one behind the newest. */
uint64_t record_first(const struct record *r);
uint64_t record_end(const struct record *r);
/* Appends. On failure nothing, or a part, was appended: record_end tells. */
int record_append(struct record *r, const void *data, size_t len, struct err *e);
/* The terminal has another size from here on. */
void record_size(struct record *r, int rows, int cols);
/* The next byte to be appended has this offset (>= record_end): what lies between was lost. */
int record_skip(struct record *r, uint64_t offset, struct err *e);
/* The program ended: what is recorded is synced and packed. Appending goes on in a new segment. */
void record_rest(struct record *r);
/* As tape_read, up to record_end. */
ssize_t record_read(struct record *r, uint64_t offset, void *buf, size_t len, uint64_t *ret_offset,
	struct err *e);
/* For reading it as others do; stays the record's, which keeps its stock up to date. */
struct tape *record_tape(struct record *r);
/* Small files beside the segments (the snapshot of the screen), whole or not at all. */
int record_put(struct record *r, const char *name, const void *data, size_t len, struct err *e);
/* *ret owned, NUL behind it. */
int record_get(struct record *r, const char *name, size_t max, char **ret, size_t *ret_len,
	struct err *e);

/* For the packer: the oldest closed segment that is worth packing; false when there is none. */
bool record_unpacked(const struct record *r, struct segment *ret);
/* A packer is done with that segment, for better or worse. */
void record_packed(struct record *r, const struct segment *s);

#endif
