/* SPDX-License-Identifier: ISC */
/* The operations of the model test: made up, written down, read again, done. */
#include <inttypes.h>
#include <stdio.h>

#include "tests/unit/core/model/model.h"

#define SETTLE_STEPS 20000
#define SETTLE_MS 400000 /* of the test's clock */
#define HOLD_OF 12       /* one of so many turns stays open */

static uint32_t mix(uint64_t *s)
{
	*s = *s * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*s >> 33);
}

struct instance *model_pick(uint32_t n)
{
	size_t count = fleet_count(sim.w.fleet);

	return count ? fleet_at(sim.w.fleet, n % count) : NULL;
}

struct instance *model_pick_living(uint32_t n)
{
	size_t count = fleet_count(sim.w.fleet);

	for (size_t i = 0; i < count; i++) {
		struct instance *in = fleet_at(sim.w.fleet, (n + i) % count);
		if (state_living(in->state))
			return in;
	}
	return NULL;
}

/* ---- starting ---- */

static int64_t limit_of(uint32_t n)
{
	static const int64_t limits[] = {CAP_UNLIMITED, 1, 2, 3, 4, 8, CAP_UNLIMITED, CAP_UNLIMITED};

	return limits[n % ARRAY_LEN(limits)];
}

static const char *name_of(uint32_t n)
{
	static const char *const names[] = {"ant", "bee", "cat", "dog", "elk", "fox"};

	return names[n % ARRAY_LEN(names)];
}

static struct instance *holder_of(const char *name)
{
	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++) {
		struct instance *in = fleet_at(sim.w.fleet, i);
		if (state_living(in->state) && in->name && !strcmp(in->name, name))
			return in;
	}
	return NULL;
}

static bool full(int64_t count, int64_t limit)
{
	return limit != CAP_UNLIMITED && count >= limit;
}

bool model_caps_full(const struct instance *parent)
{
	const struct instance *a = parent;

	if (full((int64_t)fleet_living(sim.w.fleet), sim.w.settings.max_instances))
		return true;
	if (parent && full(model_count_below(parent->id, true), parent->cap.max_children))
		return true;
	for (int64_t depth = 1; a && depth < 64; depth++) {
		if (full(model_count_below(a->id, false), a->cap.max_descendants))
			return true;
		if (a->cap.max_depth != CAP_UNLIMITED && depth > a->cap.max_depth)
			return true;
		a = a->parent[0] ? fleet_get(sim.w.fleet, a->parent) : NULL;
	}
	return false;
}

/* Of spawns: a restart counts for no total. */
static bool total_full(const struct instance *parent)
{
	for (const struct instance *a = parent; a; a = a->parent[0] ? fleet_get(sim.w.fleet, a->parent) : NULL)
		if (full(a->spawned_total, a->cap.max_total))
			return true;
	return false;
}

static struct instance *asked_for(const struct op *op, const struct instance *parent)
{
	struct instance *in = instance_new();

	in->driver = xstrdup("vm");
	in->agent = xstrdup(op->c % 4 == 0 ? "mute" : "teller");
	in->dir = xstrdup("/p");
	in->name = op->b % 3 ? NULL : xstrdup(name_of(op->b / 3));
	in->cap = sim.w.settings.default_cap;
	in->cap.max_children = limit_of(op->c >> 4);
	in->cap.max_descendants = limit_of(op->c >> 8);
	in->cap.max_depth = limit_of(op->c >> 12);
	in->cap.max_total = op->c >> 20 & 7 ? CAP_UNLIMITED : 4;
	in->restart = (enum restart_policy)((op->b >> 12) % RESTART_POLICIES);
	if ((op->b >> 16) % 6 == 0)
		in->env = json_pack("{s:s}", "KEY", "value");
	in->rm = (op->b >> 8) % 10 == 0;
	json_object_set_new(in->labels, "role", json_string(op->b & 1 ? "specialist" : "manager"));
	if (op->b & 4)
		json_object_set_new(in->labels, "team", json_string("red"));
	if (parent)
		memcpy(in->parent, parent->id, ID_SIZE);
	return in;
}

static void spawn_checked(struct m_call *c, const struct instance *parent, const char *name, int r,
	const struct err *e, bool taken, bool capped)
{
	bool ended = parent && !state_living(parent->state);

	if (r == 0 && (taken || capped || ended))
		sim_fail("a spawn below %s named '%s' passed, and should not:%s%s%s", parent ? parent->id : "nobody",
			name ? name : "", taken ? " the name is taken" : "", capped ? " a cap is reached" : "",
			ended ? " its parent has ended" : "");
	if (r < 0 && !taken && !capped && !ended)
		sim_fail("a spawn below %s was refused, and nothing forbids it: %s", parent ? parent->id : "nobody",
			e->message);
	if (r < 0 && (e->code == ERR_CAP) && !capped)
		sim_fail("a spawn was refused for a cap that is not reached: %s", e->message);
	if (r == 0)
		return;
	if (c->answers)
		sim_fail("a refused spawn was answered");
	c->accepted = false;
}

static void spawned(const char *id)
{
	struct m_inst *m = model_inst(id);

	m->born = time_true();
	m->env = fleet_get(sim.w.fleet, id)->env != NULL;
	m->env_of = sim.generation;
}

static void op_spawn(const struct op *op)
{
	struct instance *parent = op->a % 5 < 2 ? NULL : model_pick_living(op->a / 5), *in;
	struct caller who = {(op->b >> 4) % 3 == 0 && parent ? parent->id : NULL};
	struct m_call *c = model_call(C_SPAWN, "");
	struct spawn_args a = {.wait = op->b & 2, .done = model_answer, .arg = c, .digest = "same"};
	char id[ID_SIZE] = "", parent_id[ID_SIZE] = "", name[NAME_MAX_LEN + 1] = "";
	bool taken, capped;
	struct err e = {0};
	int r;

	if (op->a % 23 == 7) /* one that has ended may be asked, too */
		parent = model_pick(op->a), who.instance = NULL;
	in = asked_for(op, parent);
	snprintf(name, sizeof(name), "%s", in->name ? in->name : "");
	snprintf(parent_id, sizeof(parent_id), "%s", in->parent);
	a.in = in;
	a.prompt = (op->c >> 16) % 3 == 0 ? "do it" : NULL;
	if ((op->c >> 18) % 3 == 0) {
		snprintf(c->key, sizeof(c->key), "spawn%td", c - model_call_first());
		a.key = c->key;
	}
	c->wait = a.wait;
	taken = name[0] && holder_of(name);
	capped = model_caps_full(parent) || total_full(parent);
	if (in->rm)
		c->rm = true;
	r = fleet_spawn(sim.w.fleet, &who, &a, id, &e);
	spawn_checked(c, parent_id[0] ? fleet_get(sim.w.fleet, parent_id) : NULL, name, r, &e, taken, capped);
	if (r < 0)
		return;
	snprintf(c->id, ID_SIZE, "%s", id);
	spawned(id);
	if (c->rm)
		model_inst(id)->may_go = true;
}

/* The same call once more, as after a connection that was lost. */
static void op_spawn_again(const struct op *op)
{
	const struct m_call *first = model_call_keyed(C_SPAWN, op->a % 4);
	struct m_call *c;
	struct caller who = {0};
	struct spawn_args a = {.wait = op->b & 1, .done = model_answer, .digest = "same"};
	char id[ID_SIZE] = "";
	struct err e = {0};
	bool told, may_go;
	int r;

	if (!first)
		return;
	told = model_inst(first->id)->told;
	may_go = model_inst(first->id)->may_go;
	c = model_call(C_SPAWN, "");
	snprintf(c->key, sizeof(c->key), "%s", first->key);
	c->wait = a.wait;
	a.arg = c;
	a.key = c->key;
	a.in = asked_for(op, NULL);
	c->rm = a.in->rm;
	r = fleet_spawn(sim.w.fleet, &who, &a, id, &e);
	c->accepted = r == 0;
	if (r == 0) {
		snprintf(c->id, ID_SIZE, "%s", id);
		if (told && strcmp(id, first->id))
			sim_fail("the key %s made %s and then %s", c->key, first->id, id);
		if (strcmp(id, first->id) && !model_inst(id)->created && !model_inst(id)->born)
			spawned(id);
		if (strcmp(id, first->id) && c->rm)
			model_inst(id)->may_go = true;
	} else if (told && !may_go && e.code == ERR_NOT_FOUND) {
		sim_fail("the key %s does not know %s any more", c->key, first->id);
	}
}

static void op_cancel(const struct op *op)
{
	struct m_call *c = model_call_recent(op->b & 1 ? C_SPAWN : C_RESTART, op->a % 4);

	if (!c)
		return;
	model_inst(c->id)->cancels++;
	if (fleet_cancel(sim.w.fleet, c->id, c))
		c->accepted = false; /* it hears no more */
}

/* ---- ending ---- */

void model_killed(const struct instance *in, bool cascade)
{
	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++) {
		const struct instance *d = fleet_at(sim.w.fleet, i);
		if (d != in && !(cascade && fleet_is_within(sim.w.fleet, in->id, d->id)))
			continue;
		model_inst(d->id)->kills++;
		policy_forget(model_inst(d->id));
	}
}

static void op_kill(const struct op *op)
{
	bool cascade = op->b & 1, force = op->b & 2, rm = op->b % 7 == 0;
	struct instance *in = model_pick(op->a);
	bool refused;
	struct m_call *c;
	struct err e = {0};

	if (!in)
		return;
	refused = !cascade && state_living(in->state) && model_count_below(in->id, true);
	c = model_call(C_KILL, in->id);
	c->restarts = model_inst(in->id)->restarts;
	for (size_t i = 0; rm && !refused && i < fleet_count(sim.w.fleet); i++) {
		const struct instance *d = fleet_at(sim.w.fleet, i);
		if (d == in || (cascade && fleet_is_within(sim.w.fleet, in->id, d->id)))
			model_inst(d->id)->may_go = true;
	}
	if (!refused)
		model_killed(in, cascade);
	if (fleet_kill(sim.w.fleet, in, cascade, force, rm, model_answer, c, &e) < 0)
		c->accepted = false;
	if (c->accepted == refused)
		sim_fail("the kill of %s was %s", c->id, refused ? "accepted, though children of it live" : "refused");
}

/* As the api does: told once the turn is on disk. */
static void say_after(struct m_call *c)
{
	turn_after(sim.w.turn, model_said, c);
}

static void op_rm(const struct op *op)
{
	struct instance *in = model_pick(op->a);
	struct m_call *c;
	struct err e = {0};
	char id[ID_SIZE];
	bool may;

	if (!in)
		return;
	memcpy(id, in->id, ID_SIZE);
	model_inst(id)->kills++; /* one that waits for its policy is given up by that */
	may = state_final(in->state) && !model_count_below(id, false);
	if (fleet_remove(sim.w.fleet, in, &e) < 0) {
		if (may)
			sim_fail("%s has ended, nothing lives below it, and it cannot be removed: %s", id, e.message);
		return;
	}
	if (!state_final(in == fleet_get(sim.w.fleet, id) ? in->state : ST_EXITED) && in->state != ST_STOPPING)
		sim_fail("%s lives and is removed", id);
	model_inst(id)->may_go = true;
	if (fleet_get(sim.w.fleet, id))
		return; /* once its place has ended */
	c = model_call(C_REMOVE, id);
	say_after(c);
}

static void op_rename(const struct op *op)
{
	struct instance *in = model_pick(op->a);
	const char *name = name_of(op->b);
	const struct instance *holder = holder_of(name);
	struct m_call *c;
	struct err e = {0};

	if (!in)
		return;
	if (fleet_rename(sim.w.fleet, in, name, &e) < 0) {
		if (!holder || holder == in)
			sim_fail("%s cannot be called %s, and nobody is: %s", in->id, name, e.message);
		return;
	}
	if (holder && holder != in)
		sim_fail("%s is called %s, as %s is", in->id, name, holder->id);
	c = model_call(C_RENAME, in->id);
	model_inst(in->id)->name_told = false;
	c->renames = ++model_inst(in->id)->renames;
	snprintf(c->name, sizeof(c->name), "%s", name);
	say_after(c);
}

/* ---- talking ---- */

static void send_it(struct m_call *c, struct instance *in, uint32_t how)
{
	struct send_args a = {.mode = how % 3 ? PM_PASTE : PM_RAW, .text = "words", .len = 5, .key = c->key,
		.timeout_ms = 30000, .done = model_prompt_answer, .arg = c};
	struct err e = {0};

	c->how = how;
	if (fleet_send(sim.w.fleet, in, &a, &e) < 0)
		c->accepted = false;
}

static void op_send(const struct op *op)
{
	struct instance *in = model_pick_living(op->a);
	struct m_call *c;

	if (!in)
		return;
	c = model_call(C_SEND, in->id);
	snprintf(c->key, sizeof(c->key), "send%td", c - model_call_first());
	send_it(c, in, op->b);
}

static void op_send_again(const struct op *op)
{
	const struct m_call *first = model_call_keyed(C_SEND, op->a % 6);
	struct instance *in = first ? fleet_get(sim.w.fleet, first->id) : NULL;
	struct m_call *c;

	if (!in)
		return;
	c = model_call(C_SEND, in->id);
	memcpy(c->key, first->key, sizeof(c->key));
	send_it(c, in, first->how);
}

static void op_interrupt(const struct op *op)
{
	struct instance *in = model_pick_living(op->a);
	struct m_call *c;
	struct err e = {0};

	if (!in)
		return;
	c = model_call(C_INTERRUPT, in->id);
	if (fleet_interrupt(sim.w.fleet, in, model_answer, c, &e) < 0)
		c->accepted = false;
}

static void op_wait(const struct op *op)
{
	static const char *const until[] = {"idle", "exited", "working", "waiting", "text=done"};
	static const unsigned states[] = {1u << ST_IDLE, 1u << ST_EXITED | 1u << ST_FAILED, 1u << ST_WORKING,
		1u << ST_WAITING, 0};
	struct instance *in = model_pick(op->a);
	struct m_call *c;
	struct err e = {0};

	if (!in)
		return;
	c = model_call(C_WAIT, in->id);
	c->until = states[op->b % ARRAY_LEN(states)];
	if (!fleet_wait(sim.w.fleet, in, until[op->b % ARRAY_LEN(until)], NULL, 1000 + op->c % 30000, model_answer, c, &e))
		c->accepted = false;
}

static void op_cap(const struct op *op)
{
	static const enum cap_kind kinds[] = {CAP_CHILDREN, CAP_DESCENDANTS, CAP_DEPTH};
	struct instance *in = model_pick_living(op->a);
	enum cap_kind k = kinds[op->b % ARRAY_LEN(kinds)];
	struct caller who = {0};
	struct cap_change c = {0};
	struct err e = {0};

	if (!in)
		return;
	c.given[k] = true;
	c.v[k] = limit_of(op->c);
	model_inst(in->id)->over_children = model_count_below(in->id, true);
	model_inst(in->id)->over_all = model_count_below(in->id, false);
	if (fleet_cap_set(sim.w.fleet, &who, in, &c, &e) < 0)
		sim_fail("the cap of %s cannot be set: %s", in->id, e.message);
	if (cap_get(&in->cap, k) != c.v[k])
		sim_fail("the cap of %s was set, and is another", in->id);
}

static void op_subscribe(const struct op *op)
{
	model_subscribe_again();
	if (op->a % 3 == 0) /* what it is fed of an open turn would be untrue */
		sim.fail_commit = true;
}

/* ---- the world goes on ---- */

static void step(uint32_t n)
{
	size_t all = 0;

	for (size_t i = 0; i < PLACES_MAX; i++)
		all += sim_steps(&sim.place[i]);
	if (!all)
		return;
	n %= all;
	for (size_t i = 0; i < PLACES_MAX; i++) {
		size_t k = sim_steps(&sim.place[i]);
		if (n < k) {
			sim_step(&sim.place[i], n);
			return;
		}
		n -= (uint32_t)k;
	}
}

static void op_step(const struct op *op)
{
	step(op->a);
}

static void op_steps(const struct op *op)
{
	uint64_t s = op->a;

	for (uint32_t i = 0; i < 4 + op->b % 24; i++) {
		step(mix(&s));
		sim_turn();
		model_check();
	}
}

static void pass(int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	do
		sim_turn();
	while (time_step(until));
}

static void op_time(const struct op *op)
{
	static const int64_t ms[] = {1, 20, 100, 1000, 3000, 20000, 61000};

	pass(ms[op->a % ARRAY_LEN(ms)]);
}

static void op_wall(const struct op *op)
{
	model_jumped();
	time_jump_wall(op->a % 2 ? -3600000 : 86400000);
}

static bool step_all(void)
{
	bool some = false;

	for (size_t i = 0; i < PLACES_MAX; i++) {
		if (!sim_steps(&sim.place[i]))
			continue;
		sim_step(&sim.place[i], 0);
		sim_turn();
		some = true;
	}
	return some;
}

void model_rest(void)
{
	int64_t end = clock_mono_ms() + SETTLE_MS, left;
	int steps = 0;

	for (;;) {
		sim_turn();
		while (step_all())
			if (++steps > SETTLE_STEPS)
				sim_fail("it never comes to rest");
		left = time_to_timer();
		if (left < 0 || clock_mono_ms() + left > end)
			break;
		time_step(clock_mono_ms() + left);
	}
}

void model_settle(void)
{
	model_rest();
	model_check_settled();
}

static void op_settle(const struct op *op)
{
	(void)op;
	model_settle();
}

/* ---- faults ---- */

static void op_crash(const struct op *op)
{
	(void)op;
	sim_daemon_crash();
	sim_daemon_start();
}

static void op_reboot(const struct op *op)
{
	(void)op;
	sim_daemon_crash();
	sim_reboot();
	policy_rebooted(false);
	sim_daemon_start();
}

static void op_commit_fails(const struct op *op)
{
	(void)op;
	sim.fail_commit = true;
}

static struct sim_place *place(uint32_t n)
{
	for (size_t i = 0; i < PLACES_MAX; i++) {
		struct sim_place *p = &sim.place[(n + i) % PLACES_MAX];
		if (p->exists && (p->shim || p->holder))
			return p;
	}
	return NULL;
}

static void op_fault(const struct op *op)
{
	struct sim_place *p = place(op->a);

	if (op->kind == OP_REFUSE)
		sim.refuse_call = true;
	else if (op->kind == OP_MAKE_FAILS)
		sim.fail_make = true;
	else if (!p)
		return;
	else if (op->kind == OP_SHIM_DIES)
		sim_shim_dies(p);
	else if (op->kind == OP_HOLDER_DIES)
		sim_holder_dies(p);
	else if (op->kind == OP_GUEST_RESTARTS)
		sim_guest_restarts(p);
	else if (op->kind == OP_EXIT)
		sim_prog_exits(p, (int)(op->b % 2));
	else if (op->kind == OP_ASK)
		sim_prog_says(p, "ask");
	else if (op->kind == OP_TWICE)
		sim_event_twice(p);
}

static void op_pane(const struct op *op)
{
	struct instance *in = model_pick_living(op->a);

	if (!in)
		return;
	for (size_t i = 0; i < sim.npanes; i++) {
		if (strcmp(sim.pane[i], in->id))
			continue;
		fleet_on_pane(sim.w.fleet, in->id, false, "lost");
		fleet_on_pane(sim.w.fleet, in->id, true, "back");
		return;
	}
}

/* ---- the table ---- */

static const struct {
	const char *name;
	unsigned weight;
} words[OP_COUNT] = {
#define OP(sym, name, weight) [sym] = {name, weight},
#include "tests/unit/core/model/ops.def"
#undef OP
};

static void (*const doing[OP_COUNT])(const struct op *op) = {
	[OP_SPAWN] = op_spawn, [OP_SPAWN_AGAIN] = op_spawn_again, [OP_KILL] = op_kill, [OP_RM] = op_rm,
	[OP_RENAME] = op_rename, [OP_RESTART] = op_restart, [OP_SEND] = op_send,
	[OP_SEND_AGAIN] = op_send_again, [OP_INTERRUPT] = op_interrupt, [OP_WAIT] = op_wait,
	[OP_SET] = op_set, [OP_UP] = op_up, [OP_DOWN] = op_down, [OP_LABEL] = op_label, [OP_SELECT] = op_select,
	[OP_CANCEL] = op_cancel, [OP_CAP] = op_cap, [OP_SUBSCRIBE] = op_subscribe, [OP_STEP] = op_step,
	[OP_STEPS] = op_steps, [OP_TIME] = op_time, [OP_WALL] = op_wall, [OP_SETTLE] = op_settle,
	[OP_CRASH] = op_crash, [OP_REBOOT] = op_reboot, [OP_COMMIT_FAILS] = op_commit_fails,
	[OP_SHIM_DIES] = op_fault, [OP_HOLDER_DIES] = op_fault, [OP_GUEST_RESTARTS] = op_fault,
	[OP_EXIT] = op_fault, [OP_ASK] = op_fault, [OP_TWICE] = op_fault, [OP_REFUSE] = op_fault,
	[OP_MAKE_FAILS] = op_fault, [OP_PANE] = op_pane,
};

struct op op_random(uint64_t *seed)
{
	struct op op = {0};
	unsigned all = 0, n;

	for (int i = 0; i < OP_COUNT; i++)
		all += words[i].weight;
	n = mix(seed) % all;
	while (n >= words[op.kind].weight)
		n -= words[op.kind++].weight;
	op.a = mix(seed);
	op.b = mix(seed);
	op.c = mix(seed);
	op.hold = mix(seed) % (op.kind == OP_SUBSCRIBE ? 2 : HOLD_OF) == 0;
	return op;
}

void op_do(const struct op *op)
{
	doing[op->kind](op);
	if (op->hold)
		return;
	sim_turn();
	model_check();
}

int op_print(const struct op *op, char *out, size_t size)
{
	return snprintf(out, size, "%s %" PRIu32 " %" PRIu32 " %" PRIu32 "%s\n", words[op->kind].name, op->a, op->b,
		op->c, op->hold ? " hold" : "");
}

int op_parse(const char *line, struct op *ret)
{
	char word[32], hold[8] = "";

	if (sscanf(line, "%31s %" SCNu32 " %" SCNu32 " %" SCNu32 " %7s", word, &ret->a, &ret->b, &ret->c, hold) < 4)
		return -1;
	ret->hold = hold[0] != '\0';
	for (int i = 0; i < OP_COUNT; i++) {
		if (strcmp(words[i].name, word))
			continue;
		ret->kind = (enum op_kind)i;
		return 0;
	}
	return -1;
}
