/* SPDX-License-Identifier: ISC */
/*
 * Going through a recording in order: bytes with the time each came, sizes, and the state that each
 * segment opens with. Memory: one piece and one segment's times.
 */
#ifndef RECORD_WALK_H
#define RECORD_WALK_H

#include <stdbool.h>

#include "record/tape.h"

#define WALK_PIECE 65536

enum walk_kind {
	WALK_KEY,  /* a segment begins: data brings an emulator of rows x cols to where the terminal stands
		    * (len 0: not known); gap: bytes before it are missing */
	WALK_DATA, /* bytes, all of one moment */
	WALK_SIZE, /* the terminal has this size from here on */
	WALK_GAP,  /* bytes before offset are missing, and nothing tells the terminal's state */
};

struct walk_step {
	enum walk_kind kind;
	uint64_t offset; /* of the first byte */
	int64_t ms;      /* since 1970; -1 when nothing ever told */
	bool gap;
	int rows, cols;
	const unsigned char *data; /* valid until the next step */
	size_t len;
};

struct walk;

/* t stays the caller's. */
struct walk *walk_create(struct tape *t);
void walk_destroy(struct walk *w); /* NULL ok */
/* The next step is the beginning of the segment that holds offset. */
void walk_from(struct walk *w, uint64_t offset);
/* 1 with *ret, 0 at the end of what is recorded, -1 when it cannot be read. */
int walk_next(struct walk *w, struct walk_step *ret, struct err *e);

#endif
