/* SPDX-License-Identifier: ISC */
/* A terminal's bytes as text that may be printed anywhere: escape sequences and controls taken out. */
#ifndef CLI_PLAIN_H
#define CLI_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* State between pieces: zero-initialised. */
struct plain {
	enum { PLAIN_TEXT, PLAIN_ESC, PLAIN_CSI, PLAIN_STRING, PLAIN_STRING_ESC, PLAIN_SKIP_ONE } state;
	unsigned char utf8[4]; /* a character that is not whole yet */
	unsigned have, want;
	bool cr; /* a carriage return that may be the first half of a line's end */
};

/* Appends what of data is text (valid UTF-8, \n and \t) to out; at most three times len bytes. */
void plain_feed(struct plain *p, const void *data, size_t len, struct buf *out);

#endif
