/* SPDX-License-Identifier: ISC */
/* The corpus of the fuzz target link. */
#include "tests/unit/fuzz_corpus.h"

START_TEST(every_input_that_was_kept)
{
	fuzz_corpus_run("link", 0, 1, 100);
}
END_TEST

TEST_MAIN("ipc/link/link_corpus", every_input_that_was_kept)
