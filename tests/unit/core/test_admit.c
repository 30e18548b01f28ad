/* SPDX-License-Identifier: ISC */
/* Who goes next, whether there is room, and how the fleet waits: line, room, and admission over a fake world. */
#include "daemon/core/fleet_int.h"
#include "daemon/core/room.h"
#include "tests/unit/core/fake_world.h"
#include "tests/unit/run.h"

static struct fake_world w;
static struct host_room host;
static struct start_need need;
static int looks, weighed;

struct heard {
	int calls;
	struct err err;
	enum inst_state state;
};

static void done(void *arg, const struct instance *in, const struct err *e)
{
	struct heard *h = arg;

	h->calls++;
	if (e)
		h->err = *e;
	if (in)
		h->state = in->state;
}

static void host_look(void *ctx, struct host_room *ret)
{
	(void)ctx;
	looks++;
	*ret = host;
}

static void start_need(void *ctx, const struct instance *in, struct start_need *ret)
{
	(void)ctx;
	*ret = need;
	ret->memory_mib += in->memory_mib;
}

static void weigh(void *ctx, const struct memory_holder *held, size_t n, port_weighed_fn *fn, void *arg)
{
	struct memory_use use = {.mib = 77};

	(void)ctx;
	weighed++;
	ck_assert_int_gt(n, 0);
	memcpy(use.id, held[0].id, sizeof(use.id));
	fn(arg, &use, 1);
}

static void setup(void)
{
	fake_init(&w);
	w.port.host_look = host_look;
	w.port.start_need = start_need;
	w.port.memory_weigh = weigh;
	w.set.default_cap = (struct cap){CAP_UNLIMITED, CAP_UNLIMITED, CAP_UNLIMITED, CAP_UNLIMITED, CAP_UNLIMITED,
		CAP_UNLIMITED, CAP_UNLIMITED};
	w.set.max_instances = CAP_UNLIMITED;
	w.set.pressure_high = 20;
	w.set.pressure_low = 5;
	host = (struct host_room){-1, -1, false, -1, -1, -1, -1, -1, -1};
	need = (struct start_need){.weight = 1};
	looks = weighed = 0;
}

static void teardown(void)
{
	fake_finish(&w);
}

/* ---- the line ---- */

struct waiting {
	struct line_entry e;
	char name[8];
};

static void join(struct line *l, struct waiting *x, const char *name, const char *parent, int64_t no)
{
	snprintf(x->name, sizeof(x->name), "%s", name);
	line_add(l, &x->e, parent, no);
}

static void name_it(void *arg, struct line_entry *e)
{
	char *out = arg;

	strcat(strcat(out, container_of(e, struct waiting, e)->name), " ");
}

static const char *order(struct line *l)
{
	static char out[512];

	out[0] = '\0';
	line_each(l, name_it, out);
	return out;
}

START_TEST(the_operators_go_first_and_parents_take_turns)
{
	struct line l = {0};
	struct waiting x[9] = {0};
	char taken[64] = "";

	ck_assert_ptr_null(line_head(&l));
	join(&l, &x[0], "a1", "aaaaaa", 1);
	join(&l, &x[1], "a2", "aaaaaa", 2);
	join(&l, &x[2], "a3", "aaaaaa", 3);
	ck_assert_int_eq(line_place_of_new(&l, "bbbbbb"), 2);
	join(&l, &x[3], "b1", "bbbbbb", 4);
	ck_assert_int_eq(line_place_of_new(&l, "bbbbbb"), 4);
	join(&l, &x[4], "b2", "bbbbbb", 5);
	ck_assert_int_eq(line_place_of_new(&l, ""), 1);
	join(&l, &x[5], "o1", "", 6);
	ck_assert_int_eq(line_place_of_new(&l, "cccccc"), 4);
	join(&l, &x[6], "c1", "cccccc", 7);
	ck_assert_str_eq(order(&l), "o1 a1 b1 c1 a2 b2 a3 ");
	line_number(&l);
	ck_assert_int_eq(x[2].e.place, 7);
	ck_assert_int_eq(x[6].e.place, 4);
	while (line_head(&l)) { /* going ahead one by one gives that very order */
		struct line_entry *e = line_head(&l);
		name_it(taken, e);
		line_take(&l, e);
	}
	ck_assert_str_eq(taken, "o1 a1 b1 c1 a2 b2 a3 ");
	ck_assert_uint_eq(l.count, 0);
	line_finish(&l);
}
END_TEST

START_TEST(leaving_the_middle_and_coming_back_where_it_was)
{
	struct line l = {0};
	struct waiting x[5] = {0};

	for (int i = 0; i < 4; i++) {
		char name[8];
		snprintf(name, sizeof(name), "o%d", i);
		join(&l, &x[i], name, "", i + 1);
	}
	line_drop(&l, &x[1].e);
	line_drop(&l, &x[1].e); /* it is not there any more */
	ck_assert_str_eq(order(&l), "o0 o2 o3 ");
	join(&l, &x[1], "o1", "", 2);
	ck_assert_str_eq(order(&l), "o0 o1 o2 o3 ");
	line_drop(&l, &x[0].e);
	join(&l, &x[0], "o0", "", 1);
	ck_assert_str_eq(order(&l), "o0 o1 o2 o3 ");
	join(&l, &x[4], "p", "pppppp", 1);
	ck_assert_ptr_eq(line_behind(&l, &x[0].e), &x[4].e);
	ck_assert_ptr_null(line_behind(&l, &x[4].e));
	line_finish(&l);
}
END_TEST

/* By itself against a plain model: 2,000 random moves. */
START_TEST(places_told_to_new_ones_are_those_they_get)
{
	static struct waiting x[2000];
	struct line l = {0};
	unsigned seed = 7;

	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		char parent[8] = "";
		int64_t place;
		seed = seed * 1103515245 + 12345;
		if ((seed >> 16) % 3)
			snprintf(parent, sizeof(parent), "p%u", (seed >> 18) % 7);
		if ((seed >> 24) % 4 == 0 && line_head(&l))
			line_take(&l, line_head(&l));
		place = line_place_of_new(&l, parent);
		line_add(&l, &x[i].e, parent, (int64_t)i + 1);
		line_number(&l);
		ck_assert_int_eq(x[i].e.place, place);
	}
	line_finish(&l);
}
END_TEST

/* ---- room ---- */

START_TEST(room_is_denied_for_the_first_reason_that_holds)
{
	struct room_limits l = {.max_starts = 2, .memory_reserve_mib = 100, .disk_reserve_mib = 10};
	struct host_room h = {-1, -1, false, -1, -1, -1, -1, -1, -1};
	struct start_need n = {.weight = 1, .memory_mib = 50, .disk_mib = 5, .ptys = 2, .fds = 3, .files = 4, .tasks = 5};
	struct room_taken t = {0};
	char why[ROOM_WHY_MAX];

	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_YES);
	ck_assert_str_eq(why, "");
	h = (struct host_room){150, 1000, false, 15, 2, 3, 4, 5, 0};
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_YES);
	ck_assert_int_eq(room_for(&l, &t, &h, true, &n, why), ROOM_PRESSURE);
	h.tasks = 4;
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_PROCESSES);
	h.files = 3;
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_FDS);
	ck_assert_ptr_nonnull(strstr(why, "the host may have 3 more"));
	h.fds = 2;
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_FDS);
	ck_assert_ptr_nonnull(strstr(why, "the daemon may have 2 more"));
	h.ptys = 1;
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_PTYS);
	h.disk_mib = 14;
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_DISK);
	h.memory_mib = 149;
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_MEMORY);
	room_take(&t, &n);
	room_take(&t, &n);
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_STARTS);
	ck_assert_str_eq(why, "2 starts are under way");
	room_give(&t, &n);
	h = (struct host_room){199, 1000, false, -1, -1, -1, -1, -1, 0}; /* enough for one, not for both */
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_MEMORY);
	h.memory_mib = 200;
	ck_assert_int_eq(room_for(&l, &t, &h, false, &n, why), ROOM_YES);
	h.memory_total_mib = 149;
	ck_assert(!room_ever(&l, &h, &n));
	h.memory_total_mib = -1;
	ck_assert(room_ever(&l, &h, &n));
}
END_TEST

START_TEST(without_a_number_starts_go_by_weight_and_processors)
{
	struct room_limits l = {.cores = 2};
	const struct start_need vm = {.weight = START_WEIGHT_CORE}, light = {.weight = 1},
				huge = {.weight = 100 * START_WEIGHT_CORE};
	const struct host_room h = {-1, -1, false, -1, -1, -1, -1, -1, -1};
	struct room_taken t = {0};
	char why[ROOM_WHY_MAX];
	int n = 0;

	ck_assert_int_eq(room_for(&l, &t, &h, false, &huge, why), ROOM_YES); /* alone, always */
	for (; room_for(&l, &t, &h, false, &vm, why) == ROOM_YES; n++)
		room_take(&t, &vm);
	ck_assert_int_eq(n, 2);
	room_give(&t, &vm);
	for (n = 0; room_for(&l, &t, &h, false, &light, why) == ROOM_YES; n++)
		room_take(&t, &light);
	ck_assert_int_eq(n, START_WEIGHT_CORE);
}
END_TEST

START_TEST(pressure_has_two_thresholds_and_calms_down)
{
	struct pressure p = {0};

	ck_assert(!pressure_seen(&p, 20, 5, -1, false, 1000));
	ck_assert(!pressure_seen(&p, 20, 5, 1999, false, 1000));
	ck_assert(!p.on);
	ck_assert(pressure_seen(&p, 20, 5, 2000, false, 1000));
	ck_assert(p.on);
	ck_assert(!pressure_seen(&p, 20, 5, 600, false, 9000)); /* between them: nothing changes */
	ck_assert(!pressure_seen(&p, 20, 5, 500, false, 9000 + PRESSURE_CALM_MS - 1));
	ck_assert(pressure_seen(&p, 20, 5, 500, false, 9000 + PRESSURE_CALM_MS));
	ck_assert(!p.on);
	ck_assert(pressure_seen(&p, 20, 5, -1, true, 50000)); /* the kernel's word counts at once */
	ck_assert(pressure_seen(&p, 20, 5, -1, false, 50000 + PRESSURE_CALM_MS));
	ck_assert_int_eq(p.episodes, 2);
	ck_assert(!pressure_seen(&p, 0, 5, 10000, false, 90000)); /* 0: never */
}
END_TEST

/* ---- the fleet ---- */

static struct spawn_args args_of(struct instance *in, struct heard *h)
{
	return (struct spawn_args){.in = in, .wait = true, .done = done, .arg = h};
}

static int spawn_with(const char *parent, const char *prompt, bool no_queue, struct heard *h, char *id, struct err *e)
{
	struct instance *in = instance_new();
	struct caller who = {NULL};
	struct spawn_args a = args_of(in, h);

	in->driver = xstrdup("vm");
	in->agent = xstrdup(prompt ? "teller" : "mute");
	in->dir = xstrdup("/p");
	in->cap = w.set.default_cap;
	snprintf(in->parent, ID_SIZE, "%s", parent ? parent : "");
	a.prompt = prompt;
	a.no_queue = no_queue;
	return fleet_spawn(w.f, &who, &a, id, e);
}

static void spawn(const char *parent, struct heard *h, char *id)
{
	struct err e = {0};

	ck_assert_msg(spawn_with(parent, NULL, false, h, id, &e) == 0, "%s", e.message);
	fake_turn(&w);
}

static enum inst_state state(const char *id)
{
	return fleet_get(w.f, id)->state;
}

static void tell(const char *id, uint64_t seq, const char *type, json_t *ev)
{
	char place[ID_SIZE];

	snprintf(place, sizeof(place), "%s", fleet_get(w.f, id)->place);
	json_object_set_new(ev, "instance", json_string(id));
	fleet_on_shim_event(w.f, place, seq, type, ev);
	json_decref(ev);
	fake_turn(&w);
}

static void bring_up(const char *id)
{
	json_t *hello = json_pack("{s:i, s:{s:i, s:b}, s:b, s:[]}", "shim_pid", 100, "holder", "pid", 101, "running", 1,
		"link", 0, "instances");

	fleet_on_hello(w.f, fleet_get(w.f, id)->place, hello);
	json_decref(hello);
	fake_turn(&w);
	tell(id, 1, "link_up", json_pack("{s:i}", "boot_ms", 5));
	fake_answer(&w, "setup", json_object());
	fake_answer(&w, "run", json_pack("{s:i}", "pid", 7));
}

static const char *detail_of(const char *id)
{
	static char text[256];
	json_t *o = fleet_instance_json(w.f, fleet_get(w.f, id));

	snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(o, "detail")) ?: "");
	json_decref(o);
	return text;
}

START_TEST(a_start_that_stands_lets_the_next_one_begin)
{
	struct heard h[4] = {0};
	char id[4][ID_SIZE];
	int looked;

	w.set.max_starts = 2;
	for (int i = 0; i < 4; i++)
		spawn(NULL, &h[i], id[i]);
	ck_assert_int_eq(state(id[1]), ST_PROVISIONING);
	ck_assert_int_eq(state(id[2]), ST_QUEUED);
	ck_assert_str_eq(fleet_get(w.f, id[3])->reason, "starts");
	ck_assert_str_eq(detail_of(id[3]), "place 2 in line: 2 starts are under way");
	looked = looks;
	bring_up(id[0]);
	ck_assert_int_eq(h[0].calls, 1);
	ck_assert_int_eq(state(id[2]), ST_PROVISIONING);
	ck_assert_int_eq(state(id[3]), ST_QUEUED);
	ck_assert_int_eq(looks, looked + 1); /* the host is asked when a start is free, and only then */
	ck_assert_str_eq(detail_of(id[3]), "place 1 in line: 2 starts are under way");
}
END_TEST

START_TEST(a_start_that_fails_and_one_that_is_killed_free_theirs)
{
	struct heard h[3] = {0}, k = {0};
	char id[3][ID_SIZE];
	struct err e = {0};

	w.set.max_starts = 1;
	w.fail_make = true;
	spawn(NULL, &h[0], id[0]);
	ck_assert_int_eq(state(id[0]), ST_FAILED);
	w.fail_make = false;
	spawn(NULL, &h[1], id[1]);
	ck_assert_int_eq(state(id[1]), ST_PROVISIONING);
	spawn(NULL, &h[2], id[2]);
	ck_assert_int_eq(state(id[2]), ST_QUEUED);
	ck_assert_int_eq(fleet_kill(w.f, fleet_get(w.f, id[1]), false, true, false, done, &k, &e), 0);
	fake_turn(&w);
	ck_assert_int_eq(state(id[2]), ST_PROVISIONING);
}
END_TEST

START_TEST(the_waiting_can_be_cancelled_and_killed_at_once)
{
	struct heard h[4] = {0}, k = {0};
	char id[4][ID_SIZE];
	struct err e = {0};

	w.set.max_starts = 1;
	for (int i = 0; i < 4; i++)
		spawn(NULL, &h[i], id[i]);
	ck_assert(fleet_cancel(w.f, id[1], &h[1]));
	fake_turn(&w);
	ck_assert_int_eq(state(id[1]), ST_FAILED);
	ck_assert_str_eq(fleet_get(w.f, id[1])->reason, "cancelled");
	ck_assert_int_eq(h[1].calls, 0);
	ck_assert_str_eq(detail_of(id[3]), "place 2 in line: 1 start is under way");
	ck_assert_int_eq(fleet_kill(w.f, fleet_get(w.f, id[2]), false, false, false, done, &k, &e), 0);
	fake_turn(&w);
	ck_assert_int_eq(k.calls, 1);
	ck_assert_int_eq(h[2].err.code, ERR_CANCELLED);
	ck_assert(state_final(state(id[2])));
	ck_assert_str_eq(detail_of(id[3]), "place 1 in line: 1 start is under way");
	ck_assert_int_eq(w.makes, 1);
	fleet_remove(w.f, fleet_get(w.f, id[1]), &e);
	bring_up(id[0]);
	ck_assert_int_eq(state(id[3]), ST_PROVISIONING);
}
END_TEST

START_TEST(what_the_host_lacks_is_waited_for_with_a_timer)
{
	struct heard h[2] = {0};
	char id[2][ID_SIZE];

	spawn(NULL, &h[0], id[0]);
	bring_up(id[0]);
	need.ptys = 2;
	host.ptys = 1;
	spawn(NULL, &h[1], id[1]);
	ck_assert_int_eq(state(id[1]), ST_QUEUED);
	ck_assert_str_eq(fleet_get(w.f, id[1])->reason, "ptys");
	host.ptys = 0;
	host.memory_mib = 10;
	need.memory_mib = 0;
	while (state(id[1]) == ST_QUEUED) {
		loop_turn(w.port.loop, 5000); /* nobody tells: it is looked at again */
		fake_turn(&w);
		host.ptys = 5;
	}
	ck_assert_int_eq(state(id[1]), ST_PROVISIONING);
}
END_TEST

START_TEST(a_lane_that_does_not_fit_lets_others_pass_in_their_order)
{
	struct heard h[5] = {0};
	char top[2][ID_SIZE], id[3][ID_SIZE];
	struct instance *in = instance_new();
	struct caller who = {NULL};
	struct spawn_args a = args_of(in, &h[2]);
	struct err e = {0};

	spawn(NULL, &h[0], top[0]);
	bring_up(top[0]);
	spawn(NULL, &h[1], top[1]);
	bring_up(top[1]);
	host.memory_mib = 100;
	in->driver = xstrdup("vm");
	in->agent = xstrdup("mute");
	in->dir = xstrdup("/p");
	in->cap = w.set.default_cap;
	in->memory_mib = 4000;
	memcpy(in->parent, top[0], ID_SIZE);
	ck_assert_msg(fleet_spawn(w.f, &who, &a, id[0], &e) == 0, "%s", e.message);
	spawn(top[0], &h[3], id[1]); /* behind it in its lane */
	spawn(top[1], &h[4], id[2]);
	ck_assert_str_eq(fleet_get(w.f, id[0])->reason, "memory");
	ck_assert_int_eq(state(id[1]), ST_QUEUED);
	ck_assert_int_eq(state(id[2]), ST_PROVISIONING);
}
END_TEST

START_TEST(one_that_does_not_fit_holds_the_others_by_turns)
{
	ck_assert(!room_holds(0, 100 * ROOM_PATIENCE_MS)); /* nobody overtook it */
	ck_assert(!room_holds(1000, 1000));
	ck_assert(!room_holds(1000, 999 + ROOM_PATIENCE_MS));
	ck_assert(room_holds(1000, 1000 + ROOM_PATIENCE_MS));
	ck_assert(room_holds(1000, 999 + 2 * ROOM_PATIENCE_MS));
	ck_assert(!room_holds(1000, 1000 + 2 * ROOM_PATIENCE_MS));
}
END_TEST

START_TEST(pressure_holds_everybody_and_is_told_once)
{
	struct heard h[3] = {0};
	char id[3][ID_SIZE];
	json_t *o;

	spawn(NULL, &h[0], id[0]);
	bring_up(id[0]);
	fleet_on_pressure(w.f);
	fleet_on_pressure(w.f);
	ck_assert_int_eq(weighed, 1);
	ck_assert_int_eq(fake_events(&w, "notice"), 1);
	spawn(NULL, &h[1], id[1]);
	spawn(NULL, &h[2], id[2]);
	ck_assert_str_eq(fleet_get(w.f, id[2])->reason, "pressure");
	o = fleet_admission_json(w.f);
	ck_assert(json_is_true(json_object_get(o, "pressure")));
	ck_assert_int_eq(json_integer_value(json_object_get(o, "waiting")), 2);
	json_decref(o);
	host.stall = 0;
	while (state(id[2]) == ST_QUEUED) { /* until it has been calm for a while */
		loop_turn(w.port.loop, 5000);
		fake_turn(&w);
	}
	ck_assert_int_eq(state(id[1]), ST_PROVISIONING);
	ck_assert_int_eq(fake_events(&w, "notice"), 1);
}
END_TEST

START_TEST(refusals_say_why_and_what_to_do)
{
	struct heard h = {0};
	char id[ID_SIZE], other[ID_SIZE];
	struct err e = {0};

	need.ptys = 2;
	host.ptys = 0;
	ck_assert_int_eq(spawn_with(NULL, NULL, false, &h, id, &e), -1); /* nothing of ours holds any */
	ck_assert_ptr_nonnull(strstr(e.message, "ptys"));
	ck_assert_ptr_nonnull(strstr(e.hint, "kernel.pty.max"));
	ck_assert_uint_eq(fleet_count(w.f), 0);
	host.ptys = 2;
	spawn(NULL, &h, id);
	bring_up(id);
	host.ptys = 0;
	ck_assert_int_eq(spawn_with(NULL, NULL, true, &h, other, &e), -1);
	ck_assert_int_eq(e.code, ERR_BUSY);
	ck_assert(e.retryable);
	w.set.max_queue = 1;
	spawn(NULL, &h, other);
	ck_assert_int_eq(spawn_with(NULL, NULL, false, &h, other, &e), -1);
	ck_assert_int_eq(e.code, ERR_BUSY);
	need.disk_mib = 1;
	host.disk_mib = 0;
	w.set.max_queue = 0;
	ck_assert_int_eq(spawn_with(NULL, NULL, false, &h, other, &e), -1); /* an idle agent gives no disk back */
	ck_assert_int_eq(e.code, ERR_DISK);
	host.memory_total_mib = 10;
	need.memory_mib = 11;
	ck_assert_int_eq(spawn_with(NULL, NULL, false, &h, other, &e), -1);
	ck_assert(!e.retryable);
	ck_assert_ptr_nonnull(strstr(e.message, "never"));
}
END_TEST

START_TEST(a_thousand_at_once_are_all_answered)
{
	static struct heard h[1000];
	static char id[1000][ID_SIZE];
	int answered = 0;

	w.set.max_starts = 1;
	w.fail_make = true; /* each start is over as soon as it has begun */
	for (int i = 0; i < 1000; i++) {
		struct err e = {0};
		ck_assert_int_eq(spawn_with(NULL, NULL, false, &h[i], id[i], &e), 0);
		if (i % 100 == 99)
			fake_turn(&w);
	}
	fake_turn(&w);
	for (int i = 0; i < 1000; i++)
		answered += h[i].calls == 1 && h[i].err.code == ERR_DISK;
	ck_assert_int_eq(answered, 1000);
	ck_assert_int_eq(w.makes, 1000);
}
END_TEST

/* ---- the next daemon ---- */

static struct instance *waiting_row(const char *id, int64_t no)
{
	struct instance *in = instance_new();

	snprintf(in->id, ID_SIZE, "%s", id);
	in->driver = xstrdup("vm");
	in->agent = xstrdup("teller");
	in->dir = xstrdup("/p");
	in->state = ST_QUEUED;
	in->reason = xstrdup("starts");
	in->created_ms = in->state_since_ms = 1; /* all in the same instant */
	in->queue_no = no;
	return in;
}

START_TEST(the_next_daemon_queues_them_in_their_order)
{
	struct instance *secret = waiting_row("secret", 3);
	struct heard h = {0};
	char id[ID_SIZE];

	w.set.max_starts = 1;
	secret->env_names = strv_new();
	strv_push(&secret->env_names, "TOKEN");
	fleet_load_instance(w.f, waiting_row("cccccc", 9));
	fleet_load_instance(w.f, waiting_row("aaaaaa", 4));
	fleet_load_instance(w.f, secret);
	fleet_load_instance(w.f, waiting_row("bbbbbb", 7));
	fleet_reconcile(w.f);
	fake_turn(&w);
	ck_assert_int_eq(state("aaaaaa"), ST_PROVISIONING);
	ck_assert_str_eq(detail_of("bbbbbb"), "place 1 in line: 1 start is under way");
	ck_assert_str_eq(detail_of("cccccc"), "place 2 in line: 1 start is under way");
	ck_assert_int_eq(state("secret"), ST_FAILED);
	ck_assert_ptr_nonnull(strstr(fleet_get(w.f, "secret")->detail, "TOKEN"));
	spawn(NULL, &h, id);
	ck_assert_str_eq(detail_of(id), "place 3 in line: 1 start is under way");
}
END_TEST

static struct prompt *first_row(const char *id, enum prompt_status st)
{
	struct prompt *p = xcalloc(1, sizeof(*p));

	prompt_set(p, PM_PASTE, "do it", 5);
	snprintf(p->key, sizeof(p->key), "key-%s", id);
	memcpy(p->instance, id, ID_SIZE);
	p->first = true;
	p->status = st;
	if (st == PR_DELIVERING)
		p->reason = xstrdup("argument");
	return p;
}

START_TEST(the_first_prompt_waits_with_its_instance)
{
	fleet_load_instance(w.f, waiting_row("aaaaaa", 1));
	fleet_load_prompt(w.f, first_row("aaaaaa", PR_QUEUED));
	w.keep_prompts = true;
	fleet_reconcile(w.f);
	fake_turn(&w);
	bring_up("aaaaaa");
	ck_assert_str_eq(w.last_prompt, "do it");
	ck_assert_int_eq(w.kept->status, PR_DELIVERING);
	tell("aaaaaa", 2, "report", json_pack("{s:{s:s}}", "body", "event", "prompt"));
	ck_assert_int_eq(w.kept->status, PR_DELIVERED);
	ck_assert_ptr_null(fake_find(&w, "input")); /* never typed as well */
}
END_TEST

START_TEST(the_first_prompt_is_on_disk_before_its_program_runs)
{
	struct heard h = {0};
	char id[ID_SIZE];
	struct err e = {0};

	w.keep_prompts = true;
	ck_assert_int_eq(spawn_with(NULL, "do it", false, &h, id, &e), 0);
	ck_assert_ptr_nonnull(w.kept);
	ck_assert_int_eq(w.kept->status, PR_QUEUED);
	fake_turn(&w);
	bring_up(id);
	ck_assert_int_eq(w.kept->status, PR_DELIVERING);
	ck_assert_int_eq(h.calls, 0);
	tell(id, 2, "report", json_pack("{s:{s:s}}", "body", "event", "prompt"));
	ck_assert_int_eq(h.calls, 1);
}
END_TEST

START_TEST(a_failed_start_keeps_its_first_prompt_for_a_restart)
{
	struct heard h = {0}, r = {0};
	struct restart_args a = {.wait = true, .done = done, .arg = &r};
	char id[ID_SIZE];
	struct err e = {0};

	w.fail_make = w.keep_prompts = true;
	ck_assert_int_eq(spawn_with(NULL, "do it", false, &h, id, &e), 0);
	fake_turn(&w);
	ck_assert_int_eq(state(id), ST_FAILED);
	ck_assert_int_eq(w.kept->status, PR_QUEUED);
	w.fail_make = false;
	ck_assert_int_eq(fleet_restart(w.f, fleet_get(w.f, id), &a, &e), 0);
	fake_turn(&w);
	bring_up(id);
	ck_assert_str_eq(w.last_prompt, "do it");
}
END_TEST

/* The same shim answers and knows of no program: `run` never came, so the prompt was not given. */
START_TEST(a_program_that_was_asked_for_and_never_came_starts_again)
{
	struct instance *in = waiting_row("aaaaaa", 1), *other = waiting_row("bbbbbb", 2);
	struct place *p = place_new(), *q = place_new();
	json_t *hello;

	in->state = other->state = ST_STARTING;
	in->begun = other->begun = true;
	memcpy(in->place, "plcone", ID_SIZE);
	memcpy(other->place, "plctwo", ID_SIZE);
	memcpy(p->id, "plcone", ID_SIZE);
	memcpy(q->id, "plctwo", ID_SIZE);
	p->driver = xstrdup("vm");
	q->driver = xstrdup("vm");
	p->state = q->state = PL_UP;
	p->shim_pid = 300;
	q->shim_pid = 299; /* another answers there: nobody can know */
	p->boot = xstrdup(boot_id());
	q->boot = xstrdup(boot_id());
	fleet_load_instance(w.f, in);
	fleet_load_instance(w.f, other);
	fleet_load_place(w.f, p);
	fleet_load_place(w.f, q);
	fleet_load_prompt(w.f, first_row("aaaaaa", PR_DELIVERING));
	w.keep_prompts = true;
	fleet_reconcile(w.f);
	fake_turn(&w);
	hello = json_pack("{s:i, s:{s:i, s:b}, s:b, s:[]}", "shim_pid", 300, "holder", "pid", 9, "running", 1, "link", 1,
		"instances");
	fleet_on_hello(w.f, "plcone", hello);
	ck_assert_int_eq(in->state, ST_QUEUED);
	ck_assert_int_eq(w.kept->status, PR_QUEUED);
	fleet_on_hello(w.f, "plctwo", hello);
	ck_assert_int_eq(other->state, ST_STOPPING);
	json_decref(hello);
	fake_turn(&w);
}
END_TEST

TEST_MAIN_FIXTURE("core/admit", setup, teardown, the_operators_go_first_and_parents_take_turns,
	leaving_the_middle_and_coming_back_where_it_was, places_told_to_new_ones_are_those_they_get,
	room_is_denied_for_the_first_reason_that_holds, without_a_number_starts_go_by_weight_and_processors,
	pressure_has_two_thresholds_and_calms_down, a_start_that_stands_lets_the_next_one_begin,
	a_start_that_fails_and_one_that_is_killed_free_theirs, the_waiting_can_be_cancelled_and_killed_at_once,
	what_the_host_lacks_is_waited_for_with_a_timer, a_lane_that_does_not_fit_lets_others_pass_in_their_order,
	one_that_does_not_fit_holds_the_others_by_turns,
	pressure_holds_everybody_and_is_told_once, refusals_say_why_and_what_to_do,
	a_thousand_at_once_are_all_answered, the_next_daemon_queues_them_in_their_order,
	the_first_prompt_waits_with_its_instance, the_first_prompt_is_on_disk_before_its_program_runs,
	a_failed_start_keeps_its_first_prompt_for_a_restart,
	a_program_that_was_asked_for_and_never_came_starts_again)
