/* SPDX-License-Identifier: ISC */
/* The queue of approvals: each request one row, each answer once, whoever dies in between; rules; time. */
#include "base/clock.h"
#include "daemon/core/asks_int.h"
#include "tests/unit/core/one_claude.h"

#define KEPT_MAX 64

/* What is on disk. */
static struct approval *kept[KEPT_MAX];
static size_t nkept;
static struct grant *grants[KEPT_MAX];
static size_t ngrants;
static int64_t now_boot, now_wall;

static void approval_put(void *ctx, const struct approval *a)
{
	size_t i = 0;

	(void)ctx;
	while (i < nkept && strcmp(kept[i]->id, a->id) != 0)
		i++;
	ck_assert_uint_lt(i, KEPT_MAX);
	if (i == nkept)
		nkept++;
	else
		approval_free(kept[i]);
	kept[i] = approval_copy(a);
}

static struct approval *approval_get(void *ctx, const char *ref)
{
	(void)ctx;
	for (size_t i = 0; i < nkept; i++)
		if (!strcmp(kept[i]->id, ref))
			return approval_copy(kept[i]);
	return NULL;
}

static struct approval *approval_once(void *ctx, const char *instance, const char *once)
{
	(void)ctx;
	for (size_t i = 0; i < nkept; i++)
		if (!strcmp(kept[i]->instance, instance) && !strcmp(kept[i]->once, once))
			return approval_copy(kept[i]);
	return NULL;
}

static struct grant *grant_copy(const struct grant *g)
{
	struct grant *c = xcalloc(1, sizeof(*c));

	*c = *g;
	c->about = xstrdup(g->about);
	c->boot = xstrdup(g->boot);
	c->by = xstrdup(g->by);
	return c;
}

static void grant_put(void *ctx, const struct grant *g)
{
	size_t i = 0;

	(void)ctx;
	while (i < ngrants && strcmp(grants[i]->id, g->id) != 0)
		i++;
	if (i == ngrants)
		ngrants++;
	else
		grant_free(grants[i]);
	grants[i] = grant_copy(g);
}

static void grant_delete(void *ctx, const char *ref)
{
	(void)ctx;
	for (size_t i = 0; i < ngrants; i++) {
		if (strcmp(grants[i]->id, ref) != 0)
			continue;
		grant_free(grants[i]);
		grants[i] = grants[--ngrants];
		return;
	}
}

static void begin(void)
{
	world_begin();
	w.port.approval_put = approval_put;
	w.port.approval_get = approval_get;
	w.port.approval_once = approval_once;
	w.port.grant_put = grant_put;
	w.port.grant_delete = grant_delete;
}

static void setup(void)
{
	begin();
	start();
}

static void teardown(void)
{
	fake_finish(&w);
	for (size_t i = 0; i < nkept; i++)
		approval_free(kept[i]);
	for (size_t i = 0; i < ngrants; i++)
		grant_free(grants[i]);
	nkept = ngrants = 0;
	clock_set_source(NULL, NULL);
}

static void ask(const char *once, const char *command)
{
	report("PermissionRequest", once, bash_body(command, NULL));
}

struct heard {
	int calls;
	char output[256];
};

static void waited(void *arg, const char *output)
{
	struct heard *h = arg;

	h->calls++;
	str_fmt(h->output, sizeof(h->output), "%s", output ? output : "");
}

static void hook_waits(const char *once, struct heard *h)
{
	*h = (struct heard){0};
	fleet_ask_wait(w.f, fleet_get(w.f, id), once, waited, h);
}

static int answer(const char *ref, bool allow, const char *reason, struct err *e)
{
	char *ids[] = {(char *)ref, NULL};
	struct ask_answer a = {.verdict = {.allow = allow, .reason = reason}, .by = "the test"};
	int r = fleet_asks_answer(w.f, ids, &a, e);

	fake_turn(&w);
	return r;
}

static int rule(const char *ref, int64_t for_ms, bool whole_tool)
{
	char *ids[] = {(char *)ref, NULL};
	struct ask_answer a = {.verdict = {.allow = true}, .by = "the test", .for_ms = for_ms, .always = !for_ms,
		.whole_tool = whole_tool};
	int r = fleet_asks_answer(w.f, ids, &a, NULL);

	fake_turn(&w);
	return r;
}

static void sent(void *arg, const struct prompt *p, const struct err *e)
{
	(void)arg;
	(void)p;
	(void)e;
}

static void count(void *arg, const struct approval *a)
{
	(void)a;
	(*(int *)arg)++;
}

static int open_ones(void)
{
	int n = 0;

	fleet_asks_each(w.f, count, &n);
	return n;
}

START_TEST(test_once)
{
	struct heard h;
	struct err e = {0};

	ask("m1", "make");
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WAITING);
	ck_assert_str_eq(fleet_get(w.f, id)->reason, "permission");
	ask("m1", "make"); /* told again */
	ck_assert_uint_eq(nkept, 1);
	ck_assert_int_eq(open_ones(), 1);
	hook_waits("m1", &h);
	ck_assert_int_eq(h.calls, 0);
	ck_assert_int_eq(answer(kept[0]->id, true, NULL, &e), 0);
	ck_assert_int_eq(h.calls, 1);
	ck_assert_ptr_nonnull(strstr(h.output, "\"allow\""));
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
	ck_assert_int_eq(answer(kept[0]->id, false, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_STATE);
	ck_assert_int_eq(kept[0]->status, AP_APPROVED);
	ck_assert_int_eq(kept[0]->used_ms, 0);
	report("PostToolUse", NULL, bash_body("make", NULL));
	ck_assert_int_ne(kept[0]->used_ms, 0);
	/* The next time it asks again. */
	ask("m2", "make");
	ck_assert_int_eq(open_ones(), 1);
	ck_assert_int_eq(kept[1]->status, AP_PENDING);
}
END_TEST

START_TEST(test_whole_ids)
{
	char part[ID_SIZE] = "";
	struct err e = {0};
	struct approval *a;

	ask("m1", "make");
	memcpy(part, kept[0]->id, strlen(kept[0]->id) - 1);
	a = fleet_ask_find(w.f, part, &e); /* looking is free */
	ck_assert_ptr_nonnull(a);
	approval_free(a);
	ck_assert_int_eq(answer(part, true, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	ck_assert_int_eq(answer(part, false, NULL, &e), -1);
	ck_assert_int_eq(kept[0]->status, AP_PENDING);
	ck_assert_int_eq(answer(kept[0]->id, true, NULL, &e), 0);
}
END_TEST

/* A parent with its child's keyboard would answer what is the operator's to answer. */
START_TEST(test_no_keys_from_inside)
{
	struct send_args a = {.mode = PM_KEYS, .text = "[\"Enter\"]", .len = 9, .timeout_ms = 1000, .inside = true};
	struct instance *in = fleet_get(w.f, id);
	struct err e = {0};

	in->permissions = PERM_ASK;
	ask("m1", "make");
	ck_assert_int_eq(fleet_send(w.f, in, &a, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	a.mode = PM_RAW;
	ck_assert_int_eq(fleet_send(w.f, in, &a, &e), -1);
	ck_assert_int_eq(answer(kept[0]->id, true, NULL, NULL), 0);
	ck_assert_int_eq(fleet_send(w.f, in, &a, &e), -1); /* the next dialog may be on its way */
	ck_assert_ptr_null(fake_find(&w, "keys"));
	in->permissions = PERM_PLAN;
	ck_assert_int_eq(fleet_send(w.f, in, &a, &e), -1);
	ck_assert_ptr_null(fake_find(&w, "input"));
	a.done = sent;
	in->permissions = PERM_ALL;
	ck_assert_int_eq(fleet_send(w.f, in, &a, &e), 0);
	a.inside = false;
	in->permissions = PERM_ASK;
	ck_assert_int_eq(fleet_send(w.f, in, &a, &e), 0);
	fake_turn(&w);
	ck_assert_ptr_nonnull(fake_find(&w, "input"));
}
END_TEST

START_TEST(test_same_answer_again)
{
	struct heard h;

	ask("m1", "make");
	/* Answered while nobody waits: the connection broke. */
	ck_assert_int_eq(answer(kept[0]->id, false, "not today", NULL), 0);
	for (int i = 0; i < 3; i++) {
		hook_waits("m1", &h);
		ck_assert_int_eq(h.calls, 1);
		ck_assert_ptr_nonnull(strstr(h.output, "not today"));
	}
	hook_waits("nobody", &h); /* no mark of ours: left to the terminal */
	ck_assert_int_eq(h.calls, 1);
	ck_assert_str_eq(h.output, "");
}
END_TEST

/* The next daemon, from what is on disk. */
static void daemon_again(bool with_rows)
{
	struct one_rows rows = daemon_ends();

	begin();
	rows_load(rows);
	for (size_t i = 0; with_rows && i < nkept; i++)
		if (kept[i]->status == AP_PENDING)
			fleet_load_approval(w.f, approval_copy(kept[i]));
	for (size_t i = 0; i < ngrants; i++)
		fleet_load_grant(w.f, grant_copy(grants[i]));
	fleet_reconcile(w.f);
	fake_turn(&w);
	hello(100, true);
}

START_TEST(test_restart_between)
{
	struct heard h;

	ask("m1", "make");
	daemon_again(true);
	ck_assert_int_eq(open_ones(), 1);
	ask("m1", "make"); /* the report comes again: it was not acknowledged */
	ck_assert_uint_eq(nkept, 1);
	hook_waits("m1", &h);
	ck_assert_int_eq(answer(kept[0]->id, true, NULL, NULL), 0);
	ck_assert_int_eq(h.calls, 1);
	/* Answered, and the daemon ends before its hook heard of it. */
	ask("m2", "make test");
	ck_assert_int_eq(answer(kept[1]->id, true, NULL, NULL), 0);
	daemon_again(true);
	ck_assert_int_eq(open_ones(), 0);
	ask("m2", "make test");
	ck_assert_int_eq(open_ones(), 0);
	hook_waits("m2", &h);
	ck_assert_int_eq(h.calls, 1);
	ck_assert_ptr_nonnull(strstr(h.output, "\"allow\""));
}
END_TEST

START_TEST(test_withdrawn)
{
	struct heard h;
	struct err e = {0};

	/* The tool was run: somebody allowed it at the terminal. The hook is let go. */
	ask("m1", "make");
	hook_waits("m1", &h);
	report("PostToolUse", NULL, bash_body("ls", NULL)); /* another one */
	ck_assert_int_eq(open_ones(), 1);
	report("PostToolUse", NULL, bash_body("make", NULL));
	ck_assert_int_eq(kept[0]->status, AP_WITHDRAWN);
	ck_assert_int_eq(h.calls, 1);
	ck_assert_str_eq(h.output, "");
	ck_assert_int_eq(answer(kept[0]->id, true, NULL, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "at the terminal"));
	/* Its hook was ended: Esc or No. */
	ask("m2", "make");
	hook_waits("m2", &h);
	fleet_ask_gone(w.f, id, &h, false);
	ck_assert_int_eq(kept[1]->status, AP_WITHDRAWN);
	ck_assert_int_eq(h.calls, 0);
	/* The way to it broke: that is no answer. */
	ask("m3", "make");
	hook_waits("m3", &h);
	fleet_ask_gone(w.f, id, &h, true);
	ck_assert_int_eq(kept[2]->status, AP_PENDING);
	/* The main turn is over; a subagent's goes on. */
	report("PermissionRequest", "m4", bash_body("make sub", "a1"));
	report("Stop", NULL, json_pack("{s:[]}", "background_tasks"));
	ck_assert_int_eq(kept[2]->status, AP_WITHDRAWN);
	ck_assert_int_eq(kept[3]->status, AP_PENDING);
	report("SubagentStop", NULL, json_pack("{s:s}", "agent_id", "a1"));
	ck_assert_int_eq(kept[3]->status, AP_WITHDRAWN);
	/* Its program ended. */
	ask("m5", "make");
	tell("exited", json_pack("{s:i, s:i}", "code", 0, "signal", 0));
	ck_assert_int_eq(kept[4]->status, AP_WITHDRAWN);
	ck_assert_int_eq(open_ones(), 0);
}
END_TEST

/* Who waits goes away between the answer and the commit. */
/* Nothing is said to its hook, and the instance goes on waiting: for whoever sits at its terminal. */
START_TEST(test_left_to_its_terminal)
{
	struct ask_answer leave = {.leave = true, .by = "the test"};
	struct heard h;
	struct err e = {0};

	ask("l", "make");
	hook_waits("l", &h);
	char *ids[] = {kept[0]->id, (char *)"zzzzzz", NULL};
	ck_assert_int_eq(fleet_asks_answer(w.f, ids, &leave, &e), -1);
	ck_assert_int_eq(kept[0]->status, AP_PENDING);
	ids[1] = NULL;
	ck_assert_int_eq(fleet_asks_answer(w.f, ids, &leave, &e), 0);
	fake_turn(&w);
	ck_assert_int_eq(kept[0]->status, AP_WITHDRAWN);
	ck_assert_int_eq(h.calls, 1);
	ck_assert_str_eq(h.output, "");
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WAITING);
	ck_assert_str_eq(fleet_get(w.f, id)->reason, "permission");
	ck_assert_int_lt(answer(kept[0]->id, true, NULL, &e), 0);
	report("PostToolUse", NULL, bash_body("make", NULL));
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
}
END_TEST

START_TEST(test_gone_before_the_commit)
{
	char *ids[2] = {0};
	struct ask_answer a = {.verdict = {.allow = true}, .by = "the test"};
	struct heard h;

	ask("m1", "make");
	hook_waits("m1", &h);
	ids[0] = kept[0]->id;
	ck_assert_int_eq(fleet_asks_answer(w.f, ids, &a, NULL), 0);
	fleet_ask_gone(w.f, id, &h, false);
	fake_turn(&w);
	ck_assert_int_eq(h.calls, 0);
	ck_assert_int_eq(kept[0]->status, AP_APPROVED);
}
END_TEST

START_TEST(test_identical_ones)
{
	/* Two of the same stand: the use of the allowed one is not the answer to the other. */
	ask("m1", "make");
	ask("m2", "make");
	ck_assert_int_eq(answer(kept[0]->id, true, NULL, NULL), 0);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WAITING);
	report("PostToolUse", NULL, bash_body("make", NULL));
	ck_assert_int_ne(kept[0]->used_ms, 0);
	ck_assert_int_eq(kept[1]->status, AP_PENDING);
}
END_TEST

START_TEST(test_all_or_none)
{
	struct ask_answer a = {.verdict = {.allow = true}, .by = "the test"};
	struct err e = {0};

	ask("m1", "make");
	ask("m2", "make test");
	ck_assert_int_eq(answer(kept[1]->id, false, NULL, NULL), 0);
	char *ids[] = {kept[0]->id, kept[1]->id, NULL};
	ck_assert_int_eq(fleet_asks_answer(w.f, ids, &a, &e), -1);
	ck_assert_int_eq(kept[0]->status, AP_PENDING);
	char *twice[] = {kept[0]->id, kept[0]->id, NULL};
	ck_assert_int_eq(fleet_asks_answer(w.f, twice, &a, &e), 0);
	fake_turn(&w);
	ck_assert_int_eq(kept[0]->status, AP_APPROVED);
}
END_TEST

START_TEST(test_rules)
{
	struct heard h;

	ask("m1", "make");
	ck_assert_int_eq(rule(kept[0]->id, 0, false), 0);
	ck_assert_uint_eq(ngrants, 1);
	report("PostToolUse", NULL, bash_body("make", NULL));
	ask("m2", "make");
	ck_assert_int_eq(kept[1]->status, AP_APPROVED);
	ck_assert(str_starts(kept[1]->by, "grant "));
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
	hook_waits("m2", &h);
	ck_assert_ptr_nonnull(strstr(h.output, "\"allow\""));
	/* Another command, the same with another option, another folder: not the same. */
	ask("m3", "make install");
	json_t *body = bash_body("make", NULL);
	json_object_set_new(json_object_get(body, "tool_input"), "run_in_background", json_true());
	report("PermissionRequest", "m4", body);
	body = bash_body("make", NULL);
	json_object_set_new(body, "cwd", json_string("/elsewhere"));
	report("PermissionRequest", "m5", body);
	for (int i = 2; i < 5; i++)
		ck_assert_int_eq(kept[i]->status, AP_PENDING);
	/* What it says of itself is no part of it. */
	body = bash_body("make", NULL);
	json_object_set_new(json_object_get(body, "tool_input"), "description", json_string("other words"));
	report("PermissionRequest", "m6", body);
	ck_assert_int_eq(kept[5]->status, AP_APPROVED);
	ck_assert_int_eq((int)grants[0]->uses, 2);
	/* It outlives the daemon, not its instance. */
	daemon_again(true);
	ask("m7", "make");
	ck_assert_int_eq(kept[6]->status, AP_APPROVED);
	tell("exited", json_pack("{s:i, s:i}", "code", 0, "signal", 0));
	ck_assert_uint_eq(ngrants, 0);
}
END_TEST

static int64_t fake_boot(void)
{
	return now_boot;
}

static int64_t fake_wall(void)
{
	return now_wall;
}

START_TEST(test_rule_for_a_time)
{
	now_boot = 1000000;
	now_wall = 5000000;
	clock_set_source(fake_boot, fake_wall);
	ask("m1", "make");
	ck_assert_int_eq(rule(kept[0]->id, 60000, true), 0);
	now_boot += 59999;
	now_wall += 100000000; /* the wall clock says nothing */
	ask("m2", "rm -rf build"); /* the whole tool */
	ck_assert_int_eq(kept[1]->status, AP_APPROVED);
	now_boot += 1;
	ask("m3", "make");
	ck_assert_int_eq(kept[2]->status, AP_PENDING);
	ck_assert_uint_eq(ngrants, 0);
}
END_TEST

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

static void run_for(int64_t ms)
{
	struct loop_timer *t = loop_timer_create(w.port.loop, stop_loop, w.port.loop);

	loop_timer_start(t, ms);
	loop_run(w.port.loop);
	loop_timer_free(t);
	fake_turn(&w);
}

START_TEST(test_expiry)
{
	struct heard h;
	struct err e = {0};

	now_boot = 1000000;
	now_wall = 5000000;
	clock_set_source(fake_boot, fake_wall);
	w.set.approval_expiry_ms = 20;
	ask("m1", "make");
	hook_waits("m1", &h);
	now_wall += 100000000;
	run_for(60); /* timers came, the boot's clock did not: nothing is over */
	ck_assert_int_eq(kept[0]->status, AP_PENDING);
	now_boot += 20;
	run_for(60);
	ck_assert_int_eq(kept[0]->status, AP_EXPIRED);
	ck_assert_int_eq(h.calls, 1);
	ck_assert_ptr_nonnull(strstr(h.output, "\"deny\""));
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
	ck_assert_int_eq(answer(kept[0]->id, true, NULL, &e), -1);
}
END_TEST

START_TEST(test_flood)
{
	char once[16];

	for (int i = 0; i < ASKS_MAX + 5; i++) {
		str_fmt(once, sizeof(once), "m%d", i);
		ask(once, "make");
	}
	ck_assert_int_eq(open_ones(), ASKS_MAX);
	ck_assert_uint_eq(nkept, ASKS_MAX);
}
END_TEST

START_TEST(test_bad_reports)
{
	char *big = xcalloc(APPROVAL_ARGS_MAX + 1000, 1);

	memset(big, 'x', APPROVAL_ARGS_MAX + 999);
	report("PermissionRequest", NULL, bash_body("no mark", NULL));
	report("PermissionRequest", "a mark that is much longer than any of ours", bash_body("x", NULL));
	report("PermissionRequest", "m1", json_object());
	report("PermissionRequest", "m2", json_pack("{s:i, s:s}", "tool_name", 5, "tool_input", "no object"));
	ck_assert_uint_eq(nkept, 0);
	report("PermissionRequest", "m3", json_pack("{s:s, s:s}", "tool_name", "Bash", "tool_input", "no object"));
	ck_assert_uint_eq(nkept, 1);
	ck_assert_str_eq(kept[0]->args, "{}");
	report("PermissionRequest", "m4", bash_body(big, NULL));
	ck_assert(kept[1]->cut);
	ck_assert_uint_eq(strlen(kept[1]->digest), 64);
	ck_assert_uint_lt(strlen(kept[1]->args), APPROVAL_ARGS_MAX + 1000);
	ck_assert_int_eq(rule(kept[1]->id, 0, false), -1); /* there is no telling what is the same */
	ck_assert_int_eq(rule(kept[1]->id, 0, true), 0);
	/* A rule for the whole tool allows what was cut, too. */
	report("PermissionRequest", "m5", bash_body(big, NULL));
	ck_assert(kept[2]->cut);
	ck_assert_int_eq(kept[2]->status, AP_APPROVED);
	free(big);
}
END_TEST

/* A hook that nobody reaches is not waited for, nor given up. */
START_TEST(test_away)
{
	struct err gone = {0};
	struct ask *k;

	ask("m1", "make");
	k = unit_find(w.f, id)->asks->open;
	ck_assert(loop_timer_active(k->timer));
	err_set(&gone, ERR_UNAVAILABLE, "gone");
	fleet_on_shim_lost(w.f, fleet_get(w.f, id)->place, &gone);
	fake_turn(&w);
	ck_assert(!loop_timer_active(k->timer));
	hello(200, false); /* it has to ask the guest first */
	ck_assert(!loop_timer_active(k->timer));
	tell("link_up", json_object());
	ck_assert(loop_timer_active(k->timer));
	daemon_again(true);
	ck_assert(loop_timer_active(unit_find(w.f, id)->asks->open->timer));
}
END_TEST

TEST_MAIN_FIXTURE("core/asks", setup, teardown, test_once, test_whole_ids, test_no_keys_from_inside, test_same_answer_again, test_restart_between, test_withdrawn, test_left_to_its_terminal,
	test_gone_before_the_commit, test_identical_ones, test_all_or_none, test_rules, test_rule_for_a_time, test_expiry,
	test_flood, test_away, test_bad_reports)
