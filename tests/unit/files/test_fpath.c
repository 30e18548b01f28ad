/* SPDX-License-Identifier: ISC */
/* Paths: what is a name inside the folder, and what is none. */
#include "place/files/fpath.h"

#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static struct fpath p, q;

START_TEST(canonical)
{
	static const char *const pairs[][2] = {{"", ""}, {"/", ""}, {".", ""}, {"/./.", ""}, {"a", "a"},
		{"/a//b/./c/", "a/b/c"}, {"/...", "..."}, {"/..a/a..", "..a/a.."}, {"/ \n\xff", " \n\xff"}};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		ck_assert_int_eq(fpath_parse(&p, pairs[i][0], strlen(pairs[i][0]), NULL), 0);
		ck_assert_str_eq(p.text, pairs[i][1]);
	}
	char out[FPATH_MAX + 1];
	ck_assert_int_eq(fpath_parse(&p, "/a/b/c", 6, NULL), 0);
	ck_assert_uint_eq(p.n, 3);
	ck_assert_str_eq(p.comp[1], "b");
	fpath_prefix(&p, 2, out);
	ck_assert_str_eq(out, "a/b");
	fpath_prefix(&p, 0, out);
	ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(refused)
{
	static const char *const bad[] = {"..", "/..", "../a", "a/..", "a/../b", "/a/b/.."};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(fpath_parse(&p, bad[i], strlen(bad[i]), NULL) == -1, "%s", bad[i]);
	ck_assert_int_eq(fpath_parse(&p, "a\0b", 3, NULL), -1);
	ck_assert_int_eq(fpath_parse(&p, "a\0", 2, NULL), -1);
}
END_TEST

START_TEST(bounds)
{
	char big[FPATH_MAX + 2];
	memset(big, 'a', sizeof(big));
	ck_assert_int_eq(fpath_parse(&p, big, 255, NULL), 0);
	ck_assert_int_eq(fpath_parse(&p, big, 256, NULL), -1);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i % 2 ? '/' : 'a';
	ck_assert_int_eq(fpath_parse(&p, big, 2 * FPATH_COMPONENTS_MAX, NULL), 0);
	ck_assert_uint_eq(p.n, FPATH_COMPONENTS_MAX);
	ck_assert_int_eq(fpath_parse(&p, big, 2 * FPATH_COMPONENTS_MAX + 1, NULL), -1);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = i % 200 == 199 ? '/' : 'a';
	ck_assert_int_eq(fpath_parse(&p, big, FPATH_MAX, NULL), 0);
	ck_assert_uint_le(strlen(p.text), FPATH_MAX);
	ck_assert_int_eq(fpath_parse(&p, big, FPATH_MAX + 1, NULL), -1);
}
END_TEST

static const char *join(const char *from, size_t n, const char *link)
{
	fpath_parse(&p, from, strlen(from), NULL);
	return fpath_join(&p, n, link, "/home/me/p", &q) == 0 ? q.text : NULL;
}

START_TEST(joining_stays_inside)
{
	ck_assert_str_eq(join("a/b", 2, "../c"), "a/c");
	ck_assert_str_eq(join("a/b", 1, "c//d/./e/.."), "a/c/d");
	ck_assert_str_eq(join("a", 1, ".."), "");
	ck_assert_str_eq(join("a", 1, "/home/me/p/x"), "x");
	ck_assert_str_eq(join("a", 1, "/home/me/p/"), "");
	ck_assert_ptr_null(join("a", 1, "../.."));
	ck_assert_ptr_null(join("a", 1, "../../a"));
	ck_assert_ptr_null(join("a", 1, "/home/me/pp/x"));
	ck_assert_ptr_null(join("a", 1, "/home/me"));
	ck_assert_ptr_null(join("a", 1, "/home/me/p/../x"));
	ck_assert_ptr_null(join("a", 1, "/etc"));
	/* a removed component's place is taken again */
	ck_assert_str_eq(join("aaaa/bbbb", 2, "../cc/../dddddddd/e"), "aaaa/dddddddd/e");
}
END_TEST

START_TEST(joining_is_bounded)
{
	static char big[3 * FPATH_MAX];
	for (size_t i = 0; i + 1 < sizeof(big); i++)
		big[i] = i % 100 == 99 ? '/' : 'a';
	ck_assert_ptr_null(join("a/b", 2, big));
	memset(big, 0, sizeof(big));
	for (size_t i = 0; i < 2 * FPATH_COMPONENTS_MAX + 4; i += 2)
		memcpy(big + i, "a/", 2);
	ck_assert_ptr_null(join("", 0, big));
}
END_TEST

TEST_MAIN("files/fpath", canonical, refused, bounds, joining_stays_inside, joining_is_bounded)
