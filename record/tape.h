/* SPDX-License-Identifier: ISC */
/*
 * Reading a recording, raw and packed segments alike: for the shim that writes it, for the command line,
 * for whoever plays or searches it. Any number of readers may read while it is appended to, packed and
 * dropped from: a reader looks again when a segment is no longer where it was.
 *
 * What is damaged is skipped like a hole, and said: once for each place, to the function given.
 */
#ifndef RECORD_TAPE_H
#define RECORD_TAPE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "record/stock.h"
#include "record/timeline.h"

struct tape;

/* The folder `name` below parent_fd (AT_FDCWD for a path of its own); ERR_NOT_FOUND when there is none. */
int tape_open(int parent_fd, const char *name, struct tape **ret, struct err *e);
void tape_close(struct tape *t); /* NULL ok */
/* Takes stock again: what was appended, packed, dropped meanwhile. */
int tape_refresh(struct tape *t, struct err *e);
/* Each damage is told in a sentence. */
typedef void tape_damage_fn(void *arg, const char *text);
void tape_on_damage(struct tape *t, tape_damage_fn *fn, void *arg);

int tape_dir(const struct tape *t); /* stays the tape's */
/* What it knows; the writer keeps it up to date itself. */
struct stock *tape_stock(struct tape *t);
uint64_t tape_first(const struct tape *t);
uint64_t tape_end(const struct tape *t);
/* ERR_NOT_FOUND naming the first kept when offset is older, ERR_PARAMS when it is behind the end. */
int tape_check(const struct tape *t, uint64_t offset, struct err *e);
/*
 * Reads up to len bytes at offset (as tape_check): how many, 0 at the end of what is known, -1 when it is
 * not kept (any more). *ret_offset is where they really stand: past a hole or what is damaged.
 */
ssize_t tape_read(struct tape *t, uint64_t offset, void *buf, size_t len, uint64_t *ret_offset, struct err *e);
/* Gives back the memory that reading packed segments takes. */
void tape_rest(struct tape *t);

/* The times of segment i of the stock into out (cleared first): 0, or -1 when there are none that can be
 * read (said as damage, unless the segment simply has none). head and times point into out. */
int tape_times(struct tape *t, size_t i, struct buf *out, struct timeline_head *head, struct timeline *times);
/* When the byte at offset came, in ms since 1970; -1 when nothing tells. */
int64_t tape_time_of(struct tape *t, uint64_t offset);
/* The first offset that came at ms or later; the end when all is older. */
uint64_t tape_offset_of(struct tape *t, int64_t ms);

#endif
