/* SPDX-License-Identifier: ISC */
/* The corpus of the screen's fuzz target, in four parts, for the sanitized build's time. */
#include "tests/unit/fuzz_corpus.h"

#define PARTS 4
#define LEAST 100

START_TEST(first_part)
{
	fuzz_corpus_run("shim_screen", 0, PARTS, LEAST);
}
END_TEST

START_TEST(second_part)
{
	fuzz_corpus_run("shim_screen", 1, PARTS, LEAST);
}
END_TEST

START_TEST(third_part)
{
	fuzz_corpus_run("shim_screen", 2, PARTS, LEAST);
}
END_TEST

START_TEST(fourth_part)
{
	fuzz_corpus_run("shim_screen", 3, PARTS, LEAST);
}
END_TEST

TEST_MAIN("shim/screen_corpus", first_part, second_part, third_part, fourth_part)
