/* SPDX-License-Identifier: ISC */
/* Differences of texts, against what diff -u says of them. */
#include "base/linediff.h"
#include "base/util.h"
#include "tests/unit/run.h"

static void is(const char *before, const char *after, const char *want)
{
	bool cut;
	cleanup_free char *got = line_diff(before, after, 65536, &cut);

	ck_assert_str_eq(got, want);
	ck_assert(!cut);
}

START_TEST(test_small)
{
	is("", "", "");
	is("a\n", "a\n", "");
	is("", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n");
	is("a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n");
	is("a\nb\nc\n", "a\nX\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+X\n c\n");
	is("a", "a\n", "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n");
	is("a\nb\nc\nd\n", "b\nc\nd\ne\n", "@@ -1,4 +1,4 @@\n-a\n b\n c\n d\n+e\n");
}
END_TEST

START_TEST(test_hunks)
{
	is("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "1\n2x\n3\n4\n5\n6\n7\n8\n9\n10\n11x\n12\n",
		"@@ -1,5 +1,5 @@\n 1\n-2\n+2x\n 3\n 4\n 5\n@@ -8,5 +8,5 @@\n 8\n 9\n 10\n-11\n+11x\n 12\n");
	/* Six unchanged lines between them are no more than two contexts. */
	is("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
		"@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
}
END_TEST

START_TEST(test_bounds)
{
	size_t n = 3000;
	cleanup_free char *a = xcalloc(n * 8 + 1, 1), *b = xcalloc(n * 8 + 1, 1);
	bool cut;

	for (size_t i = 0; i < n; i++) {
		sprintf(a + strlen(a), "a%zu\n", i);
		sprintf(b + strlen(b), "b%zu\n", i);
	}
	cleanup_free char *all = line_diff(a, b, 1024 * 1024, &cut);
	ck_assert(!cut);
	ck_assert(str_starts(all, "@@ -1,3000 +1,3000 @@\n-a0\n"));
	cleanup_free char *less = line_diff(a, b, 1000, &cut);
	ck_assert(cut);
	ck_assert_uint_le(strlen(less), 1000);
	ck_assert_int_eq(less[strlen(less) - 1], '\n');
}
END_TEST

TEST_MAIN("base/linediff", test_small, test_hunks, test_bounds)
