/* SPDX-License-Identifier: ISC */
/* The words of `roles` and `max_roles`, and the arguments that caps are given by. */
#include "base/util.h"
#include "ipc/config.h"
#include "ipc/roles.h"
#include "ipc/schema.h"
#include "tests/unit/run.h"

static const char table[] = "executive manager:depth=1,children=unlimited\tspecialist:children=0,depth=0,rate=2";

START_TEST(a_role_says_what_its_word_says)
{
	int64_t n = 77;

	ck_assert_int_eq(roles_cap(table, "manager", "max_depth", &n), 0);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(roles_cap(table, "manager", "max_children", &n), 0);
	ck_assert_int_eq(n, -1);
	ck_assert_int_eq(roles_cap(table, "specialist", "spawn_rate", &n), 0);
	ck_assert_int_eq(n, 2);
	n = 77;
	ck_assert_int_eq(roles_cap(table, "manager", "max_memory", &n), -1);
	ck_assert_int_eq(roles_cap(table, "executive", "max_depth", &n), -1);
	ck_assert_int_eq(roles_cap(table, "manage", "max_depth", &n), -1); /* no beginning of one */
	ck_assert_int_eq(roles_cap(table, "managers", "max_depth", &n), -1);
	ck_assert_int_eq(roles_cap("", "manager", "max_depth", &n), -1);
	ck_assert_int_eq(n, 77);
}
END_TEST

START_TEST(what_is_no_table_is_refused_with_the_word)
{
	static const char *const bad[] = {"Manager:depth=1", ":depth=1", "manager:deep=1", "manager:depth", "manager:depth=",
		"manager:depth=-1", "manager:depth=1x", "manager:depth=1,children=many", "a/b"};
	struct err e = {0};

	ck_assert_int_eq(roles_check(table, &e), 0);
	ck_assert_int_eq(roles_check("", &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(roles_check(bad[i], &e) == -1, "'%s' was taken", bad[i]);
		ck_assert_int_eq(e.code, ERR_PARAMS);
	}
}
END_TEST

static void join(void *arg, const char *role, int64_t limit)
{
	char *text = arg;
	size_t n = strlen(text);

	str_fmt(text + n, 200 - n, "%s=%lld;", role, (long long)limit);
}

START_TEST(limits_of_roles_are_read_in_order)
{
	static const char *const bad[] = {"reviewer", "reviewer=", "reviewer=x", "=2", "A=2"};
	char text[200] = "";
	struct err e = {0};

	ck_assert_int_eq(role_limits_check(" reviewer=2 manager=unlimited ", &e), 0);
	role_limits_each(" reviewer=2 manager=unlimited ", join, text);
	ck_assert_str_eq(text, "reviewer=2;manager=-1;");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(role_limits_check(bad[i], &e) == -1, "'%s' was taken", bad[i]);
}
END_TEST

START_TEST(options_of_caps_take_unlimited_and_say_so)
{
	struct config *c = NULL;
	struct err e = {0};

	setenv("TMUX_CLAUDE_MAX_CHILDREN", "unlimited", 1);
	ck_assert_msg(config_load(NULL, &c, &e) == 0, "%s", e.message);
	ck_assert_int_eq(config_int(c, OPT_MAX_CHILDREN), -1);
	ck_assert_int_eq(config_int(c, OPT_MAX_MEMORY), -1);
	ck_assert_int_eq(config_int(c, OPT_MAX_TOTAL), 10000);
	config_free(c);
	setenv("TMUX_CLAUDE_MAX_CHILDREN", "-1", 1);
	ck_assert_int_eq(config_load(NULL, &c, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "unlimited"));
	unsetenv("TMUX_CLAUDE_MAX_CHILDREN");
	setenv("TMUX_CLAUDE_ROLES", "boss:deep=1", 1);
	ck_assert_int_eq(config_load(NULL, &c, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "deep"));
}
END_TEST

static int64_t value(const char *method, const char *name, json_t *v, struct err *e)
{
	const struct arg_def *a = method_arg(method_find(method), name);
	json_t *got = NULL;
	int64_t n = -99;

	if (schema_check_arg(a, v, &got, e) == 0)
		n = json_is_object(got) ? json_integer_value(json_object_get(got, "r")) : json_integer_value(got);
	json_decref(got);
	json_decref(v);
	return n;
}

START_TEST(arguments_of_caps_come_as_numbers)
{
	struct err e = {0};

	ck_assert_int_eq(value("cap.set", "max_children", json_string("default"), &e), ARG_DEFAULT);
	ck_assert_int_eq(value("cap.set", "spawn_rate", json_string("default"), &e), ARG_DEFAULT);
	ck_assert_int_eq(value("cap.set", "max_memory", json_string("unlimited"), &e), -1);
	ck_assert_int_eq(value("cap.set", "max_memory", json_integer(5000000), &e), 5000000);
	ck_assert_int_eq(value("spawn", "max_children", json_string("default"), &e), -99);
	ck_assert_int_eq(value("spawn", "max_children", json_integer(5000000), &e), -99);
	ck_assert_int_eq(value("spawn", "max_role", json_pack("{s:i}", "r", 3), &e), 3);
	ck_assert_int_eq(value("spawn", "max_role", json_pack("{s:s}", "r", "4"), &e), 4);
	ck_assert_int_eq(value("spawn", "max_role", json_pack("{s:s}", "r", "unlimited"), &e), -1);
	ck_assert_int_eq(value("spawn", "max_role", json_pack("{s:s}", "r", "many"), &e), -99);
	ck_assert_int_eq(value("spawn", "max_role", json_pack("{s:i}", "R R", 3), &e), -99);
	ck_assert_int_eq(value("spawn", "max_role", json_pack("[s]", "r"), &e), -99);
	ck_assert_int_eq(e.code, ERR_PARAMS);
}
END_TEST

TEST_MAIN("ipc/roles", a_role_says_what_its_word_says, what_is_no_table_is_refused_with_the_word,
	limits_of_roles_are_read_in_order, options_of_caps_take_unlimited_and_say_so,
	arguments_of_caps_come_as_numbers)
