/* SPDX-License-Identifier: ISC */
/* The corpus of the fuzz target frame. */
#include "tests/unit/fuzz_corpus.h"

START_TEST(every_input_that_was_kept)
{
	fuzz_corpus_run("frame", 0, 1, 20);
}
END_TEST

TEST_MAIN("ipc/link/frame_corpus", every_input_that_was_kept)
