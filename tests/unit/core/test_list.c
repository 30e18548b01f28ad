/* SPDX-License-Identifier: ISC */
/* Lists of fleets too long for one answer: pages, their cursors, and the counts below each instance. */
#include "daemon/core/fleet_int.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/run.h"

#define MANY 3000
#define PAGE_BYTES (64 * 1024)

static struct fake_world w;

static void setup(void)
{
	fake_init(&w);
}

static void teardown(void)
{
	fake_finish(&w);
}

static void load(int n, enum inst_state state, const char *parent)
{
	struct instance *in = instance_new();

	str_fmt(in->id, ID_SIZE, "i%05d", n);
	str_fmt(in->parent, ID_SIZE, "%s", parent);
	in->name = xasprintf("name \"%d\"", n);
	in->driver = xstrdup("vm");
	in->agent = xstrdup("teller");
	in->dir = xstrdup("/home/me/a folder\nof mine");
	in->created_ms = 1000 + n / 3; /* some at the same time */
	in->state = state;
	fleet_load_instance(w.f, in);
}

static bool all(void *arg, const struct instance *in)
{
	(void)arg;
	(void)in;
	return true;
}

static bool living(void *arg, const struct instance *in)
{
	(void)arg;
	return state_living(in->state);
}

/* One page, appended to the ids; false at the end. */
static bool page(struct fleet_page *p, json_t *ids)
{
	struct buf text;
	struct err e = {0};
	json_t *rows, *row;
	size_t i;
	char cursor[FLEET_CURSOR_MAX];

	buf_init(&text, PAGE_BYTES * 2);
	ck_assert_msg(fleet_list(w.f, p, &text, &e) == 0, "%s", e.message);
	ck_assert_uint_le(text.len, PAGE_BYTES + 1);
	rows = json_loadb((const char *)buf_data(&text), text.len, 0, NULL);
	ck_assert_ptr_nonnull(rows);
	json_array_foreach(rows, i, row)
		json_array_append(ids, json_object_get(row, "id"));
	if ((size_t)p->limit < MANY)
		ck_assert_uint_le(json_array_size(rows), (size_t)p->limit);
	json_decref(rows);
	buf_finish(&text);
	if (!p->next[0])
		return false;
	memcpy(cursor, p->next, sizeof(cursor));
	free((char *)p->after);
	p->after = xstrdup(cursor);
	return true;
}

static void each_once(json_t *ids, int from, int step)
{
	const char *id;
	json_t *v;
	size_t i;

	json_array_foreach(ids, i, v) {
		char want[ID_SIZE];
		str_fmt(want, sizeof(want), "i%05d", from + (int)i * step);
		id = json_string_value(v);
		ck_assert_str_eq(id, want);
	}
}

START_TEST(pages_together_are_the_whole_list_in_order)
{
	struct fleet_page p = {.want = all, .limit = INT64_MAX, .max = PAGE_BYTES};
	json_t *ids = json_array();
	int pages = 1;

	for (int n = 0; n < MANY; n++)
		load(n, ST_EXITED, "");
	while (page(&p, ids))
		pages++;
	ck_assert_int_gt(pages, 10);
	ck_assert_uint_eq(json_array_size(ids), MANY);
	each_once(ids, 0, 1);
	json_decref(ids);
	free((char *)p.after);
}
END_TEST

START_TEST(a_limit_holds_and_what_is_not_wanted_is_passed_over)
{
	struct fleet_page p = {.want = living, .limit = 7, .max = PAGE_BYTES};
	json_t *ids = json_array();

	for (int n = 0; n < 100; n++)
		load(n, n % 2 ? ST_IDLE : ST_EXITED, "");
	while (page(&p, ids))
		;
	ck_assert_uint_eq(json_array_size(ids), 50);
	each_once(ids, 1, 2);
	json_decref(ids);
	free((char *)p.after);
}
END_TEST

START_TEST(a_cursor_outlives_the_instance_that_it_names)
{
	struct fleet_page p = {.want = all, .limit = 10, .max = PAGE_BYTES};
	json_t *ids = json_array();

	for (int n = 0; n < 30; n++)
		load(n, ST_EXITED, "");
	ck_assert(page(&p, ids));
	unit_drop(unit_find(w.f, "i00009"));
	unit_drop(unit_find(w.f, "i00010"));
	ck_assert(page(&p, ids));
	ck_assert_str_eq(json_string_value(json_array_get(ids, 10)), "i00011");
	ck_assert(!page(&p, ids));
	ck_assert_uint_eq(json_array_size(ids), 29);
	json_decref(ids);
	free((char *)p.after);
}
END_TEST

START_TEST(what_is_no_cursor_is_refused)
{
	static const char *const bad[] = {"", "x", "12", "12.", "12.ABCDEF", "12.abcdefg", ".abcdef", "12.abcdef "};
	struct buf text;

	buf_init(&text, 4096);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fleet_page p = {.want = all, .limit = 10, .max = 4096, .after = bad[i]};
		struct err e = {0};
		ck_assert_int_eq(fleet_list(w.f, &p, &text, &e), -1);
		ck_assert_int_eq(e.code, ERR_PARAMS);
	}
	buf_finish(&text);
}
END_TEST

START_TEST(counts_kept_are_those_counted_anew)
{
	char parent[ID_SIZE] = "";
	struct err e = {0};

	/* Four chains of 50, some links of them ended. */
	for (int n = 0; n < 200; n++) {
		if (n % 50 == 0)
			parent[0] = '\0';
		load(n, n % 7 == 3 ? ST_EXITED : ST_IDLE, parent);
		str_fmt(parent, sizeof(parent), "i%05d", n - n % 3);
	}
	ck_assert_msg(fleet_caps_check(w.f, &e) == 0, "%s", e.message);
}
END_TEST

TEST_MAIN_FIXTURE("core/list", setup, teardown, pages_together_are_the_whole_list_in_order,
	a_limit_holds_and_what_is_not_wanted_is_passed_over, a_cursor_outlives_the_instance_that_it_names,
	what_is_no_cursor_is_refused, counts_kept_are_those_counted_anew)
