/* SPDX-License-Identifier: ISC */
/* A world for core that does nothing but remember what it was asked. */
#include "tests/unit/core/fake_world.h"

#include "tests/unit/run.h"

#define LAST_SEQ 90 /* of a place's events */

static void instance_put(void *ctx, const struct instance *i)
{
	(void)i;
	((struct fake_world *)ctx)->writes++;
}
static void instance_delete(void *ctx, const char *id)
{
	(void)id;
	((struct fake_world *)ctx)->deleted++;
}
static void place_put(void *ctx, const struct place *p)
{
	struct fake_world *w = ctx;

	w->writes++;
	w->seq_kept = p->shim_seq;
}
static uint64_t writes(void *ctx)
{
	return ((struct fake_world *)ctx)->writes;
}
static void place_delete(void *ctx, const char *id)
{
	(void)id;
	((struct fake_world *)ctx)->place_deleted++;
}
static void prompt_put(void *ctx, const struct prompt *p)
{
	struct fake_world *w = ctx;

	if (!w->keep_prompts)
		return;
	prompt_free(w->kept);
	w->kept = xcalloc(1, sizeof(*p));
	prompt_set(w->kept, p->mode, p->text, p->len);
	memcpy(w->kept->key, p->key, sizeof(p->key));
	memcpy(w->kept->instance, p->instance, sizeof(p->instance));
	w->kept->status = p->status;
	w->kept->code = p->code;
	w->kept->untyped = p->untyped;
	w->kept->reason = xstrdup(p->reason);
	w->kept->way = p->way;
	w->kept->stays = p->stays;
	w->kept->awaits = p->awaits;
	w->kept->delivered_ms = p->delivered_ms;
	w->kept->answer = xstrdup(p->answer);
	w->kept->goes_on = p->goes_on;
}
static struct prompt *prompt_get(void *ctx, const char *key)
{
	struct fake_world *w = ctx;
	struct prompt *p;

	if (!w->kept || strcmp(w->kept->key, key))
		return NULL;
	p = xcalloc(1, sizeof(*p));
	prompt_set(p, w->kept->mode, w->kept->text, w->kept->len);
	memcpy(p->key, w->kept->key, sizeof(p->key));
	memcpy(p->instance, w->kept->instance, sizeof(p->instance));
	p->status = w->kept->status;
	p->code = w->kept->code;
	p->untyped = w->kept->untyped;
	p->reason = xstrdup(w->kept->reason);
	p->awaits = w->kept->awaits;
	p->delivered_ms = w->kept->delivered_ms;
	p->answer = xstrdup(w->kept->answer);
	return p;
}
static void spawn_key_put(void *ctx, const struct spawn_key *k)
{
	((struct fake_world *)ctx)->spawn_key = *k;
}
static int spawn_key_get(void *ctx, const char *key, struct spawn_key *ret)
{
	*ret = ((struct fake_world *)ctx)->spawn_key;
	return strcmp(ret->key, key) ? -1 : 0;
}
static void spawn_time_add(void *ctx, const struct spawn_time *t, int64_t older_ms)
{
	struct fake_world *w = ctx;
	(void)older_ms;
	w->spawn_time[w->spawn_times++ % ARRAY_LEN(w->spawn_time)] = *t;
}
static void spawn_times_other(void *ctx, const char *boot)
{
	(void)boot;
	((struct fake_world *)ctx)->other_boots++;
}
static void meta_put(void *ctx, const char *key, const char *value)
{
	struct fake_world *w = ctx;
	(void)key;
	free(w->meta);
	w->meta = xstrdup(value);
}
static void intent(void *ctx, const char *kind, const char *key)
{
	(void)ctx;
	(void)kind;
	(void)key;
}
static void event_add(void *ctx, enum event_id type, const char *instance, const char *place, json_t *data)
{
	struct fake_world *w = ctx;
	w->writes++;
	json_array_append_new(w->events, json_pack("{s:s, s:s?, s:s?, s:o}", "type", event_name(type),
						 "instance", instance, "place", place, "data",
						 data ? data : json_object()));
}
static bool id_used(void *ctx, const char *id)
{
	(void)ctx;
	(void)id;
	return false;
}
static void lazily(void *ctx, bool lazy)
{
	(void)ctx;
	(void)lazy;
}

static void after_commit(void *ctx, port_done_fn *fn, void *arg)
{
	struct fake_world *w = ctx;
	w->after[w->nafter++ % ARRAY_LEN(w->after)] = (struct after){fn, arg};
}

/* "teller" reports what happens to it, "mute" does not. */
static int report(const struct instance *in, const char *event, const json_t *body,
	struct agent_fact *ret, struct err *e)
{
	(void)in;
	if (!strcmp(event, "ready")) {
		ret->ready = ret->has_state = true;
		ret->state = ST_IDLE;
	} else if (!strcmp(event, "prompt")) {
		ret->prompt_delivered = ret->has_state = true;
		ret->state = ST_WORKING;
	} else if (!strcmp(event, "stop")) {
		ret->has_state = ret->turn_ended = true;
		ret->state = ST_IDLE;
		ret->said = json_string_value(json_object_get(body, "said"));
	} else if (!strcmp(event, "background")) {
		ret->has_state = ret->turn_ended = ret->turn_goes_on = true;
		ret->state = ST_WORKING;
		ret->said = json_string_value(json_object_get(body, "said"));
		strcpy(ret->reason, "background");
	} else if (!strcmp(event, "shell")) { /* an Esc beside a shell in the background, as Claude Code's file tells it */
		ret->has_state = ret->turn_ended = ret->turn_broken = true;
		ret->state = ST_WORKING;
		strcpy(ret->reason, "background");
	} else if (!strcmp(event, "limit")) {
		ret->has_state = ret->turn_ended = ret->turn_failed = true;
		ret->state = ST_LIMITED;
		strcpy(ret->reason, "rate_limit");
		strcpy(ret->turn_error, "rate_limit");
		ret->limited_until_ms = json_integer_value(json_object_get(body, "until"));
	} else if (!strcmp(event, "fail")) {
		ret->has_state = ret->turn_ended = ret->turn_failed = true;
		ret->state = ST_IDLE;
		strcpy(ret->turn_error, "server_error");
	} else if (!strcmp(event, "broken")) {
		ret->has_state = ret->turn_ended = ret->turn_broken = true;
		ret->state = ST_IDLE;
	} else if (!strcmp(event, "clear")) {
		strcpy(ret->conversation, "another");
	} else if (!strcmp(event, "ask")) {
		ret->has_state = true;
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

static const struct agent_program *agent(void *ctx, const char *name)
{
	(void)ctx;
	return !strcmp(name, "mute") ? &mute : &teller;
}
static int check(void *ctx, struct instance *in, struct err *e)
{
	(void)ctx;
	(void)e;
	if (!in->driver)
		in->driver = xstrdup("vm");
	if (!in->agent)
		in->agent = xstrdup("teller");
	if (!in->template_name)
		in->template_name = xstrdup("t");
	return 0;
}
static bool isolated(void *ctx, const char *driver)
{
	(void)ctx;
	return !strcmp(driver, "vm");
}
static void place_make(void *ctx, struct place *p, const struct instance *in, port_done_fn *done, void *arg)
{
	struct fake_world *w = ctx;
	struct err err = {0};
	(void)p;
	(void)in;
	w->makes++;
	if (w->fail_make)
		err_set(&err, ERR_DISK, "the disk is full");
	done(arg, err.code ? &err : NULL);
}
static void shim_start(void *ctx, const char *place)
{
	(void)place;
	((struct fake_world *)ctx)->starts++;
}
static void shim_adopt(void *ctx, const char *place)
{
	(void)place;
	((struct fake_world *)ctx)->adopts++;
}
static void shim_call(void *ctx, const char *place, const char *method, json_t *params, int64_t ms,
	port_reply_fn *fn, void *arg)
{
	struct fake_world *w = ctx;
	struct fake_call *c = &w->call[w->ncalls++ % CALLS_MAX];
	(void)ms;
	snprintf(c->place, sizeof(c->place), "%s", place);
	snprintf(c->method, sizeof(c->method), "%s", method);
	json_decref(c->params); /* of the one whose slot this was */
	c->params = params;
	c->fn = fn;
	c->arg = arg;
	c->answered = false;
}
static void shim_ack(void *ctx, const char *place, uint64_t seq, int64_t steps_wait_ms)
{
	struct fake_world *w = ctx;

	(void)place;
	w->acked = seq;
	w->steps_wait = steps_wait_ms;
}
static void name_only(void *ctx, const char *place)
{
	(void)ctx;
	(void)place;
}
static void place_kill(void *ctx, const char *place, port_done_fn *done, void *arg)
{
	(void)place;
	((struct fake_world *)ctx)->kills++;
	done(arg, NULL);
}
static void place_clear(void *ctx, const char *place, bool keep)
{
	struct fake_world *w = ctx;
	(void)place;
	w->clears++;
	w->disks_kept += keep;
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
	struct fake_world *w = ctx;
	(void)p;
	(void)e;
	(void)ret_conversation;
	snprintf(w->last_prompt, sizeof(w->last_prompt), "%s", prompt ? prompt : "");
	*ret = json_pack("{s:s, s:b}", "instance", in->id, "resume", resume);
	return 0;
}
static char **place_folders(void *ctx)
{
	struct fake_world *w = ctx;
	return w->folders ? strv_copy(w->folders) : NULL;
}
static void pane_open(void *ctx, const struct instance *in)
{
	(void)in;
	((struct fake_world *)ctx)->pane_open++;
}
static void pane_close(void *ctx, const char *id)
{
	(void)id;
	((struct fake_world *)ctx)->pane_close++;
}
static void pane_rename(void *ctx, const char *id, const char *name)
{
	(void)ctx;
	(void)id;
	(void)name;
}

void fake_init(struct fake_world *w)
{
	memset(w, 0, sizeof(*w));
	w->events = json_array();
	w->set = (struct core_settings){.max_instances = 100,
		.default_cap = {8, 32, 3, 10, 10000, CAP_UNLIMITED, CAP_UNLIMITED}, .fleet_memory = CAP_UNLIMITED,
		.fleet_disk = CAP_UNLIMITED, .fleet_spawn_rate = CAP_UNLIMITED, .boot_retries = 2, .start_timeout_ms = 60000, .rows = 24,
		.cols = 80};
	w->port = (struct core_port){.ctx = w, .loop = loop_create(NULL),
		.instance_put = instance_put, .instance_delete = instance_delete, .place_put = place_put,
		.place_delete = place_delete, .prompt_put = prompt_put, .prompt_get = prompt_get,
		.spawn_key_put = spawn_key_put, .spawn_key_get = spawn_key_get,
		.spawn_time_add = spawn_time_add, .spawn_times_other = spawn_times_other, .meta_put = meta_put,
		.intent_add = intent, .intent_done = intent, .event_add = event_add, .id_used = id_used,
		.writes = writes, .lazily = lazily, .after_commit = after_commit, .agent = agent, .check = check, .isolated = isolated,
		.place_make = place_make, .shim_start = shim_start, .shim_adopt = shim_adopt,
		.shim_call = shim_call, .shim_ack = shim_ack, .shim_forget = name_only,
		.place_kill = place_kill, .place_clear = place_clear, .setup_params = setup_params,
		.run_params = run_params, .place_folders = place_folders,
		.pane_open = pane_open, .pane_close = pane_close, .pane_rename = pane_rename,
		.recording_remove = name_only};
	w->f = fleet_create(&w->port, &w->set);
}

void fake_turn(struct fake_world *w)
{
	while (w->done < w->nafter) {
		struct after a = w->after[w->done++ % ARRAY_LEN(w->after)];
		a.fn(a.arg, NULL);
	}
}

void fake_tell(struct fake_world *w, const struct instance *in, const char *type, json_t *ev)
{
	json_object_set_new(ev, "instance", json_string(in->id));
	fleet_on_shim_event(w->f, in->place, ++w->seq, type, ev);
	json_decref(ev);
	fake_turn(w);
}

void fake_report(struct fake_world *w, const struct instance *in, const char *event, bool step, json_t *body)
{
	fake_tell(w, in, "report", json_pack("{s:{s:s, s:b, s:o}}", "body", "event", event, "step", step, "body",
		body ? body : json_object()));
}

static void nobody_asks(void *arg, const struct instance *in, const struct err *e)
{
	(void)arg;
	(void)in;
	(void)e;
}

struct instance *fake_start(struct fake_world *w, const char *event)
{
	struct instance *in = instance_new();
	struct caller who = {NULL};
	struct spawn_args a = {.in = in, .wait = true, .done = nobody_asks};
	char id[ID_SIZE];

	in->driver = xstrdup("vm");
	in->agent = xstrdup("teller");
	in->dir = xstrdup("/p");
	in->cap = w->set.default_cap;
	ck_assert_int_eq(fleet_spawn(w->f, &who, &a, id, NULL), 0);
	fake_turn(w);
	in = fleet_get(w->f, id);
	w->seq = 0;
	fake_hello(w, in, 100);
	fake_tell(w, in, "link_up", json_object());
	fake_answer(w, "setup", json_object());
	fake_answer(w, "run", json_pack("{s:i}", "pid", 7));
	fake_report(w, in, event, false, NULL);
	ck_assert_int_eq(in->state, ST_IDLE);
	return in;
}

void fake_hello(struct fake_world *w, const struct instance *in, int shim_pid)
{
	json_t *hello = json_pack("{s:i, s:{s:i, s:b}, s:b, s:[]}", "shim_pid", shim_pid, "holder", "pid", 101, "running", 1,
		"link", 0, "instances");

	fleet_on_hello(w->f, in->place, hello);
	json_decref(hello);
	fake_turn(w);
}

struct fake_call *fake_find(struct fake_world *w, const char *method)
{
	for (size_t n = w->ncalls; n-- > 0 && w->ncalls - n <= CALLS_MAX;) {
		struct fake_call *c = &w->call[n % CALLS_MAX];
		if (!c->answered && !strcmp(c->method, method))
			return c;
	}
	return NULL;
}

void fake_answer(struct fake_world *w, const char *method, json_t *result)
{
	struct fake_call *c = fake_find(w, method);

	c->answered = true;
	if (c->fn)
		c->fn(c->arg, result, NULL);
	json_decref(result);
	fake_turn(w);
}

void fake_refuse(struct fake_world *w, const char *method, enum err_code code)
{
	struct fake_call *c = fake_find(w, method);
	struct err err = {0};

	err_set(&err, code, "refused by the test");
	c->answered = true;
	if (c->fn)
		c->fn(c->arg, NULL, &err);
	fake_turn(w);
}

void fake_let_end(struct fake_world *w, const char *id)
{
	struct err gone = {.code = ERR_UNREACHABLE};
	json_t *nothing = json_object();
	char place[ID_SIZE];

	snprintf(place, sizeof(place), "%s", fleet_get(w->f, id)->place);
	fake_turn(w);
	ck_assert_ptr_nonnull(fake_find(w, "stop"));
	fake_answer(w, "stop", json_object());
	fleet_on_shim_event(w->f, place, LAST_SEQ, "place_exit", nothing);
	json_decref(nothing);
	fake_turn(w);
	ck_assert_ptr_nonnull(fake_find(w, "quit"));
	fake_answer(w, "quit", json_object());
	fleet_on_shim_lost(w->f, place, &gone);
	fake_turn(w);
}

int fake_events(struct fake_world *w, const char *type)
{
	json_t *ev;
	size_t i;
	int n = 0;

	json_array_foreach(w->events, i, ev)
		n += !strcmp(json_string_value(json_object_get(ev, "type")), type);
	return n;
}

void fake_finish(struct fake_world *w)
{
	fake_turn(w);
	fleet_destroy(w->f);
	loop_destroy(w->port.loop);
	json_decref(w->events);
	for (size_t i = 0; i < w->ncalls && i < CALLS_MAX; i++)
		json_decref(w->call[i].params);
	strv_free(w->folders);
	prompt_free(w->kept);
	free(w->meta);
}
