/* SPDX-License-Identifier: ISC */
/* Renewals against a token endpoint whose refresh tokens are good once; cut off at each step. */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"
#include "login/renew.h"
#include "tests/unit/run.h"

#define HOUR (3600 * INT64_C(1000))

static char dir[64], path[96], next_path[112];
static int64_t now_ms;
static int turns;	   /* tokens given out */
static int reused, calls;  /* a used one came again */
static const char *fault;  /* of the next call */

static int64_t wall(void)
{
	return now_ms;
}

static int64_t mono(void)
{
	return 1000;
}

static void put(int generation, int token, const char *more)
{
	cleanup_free char *text = xasprintf("{\"kind\":\"oauth\",\"id\":\"x\",\"value\":\"access-%d\",\"refresh\":\"refresh-%d\","
					    "\"expires_ms\":%lld,\"obtained_ms\":%lld,\"generation\":%d,\"scopes\":[\"a\",\"b\"]%s}",
		token, token, (long long)(now_ms + 8 * HOUR), (long long)now_ms, generation, more);
	struct err e = {0};

	ck_assert_int_eq(file_write_atomic(path, text, strlen(text), 0600, &e), 0);
}

static void setup(void)
{
	strcpy(dir, "/tmp/tc-renew-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	str_fmt(path, sizeof(path), "%s/credentials", dir);
	str_fmt(next_path, sizeof(next_path), "%s.next", path);
	now_ms = 1800000000000;
	clock_set_source(mono, wall);
	turns = reused = calls = 0;
	fault = "";
	put(1, 0, "");
}

static void teardown(void)
{
	struct err e = {0};
	clock_set_source(NULL, NULL);
	tree_remove(dir, &e);
}

static int answer(struct http_answer *ret, long status, const char *text)
{
	*ret = (struct http_answer){.status = status, .body = xstrdup(text), .len = strlen(text), .sent = true};
	return 0;
}

/* The server: refresh-N is good when N is the last that was given out. */
static int serve(const struct http_request *rq, struct http_answer *ret, struct err *e)
{
	json_t *q = json_loadb(rq->body, rq->len, 0, NULL);
	int token = atoi(json_string_value(json_object_get(q, "refresh_token")) + strlen("refresh-"));
	char text[256];

	calls++;
	ck_assert_str_eq(json_string_value(json_object_get(q, "grant_type")), "refresh_token");
	ck_assert_str_eq(json_string_value(json_object_get(q, "scope")), "a b");
	ck_assert_str_eq(rq->url, RENEW_URL);
	json_decref(q);
	memset(ret, 0, sizeof(*ret));
	if (!strcmp(fault, "unreached"))
		return err_set(e, ERR_UNAVAILABLE, "no answer: no way there");
	if (!strcmp(fault, "500"))
		return answer(ret, 500, "{}");
	if (!strcmp(fault, "busy")) {
		answer(ret, 429, "{}");
		ret->retry_after_s = 120;
		return 0;
	}
	if (token != turns) {
		reused++;
		return answer(ret, 400, "{\"error\":\"invalid_grant\",\"error_description\":\"no\"}");
	}
	turns++;
	if (!strcmp(fault, "killed behind it"))
		_exit(9);
	if (!strcmp(fault, "lost")) {
		ret->sent = true;
		return err_set(e, ERR_TIMEOUT, "no answer: Timeout was reached");
	}
	if (!strcmp(fault, "in the way")) {
		unlink(path);
		ck_assert_int_eq(mkdir(path, 0700), 0);
	}
	if (!strcmp(fault, "garbage"))
		return answer(ret, 200, "<html>");
	str_fmt(text, sizeof(text), "{\"access_token\":\"access-%d\",\"refresh_token\":\"refresh-%d\",\"expires_in\":28800}", turns, turns);
	return answer(ret, 200, text);
}

static struct login load(void)
{
	struct login l;
	struct err e = {0};
	ck_assert_msg(login_load(path, &l, &e) == 0, "%s", e.message);
	return l;
}

static enum renew_end renew(bool force, struct err *e)
{
	memset(e, 0, sizeof(*e));
	return login_renew(path, NULL, force, serve, e);
}

START_TEST(test_it_is_renewed_when_it_is_due_and_not_before)
{
	struct err e;
	struct login l = load();

	ck_assert_int_eq(login_look_at(&l, now_ms), now_ms + 7 * HOUR);
	ck_assert_int_eq(login_look_at(&l, now_ms - HOUR), now_ms - HOUR); /* the clock was set back */
	login_finish(&l);
	ck_assert_int_eq(renew(false, &e), RENEW_FRESH);
	now_ms += 7 * HOUR;
	ck_assert_int_eq(renew(false, &e), RENEW_DONE);
	ck_assert_int_eq(renew(false, &e), RENEW_FRESH);
	l = load();
	ck_assert_str_eq(l.value, "access-1");
	ck_assert_int_eq(l.generation, 2);
	ck_assert_int_eq(l.expires_ms, now_ms + 8 * HOUR);
	ck_assert_int_eq(l.begun_ms, 0);
	login_finish(&l);
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_ne(access(next_path, F_OK), 0);
}
END_TEST

START_TEST(test_many_in_a_row_use_each_token_once)
{
	struct err e;
	for (int i = 0; i < 50; i++) {
		now_ms += 9 * HOUR;
		ck_assert_int_eq(renew(false, &e), RENEW_DONE);
	}
	ck_assert_int_eq(calls, 50);
	ck_assert_int_eq(reused, 0);
}
END_TEST

START_TEST(test_a_clock_that_was_set_back_makes_it_due)
{
	struct err e;
	now_ms -= 100 * HOUR;
	ck_assert_int_eq(renew(false, &e), RENEW_DONE);
	ck_assert_int_eq(renew(false, &e), RENEW_FRESH);
}
END_TEST

START_TEST(test_failures_are_noted_and_pauses_grow)
{
	struct err e;
	struct login l;

	fault = "unreached";
	ck_assert_int_eq(renew(true, &e), RENEW_LATER);
	l = load();
	ck_assert_int_eq(l.failures, 1);
	ck_assert_int_eq(l.retry_ms, now_ms + RENEW_PAUSE_MS);
	ck_assert_int_eq(l.begun_ms, 0); /* it was certainly not sent */
	ck_assert_str_eq(l.why, "no answer: no way there");
	login_finish(&l);
	fault = "busy";
	ck_assert_int_eq(renew(true, &e), RENEW_LATER);
	l = load();
	ck_assert_int_eq(l.retry_ms, now_ms + 120000);
	login_finish(&l);
	fault = "";
	ck_assert_int_eq(renew(true, &e), RENEW_DONE);
	l = load();
	ck_assert_int_eq(l.failures, 0);
	ck_assert_ptr_null(l.why);
	login_finish(&l);
	ck_assert_int_eq(renew_pause_ms(1, 0), RENEW_PAUSE_MS);
	ck_assert_int_eq(renew_pause_ms(3, 0), 4 * RENEW_PAUSE_MS);
	ck_assert_int_eq(renew_pause_ms(1000, 0), RENEW_PAUSE_MAX_MS);
	ck_assert_int_eq(renew_pause_ms(1, INT64_MAX), RENEW_PAUSE_MAX_MS);
	ck_assert_int_eq(reused, 0);
}
END_TEST

START_TEST(test_a_lost_answer_is_told_when_the_token_counts_as_used)
{
	struct err e;
	struct login l;
	static const char *const lost[] = {"lost", "garbage"};

	for (size_t i = 0; i < ARRAY_LEN(lost); i++) {
		turns = 0;
		put(1, 0, "");
		fault = lost[i];
		ck_assert_int_eq(renew(true, &e), RENEW_LATER);
		l = load();
		ck_assert_int_eq(l.begun_ms, now_ms);
		ck_assert_str_eq(l.value, "access-0"); /* which is good for the rest of its time */
		login_finish(&l);
		fault = "500"; /* says nothing of what became of the first */
		ck_assert_int_eq(renew(true, &e), RENEW_LATER);
		fault = "";
		ck_assert_int_eq(renew(true, &e), RENEW_GONE);
		ck_assert_ptr_nonnull(strstr(e.message, "was cut off"));
		l = load();
		ck_assert(l.gone && !login_usable(&l));
		login_finish(&l);
		int before = calls;
		ck_assert_int_eq(renew(true, &e), RENEW_GONE); /* nobody is asked any more */
		ck_assert_int_eq(calls, before);
		ck_assert_ptr_nonnull(strstr(e.hint, "login"));
	}
}
END_TEST

START_TEST(test_a_refused_one_is_gone)
{
	struct err e;
	turns = 5; /* another has used it */
	ck_assert_int_eq(renew(true, &e), RENEW_GONE);
	ck_assert_ptr_nonnull(strstr(e.message, "another program"));
	ck_assert_ptr_null(strstr(e.message, "refresh-"));
}
END_TEST

START_TEST(test_killed_behind_the_question_it_is_tried_again)
{
	struct err e;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		fault = "killed behind it";
		renew(true, &e);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(WEXITSTATUS(status), 9);
	struct login l = load();
	ck_assert_int_eq(l.begun_ms, now_ms);
	login_finish(&l);
	/* Here the server had not used it up: the same token is good. */
	ck_assert_int_eq(renew(false, &e), RENEW_DONE);
	ck_assert_int_eq(reused, 0);
}
END_TEST

START_TEST(test_an_answer_on_disk_is_taken_up)
{
	struct err e;
	static const char text[] = "{\"kind\":\"oauth\",\"id\":\"x\",\"value\":\"access-1\",\"refresh\":\"refresh-1\","
				   "\"expires_ms\":1800028800000,\"obtained_ms\":1800000000000,\"generation\":2}";
	struct login l;

	turns = 1;
	put(1, 0, ",\"begun_ms\":1");
	ck_assert_int_eq(file_write_atomic(next_path, text, strlen(text), 0600, &e), 0);
	ck_assert_int_eq(renew(false, &e), RENEW_FRESH);
	l = load();
	ck_assert_str_eq(l.value, "access-1");
	login_finish(&l);
	ck_assert_int_eq(calls, 0);

	/* One of another login, or of one before, or cut off, is not. */
	static const char *const bad[] = {"{\"kind\":\"oauth\",\"id\":\"y\",\"value\":\"v\",\"refresh\":\"refresh-9\",\"generation\":3}",
		"{\"kind\":\"oauth\",\"id\":\"x\",\"value\":\"v\",\"refresh\":\"refresh-9\",\"generation\":2}", "{\"kind\":\"oauth\",\"id\":"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_int_eq(file_write_atomic(next_path, bad[i], strlen(bad[i]), 0600, &e), 0);
		ck_assert_int_eq(renew(false, &e), RENEW_FRESH);
		l = load();
		ck_assert_str_eq(l.value, "access-1");
		login_finish(&l);
	}
}
END_TEST

/* Written and synced, it is longer than its text: killed before it was cut. */
START_TEST(test_an_answer_that_was_not_cut_yet_is_taken_up)
{
	struct err e;
	static char room[LOGIN_FILE_MAX];

	turns = 1;
	put(1, 0, ",\"begun_ms\":1");
	str_fmt(room, sizeof(room), "{\"kind\":\"oauth\",\"id\":\"x\",\"value\":\"access-1\",\"refresh\":\"refresh-1\","
				    "\"expires_ms\":1800028800000,\"obtained_ms\":1800000000000,\"generation\":2}");
	ck_assert_int_eq(file_write_atomic(next_path, room, sizeof(room), 0600, &e), 0);
	ck_assert_int_eq(renew(false, &e), RENEW_FRESH);
	struct login l = load();
	ck_assert_str_eq(l.value, "access-1");
	login_finish(&l);
	ck_assert_int_eq(calls, 0);
}
END_TEST

START_TEST(test_an_answer_that_cannot_be_put_in_place_is_kept)
{
	struct err e;

	fault = "in the way";
	ck_assert_int_eq(renew(true, &e), RENEW_LATER);
	ck_assert_int_eq(rmdir(path), 0);
	put(1, 0, ",\"begun_ms\":1");
	fault = "";
	ck_assert_int_eq(renew(false, &e), RENEW_FRESH);
	struct login l = load();
	ck_assert_str_eq(l.value, "access-1");
	login_finish(&l);
	ck_assert_int_eq(reused, 0);
}
END_TEST

START_TEST(test_only_one_at_a_time)
{
	struct err e = {0};
	int lock = login_lock(path, &e);

	ck_assert_int_ge(lock, 0);
	ck_assert_int_eq(renew(true, &e), RENEW_BUSY);
	ck_assert_int_eq(login_store(path, "{}", &e), -1);
	ck_assert_int_eq(e.code, ERR_BUSY);
	close(lock);
	ck_assert_int_eq(renew(true, &e), RENEW_DONE);
}
END_TEST

START_TEST(test_what_is_not_renewing_is_left_alone)
{
	struct err e;
	static const char text[] = "{\"kind\":\"oauth_token\",\"value\":\"sk-ant-oat01-x\"}";

	ck_assert_int_eq(login_store(path, text, &e), 0);
	ck_assert_int_eq(renew(true, &e), RENEW_FRESH);
	ck_assert_int_eq(login_store(path, NULL, &e), 0);
	ck_assert_int_eq(renew(true, &e), RENEW_FRESH);
	ck_assert_int_eq(calls, 0);
}
END_TEST

START_TEST(test_agents_get_no_refresh_token)
{
	static const char sign_in[] = "{\"claudeAiOauth\":{\"accessToken\":\"A-1\",\"refreshToken\":\"R-1\",\"expiresAt\":1800028800000,"
				      "\"scopes\":[\"user:inference\"],\"subscriptionType\":\"max\"},\"mcpOAuth\":{}}";
	struct err e = {0};
	char *text = login_from_sign_in(sign_in, strlen(sign_in), now_ms, &e);

	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(login_store(path, text, &e), 0);
	free(text);
	struct login l = load();
	text = login_agent_file(&l);
	ck_assert_ptr_nonnull(strstr(text, "A-1"));
	ck_assert_ptr_nonnull(strstr(text, "user:inference"));
	ck_assert_ptr_nonnull(strstr(text, "\"refreshToken\":null"));
	ck_assert_ptr_null(strstr(text, "R-1"));
	free(text);
	login_finish(&l);
	static const char *const bad[] = {"", "{}", "[]", "{\"claudeAiOauth\":{\"accessToken\":\"A\"}}", "{\"claudeAiOauth\":7}"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_ptr_null(login_from_sign_in(bad[i], strlen(bad[i]), now_ms, &e));
}
END_TEST

TEST_MAIN_FIXTURE("login/renew", setup, teardown, test_it_is_renewed_when_it_is_due_and_not_before,
	test_many_in_a_row_use_each_token_once, test_a_clock_that_was_set_back_makes_it_due,
	test_failures_are_noted_and_pauses_grow, test_a_lost_answer_is_told_when_the_token_counts_as_used,
	test_a_refused_one_is_gone, test_killed_behind_the_question_it_is_tried_again,
	test_an_answer_on_disk_is_taken_up, test_an_answer_that_was_not_cut_yet_is_taken_up,
	test_an_answer_that_cannot_be_put_in_place_is_kept, test_only_one_at_a_time, test_what_is_not_renewing_is_left_alone,
	test_agents_get_no_refresh_token)
