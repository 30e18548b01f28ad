/* SPDX-License-Identifier: ISC */
/* SHA-256 of bytes or of a file: to tell whether they are the same as before. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>

#include "base/err.h"

#define SHA256_HEX 65

void sha256_hex(const void *data, size_t len, char out[SHA256_HEX]);
#define SHA256_SIZE 32
/* HMAC (RFC 2104) over head and body, one behind the other. */
void sha256_hmac_hex(const void *key, size_t key_len, const void *head, size_t head_len, const void *body, size_t body_len,
	char out[SHA256_HEX]);
int sha256_file(const char *path, char out[SHA256_HEX], struct err *e);

#endif
