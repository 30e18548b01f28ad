/* SPDX-License-Identifier: ISC */
/* Approvals and grants on disk: whole, open ones loaded, old ones trimmed. */
#include "tests/unit/store/store_help.h"

static struct approval *sample(const char *id, const char *once)
{
	struct approval *a = xcalloc(1, sizeof(*a));

	str_fmt(a->id, ID_SIZE, "%s", id);
	str_fmt(a->instance, ID_SIZE, "inst00");
	str_fmt(a->once, sizeof(a->once), "%s", once);
	str_fmt(a->tool, sizeof(a->tool), "Bash");
	str_fmt(a->agent, sizeof(a->agent), "sub");
	memset(a->match, 'a', 64);
	memset(a->subject, 'b', 64);
	memset(a->digest, 'c', 64);
	a->cut = true;
	a->about = xstrdup("Bash: äöü");
	a->args = xstrdup("{\"command\":\"make\"}");
	a->diff = xstrdup("+x\n");
	a->cwd = xstrdup("/p");
	a->boot = xstrdup("a boot");
	a->created_ms = 1;
	a->changed_ms = 2;
	a->expires_boot_ms = 3;
	return a;
}

static void put(struct store *s, const struct approval *a)
{
	struct err e = {0};

	ck_assert_msg(store_approval_put(s, a, &e) == 0, "%s", e.message);
}

static void same(const struct approval *a, const struct approval *b)
{
	json_t *x = approval_to_json(a, true), *y = approval_to_json(b, true);

	ck_assert(json_equal(x, y));
	ck_assert_str_eq(a->once, b->once);
	ck_assert_str_eq(a->match, b->match);
	ck_assert_str_eq(a->subject, b->subject);
	ck_assert_str_eq(a->output ? a->output : "", b->output ? b->output : "");
	ck_assert_int_eq(a->expires_boot_ms, b->expires_boot_ms);
	json_decref(x);
	json_decref(y);
}

struct open_rows {
	int approvals, grants;
	char grant[ID_SIZE];
	int64_t uses;
};

static void on_approval(void *arg, struct approval *a)
{
	((struct open_rows *)arg)->approvals++;
	ck_assert_int_eq(a->status, AP_PENDING);
	approval_free(a);
}

static void on_grant(void *arg, struct grant *g)
{
	struct open_rows *l = arg;

	l->grants++;
	l->uses = g->uses;
	memcpy(l->grant, g->id, ID_SIZE);
	ck_assert(g->whole_tool);
	ck_assert_int_eq(g->until_boot_ms, 7);
	grant_free(g);
}

static struct open_rows load(struct store *s)
{
	struct store_load_ops ops = {.approval = on_approval, .grant = on_grant};
	struct open_rows l = {0};

	ck_assert_int_eq(store_load(s, &ops, &l, NULL), 0);
	return l;
}

START_TEST(test_rows_come_back)
{
	struct store *s = must_open();
	struct approval *a = sample("aaaaaa", "m1"), *b = sample("bbbbbb", "m2"), *got;

	put(s, a);
	put(s, b);
	b->status = AP_DENIED;
	b->by = xstrdup("me");
	b->reason = xstrdup("no");
	b->output = xstrdup("{}");
	b->used_ms = 9;
	put(s, b);
	must_commit(s);
	store_close(s);
	s = must_open();
	got = store_approval_get(s, "aaaaaa");
	same(a, got);
	approval_free(got);
	got = store_approval_once(s, "inst00", "m2");
	same(b, got);
	approval_free(got);
	ck_assert_ptr_null(store_approval_once(s, "inst01", "m2"));
	ck_assert_ptr_null(store_approval_get(s, "cccccc"));
	ck_assert_int_eq(load(s).approvals, 1);
	approval_free(a);
	approval_free(b);
	store_close(s);
}
END_TEST

/* One request is one row, whoever tells it. */
START_TEST(test_a_mark_is_used_once)
{
	struct store *s = must_open();
	struct approval *a = sample("aaaaaa", "m1"), *b = sample("bbbbbb", "m1");

	put(s, a);
	ck_assert_int_eq(store_approval_put(s, b, NULL), -1);
	store_rollback(s);
	approval_free(a);
	approval_free(b);
	store_close(s);
}
END_TEST

START_TEST(test_grants)
{
	struct store *s = must_open();
	struct grant g = {.id = "gggggg", .instance = "inst00", .tool = "Bash", .whole_tool = true, .until_boot_ms = 7};
	struct open_rows l;

	ck_assert_int_eq(store_grant_put(s, &g, NULL), 0);
	g.uses = 5;
	ck_assert_int_eq(store_grant_put(s, &g, NULL), 0);
	must_commit(s);
	l = load(s);
	ck_assert_int_eq(l.grants, 1);
	ck_assert_int_eq(l.uses, 5);
	ck_assert_str_eq(l.grant, "gggggg");
	ck_assert_int_eq(store_grant_delete(s, "gggggg", NULL), 0);
	must_commit(s);
	ck_assert_int_eq(load(s).grants, 0);
	store_close(s);
}
END_TEST

static bool count(void *arg, const struct approval *a)
{
	int *n = arg;

	n[0]++;
	n[1] += a->args != NULL;
	return true;
}

START_TEST(test_old_ones_go)
{
	struct store *s = must_open();
	int n[2] = {0};

	for (int i = 0; i < APPROVALS_KEPT + 50; i++) {
		char id[16], once[16];
		str_fmt(id, sizeof(id), "a%05d", i);
		str_fmt(once, sizeof(once), "m%d", i);
		struct approval *a = sample(id, once);
		put(s, a);
		a->status = AP_APPROVED;
		if (i) /* the first stays open: it is never trimmed */
			put(s, a);
		approval_free(a);
	}
	must_commit(s);
	ck_assert_int_eq(store_approvals(s, "inst00", 100000, count, n, NULL), 0);
	ck_assert_int_le(n[0], APPROVALS_KEPT + 1);
	ck_assert_int_ge(n[0], APPROVALS_KEPT - 1);
	ck_assert_int_le(n[1], APPROVALS_WHOLE + 2);
	ck_assert_int_eq(load(s).approvals, 1);
	n[0] = 0;
	ck_assert_int_eq(store_approvals(s, NULL, 7, count, n, NULL), 0);
	ck_assert_int_eq(n[0], 7);
	store_close(s);
}
END_TEST

TEST_MAIN_FIXTURE("store/approval", help_setup, help_teardown, test_rows_come_back, test_a_mark_is_used_once, test_grants,
	test_old_ones_go)
