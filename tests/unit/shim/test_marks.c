/* SPDX-License-Identifier: ISC */
/* The marks that a shell prints about its prompt: phases, counts, statuses, and what is none of them. */
#include <string.h>

#include "place/shim/marks.h"
#include "place/shim/scan.h"
#include "tests/unit/run.h"

static struct scan scan;
static struct marks m;
static int taken;

static void setup(void)
{
	scan_init(&scan);
	memset(&m, 0, sizeof(m));
	taken = 0;
}

static void on_token(void *arg, const struct scan_token *t)
{
	(void)arg;
	taken += marks_apply(&m, t);
}

static void feed(const char *s)
{
	scan_feed(&scan, s, strlen(s), on_token, NULL);
}

START_TEST(test_a_command_from_prompt_to_prompt)
{
	feed("\033]133;A\a$ \033]133;B\033\\");
	ck_assert_int_eq(m.phase, MARK_INPUT);
	feed("make\r\n\033]133;C\aoutput");
	ck_assert_int_eq(m.phase, MARK_RUNNING);
	feed("\033]133;D;2;aid=7\a\033]133;A;cl=m\a");
	ck_assert_int_eq(m.phase, MARK_PROMPT);
	ck_assert(m.exit_known);
	ck_assert_int_eq(m.exit, 2);
	ck_assert_uint_eq(m.begun, 1);
	ck_assert_uint_eq(m.ended, 1);
	ck_assert_uint_eq(m.prompts, 2);
	ck_assert_int_eq(taken, 5);
}
END_TEST

START_TEST(test_a_status_is_of_a_command_that_ran)
{
	feed("\033]133;C\a\033]133;D;3\a\033]133;A\a");
	feed("\033]133;D;0\a\033]133;A\a"); /* Enter alone: most shells tell the last one again */
	ck_assert_uint_eq(m.ended, 1);
	ck_assert_int_eq(m.exit, 3);
	feed("\033]133;C\a\033]133;A\a"); /* without its D */
	ck_assert_uint_eq(m.ended, 2);
	ck_assert(!m.exit_known);
}
END_TEST

START_TEST(test_the_form_of_vs_code)
{
	feed("\033]633;A\a\033]633;B\a\033]633;E;ls;nonce\a\033]633;C\a\033]633;P;Cwd=/x\a");
	ck_assert_int_eq(m.phase, MARK_RUNNING);
	feed("\033]633;D;1\a");
	ck_assert_int_eq(m.phase, MARK_DONE);
	ck_assert_int_eq(m.exit, 1);
}
END_TEST

START_TEST(test_prompts_of_other_kinds_change_nothing)
{
	feed("\033]133;C\a\033]133;A;k=s\a\033]133;P;k=r\a\033]133;P;k=c\a");
	ck_assert_int_eq(m.phase, MARK_RUNNING);
	feed("\033]133;P;k=i\a");
	ck_assert_int_eq(m.phase, MARK_PROMPT);
}
END_TEST

START_TEST(test_what_is_none_or_lies)
{
	static const char *const none[] = {"\033]133\a", "\033]133;\a", "\033]133;Z\a", "\033]133;AA\a", "\033]1337;A\a",
		"\033]13;A\a", "\033]2;133;A\a"};
	static const char *const bad[] = {"\033]133;D;\a", "\033]133;D;256\a", "\033]133;D;99999999999999999999\a",
		"\033]133;D;-1\a", "\033]133;D;1x\a", "\033]133;D;err=CANCEL\a"};

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		feed(none[i]);
	ck_assert_int_eq(taken, 0);
	ck_assert_ptr_null(marks_json(&m));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		feed("\033]133;C\a");
		feed(bad[i]);
		ck_assert_int_eq(m.phase, MARK_DONE);
		ck_assert(!m.exit_known);
	}
}
END_TEST

START_TEST(test_painted_and_told)
{
	static const char *const ways[] = {"\033]133;A\a", "\033]133;C\a\033]133;D;9\a\033]133;A\a\033]133;B\a",
		"\033]133;C\a\033]133;D;0\a\033]133;C\a", "\033]133;C\a\033]133;D\a"};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct marks was;
		struct buf b;

		setup();
		feed(ways[i]);
		was = m;
		buf_init(&b, 4096);
		ck_assert_int_eq(marks_paint(&m, &b), 0);
		buf_append(&b, "", 1);
		setup();
		feed((const char *)buf_data(&b));
		buf_finish(&b);
		ck_assert_int_eq(m.phase, was.phase);
		ck_assert_int_eq(m.exit_known, was.exit_known);
		ck_assert_int_eq(m.exit, was.exit);
	}
	setup();
	feed("\033]133;C\a\033]133;D;9\a");
	json_t *o = marks_json(&m);
	ck_assert_str_eq(json_string_value(json_object_get(o, "phase")), "done");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "exit")), 9);
	json_decref(o);
}
END_TEST

TEST_MAIN_FIXTURE("shim/marks", setup, NULL, test_a_command_from_prompt_to_prompt, test_a_status_is_of_a_command_that_ran,
	test_the_form_of_vs_code, test_prompts_of_other_kinds_change_nothing, test_what_is_none_or_lies,
	test_painted_and_told)
