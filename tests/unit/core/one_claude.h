/* SPDX-License-Identifier: ISC */
/* What tests of one instance of Claude Code share: it starts in a fake world, and its shim tells what it reports. */
#ifndef TESTS_ONE_CLAUDE_H
#define TESTS_ONE_CLAUDE_H

#include "tests/unit/core/fake_world.h"
#include "tests/unit/run.h"

static struct fake_world w;
static char id[ID_SIZE];
static uint64_t seq;

static const struct agent_program *claude(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return agent_find("claude");
}

static inline void world_begin(void)
{
	fake_init(&w);
	w.port.agent = claude;
}

static inline void tell(const char *type, json_t *ev)
{
	json_object_set_new(ev, "instance", json_string(id));
	fleet_on_shim_event(w.f, fleet_get(w.f, id)->place, ++seq, type, ev);
	json_decref(ev);
	fake_turn(&w);
}

static inline void report(const char *event, const char *once, json_t *body)
{
	tell("report", json_pack("{s:{s:s, s:s?, s:o}}", "body", "event", event, "once", once, "body", body));
}

static inline void hello(int64_t pid, bool running)
{
	json_t *o = json_pack("{s:I, s:{s:i, s:b}, s:b, s:[]}", "shim_pid", (json_int_t)pid, "holder", "pid", 101, "running", 1,
		"link", running, "instances");

	if (running)
		json_array_append_new(json_object_get(o, "instances"),
			json_pack("{s:s, s:i, s:b}", "id", id, "pid", 7, "running", 1));
	fleet_on_hello(w.f, fleet_get(w.f, id)->place, o);
	json_decref(o);
	fake_turn(&w);
}

static void spawned(void *arg, const struct instance *in, const struct err *e)
{
	(void)arg;
	(void)in;
	(void)e;
}

/* Its program was asked for, and nothing was heard of it. */
static inline void run(void)
{
	struct instance *in = instance_new();
	struct caller who = {NULL};
	struct spawn_args a = {.in = in, .done = spawned};

	in->driver = xstrdup("vm");
	in->agent = xstrdup("claude");
	in->dir = xstrdup("/p");
	in->cap = w.set.default_cap;
	ck_assert_int_eq(fleet_spawn(w.f, &who, &a, id, NULL), 0);
	fake_turn(&w);
	hello(100, false);
	tell("link_up", json_object());
	fake_answer(&w, "setup", json_object());
	fake_answer(&w, "run", json_pack("{s:i}", "pid", 7));
}

/* It works on its first prompt. */
static inline void start(void)
{
	run();
	report("SessionStart", NULL, json_pack("{s:s}", "source", "startup"));
	report("UserPromptSubmit", NULL, json_pack("{s:s}", "prompt", "do it"));
	ck_assert_int_eq(fleet_get(w.f, id)->state, ST_WORKING);
}

/* What is on disk of it. */
struct one_rows {
	struct instance *in;
	struct place *pl;
};

static inline struct one_rows daemon_ends(void)
{
	const struct instance *was = fleet_get(w.f, id);
	struct one_rows r = {instance_new(), place_new()};

	memcpy(r.in->id, id, ID_SIZE);
	memcpy(r.in->place, was->place, ID_SIZE);
	r.in->driver = xstrdup("vm");
	r.in->agent = xstrdup("claude");
	r.in->dir = xstrdup("/p");
	r.in->state = was->state;
	r.in->reason = xstrdup(was->reason);
	r.in->detail = xstrdup(was->detail);
	r.in->state_boot = xstrdup(was->state_boot);
	r.in->state_boot_ms = was->state_boot_ms;
	r.in->state_since_ms = was->state_since_ms;
	r.in->turns = was->turns;
	r.in->starts = 1;
	r.in->begun = true;
	memcpy(r.pl->id, was->place, ID_SIZE);
	r.pl->driver = xstrdup("vm");
	r.pl->state = PL_UP;
	r.pl->shim_pid = 100;
	r.pl->shim_seq = seq;
	r.pl->boot = xstrdup(boot_id());
	fake_finish(&w);
	return r;
}

static inline void rows_load(struct one_rows r)
{
	fleet_load_instance(w.f, r.in);
	fleet_load_place(w.f, r.pl);
}

static inline json_t *bash_body(const char *command, const char *agent)
{
	return json_pack("{s:s, s:s?, s:s, s:{s:s, s:s}}", "tool_name", "Bash", "agent_id", agent, "cwd", "/p", "tool_input",
		"command", command, "description", "do");
}

#endif
