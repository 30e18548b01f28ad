/* SPDX-License-Identifier: ISC */
/* What fuzzing came upon (tests/fuzz/corpus/NAME), each input through the fuzz target's own checks. */
#ifndef TESTS_UNIT_FUZZ_CORPUS_H
#define TESTS_UNIT_FUZZ_CORPUS_H

#include <stdint.h>
#include <stdlib.h>

#include "base/util.h"
#include "tests/unit/run.h"

#define FUZZ_CORPUS_MAX (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every `parts`th input, from `first` on, of a file of inputs behind their lengths (tests/fuzz/corpus/pack). */
static inline void fuzz_corpus_run(const char *name, size_t first, size_t parts, size_t least)
{
	const char *src = getenv("TC_SRCDIR");
	cleanup_free char *path = xasprintf("%s/tests/fuzz/corpus/%s", src ? src : ".", name);
	cleanup_free char *data = NULL;
	struct err e = {0};
	size_t len, n, inputs = 0;

	ck_assert_msg(file_read(path, FUZZ_CORPUS_MAX, &data, &len, &e) == 0, "%s", e.message);
	for (size_t at = 0; at < len; at += 2 + n, inputs++) {
		ck_assert_uint_le(at + 2, len);
		n = (size_t)((unsigned char)data[at] << 8 | (unsigned char)data[at + 1]);
		ck_assert_uint_le(at + 2 + n, len);
		if (inputs % parts == first)
			LLVMFuzzerTestOneInput((const uint8_t *)data + at + 2, n);
	}
	ck_assert_uint_ge(inputs, least);
}

#endif
