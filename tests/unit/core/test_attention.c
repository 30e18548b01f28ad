/* SPDX-License-Identifier: ISC */
/* The list of who needs a person: what is on it and why, in which order, and the same list over the deaths of daemons. */
#include "base/clock.h"
#include "daemon/core/asks_int.h"
#include "daemon/core/attention.h"
#include "tests/unit/core/one_claude.h"

#define KEPT_MAX 32
#define BEGAN_MS 1000000

/* What is on disk of the list. */
static struct attention kept[KEPT_MAX];
static size_t nkept, nwritten;
static int64_t now_ms;

static int64_t now(void)
{
	return now_ms;
}

static size_t kept_at(const char *key)
{
	size_t i = 0;

	while (i < nkept && strcmp(kept[i].key, key) != 0)
		i++;
	return i;
}

static void attention_put(void *ctx, const struct attention *a)
{
	size_t i = kept_at(a->key);

	(void)ctx;
	ck_assert_uint_lt(i, KEPT_MAX);
	nkept += i == nkept;
	kept[i] = *a;
	nwritten++;
}

static void attention_delete(void *ctx, const char *key)
{
	size_t i = kept_at(key);

	(void)ctx;
	ck_assert_msg(i < nkept, "%s was deleted, and is no row", key);
	kept[i] = kept[--nkept];
	nwritten++;
}

static void approval_put(void *ctx, const struct approval *a)
{
	(void)ctx;
	(void)a;
}

static struct approval *approval_once(void *ctx, const char *instance, const char *once)
{
	(void)ctx;
	(void)instance;
	(void)once;
	return NULL;
}

static void begin(void)
{
	world_begin();
	w.set.attention_finished = true;
	w.port.attention_put = attention_put;
	w.port.attention_delete = attention_delete;
	w.port.approval_put = approval_put;
	w.port.approval_once = approval_once;
}

static void setup(void)
{
	now_ms = BEGAN_MS;
	clock_set_source(now, now);
	begin();
}

static void teardown(void)
{
	fake_finish(&w);
	clock_set_source(NULL, NULL);
}

static void daemon_again(void)
{
	struct one_rows rows = daemon_ends();

	begin();
	rows_load(rows);
	for (size_t i = 0, n = nkept; i < n; i++) {
		struct attention *a = xcalloc(1, sizeof(*a));
		*a = kept[i];
		fleet_load_attention(w.f, a);
	}
	fleet_reconcile(w.f);
	fake_turn(&w);
	hello(100, true);
}

/* The list is these, in this order: "approval failed"; and it is what is on disk. */
static void is_listed(const char *wanted)
{
	size_t n = 0;
	const struct attention **all = fleet_attention(w.f, &n);
	char got[256] = "";

	for (size_t i = 0; i < n; i++) {
		str_fmt(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "", attention_why_name(all[i]->why));
		ck_assert_uint_lt(kept_at(all[i]->key), nkept);
	}
	ck_assert_ptr_null(all[n]);
	ck_assert_uint_eq(n, nkept);
	ck_assert_uint_eq(n, fleet_attention_count(w.f));
	free(all);
	ck_assert_str_eq(got, wanted);
}

/* The one thing on it. */
static const struct attention *only(void)
{
	const struct attention *a;

	ck_assert_uint_eq(nkept, 1);
	a = fleet_attention_find(w.f, kept[0].key, NULL);
	ck_assert_ptr_nonnull(a);
	return a;
}

static void told(int added, int changed, int removed)
{
	ck_assert_int_eq(fake_events(&w, "attention.added"), added);
	ck_assert_int_eq(fake_events(&w, "attention.changed"), changed);
	ck_assert_int_eq(fake_events(&w, "attention.removed"), removed);
}

static void says(const char *event, const char *key, const char *value)
{
	now_ms += 1000;
	report(event, NULL, json_pack("{s:s}", key, value));
}

static void asks_for(const char *once, const char *command)
{
	now_ms += 1000;
	report("PermissionRequest", once, bash_body(command, NULL));
}

START_TEST(who_works_needs_nobody_and_costs_nothing)
{
	start();
	for (int i = 0; i < 10; i++)
		report("PreToolUse", NULL, bash_body("make", NULL));
	is_listed("");
	ck_assert_uint_eq(nwritten, 0);
	told(0, 0, 0);
}
END_TEST

START_TEST(a_request_is_one_thing_until_it_is_over)
{
	start();
	asks_for("m1", "make");
	is_listed("approval");
	ck_assert(id_valid(only()->subject)); /* that of the request, and not the state beside it */
	now_ms += 5000;
	says("Notification", "notification_type", "permission_prompt");
	is_listed("approval");
	told(1, 0, 0);
	report("PostToolUse", NULL, bash_body("make", NULL));
	is_listed("");
	told(1, 0, 1);
}
END_TEST

START_TEST(what_is_asked_in_the_terminal_alone_is_listed_by_its_state)
{
	char first[ATTENTION_KEY_SIZE];

	start();
	says("Notification", "notification_type", "permission_prompt");
	is_listed("approval");
	memcpy(first, only()->key, sizeof(first));
	says("PostToolUse", "tool_name", "Bash");
	is_listed("");
	/* The next time is another thing. */
	says("Notification", "notification_type", "permission_prompt");
	is_listed("approval");
	ck_assert_str_ne(only()->key, first);
	told(2, 0, 1);
}
END_TEST

START_TEST(a_turn_that_ended_needs_a_look_once)
{
	start();
	says("Stop", "last_assistant_message", "it is done");
	is_listed("finished");
	ck_assert_str_eq(only()->text, "it is done");
	daemon_again();
	is_listed("finished");
	told(0, 0, 0);
	fleet_attention_seen(w.f, fleet_get(w.f, id));
	is_listed("");
	daemon_again();
	is_listed("");
	told(0, 0, 0);
	says("UserPromptSubmit", "prompt", "more");
	says("Stop", "last_assistant_message", "that too");
	is_listed("finished");
}
END_TEST

START_TEST(a_turn_that_failed_is_an_error_that_a_look_does_not_end)
{
	start();
	says("StopFailure", "error", "invalid_request");
	is_listed("error");
	fleet_attention_seen(w.f, fleet_get(w.f, id));
	is_listed("error");
	says("UserPromptSubmit", "prompt", "again");
	is_listed("");
}
END_TEST

START_TEST(the_next_daemon_has_the_same_list_and_tells_nothing_twice)
{
	char key[ATTENTION_KEY_SIZE];

	start();
	says("StopFailure", "error", "authentication_failed");
	is_listed("login");
	memcpy(key, only()->key, sizeof(key));
	fleet_attention_ack(w.f, only(), true);
	for (int i = 0; i < 3; i++) {
		now_ms += 60000;
		daemon_again();
		is_listed("login");
		ck_assert_str_eq(only()->key, key);
		ck_assert_int_ne(only()->acked_ms, 0);
		told(0, 0, 0);
	}
	says("Notification", "notification_type", "auth_success");
	is_listed("finished");
	told(1, 0, 1);
}
END_TEST

START_TEST(what_holds_no_more_goes_with_the_next_daemon)
{
	struct attention other = {.why = AT_FAILED, .subject = "x"};

	start();
	says("StopFailure", "error", "authentication_failed");
	memcpy(other.instance, "gone00", ID_SIZE); /* of an instance that is no more */
	attention_name(&other);
	attention_put(NULL, &other);
	memcpy(other.instance, id, ID_SIZE); /* of a state that it left */
	attention_name(&other);
	attention_put(NULL, &other);
	daemon_again();
	is_listed("login");
	told(0, 0, 1);
}
END_TEST

START_TEST(what_was_put_aside_comes_back_when_it_says_something_else)
{
	start();
	says("StopFailure", "error", "authentication_failed");
	fleet_attention_ack(w.f, only(), true);
	fleet_attention_ack(w.f, only(), true);
	told(1, 1, 0); /* the second time changed nothing */
	ck_assert_int_eq(only()->acked_ms, now_ms);
	fleet_attention_ack(w.f, only(), false);
	ck_assert_int_eq(only()->acked_ms, 0);
	fleet_attention_ack(w.f, only(), true);
	report("StopFailure", NULL, json_pack("{s:s, s:s}", "error", "authentication_failed", "last_assistant_message", "log in again"));
	is_listed("login");
	ck_assert_str_eq(only()->text, "log in again");
	ck_assert_int_eq(only()->acked_ms, 0);
}
END_TEST

START_TEST(one_that_is_removed_takes_its_things_along)
{
	struct err e = {0};

	start();
	tell("exited", json_pack("{s:i}", "code", 3));
	fake_let_end(&w, id);
	is_listed("failed");
	ck_assert_msg(fleet_remove(w.f, fleet_get(w.f, id), &e) == 0, "%s", e.message);
	fake_turn(&w);
	ck_assert_ptr_null(fleet_get(w.f, id));
	is_listed("");
	told(1, 0, 1);
}
END_TEST

static void load(const char *name, enum inst_state state, const char *reason, int64_t since_ms, const char *parent)
{
	struct instance *in = instance_new();

	memcpy(in->id, name, ID_SIZE);
	if (parent)
		memcpy(in->parent, parent, ID_SIZE);
	in->driver = xstrdup("vm");
	in->agent = xstrdup("claude");
	in->dir = xstrdup("/p");
	in->state = state;
	in->reason = xstrdup(reason);
	in->state_since_ms = in->state_boot_ms = since_ms;
	in->limited_until_ms = state == ST_LIMITED ? now_ms + 60000 : 0;
	fleet_load_instance(w.f, in);
}

START_TEST(the_most_urgent_come_first_and_the_oldest_of_them)
{
	struct err e = {0};

	w.set.resume_limited = true;
	load("aaaaaa", ST_LIMITED, "rate_limit", 1, NULL);
	load("bbbbbb", ST_FAILED, "no_space", 2, NULL);
	load("cccccc", ST_WAITING, "login", 5, NULL);
	load("dddddd", ST_WAITING, "trust", 7, NULL);
	load("eeeeee", ST_IDLE, "invalid_request", 4, NULL);
	load("ffffff", ST_WAITING, "answer", 6, NULL);
	load("gggggg", ST_WORKING, "", 0, NULL);
	load("hhhhhh", ST_FAILED, "no_space", 0, "gggggg"); /* whoever spawned it hears of that */
	load("iiiiii", ST_WAITING, "permission", 9, "gggggg"); /* but it waits for a person */
	load("jjjjjj", ST_IDLE, "interrupted", 0, NULL);
	attention_loaded(w.f);
	is_listed("question trust approval error login failed limited");
	attention_loaded(w.f);
	told(7, 0, 0);
	ck_assert_ptr_null(fleet_attention_find(w.f, "", &e));
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
}
END_TEST

TEST_MAIN_FIXTURE("core/attention", setup, teardown, who_works_needs_nobody_and_costs_nothing,
	a_request_is_one_thing_until_it_is_over, what_is_asked_in_the_terminal_alone_is_listed_by_its_state,
	a_turn_that_ended_needs_a_look_once, a_turn_that_failed_is_an_error_that_a_look_does_not_end,
	the_next_daemon_has_the_same_list_and_tells_nothing_twice, what_holds_no_more_goes_with_the_next_daemon,
	what_was_put_aside_comes_back_when_it_says_something_else, one_that_is_removed_takes_its_things_along,
	the_most_urgent_come_first_and_the_oldest_of_them)
