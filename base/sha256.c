/* SPDX-License-Identifier: ISC */
/* SHA-256 (FIPS 180-4). */
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define BLOCK 64
#define READ_SIZE 65536

struct sha256 {
	uint32_t h[8];
	uint64_t total;
	unsigned char block[BLOCK];
	size_t fill;
};

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5,
	0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
	0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
	0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5,
	0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void compress(struct sha256 *s)
{
	uint32_t w[64], v[8];

	for (size_t i = 0; i < 16; i++)
		w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 |
		       (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
	for (size_t i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
		       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
	memcpy(v, s->h, sizeof(v));
	for (size_t i = 0; i < 64; i++) {
		uint32_t e = v[4], a = v[0];
		uint32_t t1 = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
			      ((e & v[5]) ^ (~e & v[6])) + round_constants[i] + w[i];
		uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
			      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (size_t i = 0; i < 8; i++)
		s->h[i] += v[i];
}

static void init(struct sha256 *s)
{
	static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
		0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	*s = (struct sha256){0};
	memcpy(s->h, start, sizeof(start));
}

static void update(struct sha256 *s, const unsigned char *data, size_t len)
{
	s->total += len;
	while (len > 0) {
		size_t n = BLOCK - s->fill < len ? BLOCK - s->fill : len;
		memcpy(s->block + s->fill, data, n);
		s->fill += n;
		data += n;
		len -= n;
		if (s->fill == BLOCK) {
			compress(s);
			s->fill = 0;
		}
	}
}

static void finish(struct sha256 *s, char out[SHA256_HEX])
{
	static const unsigned char pad[BLOCK] = {0x80};
	uint64_t bits = s->total * 8;
	unsigned char length[8];

	for (size_t i = 0; i < 8; i++)
		length[i] = (unsigned char)(bits >> (56 - 8 * i));
	update(s, pad, (s->fill < 56 ? 56 : 120) - s->fill);
	update(s, length, sizeof(length));
	for (size_t i = 0; i < 8; i++)
		snprintf(out + 8 * i, 9, "%08x", s->h[i]);
}

void sha256_hex(const void *data, size_t len, char out[SHA256_HEX])
{
	struct sha256 s;

	init(&s);
	update(&s, data, len);
	finish(&s, out);
}

static void hex_bytes(const char hex[SHA256_HEX], unsigned char out[SHA256_SIZE])
{
	for (size_t i = 0; i < SHA256_SIZE; i++) {
		char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		out[i] = (unsigned char)strtoul(two, NULL, 16);
	}
}

void sha256_hmac_hex(const void *key, size_t key_len, const void *head, size_t head_len, const void *body, size_t body_len,
	char out[SHA256_HEX])
{
	unsigned char block[BLOCK] = {0}, inner[SHA256_SIZE];
	struct sha256 s;

	if (key_len > BLOCK) {
		sha256_hex(key, key_len, out);
		hex_bytes(out, block);
	} else {
		memcpy(block, key, key_len);
	}
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= 0x36;
	init(&s);
	update(&s, block, BLOCK);
	update(&s, head, head_len);
	update(&s, body, body_len);
	finish(&s, out);
	hex_bytes(out, inner);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	init(&s);
	update(&s, block, BLOCK);
	update(&s, inner, sizeof(inner));
	finish(&s, out);
}

int sha256_file(const char *path, char out[SHA256_HEX], struct err *e)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char piece[READ_SIZE];
	struct sha256 s;
	ssize_t n;

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot read %s", path);
	init(&s);
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		update(&s, piece, (size_t)n);
	if (n < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot read %s", path);
	finish(&s, out);
	return 0;
}
