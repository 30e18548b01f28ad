/* SPDX-License-Identifier: ISC */
/* The store: rows come back as they were put, and its rules hold. */
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/sha256.h"
#include "tests/unit/store/store_help.h"

START_TEST(test_everything_comes_back_after_reopening)
{
	struct err e = {0};
	struct store *s = must_open();
	struct instance *i = sample_instance("aaaaaa", "fixer");
	struct place *p = sample_place("place0", 3);
	struct prompt q = {.key = "k1", .instance = "aaaaaa", .text = (char *)"l1\nl2 \xe2\x82\xac", .len = 9,
		.status = PR_DELIVERING, .created_ms = 5, .changed_ms = 6};

	ck_assert_int_eq(store_place_put(s, p, &e), 0);
	ck_assert_msg(store_instance_put(s, i, &e) == 0, "%s", e.message);
	ck_assert_int_eq(store_prompt_put(s, &q, &e), 0);
	ck_assert_int_eq(store_intent_add(s, "place", "place0", &e), 0);
	ck_assert_int_eq(store_intent_add(s, "place", "place0", &e), 0); /* once only */
	must_commit(s);
	store_close(s);

	struct loaded l;
	s = must_open();
	must_load(s, &l);
	ck_assert_uint_eq(l.ni, 1);
	ck_assert_uint_eq(l.np, 1);
	ck_assert_uint_eq(l.nq, 1);
	ck_assert_uint_eq(l.nn, 1);
	json_t *was = instance_to_row(i), *is = instance_to_row(l.i[0]);
	ck_assert(json_equal(was, is));
	json_decref(was);
	json_decref(is);
	ck_assert_ptr_null(l.i[0]->env);
	ck_assert_str_eq(l.i[0]->argv[1], "");
	ck_assert_int_eq(l.i[0]->time_in_state[ST_STARTING], 877);
	ck_assert_int_eq(l.p[0]->state, PL_UP);
	ck_assert_int_eq(l.p[0]->number, 3);
	ck_assert_uint_eq(l.p[0]->shim_seq, 12);
	ck_assert_str_eq(l.p[0]->accel, "tcg");
	ck_assert_str_eq(l.q[0]->text, q.text);
	ck_assert_int_eq(l.q[0]->status, PR_DELIVERING);
	ck_assert_str_eq(l.intents[0], "place place0");
	loaded_free(&l);
	instance_free(i);
	place_free(p);
	store_close(s);
}
END_TEST

static char times[256];

static void on_spawn_time(void *arg, const struct spawn_time *t)
{
	size_t n = strlen(times);

	(void)arg;
	str_fmt(times + n, sizeof(times) - n, "%s/%s/%lld/%lld ", t->holder, t->boot, (long long)t->boot_ms,
		(long long)t->wall_ms);
}

static const char *times_kept(struct store *s)
{
	struct store_load_ops ops = load_ops;
	struct loaded l = {0};
	struct err e = {0};

	ops.spawn_time = on_spawn_time;
	times[0] = '\0';
	ck_assert_int_eq(store_load(s, &ops, &l, &e), 0);
	return times;
}

START_TEST(test_the_times_of_spawns_are_kept_for_a_while)
{
	struct err e = {0};
	struct store *s = must_open();

	ck_assert_int_eq(store_spawn_time_add(s, &(struct spawn_time){"", "b1", 100, 5000}, 60, &e), 0);
	ck_assert_int_eq(store_spawn_time_add(s, &(struct spawn_time){"aaaaaa", "b1", 159, 5059}, 60, &e), 0);
	must_commit(s);
	store_close(s);
	s = must_open();
	ck_assert_str_eq(times_kept(s), "/b1/100/5000 aaaaaa/b1/159/5059 ");
	/* Those of its own boot go when they are too old, of others when that is said. */
	ck_assert_int_eq(store_spawn_time_add(s, &(struct spawn_time){"", "b2", 10, 6000}, 60, &e), 0);
	ck_assert_int_eq(store_spawn_time_add(s, &(struct spawn_time){"", "b1", 160, 5060}, 60, &e), 0);
	must_commit(s);
	ck_assert_str_eq(times_kept(s), "aaaaaa/b1/159/5059 /b2/10/6000 /b1/160/5060 ");
	ck_assert_int_eq(store_spawn_times_other(s, "b2", &e), 0);
	must_commit(s);
	ck_assert_str_eq(times_kept(s), "/b2/10/6000 ");
	store_close(s);
}
END_TEST

START_TEST(test_a_setting_can_be_taken_back)
{
	struct err e = {0};
	struct store *s = must_open();

	ck_assert_int_eq(store_meta_set(s, "k", "v", &e), 0);
	must_commit(s);
	ck_assert_int_eq(store_meta_delete(s, "k", &e), 0);
	must_commit(s);
	ck_assert_ptr_null(store_meta_get(s, "k"));
	store_close(s);
}
END_TEST

START_TEST(test_a_row_has_a_column_for_every_key)
{
	struct store *s = must_open();
	struct instance *i = sample_instance("aaaaaa", "fixer");
	json_t *row = instance_to_row(i), *v;
	const char *key;
	sqlite3 *db;
	sqlite3_stmt *st;
	size_t n = 0;

	store_close(s);
	ck_assert_int_eq(sqlite3_open(db_path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_info('instances')",
				 -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);
		ck_assert_msg(json_object_get(row, name) != NULL, "column %s has no key", name);
		n++;
	}
	json_object_foreach(row, key, v)
		ck_assert_msg(!json_is_null(v), "%s", key);
	ck_assert_uint_eq(n, json_object_size(row)); /* the sample fills every key */
	sqlite3_finalize(st);
	sqlite3_close(db);
	json_decref(row);
	instance_free(i);
}
END_TEST

START_TEST(test_putting_an_instance_again_keeps_its_prompts)
{
	struct err e = {0};
	struct store *s = must_open();
	struct prompt q = {.key = "k", .instance = "aaaaaa", .text = "x", .status = PR_QUEUED};
	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	ck_assert_int_eq(store_prompt_put(s, &q, &e), 0);
	ck_assert_int_eq(put_simple(s, "aaaaaa", "b", &e), 0);
	struct prompt *got = store_prompt_get(s, "k");
	ck_assert_ptr_nonnull(got);
	prompt_free(got);
	ck_assert_int_eq(store_instance_delete(s, "aaaaaa", &e), 0);
	ck_assert_ptr_null(store_prompt_get(s, "k")); /* they go with it */
	must_commit(s);
	store_close(s);
}
END_TEST

START_TEST(test_settled_prompts_are_kept_but_not_loaded)
{
	struct err e = {0};
	struct store *s = must_open();
	struct prompt q = {.key = "k", .instance = "aaaaaa", .text = "x", .status = PR_QUEUED};
	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	ck_assert_int_eq(store_prompt_put(s, &q, &e), 0);
	q.status = PR_FAILED;
	q.reason = "ended";
	q.changed_ms = 9;
	ck_assert_int_eq(store_prompt_put(s, &q, &e), 0);
	must_commit(s);
	struct loaded l;
	must_load(s, &l);
	ck_assert_uint_eq(l.nq, 0);
	loaded_free(&l);
	struct prompt *got = store_prompt_get(s, "k");
	ck_assert_int_eq(got->status, PR_FAILED);
	ck_assert_str_eq(got->reason, "ended");
	ck_assert_int_eq(got->changed_ms, 9);
	prompt_free(got);
	ck_assert_ptr_null(store_prompt_get(s, "other"));
	store_close(s);
}
END_TEST

START_TEST(test_a_prompt_that_is_sent_again_has_the_way_of_the_last_time)
{
	struct err e = {0};
	struct store *s = must_open();
	struct prompt q = {.key = "k", .instance = "aaaaaa", .text = "x", .status = PR_QUEUED, .created_ms = 1};
	struct prompt *got;

	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	ck_assert_int_eq(store_prompt_put(s, &q, &e), 0);
	q.way = PW_NOW;
	q.stays = true;
	q.created_ms = 9;
	ck_assert_int_eq(store_prompt_put(s, &q, &e), 0);
	must_commit(s);
	got = store_prompt_get(s, "k");
	ck_assert_int_eq(got->way, PW_NOW);
	ck_assert(got->stays);
	ck_assert_int_eq(got->created_ms, 9);
	prompt_free(got);
	store_close(s);
}
END_TEST

START_TEST(test_old_settled_prompts_go_whoever_settles_them)
{
	static const char *const ids[] = {"aaaaaa", "bbbbbb", "cccccc"};
	struct err e = {0};
	struct store *s = must_open();
	char key[32];
	struct prompt q = {.text = "x", .status = PR_DELIVERED};

	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(put_simple(s, ids[i], ids[i], &e), 0);
	/* In turns, so that each trim is due at a prompt of another one. */
	for (int n = 0; n < 3 * (PROMPTS_KEPT + 100); n++) {
		snprintf(q.key, sizeof(q.key), "%s-%d", ids[n % 3], n / 3);
		snprintf(q.instance, sizeof(q.instance), "%s", ids[n % 3]);
		if (store_prompt_put(s, &q, &e) < 0)
			ck_abort_msg("%s", e.message);
	}
	must_commit(s);
	for (size_t i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "%s-%d", ids[i], 0);
		ck_assert_msg(store_prompt_get(s, key) == NULL, "%s is still there", key);
		snprintf(key, sizeof(key), "%s-%d", ids[i], PROMPTS_KEPT + 99);
		struct prompt *got = store_prompt_get(s, key);
		ck_assert_ptr_nonnull(got);
		prompt_free(got);
	}
	store_close(s);
}
END_TEST

static size_t seen(struct store *s, const char *instance, const char *digest)
{
	int64_t times[8];

	return store_transcript_prompt_times(s, instance, digest, 0, times, ARRAY_LEN(times));
}

START_TEST(test_a_prompt_of_the_programs_queue_is_seen_once)
{
	static const enum seen_prompt lines[] = {SEEN_QUEUED, SEEN_QUEUED, SEEN_USED, SEEN_TYPED, SEEN_TYPED, SEEN_USED};
	static const size_t then[] = {1, 2, 2, 2, 3, 3};
	struct err e = {0};
	struct store *s = must_open();
	char digest[SHA256_HEX];

	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	snprintf(digest, sizeof(digest), "%064d", 7);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		ck_assert_int_eq(store_transcript_prompt_add(s, "aaaaaa", (int64_t)i, digest, lines[i], &e), 0);
		ck_assert_uint_eq(seen(s, "aaaaaa", digest), then[i]);
	}
	must_commit(s);
	store_close(s);
}
END_TEST

START_TEST(test_of_prompts_that_were_seen_the_newest_stay)
{
	struct err e = {0};
	struct store *s = must_open();
	char digest[SHA256_HEX];

	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	ck_assert_int_eq(put_simple(s, "bbbbbb", "b", &e), 0);
	for (int n = 0; n < TRANSCRIPT_PROMPTS_KEPT + 2; n++) {
		snprintf(digest, sizeof(digest), "%064d", n);
		if (store_transcript_prompt_add(s, "aaaaaa", n + 1, digest, SEEN_TYPED, &e) < 0)
			ck_abort_msg("%s", e.message);
	}
	snprintf(digest, sizeof(digest), "%064d", 0);
	ck_assert_int_eq(store_transcript_prompt_add(s, "bbbbbb", 1, digest, SEEN_TYPED, &e), 0);
	ck_assert_uint_eq(seen(s, "aaaaaa", digest), 1);
	ck_assert_int_eq(store_transcript_prompts_trim(s, "aaaaaa", &e), 0);
	ck_assert_uint_eq(seen(s, "aaaaaa", digest), 0);
	ck_assert_uint_eq(seen(s, "bbbbbb", digest), 1);
	snprintf(digest, sizeof(digest), "%064d", 2);
	ck_assert_uint_eq(seen(s, "aaaaaa", digest), 1);
	must_commit(s);
	store_close(s);
}
END_TEST

START_TEST(test_an_id_is_never_given_out_twice)
{
	struct err e = {0};
	struct store *s = must_open();
	struct place *p = sample_place("aaaaaa", 0);
	ck_assert(!store_id_used(s, "aaaaaa"));
	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0); /* an update is no second use */
	ck_assert_int_eq(store_instance_delete(s, "aaaaaa", &e), 0);
	must_commit(s);
	store_close(s);
	s = must_open();
	ck_assert(store_id_used(s, "aaaaaa"));
	ck_assert(!store_id_used(s, "bbbbbb"));
	/* Neither as an instance nor as a place, whoever forgot to ask. */
	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), -1);
	ck_assert_int_eq(e.code, ERR_EXISTS);
	store_rollback(s);
	ck_assert_int_eq(store_place_put(s, p, &e), -1);
	ck_assert_int_eq(e.code, ERR_EXISTS);
	store_rollback(s);
	place_free(p);
	store_close(s);
}
END_TEST

START_TEST(test_two_living_instances_never_share_a_name)
{
	struct err e = {0};
	struct store *s = must_open();
	struct instance *i = sample_instance("aaaaaa", "fixer");
	ck_assert_int_eq(store_instance_put(s, i, &e), 0);
	must_commit(s);
	ck_assert_int_eq(put_simple(s, "bbbbbb", "fixer", &e), -1);
	ck_assert_int_eq(e.code, ERR_EXISTS);
	store_rollback(s);
	i->state = ST_EXITED;
	ck_assert_int_eq(store_instance_put(s, i, &e), 0);
	ck_assert_int_eq(put_simple(s, "bbbbbb", "fixer", &e), 0);
	must_commit(s);
	instance_free(i);
	store_close(s);
}
END_TEST

START_TEST(test_a_failed_write_spoils_its_transaction)
{
	struct err e = {0};
	struct store *s = must_open();
	struct prompt orphan = {.key = "k", .instance = "nobody", .text = "x"};
	ck_assert(!store_dirty(s));
	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	ck_assert(store_dirty(s));
	ck_assert_int_eq(store_prompt_put(s, &orphan, &e), -1);
	ck_assert_int_eq(e.code, ERR_INTERNAL);
	ck_assert_int_eq(put_simple(s, "bbbbbb", "b", &e), -1);
	ck_assert_int_eq(e.code, ERR_STATE);
	ck_assert_int_eq(store_commit(s, &e), -1);
	store_rollback(s);
	ck_assert(!store_dirty(s));
	struct loaded l;
	must_load(s, &l);
	ck_assert_uint_eq(l.ni, 0); /* nothing of it is there */
	ck_assert_int_eq(put_simple(s, "bbbbbb", "b", &e), 0); /* and the next one passes */
	must_commit(s);
	store_close(s);
}
END_TEST

static int64_t event(struct store *s, enum event_id type, const char *instance)
{
	struct err e = {0};
	int64_t seq = -1;
	json_t *data = json_pack("{s:s}", "text", "hello");
	ck_assert_msg(store_event_add(s, type, instance, "", 77, data, &seq, &e) == 0, "%s",
		e.message);
	json_decref(data);
	return seq;
}

static int64_t seq_at(json_t *events, size_t k)
{
	return json_integer_value(json_object_get(json_array_get(events, k), "seq"));
}

START_TEST(test_events_are_numbered_and_read_in_order)
{
	struct err e = {0};
	struct store *s = must_open();
	ck_assert_int_eq(store_event_last(s), 0);
	ck_assert_int_eq(store_event_first(s), 0);
	for (int k = 1; k <= 10; k++)
		ck_assert_int_eq(event(s, EV_STATE, k % 2 ? "aaaaaa" : NULL), k);
	must_commit(s);
	ck_assert_int_eq(store_event_last(s), 10);
	json_t *a = store_events(s, 7, 100, NULL, &e);
	ck_assert_uint_eq(json_array_size(a), 3);
	ck_assert_int_eq(seq_at(a, 0), 8);
	json_t *first = json_array_get(a, 0);
	ck_assert_str_eq(json_string_value(json_object_get(first, "type")), "instance.state");
	ck_assert(json_is_null(json_object_get(first, "instance")));
	ck_assert(json_is_null(json_object_get(first, "place")));
	ck_assert_str_eq(json_string_value(json_object_get(first, "time")), "1970-01-01T00:00:00.077Z");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(first, "data"), "text")),
		"hello");
	json_decref(a);
	a = store_events(s, -1, 2, NULL, &e); /* the last two, oldest first */
	ck_assert_int_eq(seq_at(a, 0), 9);
	ck_assert_int_eq(seq_at(a, 1), 10);
	json_decref(a);
	a = store_events(s, 0, 2, "aaaaaa", &e);
	ck_assert_int_eq(seq_at(a, 0), 1);
	ck_assert_int_eq(seq_at(a, 1), 3);
	json_decref(a);
	a = store_events(s, -1, 2, "aaaaaa", &e);
	ck_assert_int_eq(seq_at(a, 0), 7);
	json_decref(a);
	store_close(s);
}
END_TEST

static int trim(struct store *s, int64_t keep, int64_t most, struct err *e)
{
	return store_events_trim(s, &(struct events_keep){.events = keep}, 0, most, e);
}

START_TEST(test_whose_a_removed_one_was_is_kept_as_long_as_its_events)
{
	struct err e = {0};
	struct store *s = must_open();
	json_t *labels = json_pack("{s:s}", "team", "red");

	for (int k = 0; k < 4; k++)
		event(s, EV_NOTICE, NULL);
	ck_assert_int_eq(store_gone_put(s, "bbbbbb", "rrrrrr aaaaaa", labels, store_event_last(s), &e), 0);
	json_decref(labels);
	must_commit(s);
	ck_assert_int_eq(trim(s, 1, 100, &e), 0); /* the last one stays in any case */
	struct gone *g = store_gone_get(s, "bbbbbb");
	ck_assert_ptr_nonnull(g);
	ck_assert_str_eq(g->above, "rrrrrr aaaaaa");
	ck_assert_str_eq(json_string_value(json_object_get(g->labels, "team")), "red");
	store_gone_free(g);
	ck_assert_ptr_null(store_gone_get(s, "aaaaaa"));
	event(s, EV_NOTICE, NULL);
	ck_assert_int_eq(trim(s, 1, 100, &e), 0);
	must_commit(s);
	ck_assert_ptr_null(store_gone_get(s, "bbbbbb"));
	store_close(s);
}
END_TEST

START_TEST(test_trimmed_events_leave_their_numbers_used)
{
	struct err e = {0};
	struct store *s = must_open();
	for (int k = 0; k < 10; k++)
		event(s, EV_NOTICE, NULL);
	ck_assert_int_eq(trim(s, 3, 2, &e), 0); /* in steps */
	ck_assert_int_eq(store_event_first(s), 3);
	store_rollback(s);
	ck_assert_int_eq(store_event_first(s), 0); /* the events went with it */
	for (int k = 0; k < 10; k++)
		event(s, EV_NOTICE, NULL);
	must_commit(s);
	ck_assert_int_eq(trim(s, 3, 5, &e), 0);
	must_commit(s);
	ck_assert_int_eq(store_event_first(s), 6);
	for (int k = 0; k < 3; k++)
		ck_assert_int_eq(trim(s, 3, 100, &e), 0);
	must_commit(s);
	ck_assert_int_eq(store_event_first(s), 8);
	ck_assert_int_eq(trim(s, 0, 100, &e), 0);
	must_commit(s);
	ck_assert_int_eq(store_event_first(s), 10); /* the last one stays */
	ck_assert_int_eq(store_event_last(s), 10);
	store_close(s);
	s = must_open();
	ck_assert_int_eq(event(s, EV_NOTICE, NULL), 11);
	must_commit(s);
	store_close(s);
}
END_TEST

START_TEST(test_intents_meta_and_templates)
{
	struct err e = {0};
	struct store *s = must_open();
	json_t *stamp = json_pack("{s:s}", "kernel", "6.1");
	ck_assert_ptr_null(store_meta_get(s, "clean"));
	ck_assert_int_eq(store_meta_set(s, "clean", "no", &e), 0);
	ck_assert_int_eq(store_meta_set(s, "clean", "yes", &e), 0);
	ck_assert_int_eq(store_intent_add(s, "pane", "aaaaaa", &e), 0);
	ck_assert_int_eq(store_intent_add(s, "place", "aaaaaa", &e), 0);
	ck_assert_int_eq(store_intent_done(s, "pane", "aaaaaa", &e), 0);
	ck_assert_int_eq(store_intent_done(s, "pane", "aaaaaa", &e), 0);
	ck_assert_int_eq(store_template_put(s, "minimal", stamp, &e), 0);
	ck_assert_int_eq(store_template_put(s, "minimal", stamp, &e), 0);
	ck_assert_int_eq(store_template_delete(s, "minimal", &e), 0);
	must_commit(s);
	char *v = store_meta_get(s, "clean");
	ck_assert_str_eq(v, "yes");
	free(v);
	struct loaded l;
	must_load(s, &l);
	ck_assert_uint_eq(l.nn, 1);
	ck_assert_str_eq(l.intents[0], "place aaaaaa");
	json_decref(stamp);
	store_close(s);
}
END_TEST

START_TEST(test_the_file_is_private_and_its_log_is_gone_after_closing)
{
	struct stat st;
	struct err e = {0};
	char wal[128];
	mode_t old = umask(0);
	struct store *s = must_open();
	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	must_commit(s);
	snprintf(wal, sizeof(wal), "%s-wal", db_path);
	ck_assert_int_eq(stat(db_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(stat(wal, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	umask(old);
	store_close(s);
	ck_assert_int_ne(stat(wal, &st), 0);
}
END_TEST

START_TEST(test_an_instance_keeps_its_parent)
{
	struct err e = {0};
	struct store *s = must_open();
	struct instance *i = sample_instance("aaaaaa", "a");
	ck_assert_int_eq(store_instance_put(s, i, &e), 0);
	ck_assert_int_eq(store_instance_put(s, i, &e), 0); /* the same again is no change of it */
	memcpy(i->parent, "other0", ID_SIZE);
	ck_assert_int_lt(store_instance_put(s, i, &e), 0);
	ck_assert_msg(strstr(e.message, "keeps its parent"), "%s", e.message);
	instance_free(i);
	store_close(s);
}
END_TEST

TEST_MAIN_FIXTURE("store/store", help_setup, help_teardown,
	test_the_times_of_spawns_are_kept_for_a_while, test_a_setting_can_be_taken_back,
	test_everything_comes_back_after_reopening, test_a_row_has_a_column_for_every_key,
	test_putting_an_instance_again_keeps_its_prompts,
	test_a_prompt_that_is_sent_again_has_the_way_of_the_last_time, test_settled_prompts_are_kept_but_not_loaded, test_old_settled_prompts_go_whoever_settles_them,
	test_a_prompt_of_the_programs_queue_is_seen_once, test_of_prompts_that_were_seen_the_newest_stay, test_an_id_is_never_given_out_twice,
	test_two_living_instances_never_share_a_name, test_a_failed_write_spoils_its_transaction,
	test_events_are_numbered_and_read_in_order, test_whose_a_removed_one_was_is_kept_as_long_as_its_events,
	test_trimmed_events_leave_their_numbers_used,
	test_intents_meta_and_templates, test_an_instance_keeps_its_parent,
	test_the_file_is_private_and_its_log_is_gone_after_closing)
