/* SPDX-License-Identifier: ISC */
/* The model: names are what the contract says, and rows survive the way out and back. */
#include "base/util.h"
#include "daemon/model/model.h"
#include "tests/unit/run.h"

START_TEST(test_every_state_has_a_name_of_its_own)
{
	for (int s = 0; s < ST_COUNT; s++) {
		enum inst_state back = ST_COUNT;
		ck_assert_str_ne(state_name((enum inst_state)s), "unknown");
		ck_assert_int_eq(state_from_name(state_name((enum inst_state)s), &back), 0);
		ck_assert_int_eq((int)back, s);
	}
	for (int s = 0; s < PL_STATE_COUNT; s++) {
		enum place_state back = PL_STATE_COUNT;
		ck_assert_int_eq(place_state_from_name(place_state_name((enum place_state)s), &back),
			0);
		ck_assert_int_eq((int)back, s);
	}
	for (int s = 0; s < PR_STATUS_COUNT; s++) {
		enum prompt_status back = PR_STATUS_COUNT;
		ck_assert_int_eq(
			prompt_status_from_name(prompt_status_name((enum prompt_status)s), &back), 0);
		ck_assert_int_eq((int)back, s);
	}
}
END_TEST

START_TEST(test_unknown_names_leave_the_output_alone)
{
	enum inst_state s = ST_IDLE;
	enum permissions p = PERM_PLAN;
	ck_assert_int_eq(state_from_name("asleep ", &s), -1);
	ck_assert_int_eq(state_from_name(NULL, &s), -1);
	ck_assert_int_eq(s, ST_IDLE);
	ck_assert_int_eq(permissions_from_name("ALL", &p), -1);
	ck_assert_int_eq(p, PERM_PLAN);
	ck_assert_int_eq(permissions_from_name("ask", &p), 0);
	ck_assert_int_eq(p, PERM_ASK);
}
END_TEST

START_TEST(test_only_exited_and_failed_are_final)
{
	for (int s = 0; s < ST_COUNT; s++) {
		bool final = s == ST_EXITED || s == ST_FAILED;
		ck_assert_int_eq(state_final((enum inst_state)s), final);
		ck_assert_int_eq(state_living((enum inst_state)s), !final);
	}
}
END_TEST

START_TEST(test_names)
{
	char longest[65];
	memset(longest, 'a', 64);
	longest[64] = '\0';
	ck_assert(!name_valid(longest));
	longest[63] = '\0';
	ck_assert(name_valid(longest));
	ck_assert(name_valid("a"));
	ck_assert(name_valid("0-._z"));
	static const char *const bad[] = {"", "-a", ".a", "_a", "A", "a b", "a/b", "\xc3\xa4", "a\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!name_valid(bad[i]), "%s", bad[i]);
	ck_assert(!name_valid(NULL));
}
END_TEST

START_TEST(test_ids)
{
	ck_assert(id_valid("a1b2c3"));
	ck_assert(!id_valid("a1b2c"));
	ck_assert(!id_valid("a1b2c34"));
	ck_assert(!id_valid("a1b2c-"));
	ck_assert(!id_valid(""));
	ck_assert(!id_valid(NULL));
}
END_TEST

static struct instance *minimal(void)
{
	struct instance *i = instance_new();
	strcpy(i->id, "aaaaaa");
	i->driver = xstrdup("host");
	i->agent = xstrdup("shell");
	i->dir = xstrdup("/tmp");
	return i;
}

START_TEST(test_what_is_absent_stays_absent)
{
	struct err e = {0};
	struct instance *i = minimal();
	json_t *row = instance_to_row(i);
	struct instance *back = instance_from_row(row, &e);
	ck_assert_msg(back != NULL, "%s", e.message);
	ck_assert_ptr_null(back->name);
	ck_assert_ptr_null(back->argv);
	ck_assert_ptr_null(back->allow);
	ck_assert_str_eq(back->parent, "");
	ck_assert(json_is_object(back->labels));
	ck_assert(!back->exit.known);
	json_decref(row);
	instance_free(back);
	instance_free(i);
}
END_TEST

START_TEST(test_env_is_never_in_a_row)
{
	struct instance *i = minimal();
	i->env = json_pack("{s:s}", "TOKEN", "very-secret");
	json_t *row = instance_to_row(i);
	char *text = json_dumps(row, 0);
	ck_assert_ptr_null(strstr(text, "very-secret"));
	free(text);
	json_decref(row);
	instance_free(i);
}
END_TEST

START_TEST(test_damaged_rows_are_refused_by_their_key)
{
	static const struct {
		const char *key, *value; /* value NULL: removed */
	} damage[] = {
		{"id", NULL}, {"id", "\"no\""}, {"id", "7"}, {"state", "\"gone\""}, {"state", NULL},
		{"labels", "[]"}, {"labels", "{\"a\":1}"}, {"argv", "[1]"}, {"argv", "\"x\""},
		{"dir", NULL}, {"dir", "1"}, {"cpus", "\"2\""}, {"rows", "4294967296"},
		{"permissions", "\"some\""}, {"parent", "\"too-long-for-an-id\""},
		{"rm", "\"yes\""}, {"created_ms", "null"},
	};
	struct instance *i = minimal();
	for (size_t k = 0; k < ARRAY_LEN(damage); k++) {
		struct err e = {0};
		json_t *row = instance_to_row(i);
		if (damage[k].value)
			json_object_set_new(row, damage[k].key,
				json_loads(damage[k].value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(row, damage[k].key);
		ck_assert_msg(instance_from_row(row, &e) == NULL, "%s", damage[k].key);
		ck_assert_int_eq(e.code, ERR_IO);
		ck_assert_msg(strstr(e.message, damage[k].key) != NULL, "%s", e.message);
		json_decref(row);
	}
	instance_free(i);
}
END_TEST

TEST_MAIN("store/model", test_every_state_has_a_name_of_its_own,
	test_unknown_names_leave_the_output_alone, test_only_exited_and_failed_are_final, test_names,
	test_ids, test_what_is_absent_stays_absent, test_env_is_never_in_a_row,
	test_damaged_rows_are_refused_by_their_key)
