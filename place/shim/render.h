/* SPDX-License-Identifier: ISC */
/* What an ended terminal showed, from its recording alone: the shim that knew it is gone. */
#ifndef SHIM_RENDER_H
#define SHIM_RENDER_H

#include <stdint.h>

/* Prints, as the shim's `screen` answers, the last `lines` lines (0: the screen). Returns an exit status. */
int render_screen(const char *dir, int64_t lines, int64_t rows, int64_t cols);
/* Prints the bytes from offset `since` on (-1: the oldest kept). Returns an exit status. */
int render_bytes(const char *dir, int64_t since);

#endif
