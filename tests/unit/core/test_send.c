/* SPDX-License-Identifier: ISC */
/* Sending: keys of idempotency, raw bytes beside prompts, pieces, what a lost shim and a new daemon know. */
#include <inttypes.h>

#include "base/clock.h"
#include "daemon/core/fleet_int.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/run.h"

static struct fake_world w;
static char id[ID_SIZE];

struct heard {
	int calls;
	struct err err;
	enum prompt_status status;
	char key[KEY_SIZE];
};

static void prompt_done(void *arg, const struct prompt *p, const struct err *e)
{
	struct heard *h = arg;

	h->calls++;
	h->err = e ? *e : (struct err){0};
	h->status = p->status;
	memcpy(h->key, p->key, KEY_SIZE);
}

static void spawned(void *arg, const struct instance *in, const struct err *e)
{
	struct heard *h = arg;

	(void)in;
	if (!h)
		return;
	h->calls++;
	h->err = e ? *e : (struct err){0};
}

static int spawn(struct fake_world *to, const char *agent, const char *key, const char *digest, struct heard *h,
	char *ret, struct err *e)
{
	struct instance *in = instance_new();
	struct caller who = {NULL};
	struct spawn_args a = {.in = in, .wait = true, .key = key, .digest = digest, .done = spawned, .arg = h};

	in->driver = xstrdup("vm");
	in->agent = xstrdup(agent);
	in->dir = xstrdup("/p");
	in->cap = to->set.default_cap;
	return fleet_spawn(to->f, &who, &a, ret, e);
}

static void tell(uint64_t seq, const char *type, json_t *ev)
{
	json_object_set_new(ev, "instance", json_string(id));
	fleet_on_shim_event(w.f, fleet_get(w.f, id)->place, seq, type, ev);
	json_decref(ev);
	fake_turn(&w);
}

static void up(void)
{
	json_t *hello = json_pack("{s:i, s:{s:i, s:b}, s:b, s:[]}", "shim_pid", 100, "holder", "pid", 101, "running", 1,
		"link", 0, "instances");

	fake_turn(&w);
	fleet_on_hello(w.f, fleet_get(w.f, id)->place, hello);
	json_decref(hello);
	fake_turn(&w);
	tell(1, "link_up", json_object());
	fake_answer(&w, "setup", json_object());
	fake_answer(&w, "run", json_pack("{s:i}", "pid", 7));
}

static void start(const char *agent)
{
	ck_assert_int_eq(spawn(&w, agent, NULL, NULL, NULL, id, NULL), 0);
	up();
	if (!strcmp(agent, "teller"))
		tell(2, "report", json_pack("{s:{s:s}}", "body", "event", "ready"));
}

static int try_send(enum prompt_mode mode, const char *text, size_t len, const char *key, struct heard *h, struct err *e)
{
	struct send_args a = {.mode = mode, .text = text, .len = len, .key = key, .timeout_ms = 60000, .done = prompt_done,
		.arg = h};
	int r = fleet_send(w.f, fleet_get(w.f, id), &a, e);

	fake_turn(&w);
	return r;
}

static int send(const char *text, const char *key, struct heard *h, struct err *e)
{
	return try_send(PM_PASTE, text, strlen(text), key, h, e);
}

static void setup(void)
{
	fake_init(&w);
	w.keep_prompts = true;
}

static void teardown(void)
{
	fake_finish(&w);
}

START_TEST(a_key_answers_while_it_is_under_way_and_after)
{
	struct heard a = {0}, b = {0}, c = {0};
	struct err e = {0};

	start("mute");
	ck_assert_int_eq(send("text", "k", &a, &e), 0);
	ck_assert_int_eq(send("text", "k", &b, &e), 0);
	ck_assert_int_eq(w.kept->status, PR_DELIVERING);
	fake_answer(&w, "input", json_pack("{s:i}", "taken", 4));
	ck_assert_ptr_null(fake_find(&w, "input")); /* typed once */
	ck_assert_int_eq(a.calls + b.calls, 2);
	ck_assert_int_eq(send("text", "k", &c, &e), 0);
	ck_assert_int_eq(c.calls, 1);
	ck_assert_int_eq(c.status, PR_DELIVERED);
	ck_assert_ptr_null(fake_find(&w, "input"));
	ck_assert_int_eq(send("other", "k", &c, &e), -1);
	ck_assert_int_eq(e.code, ERR_EXISTS);
	ck_assert_int_eq(try_send(PM_RAW, "text", 4, "k", &c, &e), -1);
	ck_assert_int_eq(c.calls, 1);
}
END_TEST

START_TEST(a_failure_is_told_again_with_its_words)
{
	struct heard a = {0}, b = {0};

	start("mute");
	send("text", "k", &a, NULL);
	fake_answer(&w, "input", json_pack("{s:i, s:{s:s, s:s, s:s}}", "taken", 3, "error", "code", "timeout", "message",
					 "took 3 of 4", "hint", "look"));
	ck_assert_int_eq(a.err.code, ERR_TIMEOUT);
	ck_assert_str_eq(a.err.message, "took 3 of 4");
	ck_assert_int_eq(a.status, PR_FAILED);
	send("text", "k", &b, NULL);
	ck_assert_int_eq(b.err.code, ERR_TIMEOUT);
	ck_assert_str_eq(b.err.message, "took 3 of 4");
}
END_TEST

START_TEST(a_shim_that_dies_half_way_makes_it_unknown)
{
	struct heard a = {0}, b = {0};

	start("mute");
	send("text", NULL, &a, NULL);
	fake_refuse(&w, "input", ERR_UNREACHABLE);
	ck_assert_int_eq(a.status, PR_UNKNOWN);
	ck_assert_int_eq(a.err.code, ERR_UNAVAILABLE);
	/* What it refused was never typed. */
	send("text", NULL, &b, NULL);
	fake_refuse(&w, "input", ERR_STATE);
	ck_assert_int_eq(b.status, PR_FAILED);
}
END_TEST

START_TEST(half_a_text_does_not_stand_before_the_next)
{
	struct heard a = {0}, b = {0}, c = {0};

	start("mute");
	send("text", NULL, &a, NULL);
	fake_refuse(&w, "input", ERR_UNREACHABLE);
	ck_assert_int_eq(a.status, PR_UNKNOWN);
	ck_assert_ptr_null(fake_find(&w, "key"));
	/* Raw bytes are what a person would press: nothing is added to them. */
	try_send(PM_RAW, "r", 1, NULL, &b, NULL);
	ck_assert_ptr_null(fake_find(&w, "key"));
	fake_answer(&w, "input", json_pack("{s:i}", "taken", 1));
	send("next", NULL, &c, NULL);
	ck_assert_ptr_nonnull(fake_find(&w, "key"));
	fake_answer(&w, "key", json_object());
	fake_answer(&w, "input", json_pack("{s:i}", "taken", 4));
	ck_assert_int_eq(c.status, PR_DELIVERED);
	/* Once. */
	send("more", NULL, &c, NULL);
	ck_assert_ptr_null(fake_find(&w, "key"));
	fake_answer(&w, "input", json_pack("{s:i}", "taken", 4));
}
END_TEST

START_TEST(raw_bytes_and_keys_do_not_wait_for_prompts)
{
	struct heard p = {0}, r = {0}, k = {0};

	start("teller");
	send("prompt", NULL, &p, NULL);
	fake_answer(&w, "input", json_object()); /* typed, not reported yet */
	send("second", NULL, &p, NULL);
	ck_assert_ptr_null(fake_find(&w, "input"));
	try_send(PM_RAW, "a\0b", 3, NULL, &r, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(fake_find(&w, "input")->params, "data")), "YQBi");
	ck_assert_str_eq(json_string_value(json_object_get(fake_find(&w, "input")->params, "mode")), "raw");
	fake_answer(&w, "input", json_object());
	ck_assert_int_eq(r.calls, 1);
	try_send(PM_KEYS, "[\"C-c\"]", 7, NULL, &k, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(fake_find(&w, "input")->params, "keys")), 1);
	fake_answer(&w, "input", json_object());
	ck_assert_int_eq(k.calls, 1);
	ck_assert_int_eq(p.calls, 0);
	tell(3, "report", json_pack("{s:{s:s}}", "body", "event", "prompt"));
	ck_assert_int_eq(p.calls, 1);
}
END_TEST

START_TEST(a_large_text_goes_in_pieces_of_whole_characters)
{
	size_t len = 3 * 100000, got = 0;
	char *text = xcalloc(1, len + 1);
	struct heard h = {0};
	size_t calls;

	for (size_t i = 0; i < len; i += 3)
		memcpy(text + i, "\xe6\x97\xa5", 3);
	start("mute");
	calls = w.ncalls;
	send(text, NULL, &h, NULL);
	for (size_t i = calls; i < w.ncalls; i++) {
		const json_t *part = json_object_get(w.call[i].params, "text");

		ck_assert_str_eq(w.call[i].method, "input");
		ck_assert_int_eq(json_integer_value(json_object_get(w.call[i].params, "part")), (json_int_t)(i - calls));
		ck_assert_int_eq(json_is_true(json_object_get(w.call[i].params, "more")), i + 1 < w.ncalls);
		ck_assert_uint_le(json_string_length(part), SEND_PART);
		ck_assert_mem_eq(json_string_value(part), text + got, json_string_length(part));
		got += json_string_length(part);
	}
	ck_assert_uint_eq(got, len);
	fake_answer(&w, "input", json_object());
	ck_assert_int_eq(h.status, PR_DELIVERED);
	free(text);
}
END_TEST

/* A second daemon over the same rows, whose shim is the same one, or another. */
static void next_daemon_of(struct fake_world *next, int shim_pid, const char *agent, enum inst_state state,
	enum prompt_status status)
{
	struct instance *in = instance_new();
	struct place *pl = place_new();
	struct prompt *p = xcalloc(1, sizeof(*p));
	json_t *hello;

	fake_init(next);
	next->set.broken_ms = 50;
	memcpy(in->id, "aaaaaa", ID_SIZE);
	memcpy(in->place, "plcone", ID_SIZE);
	in->driver = xstrdup("vm");
	in->agent = xstrdup(agent);
	in->state = state;
	in->starts = 1;
	memcpy(pl->id, "plcone", ID_SIZE);
	pl->driver = xstrdup("vm");
	pl->state = PL_UP;
	pl->shim_pid = 100;
	pl->boot = xstrdup(boot_id());
	prompt_set(p, PM_PASTE, "text", 4);
	strcpy(p->key, "k");
	memcpy(p->instance, "aaaaaa", ID_SIZE);
	p->status = status;
	p->awaits = status == PR_DELIVERED;
	p->reason = xstrdup("shim 100");
	fleet_load_place(next->f, pl);
	fleet_load_instance(next->f, in);
	fleet_load_prompt(next->f, p);
	fleet_reconcile(next->f);
	fake_turn(next);
	hello = json_pack("{s:i, s:{s:i, s:b}, s:b, s:[{s:s, s:i, s:b, s:n}]}", "shim_pid", shim_pid, "holder", "pid", 101,
		"running", 1, "link", 1, "instances", "id", "aaaaaa", "pid", 7, "running", 1, "exit");
	fleet_on_hello(next->f, "plcone", hello);
	json_decref(hello);
	fake_turn(next);
}

static void next_daemon(struct fake_world *next, int shim_pid)
{
	next_daemon_of(next, shim_pid, "mute", ST_WORKING, PR_DELIVERING);
}

START_TEST(a_new_daemon_asks_the_shim_what_became_of_a_text)
{
	struct fake_world next;

	next_daemon(&next, 100);
	ck_assert_ptr_null(fake_find(&next, "input"));
	fake_answer(&next, "typed", json_pack("{s:i}", "taken", 4));
	ck_assert_ptr_null(fake_find(&next, "input"));
	ck_assert_int_eq(fake_events(&next, "prompt"), 1);
	fake_finish(&next);
	/* It was never handed over whole: it is typed now. */
	next_daemon(&next, 100);
	fake_refuse(&next, "typed", ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(fake_find(&next, "input"));
	fake_answer(&next, "input", json_object());
	fake_finish(&next);
	/* Another shim knows nothing: it is not typed again. */
	next_daemon(&next, 200);
	ck_assert_ptr_null(fake_find(&next, "typed"));
	ck_assert_ptr_null(fake_find(&next, "input"));
	ck_assert_int_eq(fake_events(&next, "prompt"), 1);
	fake_finish(&next);
}
END_TEST

START_TEST(a_new_daemon_presses_the_enter_that_was_swallowed)
{
	static const enum inst_state states[] = {ST_IDLE, ST_WAITING};
	struct fake_world next;

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		next_daemon_of(&next, 100, "teller", states[i], PR_DELIVERING);
		fake_answer(&next, "typed", json_pack("{s:i}", "taken", 4));
		ck_assert_ptr_null(fake_find(&next, "input"));
		for (int64_t end = clock_mono_ms() + 2 * ENTER_AGAIN_MS; !fake_find(&next, "key") && clock_mono_ms() < end;)
			loop_turn(next.port.loop, ENTER_AGAIN_MS / 4);
		/* Where the agent asks something it would be an answer. */
		ck_assert_int_eq(fake_find(&next, "key") != NULL, states[i] == ST_IDLE);
		ck_assert_ptr_null(fake_find(&next, "input"));
		fake_finish(&next);
	}
}
END_TEST

static int under_way(void)
{
	int n = 0;

	for (size_t i = 0; i < w.ncalls; i++)
		n += !w.call[i].answered && w.call[i].fn && !strcmp(w.call[i].method, "input");
	return n;
}

START_TEST(a_shim_has_a_few_at_once)
{
	static char big[SEND_MAX - 1000];
	struct heard h = {0};
	char key[8];

	start("mute");
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_int_eq(try_send(PM_RAW, "x", 1, key, &h, NULL), 0);
	}
	ck_assert_int_eq(under_way(), INPUTS_AT_ONCE);
	for (int i = 1; i <= 40; i++) {
		fake_answer(&w, "input", json_pack("{s:i}", "taken", 1));
		ck_assert_int_eq(h.calls, i);
		ck_assert_int_eq(under_way(), 40 - i < INPUTS_AT_ONCE ? 40 - i : INPUTS_AT_ONCE);
	}
	/* Every one tells which outcomes are still to be kept: none that is settled. */
	try_send(PM_RAW, "x", 1, "last", &h, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(fake_find(&w, "input")->params, "keep")), 1);
	fake_answer(&w, "input", json_object());
	memset(big, 'b', sizeof(big));
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(try_send(PM_RAW, big, sizeof(big), NULL, &h, NULL), 0);
	ck_assert_int_eq(under_way(), 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(under_way(), 1);
		fake_answer(&w, "input", json_object());
	}
	ck_assert_int_eq(h.calls, 44);
	ck_assert_int_eq(under_way(), 0);
}
END_TEST

START_TEST(a_shim_without_room_is_tried_again)
{
	static const enum err_code codes[] = {ERR_BUSY, ERR_UNAVAILABLE};
	struct heard h = {0};

	start("mute");
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		try_send(PM_RAW, "x", 1, i ? "b" : "a", &h, NULL);
		fake_refuse(&w, "input", codes[i]);
		ck_assert_int_eq(w.kept->status, PR_QUEUED);
		ck_assert_ptr_null(fake_find(&w, "input"));
		while (!fake_find(&w, "input")) {
			loop_turn(w.port.loop, -1);
			fake_turn(&w);
		}
		fake_answer(&w, "input", json_object());
		ck_assert_int_eq(h.calls, (int)i + 1);
		ck_assert_int_eq(h.status, PR_DELIVERED);
	}
}
END_TEST

START_TEST(a_retry_types_what_was_not_typed)
{
	struct heard h = {0};
	struct err e = {0};

	start("mute");
	send("text", "k", &h, NULL);
	fake_answer(&w, "input", json_pack("{s:i, s:{s:s, s:s, s:b}}", "taken", 0, "error", "code", "timeout", "message",
					 "nothing was typed", "retryable", 1));
	ck_assert_int_eq(h.status, PR_FAILED);
	ck_assert_int_eq(send("text", "k", &h, &e), 0);
	fake_answer(&w, "input", json_pack("{s:i}", "taken", 4));
	ck_assert_int_eq(h.calls, 2);
	ck_assert_int_eq(h.status, PR_DELIVERED);
	/* Nobody can tell: it is not typed again. */
	send("other", "l", &h, NULL);
	fake_answer(&w, "input", json_pack("{s:i, s:{s:s, s:s, s:b}}", "taken", 0, "error", "code", "timeout", "message",
					 "at least 0", "retryable", 0));
	send("other", "l", &h, NULL);
	ck_assert_ptr_null(fake_find(&w, "input"));
	ck_assert_int_eq(h.calls, 4);
}
END_TEST

START_TEST(a_spawn_by_key_starts_one_and_every_caller_hears)
{
	struct heard a = {0}, b = {0}, c = {0};
	char again[ID_SIZE];
	struct err e = {0};

	ck_assert_int_eq(spawn(&w, "mute", "s", "d1", &a, id, &e), 0);
	fake_turn(&w);
	/* Its caller loses the connection: nothing is undone, it will ask again. */
	ck_assert(fleet_cancel(w.f, id, &a));
	ck_assert_int_eq(spawn(&w, "mute", "s", "d1", &b, again, &e), 0);
	ck_assert_str_eq(again, id);
	ck_assert_int_eq(spawn(&w, "mute", "s", "d2", &b, again, &e), -1);
	ck_assert_int_eq(e.code, ERR_EXISTS);
	up();
	ck_assert_int_eq(a.calls, 0);
	ck_assert_int_eq(b.calls, 1);
	ck_assert_int_eq(b.err.code, 0);
	ck_assert_int_eq(spawn(&w, "mute", "s", "d1", &c, again, &e), 0);
	fake_turn(&w);
	ck_assert_int_eq(c.calls, 1);
	ck_assert_uint_eq(fleet_count(w.f), 1);
	ck_assert_int_eq(w.makes, 1);
}
END_TEST

/* ---- their end ---- */

static int send_so(const char *text, const char *key, enum prompt_way way, enum prompt_until until, struct heard *h)
{
	struct send_args a = {.text = text, .len = strlen(text), .key = key, .way = way, .until = until, .stays = true,
		.timeout_ms = -1, .done = prompt_done, .arg = h};
	int r = fleet_send(w.f, fleet_get(w.f, id), &a, &h->err);

	fake_turn(&w);
	return r;
}

static uint64_t seq;

static void reports(const char *event, const char *said)
{
	json_t *body = json_object();

	if (said)
		json_object_set_new(body, "said", json_string(said));
	tell(++seq, "report", json_pack("{s:{s:s, s:o}}", "body", "event", event, "body", body));
}

static void take(const char *text)
{
	ck_assert_ptr_nonnull(fake_find(&w, "input"));
	ck_assert_str_eq(json_string_value(json_object_get(fake_find(&w, "input")->params, "text")), text);
	fake_answer(&w, "input", json_object());
	reports("prompt", NULL);
}

static void teller(void)
{
	start("teller");
	seq = 2;
}

START_TEST(the_end_of_a_turn_answers_all_that_was_delivered)
{
	struct heard a = {0}, b = {0}, c = {0};

	teller();
	send_so("one", "a", PW_ORDER, UNTIL_ANSWERED, &a);
	take("one");
	ck_assert_int_eq(a.calls, 0);
	send_so("three", "c", PW_ORDER, UNTIL_ANSWERED, &c);
	ck_assert_ptr_null(fake_find(&w, "input")); /* in its order */
	send_so("two", "b", PW_MERGE, UNTIL_ANSWERED, &b);
	take("two");
	reports("stop", "done");
	ck_assert_int_eq(a.calls, 1);
	ck_assert_int_eq(a.status, PR_ANSWERED);
	ck_assert_int_eq(b.calls, 0); /* it may have the next turn to itself */
	ck_assert_ptr_null(fake_find(&w, "input"));
	reports("stop", "done, too");
	ck_assert_int_eq(b.calls, 1);
	ck_assert_int_eq(b.status, PR_ANSWERED);
	ck_assert_int_eq(c.calls, 0);
	take("three");
	reports("fail", NULL);
	ck_assert_int_eq(c.status, PR_FAILED);
	ck_assert_int_eq(c.err.code, ERR_FAILED);
	ck_assert_int_gt(w.kept->delivered_ms, 0);
}
END_TEST

START_TEST(an_end_in_the_background_is_not_the_last_word)
{
	struct heard a = {0}, b = {0};

	teller();
	send_so("one", "a", PW_ORDER, UNTIL_ANSWERED, &a);
	take("one");
	reports("background", "for now");
	ck_assert_int_eq(a.calls, 0);
	ck_assert_str_eq(w.kept->answer, "for now");
	reports("stop", "at last");
	ck_assert_int_eq(a.calls, 1);
	ck_assert_str_eq(w.kept->answer, "at last");
	/* A program that ends leaves what it said. */
	send_so("two", "b", PW_ORDER, UNTIL_ANSWERED, &b);
	take("two");
	reports("background", "so far");
	tell(++seq, "exited", json_pack("{s:i, s:i}", "code", -1, "signal", 9));
	ck_assert_int_eq(b.status, PR_ANSWERED);
	ck_assert_str_eq(w.kept->answer, "so far");
}
END_TEST

START_TEST(a_program_that_ends_answers_nobody)
{
	struct heard a = {0}, b = {0};

	teller();
	send_so("one", "a", PW_ORDER, UNTIL_ANSWERED, &a);
	take("one");
	send_so("two", "b", PW_ORDER, UNTIL_QUEUED, &b);
	ck_assert_int_eq(b.calls, 1);
	ck_assert_int_eq(b.status, PR_QUEUED);
	ck_assert_int_eq(b.err.code, 0);
	tell(++seq, "exited", json_pack("{s:i, s:i}", "code", -1, "signal", 9));
	ck_assert_int_eq(a.status, PR_FAILED);
	ck_assert_ptr_nonnull(strstr(a.err.message, "signal 9"));
}
END_TEST

START_TEST(now_interrupts_once_and_goes_ahead)
{
	struct heard a = {0}, b = {0}, c = {0};
	const json_t *keys;

	teller();
	send_so("one", "a", PW_ORDER, UNTIL_ANSWERED, &a);
	take("one");
	send_so("two", "b", PW_ORDER, UNTIL_ANSWERED, &b);
	send_so("three", "c", PW_NOW, UNTIL_ANSWERED, &c);
	ck_assert_ptr_nonnull(fake_find(&w, "input"));
	keys = json_object_get(fake_find(&w, "input")->params, "keys");
	ck_assert_str_eq(json_string_value(json_array_get(keys, 0)), "Escape");
	fake_answer(&w, "input", json_object());
	ck_assert_ptr_null(fake_find(&w, "input")); /* pressed once; the text waits until it stands at its prompt */
	reports("broken", NULL);
	ck_assert_int_eq(a.calls, 0); /* a report of its end may be on its way */
	take("three");
	ck_assert_int_eq(a.calls, 1);
	ck_assert_int_eq(a.status, PR_FAILED);
	ck_assert_int_eq(a.err.code, ERR_CANCELLED);
	reports("stop", "ahead");
	ck_assert_int_eq(c.status, PR_ANSWERED);
	take("two");
	reports("stop", "then");
	ck_assert_int_eq(b.status, PR_ANSWERED);
}
END_TEST

static void until_typed(struct fake_world *of)
{
	while (!fake_find(of, "input")) {
		loop_turn(of->port.loop, -1);
		fake_turn(of);
	}
}

START_TEST(an_interrupt_beside_a_shell_in_the_background_ends_its_turn)
{
	struct heard a = {0}, b = {0}, c = {0}, d = {0};

	w.set.broken_ms = 50;
	teller();
	send_so("one", "a", PW_ORDER, UNTIL_ANSWERED, &a);
	take("one");
	send_so("two", "b", PW_ORDER, UNTIL_ANSWERED, &b);
	reports("shell", NULL);
	until_typed(&w);
	ck_assert_int_eq(a.status, PR_FAILED);
	take("two");
	/* One that merged, whose own turn never comes. */
	send_so("three", "c", PW_MERGE, UNTIL_ANSWERED, &c);
	take("three");
	send_so("four", "d", PW_ORDER, UNTIL_ANSWERED, &d);
	reports("background", "for now");
	ck_assert_int_eq(b.calls, 0);
	ck_assert_ptr_null(fake_find(&w, "input"));
	until_typed(&w);
	ck_assert_int_eq(c.calls, 0); /* better words may come */
	take("four");
	ck_assert_int_eq(b.status, PR_ANSWERED);
	ck_assert_int_eq(c.status, PR_ANSWERED);
}
END_TEST

START_TEST(a_turn_that_was_interrupted_before_a_restart_ends)
{
	struct fake_world next;
	struct send_args more = {.text = "more", .len = 4, .key = "m", .stays = true, .timeout_ms = -1};

	next_daemon_of(&next, 100, "teller", ST_IDLE, PR_DELIVERED);
	ck_assert_int_eq(fleet_send(next.f, fleet_get(next.f, "aaaaaa"), &more, NULL), 0);
	fake_turn(&next);
	ck_assert_ptr_null(fake_find(&next, "input")); /* a report may be behind it yet */
	until_typed(&next);
	fake_answer(&next, "input", json_object());
	fake_finish(&next);
}
END_TEST

static void limited(int64_t until)
{
	tell(++seq, "report", json_pack("{s:{s:s, s:{s:I}}}", "body", "event", "limit", "body", "until", (json_int_t)until));
}

START_TEST(who_is_limited_again_with_the_same_moment_goes_on_later)
{
	const struct instance *in;
	int64_t until = clock_wall_ms() + 100;

	w.set.resume_limited = true;
	w.set.resume_spread_ms = 1;
	teller();
	in = fleet_get(w.f, id);
	limited(until);
	ck_assert_int_eq(in->limited_until_ms, until);
	until_typed(&w);
	take("continue");
	limited(until);
	ck_assert_int_eq(in->state, ST_LIMITED);
	ck_assert_int_gt(in->limited_until_ms, clock_wall_ms());
	limited(clock_wall_ms() + 100);
	until_typed(&w);
	take("continue");
	ck_assert_int_eq(in->state, ST_WORKING);
}
END_TEST

START_TEST(who_cannot_be_told_to_go_on_stays_limited)
{
	const struct instance *in;
	struct heard h = {0};
	int64_t until = clock_wall_ms() + 100;
	char key[KEY_SIZE];

	w.set.resume_limited = true;
	w.set.resume_spread_ms = 1;
	teller();
	in = fleet_get(w.f, id);
	/* What was sent under the very key answers it: nothing is typed. */
	snprintf(key, sizeof(key), "%s/limit-%" PRId64 "-0", id, until);
	send("continue", key, &h, NULL);
	take("continue");
	reports("stop", "done");
	limited(until);
	while (in->limited_until_ms == until) {
		loop_turn(w.port.loop, -1);
		fake_turn(&w);
	}
	ck_assert_int_eq(in->state, ST_LIMITED);
	ck_assert_int_gt(in->limited_until_ms, clock_wall_ms());
}
END_TEST

START_TEST(what_waits_can_be_taken_back)
{
	struct heard a = {0}, b = {0};
	struct err e = {0};

	teller();
	send_so("one", "a", PW_ORDER, UNTIL_ANSWERED, &a);
	take("one");
	send_so("two", "b", PW_ORDER, UNTIL_ANSWERED, &b);
	ck_assert_int_eq(fleet_prompt_cancel(w.f, fleet_get(w.f, id), "a", &e), -1);
	ck_assert_int_eq(e.code, ERR_STATE);
	ck_assert_int_eq(fleet_prompt_cancel(w.f, fleet_get(w.f, id), "b", &e), 0);
	fake_turn(&w);
	ck_assert_int_eq(b.status, PR_FAILED);
	ck_assert_int_eq(b.err.code, ERR_CANCELLED);
	send_so("two", "b", PW_ORDER, UNTIL_ANSWERED, &b); /* a retry under its key types nothing either */
	ck_assert_int_eq(b.calls, 2);
	reports("stop", "done");
	ck_assert_ptr_null(fake_find(&w, "input"));
}
END_TEST

START_TEST(so_many_wait_and_no_more)
{
	struct heard h = {0};
	char key[16];

	teller();
	send_so("one", "a", PW_ORDER, UNTIL_QUEUED, &h);
	take("one");
	for (int i = 1; i < 64; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_int_eq(send_so("more", key, PW_ORDER, UNTIL_QUEUED, &h), 0);
	}
	ck_assert_int_eq(send_so("more", "over", PW_ORDER, UNTIL_QUEUED, &h), -1);
	ck_assert_int_eq(h.err.code, ERR_BUSY);
}
END_TEST

START_TEST(nobody_waits_for_the_end_of_a_shells_line)
{
	struct heard h = {0};

	start("mute");
	ck_assert_int_eq(send_so("text", "k", PW_ORDER, UNTIL_ANSWERED, &h), -1);
	ck_assert_int_eq(h.err.code, ERR_STATE);
}
END_TEST

START_TEST(keys_have_a_form)
{
	ck_assert(key_valid("a-Z_0.9:x"));
	ck_assert(!key_valid(""));
	ck_assert(!key_valid("a/b"));
	ck_assert(!key_valid("a b"));
	ck_assert(!key_valid("0123456789012345678901234567890123456789012345678901234567890123x"));
	ck_assert_str_eq(key_shown("ab12cd/k"), "k");
	ck_assert_str_eq(key_shown("k"), "k");
}
END_TEST

TEST_MAIN_FIXTURE("core/send", setup, teardown, a_key_answers_while_it_is_under_way_and_after,
	a_failure_is_told_again_with_its_words, a_shim_that_dies_half_way_makes_it_unknown,
	half_a_text_does_not_stand_before_the_next,
	raw_bytes_and_keys_do_not_wait_for_prompts, a_large_text_goes_in_pieces_of_whole_characters,
	a_shim_has_a_few_at_once, a_shim_without_room_is_tried_again, a_retry_types_what_was_not_typed,
	a_new_daemon_asks_the_shim_what_became_of_a_text,
	a_new_daemon_presses_the_enter_that_was_swallowed, a_spawn_by_key_starts_one_and_every_caller_hears,
	the_end_of_a_turn_answers_all_that_was_delivered, an_end_in_the_background_is_not_the_last_word,
	a_program_that_ends_answers_nobody, now_interrupts_once_and_goes_ahead,
	an_interrupt_beside_a_shell_in_the_background_ends_its_turn, a_turn_that_was_interrupted_before_a_restart_ends,
	who_is_limited_again_with_the_same_moment_goes_on_later, who_cannot_be_told_to_go_on_stays_limited,
	what_waits_can_be_taken_back,
	so_many_wait_and_no_more, nobody_waits_for_the_end_of_a_shells_line, keys_have_a_form)
