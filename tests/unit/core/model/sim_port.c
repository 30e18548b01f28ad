/* SPDX-License-Identifier: ISC */
/* Core's port to the pretended world: what core asks for is noted, and happens when the test lets it. */
#include "tests/unit/core/model/sim.h"

struct sim_place *sim_place(const char *id)
{
	for (size_t i = 0; i < PLACES_MAX; i++)
		if (sim.place[i].id[0] && !strcmp(sim.place[i].id, id))
			return &sim.place[i];
	return NULL;
}

struct sim_place *sim_place_of(const char *instance)
{
	for (size_t i = 0; i < PLACES_MAX; i++)
		if (sim.place[i].exists && !strcmp(sim.place[i].instance, instance))
			return &sim.place[i];
	return NULL;
}

static struct sim_place *place_or_new(const char *id)
{
	struct sim_place *p = sim_place(id);

	for (size_t i = 0; !p && i < PLACES_MAX; i++) {
		const struct sim_place *o = &sim.place[i];
		if (o->exists || o->want || o->shim || o->holder || o->coming || o->killed)
			continue;
		p = &sim.place[i];
		memset(p, 0, sizeof(*p));
		snprintf(p->id, ID_SIZE, "%s", id);
	}
	if (!p)
		sim_fail("more than %d places at once", PLACES_MAX);
	return p;
}

/* ---- kinds ---- */

static int report(const struct instance *in, const char *event, const json_t *body,
	struct agent_fact *ret, struct err *e)
{
	(void)in;
	(void)body;
	ret->has_state = true;
	if (!strcmp(event, "ready")) {
		ret->ready = true;
		ret->state = ST_IDLE;
	} else if (!strcmp(event, "prompt")) {
		ret->prompt_delivered = true;
		ret->state = ST_WORKING;
	} else if (!strcmp(event, "stop")) {
		ret->turn_ended = true;
		ret->state = ST_IDLE;
	} else if (!strcmp(event, "ask")) {
		ret->state = ST_WAITING;
		strcpy(ret->reason, "permission");
	} else {
		return err_set(e, ERR_PARAMS, "unknown");
	}
	return 0;
}

static const char *const keys[] = {"Escape", NULL};
static const struct agent_program teller = {
	.name = "teller", .reports = true, .interrupt_keys = keys, .report = report};
static const struct agent_program mute = {.name = "mute", .interrupt_keys = keys};

const struct agent_program *sim_agent(void *ctx, const char *name)
{
	(void)ctx;
	return name && !strcmp(name, "mute") ? &mute : &teller;
}

static int check(void *ctx, struct instance *in, struct err *e)
{
	(void)ctx;
	(void)e;
	if (!in->template_name)
		in->template_name = xstrdup("t");
	return 0;
}

static bool isolated(void *ctx, const char *driver)
{
	(void)ctx;
	return !strcmp(driver, "vm");
}

/* ---- places ---- */

static void place_make(void *ctx, struct place *p, const struct instance *in, port_done_fn *done, void *arg)
{
	struct sim_place *s = place_or_new(p->id);

	(void)ctx;
	s->exists = true;
	memcpy(s->instance, in->id, ID_SIZE);
	s->made = done;
	s->made_arg = arg;
}

static void shim_start(void *ctx, const char *place)
{
	struct sim_place *s = place_or_new(place);

	(void)ctx;
	s->want = true;
	s->adopt = false;
	if (!s->shim && s->exists)
		s->coming = true; /* the process is there, whether or not we live to meet it */
}

static void shim_adopt(void *ctx, const char *place)
{
	struct sim_place *s = place_or_new(place);

	(void)ctx;
	s->want = s->adopt = true;
}

/* As shimctl: a call without a connection fails from the loop. */
struct dead_call {
	struct loop_defer *defer;
	port_reply_fn *fn;
	void *arg;
};

static void dead_call(void *arg)
{
	struct dead_call *d = arg;
	struct err e = {0};

	err_set(&e, ERR_UNAVAILABLE, "no shim is there");
	d->fn(d->arg, NULL, &e);
	loop_defer_free(d->defer);
	free(d);
}

static void fail_soon(port_reply_fn *fn, void *arg)
{
	struct dead_call *d;

	if (!fn)
		return;
	d = xcalloc(1, sizeof(*d));
	*d = (struct dead_call){.defer = loop_defer_create(NULL, dead_call, d), .fn = fn, .arg = arg};
	loop_defer_schedule(d->defer);
}

static void shim_call(void *ctx, const char *place, const char *method, json_t *params, int64_t ms,
	port_reply_fn *fn, void *arg)
{
	struct sim_place *s = sim_place(place);
	struct sim_msg m = {.kind = M_CALL, .body = params, .fn = fn, .arg = arg};

	(void)ctx;
	(void)ms;
	if (!s || !s->conn) {
		json_decref(params);
		fail_soon(fn, arg);
		return;
	}
	if (s->to_shim.n == MSGS_MAX)
		sim_fail("a shim is asked more than %d things at once", MSGS_MAX);
	snprintf(m.word, sizeof(m.word), "%s", method);
	s->to_shim.m[s->to_shim.n++] = m;
}

static void shim_ack(void *ctx, const char *place, uint64_t seq, int64_t steps_wait_ms)
{
	struct sim_place *s = sim_place(place);
	size_t kept = 0;

	(void)ctx;
	(void)steps_wait_ms;
	if (!s || !s->conn)
		return;
	for (size_t i = 0; i < s->nkept; i++) {
		if (s->kept[i].seq > seq)
			s->kept[kept++] = s->kept[i];
		else
			json_decref(s->kept[i].body);
	}
	s->nkept = kept;
}

static void shim_forget(void *ctx, const char *place)
{
	struct sim_place *s = sim_place(place);

	(void)ctx;
	if (s)
		sim_disconnect(s, false);
}

static void place_kill(void *ctx, const char *place, port_done_fn *done, void *arg)
{
	struct sim_place *s = place_or_new(place);

	(void)ctx;
	if (s->killed)
		sim_fail("the processes of place %s are killed twice at once", place);
	s->killed = done;
	s->killed_arg = arg;
}

static void place_clear(void *ctx, const char *place, bool keep_disk)
{
	struct sim_place *s = sim_place(place);

	(void)ctx;
	if (!s)
		return;
	if (s->holder || s->coming)
		sim_fail("place %s is cleared while something lives in it", place);
	if (!keep_disk)
		s->exists = false;
}

static json_t *setup_params(void *ctx, const struct place *p, const struct instance *in)
{
	(void)ctx;
	(void)p;
	(void)in;
	return json_object();
}

static int run_params(void *ctx, const struct place *p, const struct instance *in, const char *prompt,
	bool resume, json_t **ret, char **ret_conversation, struct err *e)
{
	cleanup_free char *missing = fleet_env_missing(in);

	(void)ctx;
	(void)p;
	(void)e;
	(void)ret_conversation;
	if (missing)
		sim_fail("the program of %s is to be run without the values of %s", in->id, missing);
	if (resume != (in->starts > 0))
		sim_fail("the program of %s, started %lld times, is %s", in->id, (long long)in->starts,
			resume ? "resumed" : "begun anew");
	*ret = json_pack("{s:s, s:b, s:b}", "instance", in->id, "reports",
		sim_agent(NULL, in->agent)->reports, "prompt", prompt != NULL);
	return 0;
}

static char **place_folders(void *ctx)
{
	char **names = strv_new();

	(void)ctx;
	for (size_t i = 0; i < PLACES_MAX; i++)
		if (sim.place[i].exists)
			strv_push(&names, sim.place[i].id);
	return names;
}

/* ---- panes ---- */

static void pane_close(void *ctx, const char *instance)
{
	(void)ctx;
	for (size_t i = 0; i < sim.npanes; i++)
		if (!strcmp(sim.pane[i], instance))
			memcpy(sim.pane[i--], sim.pane[--sim.npanes], ID_SIZE);
}

static void pane_open(void *ctx, const struct instance *in)
{
	pane_close(ctx, in->id);
	if (sim.npanes == PLACES_MAX)
		sim_fail("more than %d panes at once", PLACES_MAX);
	memcpy(sim.pane[sim.npanes++], in->id, ID_SIZE);
}

static void pane_rename(void *ctx, const char *id, const char *name)
{
	(void)ctx;
	(void)id;
	(void)name;
}

static void recording_remove(void *ctx, const char *id)
{
	(void)ctx;
	(void)id;
}

/* What rows.c calls of rooms that are not here. */
void panes_state(struct world *w, const char *instance, const json_t *data)
{
	(void)w;
	(void)instance;
	(void)data;
}

void recordings_ended(struct world *w)
{
	(void)w;
}

void sim_port(struct core_port *p)
{
	rows_port(p);
	p->agent = sim_agent;
	p->check = check;
	p->isolated = isolated;
	p->place_make = place_make;
	p->shim_start = shim_start;
	p->shim_adopt = shim_adopt;
	p->shim_call = shim_call;
	p->shim_ack = shim_ack;
	p->shim_forget = shim_forget;
	p->place_kill = place_kill;
	p->place_clear = place_clear;
	p->setup_params = setup_params;
	p->run_params = run_params;
	p->place_folders = place_folders;
	p->pane_open = pane_open;
	p->pane_close = pane_close;
	p->pane_rename = pane_rename;
	p->recording_remove = recording_remove;
}
