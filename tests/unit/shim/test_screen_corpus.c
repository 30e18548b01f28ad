/* SPDX-License-Identifier: ISC */
/* What fuzzing came upon (tests/fuzz/corpus/shim_screen), through the fuzz target's own checks. */
#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

#define CORPUS_MAX (4u << 20)
#define PARTS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every PARTSth input, from `first` on. */
static void run_part(int first)
{
	const char *src = getenv("TC_SRCDIR");
	cleanup_free char *path = xasprintf("%s/tests/fuzz/corpus/shim_screen", src ? src : ".");
	cleanup_free char *data = NULL;
	struct err e = {0};
	size_t len, at, n = 0;
	int i = 0;

	ck_assert_msg(file_read(path, CORPUS_MAX, &data, &len, &e) == 0, "%s", e.message);
	for (at = 0; at + 2 <= len; at += 2 + n, i++) {
		n = (size_t)((unsigned char)data[at] << 8 | (unsigned char)data[at + 1]);
		ck_assert_uint_le(at + 2 + n, len);
		if (i % PARTS == first)
			LLVMFuzzerTestOneInput((const uint8_t *)data + at + 2, n);
	}
	ck_assert_int_gt(i, 100);
}

START_TEST(first_part)
{
	run_part(0);
}
END_TEST

START_TEST(second_part)
{
	run_part(1);
}
END_TEST

START_TEST(third_part)
{
	run_part(2);
}
END_TEST

START_TEST(fourth_part)
{
	run_part(3);
}
END_TEST

TEST_MAIN("shim/screen_corpus", first_part, second_part, third_part, fourth_part)
