/* SPDX-License-Identifier: ISC */
/* Usage on disk: with the position or not at all, nothing lost by a removal, figures beyond every bound. */
#include "tests/unit/store/store_help.h"

struct found {
	struct usage_sum kind[USAGE_KINDS];
	int rows, states;
	struct usage_state state;
};

static void on_usage(void *arg, const struct usage_row *r)
{
	struct found *f = arg;

	f->rows++;
	usage_add(&f->kind[r->kind], &r->sum, 1);
}

static void on_state(void *arg, const struct usage_state *s)
{
	struct found *f = arg;

	f->states++;
	f->state = *s;
}

static void on_row(void *arg, struct instance *i)
{
	(void)arg;
	instance_free(i);
}

static struct found load(struct store *s)
{
	const struct store_load_ops ops = {.instance = on_row, .usage = on_usage, .usage_state = on_state};
	struct found f = {0};
	struct err e = {0};

	ck_assert_msg(store_load(s, &ops, &f, &e) == 0, "%s", e.message);
	return f;
}

static void must(int r, const struct err *e)
{
	ck_assert_msg(r == 0, "%s", e->message);
}

static void spend(struct store *s, const char *instance, const char *message, int64_t day, int64_t input)
{
	struct usage_message m = {.day = day, .turn = 1, .time_ms = 5, .sum = {.n = {[US_MESSAGES] = 1, [US_INPUT] = input}}};
	struct err e = {0};

	str_fmt(m.instance, sizeof(m.instance), "%s", instance);
	str_fmt(m.message, sizeof(m.message), "%s", message);
	must(store_usage_put(s, &m, &e), &e);
	must(store_usage_add(s, instance, USAGE_OWN, day, "m", &m.sum, &e), &e);
}

static struct store *with_instances(void)
{
	struct store *s = must_open();
	static const char *const ids[] = {"aaaaaa", "bbbbbb"};
	struct err e = {0};

	for (int i = 0; i < 2; i++) {
		struct instance *in = sample_instance(ids[i], ids[i]);
		must(store_instance_put(s, in, &e), &e);
		instance_free(in);
	}
	must_commit(s);
	return s;
}

START_TEST(test_a_transaction_is_whole_or_not_there)
{
	const struct usage_state st = {.instance = "aaaaaa", .begun = 3, .context = 7, .model = "m", .effort = "high"};
	struct store *s = with_instances();
	struct usage_message m;
	struct err e = {0};
	struct found f;

	spend(s, "aaaaaa", "one", 20260101, 10);
	store_rollback(s); /* the daemon died */
	ck_assert(!store_usage_get(s, "aaaaaa", "one", &m));
	spend(s, "aaaaaa", "one", 20260101, 10);
	must(store_usage_state_put(s, &st, &e), &e);
	must_commit(s);
	store_close(s);
	s = must_open();
	ck_assert(store_usage_get(s, "aaaaaa", "one", &m));
	ck_assert_int_eq(m.sum.n[US_INPUT], 10);
	f = load(s);
	ck_assert_int_eq(f.kind[USAGE_OWN].n[US_INPUT], 10);
	ck_assert_int_eq(f.states, 1);
	ck_assert_int_eq(f.state.begun, 3);
	ck_assert_str_eq(f.state.effort, "high");
	store_close(s);
}
END_TEST

static void sum_days(void *arg, const struct usage_row *r)
{
	usage_add(arg, &r->sum, 1);
}

START_TEST(test_what_was_spent_outlives_who_spent_it)
{
	struct usage_sum all = {0};
	struct store *s = with_instances();
	struct usage_message m;
	struct err e = {0};
	struct found f;

	spend(s, "aaaaaa", "one", 20260101, 1);
	spend(s, "bbbbbb", "two", 20260101, 10);
	spend(s, "bbbbbb", "three", 20260102, 100);
	must(store_usage_days(s, "aaaaaa", 0, sum_days, &all, &e), &e);
	ck_assert_int_eq(all.n[US_INPUT], 1); /* and nothing of the other's */
	all = (struct usage_sum){0};
	must(store_usage_removed(s, "bbbbbb", "aaaaaa", &e), &e);
	must(store_instance_delete(s, "bbbbbb", &e), &e);
	must_commit(s);
	ck_assert(!store_usage_get(s, "bbbbbb", "two", &m));
	f = load(s);
	ck_assert_int_eq(f.kind[USAGE_OWN].n[US_INPUT], 1);
	ck_assert_int_eq(f.kind[USAGE_GONE].n[US_INPUT], 110);
	must(store_usage_removed(s, "aaaaaa", "", &e), &e);
	must(store_instance_delete(s, "aaaaaa", &e), &e);
	must(store_usage_days(s, "", 20260102, sum_days, &all, &e), &e);
	ck_assert_int_eq(all.n[US_INPUT], 100);
	must(store_usage_days(s, "", 0, sum_days, &all, &e), &e);
	ck_assert_int_eq(all.n[US_INPUT], 211);
	must(store_usage_days(s, "aaaaaa", 0, sum_days, &all, &e), &e);
	ck_assert_int_eq(all.n[US_INPUT], 211);
	store_close(s);
}
END_TEST

/* Nothing that an agent makes up keeps a daemon from starting. */
START_TEST(test_no_figure_is_too_large_to_be_read)
{
	struct store *s = with_instances();
	struct found f;

	for (int day = 1; day <= 4; day++)
		for (int i = 0; i < 2; i++)
			spend(s, "aaaaaa", day % 2 ? "a" : "b", day, USAGE_SUM_MOST);
	must_commit(s);
	f = load(s);
	ck_assert_int_eq(f.kind[USAGE_OWN].n[US_INPUT], USAGE_SUM_MOST);
	store_close(s);
}
END_TEST

START_TEST(test_old_messages_go)
{
	struct store *s = with_instances();
	struct usage_message m;
	struct usage_sum sum;
	struct err e = {0};
	char id[16];

	for (int i = 0; i < USAGE_MESSAGES_KEPT + 10; i++) {
		str_fmt(id, sizeof(id), "m%d", i);
		spend(s, "aaaaaa", id, 1, 1);
	}
	must(store_usage_trim(s, "aaaaaa", &e), &e);
	must_commit(s);
	ck_assert(!store_usage_get(s, "aaaaaa", "m9", &m));
	ck_assert(store_usage_get(s, "aaaaaa", "m10", &m));
	/* Not all of the conversation is known any more. */
	ck_assert(!store_usage_conversation(s, "aaaaaa", "", "", &sum));
	store_close(s);
}
END_TEST

TEST_MAIN_FIXTURE("store/usage", help_setup, help_teardown, test_a_transaction_is_whole_or_not_there,
	test_what_was_spent_outlives_who_spent_it, test_no_figure_is_too_large_to_be_read, test_old_messages_go)
