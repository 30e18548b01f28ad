/* SPDX-License-Identifier: ISC */
/* When shims are told that their events are known, and that steps may wait: never where one could mean something. */
#include "daemon/agent/agent.h"
#include "daemon/core/stuck.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/core/model/fake_loop.h"
#include "tests/unit/run.h"

#include "base/clock.h"

#define ACK_MOST_MS 5000 /* of core/ack.c */
#define FLOOR_MS 60000

static struct fake_world w;
static struct instance *in;

static const struct agent_program *claude(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return agent_find("claude");
}

static void interrupted(void *arg, const struct instance *of, const struct err *error)
{
	(void)arg;
	(void)of;
	(void)error;
}

static void setup(void)
{
	time_begin(1);
	fake_init(&w);
	w.set.stuck_after_ms = FLOOR_MS;
	w.port.agent = claude;
	in = fake_start(&w, "SessionStart");
}

static void teardown(void)
{
	fake_finish(&w);
}

static void passes(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (time_step(end))
		fake_turn(&w);
}

static void step(const char *event)
{
	fake_report(&w, in, event, true, json_pack("{s:s, s:{s:s}}", "tool_name", "Bash", "tool_input", "command", "ls"));
}

static void report(const char *event)
{
	fake_report(&w, in, event, false, json_pack("{s:s, s:{s:s}}", "tool_name", "Bash", "tool_input", "command", "ls"));
}

static void works(void)
{
	report("UserPromptSubmit");
	ck_assert_int_eq(in->state, ST_WORKING);
	ck_assert_uint_eq(w.acked, w.seq);
	ck_assert(w.steps_wait);
}

START_TEST(steps_are_not_written_and_acknowledged_with_others)
{
	works();
	uint64_t told = w.seq, before = w.writes;
	for (int i = 0; i < 3; i++)
		step("PreToolUse");
	ck_assert_uint_eq(w.writes, before);
	ck_assert_uint_eq(w.acked, told);
	passes(ACK_MOST_MS);
	ck_assert_uint_eq(w.acked, w.seq);
	ck_assert_uint_eq(w.writes, before);
	/* What changes something takes the number of what did not along: it is not heard again behind it. */
	step("PostToolUse");
	report("Stop");
	ck_assert_uint_eq(w.seq_kept, w.seq);
	ck_assert_uint_eq(w.acked, w.seq);
	passes(ACK_MOST_MS);
	ck_assert_uint_eq(w.acked, w.seq);
}
END_TEST

START_TEST(what_calls_itself_no_step_is_written_though_it_changes_nothing)
{
	works();
	uint64_t before = w.writes;
	report("PreToolUse");
	ck_assert_uint_gt(w.writes, before);
	ck_assert_uint_eq(w.seq_kept, w.seq);
	ck_assert_uint_eq(w.acked, w.seq);
}
END_TEST

START_TEST(a_crowded_shim_is_answered_at_once)
{
	works();
	step("PreToolUse");
	ck_assert_uint_ne(w.acked, w.seq);
	fake_tell(&w, in, "report", json_pack("{s:b, s:{s:s, s:b, s:{s:s}}}", "now", 1, "body", "event", "PostToolUse",
		"step", 1, "body", "tool_name", "Bash"));
	ck_assert_uint_eq(w.acked, w.seq);
	ck_assert_uint_eq(w.seq_kept, w.seq);
}
END_TEST

START_TEST(steps_wait_while_it_works_and_nothing_is_asked)
{
	ck_assert(!w.steps_wait);
	works();
	report("PermissionRequest");
	ck_assert_int_eq(in->state, ST_WAITING);
	ck_assert(!w.steps_wait);
	step("PostToolUse");
	ck_assert_int_eq(in->state, ST_WORKING);
	ck_assert_uint_eq(w.acked, w.seq);
	ck_assert(w.steps_wait);
	report("Stop");
	ck_assert(!w.steps_wait);
}
END_TEST

START_TEST(they_wait_no_more_when_it_is_interrupted)
{
	works();
	uint64_t writes = w.writes;
	ck_assert_int_eq(fleet_interrupt(w.f, in, interrupted, NULL, NULL), 0);
	fake_turn(&w);
	ck_assert(!w.steps_wait);
	ck_assert_uint_eq(w.writes, writes);
	fake_answer(&w, "key", json_object());
}
END_TEST

static void step_that_waited(int ms)
{
	fake_tell(&w, in, "report", json_pack("{s:i, s:{s:s, s:b, s:{s:s}}}", "waited_ms", ms, "body", "event", "PostToolUse",
		"step", 1, "body", "tool_name", "Bash"));
}

/* Its session file is believed at once, for the step was told before the interrupt. */
START_TEST(a_step_from_before_an_interrupt_does_not_say_that_it_goes_on)
{
	works();
	passes(3000);
	ck_assert_int_eq(fleet_interrupt(w.f, in, interrupted, NULL, NULL), 0);
	fake_turn(&w);
	fake_answer(&w, "key", json_object());
	passes(500);
	step_that_waited(1000);
	fake_report(&w, in, "SessionFile", false, json_pack("{s:s}", "status", "idle"));
	passes(1);
	ck_assert_int_eq(in->state, ST_IDLE);
}
END_TEST

START_TEST(a_step_from_after_an_interrupt_says_that_it_goes_on)
{
	works();
	passes(3000);
	ck_assert_int_eq(fleet_interrupt(w.f, in, interrupted, NULL, NULL), 0);
	fake_turn(&w);
	fake_answer(&w, "key", json_object());
	passes(500);
	step_that_waited(400);
	fake_report(&w, in, "SessionFile", false, json_pack("{s:s}", "status", "idle"));
	passes(1);
	ck_assert_int_eq(in->state, ST_WORKING);
}
END_TEST

START_TEST(they_wait_no_more_when_it_is_said_to_be_stuck)
{
	works();
	for (int i = 0; i < 2 * PACE_FEW; i++) {
		passes(1000);
		step("PreToolUse");
	}
	passes(ACK_MOST_MS);
	ck_assert(w.steps_wait);
	passes(FLOOR_MS);
	ck_assert_int_ne(in->stuck_ms, 0);
	ck_assert(!w.steps_wait);
	step("PostToolUse");
	ck_assert_int_eq(in->stuck_ms, 0);
	ck_assert(w.steps_wait);
}
END_TEST

START_TEST(they_wait_no_more_when_its_session_file_contradicts)
{
	works();
	fake_report(&w, in, "SessionFile", false, json_pack("{s:s}", "status", "idle"));
	ck_assert_int_eq(in->state, ST_WORKING);
	ck_assert_ptr_nonnull(in->session);
	ck_assert(!w.steps_wait);
	fake_report(&w, in, "SessionFile", false, json_pack("{s:s}", "status", "busy"));
	ck_assert(w.steps_wait);
}
END_TEST

START_TEST(a_step_that_waited_happened_when_it_happened)
{
	works();
	for (int i = 0; i < 2 * PACE_FEW; i++) {
		passes(1000);
		step("PreToolUse");
	}
	passes(3000);
	step_that_waited(2000);
	passes(FLOOR_MS - 2000 - 1);
	ck_assert_int_eq(in->stuck_ms, 0);
	passes(1);
	ck_assert_int_ne(in->stuck_ms, 0);
}
END_TEST

START_TEST(a_shim_that_was_replaced_is_not_told_of_the_numbers_of_the_one_before)
{
	works();
	step("PreToolUse");
	w.acked = 0;
	struct err why = {0};
	err_set(&why, ERR_UNREACHABLE, "killed by the test");
	fleet_on_shim_lost(w.f, in->place, &why);
	fake_turn(&w);
	fake_hello(&w, in, 200);
	passes(ACK_MOST_MS);
	ck_assert_uint_eq(w.acked, 0);
}
END_TEST

TEST_MAIN_FIXTURE("core/ack", setup, teardown, steps_are_not_written_and_acknowledged_with_others,
	what_calls_itself_no_step_is_written_though_it_changes_nothing, a_crowded_shim_is_answered_at_once,
	steps_wait_while_it_works_and_nothing_is_asked,
	a_step_from_before_an_interrupt_does_not_say_that_it_goes_on, a_step_from_after_an_interrupt_says_that_it_goes_on, they_wait_no_more_when_it_is_interrupted,
	they_wait_no_more_when_it_is_said_to_be_stuck, they_wait_no_more_when_its_session_file_contradicts,
	a_step_that_waited_happened_when_it_happened,
	a_shim_that_was_replaced_is_not_told_of_the_numbers_of_the_one_before)
