/* SPDX-License-Identifier: ISC */
/* The tree of a list: everybody once and at his place, whatever the rows say. */
#include <string.h>

#include "base/util.h"
#include "cli/tree.h"
#include "tests/unit/run.h"

static json_t *add(json_t *list, const char *id, const char *parent)
{
	json_array_append_new(list, json_pack("{s:s, s:s?}", "id", id, "parent", parent));
	return list;
}

/* A line for each. */
static char *drawn(const json_t *list, bool utf8, size_t width)
{
	size_t n;
	cleanup_free struct tree_row *rows = tree_rows(list, &n);
	char *all = xstrdup("");

	for (size_t i = 0; i < n; i++) {
		cleanup_free char *branch = tree_branch(rows, i, utf8, width), *before = all;
		all = xasprintf("%s%s%s\n", before, branch, json_string_value(json_object_get(rows[i].in, "id")));
	}
	return all;
}

START_TEST(children_stand_below_their_parents)
{
	json_t *list = json_array();

	/* a child before its parent, one whose parent is not there */
	add(add(add(add(add(add(list, "c", "b"), "a", NULL), "b", "a"), "d", "a"), "e", "b"), "f", "gone");
	cleanup_free char *plain = drawn(list, false, 100), *lines = drawn(list, true, 100);
	ck_assert_str_eq(plain, "a\n|- b\n|  |- c\n|  `- e\n`- d\nf\n");
	ck_assert_str_eq(lines, "a\n\u251c\u2500 b\n\u2502  \u251c\u2500 c\n\u2502  \u2514\u2500 e\n\u2514\u2500 d\nf\n");
	json_decref(list);
}
END_TEST

START_TEST(a_ring_and_what_hangs_on_it_is_shown_once)
{
	json_t *list = json_array();
	size_t n;

	add(add(add(add(add(list, "a", "b"), "b", "a"), "c", "b"), "s", "s"), "t", "s");
	cleanup_free struct tree_row *rows = tree_rows(list, &n);
	ck_assert_uint_eq(n, 5);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_ptr_ne(rows[i].in, rows[k].in);
	cleanup_free char *plain = drawn(list, false, 100);
	ck_assert_ptr_nonnull(strstr(plain, "s\n`- t\n"));
	json_decref(list);
}
END_TEST

START_TEST(a_deep_one_keeps_its_nearest_lines)
{
	json_t *list = json_array(), *sorted;
	size_t n;
	char id[16], up[16];

	for (int i = 0; i < 10000; i++) {
		str_fmt(id, sizeof(id), "i%d", i);
		str_fmt(up, sizeof(up), "i%d", i - 1);
		add(list, id, i ? up : NULL);
	}
	cleanup_free struct tree_row *rows = tree_rows(list, &n);
	ck_assert_uint_eq(n, 10000);
	ck_assert_uint_eq(rows[9999].depth, 9999);
	cleanup_free char *branch = tree_branch(rows, 9999, false, 10), *fits = tree_branch(rows, 3, false, 9);
	ck_assert_str_eq(branch, "~      `- ");
	ck_assert_str_eq(fits, "      `- ");
	sorted = tree_json(rows, n);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(sorted, 42), "depth")), 42);
	json_decref(sorted);
	json_decref(list);
}
END_TEST

TEST_MAIN("cli/tree", children_stand_below_their_parents, a_ring_and_what_hangs_on_it_is_shown_once,
	a_deep_one_keeps_its_nearest_lines)
