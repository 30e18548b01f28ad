/* SPDX-License-Identifier: ISC */
/* The life of instances over a world that only remembers what it was asked. */
#include "daemon/core/fleet_int.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/run.h"

static struct fake_world w;

struct heard {
	int calls;
	struct err err;
	enum inst_state state;
	char id[ID_SIZE];
};

static void done(void *arg, const struct instance *in, const struct err *e)
{
	struct heard *h = arg;

	h->calls++;
	if (e)
		h->err = *e;
	if (in) {
		h->state = in->state;
		memcpy(h->id, in->id, ID_SIZE);
	}
}

static void prompt_done(void *arg, const struct prompt *p, const struct err *e)
{
	struct heard *h = arg;

	(void)p;
	h->calls++;
	if (e)
		h->err = *e;
}

static void setup(void)
{
	fake_init(&w);
}

static void teardown(void)
{
	fake_finish(&w);
}

static int spawn_as(const char *parent, const char *claims, const char *name, const char *agent,
	const char *prompt, struct heard *h, char *id, struct err *e)
{
	struct instance *in = instance_new();
	struct caller who = {parent};
	struct spawn_args a = {.in = in, .prompt = prompt, .wait = true, .done = done, .arg = h};

	in->name = xstrdup(name);
	in->driver = xstrdup("vm");
	in->agent = xstrdup(agent);
	in->dir = xstrdup("/p");
	in->cap = w.set.default_cap;
	if (claims)
		snprintf(in->parent, ID_SIZE, "%s", claims);
	return fleet_spawn(w.f, &who, &a, id, e);
}

static const char *place_of(const char *id)
{
	return fleet_get(w.f, id)->place;
}

static void tell(const char *id, uint64_t seq, const char *type, json_t *ev)
{
	char place[ID_SIZE];

	snprintf(place, sizeof(place), "%s", place_of(id));
	json_object_set_new(ev, "instance", json_string(id));
	fleet_on_shim_event(w.f, place, seq, type, ev);
	json_decref(ev);
	fake_turn(&w);
}

static void report(const char *id, uint64_t seq, const char *event)
{
	tell(id, seq, "report", json_pack("{s:{s:s}}", "body", "event", event));
}

static json_t *hello(int pid, bool holder, bool link)
{
	return json_pack("{s:i, s:{s:i, s:b}, s:b, s:[]}", "shim_pid", pid, "holder", "pid", pid + 1,
		"running", holder, "link", link, "instances");
}

static void greet(const char *id, json_t *h)
{
	fleet_on_hello(w.f, place_of(id), h);
	json_decref(h);
	fake_turn(&w);
}

/* Through make, link, setup and run. */
static void bring_up(const char *id)
{
	fake_turn(&w);
	greet(id, hello(100, true, false));
	tell(id, 1, "link_up", json_pack("{s:i}", "boot_ms", 5));
	fake_answer(&w, "setup", json_object());
	fake_answer(&w, "run", json_pack("{s:i}", "pid", 7));
}

static void up(const char *id)
{
	bring_up(id);
	report(id, 2, "ready");
}

/* The shim ends the place when asked. */
static void let_end(const char *id)
{
	fake_let_end(&w, id);
}

START_TEST(a_new_shim_that_knows_nothing_yet_is_waited_for)
{
	struct err gone = {.code = ERR_UNREACHABLE}, e = {0};
	struct heard h = {0};
	char id[ID_SIZE];

	ck_assert_int_eq(spawn_as(NULL, NULL, "a", "teller", NULL, &h, id, NULL), 0);
	up(id);
	fleet_on_shim_lost(w.f, place_of(id), &gone);
	fake_turn(&w);
	greet(id, hello(200, true, false));
	struct wait_handle *wait = fleet_wait(w.f, fleet_get(w.f, id), "text=there", NULL, -1, NULL, NULL, &e);
	ck_assert_ptr_nonnull(wait);
	ck_assert_ptr_null(fake_find(&w, "watch"));
	ck_assert_int_eq(fleet_shim_call(w.f, fleet_get(w.f, id), "screen", json_object(), 1000, NULL, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_UNAVAILABLE);
	tell(id, 1, "link_up", json_pack("{s:i}", "boot_ms", 5));
	ck_assert_ptr_nonnull(fake_find(&w, "watch"));
	ck_assert_int_eq(fleet_shim_call(w.f, fleet_get(w.f, id), "screen", json_object(), 1000, NULL, NULL, &e), 0);
	fleet_wait_cancel(wait);
}
END_TEST

START_TEST(a_text_to_wait_for_is_bounded)
{
	cleanup_free char *longest = xasprintf("text=%04096d", 0), *longer = xasprintf("text=%04097d", 0);
	struct heard h = {0};
	struct err e = {0};
	char id[ID_SIZE];

	ck_assert_int_eq(spawn_as(NULL, NULL, "a", "teller", NULL, &h, id, NULL), 0);
	bring_up(id);
	struct wait_handle *wait = fleet_wait(w.f, fleet_get(w.f, id), longest, NULL, -1, NULL, NULL, &e);
	ck_assert_msg(wait != NULL, "%s", e.message);
	fleet_wait_cancel(wait);
	ck_assert_ptr_null(fleet_wait(w.f, fleet_get(w.f, id), longer, NULL, -1, NULL, NULL, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
}
END_TEST

START_TEST(a_text_is_watched_from_when_there_is_a_screen)
{
	struct heard h = {0}, wh = {0};
	char id[ID_SIZE];
	struct err e = {0};

	spawn_as(NULL, NULL, NULL, "mute", NULL, &h, id, NULL);
	ck_assert_ptr_nonnull(fleet_wait(w.f, fleet_get(w.f, id), "text=hello", NULL, -1, done, &wh, &e));
	ck_assert_ptr_null(fake_find(&w, "watch"));
	bring_up(id);
	ck_assert_ptr_nonnull(fake_find(&w, "watch"));
	fake_answer(&w, "watch", json_object());
	fake_turn(&w);
	ck_assert_int_eq(wh.calls, 1);
	ck_assert_int_eq(wh.err.code, ERR_NONE);
}
END_TEST

START_TEST(spawn_returns_when_the_prompt_is_there)
{
	struct heard h = {0};
	char id[ID_SIZE];

	ck_assert_int_eq(spawn_as(NULL, NULL, "a", "teller", NULL, &h, id, NULL), 0);
	ck_assert_int_eq(w.makes, 0); /* nothing is made before the row is on disk */
	bring_up(id);
	ck_assert_int_eq(h.calls, 0);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_STARTING);
	report(id, 2, "ready");
	ck_assert_int_eq(h.calls, 1);
	ck_assert_int_eq(h.err.code, 0);
	ck_assert_int_eq(h.state, ST_IDLE);
	ck_assert_int_eq(fleet_get(w.f, id)->pid, 7);
	ck_assert_uint_eq(w.acked, 2);
	ck_assert_int_eq(w.pane_open, 1);
}
END_TEST

START_TEST(first_prompt_by_argument_ends_the_spawn_when_reported)
{
	struct heard h = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", "do it", &h, id, NULL);
	bring_up(id);
	ck_assert_str_eq(w.last_prompt, "do it");
	report(id, 2, "ready");
	ck_assert_int_eq(h.calls, 0);
	report(id, 3, "prompt");
	ck_assert_int_eq(h.calls, 1);
	ck_assert_int_eq(h.state, ST_WORKING);
	ck_assert_ptr_null(fake_find(&w, "input")); /* it stood on the command line */
}
END_TEST

START_TEST(mute_program_is_typed_its_first_prompt)
{
	struct heard h = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "mute", "ls", &h, id, NULL);
	bring_up(id);
	ck_assert_int_eq(h.calls, 0);
	fake_answer(&w, "input", json_object());
	ck_assert_int_eq(h.calls, 1);
	ck_assert_int_eq(h.err.code, 0);
}
END_TEST

START_TEST(an_event_told_twice_counts_once)
{
	struct heard h = {0}, p = {0};
	struct send_args a = {.text = "x", .len = 1, .timeout_ms = 1000, .done = prompt_done, .arg = &p};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	ck_assert_int_eq(fleet_send(w.f, fleet_get(w.f, id), &a, NULL), 0);
	fake_turn(&w);
	fake_answer(&w, "input", json_object());
	ck_assert_int_eq(p.calls, 0);
	report(id, 3, "prompt");
	ck_assert_int_eq(p.calls, 1);
	int before = fake_events(&w, "instance.state");
	report(id, 3, "stop");
	ck_assert_int_eq(fake_events(&w, "instance.state"), before);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
}
END_TEST

START_TEST(a_prompt_waits_for_the_agent_and_is_typed_once)
{
	struct heard h = {0}, p = {0}, q = {0};
	struct send_args a = {.text = "x", .len = 1, .timeout_ms = 60000, .done = prompt_done, .arg = &p};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	fleet_send(w.f, fleet_get(w.f, id), &a, NULL);
	a.arg = &q;
	fleet_send(w.f, fleet_get(w.f, id), &a, NULL);
	fake_turn(&w);
	fake_answer(&w, "input", json_object());
	report(id, 3, "prompt");
	ck_assert_int_eq(p.calls, 1);
	ck_assert_ptr_null(fake_find(&w, "input")); /* it works: the second waits */
	report(id, 4, "stop");
	ck_assert_ptr_nonnull(fake_find(&w, "input"));
	fake_answer(&w, "input", json_object());
	report(id, 5, "prompt");
	ck_assert_int_eq(q.calls, 1);
	ck_assert_int_eq(q.err.code, 0);
}
END_TEST

START_TEST(a_prompt_is_given_beside_work_in_the_background)
{
	struct heard h = {0}, p = {0};
	struct send_args a = {.text = "x", .len = 1, .timeout_ms = 60000, .done = prompt_done, .arg = &p};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	report(id, 3, "prompt");
	fleet_send(w.f, fleet_get(w.f, id), &a, NULL);
	fake_turn(&w);
	ck_assert_ptr_null(fake_find(&w, "input"));
	report(id, 4, "background"); /* the turn is over, a task of it goes on */
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
	ck_assert_ptr_nonnull(fake_find(&w, "input"));
	fake_answer(&w, "input", json_object());
	report(id, 5, "prompt");
	ck_assert_int_eq(p.calls, 1);
	ck_assert_int_eq(p.err.code, 0);
}
END_TEST

START_TEST(a_report_that_is_told_again_counts_once)
{
	struct heard h = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	report(id, 3, "prompt");
	tell(id, 4, "report", json_pack("{s:{s:s, s:s}}", "body", "event", "stop", "once", "a1"));
	report(id, 5, "prompt"); /* by another shim, under another number: */
	tell(id, 6, "report", json_pack("{s:{s:s, s:s}}", "body", "event", "stop", "once", "a1"));
	ck_assert_int_eq(fleet_get(w.f, id)->turns, 1);
	tell(id, 7, "report", json_pack("{s:{s:s, s:s}}", "body", "event", "stop", "once", "a2"));
	ck_assert_int_eq(fleet_get(w.f, id)->turns, 2);
}
END_TEST

START_TEST(turns_are_counted_for_each_conversation)
{
	struct heard h = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	ck_assert_int_eq(fleet_get(w.f, id)->turns, 0);
	report(id, 3, "prompt");
	report(id, 4, "stop");
	report(id, 5, "prompt");
	report(id, 6, "stop");
	ck_assert_int_eq(fleet_get(w.f, id)->turns, 2);
	report(id, 7, "clear");
	ck_assert_int_eq(fleet_get(w.f, id)->turns, 0);
	ck_assert_str_eq(fleet_get(w.f, id)->conversation, "another");
}
END_TEST

START_TEST(a_prompt_is_refused_while_a_person_is_asked)
{
	struct heard h = {0};
	struct send_args a = {.text = "x", .len = 1, .timeout_ms = 1000, .done = prompt_done, .arg = &h};
	struct err e = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	report(id, 3, "ask");
	ck_assert_int_eq(fleet_send(w.f, fleet_get(w.f, id), &a, &e), -1);
	ck_assert_int_eq(e.code, ERR_STATE);
	ck_assert_ptr_nonnull(strstr(e.message, "permission"));
}
END_TEST

START_TEST(kill_answers_when_nothing_is_left)
{
	struct heard h = {0}, k = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	ck_assert_int_eq(fleet_kill(w.f, fleet_get(w.f, id), false, false, false, done, &k, NULL), 0);
	fake_turn(&w);
	ck_assert_int_eq(k.calls, 0);
	let_end(id);
	ck_assert_int_eq(k.calls, 1);
	ck_assert_int_eq(k.state, ST_EXITED);
	ck_assert_int_eq(w.pane_close, 1);
	ck_assert_int_eq(w.clears, 1);
	ck_assert_int_eq(w.disks_kept, 1); /* for restart */
	ck_assert_int_eq(fleet_remove(w.f, fleet_get(w.f, id), NULL), 0);
	fake_turn(&w);
	ck_assert_int_eq(w.deleted, 1);
	ck_assert_int_eq(w.place_deleted, 1);
	ck_assert_ptr_null(fleet_get(w.f, id));
}
END_TEST

START_TEST(kill_of_a_parent_needs_cascade)
{
	struct heard h = {0}, k = {0};
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0};

	spawn_as(NULL, NULL, "boss", "mute", NULL, &h, a, NULL);
	bring_up(a);
	spawn_as(a, NULL, "hand", "mute", NULL, &h, b, NULL);
	bring_up(b);
	ck_assert_int_eq(fleet_kill(w.f, fleet_get(w.f, a), false, false, false, done, &k, &e), -1);
	ck_assert_int_eq(e.code, ERR_STATE);
	ck_assert_int_eq(fleet_kill(w.f, fleet_get(w.f, a), true, false, false, done, &k, &e), 0);
	ck_assert_int_eq(fleet_get(w.f, b)->state, ST_STOPPING);
	ck_assert_int_eq(fleet_get(w.f, a)->state, ST_STOPPING);
}
END_TEST

START_TEST(a_program_that_ends_takes_its_place_along)
{
	struct heard h = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "mute", NULL, &h, id, NULL);
	bring_up(id);
	tell(id, 5, "exited", json_pack("{s:i, s:i}", "code", 3, "signal", 0));
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_EXITED);
	ck_assert_int_eq(fleet_get(w.f, id)->exit.code, 3);
	let_end(id);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_EXITED);
	ck_assert_int_eq(w.pane_close, 1);
}
END_TEST

START_TEST(a_program_that_ends_too_early_fails_the_spawn_with_its_code)
{
	struct heard h = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	bring_up(id);
	tell(id, 5, "exited", json_pack("{s:i, s:i}", "code", 1, "signal", 0));
	let_end(id);
	ck_assert_int_eq(h.calls, 1);
	ck_assert_int_eq(h.err.code, ERR_FAILED);
	ck_assert_ptr_nonnull(strstr(h.err.message, "code 1"));
}
END_TEST

START_TEST(a_place_that_cannot_be_made_is_undone)
{
	struct heard h = {0};
	char id[ID_SIZE];

	w.fail_make = true;
	spawn_as(NULL, NULL, "a", "teller", NULL, &h, id, NULL);
	fake_turn(&w);
	ck_assert_int_eq(h.calls, 1);
	ck_assert_int_eq(h.err.code, ERR_DISK);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_FAILED);
	ck_assert_int_eq(w.clears, 1);
	ck_assert_int_eq(w.disks_kept, 0);
	ck_assert_uint_eq(fleet_living(w.f), 0);
	w.fail_make = false; /* and its name is free again */
	ck_assert_int_eq(spawn_as(NULL, NULL, "a", "teller", NULL, &h, id, NULL), 0);
}
END_TEST

START_TEST(a_place_that_does_not_boot_is_tried_again_then_given_up)
{
	struct heard h = {0};
	struct err gone = {.code = ERR_UNREACHABLE};
	char id[ID_SIZE], place[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	for (int i = 0; i < 3; i++) {
		fake_turn(&w);
		ck_assert_int_eq(w.starts, i + 1);
		greet(id, hello(100 + i, true, false));
		tell(id, 1, "place_exit", json_pack("{s:s}", "reason", "boot_timeout"));
		snprintf(place, sizeof(place), "%s", place_of(id));
		fake_answer(&w, "quit", json_object());
		fleet_on_shim_lost(w.f, place, &gone);
	}
	fake_turn(&w);
	ck_assert_int_eq(h.calls, 1);
	ck_assert_int_eq(h.err.code, ERR_FAILED);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_FAILED);
}
END_TEST

START_TEST(a_caller_that_gives_up_undoes_the_spawn_at_every_step)
{
	for (int step = 0; step < 4; step++) {
		struct heard h = {0};
		char id[ID_SIZE];
		int clears = w.clears, kills = w.kills;
		spawn_as(NULL, NULL, "a", "teller", NULL, &h, id, NULL);
		if (step >= 1)
			fake_turn(&w);
		if (step >= 2)
			greet(id, hello(100, true, false));
		if (step >= 3) {
			tell(id, 1, "link_up", json_object());
			fake_answer(&w, "setup", json_object());
		}
		ck_assert(fleet_cancel(w.f, id, &h));
		if (step == 1) { /* its shim was started: it is not overtaken, its hello is waited for */
			fake_turn(&w);
			ck_assert_int_eq(fleet_get(w.f, id)->state, ST_STOPPING);
			ck_assert_int_eq(w.kills, kills);
			greet(id, hello(100, true, false));
		}
		if (step >= 1)
			let_end(id);
		fake_turn(&w);
		ck_assert_int_eq(h.calls, 0);
		ck_assert_int_eq(fleet_get(w.f, id)->state, ST_FAILED);
		ck_assert_str_eq(fleet_get(w.f, id)->reason, "cancelled");
		ck_assert_int_eq(w.clears, clears + 1);
	}
}
END_TEST

START_TEST(the_socket_decides_who_the_parent_is)
{
	struct heard h = {0};
	char a[ID_SIZE], b[ID_SIZE], c[ID_SIZE];

	spawn_as(NULL, NULL, "a", "mute", NULL, &h, a, NULL);
	spawn_as(NULL, NULL, "b", "mute", NULL, &h, b, NULL);
	ck_assert_int_eq(spawn_as(a, b, "c", "mute", NULL, &h, c, NULL), 0);
	ck_assert_str_eq(fleet_get(w.f, c)->parent, a);
}
END_TEST

START_TEST(a_child_may_not_leave_its_parents_place_folder_or_hosts)
{
	struct heard h = {0};
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0};
	struct instance *in = instance_new();
	struct caller who = {a};
	struct spawn_args args = {.in = in, .done = done, .arg = &h};

	spawn_as(NULL, NULL, "a", "mute", NULL, &h, a, NULL);
	in->driver = xstrdup("host");
	in->dir = xstrdup("/p");
	ck_assert_int_eq(fleet_spawn(w.f, &who, &args, b, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	args.in = in = instance_new();
	in->driver = xstrdup("vm");
	in->dir = xstrdup("/private");
	ck_assert_int_eq(fleet_spawn(w.f, &who, &args, b, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	args.in = in = instance_new();
	in->driver = xstrdup("vm");
	in->dir = xstrdup("/p/sub");
	in->allow = strv_new();
	strv_push(&in->allow, "evil.example:443");
	ck_assert_int_eq(fleet_spawn(w.f, &who, &args, b, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
}
END_TEST

START_TEST(the_cap_of_children_holds_and_is_given_back)
{
	struct heard h = {0}, k = {0};
	char a[ID_SIZE], b[ID_SIZE] = "", c[ID_SIZE];
	struct err e = {0};

	w.set.default_cap.max_children = 2;
	spawn_as(NULL, NULL, "a", "mute", NULL, &h, a, NULL);
	ck_assert_int_eq(spawn_as(a, NULL, NULL, "mute", NULL, &h, b, &e), 0);
	ck_assert_int_eq(spawn_as(a, NULL, NULL, "mute", NULL, &h, c, &e), 0);
	ck_assert_int_eq(spawn_as(a, NULL, NULL, "mute", NULL, &h, c, &e), -1);
	ck_assert_int_eq(e.code, ERR_CAP);
	ck_assert_ptr_nonnull(strstr(e.message, "max_children"));
	ck_assert_ptr_nonnull(strstr(e.message, "2 of 2"));
	ck_assert_int_eq(fake_events(&w, "spawn.refused"), 1);
	bring_up(b);
	fleet_kill(w.f, fleet_get(w.f, b), false, false, false, done, &k, &e);
	let_end(b);
	ck_assert_int_eq(spawn_as(a, NULL, NULL, "mute", NULL, &h, c, &e), 0);
}
END_TEST

START_TEST(caps_of_fleet_depth_rate_and_descendants_hold)
{
	struct heard h = {0};
	char id[5][ID_SIZE], x[ID_SIZE];
	struct err e = {0};

	spawn_as(NULL, NULL, NULL, "mute", NULL, &h, id[0], NULL);
	for (int i = 1; i <= 3; i++)
		ck_assert_int_eq(spawn_as(id[i - 1], NULL, NULL, "mute", NULL, &h, id[i], &e), 0);
	ck_assert_int_eq(fleet_get(w.f, id[3])->cap.max_depth, 0); /* it was left nothing */
	ck_assert_int_eq(spawn_as(id[3], NULL, NULL, "mute", NULL, &h, x, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "max_depth"));
	fleet_get(w.f, id[0])->cap.spawn_rate = 1; /* it spawned one within the minute */
	ck_assert_int_eq(spawn_as(id[0], NULL, NULL, "mute", NULL, &h, x, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "spawn_rate"));
	fleet_get(w.f, id[0])->cap.spawn_rate = CAP_UNLIMITED;
	fleet_get(w.f, id[0])->cap.max_descendants = 3;
	ck_assert_int_eq(spawn_as(id[0], NULL, NULL, "mute", NULL, &h, x, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "max_descendants"));
	w.set.max_instances = 4;
	ck_assert_int_eq(spawn_as(NULL, NULL, NULL, "mute", NULL, &h, x, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "max_instances"));
}
END_TEST

START_TEST(names_are_unique_among_the_living_and_resolve_in_order)
{
	struct heard h = {0};
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0};
	struct caller op = {NULL}, child = {b};

	spawn_as(NULL, NULL, "alpha", "mute", NULL, &h, a, NULL);
	ck_assert_int_eq(spawn_as(NULL, NULL, "alpha", "mute", NULL, &h, b, &e), -1);
	ck_assert_int_eq(e.code, ERR_EXISTS);
	ck_assert_int_eq(spawn_as(NULL, NULL, "Bad Name", "mute", NULL, &h, b, &e), -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	ck_assert_int_eq(spawn_as(NULL, NULL, "alps", "mute", NULL, &h, b, &e), 0);
	ck_assert_ptr_eq(fleet_resolve(w.f, &op, a, &e), fleet_get(w.f, a));
	ck_assert_ptr_eq(fleet_resolve(w.f, &op, "alpha", &e), fleet_get(w.f, a));
	ck_assert_ptr_eq(fleet_resolve(w.f, &op, "alph", &e), fleet_get(w.f, a));
	ck_assert_ptr_null(fleet_resolve(w.f, &op, "alp", &e));
	ck_assert_int_eq(e.code, ERR_AMBIGUOUS);
	ck_assert_ptr_null(fleet_resolve(w.f, &op, "zzz", &e));
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	ck_assert_ptr_null(fleet_resolve(w.f, &child, "alpha", &e)); /* another's is not seen */
}
END_TEST

START_TEST(an_event_from_another_place_is_ignored)
{
	struct heard h = {0};
	char a[ID_SIZE], b[ID_SIZE];
	json_t *ev;

	spawn_as(NULL, NULL, "a", "teller", NULL, &h, a, NULL);
	up(a);
	spawn_as(NULL, NULL, "b", "teller", NULL, &h, b, NULL);
	up(b);
	ev = json_pack("{s:s, s:i}", "instance", a, "code", 0);
	fleet_on_shim_event(w.f, place_of(b), 50, "exited", ev);
	json_decref(ev);
	fake_turn(&w);
	ck_assert_int_eq(fleet_get(w.f, a)->state, ST_IDLE);
}
END_TEST

START_TEST(a_lost_shim_is_replaced_while_the_agent_lives)
{
	struct heard h = {0};
	struct err gone = {.code = ERR_UNREACHABLE};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	fleet_on_shim_lost(w.f, place_of(id), &gone);
	fake_turn(&w);
	ck_assert_int_eq(w.starts, 2);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_IDLE);
	greet(id, hello(200, true, true));
	report(id, 1, "prompt"); /* its numbers begin anew */
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
	/* Again and again: later, but never given up while each of them could say hello. */
	for (int i = 0; i < 5; i++) {
		int before = w.starts;
		fleet_on_shim_lost(w.f, place_of(id), &gone);
		while (w.starts == before)
			loop_turn(w.port.loop, 10000);
		greet(id, hello(300 + i, true, true));
	}
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
}
END_TEST

START_TEST(a_shim_that_cannot_begin_is_given_up)
{
	struct heard h = {0};
	struct err gone = {.code = ERR_UNREACHABLE};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	for (int i = 0; i < 4; i++) {
		int before = w.starts;
		fleet_on_shim_lost(w.f, place_of(id), &gone);
		for (int k = 0; i > 0 && i < 3 && k < 100 && w.starts == before; k++)
			loop_turn(w.port.loop, 100);
	}
	fake_turn(&w);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_LOST);
}
END_TEST

START_TEST(a_place_that_dies_leaves_its_instance_lost_and_restartable)
{
	struct heard h = {0}, r = {0};
	struct err gone = {.code = ERR_UNREACHABLE};
	char id[ID_SIZE], place[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	snprintf(place, sizeof(place), "%s", place_of(id));
	tell(id, 9, "place_exit", json_pack("{s:i}", "signal", 9));
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_LOST);
	fake_answer(&w, "quit", json_object());
	fleet_on_shim_lost(w.f, place, &gone);
	fake_turn(&w);
	ck_assert_int_eq(w.disks_kept, 1);
	ck_assert_int_eq(fleet_restart(w.f, fleet_get(w.f, id), &(struct restart_args){.wait = true, .done = done, .arg = &r}, NULL), 0);
	bring_up(id);
	ck_assert(json_is_true(json_object_get(fake_find(&w, "run") ? NULL : w.call[w.ncalls - 1].params,
		"resume")));
	report(id, 2, "ready");
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.state, ST_IDLE);
}
END_TEST

static struct instance *row(const char *id, const char *place, enum inst_state st, int64_t starts)
{
	struct instance *in = instance_new();

	snprintf(in->id, ID_SIZE, "%s", id);
	snprintf(in->place, ID_SIZE, "%s", place);
	in->driver = xstrdup("vm");
	in->agent = xstrdup("teller");
	in->dir = xstrdup("/p");
	in->state = st;
	in->starts = starts;
	in->created_ms = in->state_since_ms = 1;
	return in;
}

static struct place *place_row(const char *id, enum place_state st, const char *boot)
{
	struct place *p = place_new();

	snprintf(p->id, ID_SIZE, "%s", id);
	p->driver = xstrdup("vm");
	p->state = st;
	p->shim_pid = 300;
	p->shim_seq = 4;
	p->boot = xstrdup(boot);
	return p;
}

START_TEST(a_restart_adopts_the_living_undoes_the_half_done_and_ends_the_unowned)
{
	char *extra[] = {"orphan", NULL};
	json_t *h;

	w.folders = strv_copy(extra);
	fleet_load_instance(w.f, row("living", "plcone", ST_WORKING, 1));
	fleet_load_instance(w.f, row("halfup", "plctwo", ST_PROVISIONING, 0));
	fleet_load_instance(w.f, row("booted", "plcthr", ST_IDLE, 1));
	fleet_load_instance(w.f, row("nowher", "", ST_QUEUED, 0));
	fleet_load_place(w.f, place_row("plcone", PL_UP, boot_id()));
	fleet_load_place(w.f, place_row("plctwo", PL_BOOTING, boot_id()));
	fleet_load_place(w.f, place_row("plcthr", PL_UP, "another boot"));
	ck_assert_int_eq(fleet_reconcile(w.f), 3);
	fake_turn(&w);
	ck_assert_int_eq(w.adopts, 3);
	ck_assert_int_eq(fleet_get(w.f, "nowher")->state, ST_PROVISIONING); /* it waited, and starts now */
	ck_assert_int_eq(fleet_get(w.f, "booted")->state, ST_LOST);

	h = json_pack("{s:i, s:{s:i, s:b}, s:b, s:[{s:s, s:i, s:b}]}", "shim_pid", 300, "holder", "pid", 9,
		"running", 1, "link", 1, "instances", "id", "living", "pid", 8, "running", 1);
	greet("living", h);
	ck_assert_int_eq(fleet_get(w.f, "living")->state, ST_WORKING);
	ck_assert_int_eq(w.pane_open, 2); /* and that of the one that waited */
	report("living", 4, "stop"); /* known before the restart */
	ck_assert_int_eq(fleet_get(w.f, "living")->state, ST_WORKING);
	report("living", 5, "stop");
	ck_assert_int_eq(fleet_get(w.f, "living")->state, ST_IDLE);

	greet("halfup", hello(300, true, true));
	ck_assert_int_eq(fleet_get(w.f, "halfup")->state, ST_QUEUED); /* until what there was is gone */
	let_end("halfup");
	ck_assert_int_eq(fleet_get(w.f, "halfup")->state, ST_PROVISIONING);

	h = hello(301, true, true);
	fleet_on_hello(w.f, "orphan", h);
	json_decref(h);
	fake_turn(&w);
	ck_assert_ptr_nonnull(fake_find(&w, "stop"));
	ck_assert(fleet_settled(w.f));
}
END_TEST

START_TEST(a_start_of_which_nothing_ran_begins_again_once)
{
	struct instance *twice = row("twiced", "plcfou", ST_PROVISIONING, 0);

	twice->requeued = START_AGAIN_MOST;
	fleet_load_instance(w.f, row("making", "plcone", ST_PROVISIONING, 0));
	fleet_load_instance(w.f, row("remake", "plctwo", ST_PROVISIONING, 3));
	fleet_load_instance(w.f, row("ending", "plcthr", ST_STOPPING, 1));
	fleet_load_instance(w.f, twice);
	fleet_load_place(w.f, place_row("plcone", PL_MAKING, boot_id()));
	fleet_load_place(w.f, place_row("plctwo", PL_MAKING, boot_id()));
	fleet_load_place(w.f, place_row("plcthr", PL_MAKING, boot_id()));
	fleet_load_place(w.f, place_row("plcfou", PL_MAKING, boot_id()));
	ck_assert_int_eq(fleet_reconcile(w.f), 0);
	fake_turn(&w);
	ck_assert_int_eq(w.adopts, 0);
	ck_assert_int_eq(fleet_get(w.f, "making")->state, ST_PROVISIONING);
	ck_assert_int_eq(fleet_get(w.f, "remake")->state, ST_PROVISIONING);
	ck_assert_int_eq(fleet_get(w.f, "making")->requeued, 1);
	ck_assert_int_eq(w.makes, 2);
	ck_assert_int_eq(twice->state, ST_FAILED);
	ck_assert_int_eq(fleet_get(w.f, "ending")->state, ST_EXITED);
	ck_assert(fleet_settled(w.f));
}
END_TEST

START_TEST(a_place_that_does_not_tell_what_it_holds_is_lost_until_it_does)
{
	struct instance *in;
	struct err e = {0};
	json_t *ev;

	w.set.ask_ms = 1;
	fleet_load_instance(w.f, row("silent", "plcone", ST_IDLE, 1));
	fleet_load_place(w.f, place_row("plcone", PL_UP, boot_id()));
	ck_assert_int_eq(fleet_reconcile(w.f), 1);
	greet("silent", hello(900, true, false)); /* a new shim, whose guest is stopped */
	in = fleet_get(w.f, "silent");
	ck_assert_int_eq(in->state, ST_IDLE);
	fleet_on_pane(w.f, "silent", true, "back");
	while (in->state == ST_IDLE)
		loop_turn(w.port.loop, 1000);
	fake_turn(&w);
	ck_assert_int_eq(in->state, ST_LOST);
	ck_assert_int_eq(fake_events(&w, "pane.state"), 2); /* its pane goes with it, and that is told */
	ck_assert_ptr_null(fake_find(&w, "stop"));
	ck_assert_int_eq(fleet_restart(w.f, in, &(struct restart_args){0}, &e), -1);
	ck_assert_int_eq(e.code, ERR_BUSY);
	ev = json_pack("{s:[{s:s, s:i}]}", "instances", "id", "silent", "pid", 8);
	fleet_on_shim_event(w.f, "plcone", 1, "adopted", ev);
	json_decref(ev);
	fake_turn(&w);
	ck_assert_int_eq(in->state, ST_WORKING);
	ck_assert_int_eq(in->pid, 8);
}
END_TEST

static struct prompt *prompt_row(const char *instance, const char *key, enum prompt_status status, bool stays)
{
	struct prompt *p = xcalloc(1, sizeof(*p));

	prompt_set(p, PM_PASTE, key, strlen(key));
	snprintf(p->key, sizeof(p->key), "%s", key);
	snprintf(p->instance, sizeof(p->instance), "%s", instance);
	p->status = status;
	p->stays = stays;
	return p;
}

START_TEST(what_is_queued_outlives_a_place_that_does_not_answer_for_a_while)
{
	struct instance *in;
	json_t *ev;

	w.set.ask_ms = 1;
	fleet_load_instance(w.f, row("silent", "plcone", ST_IDLE, 1));
	fleet_load_place(w.f, place_row("plcone", PL_UP, boot_id()));
	fleet_load_prompt(w.f, prompt_row("silent", "typed", PR_DELIVERING, true));
	fleet_load_prompt(w.f, prompt_row("silent", "stays", PR_QUEUED, true));
	fleet_load_prompt(w.f, prompt_row("silent", "goes", PR_QUEUED, false));
	fleet_reconcile(w.f);
	greet("silent", hello(900, true, false));
	in = fleet_get(w.f, "silent");
	while (in->state == ST_IDLE)
		loop_turn(w.port.loop, 1000);
	fake_turn(&w);
	ck_assert_int_eq(fake_events(&w, "prompt"), 1);
	ev = json_pack("{s:[{s:s, s:i}]}", "instances", "id", "silent", "pid", 8);
	fleet_on_shim_event(w.f, "plcone", 1, "adopted", ev);
	json_decref(ev);
	fake_turn(&w);
	ck_assert_ptr_null(fake_find(&w, "input"));
	report("silent", 2, "prompt"); /* what was typed had been taken */
	ck_assert_int_eq(fake_events(&w, "prompt"), 2);
	report("silent", 3, "stop");
	ck_assert_int_eq(fake_events(&w, "prompt"), 3);
	ck_assert_ptr_nonnull(fake_find(&w, "input"));
	ck_assert_str_eq(json_string_value(json_object_get(fake_find(&w, "input")->params, "text")), "stays");
	fake_answer(&w, "input", json_object());
}
END_TEST

START_TEST(what_was_not_let_out_stands_in_the_detail)
{
	char id[ID_SIZE];
	const struct instance *in;
	struct heard h = {0};

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	in = fleet_get(w.f, id);
	fleet_on_denied(w.f, in->place, json_pack("{s:s, s:i}", "host", "idle.example", "port", 443));
	ck_assert(in->state == ST_IDLE && !in->detail);
	report(id, 3, "prompt");
	fleet_on_denied(w.f, in->place, json_pack("{s:s, s:i}", "host", "api.exa\nmple", "port", 443));
	ck_assert_int_eq(in->state, ST_WORKING);
	ck_assert_ptr_nonnull(strstr(in->detail, "refused its way out to api.exa mple:443"));
	int events = fake_events(&w, "instance.state");
	fleet_on_denied(w.f, in->place, json_pack("{s:s, s:i}", "host", "next.example", "port", 443));
	fleet_on_denied(w.f, in->place, json_pack("{}"));
	ck_assert_int_eq(fake_events(&w, "instance.state"), events);
	ck_assert_int_eq(fake_events(&w, "egress.denied"), 4);
	report(id, 4, "prompt"); /* it goes on */
	ck_assert(!in->detail || !in->detail[0]);
	fleet_on_denied(w.f, "nobody", json_pack("{s:s}", "host", "x"));
	fake_turn(&w);
}
END_TEST

START_TEST(who_ends_is_stuck_no_more)
{
	char id[ID_SIZE];
	struct instance *in;
	struct heard h = {0};

	w.set.stuck_after_ms = 60000;
	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	report(id, 3, "prompt");
	in = fleet_get(w.f, id);
	in->stuck_ms = 5;
	tell(id, 4, "exited", json_pack("{s:i}", "code", 0));
	ck_assert_int_eq(in->state, ST_EXITED);
	ck_assert_int_eq(in->stuck_ms, 0);
	ck_assert_int_eq(fake_events(&w, "instance.stuck"), 1);
}
END_TEST

START_TEST(waiting_for_a_state_answers_or_says_that_it_never_comes)
{
	struct heard h = {0}, a = {0}, b = {0};
	struct err e = {0};
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	ck_assert_ptr_null(fleet_wait(w.f, fleet_get(w.f, id), "nonsense", NULL, -1, done, &a, &e));
	ck_assert_int_eq(e.code, ERR_PARAMS);
	fleet_wait(w.f, fleet_get(w.f, id), "working", NULL, -1, done, &a, &e);
	fleet_wait(w.f, fleet_get(w.f, id), "waiting", NULL, -1, done, &b, &e);
	fake_turn(&w);
	ck_assert_int_eq(a.calls, 0);
	report(id, 3, "prompt");
	ck_assert_int_eq(a.calls, 1);
	tell(id, 4, "exited", json_pack("{s:i}", "code", 0));
	ck_assert_int_eq(b.calls, 1);
	ck_assert_int_eq(b.err.code, ERR_STATE);
}
END_TEST

START_TEST(every_state_has_its_legal_moves)
{
	struct heard h = {0};
	char id[ID_SIZE];
	int before;

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	before = fake_events(&w, "instance.state");
	tell(id, 8, "exited", json_pack("{s:i}", "code", 0));
	ck_assert_int_eq(fake_events(&w, "instance.state"), before + 1);
	report(id, 9, "ready"); /* a late report of the dead changes nothing */
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_EXITED);
	ck_assert_int_eq(fake_events(&w, "instance.state"), before + 1);
}
END_TEST

/* The design's moves, written down once more: from each state (a row) to which. */
static const char *const moves[ST_COUNT] = {
	[ST_QUEUED] = "provisioning stopping failed",
	[ST_PROVISIONING] = "queued starting stopping exited failed lost",
	[ST_STARTING] = "queued provisioning idle working waiting limited stopping exited failed lost",
	[ST_IDLE] = "idle working waiting limited paused asleep stopping exited failed lost",
	[ST_WORKING] = "idle working waiting limited paused asleep stopping exited failed lost",
	[ST_WAITING] = "idle working waiting limited paused asleep stopping exited failed lost",
	[ST_LIMITED] = "idle working waiting limited paused asleep stopping exited failed lost",
	[ST_PAUSED] = "idle working waiting limited stopping exited failed lost",
	[ST_ASLEEP] = "idle working waiting limited provisioning stopping exited failed lost",
	[ST_STOPPING] = "exited failed",
	[ST_EXITED] = "queued",
	[ST_FAILED] = "queued",
	[ST_LOST] = "queued starting idle working waiting limited stopping exited failed",
};

static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += n)
		if ((at == list || at[-1] == ' ') && (!at[n] || at[n] == ' '))
			return true;
	return false;
}

START_TEST(each_pair_of_states_is_allowed_or_refused_as_the_table_says)
{
	struct heard h = {0};
	char id[ID_SIZE];
	struct unit *u;

	spawn_as(NULL, NULL, NULL, "mute", NULL, &h, id, NULL);
	bring_up(id);
	u = unit_find(w.f, id);
	for (int from = 0; from < ST_COUNT; from++)
		for (int to = 0; to < ST_COUNT; to++) {
			bool may = listed(moves[from], state_name((enum inst_state)to));
			size_t living = w.f->living;
			int before = fake_events(&w, "instance.state");
			if (from == to)
				continue;
			ck_assert_msg(move_legal((enum inst_state)from, (enum inst_state)to) == may, "%s to %s",
				state_name((enum inst_state)from), state_name((enum inst_state)to));
			if (state_living((enum inst_state)from) != state_living(u->in->state))
				tree_lives(u, state_living((enum inst_state)from));
			living = w.f->living;
			u->in->state = (enum inst_state)from;
			fleet_apply(u, (enum inst_state)to, "test", NULL);
			ck_assert_int_eq(u->in->state, may ? to : from);
			ck_assert_int_eq(fake_events(&w, "instance.state"), before + may);
			if (!may)
				ck_assert_uint_eq(w.f->living, living);
			ck_assert_uint_eq(w.f->living, state_living(u->in->state));
		}
}
END_TEST

START_TEST(a_policy_starts_again_what_failed_and_not_what_is_killed)
{
	struct heard h = {0}, k = {0};
	char id[ID_SIZE];
	struct instance *in;
	struct err e = {0};

	w.set.again = (struct backoff_rules){.delay_ms = 3600000, .delay_most_ms = 3600000, .calm_ms = 600000,
		.window_ms = 600000, .most = 5};
	spawn_as(NULL, NULL, NULL, "mute", NULL, &h, id, NULL);
	bring_up(id);
	in = fleet_get(w.f, id);
	in->restart = RESTART_ON_FAILURE;
	tell(id, 5, "exited", json_pack("{s:i}", "code", 3));
	ck_assert_int_eq(in->state, ST_QUEUED);
	ck_assert_str_eq(in->reason, "backoff");
	ck_assert(in->again.waits && in->wanted && in->again.tries == 1);
	ck_assert_int_eq(fake_events(&w, "instance.again"), 1);
	let_end(id);
	ck_assert_int_eq(in->state, ST_QUEUED); /* its place is gone; it waits on */
	ck_assert_uint_eq(w.f->living, 1);
	/* down --all that is given up leaves it waiting, with its timer. */
	fleet_close(w.f, true);
	loop_timer_stop(unit_find(w.f, id)->again_timer);
	fleet_close(w.f, false);
	ck_assert(loop_timer_active(unit_find(w.f, id)->again_timer));
	ck_assert_int_eq(fleet_kill(w.f, in, false, false, false, done, &k, &e), 0);
	fake_turn(&w);
	ck_assert_int_eq(k.calls, 1);
	ck_assert_int_eq(in->state, ST_EXITED);
	ck_assert(!in->wanted && !in->again.waits);
}
END_TEST

START_TEST(a_policy_taken_away_ends_the_wait_and_removes_what_was_to_go)
{
	struct heard h = {0};
	char id[ID_SIZE];

	w.set.again = (struct backoff_rules){.delay_ms = 3600000, .delay_most_ms = 3600000, .calm_ms = 600000,
		.window_ms = 600000, .most = 5};
	spawn_as(NULL, NULL, NULL, "mute", NULL, &h, id, NULL);
	bring_up(id);
	fleet_get(w.f, id)->restart = RESTART_ALWAYS;
	unit_find(w.f, id)->remove_after = fleet_get(w.f, id)->rm = true; /* spawn --rm */
	tell(id, 5, "exited", json_pack("{s:i}", "code", 0));
	let_end(id);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_QUEUED);
	fleet_set_restart(w.f, fleet_get(w.f, id), RESTART_NEVER);
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_FAILED);
	ck_assert(!fleet_get(w.f, id)->wanted);
	fake_turn(&w);
	ck_assert_ptr_null(fleet_get(w.f, id));
}
END_TEST

START_TEST(a_row_with_living_children_stays_until_the_last_of_them_ended)
{
	struct heard h = {0}, k = {0};
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0};

	spawn_as(NULL, NULL, "top", "mute", NULL, &h, a, NULL);
	bring_up(a);
	spawn_as(a, NULL, "leaf", "mute", NULL, &h, b, NULL);
	bring_up(b);
	tell(a, 5, "exited", json_pack("{s:i}", "code", 0));
	let_end(a);
	ck_assert_int_eq(fleet_remove(w.f, fleet_get(w.f, a), &e), -1);
	ck_assert_int_eq(e.code, ERR_STATE);
	fleet_get(w.f, a)->rm = true;
	ck_assert_int_eq(fleet_kill(w.f, fleet_get(w.f, a), true, false, true, done, &k, &e), 0);
	let_end(b);
	ck_assert_int_eq(k.calls, 1);
	ck_assert_ptr_null(fleet_get(w.f, b));
	ck_assert_ptr_null(fleet_get(w.f, a));
}
END_TEST

START_TEST(a_restart_counts_against_the_caps_of_all_above)
{
	struct heard h = {0}, k = {0};
	char top[ID_SIZE], mid[ID_SIZE], leaf[ID_SIZE], more[ID_SIZE];
	struct err e = {0};

	spawn_as(NULL, NULL, NULL, "mute", NULL, &h, top, NULL);
	bring_up(top);
	fleet_get(w.f, top)->cap.max_descendants = 2;
	spawn_as(top, NULL, NULL, "mute", NULL, &h, mid, NULL);
	bring_up(mid);
	spawn_as(mid, NULL, NULL, "mute", NULL, &h, leaf, NULL);
	bring_up(leaf);
	fleet_kill(w.f, fleet_get(w.f, mid), true, false, false, done, &k, &e);
	let_end(leaf);
	let_end(mid);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(spawn_as(top, NULL, NULL, "mute", NULL, &h, more, &e), 0);
	ck_assert_int_eq(fleet_restart(w.f, fleet_get(w.f, leaf), &(struct restart_args){.done = done, .arg = &k}, &e), -1);
	ck_assert_int_eq(e.code, ERR_CAP);
	ck_assert_ptr_nonnull(strstr(e.message, "max_descendants"));
}
END_TEST

START_TEST(a_wait_cancelled_between_its_end_and_its_answer_is_not_answered)
{
	struct heard h = {0}, a = {0};
	struct wait_handle *wait;
	char id[ID_SIZE];

	spawn_as(NULL, NULL, NULL, "teller", NULL, &h, id, NULL);
	up(id);
	wait = fleet_wait(w.f, fleet_get(w.f, id), "idle", NULL, -1, done, &a, NULL); /* holds at once */
	fleet_wait_cancel(wait);
	fake_turn(&w);
	ck_assert_int_eq(a.calls, 0);
}
END_TEST

START_TEST(a_child_gets_no_more_than_its_parent_and_no_vm_has_a_child_outside)
{
	struct heard h = {0};
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0};
	struct caller inside = {a}, operator = {NULL};
	struct spawn_args args = {.done = done, .arg = &h};

	spawn_as(NULL, NULL, "a", "mute", NULL, &h, a, NULL);
	fleet_get(w.f, a)->permissions = PERM_ASK;
	args.in = instance_new();
	args.in->driver = xstrdup("vm");
	args.in->dir = xstrdup("/p");
	args.in->permissions = PERM_ALL;
	ck_assert_int_eq(fleet_spawn(w.f, &inside, &args, b, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	args.in = instance_new();
	args.in->driver = xstrdup("vm");
	args.in->dir = xstrdup("/p");
	args.in->permissions = PERM_ASK;
	args.in->memory_mib = 1 << 20;
	ck_assert_int_eq(fleet_spawn(w.f, &inside, &args, b, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	args.in = instance_new();
	args.in->driver = xstrdup("host");
	args.in->dir = xstrdup("/p");
	snprintf(args.in->parent, ID_SIZE, "%s", a);
	ck_assert_int_eq(fleet_spawn(w.f, &operator, &args, b, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
}
END_TEST

TEST_MAIN_FIXTURE("core/fleet", setup, teardown,
	a_row_with_living_children_stays_until_the_last_of_them_ended,
	a_restart_counts_against_the_caps_of_all_above,
	a_wait_cancelled_between_its_end_and_its_answer_is_not_answered,
	a_child_gets_no_more_than_its_parent_and_no_vm_has_a_child_outside,
	a_text_to_wait_for_is_bounded, spawn_returns_when_the_prompt_is_there,
	a_new_shim_that_knows_nothing_yet_is_waited_for,
		first_prompt_by_argument_ends_the_spawn_when_reported,
		mute_program_is_typed_its_first_prompt, an_event_told_twice_counts_once,
		a_prompt_waits_for_the_agent_and_is_typed_once,
		a_prompt_is_given_beside_work_in_the_background, a_report_that_is_told_again_counts_once,
		turns_are_counted_for_each_conversation,
		a_prompt_is_refused_while_a_person_is_asked, kill_answers_when_nothing_is_left,
		kill_of_a_parent_needs_cascade, a_program_that_ends_takes_its_place_along,
		a_program_that_ends_too_early_fails_the_spawn_with_its_code,
		a_place_that_cannot_be_made_is_undone,
		a_place_that_does_not_boot_is_tried_again_then_given_up,
		a_caller_that_gives_up_undoes_the_spawn_at_every_step,
		the_socket_decides_who_the_parent_is,
		a_child_may_not_leave_its_parents_place_folder_or_hosts,
		the_cap_of_children_holds_and_is_given_back,
		caps_of_fleet_depth_rate_and_descendants_hold,
		names_are_unique_among_the_living_and_resolve_in_order,
		an_event_from_another_place_is_ignored, a_shim_that_cannot_begin_is_given_up, a_lost_shim_is_replaced_while_the_agent_lives,
		a_place_that_dies_leaves_its_instance_lost_and_restartable,
		a_restart_adopts_the_living_undoes_the_half_done_and_ends_the_unowned,
		a_start_of_which_nothing_ran_begins_again_once,
		a_place_that_does_not_tell_what_it_holds_is_lost_until_it_does,
		what_is_queued_outlives_a_place_that_does_not_answer_for_a_while, who_ends_is_stuck_no_more,
		what_was_not_let_out_stands_in_the_detail,
		a_text_is_watched_from_when_there_is_a_screen,
		waiting_for_a_state_answers_or_says_that_it_never_comes,
		every_state_has_its_legal_moves, each_pair_of_states_is_allowed_or_refused_as_the_table_says,
		a_policy_starts_again_what_failed_and_not_what_is_killed,
		a_policy_taken_away_ends_the_wait_and_removes_what_was_to_go)
