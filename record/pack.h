/* SPDX-License-Identifier: ISC */
/* Packing a closed segment, and what a packer that was killed left. */
#ifndef RECORD_PACK_H
#define RECORD_PACK_H

#include "base/err.h"
#include "record/stock.h"

#define PACK_PROGRAM "tmux-claude-pack"
#define PACK_LEAST (16 * 1024) /* smaller segments stay raw: a file's block is not worth less */

/*
 * Packs the raw segment at start below dir, which nobody appends to any more, and puts the packed file in
 * its place. Whatever happens in between (twice at once, killed anywhere, a full disk) one of both stands
 * whole: written, synced, renamed, the folder synced, and only then the raw one removed. Nothing to do is
 * success. ERR_BUSY: another packer is at it.
 */
int pack_segment(int dir, uint64_t start, struct err *e);
/* Finishes what packers left: removes raw segments whose packed twin is whole (packed ones that are not
 * whole, when the raw one is there), indexes without a segment, and unfinished files of nobody. */
void pack_tidy(int dir);

#endif
