/* SPDX-License-Identifier: ISC */
/* What the files that keep copies of conversations share: tail.c follows, tail_copy.c keeps, tail_again.c compares what
 * is sent again, tail_look.c waits until all is there. */
#ifndef SHIM_TAIL_INT_H
#define SHIM_TAIL_INT_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/sha256.h"
#include "ipc/link/link.h"
#include "place/shim/inst.h"
#include "place/shim/tail.h"

#define TELL_MS 100
#define CHECK_BYTES 512
#define CONVERSATION_ID_MAX 64
#define NAME_SIZE (CONVERSATION_ID_MAX + 24) /* conversation-ID.jsonl */

struct tail {
	struct tail *next;
	struct shim *shim;
	char instance[INST_ID_LEN + 1], conversation[CONVERSATION_ID_MAX];
	char *root, *path;
	uint64_t max;
	int dir, fd; /* the instance's folder, the copy */
	uint64_t length;
	uint64_t copy, source; /* of the same byte: the file's offset of what is appended next follows */
	struct link_stream *stream;
	struct loop_timer *tell, *retry;
	size_t coming, kept; /* bytes that may be appended of what came; that there is room for */
	int64_t anew_ms;     /* the pause before the file is asked for anew */
	bool told_full, failing, changed;
	int64_t looked, asked; /* numbers of looks */
	/* While the file is sent again. */
	bool again;
	uint64_t at, until; /* of the file: so far it may be what is known */
	char last[CHECK_BYTES]; /* the file's bytes before `at` */
	size_t nlast;
	char check[SHA256_HEX]; /* of the file's `ncheck` bytes before `source` */
	size_t ncheck;
	uint64_t *known;
	size_t nknown, room;
	struct buf line;
};

extern struct tail *shim_tails; /* of this process: one place; the newest first */

/* tail.c */
void tail_open_stream(struct tail *t);

/* tail_copy.c */
/* Opens or makes the copy, and reads where it and the file stand. */
int tail_copy_open(struct tail *t, struct err *e);
void tail_map_write(struct tail *t);
/* Within the bound. All of it or, after an error (-1, logged), a part: the length says. */
int tail_append(struct tail *t, const void *data, size_t len);
void tail_on_tell(void *tail); /* the daemon hears of its length */

/* tail_again.c */
/* The whole file is sent again. size: of it now. It may still be written: up to where it stood before, and further while
 * its lines are known, they are compared. */
void tail_again_begin(struct tail *t, uint64_t size);
void tail_again_end(struct tail *t);
/* Takes bytes of the file until both stand at the same line; returns how many. -1: they could not be kept. */
ssize_t tail_again_take(struct tail *t, const char *data, size_t len);

/* tail_look.c */
void tail_looks_check(void); /* something answered, or never will */

#endif
