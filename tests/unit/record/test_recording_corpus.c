/* SPDX-License-Identifier: ISC */
/* The corpus of the fuzz target recording. */
#include "tests/unit/fuzz_corpus.h"

START_TEST(every_input_that_was_kept)
{
	fuzz_corpus_run("recording", 0, 1, 50);
}
END_TEST

TEST_MAIN("record/recording_corpus", every_input_that_was_kept)
