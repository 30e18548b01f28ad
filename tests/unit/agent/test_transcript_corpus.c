/* SPDX-License-Identifier: ISC */
/* The corpus of the fuzz target transcript. */
#include "tests/unit/fuzz_corpus.h"

START_TEST(every_input_that_was_kept)
{
	fuzz_corpus_run("transcript", 0, 1, 100);
}
END_TEST

TEST_MAIN("agent/transcript_corpus", every_input_that_was_kept)
