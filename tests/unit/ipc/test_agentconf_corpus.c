/* SPDX-License-Identifier: ISC */
/* The corpus of the fuzz target agentconf. */
#include "tests/unit/fuzz_corpus.h"

START_TEST(every_input_that_was_kept)
{
	fuzz_corpus_run("agentconf", 0, 1, 50);
}
END_TEST

TEST_MAIN("ipc/agentconf_corpus", every_input_that_was_kept)
