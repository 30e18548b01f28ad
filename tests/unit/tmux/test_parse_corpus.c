/* SPDX-License-Identifier: ISC */
/* What fuzzing came upon (tests/fuzz/corpus/tmux_parse), through the fuzz target's own checks. */
#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

#define CORPUS_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

START_TEST(every_input_that_was_kept)
{
	const char *src = getenv("TC_SRCDIR");
	cleanup_free char *path = xasprintf("%s/tests/fuzz/corpus/tmux_parse", src ? src : ".");
	cleanup_free char *data = NULL;
	struct err e = {0};
	size_t len, n, inputs = 0;

	ck_assert_msg(file_read(path, CORPUS_MAX, &data, &len, &e) == 0, "%s", e.message);
	for (size_t at = 0; at + 2 <= len; at += 2 + n, inputs++) {
		n = (size_t)((unsigned char)data[at] << 8 | (unsigned char)data[at + 1]);
		ck_assert_uint_le(at + 2 + n, len);
		LLVMFuzzerTestOneInput((const uint8_t *)data + at + 2, n);
	}
	ck_assert_uint_gt(inputs, 100);
}
END_TEST

TEST_MAIN("tmux/parse_corpus", every_input_that_was_kept)
