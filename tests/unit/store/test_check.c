/* SPDX-License-Identifier: ISC */
/* Each rule of store_check finds what breaks it, and nothing else does. */
#include <sqlite3.h>

#include "daemon/store/files.h"
#include "tests/unit/store/store_help.h"

static const struct {
	const char *sql, *kind; /* kind NULL: all is well */
	const char *says;
} cases[] = {
	{"SELECT 1", NULL, NULL},
	{"UPDATE instances SET parent='zzzzzz' WHERE id='aaaaaa'", "parent", "never given out"},
	{"UPDATE instances SET parent='bbbbbb' WHERE id='aaaaaa'; UPDATE instances SET parent='aaaaaa' WHERE id='bbbbbb'",
		"parent", "its own ancestor"},
	{"DELETE FROM ids WHERE id='aaaaaa'", "id", "could be given out again"},
	{"DELETE FROM ids WHERE id='place0'", "id", "of place"},
	{"UPDATE instances SET place='zzzzzz', state='working' WHERE id='aaaaaa'", "place", "the place zzzzzz"},
	{"UPDATE instances SET place='zzzzzz', state='lost' WHERE id='aaaaaa'", NULL, NULL},
	{"UPDATE instances SET state='asleepish' WHERE id='aaaaaa'", "state", "asleepish"},
	{"UPDATE places SET state='upside' WHERE id='place0'", "state", "place place0"},
	{"DELETE FROM events WHERE seq=2", "events", "events 2 to 2 are missing"},
	{"DELETE FROM events WHERE seq=1", NULL, NULL}, /* the oldest go */
	{"DELETE FROM events WHERE seq=2; INSERT INTO meta(key, value) VALUES('gap.1', '3')", NULL, NULL},
	{"UPDATE events SET data='{' WHERE seq=2", "events", "event 2 cannot be read"},
	{"UPDATE sqlite_sequence SET seq=1 WHERE name='events'", "events", "the counter of events stands at 1"},
	{"UPDATE spawn_keys SET instance='zzzzzz'", "key", "names the instance zzzzzz"},
};

static void fill(void)
{
	struct store *s = must_open();
	struct instance *a = sample_instance("aaaaaa", "one"), *b = sample_instance("bbbbbb", "two");
	struct place *p = sample_place("place0", 3);
	struct spawn_key k = {.key = "k", .instance = "bbbbbb"};
	struct err e = {0};
	int64_t seq;

	a->parent[0] = b->parent[0] = '\0';
	ck_assert_int_eq(store_place_put(s, p, &e), 0);
	ck_assert_int_eq(store_instance_put(s, a, &e), 0);
	ck_assert_int_eq(store_instance_put(s, b, &e), 0);
	ck_assert_int_eq(store_spawn_key_put(s, &k, &e), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(store_event_add(s, EV_NOTICE, NULL, NULL, 5, NULL, &seq, &e), 0);
	must_commit(s);
	store_close(s);
	instance_free(a);
	instance_free(b);
	place_free(p);
}

static void spoil(const char *sql)
{
	sqlite3 *db;
	char *why = NULL;

	ck_assert_int_eq(sqlite3_open(db_path, &db), SQLITE_OK);
	sqlite3_exec(db, "DROP TRIGGER IF EXISTS instances_parent", NULL, NULL, NULL);
	ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK, "%s: %s", sql, why);
	sqlite3_close(db);
}

START_TEST(each_rule_finds_what_breaks_it)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = {0};
		json_t *o, *list;
		char *text;

		unlink(db_path);
		fill();
		spoil(cases[i].sql);
		o = store_check(db_path, &e);
		ck_assert_msg(o != NULL, "%s: %s", cases[i].sql, e.message);
		list = json_object_get(o, "findings");
		text = json_dumps(list, 0);
		ck_assert_msg((json_array_size(list) == 0) == (cases[i].kind == NULL), "%s: %s", cases[i].sql, text);
		ck_assert(json_is_true(json_object_get(o, "ok")) == (cases[i].kind == NULL));
		ck_assert(json_is_false(json_object_get(o, "damaged")));
		ck_assert_msg(!cases[i].says || strstr(text, cases[i].says), "%s: %s", cases[i].sql, text);
		for (size_t n = 0; n < json_array_size(list); n++)
			ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, n), "kind")), cases[i].kind);
		free(text);
		json_decref(o);
	}
}
END_TEST

TEST_MAIN_FIXTURE("store/check", help_setup, help_teardown, each_rule_finds_what_breaks_it)
