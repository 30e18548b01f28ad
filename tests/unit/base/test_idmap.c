/* SPDX-License-Identifier: ISC */
/* Finding things by their ids. */

#include "base/idmap.h"
#include "base/util.h"
#include "tests/unit/run.h"

#define MANY 5000

static char keys[MANY][8];

static void fill(struct idmap *m)
{
	for (int i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		idmap_put(m, keys[i], keys[i]);
	}
}

START_TEST(an_empty_one_has_nothing)
{
	struct idmap m = {0};
	ck_assert_ptr_null(idmap_get(&m, "a"));
	ck_assert_ptr_null(idmap_drop(&m, "a"));
	idmap_finish(&m);
}
END_TEST

START_TEST(what_was_put_is_found_by_an_equal_key)
{
	struct idmap m = {0};
	fill(&m);
	ck_assert_uint_eq(m.count, MANY);
	for (int i = 0; i < MANY; i++) {
		cleanup_free char *copy = xstrdup(keys[i]);
		ck_assert_ptr_eq(idmap_get(&m, copy), keys[i]);
	}
	ck_assert_ptr_null(idmap_get(&m, "k5000"));
	ck_assert_ptr_null(idmap_get(&m, ""));
	idmap_finish(&m);
}
END_TEST

START_TEST(what_was_dropped_is_gone_and_nothing_else)
{
	struct idmap m = {0};
	fill(&m);
	for (int i = 0; i < MANY; i += 2)
		ck_assert_ptr_eq(idmap_drop(&m, keys[i]), keys[i]);
	for (int i = 0; i < MANY; i++)
		ck_assert_ptr_eq(idmap_get(&m, keys[i]), i % 2 ? keys[i] : NULL);
	ck_assert_ptr_null(idmap_drop(&m, keys[0]));
	idmap_put(&m, keys[0], &m);
	ck_assert_ptr_eq(idmap_get(&m, "k0"), &m);
	idmap_finish(&m);
}
END_TEST

TEST_MAIN("base/idmap", an_empty_one_has_nothing, what_was_put_is_found_by_an_equal_key,
	what_was_dropped_is_gone_and_nothing_else)
