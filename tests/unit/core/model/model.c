/* SPDX-License-Identifier: ISC */
/* What the daemon told, and whether it holds. See model.h. */
#include "tests/unit/core/model/model.h"

#define TYPED_KEYS_MAX 8192
#define WAITS_LOOKED_AT 300 /* calls, the newest */

bool model_loud;

static struct m_inst insts[INSTS_MAX];
static size_t ninsts;
static struct m_call calls[CALLS_MAX];
static size_t ncalls;
static int64_t last_seq;
static struct bus_subscriber *sub;
static char typed_keys[TYPED_KEYS_MAX][KEY_SIZE];
static size_t ntyped;

/* The design's moves, written down once more: what core's table allows is not asked. */
#define S(st) (1u << (st))
#define RUNS (S(ST_IDLE) | S(ST_WORKING) | S(ST_WAITING) | S(ST_LIMITED))
#define OVER (S(ST_STOPPING) | S(ST_EXITED) | S(ST_FAILED) | S(ST_LOST))
static const unsigned legal[ST_COUNT] = {
	[ST_QUEUED] = S(ST_PROVISIONING) | S(ST_STOPPING) | S(ST_FAILED) | S(ST_EXITED),
	[ST_PROVISIONING] = S(ST_STARTING) | OVER | S(ST_QUEUED), /* queued again: undone */
	[ST_STARTING] = RUNS | OVER | S(ST_PROVISIONING) | S(ST_QUEUED),
	[ST_IDLE] = RUNS | OVER, [ST_WORKING] = RUNS | OVER,
	[ST_WAITING] = RUNS | OVER, [ST_LIMITED] = RUNS | OVER,
	[ST_STOPPING] = S(ST_EXITED) | S(ST_FAILED),
	[ST_EXITED] = S(ST_QUEUED), [ST_FAILED] = S(ST_QUEUED),
	[ST_LOST] = RUNS | S(ST_STARTING) | S(ST_QUEUED) | S(ST_STOPPING) | S(ST_EXITED) | S(ST_FAILED),
};

void model_settings(struct core_settings *s)
{
	*s = (struct core_settings){.max_instances = 24, .boot_retries = 1, .start_timeout_ms = 60000,
		.ask_ms = 20000, .rows = 24, .cols = 80, .max_starts = 6, .cores = 2,
		.fleet_memory = CAP_UNLIMITED, .fleet_disk = CAP_UNLIMITED, .fleet_spawn_rate = CAP_UNLIMITED};
	for (int k = 0; k < CAP_KINDS; k++)
		*cap_at(&s->default_cap, (enum cap_kind)k) = CAP_UNLIMITED;
	policy_rules(&s->again);
}

struct m_inst *model_inst(const char *id)
{
	struct m_inst *m;

	for (size_t i = ninsts; i-- > 0;)
		if (!strcmp(insts[i].id, id))
			return &insts[i];
	if (ninsts == INSTS_MAX)
		sim_fail("more than %d instances in a run", INSTS_MAX);
	m = &insts[ninsts++];
	snprintf(m->id, ID_SIZE, "%s", id);
	return m;
}

void model_jumped(void)
{
	for (size_t i = 0; i < ninsts; i++)
		insts[i].jumped = true;
	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++) {
		const struct instance *in = fleet_at(sim.w.fleet, i);
		struct m_inst *m = model_inst(in->id);
		m->jumped = true;
		if (in->state_boot && strcmp(in->state_boot, boot_id())) /* in it since before the boot */
			m->time_jumped = true;
	}
}

void model_typed(const char *key)
{
	for (size_t i = 0; i < ntyped; i++)
		if (!strcmp(typed_keys[i], key))
			sim_fail("the prompt %s was typed twice", key);
	if (ntyped == TYPED_KEYS_MAX)
		sim_fail("more than %d prompts in a run", TYPED_KEYS_MAX);
	snprintf(typed_keys[ntyped++], KEY_SIZE, "%s", key);
}

/* ---- events ---- */

static void fold_state(struct m_inst *m, const json_t *data)
{
	const char *from = json_string_value(json_object_get(data, "from"));
	const char *to = json_string_value(json_object_get(data, "to"));
	enum inst_state a, b;

	if (!from || !to || state_from_name(from, &a) < 0 || state_from_name(to, &b) < 0)
		sim_fail("a state event of %s without states", m->id);
	if (a != m->state)
		sim_fail("%s moves from %s by its event, but was %s", m->id, from, state_name(m->state));
	if (a != b && !(legal[a] & S(b)))
		sim_fail("%s: an illegal move from %s to %s", m->id, from, to);
	policy_state(m, a, b, data);
	m->state = b;
}

static void fold(const char *type, const char *id, const json_t *data)
{
	struct m_inst *m = id ? model_inst(id) : NULL;
	const char *name = json_string_value(json_object_get(data, "name"));

	if (!m)
		return;
	if (m->removed)
		sim_fail("%s of %s, which was removed", type, id);
	if (!strcmp(type, "instance.created")) {
		if (m->created)
			sim_fail("%s is created twice", id);
		m->created = true;
		m->state = ST_QUEUED;
		snprintf(m->name, sizeof(m->name), "%s", name ? name : "");
		policy_created(m, data);
		labels_told(m, data);
		return;
	}
	if (!m->created)
		sim_fail("%s of %s, of which no creation was told", type, id);
	if (!strcmp(type, "instance.state"))
		fold_state(m, data);
	else if (!strcmp(type, "instance.again"))
		policy_says(m, data);
	else if (!strcmp(type, "instance.set"))
		policy_set(m, data);
	else if (!strcmp(type, "instance.labels"))
		labels_told(m, data);
	else if (!strcmp(type, "instance.renamed"))
		snprintf(m->name, sizeof(m->name), "%s", name ? name : "");
	else if (!strcmp(type, "instance.removed") && !m->may_go)
		sim_fail("%s was removed, and nobody asked for it", id);
	if (!strcmp(type, "instance.removed"))
		m->removed = true;
}

static int sub_send(void *arg, json_t *ev)
{
	int64_t seq = json_integer_value(json_object_get(ev, "seq"));
	const char *type = json_string_value(json_object_get(ev, "type"));
	const char *id = json_string_value(json_object_get(ev, "instance"));

	(void)arg;
	if (model_loud)
		printf("    event %lld %s %s\n", (long long)seq, type, id ? id : "-");
	if (seq != last_seq + 1)
		sim_fail("event %lld follows event %lld", (long long)seq, (long long)last_seq);
	last_seq = seq;
	fold(type, id, json_object_get(ev, "data"));
	return 0;
}

static size_t sub_room(void *arg)
{
	(void)arg;
	return SIZE_MAX / 2;
}

static void sub_dropped(void *arg, const struct err *why, int64_t seq)
{
	(void)arg;
	sim_fail("the subscriber was dropped after %lld: %s", (long long)seq, why->message);
}

static const struct bus_ops sub_ops = {.send = sub_send, .room = sub_room, .dropped = sub_dropped};

void model_subscribe_again(void)
{
	bus_unsubscribe(sub);
	sub = bus_subscribe(sim.w.bus, last_seq, &sub_ops, NULL);
}

/* ---- answers ---- */

struct m_call *model_call(enum m_kind kind, const char *id)
{
	struct m_call *c;

	if (ncalls == CALLS_MAX)
		sim_fail("more than %d calls in a run", CALLS_MAX);
	c = &calls[ncalls++];
	*c = (struct m_call){.kind = kind, .accepted = true, .generation = sim.generation};
	snprintf(c->id, ID_SIZE, "%s", id);
	return c;
}

struct m_call *model_call_first(void)
{
	return calls;
}

struct m_call *model_call_recent(enum m_kind kind, uint32_t n)
{
	struct m_call *found = NULL;

	for (size_t i = ncalls; i-- > 0 && ncalls - i < 200;) {
		struct m_call *c = &calls[i];
		if (c->kind != kind || !c->accepted || c->answers || c->generation != sim.generation || !c->wait)
			continue;
		found = c;
		if (n-- == 0)
			break;
	}
	return found;
}

struct m_call *model_call_keyed(enum m_kind kind, uint32_t n)
{
	struct m_call *found = NULL;

	for (size_t i = ncalls; i-- > 0 && ncalls - i < 200;) {
		struct m_call *c = &calls[i];
		if (c->kind != kind || !c->key[0] || !c->accepted)
			continue;
		found = c;
		if (n-- == 0)
			break;
	}
	return found;
}

static void answered(struct m_call *c, const struct err *e)
{
	if (model_loud)
		printf("    answer to call %d (%d of %s): %s\n", (int)(c - calls), c->kind, c->id,
			e ? e->message : "done");
	if (c->generation != sim.generation)
		sim_fail("a call of a daemon that died is answered");
	if (++c->answers > 1)
		sim_fail("call %d (%d of %s) is answered twice", (int)(c - calls), c->kind, c->id);
	if (!c->accepted)
		sim_fail("call %d (%d of %s) was refused, or given up, and is answered", (int)(c - calls), c->kind,
			c->id);
	c->code = e ? e->code : ERR_NONE;
	/* Now and then the daemon dies with its answer. */
	if (!e && sim.crash_answers && ++sim.answers % sim.crash_answers == 0)
		sim.crash_soon = true;
}

void model_answer(void *call, const struct instance *in, const struct err *e)
{
	struct m_call *c = call;
	struct m_inst *m = model_inst(c->id);

	answered(c, e);
	if (e)
		return;
	m->told = true;
	if (in && strcmp(in->id, c->id))
		sim_fail("the answer about %s names %s", c->id, in->id);
	if (!in && !m->may_go)
		sim_fail("an answer about %s without it", c->id);
	if (c->kind == C_KILL && m->restarts == c->restarts)
		m->end_told = true;
}

void model_prompt_answer(void *call, const struct prompt *p, const struct err *e)
{
	struct m_call *c = call;

	answered(c, e);
	if (!e && (!p || !p->delivered_ms))
		sim_fail("the prompt %s is told delivered and is not", c->key);
}

void model_said(void *call, const struct err *e)
{
	struct m_call *c = call;
	struct m_inst *m = model_inst(c->id);

	answered(c, e);
	if (e)
		return;
	if (c->kind == C_RENAME && m->renames == c->renames) {
		m->name_told = true;
		snprintf(m->told_name, sizeof(m->told_name), "%s", c->name);
	}
	if (c->kind == C_REMOVE)
		m->gone_told = true;
	if (c->kind == C_SPAWN)
		m->told = true;
}

/* ---- the daemon's life ---- */

/* What was told before the crash is there after it. */
static void check_told(const struct m_inst *m)
{
	const struct instance *in = fleet_get(sim.w.fleet, m->id);

	if (!in && m->told && !m->may_go)
		sim_fail("%s was told to a caller, and is not there after a crash", m->id);
	if (in && m->gone_told)
		sim_fail("%s was told removed, and is there after a crash", m->id);
	if (!in)
		return;
	if (m->end_told && !state_final(in->state))
		sim_fail("%s was told killed, and is %s after a crash", m->id, state_name(in->state));
	if (m->name_told && strcmp(in->name ? in->name : "", m->told_name))
		sim_fail("%s was told to be called %s, and is %s after a crash", m->id, m->told_name,
			in->name ? in->name : "nameless");
}

void model_loaded(void)
{
	for (size_t i = 0; i < ninsts; i++)
		check_told(&insts[i]);
	for (size_t i = 0; i < ncalls; i++) {
		const struct m_call *c = &calls[i];
		struct prompt *p;
		const struct m_inst *m = model_inst(c->id);
		if (c->kind != C_SEND || !c->answers || c->code || m->may_go || !c->key[0] || c->generation + 1 != sim.generation)
			continue;
		p = store_prompt_get(sim.w.store, c->key);
		if (!p || !p->delivered_ms)
			sim_fail("the prompt %s was told delivered, and is not after a crash", c->key);
		prompt_free(p);
	}
}

void model_started(void)
{
	sub = bus_subscribe(sim.w.bus, last_seq, &sub_ops, NULL);
}

void model_crashed(void)
{
	sub = NULL;
	if (model_loud)
		printf("    --- the daemon dies\n");
}

/* ---- what holds at any time ---- */

static const struct instance *parent_row(const struct instance *in)
{
	return in->parent[0] ? fleet_get(sim.w.fleet, in->parent) : NULL;
}

int64_t model_count_below(const char *id, bool children_only)
{
	int64_t n = 0;

	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++) {
		const struct instance *in = fleet_at(sim.w.fleet, i), *a = in;
		if (!state_living(in->state))
			continue;
		if (children_only) {
			n += !strcmp(in->parent, id);
			continue;
		}
		for (int steps = 0; steps < 64 && (a = parent_row(a)); steps++)
			if (!strcmp(a->id, id)) {
				n++;
				break;
			}
	}
	return n;
}

/* What was there when the limit was lowered may stay, and becomes only less. */
static void check_cap(const char *id, const char *what, int64_t count, int64_t limit, int64_t *stay)
{
	if (limit != CAP_UNLIMITED && count > limit && count > *stay)
		sim_fail("%s has %lld living %s and a cap of %lld", id, (long long)count, what, (long long)limit);
	if (count < *stay)
		*stay = count;
}

static void check_caps(const struct instance *in)
{
	struct m_inst *m = model_inst(in->id);

	check_cap(in->id, "children", model_count_below(in->id, true), in->cap.max_children, &m->over_children);
	check_cap(in->id, "descendants", model_count_below(in->id, false), in->cap.max_descendants, &m->over_all);
	if (in->cap.max_total != CAP_UNLIMITED && in->spawned_total > in->cap.max_total)
		sim_fail("%s has spawned %lld in all and a cap of %lld", in->id, (long long)in->spawned_total,
			(long long)in->cap.max_total);
}

/* Against what really passed: not by the clocks that the daemon reads. */
static void check_times(const struct instance *in)
{
	int64_t sum = 0, in_state, age;
	const struct m_inst *m = model_inst(in->id);

	if (m->time_jumped || !m->born)
		return;
	for (int s = 0; s < ST_COUNT; s++)
		sum += in->time_in_state[s];
	in_state = in->state_boot && !strcmp(in->state_boot, boot_id()) ? clock_boot_ms() - in->state_boot_ms
									: clock_wall_ms() - in->state_since_ms;
	age = time_true() - m->born;
	if (sum + in_state != age)
		sim_fail("%s is %lld ms old, its states add up to %lld", in->id, (long long)age,
			(long long)(sum + in_state));
}

/* Whoever waits for a state hears of it in the turn in which it comes. */
static void check_waits(void)
{
	for (size_t i = ncalls; i-- > 0 && ncalls - i < WAITS_LOOKED_AT;) {
		const struct m_call *c = &calls[i];
		const struct instance *in;
		if (c->kind != C_WAIT || !c->accepted || c->answers || c->generation != sim.generation)
			continue;
		in = fleet_get(sim.w.fleet, c->id);
		if (!in || (c->until >> in->state) & 1)
			sim_fail("call %zu still waits for %s, which is %s", i, c->id,
				in ? state_name(in->state) : "gone");
	}
}

void model_check(void)
{
	struct fleet *f = sim.w.fleet;
	int64_t living = 0;

	for (size_t i = 0; i < fleet_count(f); i++) {
		const struct instance *in = fleet_at(f, i);
		check_times(in);
		if (!state_living(in->state))
			continue;
		living++;
		for (size_t k = 0; k < i && in->name; k++) {
			const struct instance *o = fleet_at(f, k);
			if (state_living(o->state) && o->name && !strcmp(o->name, in->name))
				sim_fail("%s and %s are both called %s", in->id, o->id, in->name);
		}
	}
	check_waits();
	for (size_t i = 0; i < fleet_count(f); i++)
		check_caps(fleet_at(f, i));
	if (living > sim.w.settings.max_instances)
		sim_fail("%lld instances live, the fleet's cap is %lld", (long long)living,
			(long long)sim.w.settings.max_instances);
	if ((size_t)living != fleet_living(f))
		sim_fail("%lld instances live, core counts %zu", (long long)living, fleet_living(f));
}

void model_callers_go(void)
{
	for (size_t i = ncalls; i-- > 0 && ncalls - i < WAITS_LOOKED_AT;) {
		struct m_call *c = &calls[i];
		if ((c->kind != C_SPAWN && c->kind != C_RESTART) || !c->accepted || c->answers ||
			c->generation != sim.generation || !c->id[0])
			continue;
		model_inst(c->id)->cancels++;
		if (fleet_cancel(sim.w.fleet, c->id, c))
			c->accepted = false;
	}
}

void model_check_calls(void)
{
	for (size_t i = 0; i < ncalls; i++) {
		const struct m_call *c = &calls[i];
		if (c->accepted && !c->answers && c->generation == sim.generation)
			sim_fail("call %zu (%d of %s) was never answered", i, c->kind, c->id);
	}
}

size_t model_insts(const struct m_inst **ret)
{
	*ret = insts;
	return ninsts;
}

size_t model_insts_all(struct m_inst **ret)
{
	*ret = insts;
	return ninsts;
}

int64_t model_last_seq(void)
{
	return last_seq;
}

bool model_heard_all(void)
{
	return last_seq == store_event_durable(sim.w.store) && last_seq == store_event_last(sim.w.store);
}
