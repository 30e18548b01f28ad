/* SPDX-License-Identifier: ISC */
/*
 * The main of a unit test program: TEST_MAIN("room/file", test_a, test_b, ...) runs the Check tests
 * named, each in a process of its own, and prints TAP on stdout (what tests/summary adds up).
 */
#ifndef TESTS_UNIT_RUN_H
#define TESTS_UNIT_RUN_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define TEST_TIMEOUT_S 60

/* Fixtures may be NULL and run in the test's own process. */
static inline int test_run(const char *name, const TTest *const *tests, size_t n,
	void (*setup)(void), void (*teardown)(void))
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);
	tcase_set_timeout(tc, TEST_TIMEOUT_S);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_set_tap(sr, "-");
	srunner_run_all(sr, CK_SILENT);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define TEST_MAIN_FIXTURE(name, setup, teardown, ...)                                              \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const tests[] = {__VA_ARGS__};                                        \
		return test_run(name, tests, sizeof(tests) / sizeof(tests[0]), setup, teardown);   \
	}
#define TEST_MAIN(name, ...) TEST_MAIN_FIXTURE(name, NULL, NULL, __VA_ARGS__)

#endif
