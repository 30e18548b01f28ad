/* SPDX-License-Identifier: ISC */
/* Places, shims, guests and their programs, and core's port to them. See sim.h. */
#include "tests/unit/core/model/model.h"

static struct err gone_err(enum err_code code)
{
	struct err e = {0};

	err_set(&e, code, "so the test has it");
	return e;
}

/* ---- messages ---- */

static void push(struct sim_queue *q, struct sim_msg m)
{
	if (q->n == MSGS_MAX)
		sim_fail("the test's queue of messages is full");
	q->m[q->n++] = m;
}

static struct sim_msg pop(struct sim_queue *q)
{
	struct sim_msg m = q->m[0];

	memmove(&q->m[0], &q->m[1], --q->n * sizeof(m));
	return m;
}

/* A shim's event: kept until acknowledged, unless nobody keeps it (seq 0). */
static void tell(struct sim_place *p, const char *type, json_t *body, bool keep)
{
	struct sim_msg m = {.kind = M_EVENT, .body = body};

	if (!p->shim) {
		json_decref(body);
		return;
	}
	snprintf(m.word, sizeof(m.word), "%s", type);
	if (keep) {
		m.seq = ++p->seq;
		if (p->nkept == KEPT_MAX)
			sim_fail("a shim keeps more than %d events", KEPT_MAX);
		p->kept[p->nkept++] = m;
		json_incref(m.body);
	}
	if (p->conn)
		push(&p->to_daemon, m);
	else
		json_decref(m.body);
}

static json_t *held(const struct sim_place *p, bool full)
{
	const struct sim_prog *g = &p->prog;
	json_t *rows = json_array(), *o;

	if (!p->knows || !g->was || !(g->running || g->exit_kept))
		return rows;
	o = json_pack("{s:s, s:i}", "id", g->id, "pid", g->pid);
	if (full) {
		json_object_set_new(o, "running", json_boolean(g->running));
		if (!g->running)
			json_object_set_new(o, "exit", json_pack("{s:i, s:i}", "code", g->code, "signal", 0));
	}
	json_array_append_new(rows, o);
	return rows;
}

static void connect_shim(struct sim_place *p)
{
	json_t *hello = json_pack("{s:i, s:{s:i, s:b}, s:b, s:o}", "shim_pid", p->shim_pid, "holder", "pid",
		p->holder_pid, "running", p->holder, "link", p->link && p->knows, "instances", held(p, true));

	p->want = false;
	p->conn = true;
	push(&p->to_daemon, (struct sim_msg){.kind = M_HELLO, .body = hello});
	for (size_t i = 0; i < p->nkept; i++) {
		json_incref(p->kept[i].body);
		push(&p->to_daemon, p->kept[i]);
	}
}

static void fail_queue(const struct sim_queue *q, const struct err *e)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->m[i].fn)
			q->m[i].fn(q->m[i].arg, NULL, e);
}

void sim_disconnect(struct sim_place *p, bool lost)
{
	struct err e = gone_err(ERR_UNREACHABLE);
	struct sim_queue in = p->to_shim, out = p->to_daemon;
	struct sim_msg watch[16];
	size_t nwatch = p->nwatches;
	bool was = p->conn || p->want; /* one that is being looked for is missed, too */
	char id[ID_SIZE];

	memcpy(watch, p->watches, sizeof(watch));
	memcpy(id, p->id, ID_SIZE);
	p->to_shim.n = p->to_daemon.n = p->nwatches = 0;
	p->conn = p->want = false;
	fail_queue(&out, &e);
	fail_queue(&in, &e);
	for (size_t i = 0; i < nwatch; i++)
		watch[i].fn(watch[i].arg, NULL, &e);
	if (lost && was)
		fleet_on_shim_lost(sim.w.fleet, id, &e);
}

/* ---- what happens in a place ---- */

static void shim_ends(struct sim_place *p)
{
	p->shim = p->coming = p->knows = false;
	p->nkept = p->ntyped = 0;
	if (sim.alive)
		sim_disconnect(p, true);
}

void sim_shim_dies(struct sim_place *p)
{
	if (p->shim)
		shim_ends(p);
}

static void guest_ends(struct sim_place *p)
{
	p->link = false;
	p->prog.running = p->prog.was = p->prog.exit_kept = false;
}

void sim_holder_dies(struct sim_place *p)
{
	if (!p->holder)
		return;
	p->holder = p->stop_asked = false;
	guest_ends(p);
	tell(p, "place_exit", json_pack("{s:s, s:i, s:i}", "reason", "end", "code", 0, "signal", 0), true);
}

void sim_guest_restarts(struct sim_place *p)
{
	if (!p->holder || !p->link)
		return;
	guest_ends(p);
	p->guest = ++sim.guests;
	p->knows = false;
	tell(p, "link_down", json_pack("{s:s}", "reason", "reset"), true);
}

void sim_prog_exits(struct sim_place *p, int code)
{
	if (!p->prog.running)
		return;
	p->prog.running = false;
	p->prog.exit_kept = true;
	p->prog.code = code;
	if (p->knows)
		tell(p, "exited", json_pack("{s:s, s:i, s:i}", "instance", p->prog.id, "code", code, "signal", 0),
			true);
}

void sim_prog_says(struct sim_place *p, const char *event)
{
	if (p->prog.running && p->prog.reports && p->knows)
		tell(p, "report", json_pack("{s:s, s:{s:s}}", "instance", p->prog.id, "body", "event", event), true);
}

/* The last event that the daemon took, acknowledged or not, comes once more. */
void sim_event_twice(struct sim_place *p)
{
	struct sim_msg m = p->last;

	if (!p->conn || p->to_daemon.n || !m.body || p->last_shim != p->shim_pid)
		return;
	json_incref(m.body);
	push(&p->to_daemon, m);
}

static struct sim_typed *typed(struct sim_place *p, const char *key, bool make)
{
	for (size_t i = 0; i < p->ntyped; i++)
		if (!strcmp(p->typed[i].key, key))
			return &p->typed[i];
	if (!make)
		return NULL;
	if (p->ntyped == TYPED_MAX)
		memmove(&p->typed[0], &p->typed[1], --p->ntyped * sizeof(p->typed[0]));
	snprintf(p->typed[p->ntyped].key, KEY_SIZE, "%s", key);
	p->typed[p->ntyped].times = 0;
	return &p->typed[p->ntyped++];
}

static enum err_code shim_input(struct sim_place *p, const json_t *o)
{
	const char *key = json_string_value(json_object_get(o, "key"));
	struct sim_typed *t;

	if (!p->prog.running || !key)
		return ERR_STATE;
	t = typed(p, key, true);
	if (t->times)
		return ERR_NONE; /* the same key again types nothing */
	t->times++;
	model_typed(key);
	if (p->prog.reports && json_is_true(json_object_get(o, "enter")))
		p->prog.prompts_due++;
	return ERR_NONE;
}

static void watch_end(struct sim_place *p, size_t i, enum err_code code)
{
	struct sim_msg m = p->watches[i];

	memmove(&p->watches[i], &p->watches[i + 1], (--p->nwatches - i) * sizeof(m));
	m.kind = M_ANSWER;
	m.error = code;
	m.body = json_object();
	push(&p->to_daemon, m);
}

static enum err_code shim_run(struct sim_place *p, const json_t *o, json_t **ret)
{
	const char *id = json_string_value(json_object_get(o, "instance"));

	if (!p->link)
		return ERR_UNAVAILABLE;
	p->prog = (struct sim_prog){.was = true, .running = true, .pid = ++sim.pids,
		.reports = json_is_true(json_object_get(o, "reports")),
		.prompts_due = json_is_true(json_object_get(o, "prompt"))};
	snprintf(p->prog.id, ID_SIZE, "%s", id);
	json_object_set_new(*ret, "pid", json_integer(p->prog.pid));
	return ERR_NONE;
}

/* The shim takes the next call of the daemon. */
static void shim_takes(struct sim_place *p)
{
	struct sim_msg m = pop(&p->to_shim);
	json_t *ret = json_object(), *o = m.body;
	const char *key = json_string_value(json_object_get(o, "key"));

	m.kind = M_ANSWER;
	m.error = ERR_NONE;
	if (sim.refuse_call && strcmp(m.word, "quit") && strcmp(m.word, "stop") && strcmp(m.word, "forget")) {
		sim.refuse_call = false;
		m.error = ERR_FAILED;
	} else if (!strcmp(m.word, "run")) {
		m.error = shim_run(p, o, &ret);
	} else if (!strcmp(m.word, "input")) {
		m.error = shim_input(p, o);
		json_object_set_new(ret, "taken", json_integer(1));
	} else if (!strcmp(m.word, "typed")) {
		m.error = typed(p, key, false) ? ERR_NONE : ERR_NOT_FOUND;
		json_object_set_new(ret, "taken", json_integer(1));
	} else if (!strcmp(m.word, "stop")) {
		p->stop_asked = p->holder;
	} else if (!strcmp(m.word, "forget")) {
		p->prog.exit_kept = false;
	} else if (!strcmp(m.word, "quit") && !p->holder) {
		json_decref(ret);
		json_decref(o);
		shim_ends(p);
		return;
	} else if (!strcmp(m.word, "watch") && p->nwatches < 16) {
		p->watches[p->nwatches++] = m;
		json_decref(ret);
		return;
	} else if (!strcmp(m.word, "unwatch") && p->nwatches) {
		watch_end(p, 0, ERR_CANCELLED);
	}
	json_decref(o);
	m.body = ret;
	push(&p->to_daemon, m);
}

static void daemon_takes(struct sim_place *p)
{
	struct sim_msg m = pop(&p->to_daemon);
	struct err e = gone_err(m.error);
	char id[ID_SIZE];

	memcpy(id, p->id, ID_SIZE);
	if (m.kind == M_EVENT && m.seq) {
		json_decref(p->last.body);
		p->last = m;
		p->last_shim = p->shim_pid;
		json_incref(m.body);
	}
	if (m.kind == M_HELLO)
		fleet_on_hello(sim.w.fleet, id, m.body);
	else if (m.kind == M_EVENT)
		fleet_on_shim_event(sim.w.fleet, id, m.seq, m.word, m.body);
	else if (m.fn)
		m.fn(m.arg, m.error ? NULL : m.body, m.error ? &e : NULL);
	json_decref(m.body);
}

static void shim_comes(struct sim_place *p)
{
	p->coming = false;
	p->shim = true;
	p->shim_pid = ++sim.pids;
	p->seq = 0;
	p->nkept = p->ntyped = 0;
	p->knows = false;
	if (p->holder)
		return;
	p->holder = true;
	p->holder_pid = ++sim.pids;
	p->link = false;
	p->guest = ++sim.guests;
}

/* The shim asks the guest what it holds, and tells. */
static void link_comes(struct sim_place *p)
{
	p->link = p->knows = true;
	tell(p, "adopted", json_pack("{s:o}", "instances", held(p, false)), true);
	tell(p, "link_up", json_pack("{s:i}", "boot_ms", 5), true);
	if (p->prog.was && !p->prog.running && p->prog.exit_kept)
		tell(p, "exited", json_pack("{s:s, s:i, s:i}", "instance", p->prog.id, "code", p->prog.code,
					  "signal", 0), true);
}

static void reach(struct sim_place *p)
{
	struct err e = gone_err(ERR_UNREACHABLE);
	char id[ID_SIZE];

	memcpy(id, p->id, ID_SIZE);
	if (p->shim) {
		connect_shim(p);
	} else if (p->adopt || !p->exists) {
		p->want = false;
		fleet_on_shim_lost(sim.w.fleet, id, &e);
	} else {
		p->coming = true;
	}
}

static void kill_done(struct sim_place *p)
{
	port_done_fn *fn = p->killed;

	p->killed = NULL;
	p->shim = p->coming = p->holder = p->stop_asked = p->killing = false;
	guest_ends(p);
	p->nkept = 0;
	fn(p->killed_arg, NULL);
}

static void make_done(struct sim_place *p)
{
	port_done_fn *fn = p->made;
	struct err e = gone_err(ERR_DISK);

	p->made = NULL;
	fn(p->made_arg, sim.fail_make ? &e : NULL);
	sim.fail_make = false;
}

static void prog_goes_on(struct sim_place *p)
{
	struct sim_prog *g = &p->prog;

	if (!g->ready_told) {
		g->ready_told = true;
		sim_prog_says(p, "ready");
	} else if (g->prompts_due) {
		g->prompts_due--;
		g->busy = true;
		sim_prog_says(p, "prompt");
	} else {
		g->busy = false;
		model_inst(g->id)->stops++;
		sim_prog_says(p, "stop");
	}
}

/* What could happen next: the n-th is done, or all are counted (n SIZE_MAX). */
static size_t next(struct sim_place *p, size_t n)
{
	const struct sim_prog *g = &p->prog;
	const struct {
		bool may;
		void (*go)(struct sim_place *p);
	} step[] = {
		{p->made && sim.alive, make_done},
		{p->killed && sim.alive, kill_done},
		{p->coming, shim_comes},
		{p->want && !p->coming && !p->conn && sim.alive, reach},
		{p->conn && p->to_shim.n, shim_takes},
		{p->conn && p->to_daemon.n && sim.alive, daemon_takes},
		{p->shim && p->holder && !p->knows, link_comes},
		{p->holder && p->stop_asked && p->shim, sim_holder_dies},
		{g->running && g->reports && p->knows && p->shim && p->nkept < KEPT_MAX / 2 &&
				(!g->ready_told || g->prompts_due || g->busy), prog_goes_on},
	};
	size_t k = 0;

	for (size_t i = 0; i < ARRAY_LEN(step); i++) {
		if (!step[i].may)
			continue;
		if (k++ == n) {
			step[i].go(p);
			return k;
		}
	}
	return k;
}

size_t sim_steps(const struct sim_place *p)
{
	return next((struct sim_place *)p, SIZE_MAX);
}

void sim_step(struct sim_place *p, size_t n)
{
	next(p, n);
}

void sim_daemon_gone(void)
{
	for (size_t i = 0; i < PLACES_MAX; i++) {
		struct sim_place *p = &sim.place[i];
		p->to_shim.n = p->to_daemon.n = p->nwatches = 0;
		p->conn = p->want = false;
		p->made = p->killed = NULL;
	}
}

void sim_reboot(void)
{
	for (size_t i = 0; i < PLACES_MAX; i++) {
		struct sim_place *p = &sim.place[i];
		p->shim = p->coming = p->holder = p->stop_asked = p->knows = false;
		p->nkept = 0;
		guest_ends(p);
	}
	sim.npanes = 0;
	time_new_boot();
}
