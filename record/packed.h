/* SPDX-License-Identifier: ISC */
/*
 * A packed segment: zstd frames of PACKED_FRAME bytes each, its times in a skippable frame, and a table
 * of all frames at the end, so that reading anywhere needs one frame's memory. The layout is the zstd
 * project's seekable format (contrib/seekable_format/zstd_seekable_compression_format.md): `zstd -d` gives
 * the segment's bytes. The only user of libzstd, with pack.c.
 */
#ifndef RECORD_PACKED_H
#define RECORD_PACKED_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "record/stock.h"

#define PACKED_FRAME (256u * 1024)
#define PACKED_FRAME_MAX (1024u * 1024) /* a frame with more is not ours */
#define PACKED_FRAMES_MAX 65536u
#define PACKED_SKIPPABLE_TABLE 0x184D2A5Eu
#define PACKED_SKIPPABLE_TIMES 0x184D2A50u
#define PACKED_TABLE_MAGIC 0x8F92EAB1u
#define PACKED_FOOTER 9

struct packed;

/* Opens the packed file of s below dir and checks that it is whole by its table. */
int packed_open(int dir, const struct segment *s, struct packed **ret, struct err *e);
void packed_close(struct packed *p); /* NULL ok */
bool packed_is(const struct packed *p, const struct segment *s);
/* The bytes at an absolute offset within it: as many of len as the frame there has. On a damaged frame
 * -1, with *ret_next where the next one begins. */
ssize_t packed_read(struct packed *p, uint64_t offset, void *buf, size_t len, uint64_t *ret_next, struct err *e);
/* Appends the segment's times (timeline.h), nothing when it has none. */
int packed_times(struct packed *p, struct buf *out, struct err *e);

#endif
