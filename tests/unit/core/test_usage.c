/* SPDX-License-Identifier: ISC */
/* What agents spend: sums up the tree, each message once, figures that nobody could have spent; prices; budgets. */
#include "daemon/core/budget.h"
#include "daemon/core/usage.h"
#include "daemon/model/price.h"
#include "ipc/amount.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/run.h"

static struct fake_world w;
static struct usage_message kept_message; /* the last that was written */
static int writes, removed;
static char ids[4][ID_SIZE]; /* a tree: 0 above 1 above 2 */

static bool usage_get(void *ctx, const char *instance, const char *message, struct usage_message *ret)
{
	(void)ctx;
	if (strcmp(kept_message.instance, instance) != 0 || strcmp(kept_message.message, message) != 0)
		return false;
	*ret = kept_message;
	return true;
}

static void usage_put(void *ctx, const struct usage_message *m)
{
	(void)ctx;
	kept_message = *m;
	writes++;
}

static void usage_trim(void *ctx, const char *instance)
{
	(void)ctx;
	(void)instance;
}

static void usage_added(void *ctx, const char *instance, enum usage_kind kind, int64_t day, const char *model,
	const struct usage_sum *delta)
{
	(void)ctx;
	(void)instance;
	(void)kind;
	(void)day;
	(void)model;
	(void)delta;
}

static void state_put(void *ctx, const struct usage_state *s)
{
	(void)ctx;
	(void)s;
}

static void removed_put(void *ctx, const char *instance, const char *parent)
{
	(void)ctx;
	(void)instance;
	(void)parent;
	removed++;
}

static void done(void *arg, const struct instance *in, const struct err *e)
{
	(void)arg;
	(void)in;
	(void)e;
}

static int spawn(int i, const char *parent, struct err *e)
{
	struct instance *in = instance_new();
	struct caller who = {NULL};
	struct spawn_args a = {.in = in, .done = done};

	in->driver = xstrdup("vm");
	in->dir = xstrdup("/p");
	in->cap = w.set.default_cap;
	memcpy(in->parent, parent, strlen(parent) + 1);
	return fleet_spawn(w.f, &who, &a, ids[i], e);
}

static void setup(void)
{
	fake_init(&w);
	w.port.usage_get = usage_get;
	w.port.usage_put = usage_put;
	w.port.usage_trim = usage_trim;
	w.port.usage_add = usage_added;
	w.port.usage_state_put = state_put;
	w.port.usage_removed = removed_put;
	kept_message = (struct usage_message){0};
	writes = removed = 0;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(spawn(i, i ? ids[i - 1] : "", NULL), 0);
	fake_turn(&w);
}

static void teardown(void)
{
	fake_finish(&w);
}

static struct unit *unit(int i)
{
	return unit_find(w.f, ids[i]);
}

static void say(int i, const char *message, const char *model, int64_t input, int64_t output)
{
	struct transcript_line l = {.kind = TR_REPLY, .has_usage = true, .usage = {.input = input, .output = output}};

	str_fmt(l.message, sizeof(l.message), "%s", message);
	str_fmt(l.model, sizeof(l.model), "%s", model);
	usage_line(unit(i), &l, false);
	fake_turn(&w);
}

static int64_t tokens(int i)
{
	struct usage_sum s = usage_tree(unit(i));
	return usage_tokens(&s);
}

START_TEST(a_message_counts_once_and_with_its_last_figures)
{
	say(2, "a", "claude-opus-5-5", 10, 1);
	say(2, "a", "claude-opus-5-5", 10, 1);
	ck_assert_int_eq(writes, 1);
	say(2, "a", "claude-opus-5-5", 10, 7);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(tokens(i), 17);
	/* Others came in between, and a daemon that knows only what is on disk. */
	usage_drop(unit(2));
	kept_message.sum.n[US_OUTPUT] = 5;
	say(2, "a", "claude-opus-5-5", 10, 6);
	ck_assert_int_eq(kept_message.sum.n[US_OUTPUT], 6);
	ck_assert_int_eq(usage_tokens(&unit(2)->usage->sum[USAGE_OWN]), 1); /* the difference */
}
END_TEST

START_TEST(what_was_inherited_and_what_cannot_be_is_not_counted)
{
	struct transcript_line l = {.kind = TR_REPLY, .has_usage = true, .message = "m", .usage = {.input = 5}};

	usage_line(unit(0), &l, true);
	ck_assert_int_eq(writes, 0);
	say(0, "b", "x", -5, 0);
	say(0, "c", "x", INT64_MAX, 0);
	say(0, "", "x", 5, 5);
	ck_assert_int_eq(writes, 0);
	for (int i = 0; i < 100; i++) {
		char id[8];
		str_fmt(id, sizeof(id), "n%d", i);
		say(0, id, id, USAGE_MESSAGE_MOST, USAGE_MESSAGE_MOST);
	}
	ck_assert_int_eq(tokens(0), 200 * USAGE_MESSAGE_MOST);
	ck_assert_str_eq(kept_message.model, "other");
	struct usage_sum s = {.n = {[US_INPUT] = USAGE_SUM_MOST}};
	usage_add(&s, &s, 1);
	ck_assert_int_eq(s.n[US_INPUT], USAGE_SUM_MOST);
}
END_TEST

START_TEST(what_a_removed_one_spent_stays_with_those_above)
{
	say(1, "a", "claude-opus-5-5", 100, 0);
	say(2, "b", "claude-opus-5-5", 10, 0);
	usage_removed(unit(1));
	ck_assert_int_eq(removed, 1);
	unit_drop(unit(1));
	ck_assert_int_eq(tokens(0), 110);
	ck_assert_int_eq(tokens(2), 10);
	say(2, "c", "claude-opus-5-5", 1, 0); /* a root now */
	ck_assert_int_eq(tokens(0), 110);
}
END_TEST

START_TEST(prices)
{
	struct usage_sum s = {.n = {[US_INPUT] = 1000000, [US_OUTPUT] = 1000000, [US_CACHE_WRITE] = 2000000,
				      [US_CACHE_WRITE_1H] = 1000000, [US_CACHE_READ] = 1000000}};
	struct err e = {0};

	price_message(NULL, "claude-opus-5-5", &s);
	ck_assert_int_eq(s.n[US_COST], (int64_t)((4 + 20 + 5 + 8) * 1000 + 200) * 1000000);
	price_message(NULL, "claude-opus-5-5-20260901", &s);
	ck_assert_int_eq(s.n[US_UNPRICED], 0);
	price_message(NULL, "claude-opus-5-7", &s);
	ck_assert_int_eq(s.n[US_COST], 0);
	ck_assert_int_eq(s.n[US_UNPRICED], 5000000);
	price_message("x=1,2,3,4 claude-opus-5-7=1,2,3,0.5,10", "claude-opus-5-7", &s);
	ck_assert_int_eq(s.n[US_COST], (int64_t)(1 + 2 + 3 + 10) * 1000000000 + 500000000);
	ck_assert_int_eq(prices_check("a=1,2,3,4  b=0.001,2,3,4,5", &e), 0);
	ck_assert_int_eq(prices_check("a=1,2,3", &e), -1);
	ck_assert_int_eq(prices_check("a=1,2,3,x", &e), -1);
	ck_assert_int_eq(prices_check("a=1,2,3,-4", &e), -1);
	ck_assert_int_eq(prices_check("a=1,2,3,0.00001", &e), -1);
	ck_assert_int_eq(prices_check("=1,2,3,4", &e), -1);
	ck_assert_int_eq(prices_check("a=99999999999999999999,2,3,4", &e), -1);
	ck_assert_int_eq(price_window("claude-opus-5-5"), 1000000);
	ck_assert_int_eq(price_window("nobody"), 0);
}
END_TEST

START_TEST(amounts)
{
	static const char *const none[] = {"", "0", "-1", "x", "1x", "1.2.3", "99999999999999999999", "."};
	int64_t n;

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		ck_assert_int_eq(amount_usd(none[i], &n), -1);
		ck_assert_int_eq(amount_tokens(none[i], &n), -1);
		ck_assert_int_eq(amount_span(none[i], &n), -1);
	}
	ck_assert_int_eq(amount_usd("$2.50", &n), 0);
	ck_assert_int_eq(n, 2500000000);
	ck_assert_int_eq(amount_usd("0.0000000001", &n), -1);
	ck_assert_int_eq(amount_tokens("1.5M", &n), 0);
	ck_assert_int_eq(n, 1500000);
	ck_assert_int_eq(amount_tokens("1.5", &n), -1);
	ck_assert_int_eq(amount_span("1h30m", &n), 0);
	ck_assert_int_eq(n, 5400000);
	ck_assert_int_eq(amount_span("1.5", &n), 0);
	ck_assert_int_eq(n, 1500);
	ck_assert_int_eq(amount_span("30m1h", &n), -1);
	ck_assert_int_eq(amount_span("1h30", &n), -1);
}
END_TEST

START_TEST(a_budget_holds_all_below_and_says_so_once)
{
	struct cap_change c = {.budget_given = {[BUDGET_TOKENS] = true}, .budget = {[BUDGET_TOKENS] = 100}};
	struct caller operator = {NULL}, itself = {ids[0]}, above = {ids[0]};
	struct err e = {0};
	enum budget_kind k;

	unit(0)->in->budget.action = BUDGET_PAUSE;
	ck_assert_int_eq(fleet_cap_set(w.f, &operator, unit(0)->in, &c, &e), 0);
	say(2, "a", "m", 70, 0);
	ck_assert_int_eq(fake_events(&w, "budget"), 0);
	say(1, "b", "m", 10, 0);
	ck_assert_int_eq(fake_events(&w, "budget"), 1);
	ck_assert(!budget_holds(unit(2)));
	say(2, "c", "m", 19, 1);
	say(2, "d", "m", 5, 0);
	ck_assert_int_eq(fake_events(&w, "budget"), 2);
	ck_assert_ptr_eq(budget_holder(unit(2), &k), unit(0));
	ck_assert_int_eq(k, BUDGET_TOKENS);
	/* Nothing is spawned below it; nobody but the operator raises it. */
	ck_assert_int_eq(spawn(3, ids[2], &e), -1);
	ck_assert_int_eq(e.code, ERR_CAP);
	c.budget[BUDGET_TOKENS] = 1000;
	ck_assert_int_eq(fleet_cap_set(w.f, &itself, unit(0)->in, &c, &e), -1);
	ck_assert_int_eq(fleet_cap_set(w.f, &operator, unit(0)->in, &c, &e), 0);
	ck_assert(!budget_holds(unit(2)));
	ck_assert_int_eq(fake_events(&w, "budget"), 3);
	/* An instance may make those below it stricter. */
	c.budget[BUDGET_TOKENS] = 500;
	ck_assert_int_eq(fleet_cap_set(w.f, &above, unit(1)->in, &c, &e), 0);
	c.budget[BUDGET_TOKENS] = 0;
	ck_assert_int_eq(fleet_cap_set(w.f, &above, unit(1)->in, &c, &e), -1);
}
END_TEST

START_TEST(time_is_looked_at_when_something_below_spends)
{
	struct instance *top = unit(0)->in;

	top->budget = (struct budget){.limit = {[BUDGET_TIME] = 1000}, .action = BUDGET_PAUSE};
	say(2, "a", "m", 1, 0);
	ck_assert_int_eq(fake_events(&w, "budget"), 0);
	top->time_in_state[ST_WORKING] = 1000;
	say(2, "b", "m", 1, 0);
	say(2, "c", "m", 1, 0);
	ck_assert_int_eq(fake_events(&w, "budget"), 1);
	ck_assert(budget_holds(unit(2)));
}
END_TEST

START_TEST(a_budget_that_ends_kills_the_tree)
{
	struct instance *top = unit(0)->in;

	top->budget = (struct budget){.limit = {[BUDGET_TURNS] = 2}, .action = BUDGET_END};
	usage_turn_ended(unit(2));
	fake_turn(&w);
	ck_assert(state_living(top->state));
	usage_turn_ended(unit(1));
	fake_turn(&w);
	for (int i = 0; i < 3; i++)
		ck_assert(!unit(i)->in->wanted);
}
END_TEST

TEST_MAIN_FIXTURE("core/usage", setup, teardown, a_message_counts_once_and_with_its_last_figures,
	what_was_inherited_and_what_cannot_be_is_not_counted, what_a_removed_one_spent_stays_with_those_above, prices, amounts,
	a_budget_holds_all_below_and_says_so_once, time_is_looked_at_when_something_below_spends, a_budget_that_ends_kills_the_tree)
