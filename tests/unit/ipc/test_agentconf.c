/* SPDX-License-Identifier: ISC */
/* Files that describe an agent program: what is taken, and each thing that is wrong by its line. */
#include <string.h>

#include "base/util.h"
#include "ipc/agentconf.h"
#include "tests/unit/run.h"

static struct agentconf *c;

static void teardown(void)
{
	agentconf_free(c);
	c = NULL;
}

static int parse(const char *text, struct err *e)
{
	cleanup_free char *copy = xstrdup(text);

	teardown();
	return agentconf_parse("mine", copy, &c, e);
}

START_TEST(test_what_is_taken)
{
	struct err e = {0};

	ck_assert_msg(parse("# x\n\nargv = run \"two words\" a\\ b 'c\\d'\r\nready = > \nenv = A=b c\nenv = B=\n"
			    "all = -y\nidle = title at \n", &e) == 0, "%s", e.message);
	ck_assert_str_eq(c->argv[1], "two words");
	ck_assert_str_eq(c->argv[2], "a b");
	ck_assert_str_eq(c->argv[3], "c\\d");
	ck_assert_ptr_null(c->argv[4]);
	ck_assert_str_eq(c->env[0], "A=b c");
	ck_assert_str_eq(c->env[1], "B=");
	ck_assert_str_eq(c->permissions[0][0], "-y");
	ck_assert_ptr_null(c->permissions[1]);
	ck_assert_str_eq(c->interrupt[0], "C-c");
	ck_assert_int_eq(c->idle, IDLE_TITLE);
	ck_assert_str_eq(c->idle_title, "at");
	ck_assert_int_eq(parse("argv = x\nready = >", &e), 0);
	ck_assert_int_eq(c->idle, IDLE_READY);
	ck_assert_int_eq(parse("argv = x", &e), 0);
	ck_assert_int_eq(c->idle, IDLE_QUIET);
}
END_TEST

START_TEST(test_patterns)
{
	struct err e = {0};

	ck_assert_int_eq(parse("argv = x\nready = /^you *> *$/\nbusy = a.c\n", &e), 0);
	ck_assert(agent_pattern_in(&c->ready, "old\nyou > \n"));
	ck_assert(!agent_pattern_in(&c->ready, "old you > it"));
	ck_assert(agent_pattern_in(&c->busy, "xa.cx"));
	ck_assert(!agent_pattern_in(&c->busy, "abc"));
	ck_assert_int_eq(parse("argv = x\n", &e), 0);
	ck_assert(!agent_pattern_in(&c->ready, ""));
}
END_TEST

START_TEST(test_what_is_wrong)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"", "argv is missing"}, {"argv\n", "line 1: 'argv' has no '='"}, {"argv =\n", "line 1: argv: the value is empty"},
		{"argv = a\nargv = b\n", "line 2: argv is set a second time"}, {"argv = 'a\n", "a ' is not closed"},
		{"argv = a\n\nready = /[/\n", "line 3: ready: the regular expression is wrong"},
		{"argv = a\nbusy = /(.)\\1/\n", "back-reference"}, {"argv = a\nbusy =\n", "the pattern is empty"},
		{"argv = a\nidle = ready\n", "wants a pattern"}, {"argv = a\nidle = title \n", "idle is one of"},
		{"argv = a\nenv = b\n", "env is NAME=VALUE"}, {"argv = a\nenv = b c=d\n", "env is NAME=VALUE"},
		{"argv = a\nwhat = 1\n", "there is no 'what'"}, {"argv = a\033b\n", "control character"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};
		ck_assert_msg(parse(bad[i].text, &e) < 0, "%s", bad[i].text);
		ck_assert_msg(strstr(e.message, bad[i].says), "'%s' lacks '%s'", e.message, bad[i].says);
	}
}
END_TEST

START_TEST(test_names)
{
	struct err e = {0};

	ck_assert_int_eq(agentconf_name_check("my-agent_2", &e), 0);
	ck_assert_int_lt(agentconf_name_check("claude", &e), 0);
	ck_assert_int_lt(agentconf_name_check("shell", &e), 0);
	ck_assert_int_lt(agentconf_name_check("", &e), 0);
	ck_assert_int_lt(agentconf_name_check("../x", &e), 0);
	ck_assert_int_lt(agentconf_name_check("-x", &e), 0);
	ck_assert_int_lt(agentconf_load("/nonexistent", "mine", &c, &e), 0);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	cleanup_free char *dir = agentconf_dir("/home/me/.config/tmux-claude/config");
	ck_assert_str_eq(dir, "/home/me/.config/tmux-claude/agents.d");
}
END_TEST

TEST_MAIN_FIXTURE("ipc/agentconf", NULL, teardown, test_what_is_taken, test_patterns, test_what_is_wrong, test_names)
