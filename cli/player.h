/* SPDX-License-Identifier: ISC */
/* What a recording showed, piece by piece with its times: from the program that knows what terminals show. */
#ifndef CLI_PLAYER_H
#define CLI_PLAYER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct player {
	int fd; /* -1: not playing */
	pid_t pid;
	struct buf in;
};

struct player_piece {
	enum { PIECE_DATA, PIECE_SIZE, PIECE_GAP, PIECE_DAMAGE, PIECE_END } kind;
	int64_t ms; /* since 1970: DATA, SIZE, GAP */
	const unsigned char *data; /* DATA: for a terminal; valid until the next call */
	size_t len;
	int rows, cols;     /* SIZE */
	json_int_t offset;  /* GAP: bytes before this are missing */
	char text[256];     /* DAMAGE */
};

void player_init(struct player *p);
/* Begins to play dir from offset since to until (-1: all), for a terminal of rows x cols (0: as recorded). */
int player_start(struct player *p, const char *dir, int64_t since, int64_t until, int rows, int cols, struct err *e);
/* Ends what plays; may be started again. */
void player_stop(struct player *p);
/* The next piece: 1, 0 when more must be read first (poll fd, then player_read), -1 with what went wrong. */
int player_next(struct player *p, struct player_piece *ret, struct err *e);
/* Reads what is there (waits when there is nothing): 0, or -1 at an end that came too early. */
int player_read(struct player *p, struct err *e);

#endif
