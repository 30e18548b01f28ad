/* SPDX-License-Identifier: ISC */
/* The recorded bytes of an instance that has ended: its shim is gone, so the shim's program reads the
 * files, whose form is its own affair. */
#ifndef CLI_RECORDING_H
#define CLI_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Gives every byte from offset since on (-1: the first that is kept) to fn, in order; a result of fn other
 * than 0 ends it. */
typedef int recording_fn(void *arg, const void *data, size_t len);
int recording_read(const char *dir, int64_t since, recording_fn *fn, void *arg, struct err *e);

#endif
