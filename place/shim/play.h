/* SPDX-License-Identifier: ISC */
/* What a recording showed, as time went by: for who replays, exports or searches it. */
#ifndef SHIM_PLAY_H
#define SHIM_PLAY_H

#include <stdbool.h>
#include <stdint.h>

struct play_spec {
	const char *dir;
	int64_t since, until; /* offsets; -1: all that is kept */
	int rows, cols;       /* of who looks; 0: as recorded, and every size is told */
};

/*
 * Writes frames (ipc/link/frame.h) to standard output, as fast as they are taken. Each DATA frame is for a
 * terminal and came at the milliseconds since 1970 in its offset: first a painting, then what a view would
 * have been given. CTL {"size":[rows,cols],"ms":N} before what is of that size, {"gap":OFFSET,"ms":N} where
 * bytes are missing, {"damage":TEXT}; FIN {} or {"error":{...}}. Returns an exit status.
 */
int play_frames(const struct play_spec *spec);

/*
 * Prints each line that was seen in the terminal and holds the text (or matches the POSIX extended regular
 * expression) as {"offset":N,"ms":N|null,"line":TEXT}, in between {"at":OFFSET,"first":OFFSET,"end":OFFSET}
 * about ten times a second. A line that moves, or is painted again while it shows, is told once.
 */
int play_search(const struct play_spec *spec, const char *pattern, bool regex, bool any_case);

/* The same by the program's arguments: is one of these asked for? Its exit status; its usage. */
bool play_wanted(int argc, char **argv);
int play_main(int argc, char **argv);
void play_usage(void);

#endif
