/* SPDX-License-Identifier: ISC */
/* The login file: who may read it, what it may hold. */
#include <sys/stat.h>

#include "base/util.h"
#include "login/account.h"
#include "tests/unit/run.h"

static char dir[64], path[96];

static void setup(void)
{
	strcpy(dir, "/tmp/tc-login-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/credentials", dir);
}

static void teardown(void)
{
	tree_remove(dir, NULL);
}

static void put(const char *text, mode_t mode)
{
	ck_assert_int_eq(file_write_atomic(path, text, strlen(text), mode, NULL), 0);
}

static void must_refuse(enum err_code code, const char *part)
{
	struct login l = {.kind = (char *)"untouched"};
	struct err e = {0};
	ck_assert_int_eq(login_load(path, &l, &e), -1);
	ck_assert_msg(e.code == code, "%d %s", e.code, e.message);
	ck_assert_msg(strstr(e.message, part) != NULL, "%s", e.message);
	ck_assert_ptr_null(strstr(e.message, "sk-ant"));
	ck_assert_ptr_null(strstr(e.hint, "sk-ant"));
	ck_assert_str_eq(l.kind, "untouched");
}

START_TEST(test_an_absent_file_is_no_login)
{
	struct login l = {.kind = (char *)"x"};
	struct err e = {0};
	ck_assert_int_eq(login_load(path, &l, &e), 0);
	ck_assert_ptr_null(l.kind);
	ck_assert_ptr_null(l.value);
	login_finish(&l);
}
END_TEST

START_TEST(test_both_kinds_are_read)
{
	struct login l;
	struct err e = {0};
	put("{\"kind\":\"oauth_token\",\"value\":\"sk-ant-oat01-x\"}\n", 0600);
	ck_assert_msg(login_load(path, &l, &e) == 0, "%s", e.message);
	ck_assert_str_eq(l.kind, "oauth_token");
	ck_assert_str_eq(l.value, "sk-ant-oat01-x");
	login_finish(&l);
	ck_assert_ptr_null(l.value);
	put("{\"kind\":\"api_key\",\"value\":\"k\",\"later\":1}", 0400);
	ck_assert_msg(login_load(path, &l, &e) == 0, "%s", e.message);
	ck_assert_str_eq(l.kind, "api_key");
	login_finish(&l);
}
END_TEST

START_TEST(test_a_file_that_others_may_read_is_refused)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0601};
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		put("{\"kind\":\"api_key\",\"value\":\"sk-ant-1\"}", 0600);
		ck_assert_int_eq(chmod(path, modes[i]), 0);
		must_refuse(ERR_DENIED, "others");
	}
}
END_TEST

START_TEST(test_a_link_or_something_else_is_refused)
{
	char other[128];
	put("{\"kind\":\"api_key\",\"value\":\"sk-ant-1\"}", 0600);
	snprintf(other, sizeof(other), "%s/real", dir);
	ck_assert_int_eq(rename(path, other), 0);
	ck_assert_int_eq(symlink(other, path), 0);
	must_refuse(ERR_DENIED, "cannot open");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	must_refuse(ERR_DENIED, "regular");
}
END_TEST

START_TEST(test_another_users_file_is_refused)
{
	if (geteuid() != 0)
		return; /* only root can make one */
	put("{\"kind\":\"api_key\",\"value\":\"sk-ant-1\"}", 0600);
	ck_assert_int_eq(chown(path, 12345, 12345), 0);
	must_refuse(ERR_DENIED, "another user");
}
END_TEST

START_TEST(test_what_cannot_be_understood_is_refused_without_saying_it)
{
	static const char *const bad[] = {"", "sk-ant-raw", "[]", "{\"kind\":\"api_key\"}",
		"{\"kind\":\"api_key\",\"value\":\"\"}", "{\"kind\":\"api_key\",\"value\":7}",
		"{\"kind\":\"password\",\"value\":\"sk-ant-1\"}",
		"{\"kind\":\"api_key\",\"value\":\"sk-ant-1\\nX-Evil: 1\"}",
		"{\"kind\":\"api_key\",\"value\":\"sk-ant-\xc3\xa4\"}",
		"{\"kind\":\"api_key\",\"kind\":\"api_key\",\"value\":\"sk-ant-1\"}"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put(bad[i], 0600);
		must_refuse(ERR_PARAMS, "understood");
	}
}
END_TEST

START_TEST(test_a_huge_file_is_refused)
{
	put("{}", 0600);
	ck_assert_int_eq(truncate(path, 1 << 20), 0);
	must_refuse(ERR_LIMIT, "longer");
}
END_TEST

TEST_MAIN_FIXTURE("login/account", setup, teardown, test_an_absent_file_is_no_login,
	test_both_kinds_are_read, test_a_file_that_others_may_read_is_refused,
	test_a_link_or_something_else_is_refused, test_another_users_file_is_refused,
	test_what_cannot_be_understood_is_refused_without_saying_it, test_a_huge_file_is_refused)
