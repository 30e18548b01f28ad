/* SPDX-License-Identifier: ISC */
/* What becomes of one that ended (revive.c), what a new daemon makes of rows that wait, and the time in states: by clocks of the test. */
#include "daemon/core/attention.h"
#include "daemon/core/fleet_int.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/run.h"

#define DAY_MS 86400000

static struct fake_world w;
static int64_t boot_now, wall_now;

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
	fake_init(&w);
	w.set.again = (struct backoff_rules){.delay_ms = 8000, .delay_most_ms = 64000, .calm_ms = 600000,
		.window_ms = 600000, .most = 2};
	boot_now = 1000000;
	wall_now = 1790000000000;
	clock_set_source(read_boot, read_wall);
}

static void teardown(void)
{
	clock_set_source(NULL, NULL);
	fake_finish(&w);
}

static struct instance *row(const char *id, enum inst_state state, enum restart_policy policy)
{
	struct instance *in = instance_new();

	memcpy(in->id, id, ID_SIZE);
	in->driver = xstrdup("vm");
	in->agent = xstrdup("mute");
	in->dir = xstrdup("/p");
	in->state = state;
	in->restart = policy;
	in->wanted = true;
	in->starts = 1;
	in->created_ms = wall_now;
	in->cap = w.set.default_cap;
	state_stamp(in);
	return in;
}

static struct unit *load(struct instance *in)
{
	fleet_load_instance(w.f, in);
	return unit_find(w.f, in->id);
}

static void runs_again(struct unit *u)
{
	loop_timer_stop(u->again_timer);
	u->in->again.waits = false;
	u->in->state = ST_IDLE;
	again_started(u);
}

START_TEST(the_brake_ends_it_and_says_what_releases_it)
{
	struct unit *u = load(row("aaaaaa", ST_IDLE, RESTART_ON_FAILURE));

	for (int i = 0; i < 2; i++) {
		unit_ends(u, END_EXIT_BAD, ST_EXITED, "exited", "ended with code 3");
		ck_assert_int_eq(u->in->state, ST_QUEUED);
		ck_assert_str_eq(u->in->reason, "backoff");
		ck_assert(loop_timer_active(u->again_timer));
		runs_again(u);
	}
	unit_ends(u, END_PLACE_LOST, ST_LOST, "place_exit", "its machine died");
	ck_assert_int_eq(u->in->state, ST_FAILED);
	ck_assert_str_eq(u->in->reason, "brake");
	ck_assert_ptr_nonnull(strstr(u->in->detail, "failed 3 times within 600 s"));
	ck_assert_ptr_nonnull(strstr(u->in->detail, "its machine died"));
	ck_assert(!u->in->again.waits && u->in->wanted && !loop_timer_active(u->again_timer));
	ck_assert_int_eq(fake_events(&w, "instance.again"), 3);
	ck_assert_int_eq(fake_events(&w, "notice"), 1);
	revive_loaded(w.f); /* nor does the next daemon start it */
	ck_assert_int_eq(u->in->state, ST_FAILED);
}
END_TEST

START_TEST(without_the_values_of_its_environment_it_stays_ended)
{
	struct instance *in = row("aaaaaa", ST_IDLE, RESTART_ALWAYS);
	struct unit *u;

	in->env_names = strv_new();
	strv_push(&in->env_names, "KEY");
	u = load(in);
	unit_ends(u, END_EXIT_OK, ST_EXITED, "exited", "ended with code 0");
	ck_assert_int_eq(in->state, ST_EXITED);
	ck_assert_str_eq(in->reason, "env_missing");
	ck_assert_ptr_nonnull(strstr(in->detail, "KEY"));
	ck_assert(!in->again.waits && !in->again.tries && !u->again_timer);
	in->env = json_pack("{s:s}", "KEY", "value");
	in->state = ST_IDLE;
	unit_ends(u, END_EXIT_OK, ST_EXITED, "exited", "ended with code 0");
	ck_assert_str_eq(in->reason, "backoff");
}
END_TEST

static struct instance *waiting(const char *id, int64_t in_ms)
{
	struct instance *in = row(id, ST_QUEUED, RESTART_ALWAYS);

	in->reason = xstrdup("backoff");
	in->detail = xstrdup("ended with code 3");
	in->again.waits = true;
	in->again.tries = 1;
	again_rebase(&in->again, boot_id(), boot_now, wall_now);
	in->again.at_ms = boot_now + in_ms;
	return in;
}

START_TEST(a_new_daemon_goes_on_with_what_waits)
{
	struct instance *no_env = waiting("bbbbbb", 5000), *down = row("cccccc", ST_EXITED, RESTART_ALWAYS);
	struct instance *never = row("dddddd", ST_LOST, RESTART_NEVER), *lost = row("eeeeee", ST_LOST, RESTART_ON_FAILURE);
	struct unit *u = load(waiting("aaaaaa", 5000));

	no_env->env_names = strv_new();
	strv_push(&no_env->env_names, "KEY");
	down->reason = xstrdup("down");
	load(no_env);
	load(down);
	load(never);
	load(lost);
	revive_loaded(w.f);
	ck_assert(again_waits(u->in) && loop_timer_active(u->again_timer));
	ck_assert_int_eq(u->in->again.at_ms, boot_now + 5000);
	ck_assert_int_eq(no_env->state, ST_FAILED);
	ck_assert_str_eq(no_env->reason, "env_missing");
	ck_assert(again_waits(down) && down->again.at_ms == boot_now); /* nothing of its own went wrong */
	ck_assert_int_eq(never->state, ST_LOST);
	ck_assert(again_waits(lost));
}
END_TEST

START_TEST(one_whose_parent_was_removed_is_not_started_again)
{
	struct instance *in = row("aaaaaa", ST_EXITED, RESTART_ALWAYS), *waits = waiting("bbbbbb", 5000);
	struct unit *u;

	memcpy(in->parent, "gggggg", ID_SIZE);
	memcpy(waits->parent, "gggggg", ID_SIZE);
	in->reason = xstrdup("down");
	load(in);
	u = load(waits);
	revive_loaded(w.f);
	ck_assert_int_eq(in->state, ST_EXITED);
	revive_now(u, "by its restart policy"); /* once, not until the brake */
	ck_assert_int_eq(waits->state, ST_FAILED);
	ck_assert_ptr_nonnull(strstr(waits->detail, "parent"));
}
END_TEST

START_TEST(a_wait_is_as_long_whatever_the_wall_clock_does)
{
	struct unit *u = load(row("aaaaaa", ST_IDLE, RESTART_ALWAYS));
	int64_t at;

	unit_ends(u, END_EXIT_BAD, ST_EXITED, "exited", NULL);
	at = u->in->again.at_ms;
	ck_assert_int_ge(at - boot_now, 7000);
	ck_assert_int_le(at - boot_now, 9000);
	wall_now += DAY_MS;
	boot_now += 1000;
	again_touch(u);
	ck_assert_int_eq(u->in->again.at_ms, at);
	wall_now -= 3 * DAY_MS;
	again_touch(u);
	ck_assert_int_eq(u->in->again.at_ms, at);
	ck_assert(again_waits(u->in));
	/* What failed long ago by the wall clock alone still counts for the brake. */
	runs_again(u);
	unit_ends(u, END_EXIT_BAD, ST_EXITED, "exited", NULL);
	wall_now += 30LL * DAY_MS;
	runs_again(u);
	unit_ends(u, END_EXIT_BAD, ST_EXITED, "exited", NULL);
	ck_assert_str_eq(u->in->reason, "brake");
}
END_TEST

START_TEST(a_wait_over_a_boot_goes_by_the_wall_clock_and_is_never_longer)
{
	static const struct {
		int64_t away, left;
	} rows[] = {{2000, 3000}, {5000, 0}, {-DAY_MS, 5000}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct again a = {.waits = true, .at_ms = 905000};
		again_rebase(&a, "an-earlier-boot", 900000, wall_now);
		again_rebase(&a, boot_id(), 700, wall_now + rows[i].away);
		ck_assert_int_eq(a.at_ms - 700, rows[i].left);
	}
}
END_TEST

START_TEST(time_in_a_state_is_what_passed)
{
	struct unit *u = load(row("aaaaaa", ST_IDLE, RESTART_NEVER));

	boot_now += 3000;
	wall_now += DAY_MS; /* set meanwhile */
	fleet_apply(u, ST_WORKING, NULL, NULL);
	ck_assert_int_eq(u->in->time_in_state[ST_IDLE], 3000);
	boot_now += 500;
	wall_now -= 2 * DAY_MS;
	fleet_apply(u, ST_WORKING, "other", NULL); /* the same state: nothing is over */
	ck_assert_int_eq(u->in->time_in_state[ST_WORKING], 0);
	fleet_apply(u, ST_IDLE, NULL, NULL);
	ck_assert_int_eq(u->in->time_in_state[ST_WORKING], 500);
	/* Once more, it adds up; and a daemon in between changes nothing. */
	boot_now += 70;
	fleet_apply(u, ST_WAITING, "login", NULL);
	ck_assert_int_eq(u->in->time_in_state[ST_IDLE], 3070);
}
END_TEST

START_TEST(time_in_a_state_over_a_boot_is_the_wall_clocks)
{
	struct instance *in = row("aaaaaa", ST_WORKING, RESTART_NEVER), *back = row("bbbbbb", ST_WORKING, RESTART_NEVER);
	struct unit *u = load(in), *b = load(back);

	free(in->state_boot);
	in->state_boot = xstrdup("an-earlier-boot");
	free(back->state_boot);
	back->state_boot = xstrdup("an-earlier-boot");
	boot_now = 40; /* it says nothing */
	wall_now += 60000;
	fleet_apply(u, ST_LOST, "host_reboot", NULL);
	ck_assert_int_eq(in->time_in_state[ST_WORKING], 60000);
	wall_now -= DAY_MS;
	fleet_apply(b, ST_LOST, "host_reboot", NULL);
	ck_assert_int_eq(back->time_in_state[ST_WORKING], 0);
	boot_now += 25;
	fleet_apply(u, ST_EXITED, "killed", NULL);
	ck_assert_int_eq(in->time_in_state[ST_LOST], 25);
}
END_TEST

START_TEST(what_somebody_looked_at_comes_back_with_no_daemon)
{
	struct unit *u = load(row("aaaaaa", ST_IDLE, RESTART_NEVER));
	struct attention *kept = xcalloc(1, sizeof(*kept));
	size_t n;

	w.set.attention_finished = true;
	u->in->turns = 1;
	attention_loaded(w.f);
	ck_assert_uint_eq(fleet_attention_count(w.f), 0);
	fleet_apply(u, ST_WORKING, NULL, NULL);
	fleet_apply(u, ST_IDLE, NULL, NULL);
	cleanup_free const struct attention **all = fleet_attention(w.f, &n);
	ck_assert_uint_eq(n, 1);
	/* At which nobody looked: a daemon that finds its row leaves it where it is. */
	*kept = *all[0];
	attention_drop(u);
	fleet_load_attention(w.f, kept);
	attention_loaded(w.f);
	ck_assert_uint_eq(fleet_attention_count(w.f), 1);
	fleet_attention_seen(w.f, u->in);
	ck_assert_uint_eq(fleet_attention_count(w.f), 0);
}
END_TEST

TEST_MAIN_FIXTURE("core/revive", setup, teardown, the_brake_ends_it_and_says_what_releases_it,
	without_the_values_of_its_environment_it_stays_ended, a_new_daemon_goes_on_with_what_waits,
	one_whose_parent_was_removed_is_not_started_again, a_wait_is_as_long_whatever_the_wall_clock_does,
	a_wait_over_a_boot_goes_by_the_wall_clock_and_is_never_longer,
	time_in_a_state_is_what_passed, time_in_a_state_over_a_boot_is_the_wall_clocks,
	what_somebody_looked_at_comes_back_with_no_daemon)
