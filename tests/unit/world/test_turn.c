/* SPDX-License-Identifier: ISC */
/* One turn is one transaction: what is published and answered is on disk, and in order. */
#include "base/clock.h"
#include "base/util.h"
#include "daemon/world/turn.h"
#include "tests/unit/run.h"

static char dir[] = "/tmp/tcturnXXXXXX", path[128];
static struct loop *l;
static struct store *s;
static struct bus *b;
static struct turn *t;
static char heard[64];

static void setup(void)
{
	struct err e = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fleet.db", dir);
	l = loop_create(&e);
	ck_assert_msg(store_open(path, &s, &e) == 0, "%s", e.message);
	b = bus_create(l, s);
	t = turn_create(l, s, b);
	heard[0] = 0;
}

static void teardown(void)
{
	turn_destroy(t);
	bus_destroy(b);
	store_close(s);
	loop_destroy(l);
	tree_remove(dir, NULL);
}

static void note(const char *what)
{
	strncat(heard, what, sizeof(heard) - strlen(heard) - 1);
}

static void after(void *arg, const struct err *e)
{
	note(e ? "E" : arg);
}

static void more(void *arg, const struct err *e)
{
	(void)e;
	turn_event(t, EV_NOTICE, NULL, NULL, json_pack("{s:s}", "text", "second"));
	turn_after(t, after, arg);
}

static int got_seq[4096], ngot, slow;
static size_t room = SIZE_MAX;

static int take(void *arg, json_t *ev)
{
	(void)arg;
	got_seq[ngot++] = (int)json_integer_value(json_object_get(ev, "seq"));
	note("p");
	return 0;
}

static size_t room_left(void *arg)
{
	(void)arg;
	return room;
}

static int64_t dropped_at;
static struct err dropped_why;

static void dropped(void *arg, const struct err *why, int64_t seq)
{
	(void)arg;
	slow++;
	dropped_at = seq;
	dropped_why = *why;
}

static int refuse(void *arg, json_t *ev)
{
	(void)arg;
	(void)ev;
	return -1;
}

static const struct bus_ops ops = {.send = take, .room = room_left, .dropped = dropped};
static const struct bus_ops deaf = {.send = refuse, .room = room_left, .dropped = dropped};

START_TEST(events_are_published_before_answers_and_after_the_commit)
{
	bus_subscribe(b, 0, &ops, NULL);
	loop_turn(l, 1000);
	turn_event(t, EV_NOTICE, NULL, NULL, json_pack("{s:s}", "text", "first"));
	turn_after(t, after, "a");
	turn_after(t, after, "b");
	ck_assert(store_dirty(s));
	ck_assert_str_eq(heard, "");
	turn_flush(t);
	ck_assert(!store_dirty(s));
	ck_assert_str_eq(heard, "pab");
}
END_TEST

START_TEST(what_an_answer_writes_is_the_next_turn)
{
	turn_after(t, more, "c");
	turn_flush(t);
	ck_assert_str_eq(heard, "c");
	ck_assert_int_eq(store_event_last(s), 1);
	ck_assert(!store_dirty(s));
}
END_TEST

static void on_broken(void *arg, const struct err *why)
{
	(void)arg;
	(void)why;
	note("B");
}

START_TEST(a_write_that_failed_fails_everybody_of_the_turn_and_leaves_nothing)
{
	struct err e = {0};

	turn_on_broken(t, on_broken, NULL);
	turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	err_set(&e, ERR_DISK, "full");
	turn_failed(t, &e);
	turn_after(t, after, "a");
	turn_flush(t);
	ck_assert_str_eq(heard, "BE");
	ck_assert_int_eq(store_event_last(s), 0);
	/* What is done on the way out would be written of things that are not there. */
	turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_after(t, after, "b");
	turn_flush(t);
	ck_assert_str_eq(heard, "BEE");
	ck_assert_int_eq(store_event_last(s), 0);
}
END_TEST

START_TEST(a_subscriber_is_fed_from_the_past_into_the_present_without_gap_or_double)
{
	for (int i = 0; i < 1000; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	bus_subscribe(b, 300, &ops, NULL);
	loop_turn(l, 1000);
	for (int i = 0; i < 50; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	ck_assert_int_eq(ngot, 750);
	for (int i = 0; i < ngot; i++)
		ck_assert_int_eq(got_seq[i], 301 + i);
}
END_TEST

START_TEST(a_full_queue_pauses_a_subscriber_until_it_drained)
{
	struct bus_subscriber *sub = bus_subscribe(b, 0, &ops, NULL);

	loop_turn(l, 1000);
	room = 0;
	for (int i = 0; i < 500; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	ck_assert_int_eq(ngot, 0);
	room = SIZE_MAX;
	bus_drained(sub);
	loop_turn(l, 1000);
	ck_assert_int_eq(ngot, 500);
	ck_assert_int_eq(got_seq[499], 500);
}
END_TEST

START_TEST(a_subscriber_that_cannot_take_more_is_dropped)
{
	bus_subscribe(b, 0, &deaf, NULL);
	loop_turn(l, 1000);
	turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	ck_assert_int_eq(slow, 1);
	turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	ck_assert_int_eq(slow, 1);
}
END_TEST

static int64_t commits(void)
{
	int64_t n, us;
	store_commits(s, &n, &us);
	return n;
}

static void write_lazily(void)
{
	turn_lazily(t, true);
	turn_event(t, EV_NOTICE, NULL, NULL, json_pack("{s:s}", "text", "lazy"));
	turn_lazily(t, false);
}

START_TEST(what_may_wait_is_committed_together_and_soon)
{
	int64_t before = commits();

	for (int i = 0; i < 10; i++) {
		write_lazily();
		loop_turn(l, 0);
	}
	ck_assert(store_dirty(s));
	while (store_dirty(s))
		loop_turn(l, -1); /* the timer's turn: TURN_LAZY_MS bounds it */
	ck_assert_int_eq(commits() - before, 1);
	ck_assert_int_eq(store_event_last(s), 10);
}
END_TEST

START_TEST(what_may_not_wait_takes_the_rest_along_at_once)
{
	int64_t before = commits();

	write_lazily();
	loop_turn(l, 0);
	ck_assert(store_dirty(s));
	turn_after(t, after, (void *)"a");
	loop_turn(l, 0);
	ck_assert(!store_dirty(s));
	ck_assert_str_eq(heard, "a");
	ck_assert_int_eq(commits() - before, 1);
	write_lazily();
	turn_after(t, after, (void *)"b");
	turn_flush(t);
	ck_assert_str_eq(heard, "ab");
	ck_assert(!store_dirty(s));
}
END_TEST

START_TEST(the_past_is_trimmed_while_it_grows)
{
	for (int i = 0; i < 1000; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, json_pack("{s:i}", "n", i));
	turn_flush(t);
	ck_assert_int_eq(store_event_first(s), 1);
	turn_keep(t, &(struct events_keep){.events = 100});
	int64_t before = store_event_first(s);
	for (int i = 0; i < 3000; i++) {
		turn_event(t, EV_NOTICE, NULL, NULL, json_pack("{s:i}", "n", i));
		ck_assert_int_le(store_event_first(s) - before, 64); /* never much at once */
		before = store_event_first(s);
	}
	turn_flush(t);
	ck_assert_int_ge(store_event_first(s), 4000 - 100 - 32);
	ck_assert_int_le(store_event_first(s), 4000 - 100 + 1);
	/* Who still needs what is gone is told so, rather than given a gap. */
	static const struct bus_ops ops = {.send = take, .room = room_left, .dropped = dropped};
	room = 0;
	struct bus_subscriber *late = bus_subscribe(b, 3990, &ops, NULL);
	loop_turn(l, 0);
	turn_keep(t, &(struct events_keep){.events = 1});
	for (int i = 0; i < 200; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, json_object());
	turn_flush(t);
	ck_assert_int_eq(slow, 0);
	room = SIZE_MAX;
	struct bus_subscriber *other = bus_subscribe(b, store_event_last(s), &ops, NULL);
	bus_drained(late);
	loop_turn(l, 0);
	ck_assert_int_eq(slow, 1);
	ck_assert_int_eq(ngot, 0);
	ck_assert_int_eq(dropped_at, 3990);
	ck_assert_int_eq(dropped_why.code, ERR_GONE);
	bus_unsubscribe(other);
}
END_TEST

START_TEST(who_takes_nothing_is_told_and_dropped_and_nobody_else)
{
	struct bus_subscriber *quick = bus_subscribe(b, 0, &ops, NULL);

	loop_turn(l, 0);
	bus_patience(b, 50);
	turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	ck_assert_int_eq(ngot, 1);
	bus_unsubscribe(quick);
	room = 0;
	bus_subscribe(b, 1, &ops, NULL);
	loop_turn(l, 0);
	turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	ck_assert_int_eq(bus_count(b), 1);
	while (!slow)
		loop_turn(l, 60000);
	ck_assert_int_eq(dropped_at, 1);
	ck_assert_int_eq(dropped_why.code, ERR_BUSY);
	ck_assert_int_eq(bus_count(b), 0);
	ck_assert_int_eq(ngot, 1);
	room = SIZE_MAX;
}
END_TEST

static int64_t positions[64];
static int npositions;

static void position(void *arg, int64_t seq)
{
	(void)arg;
	positions[npositions++] = seq;
}

static bool every_hundredth(void *arg, const json_t *ev)
{
	(void)arg;
	return json_integer_value(json_object_get(ev, "seq")) % 100 == 0;
}

START_TEST(who_wants_some_only_is_told_where_it_is)
{
	static const struct bus_ops some = {.send = take, .room = room_left, .dropped = dropped, .wants = every_hundredth,
		.position = position};

	for (int i = 0; i < 1050; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	bus_subscribe(b, 0, &some, NULL);
	while (!npositions || positions[npositions - 1] < 1050)
		loop_turn(l, 60000);
	ck_assert_int_eq(ngot, 10);
	ck_assert_int_eq(npositions, 1); /* it was never further behind than an event it got */
	for (int i = 0; i < 40; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	ck_assert_int_eq(ngot, 10);
	ck_assert_int_eq(npositions, 1); /* not for every one */
}
END_TEST

START_TEST(the_past_is_bounded_by_its_size_and_age)
{
	json_t *data = json_pack("{s:s}", "text", "0123456789012345678901234567890123456789012345678901234567890123456789");

	turn_keep(t, &(struct events_keep){.events = 100000, .bytes = 20000});
	for (int i = 0; i < 2000; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, json_incref(data));
	turn_flush(t);
	ck_assert_int_le(store_events_bytes(s), 20000 + 32 * 256);
	ck_assert_int_ge(store_events_bytes(s), 10000);
	turn_keep(t, &(struct events_keep){.events = 100000});
	for (int i = 0; i < 2000; i++)
		turn_event(t, EV_NOTICE, NULL, NULL, NULL);
	turn_flush(t);
	turn_keep(t, &(struct events_keep){.events = 100000, .age_ms = 1});
	json_decref(data);
	struct events_keep old = {.events = 100000, .age_ms = 1000};
	struct err e = {0};
	int64_t first = store_event_first(s);
	ck_assert_int_eq(store_events_trim(s, &old, clock_wall_ms(), 64, &e), 0);
	ck_assert_int_ge(store_event_first(s), first);
	ck_assert_int_eq(store_events_trim(s, &old, clock_wall_ms() + 86400000, 64, &e), 0);
	ck_assert_int_le(store_event_first(s), first + 128); /* a step, whatever is due */
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(store_events_trim(s, &old, clock_wall_ms() + 86400000, 64, &e), 0);
	ck_assert_int_eq(store_event_first(s), store_event_last(s) - EVENTS_FLOOR + 1); /* whatever the clock says */
	old = (struct events_keep){.events = 1};
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(store_events_trim(s, &old, 0, 64, &e), 0);
	ck_assert_int_eq(store_event_first(s), store_event_last(s)); /* the last one stays */
	ck_assert_int_eq(store_commit(s, &e), 0);
}
END_TEST

TEST_MAIN_FIXTURE("world/turn", setup, teardown, who_takes_nothing_is_told_and_dropped_and_nobody_else,
	who_wants_some_only_is_told_where_it_is, the_past_is_bounded_by_its_size_and_age, the_past_is_trimmed_while_it_grows,
	what_may_wait_is_committed_together_and_soon, what_may_not_wait_takes_the_rest_along_at_once,
	events_are_published_before_answers_and_after_the_commit, what_an_answer_writes_is_the_next_turn,
	a_write_that_failed_fails_everybody_of_the_turn_and_leaves_nothing,
	a_subscriber_is_fed_from_the_past_into_the_present_without_gap_or_double,
	a_full_queue_pauses_a_subscriber_until_it_drained, a_subscriber_that_cannot_take_more_is_dropped)
