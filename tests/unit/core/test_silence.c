/* SPDX-License-Identifier: ISC */
/* What comes with time alone: who is silent longer than is usual for it is said to be stuck; who is limited goes on. */
#include "base/clock.h"
#include "daemon/core/stuck.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/core/model/fake_loop.h"
#include "tests/unit/run.h"

#define FLOOR_MS 60000
#define AGENTS 6
#define AT_ONCE 4            /* of core/limit.c */
#define AFTER_MS 20000       /* likewise: behind the moment that was said */
#define ALL_AFTER_MS 60000
#define GAP_MS 1000          /* between two that are overdue */
#define SLOT_MS 60000        /* one that shows nothing holds the slot no longer */

static struct fake_world w;

static void report(const struct instance *in, const char *event)
{
	fake_report(&w, in, event, false, NULL);
}

static struct instance *start(void)
{
	return fake_start(&w, "ready");
}

static void passes(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (time_step(end))
		fake_turn(&w);
}

/* The newest event of that type. */
static const json_t *newest(const char *type)
{
	const json_t *ev, *found = NULL;
	size_t i;

	json_array_foreach(w.events, i, ev)
		if (!strcmp(json_string_value(json_object_get(ev, "type")), type))
			found = ev;
	return found;
}

static void setup(void)
{
	time_begin(1);
	fake_init(&w);
	w.set.stuck_after_ms = FLOOR_MS;
}

static void teardown(void)
{
	fake_finish(&w);
}

/* So many reports, each that long after the one before. */
static void works(const struct instance *in, int times, int64_t gap_ms)
{
	for (int i = 0; i < times; i++) {
		report(in, "prompt");
		passes(gap_ms);
	}
	report(in, "prompt");
}

START_TEST(it_is_said_once_and_taken_back_when_something_moves)
{
	struct instance *in = start();

	report(in, "prompt");
	int64_t since = clock_wall_ms();
	passes(PACE_UNKNOWN_MS - 1);
	ck_assert_int_eq(in->stuck_ms, 0);
	passes(1);
	ck_assert_int_eq(in->stuck_ms, since);
	ck_assert_int_eq(in->state, ST_WORKING); /* it is said, and nothing is done */
	const json_t *data = json_object_get(newest("instance.stuck"), "data");
	ck_assert(json_is_true(json_object_get(data, "stuck")));
	ck_assert_int_eq(json_integer_value(json_object_get(data, "silent_ms")), PACE_UNKNOWN_MS);
	passes(10 * PACE_CEILING_MS);
	ck_assert_int_eq(fake_events(&w, "instance.stuck"), 1);
	report(in, "prompt");
	ck_assert_int_eq(in->stuck_ms, 0);
	ck_assert_int_eq(fake_events(&w, "instance.stuck"), 2);
	ck_assert(json_is_false(json_object_get(json_object_get(newest("instance.stuck"), "data"), "stuck")));
	report(in, "prompt");
	ck_assert_int_eq(fake_events(&w, "instance.stuck"), 2);
	/* And again, when it is silent again. */
	passes(PACE_CEILING_MS);
	ck_assert_int_eq(fake_events(&w, "instance.stuck"), 3);
	report(in, "stop");
	ck_assert_int_eq(in->stuck_ms, 0);
}
END_TEST

START_TEST(what_is_usual_is_its_own)
{
	struct instance *quick = start(), *slow = start();

	works(quick, PACE_FEW, 3000);
	report(quick, "stop");
	works(slow, PACE_FEW, 300000);
	report(quick, "prompt");
	passes(FLOOR_MS - 1);
	ck_assert_int_eq(quick->stuck_ms, 0);
	passes(1);
	ck_assert_int_ne(quick->stuck_ms, 0);
	ck_assert_int_eq(slow->stuck_ms, 0);
	passes(512000 * PACE_TIMES - FLOOR_MS - 1);
	ck_assert_int_eq(slow->stuck_ms, 0);
	passes(1);
	ck_assert_int_ne(slow->stuck_ms, 0);
	/* One such silence makes no other usual. */
	report(quick, "prompt");
	passes(FLOOR_MS);
	ck_assert_int_ne(quick->stuck_ms, 0);
}
END_TEST

START_TEST(who_does_not_work_is_not_stuck)
{
	struct instance *idle = start(), *server = start(), *never = start();

	report(server, "prompt");
	report(server, "background");
	report(never, "prompt");
	w.set.stuck_after_ms = 0;
	passes(10 * PACE_CEILING_MS);
	ck_assert_int_eq(never->stuck_ms, 0);
	ck_assert_int_eq(idle->stuck_ms, 0);
	ck_assert_int_eq(server->stuck_ms, 0);
	ck_assert_int_eq(fake_events(&w, "instance.stuck"), 0);
}
END_TEST

START_TEST(nobody_is_stuck_by_the_silence_between_turns)
{
	struct instance *in = start();

	works(in, PACE_FEW, 1000);
	report(in, "stop");
	passes(10 * PACE_CEILING_MS);
	report(in, "prompt");
	passes(FLOOR_MS - 1);
	ck_assert_int_eq(in->stuck_ms, 0);
	passes(1);
	ck_assert_int_ne(in->stuck_ms, 0);
	/* The wall clock is for people only. */
	report(in, "prompt");
	time_jump_wall(10 * PACE_CEILING_MS);
	passes(FLOOR_MS / 2);
	ck_assert_int_eq(in->stuck_ms, 0);
}
END_TEST

static int limited(struct instance *const *all)
{
	int n = 0;

	for (int i = 0; i < AGENTS; i++)
		n += all[i]->state == ST_LIMITED;
	return n;
}

START_TEST(the_limited_go_on_one_after_the_other)
{
	struct instance *all[AGENTS];
	int64_t until = clock_wall_ms() + 3600000;
	int before = AGENTS;

	w.set.resume_limited = true;
	for (int i = 0; i < AGENTS; i++)
		all[i] = start();
	for (int i = 0; i < AGENTS; i++) {
		report(all[i], "prompt");
		fake_tell(&w, all[i], "report", json_pack("{s:{s:s, s:{s:I, s:s}}}", "body", "event", "limit", "body", "until",
					  (json_int_t)until, "reason", "rate_limit"));
	}
	passes(3600000 + AFTER_MS - 1);
	ck_assert_int_eq(limited(all), AGENTS);
	passes(ALL_AFTER_MS - AFTER_MS + AT_ONCE * GAP_MS);
	/* None of them shows anything: the slots are held. */
	ck_assert_int_eq(limited(all), AGENTS - AT_ONCE);
	before = limited(all);
	for (int64_t ms = 0; ms < 2 * SLOT_MS; ms += GAP_MS / 2) { /* those that are overdue do not come together either */
		passes(GAP_MS / 2);
		ck_assert_int_le(before - limited(all), 1);
		before = limited(all);
	}
	ck_assert_int_eq(before, 0);
}
END_TEST

TEST_MAIN_FIXTURE("core/silence", setup, teardown, it_is_said_once_and_taken_back_when_something_moves, what_is_usual_is_its_own,
	who_does_not_work_is_not_stuck, nobody_is_stuck_by_the_silence_between_turns, the_limited_go_on_one_after_the_other)
