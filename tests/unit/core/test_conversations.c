/* SPDX-License-Identifier: ISC */
/* Conversations of an instance: how many are followed, and what is known when there are more. */
#include "daemon/core/prompts.h"
#include "daemon/core/transcript.h"
#include "tests/unit/core/one_claude.h"

#define FOLLOWED 256

static int rows;
static int64_t since; /* when the transcript was last searched from */

static void transcript_put(void *ctx, const struct transcript *t)
{
	(void)ctx;
	(void)t;
	rows++;
}

static char *transcript_root(void *ctx, const struct instance *in)
{
	(void)ctx;
	(void)in;
	return xstrdup("/root");
}

static size_t prompt_times(void *ctx, const char *instance, const char *digest, int64_t since_ms, int64_t *times, size_t max)
{
	(void)ctx;
	(void)instance;
	(void)digest;
	(void)times;
	(void)max;
	since = since_ms;
	return 0;
}

static size_t prompts_same(void *ctx, const struct prompt *p, int64_t since_ms, int64_t *created, size_t max)
{
	(void)ctx;
	(void)p;
	(void)since_ms;
	(void)created;
	(void)max;
	return 0;
}

static int64_t length(void *ctx, const char *instance, const char *conversation)
{
	(void)ctx;
	(void)instance;
	(void)conversation;
	return 0;
}

static void setup(void)
{
	world_begin();
	w.port.transcript_put = transcript_put;
	w.port.transcript_root = transcript_root;
	w.port.transcript_prompt_times = prompt_times;
	w.port.prompts_same = prompts_same;
	w.port.transcript_length = length;
	run();
}

static void teardown(void)
{
	fake_finish(&w);
}

/* /clear begins another. */
static void conversation(int n)
{
	char uuid[40], path[80];

	str_fmt(uuid, sizeof(uuid), "896f8f69-e15a-45cf-aca0-%012d", n);
	str_fmt(path, sizeof(path), "/root/-p/%s.jsonl", uuid);
	tell("report", json_pack("{s:{s:s, s:{s:s, s:s, s:s}}}", "body", "event", "SessionStart", "body", "source", "clear",
			       "session_id", uuid, "transcript_path", path));
	while (fake_find(&w, "tail"))
		fake_answer(&w, "tail", json_object());
}

static enum transcript_saw saw_hello(struct unit *u)
{
	char text[] = "hello";
	struct prompt p = {.text = text, .len = sizeof(text) - 1};

	return transcript_saw_prompt(u, &p, 0);
}

START_TEST(each_prompt_of_one_text_has_a_line_of_its_own)
{
	static const int64_t times[] = {100, 200, 300};
	static const int64_t first[] = {90}, late[] = {250}, both[] = {90, 190}, all[] = {90, 95, 100};

	ck_assert(seen_is_left(times, 3, NULL, 0, 300));
	ck_assert(!seen_is_left(times, 3, NULL, 0, 301));
	ck_assert(!seen_is_left(times, 1, first, 1, 90));  /* it is the earlier one's */
	ck_assert(seen_is_left(times, 2, first, 1, 150));
	ck_assert(!seen_is_left(times, 2, both, 2, 150));
	ck_assert(seen_is_left(times, 3, both, 2, 150));
	ck_assert(!seen_is_left(times, 3, all, 3, 0));
	ck_assert(!seen_is_left(times, 3, late, 1, 250)); /* the line before was typed by somebody else */
	ck_assert(seen_is_left(times, 3, late, 1, 200));
	ck_assert(!seen_is_left(NULL, 0, both, 2, 0));
}
END_TEST

START_TEST(too_many_are_told_once)
{
	struct unit *u = unit_find(w.f, id);
	json_t *all;

	for (int i = 1; i < FOLLOWED; i++)
		conversation(i);
	ck_assert_int_eq(rows, FOLLOWED - 1);
	ck_assert_int_eq(saw_hello(u), TRANSCRIPT_SAW_NOT);
	conversation(FOLLOWED);
	ck_assert_int_eq(fake_events(&w, "notice"), 0);
	conversation(FOLLOWED + 1);
	conversation(FOLLOWED + 2);
	ck_assert_int_eq(rows, FOLLOWED);
	ck_assert_int_eq(fake_events(&w, "notice"), 1);
	/* What was said there nobody read. */
	ck_assert_int_eq(saw_hello(u), TRANSCRIPT_SAW_UNSURE);
	all = fleet_transcripts_json(w.f, u->in);
	ck_assert_uint_eq(json_array_size(all), FOLLOWED);
	json_decref(all);
}
END_TEST

static void reports(const char *event)
{
	tell("report", json_pack("{s:{s:s, s:{}}}", "body", "event", event, "body"));
}

static void prompt_done(void *arg, const struct prompt *p, const struct err *e)
{
	(void)e;
	*(enum prompt_status *)arg = p->status;
}

/* One that waited in the queue, was typed at the moment that is returned, and is not reported in its time. */
static int64_t typed_and_overdue(enum prompt_status *status)
{
	struct unit *u = unit_find(w.f, id);
	struct send_args a = {.text = "hello", .len = 5, .timeout_ms = 60000, .done = prompt_done, .arg = status};
	int64_t at;

	conversation(1);
	reports("UserPromptSubmit");
	ck_assert_int_eq(fleet_send(w.f, u->in, &a, NULL), 0);
	ck_assert_ptr_null(fake_find(&w, "input"));
	u->prompts->p->created_ms -= 60000; /* a minute ago */
	at = clock_wall_ms();
	reports("Stop");
	fake_answer(&w, "input", json_object());
	u->prompts->deadline = 0;
	prompts_arm(u);
	while (!fake_find(&w, "tail_look")) {
		loop_turn(w.port.loop, -1);
		fake_turn(&w);
	}
	return at;
}

START_TEST(the_transcript_is_searched_from_when_it_was_typed)
{
	enum prompt_status status = PR_QUEUED;
	int64_t at = typed_and_overdue(&status);

	fake_answer(&w, "tail_look", json_object());
	ck_assert_int_ge(since, at - 2000); /* the clocks may differ a little */
	ck_assert_int_eq(status, PR_UNKNOWN);
}
END_TEST

START_TEST(one_whose_shim_is_asked_has_its_time_still)
{
	enum prompt_status status = PR_QUEUED;
	struct unit *u = unit_find(w.f, id);

	typed_and_overdue(&status);
	u->prompts->typing = true;
	fake_answer(&w, "tail_look", json_object());
	ck_assert_int_eq(status, PR_QUEUED);
	ck_assert_int_lt(u->prompts->deadline, INT64_MAX);
}
END_TEST

TEST_MAIN_FIXTURE("core/conversations", setup, teardown, each_prompt_of_one_text_has_a_line_of_its_own, too_many_are_told_once,
	the_transcript_is_searched_from_when_it_was_typed, one_whose_shim_is_asked_has_its_time_still)
