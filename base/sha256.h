/* SPDX-License-Identifier: ISC */
/* SHA-256 of bytes or of a file: to tell whether they are the same as before. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>

#include "base/err.h"

#define SHA256_HEX 65

void sha256_hex(const void *data, size_t len, char out[SHA256_HEX]);
int sha256_file(const char *path, char out[SHA256_HEX], struct err *e);

#endif
