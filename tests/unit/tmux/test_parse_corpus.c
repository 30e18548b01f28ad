/* SPDX-License-Identifier: ISC */
/* The corpus of the fuzz target tmux_parse. */
#include "tests/unit/fuzz_corpus.h"

START_TEST(every_input_that_was_kept)
{
	fuzz_corpus_run("tmux_parse", 0, 1, 100);
}
END_TEST

TEST_MAIN("tmux/parse_corpus", every_input_that_was_kept)
