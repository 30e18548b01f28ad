/* SPDX-License-Identifier: ISC */
/* What the daemon is told, in which order and when: a step may wait while the daemon said so, nothing else ever. */
#include "place/shim/events.h"

#include "base/clock.h"
#include "tests/unit/core/model/fake_loop.h"
#include "tests/unit/run.h"

#define TOLD_MAX 8192
#define LARGE (64 * 1024)

static struct events *ev;
static struct loop *loop;
static struct peer *daemon_peer = (struct peer *)&daemon_peer;
static json_t *told[TOLD_MAX];
static size_t ntold;
static bool slow;
static int dropped_for;

/* In place of ipc/peer.c. */
int peer_notify(struct peer *p, const char *method, json_t *params)
{
	ck_assert_ptr_eq(p, daemon_peer);
	ck_assert_str_eq(method, "event");
	if (slow) {
		json_decref(params);
		return -1;
	}
	ck_assert_uint_lt(ntold, TOLD_MAX);
	told[ntold++] = json_deep_copy(params);
	json_decref(params);
	return 0;
}

void peer_cork(struct peer *p, bool corked)
{
	(void)corked;
	ck_assert_ptr_eq(p, daemon_peer);
}

static void on_slow(void *arg)
{
	(void)arg;
	dropped_for++;
}

static void forget_told(void)
{
	while (ntold > 0)
		json_decref(told[--ntold]);
}

static void setup(void)
{
	time_begin(1);
	loop = loop_create(NULL);
	ev = events_create(loop, on_slow, NULL);
	events_attach(ev, daemon_peer);
	slow = false;
	dropped_for = 0;
}

static void teardown(void)
{
	forget_told();
	events_destroy(ev);
	loop_destroy(loop);
}

static void passes(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (time_step(end))
		;
}

static void tell(bool step)
{
	events_tell(ev, "report", json_pack("{s:s, s:{s:s, s:b}}", "instance", "a", "body", "event", "PreToolUse", "step",
					  step));
}

static json_int_t seq_of(size_t i)
{
	ck_assert_uint_lt(i, ntold);
	return json_integer_value(json_object_get(told[i], "seq"));
}

/* All that was told so far is known, and steps may wait. */
static void allow(void)
{
	events_ack(ev, events_last(ev), INT64_MAX);
	forget_told();
}

START_TEST(a_step_goes_at_once_until_the_daemon_says_that_it_may_wait)
{
	tell(true);
	tell(true);
	ck_assert_uint_eq(ntold, 2);
	allow();
	tell(true);
	ck_assert_uint_eq(ntold, 0);
	passes(EVENTS_STEP_MS - 1);
	tell(true);
	ck_assert_uint_eq(ntold, 0);
	passes(1); /* the first one has waited enough, and the newest stands for it */
	ck_assert_uint_eq(ntold, 1);
	ck_assert_int_eq(seq_of(0), 4);
	ck_assert_int_eq(json_integer_value(json_object_get(told[0], "waited_ms")), 1);
	events_ack(ev, events_last(ev), 2000);
	forget_told();
	tell(true);
	passes(1999);
	ck_assert_uint_eq(ntold, 0);
	passes(1);
	ck_assert_uint_eq(ntold, 1);
	ck_assert_int_eq(json_integer_value(json_object_get(told[0], "waited_ms")), 2000);
}
END_TEST

START_TEST(whatever_else_is_told_takes_them_along_in_order)
{
	allow();
	tell(true);
	tell(false);
	ck_assert_uint_eq(ntold, 2);
	ck_assert_int_eq(seq_of(0) + 1, seq_of(1));
	tell(true); /* what was told between is not known to the daemon yet */
	ck_assert_uint_eq(ntold, 3);
	allow();
	tell(true);
	events_mention(ev, "activity", NULL);
	ck_assert_uint_eq(ntold, 2);
	ck_assert_int_ne(seq_of(0), 0);
	ck_assert_int_eq(seq_of(1), 0);
}
END_TEST

START_TEST(what_the_daemon_said_before_it_knew_counts_for_nothing)
{
	tell(true);
	tell(false);
	events_ack(ev, 1, EVENTS_STEP_MS);
	forget_told();
	tell(true);
	ck_assert_uint_eq(ntold, 1);
	allow();
	tell(true);
	ck_assert_uint_eq(ntold, 0);
}
END_TEST

START_TEST(taken_back_what_waits_goes_at_once)
{
	allow();
	tell(true);
	ck_assert_uint_eq(ntold, 0);
	events_ack(ev, 0, 0);
	ck_assert_uint_eq(ntold, 1);
	tell(true);
	ck_assert_uint_eq(ntold, 2);
}
END_TEST

START_TEST(another_daemon_is_told_all_and_allows_anew)
{
	allow();
	tell(true);
	events_attach(ev, NULL);
	tell(true);
	passes(2 * EVENTS_STEP_MS);
	ck_assert_uint_eq(ntold, 0);
	events_attach(ev, daemon_peer);
	ck_assert_uint_eq(ntold, 2);
	tell(true);
	ck_assert_uint_eq(ntold, 3);
	for (size_t i = 0; i < ntold; i++)
		ck_assert_int_eq(seq_of(i), (json_int_t)i + 1);
}
END_TEST

START_TEST(a_daemon_that_does_not_read_hears_it_on_its_next_connection)
{
	allow();
	tell(true);
	tell(true);
	slow = true;
	passes(EVENTS_STEP_MS);
	ck_assert_int_eq(dropped_for, 1);
	slow = false;
	events_attach(ev, daemon_peer);
	ck_assert_uint_eq(ntold, 1);
	ck_assert_int_eq(seq_of(0), 2);
}
END_TEST

START_TEST(many_or_large_ones_do_not_wait_and_ask_for_an_answer)
{
	static char text[LARGE + 1];

	for (int i = 0; i <= EVENTS_MAX / 4; i++)
		tell(false);
	ck_assert_uint_eq(ntold, EVENTS_MAX / 4 + 1);
	ck_assert(json_is_true(json_object_get(told[ntold - 1], "now")));
	ck_assert_ptr_null(json_object_get(told[ntold - 2], "now"));
	allow();
	memset(text, 'x', LARGE);
	for (int i = 0; i <= EVENTS_BYTES_MAX / 4 / LARGE; i++)
		events_tell(ev, "report", json_pack("{s:{s:s}}", "body", "event", text));
	ck_assert(json_is_true(json_object_get(told[ntold - 1], "now")));
}
END_TEST

START_TEST(of_several_instances_each_is_told)
{
	allow();
	for (int i = 0; i < 4; i++)
		events_tell(ev, "report", json_pack("{s:s, s:{s:b}}", "instance", i % 2 ? "a" : "b", "body", "step", 1));
	passes(EVENTS_STEP_MS);
	ck_assert_uint_eq(ntold, 4);
}
END_TEST

START_TEST(what_goes_for_lack_of_room_is_counted)
{
	events_attach(ev, NULL);
	events_tell(ev, "exited", NULL);
	for (int i = 0; i < EVENTS_MAX + 9; i++)
		tell(true);
	events_attach(ev, daemon_peer);
	ck_assert_uint_eq(ntold, EVENTS_MAX);
	ck_assert_int_eq(seq_of(0), 1); /* no report goes last */
	forget_told();
	events_ack(ev, events_last(ev), 0);
	tell(true);
	ck_assert_int_ge(json_integer_value(json_object_get(told[0], "dropped")), 1);
}
END_TEST

TEST_MAIN_FIXTURE("shim/events", setup, teardown, a_step_goes_at_once_until_the_daemon_says_that_it_may_wait,
	whatever_else_is_told_takes_them_along_in_order, what_the_daemon_said_before_it_knew_counts_for_nothing,
	taken_back_what_waits_goes_at_once, another_daemon_is_told_all_and_allows_anew,
	a_daemon_that_does_not_read_hears_it_on_its_next_connection, many_or_large_ones_do_not_wait_and_ask_for_an_answer,
	of_several_instances_each_is_told, what_goes_for_lack_of_room_is_counted)
