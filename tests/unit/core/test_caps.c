/* SPDX-License-Identifier: ISC */
/* Caps over the tree: every cap at every level, counts against a recount, the window of spawns and its clocks,
 * what is said, and changes while the fleet lives. */
#include "daemon/core/fleet_int.h"
#include "tests/unit/core/fake_world.h"
#include "ipc/schema.h"
#include "tests/unit/run.h"

#define LEVELS 4
#define MEMORY 100
#define DISK 1000
#define STEPS 400
#define SEED_ENV "TC_CAPS_SEED"

static struct fake_world w;
static int64_t now_ms = 1000000, wall_ms = 1700000000000;

static int64_t boot_clock(void)
{
	return now_ms;
}

static int64_t wall_clock(void)
{
	return wall_ms;
}

static void setup(void)
{
	clock_set_source(boot_clock, wall_clock);
	fake_init(&w);
	w.set.default_cap.spawn_rate = CAP_UNLIMITED;
}

static void teardown(void)
{
	fake_finish(&w);
	clock_set_source(NULL, NULL);
}

static void no_more(void *arg, const struct instance *in, const struct err *e)
{
	(void)arg;
	(void)in;
	(void)e;
}

static struct instance *asked(const char *role)
{
	struct instance *in = instance_new();

	in->driver = xstrdup("vm");
	in->agent = xstrdup("mute");
	in->dir = xstrdup("/p");
	in->cap = w.set.default_cap;
	in->vm_memory_mib = MEMORY;
	in->vm_disk_mib = DISK;
	if (role)
		json_object_set_new(in->labels, ROLE_LABEL, json_string(role));
	return in;
}

static int spawn(struct instance *in, const char *parent, char *id, struct err *e)
{
	struct caller who = {NULL};
	struct spawn_args a = {.in = in, .done = no_more};
	int r;

	str_fmt(in->parent, ID_SIZE, "%s", parent ? parent : "");
	r = fleet_spawn(w.f, &who, &a, id, e);
	fake_turn(&w);
	return r;
}

/* Whatever it was doing. */
static void end(const char *id)
{
	struct err gone = {.code = ERR_UNREACHABLE}, e = {0};
	struct unit *u = unit_find(w.f, id);

	fleet_kill(w.f, u->in, true, true, false, no_more, NULL, &e);
	fake_turn(&w);
	if (!state_final(u->in->state) || (site_of(u) && site_of(u)->pl->state != PL_DOWN))
		fleet_on_shim_lost(w.f, u->in->place, &gone);
	fake_turn(&w);
	ck_assert_msg(state_final(u->in->state), "%s", state_name(u->in->state));
}

static void counted_right(void)
{
	struct err e = {0};

	ck_assert_msg(fleet_caps_check(w.f, &e) == 0, "%s", e.message);
}

static json_t *details(const struct err *e)
{
	json_t *o = json_loads(e->details, 0, NULL);

	ck_assert_msg(o != NULL, "no details: %s", e->message);
	return o;
}

static void refused_by(const struct err *e, const char *cap, const char *holder, int64_t count, int64_t limit)
{
	json_t *o = details(e);

	ck_assert_int_eq(e->code, ERR_CAP);
	ck_assert_str_eq(json_string_value(json_object_get(o, "cap")), cap);
	ck_assert_str_eq(json_string_value(json_object_get(o, "holder")), holder);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "count")), count);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "limit")), limit);
	ck_assert_ptr_nonnull(strstr(e->message, cap));
	ck_assert(e->hint[0]);
	if (strcmp(holder, "fleet") != 0)
		ck_assert_ptr_nonnull(strstr(e->message, holder));
	json_decref(o);
}

/* A chain of LEVELS, everything unlimited; each of role "r". */
static void chain(char id[LEVELS][ID_SIZE])
{
	struct err e = {0};

	for (int k = 0; k < CAP_KINDS; k++)
		*cap_at(&w.set.default_cap, k) = CAP_UNLIMITED;
	for (int i = 0; i < LEVELS; i++)
		ck_assert_msg(spawn(asked("r"), i ? id[i - 1] : NULL, id[i], &e) == 0, "%s", e.message);
}

/* With this limit at that level a further child of the lowest is refused, with one more of it is not. */
static void holds(char id[LEVELS][ID_SIZE], int level, enum cap_kind k, int64_t count, int64_t takes)
{
	struct instance *at = fleet_get(w.f, id[level]);
	int64_t *limit = cap_at(&at->cap, k), was = at->spawned_total;
	char x[ID_SIZE];
	struct err e = {0};

	*limit = count + takes - 1;
	ck_assert_int_eq(spawn(asked(NULL), id[LEVELS - 1], x, &e), -1);
	refused_by(&e, cap_name(k), id[level], count, *limit);
	ck_assert_int_eq(at->spawned_total, was);
	counted_right();
	*limit = count + takes;
	ck_assert_msg(spawn(asked(NULL), id[LEVELS - 1], x, &e) == 0, "%s: %s", cap_name(k), e.message);
	counted_right();
	end(x);
	*limit = CAP_UNLIMITED;
	counted_right();
}

START_TEST(every_cap_holds_at_every_level)
{
	char id[LEVELS][ID_SIZE];

	chain(id);
	for (int level = 0; level < LEVELS; level++) {
		int64_t below = LEVELS - 1 - level;
		holds(id, level, CAP_DESCENDANTS, below, 1);
		holds(id, level, CAP_DEPTH, below, 1);
		holds(id, level, CAP_TOTAL, fleet_get(w.f, id[level])->spawned_total, 1);
		holds(id, level, CAP_MEMORY, below * MEMORY, MEMORY);
		holds(id, level, CAP_DISK, below * DISK, DISK);
	}
	holds(id, LEVELS - 1, CAP_CHILDREN, 0, 1);
	/* What is not the parent does not count children, nor spawns, that are not its own. */
	fleet_get(w.f, id[0])->cap.max_children = 1;
	fleet_get(w.f, id[0])->cap.spawn_rate = 0;
	char x[ID_SIZE];
	struct err e = {0};
	ck_assert_msg(spawn(asked(NULL), id[1], x, &e) == 0, "%s", e.message);
	ck_assert_int_eq(spawn(asked(NULL), id[0], x, &e), -1);
	refused_by(&e, "spawn_rate", id[0], 1, 0);
}
END_TEST

START_TEST(a_role_is_capped_at_every_level_and_for_the_fleet)
{
	struct caller operator = {NULL};
	char id[LEVELS][ID_SIZE], x[ID_SIZE];
	struct err e = {0};

	chain(id);
	for (int level = 0; level < LEVELS; level++) {
		struct instance *at = fleet_get(w.f, id[level]);
		int64_t below = LEVELS - 1 - level;
		at->max_roles = json_pack("{s:I}", "r", (json_int_t)below);
		ck_assert_int_eq(spawn(asked("r"), id[LEVELS - 1], x, &e), -1);
		refused_by(&e, "max_role", id[level], below, below);
		ck_assert_int_eq(spawn(asked("other"), id[LEVELS - 1], x, &e), 0);
		end(x);
		json_object_set_new(at->max_roles, "r", json_integer(below + 1));
		ck_assert_int_eq(spawn(asked("r"), id[LEVELS - 1], x, &e), 0);
		end(x);
		counted_right();
	}
	json_t *roles = json_pack("{s:i}", "r", LEVELS);
	ck_assert_int_eq(fleet_cap_set(w.f, &operator, NULL, &(struct cap_change){.roles = roles}, &e), 0);
	json_decref(roles);
	ck_assert_int_eq(spawn(asked("r"), NULL, x, &e), -1);
	refused_by(&e, "max_role", "fleet", LEVELS, LEVELS);
	ck_assert_int_eq(spawn(asked(NULL), NULL, x, &e), 0);
}
END_TEST

START_TEST(the_fleets_own_caps_are_above_all)
{
	char id[LEVELS][ID_SIZE], x[ID_SIZE];
	struct err e = {0};

	chain(id);
	w.set.max_instances = LEVELS;
	ck_assert_int_eq(spawn(asked(NULL), id[3], x, &e), -1);
	refused_by(&e, "max_instances", "fleet", LEVELS, LEVELS);
	w.set.max_instances = 100;
	w.set.fleet_memory = LEVELS * MEMORY + MEMORY - 1;
	ck_assert_int_eq(spawn(asked(NULL), NULL, x, &e), -1);
	refused_by(&e, "max_memory", "fleet", LEVELS * MEMORY, w.set.fleet_memory);
	w.set.fleet_memory = LEVELS * MEMORY + MEMORY;
	w.set.fleet_disk = LEVELS * DISK;
	ck_assert_int_eq(spawn(asked(NULL), id[0], x, &e), -1);
	refused_by(&e, "max_disk", "fleet", LEVELS * DISK, LEVELS * DISK);
	w.set.fleet_disk = CAP_UNLIMITED;
	w.set.fleet_spawn_rate = LEVELS;
	ck_assert_int_eq(spawn(asked(NULL), NULL, x, &e), -1);
	refused_by(&e, "spawn_rate", "fleet", LEVELS, LEVELS);
	now_ms += RATE_WINDOW_MS;
	ck_assert_int_eq(spawn(asked(NULL), NULL, x, &e), 0);
	/* One without a machine takes neither. */
	struct instance *host = asked(NULL);
	host->vm_memory_mib = host->vm_disk_mib = 0;
	ck_assert_msg(spawn(host, NULL, x, &e) == 0, "%s", e.message);
}
END_TEST

/* ---- what is given back ---- */

static void bring_up(const char *id)
{
	const char *place = fleet_get(w.f, id)->place;
	json_t *hello = json_pack("{s:i, s:{s:i, s:b}, s:b, s:[]}", "shim_pid", 100, "holder", "pid", 101, "running",
		true, "link", false, "instances"), *link = json_pack("{s:i}", "boot_ms", 5);

	fleet_on_hello(w.f, place, hello);
	fake_turn(&w);
	fleet_on_shim_event(w.f, place, 1, "link_up", link);
	fake_turn(&w);
	fake_answer(&w, "setup", json_object());
	fake_answer(&w, "run", json_pack("{s:i}", "pid", 7));
	json_decref(hello);
	json_decref(link);
}

START_TEST(memory_is_held_until_the_place_is_down_the_slot_until_the_end)
{
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0}, gone = {.code = ERR_UNREACHABLE};
	struct unit *top;

	spawn(asked(NULL), NULL, a, &e);
	spawn(asked("r"), a, b, &e);
	bring_up(b);
	top = unit_find(w.f, a);
	json_t *ev = json_pack("{s:s, s:i, s:i}", "instance", b, "code", 0, "signal", 0);
	fleet_on_shim_event(w.f, fleet_get(w.f, b)->place, 2, "exited", ev);
	json_decref(ev);
	ck_assert(state_final(fleet_get(w.f, b)->state));
	ck_assert_int_eq(top->below.living, 0);
	ck_assert_int_eq(tally_role(&top->below, "r"), 0);
	ck_assert_int_eq(top->below.memory, MEMORY);
	ck_assert_int_eq(top->below.disk, DISK);
	counted_right();
	fake_turn(&w);
	fleet_on_shim_lost(w.f, fleet_get(w.f, b)->place, &gone);
	fake_turn(&w);
	ck_assert_int_eq(top->below.memory, 0);
	ck_assert_int_eq(top->below.disk, 0);
	ck_assert_int_eq(w.f->all.memory, MEMORY);
	counted_right();
}
END_TEST

START_TEST(a_row_above_a_place_that_is_being_ended_goes_with_it)
{
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0}, gone = {.code = ERR_UNREACHABLE};

	spawn(asked(NULL), NULL, a, &e);
	spawn(asked(NULL), a, b, &e);
	bring_up(b);
	json_t *ev = json_pack("{s:s, s:i, s:i}", "instance", b, "code", 0, "signal", 0);
	fleet_on_shim_event(w.f, fleet_get(w.f, b)->place, 2, "exited", ev);
	json_decref(ev);
	end(a);
	ck_assert_msg(fleet_remove(w.f, fleet_get(w.f, a), &e) == 0, "%s", e.message);
	fake_turn(&w);
	ck_assert_ptr_nonnull(fleet_get(w.f, a));
	counted_right();
	fleet_on_shim_lost(w.f, fleet_get(w.f, b)->place, &gone);
	fake_turn(&w);
	ck_assert_ptr_null(fleet_get(w.f, a));
	ck_assert_ptr_nonnull(fleet_get(w.f, b));
	counted_right();
}
END_TEST

START_TEST(what_is_lost_keeps_its_slot_what_ended_asks_again)
{
	char a[ID_SIZE], b[ID_SIZE], c[ID_SIZE];
	struct err e = {0};
	const struct restart_args again = {.done = no_more};

	spawn(asked(NULL), NULL, a, &e);
	fleet_get(w.f, a)->cap.max_children = 1;
	spawn(asked(NULL), a, b, &e);
	bring_up(b);
	fleet_apply(unit_find(w.f, b), ST_LOST, "shim", NULL);
	ck_assert_int_eq(spawn(asked(NULL), a, c, &e), -1);
	refused_by(&e, "max_children", a, 1, 1);
	end(b);
	ck_assert_int_eq(spawn(asked(NULL), a, c, &e), 0);
	ck_assert_int_eq(fleet_restart(w.f, fleet_get(w.f, b), &again, &e), -1);
	refused_by(&e, "max_children", a, 1, 1);
	end(c);
	ck_assert_msg(fleet_restart(w.f, fleet_get(w.f, b), &again, &e) == 0, "%s", e.message);
	fake_turn(&w);
	ck_assert_int_eq(unit_find(w.f, a)->living_children, 1);
	/* Two were ever spawned: the second start of one is none. */
	ck_assert_int_eq(fleet_get(w.f, a)->spawned_total, 2);
	counted_right();
}
END_TEST

START_TEST(a_restart_of_what_has_its_slot_asks_for_the_rate)
{
	static const enum inst_state states[] = {ST_IDLE, ST_LOST};
	const struct restart_args again = {.done = no_more};
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		spawn(asked(NULL), NULL, a, &e);
		spawn(asked(NULL), a, b, &e);
		bring_up(b);
		if (fleet_get(w.f, b)->state != states[i])
			fleet_apply(unit_find(w.f, b), states[i], "shim", NULL);
		fleet_get(w.f, a)->cap.spawn_rate = 1;
		ck_assert_int_eq(fleet_restart(w.f, fleet_get(w.f, b), &again, &e), -1);
		refused_by(&e, "spawn_rate", a, 1, 1);
		ck_assert_int_eq(fleet_get(w.f, b)->state, states[i]);
		fleet_get(w.f, a)->cap.spawn_rate = 2;
		ck_assert_msg(fleet_restart(w.f, fleet_get(w.f, b), &again, &e) == 0, "%s", e.message);
		counted_right();
	}
}
END_TEST

START_TEST(a_restart_is_no_new_one_for_the_total)
{
	char a[ID_SIZE], b[ID_SIZE], x[ID_SIZE];
	struct err e = {0};

	spawn(asked(NULL), NULL, a, &e);
	fleet_get(w.f, a)->cap.max_total = 1;
	spawn(asked(NULL), a, b, &e);
	end(b);
	ck_assert_int_eq(spawn(asked(NULL), a, x, &e), -1);
	refused_by(&e, "max_total", a, 1, 1);
	ck_assert(!e.retryable);
	ck_assert_msg(fleet_restart(w.f, fleet_get(w.f, b), &(struct restart_args){.done = no_more}, &e) == 0, "%s",
		e.message);
}
END_TEST

static void load(const char *id, const char *parent)
{
	struct instance *in = asked("r");

	str_fmt(in->id, ID_SIZE, "%s", id);
	str_fmt(in->parent, ID_SIZE, "%s", parent);
	in->state = ST_IDLE;
	fleet_load_instance(w.f, in);
}

START_TEST(rows_that_are_loaded_before_their_parents_count_too)
{
	load("cccccc", "bbbbbb");
	load("dddddd", "cccccc");
	load("bbbbbb", "aaaaaa");
	load("aaaaaa", "");
	tree_bind(w.f);
	const struct unit *top = unit_find(w.f, "aaaaaa");
	ck_assert_int_eq(top->below.living, 3);
	ck_assert_int_eq(top->below.memory, 3 * MEMORY);
	ck_assert_int_eq(tally_depth(&top->below), 3);
	ck_assert_int_eq(tally_role(&top->below, "r"), 3);
	counted_right();
	/* Taken out of the middle, it takes what is below it along. */
	unit_drop(unit_find(w.f, "cccccc"));
	ck_assert_int_eq(top->below.living, 1);
	ck_assert_int_eq(tally_depth(&top->below), 1);
	counted_right();
}
END_TEST

/* ---- random trees ---- */

static unsigned seed;

static int rnd(int n)
{
	seed = seed * 1664525u + 1013904223u;
	return (int)((seed >> 8) % (unsigned)n);
}

/* No holder has more below it than it may: caps are never changed here. */
static void within_caps(void)
{
	for (size_t i = 0; i < w.f->count; i++) {
		struct unit *u = w.f->order[i];
		for (int k = 0; k < CAP_KINDS; k++) {
			int64_t limit = cap_get(&u->in->cap, k);
			if (limit != CAP_UNLIMITED)
				ck_assert_msg(holder_count(w.f, u, k) <= limit, "seed %u: %s of %s", seed, cap_name(k),
					u->in->id);
		}
	}
}

static void random_spawn(void)
{
	static const char *const roles[] = {NULL, "manager", "specialist"};
	struct instance *in = asked(roles[rnd(3)]);
	char parent[ID_SIZE] = "", x[ID_SIZE];
	struct err e = {0};

	if (w.f->count && rnd(8))
		memcpy(parent, w.f->order[rnd((int)w.f->count)]->in->id, ID_SIZE);
	in->cap = (struct cap){rnd(4), rnd(12), rnd(5), rnd(2) ? CAP_UNLIMITED : rnd(6), rnd(30),
		rnd(2) ? CAP_UNLIMITED : MEMORY * rnd(10), CAP_UNLIMITED};
	in->vm_memory_mib = MEMORY * rnd(3);
	if (rnd(3) == 0)
		in->max_roles = json_pack("{s:i}", "manager", rnd(3));
	if (spawn(in, parent, x, &e) == 0 || e.code != ERR_CAP)
		return;
	json_t *o = details(&e);
	json_int_t count = json_integer_value(json_object_get(o, "count"));
	json_int_t limit = json_integer_value(json_object_get(o, "limit"));
	json_int_t need = json_integer_value(json_object_get(o, "need"));
	ck_assert_msg(count + (need ? need : 1) > limit, "refused without need: %s", e.message);
	json_decref(o);
}

static void random_step(void)
{
	struct unit *u = w.f->count ? w.f->order[rnd((int)w.f->count)] : NULL;
	const struct restart_args again = {.done = no_more};
	struct err e = {0};

	switch (u ? rnd(8) : 0) {
	case 5:
		if (!state_final(u->in->state))
			end(u->in->id);
		break;
	case 6:
		if (state_final(u->in->state) || w.f->count > 60)
			fleet_remove(w.f, u->in, &e);
		break;
	case 7:
		fleet_restart(w.f, u->in, &again, &e);
		break;
	default:
		random_spawn();
	}
	fake_turn(&w);
	now_ms += rnd(4000);
	wall_ms += rnd(8000) - 4000;
}

START_TEST(random_trees_count_as_a_recount_does)
{
	const char *told = getenv(SEED_ENV);
	unsigned first = told ? (unsigned)strtoul(told, NULL, 10) : (unsigned)getpid();

	printf("# " SEED_ENV "=%u\n", first);
	seed = first;
	for (int i = 0; i < STEPS; i++) {
		random_step();
		struct err e = {0};
		ck_assert_msg(fleet_caps_check(w.f, &e) == 0, "seed %u, step %d: %s", first, i, e.message);
		within_caps();
	}
	for (size_t i = w.f->count; i-- > 0;) {
		if (!state_final(w.f->order[i]->in->state))
			end(w.f->order[i]->in->id);
	}
	ck_assert_int_eq(w.f->all.living, 0);
	ck_assert_int_eq(w.f->all.holders, 0);
	ck_assert_int_eq(w.f->all.memory, 0);
	ck_assert_ptr_null(w.f->all.roles);
}
END_TEST

/* ---- the window and its clocks ---- */

static int64_t rate_wait(const struct err *e)
{
	json_t *o = details(e), *v = json_object_get(o, "retry_after_ms");
	int64_t ms = json_is_integer(v) ? json_integer_value(v) : -1;

	json_decref(o);
	return ms;
}

START_TEST(the_wall_clock_neither_frees_nor_blocks_the_rate)
{
	char a[ID_SIZE], x[ID_SIZE];
	struct err e = {0};

	spawn(asked(NULL), NULL, a, &e);
	fleet_get(w.f, a)->cap.spawn_rate = 3;
	for (int i = 0; i < 3; i++) { /* at 0, 10 and 20 s; one of them is removed */
		ck_assert_int_eq(spawn(asked(NULL), a, x, &e), 0);
		now_ms += 10000;
	}
	end(x);
	ck_assert_int_eq(fleet_remove(w.f, fleet_get(w.f, x), &e), 0);
	fake_turn(&w);
	for (int i = 0; i < 3; i++) {
		static const int64_t jumps[] = {0, 3600000, -7200000};
		wall_ms += jumps[i];
		ck_assert_int_eq(spawn(asked(NULL), a, x, &e), -1);
		refused_by(&e, "spawn_rate", a, 3, 3);
		ck_assert_int_eq(rate_wait(&e), 30000);
		ck_assert_ptr_nonnull(strstr(e.hint, "30 s"));
		ck_assert(e.retryable);
	}
	/* Lowered, it passes when as many are old as are too many. */
	fleet_get(w.f, a)->cap.spawn_rate = 1;
	spawn(asked(NULL), a, x, &e);
	ck_assert_int_eq(rate_wait(&e), 50000);
	fleet_get(w.f, a)->cap.spawn_rate = 0;
	spawn(asked(NULL), a, x, &e);
	ck_assert_int_eq(rate_wait(&e), -1);
	ck_assert(!e.retryable);
	fleet_get(w.f, a)->cap.spawn_rate = 3;
	now_ms += 29999;
	ck_assert_int_eq(spawn(asked(NULL), a, x, &e), -1);
	now_ms += 1;
	ck_assert_int_eq(spawn(asked(NULL), a, x, &e), 0);
}
END_TEST

/* Spawns counted in a fleet that was just loaded with one, made `ago` by the wall clock before now. */
static int64_t loaded(const char *boot, int64_t boot_ms, int64_t ago)
{
	struct spawn_time t = {.holder = "aaaaaa", .boot = boot, .boot_ms = boot_ms, .wall_ms = wall_ms - ago};
	struct instance *in = asked(NULL);
	int64_t n;

	memcpy(in->id, "aaaaaa", ID_SIZE);
	in->state = ST_LOST;
	fleet_destroy(w.f);
	w.f = fleet_create(&w.port, &w.set);
	fleet_load_instance(w.f, in);
	fleet_load_spawn_time(w.f, &t);
	n = window_count(&w.f->spawned, CAP_UNLIMITED, NULL);
	ck_assert_int_eq(window_count(&unit_find(w.f, "aaaaaa")->spawned, CAP_UNLIMITED, NULL), n);
	return n;
}

START_TEST(the_window_outlives_the_daemon_and_the_boot)
{
	now_ms = 500000; /* of this boot; spawned in it: the wall clock says nothing */
	ck_assert_int_eq(loaded(boot_id(), 450000, 99 * 3600000), 1);
	ck_assert_int_eq(loaded(boot_id(), 440000, 0), 0);
	/* The boot is no older than 5 s: what was spawned before may still be within the minute. */
	now_ms = 5000;
	ck_assert_int_eq(loaded("another", 9000000, 10000), 1);
	ck_assert_int_eq(loaded("another", 9000000, 59999), 1);
	ck_assert_int_eq(loaded("another", 9000000, 60000), 0);
	/* A wall clock that went back: at least as old as this boot, no more is known. */
	ck_assert_int_eq(loaded("another", 9000000, -3600000), 1);
	now_ms = 60001;
	ck_assert_int_eq(loaded("another", 9000000, -3600000), 0);
	/* A boot id that could not be read is the same in every boot. */
	now_ms = 5000;
	ck_assert_int_eq(loaded(boot_id(), 9000000, 10000), 1);
}
END_TEST

START_TEST(each_spawn_is_written_with_both_clocks)
{
	char a[ID_SIZE], b[ID_SIZE];
	struct err e = {0};

	spawn(asked(NULL), NULL, a, &e);
	spawn(asked(NULL), a, b, &e);
	ck_assert_uint_eq(w.spawn_times, 2);
	ck_assert_str_eq(w.spawn_time[0].holder, "");
	ck_assert_str_eq(w.spawn_time[1].holder, a);
	ck_assert_int_eq(w.spawn_time[1].boot_ms, now_ms);
	ck_assert_int_eq(w.spawn_time[1].wall_ms, wall_ms);
	ck_assert_str_eq(w.spawn_time[1].boot, boot_id());
}
END_TEST

/* ---- what a child gets ---- */

static void got(const struct instance *in, size_t i, const char *cap, const char *wanted, int64_t is,
	const char *by)
{
	const json_t *o = json_array_get(in->narrowed, i), *v = json_object_get(o, "asked");
	char text[32];

	ck_assert_msg(o != NULL, "nothing about %s", cap);
	ck_assert_str_eq(json_string_value(json_object_get(o, "cap")), cap);
	if (json_is_integer(v))
		str_fmt(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	ck_assert_str_eq(json_is_integer(v) ? text : json_string_value(v), wanted);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "got")), is);
	ck_assert_str_eq(json_string_value(json_object_get(o, "by")), by);
}

START_TEST(a_child_gets_what_is_left_and_hears_of_it)
{
	char a[ID_SIZE], b[ID_SIZE], c[ID_SIZE];
	struct instance *in = asked(NULL), *child;
	struct err e = {0};

	in->cap = (struct cap){3, 5, 2, 4, 9, 1000, CAP_UNLIMITED};
	in->max_roles = json_pack("{s:i}", "r", 2);
	spawn(in, NULL, a, &e);
	ck_assert_ptr_null(fleet_get(w.f, a)->narrowed);
	in = asked("r");
	in->cap = (struct cap){100, 100, 9, 4, 9, CAP_UNLIMITED, CAP_UNLIMITED};
	in->max_roles = json_pack("{s:i, s:i}", "r", 7, "other", 7);
	ck_assert_msg(spawn(in, a, b, &e) == 0, "%s", e.message);
	child = fleet_get(w.f, b);
	got(child, 0, "max_children", "100", 3, a);
	got(child, 1, "max_descendants", "100", 4, a);
	got(child, 2, "max_depth", "9", 1, a);
	got(child, 3, "max_total", "9", 8, a);
	got(child, 4, "max_memory", "unlimited", 900, a);
	got(child, 5, "max_role", "7", 1, a);
	ck_assert_uint_eq(json_array_size(child->narrowed), 6);
	ck_assert_int_eq(child->cap.max_children, 3);
	ck_assert_int_eq(child->cap.max_memory, 900);
	ck_assert_int_eq(json_integer_value(json_object_get(child->max_roles, "r")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(child->max_roles, "other")), 7);
	/* Raised by the operator over what is above it, the child is no way around that. */
	child->cap.max_descendants = child->cap.max_depth = child->cap.max_total = CAP_UNLIMITED;
	in = asked(NULL);
	in->cap.max_descendants = 50;
	ck_assert_msg(spawn(in, b, c, &e) == 0, "%s", e.message);
	child = fleet_get(w.f, c);
	ck_assert_int_eq(child->cap.max_descendants, 3);
	ck_assert_int_eq(child->cap.max_depth, 0);
	got(child, 1, "max_descendants", "50", 3, a);
}
END_TEST

START_TEST(a_report_names_who_really_binds)
{
	char id[LEVELS][ID_SIZE];
	json_t *o, *v;
	size_t i;
	int seen = 0;

	chain(id);
	fleet_get(w.f, id[1])->cap.max_descendants = 4; /* two below it: two are left */
	fleet_get(w.f, id[3])->cap.max_descendants = 40;
	fleet_get(w.f, id[3])->cap.max_children = 9;
	fleet_get(w.f, id[0])->cap.max_depth = 4;
	w.set.fleet_memory = 1000;
	o = fleet_caps_json(w.f, fleet_get(w.f, id[3]));
	json_array_foreach(json_object_get(o, "caps"), i, v) {
		const char *cap = json_string_value(json_object_get(v, "cap"));
		const char *by = json_string_value(json_object_get(v, "by"));
		json_int_t left = json_integer_value(json_object_get(v, "left"));
		if (!strcmp(cap, "max_descendants") || !strcmp(cap, "max_children")) {
			ck_assert_str_eq(by, id[1]);
			ck_assert_int_eq(left, 2);
			ck_assert_str_eq(json_string_value(json_object_get(v, "by_cap")), "max_descendants");
			seen++;
		} else if (!strcmp(cap, "max_depth")) {
			ck_assert_str_eq(by, id[0]);
			ck_assert_int_eq(left, 1);
			seen++;
		} else if (!strcmp(cap, "max_memory")) {
			ck_assert_str_eq(by, "fleet");
			ck_assert_int_eq(left, 1000 - LEVELS * MEMORY);
			seen++;
		} else {
			ck_assert(json_is_null(json_object_get(v, "left")));
		}
	}
	ck_assert_int_eq(seen, 4);
	json_decref(o);
}
END_TEST

/* ---- refusals and changes ---- */

START_TEST(a_thousand_refusals_leave_a_few_rows)
{
	char a[ID_SIZE], x[ID_SIZE];
	struct err e = {0};
	int64_t times = 0;
	json_t *ev;
	size_t i;

	w.set.refusal_pause_ms = 200;
	spawn(asked(NULL), NULL, a, &e);
	fleet_get(w.f, a)->cap.max_children = 0;
	fleet_get(w.f, a)->cap.max_memory = 1;
	for (int n = 0; n < 1000; n++) {
		fleet_get(w.f, a)->cap.max_children = n % 2 ? 0 : 1; /* another cap each time */
		ck_assert_int_eq(spawn(asked(NULL), a, x, &e), -1);
	}
	ck_assert_int_le(fake_events(&w, "spawn.refused"), 2 + 2 * 6); /* the pause doubles: six are 12 s */
	for (int turns = 0; turns < 1000 && times < 1000; turns++) {
		times = 0;
		json_array_foreach(w.events, i, ev)
			times += json_integer_value(json_object_get(json_object_get(ev, "data"), "times"));
		if (times < 1000)
			loop_turn(w.port.loop, 60000);
	}
	ck_assert_int_eq(times, 1000); /* none was forgotten */
}
END_TEST

static int set_one(const char *who, const char *id, enum cap_kind k, int64_t to, struct err *e)
{
	struct caller caller = {who};
	struct cap_change c = {0};

	c.given[k] = true;
	c.v[k] = to;
	return fleet_cap_set(w.f, &caller, id ? fleet_get(w.f, id) : NULL, &c, e);
}

START_TEST(the_operator_sets_any_cap_and_ends_nobody)
{
	char id[LEVELS][ID_SIZE], x[ID_SIZE];
	struct err e = {0};

	chain(id);
	ck_assert_int_eq(set_one(NULL, id[0], CAP_DESCENDANTS, 1, &e), 0);
	ck_assert_uint_eq(fleet_living(w.f), LEVELS);
	ck_assert_int_eq(spawn(asked(NULL), id[2], x, &e), -1);
	refused_by(&e, "max_descendants", id[0], 3, 1);
	ck_assert_int_eq(set_one(NULL, id[0], CAP_DESCENDANTS, CAP_UNLIMITED, &e), 0);
	ck_assert_int_eq(spawn(asked(NULL), id[2], x, &e), 0);
	ck_assert_int_eq(fake_events(&w, "cap.changed"), 2);
	ck_assert_int_eq(set_one(NULL, id[0], CAP_DESCENDANTS, CAP_UNLIMITED, &e), 0);
	ck_assert_int_eq(fake_events(&w, "cap.changed"), 2); /* nothing changed */
}
END_TEST

START_TEST(an_instance_only_lowers_and_only_below_itself)
{
	char id[LEVELS][ID_SIZE], other[ID_SIZE];
	struct err e = {0};

	chain(id);
	spawn(asked(NULL), NULL, other, &e);
	ck_assert_int_eq(set_one(NULL, id[2], CAP_CHILDREN, 5, &e), 0);
	ck_assert_int_eq(set_one(id[1], id[2], CAP_CHILDREN, 4, &e), 0);
	ck_assert_int_eq(set_one(id[1], id[3], CAP_MEMORY, 50, &e), 0); /* was unlimited */
	const char *const not_its[] = {id[1], id[0], other};
	for (size_t i = 0; i < ARRAY_LEN(not_its); i++) {
		ck_assert_int_eq(set_one(id[1], not_its[i], CAP_CHILDREN, 0, &e), -1);
		ck_assert_int_eq(e.code, ERR_DENIED);
	}
	ck_assert_int_eq(set_one(id[1], NULL, CAP_DESCENDANTS, 0, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	ck_assert_int_eq(set_one(id[1], id[2], CAP_CHILDREN, 5, &e), -1);
	ck_assert_int_eq(set_one(id[1], id[2], CAP_CHILDREN, CAP_UNLIMITED, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	ck_assert_int_eq(fleet_get(w.f, id[2])->cap.max_children, 4);
}
END_TEST

START_TEST(nobody_has_caps_of_ever_more_roles)
{
	char id[LEVELS][ID_SIZE], role[32];
	struct caller boss;
	struct err e = {0};
	int taken = 0;

	chain(id);
	boss = (struct caller){id[0]};
	for (int i = 0; i < 4 * ROLE_LIMITS_MAX; i++) {
		str_fmt(role, sizeof(role), "r%d", i);
		json_t *roles = json_pack("{s:i}", role, 1);
		taken += fleet_cap_set(w.f, &boss, fleet_get(w.f, id[1]), &(struct cap_change){.roles = roles}, &e) == 0;
		json_decref(roles);
	}
	ck_assert_int_eq(taken, ROLE_LIMITS_MAX);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	json_t *again = json_pack("{s:i, s:i}", "r0", 0, "r1", -1); /* one lowered, one that only its operator may take away */
	ck_assert_int_eq(fleet_cap_set(w.f, &boss, fleet_get(w.f, id[1]), &(struct cap_change){.roles = again}, &e), -1);
	ck_assert_int_eq(fleet_cap_set(w.f, &(struct caller){NULL}, fleet_get(w.f, id[1]), &(struct cap_change){.roles = again}, &e), 0);
	json_decref(again);
	ck_assert_uint_eq(json_object_size(fleet_get(w.f, id[1])->max_roles), ROLE_LIMITS_MAX - 1);
}
END_TEST

START_TEST(what_is_set_of_the_fleet_is_kept_and_wins_until_default)
{
	char x[ID_SIZE];
	struct err e = {0};

	w.set.max_instances = 1;
	ck_assert_int_eq(spawn(asked(NULL), NULL, x, &e), 0);
	ck_assert_int_eq(spawn(asked(NULL), NULL, x, &e), -1);
	ck_assert_int_eq(set_one(NULL, NULL, CAP_DESCENDANTS, 2, &e), 0);
	ck_assert_int_eq(spawn(asked(NULL), NULL, x, &e), 0);
	ck_assert_ptr_nonnull(w.meta);
	/* Another daemon reads it. */
	cleanup_free char *kept = xstrdup(w.meta);
	fleet_destroy(w.f);
	w.f = fleet_create(&w.port, &w.set);
	fleet_load_caps(w.f, kept);
	ck_assert_int_eq(holder_limit(w.f, NULL, CAP_DESCENDANTS), 2);
	ck_assert_int_eq(set_one(NULL, NULL, CAP_DESCENDANTS, CAP_DEFAULT, &e), 0);
	ck_assert_ptr_null(w.meta);
	ck_assert_int_eq(holder_limit(w.f, NULL, CAP_DESCENDANTS), 1);
	ck_assert_int_eq(set_one(NULL, NULL, CAP_DEPTH, 2, &e), -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	fleet_load_caps(w.f, "{\"max_descendants\":[], \"max_roles\":7}"); /* a damaged row */
	ck_assert_int_eq(holder_limit(w.f, NULL, CAP_DESCENDANTS), 1);
}
END_TEST

TEST_MAIN_FIXTURE("core/caps", setup, teardown, every_cap_holds_at_every_level,
	a_role_is_capped_at_every_level_and_for_the_fleet, the_fleets_own_caps_are_above_all,
	memory_is_held_until_the_place_is_down_the_slot_until_the_end,
	a_restart_of_what_has_its_slot_asks_for_the_rate, a_restart_is_no_new_one_for_the_total, rows_that_are_loaded_before_their_parents_count_too,
	a_row_above_a_place_that_is_being_ended_goes_with_it, what_is_lost_keeps_its_slot_what_ended_asks_again, random_trees_count_as_a_recount_does,
	the_wall_clock_neither_frees_nor_blocks_the_rate, the_window_outlives_the_daemon_and_the_boot,
	each_spawn_is_written_with_both_clocks, a_child_gets_what_is_left_and_hears_of_it,
	a_report_names_who_really_binds, a_thousand_refusals_leave_a_few_rows,
	the_operator_sets_any_cap_and_ends_nobody, an_instance_only_lowers_and_only_below_itself,
	nobody_has_caps_of_ever_more_roles,
	what_is_set_of_the_fleet_is_kept_and_wins_until_default)
