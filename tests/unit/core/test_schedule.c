/* SPDX-License-Identifier: ISC */
/* Schedules by clocks of the test: spans over reboots and set clocks, what was missed, what is held, nothing sent twice. */
#include "daemon/core/schedule_int.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/run.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define START INT64_C(1800000000000) /* 15 January 2027, 08:00 UTC, a Friday */

static struct fake_world w;
static int64_t boot_now, wall_now;
static struct unit *u;

static int64_t read_boot(void)
{
	return boot_now;
}

static int64_t read_wall(void)
{
	return wall_now;
}

static void setup(void)
{
	struct instance *in = instance_new();

	fake_init(&w);
	boot_now = 100 * HOUR;
	wall_now = START;
	clock_set_source(read_boot, read_wall);
	memcpy(in->id, "aaaaaa", ID_SIZE);
	in->driver = xstrdup("vm");
	in->agent = xstrdup("mute");
	in->dir = xstrdup("/p");
	in->state = ST_IDLE;
	in->created_ms = wall_now;
	in->cap = w.set.default_cap;
	fleet_load_instance(w.f, in);
	u = unit_find(w.f, in->id);
	u->step = STEP_LIVE;
	schedules_begin(w.f);
}

static void teardown(void)
{
	clock_set_source(NULL, NULL);
	fake_finish(&w);
}

/* Whoever is woken looks; prompts that were made are taken away. */
static void look(void)
{
	schedules_look(w.f);
	prompts_drop(u);
	fake_turn(&w);
}

static void pass(int64_t ms)
{
	boot_now += ms;
	wall_now += ms;
	look();
}

static const struct schedule *make_of(const struct schedule_args *a)
{
	struct schedule_args b = *a;
	struct err e = {0};
	const struct schedule *s;

	b.text = "x";
	b.len = 1;
	b.zone = "UTC";
	s = fleet_schedule_make(w.f, u->in, &b, &e);
	ck_assert_msg(s != NULL, "%s", e.message);
	return s;
}

#define make(...) make_of(&(struct schedule_args){__VA_ARGS__})

static int fired(void)
{
	return fake_events(&w, "schedule.fired");
}

START_TEST(a_span_counts_time_whatever_clocks_show)
{
	make(.at = "+30m");
	wall_now += 400 * DAY; /* set, not passed */
	look();
	ck_assert_int_eq(fired(), 0);
	wall_now -= 800 * DAY;
	pass(29 * MINUTE);
	ck_assert_int_eq(fired(), 0);
	ck_assert_int_eq(w.f->schedules->list->s->due_ms, wall_now + MINUTE); /* shown by the clock as it is */
	pass(MINUTE);
	ck_assert_int_eq(fired(), 1);
	ck_assert_ptr_null(w.f->schedules->list);
}
END_TEST

START_TEST(after_a_reboot_its_moment_of_the_wall_clock_counts)
{
	struct schedule *s = (struct schedule *)make(.at = "+30m");
	struct schedule *again = (struct schedule *)make(.every = "1h");

	free(s->boot);
	free(again->boot);
	s->boot = xstrdup("another");
	again->boot = xstrdup("another");
	boot_now = 5 * MINUTE;
	wall_now += 20 * MINUTE;
	look();
	ck_assert_int_eq(fired(), 0);
	pass(10 * MINUTE);
	ck_assert_int_eq(fired(), 1);
	pass(32 * MINUTE); /* of the hour that began before the reboot, two minutes late */
	ck_assert_int_eq(fired(), 2);
	ck_assert_str_eq(again->boot, boot_id());
	ck_assert_int_eq(again->due_boot_ms, boot_now + 58 * MINUTE);
	ck_assert_int_eq(again->due_ms, wall_now + 58 * MINUTE);
}
END_TEST

START_TEST(an_even_distance_does_not_drift_and_skips_what_it_missed)
{
	const struct schedule *s = make(.every = "30m");
	int64_t grid = boot_now;

	pass(33 * MINUTE); /* a little late */
	ck_assert_int_eq(fired(), 1);
	ck_assert_int_eq(s->due_boot_ms, grid + 60 * MINUTE);
	pass(97 * MINUTE); /* at 130: the 60th, the 90th and the 120th have passed */
	ck_assert_int_eq(fired(), 1);
	ck_assert_int_eq(s->missed, 3);
	ck_assert_int_eq(s->due_boot_ms, grid + 150 * MINUTE);
	pass(20 * MINUTE);
	ck_assert_int_eq(fired(), 2);
}
END_TEST

START_TEST(with_run_one_is_sent_for_all_that_were_missed)
{
	const struct schedule *s = make(.every = "day at 09:00", .missed = "run", .times = 2);

	pass(3 * DAY);
	ck_assert_int_eq(fired(), 1);
	ck_assert_int_eq(s->missed, 2);
	ck_assert_int_eq(s->due_ms, START + 3 * DAY + HOUR);
	pass(HOUR);
	ck_assert_int_eq(fired(), 2);
	ck_assert_ptr_null(w.f->schedules->list); /* two were asked for */
	make(.at = "+1h", .missed = "skip");
	pass(2 * HOUR);
	ck_assert_int_eq(fired(), 2);
	ck_assert_ptr_null(w.f->schedules->list);
}
END_TEST

START_TEST(it_is_held_while_its_instance_takes_nothing)
{
	const struct schedule *s = make(.every = "day at 09:00");

	u->step = STEP_MAKE;
	u->in->state = ST_PROVISIONING;
	pass(HOUR);
	ck_assert_int_eq(fired(), 0);
	ck_assert(s->held_ms && s->reason);
	pass(2 * DAY); /* longer than any grace */
	ck_assert_int_eq(fired() + fake_events(&w, "schedule.missed"), 0);
	u->step = STEP_LIVE;
	u->in->state = ST_IDLE;
	look();
	ck_assert_int_eq(fired(), 1);
	ck_assert(!s->held_ms && !s->reason);
	ck_assert_int_eq(s->due_ms, START + 3 * DAY + HOUR);
	u->in->state = ST_EXITED;
	pass(DAY);
	ck_assert_int_eq(fired(), 1);
	ck_assert_int_eq(s->missed, 3);
	ck_assert_int_eq(s->status, SS_ACTIVE);
}
END_TEST

START_TEST(when_idle_waits_for_an_empty_queue)
{
	struct send_args a = {.mode = PM_PASTE, .until = UNTIL_QUEUED, .stays = true, .text = "y", .len = 1, .timeout_ms = -1};
	struct err e = {0};

	ck_assert_int_eq(fleet_send(w.f, u->in, &a, &e), 0);
	make(.when = "idle");
	schedules_look(w.f);
	ck_assert_int_eq(fired(), 0);
	u->in->state = ST_WORKING;
	look();
	ck_assert_int_eq(fired(), 0);
	u->in->state = ST_IDLE;
	look();
	ck_assert_int_eq(fired(), 1);
}
END_TEST

START_TEST(a_pause_misses_nothing)
{
	const struct schedule *s = make(.every = "day at 09:00"), *once = make(.at = "+1h");
	struct err e = {0};

	ck_assert_ptr_nonnull(fleet_schedule_pause(w.f, s->id, true, NULL, &e));
	ck_assert_ptr_nonnull(fleet_schedule_pause(w.f, once->id, true, NULL, &e));
	pass(2 * DAY);
	ck_assert_int_eq(fired(), 0);
	ck_assert_ptr_nonnull(fleet_schedule_pause(w.f, s->id, false, NULL, &e));
	ck_assert_ptr_nonnull(fleet_schedule_pause(w.f, once->id, false, NULL, &e));
	look();
	ck_assert_int_eq(fired(), 1); /* the one of a single moment, late */
	ck_assert_int_eq(s->missed, 0);
	ck_assert_int_eq(s->due_ms, START + 2 * DAY + HOUR);
	ck_assert_ptr_null(fleet_schedule_cancel(w.f, "zzzzzz", NULL, &e));
	ck_assert_ptr_nonnull(fleet_schedule_cancel(w.f, s->id, NULL, &e));
	ck_assert_ptr_null(fleet_schedule_cancel(w.f, s->id, NULL, &e));
	pass(DAY);
	ck_assert_int_eq(fired(), 1);
}
END_TEST

START_TEST(its_end_may_pass_while_it_is_paused)
{
	const struct schedule *s = make(.every = "day at 09:00", .until = "+30h");
	struct err e = {0};

	ck_assert_ptr_nonnull(fleet_schedule_pause(w.f, s->id, true, NULL, &e));
	pass(3 * DAY);
	ck_assert_ptr_nonnull(fleet_schedule_pause(w.f, s->id, false, NULL, &e));
	pass(DAY);
	ck_assert_int_eq(fired(), 0);
	ck_assert_ptr_null(w.f->schedules->list);
}
END_TEST

/* Started for one occurrence, it ended before it took the prompt: for the next it is started again. */
START_TEST(each_occurrence_may_start_its_instance_once)
{
	const struct schedule *s = make(.every = "day at 09:00", .start = true);

	for (int day = 0; day < 3; day++) {
		u->step = STEP_NONE;
		u->in->state = ST_EXITED;
		pass(day ? DAY : HOUR);
		ck_assert_msg(s->held_ms && !state_final(u->in->state), "day %d: %s", day, s->reason);
		u->step = STEP_NONE;
		u->in->state = ST_FAILED;
		look();
		ck_assert(!s->held_ms && state_final(u->in->state));
		ck_assert_int_eq(s->missed, day + 1);
	}
	ck_assert_int_eq(fired(), 0);
}
END_TEST

START_TEST(removed_with_its_instance_and_after_a_restore_not_sent_late)
{
	make(.every = "1h");
	make(.at = "+10m");
	w.set.spare_unknown = true; /* the database is a copy from before */
	pass(30 * MINUTE);
	ck_assert_int_eq(fired(), 0);
	ck_assert_int_eq(fake_events(&w, "schedule.missed"), 1);
	schedules_removed(u);
	look();
	ck_assert_ptr_null(w.f->schedules->list);
	ck_assert_int_eq(fake_events(&w, "schedule.ended"), 2);
}
END_TEST

static uint64_t seed = 88172645463325252u;

static int64_t draw(int64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (int64_t)(seed % (uint64_t)below);
}

/* Time passes, the clock is set to and fro by up to a day: of no time of day is anything sent twice, and what is next is to
 * come. */
START_TEST(clocks_to_and_fro_send_nothing_twice)
{
	struct schedule *s[] = {(struct schedule *)make(.every = "day at 09:00", .missed = "run"),
		(struct schedule *)make(.every = "*/20 * * * *"), (struct schedule *)make(.every = "45m", .missed = "run")};
	int64_t last[3] = {0}, count[3] = {0};

	for (int i = 0; i < 3000; i++) {
		if (draw(3))
			pass(draw(2 * HOUR));
		else
			wall_now += draw(2 * DAY) - DAY;
		for (int k = 0; k < 3; k++) /* so far back that it goes on from there */
			last[k] = last[k] - wall_now > SCHEDULE_BACK_MS ? 0 : last[k];
		look();
		for (int k = 0; k < 3; k++) {
			ck_assert(schedule_left_ms(s[k]) > 0);
			ck_assert(k == 2 || s[k]->count == count[k] || s[k]->last_due_ms > last[k]);
			count[k] = s[k]->count;
			last[k] = s[k]->last_due_ms;
		}
	}
	ck_assert_int_gt(count[0] + count[1] + count[2], 1000);
}
END_TEST

TEST_MAIN_FIXTURE("core/schedule", setup, teardown, a_span_counts_time_whatever_clocks_show,
	after_a_reboot_its_moment_of_the_wall_clock_counts, an_even_distance_does_not_drift_and_skips_what_it_missed,
	with_run_one_is_sent_for_all_that_were_missed, it_is_held_while_its_instance_takes_nothing,
	when_idle_waits_for_an_empty_queue, a_pause_misses_nothing,
	its_end_may_pass_while_it_is_paused, each_occurrence_may_start_its_instance_once,
	removed_with_its_instance_and_after_a_restore_not_sent_late, clocks_to_and_fro_send_nothing_twice)
