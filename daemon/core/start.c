/* SPDX-License-Identifier: ISC */
/*
 * Starting an instance, step by step, and undoing a start that fails.
 *
 *   queued -> MAKE (folder, disk) -> LINK (shim, holder, pane, all in parallel; the link answers)
 *          -> SETUP (identity, folder, files) -> RUN (the program) -> READY (its prompt) -> LIVE
 *
 * The rows that say what is about to exist are on disk before it is made. A place that does not
 * answer in time is ended and made again boot_retries times. Any other failure, or a caller that
 * gives up, ends the place and removes what was made; the row stays, as failed.
 */
#include "daemon/core/admit.h"
#include "base/fault.h"
#include "base/log.h"

static void shim_go(void *arg, const struct err *error);
static void setup_done(void *arg, json_t *result, const struct err *error);
static void run_done(void *arg, json_t *result, const struct err *error);

void start_stage(struct unit *u, const char *stage, const char *text)
{
	if (u->progress)
		u->progress(u->start_arg, u->in->id, stage, text);
}

struct answer {
	struct fleet *f;
	char id[ID_SIZE];
	fleet_done_fn *fn;
	void *arg;
	struct err err;
};

static void answer_now(void *arg, const struct err *error)
{
	struct answer *a = arg;

	if (error)
		a->fn(a->arg, NULL, error);
	else
		a->fn(a->arg, fleet_get(a->f, a->id), a->err.code ? &a->err : NULL);
	free(a);
}

void answer_later(struct unit *u, fleet_done_fn *fn, void *arg, const struct err *why)
{
	struct answer *a = xcalloc(1, sizeof(*a));

	a->f = u->f;
	a->fn = fn;
	a->arg = arg;
	if (why)
		a->err = *why;
	memcpy(a->id, u->in->id, ID_SIZE);
	P(u->f)->after_commit(CTX(u->f), answer_now, a);
}

bool start_awaited(const struct unit *u)
{
	return u->start_done || u->start_more;
}

void start_answer(struct unit *u, const struct err *why)
{
	struct waiter_done *w;

	if (u->start_done)
		answer_later(u, u->start_done, u->start_arg, why);
	u->start_done = NULL;
	u->progress = NULL;
	while ((w = u->start_more)) {
		u->start_more = w->next;
		answer_later(u, w->fn, w->arg, why);
		free(w);
	}
}

static void new_id(struct fleet *f, char out[ID_SIZE])
{
	do
		random_id(out, ID_LEN);
	while (P(f)->id_used(CTX(f), out) || unit_find(f, out) || site_find(f, out));
}

/* ---- what was asked for ---- */

/* who NULL: the operator. An instance learns that a name is taken (names are the fleet's), and not by whom. */
int start_name_free(struct fleet *f, const struct caller *who, const char *name, const struct instance *self,
	struct err *e)
{
	const struct unit *holder;

	if (!name_valid(name)) {
		err_set(e, ERR_PARAMS, "'%.80s' is not a name", name);
		return err_hint(e, "names are 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit");
	}
	holder = idmap_get(&f->unit_by_name, name);
	if (!holder || holder->in == self)
		return 0;
	if (who && who->instance && !fleet_is_within(f, who->instance, holder->in->id)) {
		err_set(e, ERR_EXISTS, "the name '%s' is taken", name);
		return err_hint(e, "choose another");
	}
	err_set(e, ERR_EXISTS, "the name '%s' is taken by instance %s", name, holder->in->id);
	return err_hint(e, "choose another, or tmux-claude rename %s NAME", holder->in->id);
}

static bool inside(const char *dir, const char *parent)
{
	size_t n = strlen(parent);

	return !strncmp(dir, parent, n) && (dir[n] == 0 || dir[n] == '/' || (n && parent[n - 1] == '/'));
}

/* What an instance may ask for its child: never more than it has itself. */
static int within_parent(struct fleet *f, const struct instance *parent, const struct instance *in,
	struct err *e)
{
	if (in->permissions < parent->permissions) /* from all to plan: each allows less unasked */
		return err_set(e, ERR_DENIED, "its parent has the permissions '%s'; a child gets no more",
			permissions_name(parent->permissions));
	if (in->cpus > parent->cpus || in->memory_mib > parent->memory_mib)
		return err_set(e, ERR_DENIED, "a child's VM is at most as large as its parent's (%lld cpus, %lld MiB)",
			(long long)parent->cpus, (long long)parent->memory_mib);
	if (!P(f)->isolated(CTX(f), parent->driver))
		return 0; /* the host driver: one trust domain with its user */
	if (in->dir && parent->dir && !inside(in->dir, parent->dir))
		return err_set(e, ERR_DENIED, "a child's folder must be its parent's (%s) or below it",
			parent->dir);
	for (char **a = in->allow; a && *a; a++) {
		bool has = false;
		for (char **b = parent->allow; b && *b && !has; b++)
			has = !strcasecmp(*a, *b);
		if (!has)
			return err_set(e, ERR_DENIED, "its parent may not reach %s itself", *a);
	}
	return 0;
}

static struct unit *parent_of(struct fleet *f, const struct caller *who, struct instance *in,
	struct err *e)
{
	struct instance *p;

	if (who->instance) /* the socket decides, whatever was claimed */
		snprintf(in->parent, ID_SIZE, "%s", who->instance);
	if (!in->parent[0])
		return NULL;
	p = fleet_resolve(f, who, in->parent, e);
	if (!p)
		return NULL;
	memcpy(in->parent, p->id, ID_SIZE);
	if (!state_living(p->state)) {
		err_set(e, ERR_STATE, "instance %s has ended (%s) and can have no children", p->id,
			state_name(p->state));
		return NULL;
	}
	return unit_find(f, p->id);
}

static int accept_spawn(struct fleet *f, const struct caller *who, struct instance *in,
	struct unit **ret_parent, struct err *e)
{
	struct unit *parent;
	struct err none = {0};

	parent = parent_of(f, who, in, &none);
	if (none.code) {
		*e = none;
		return -1;
	}
	if (in->name && start_name_free(f, who, in->name, NULL, e) < 0)
		return -1;
	if (P(f)->check(CTX(f), in, e) < 0)
		return -1;
	/* Whoever asks: a parent sends to its children, so one in a VM must have none outside. */
	if (parent && P(f)->isolated(CTX(f), parent->in->driver) && !P(f)->isolated(CTX(f), in->driver))
		return err_set(e, ERR_DENIED, "an instance in a %s place can have no child in a %s place",
			parent->in->driver, in->driver);
	if (who->instance && within_parent(f, parent->in, in, e) < 0)
		return -1;
	if (caps_reserve(f, parent, in, e) < 0)
		return -1;
	*ret_parent = parent;
	return 0;
}

int fleet_spawn(struct fleet *f, const struct caller *who, struct spawn_args *a, char *ret_id,
	struct err *e)
{
	struct instance *in = a->in;
	struct unit *u, *parent = NULL;
	int before = spawned_before(f, a, ret_id, e);

	if (before) {
		instance_free(in);
		return before == 1 ? 0 : -1;
	}
	if (fleet_closing(f, e) < 0 || accept_spawn(f, who, in, &parent, e) < 0 || admit_asked(f, in, a->no_queue, e) < 0) {
		instance_free(in);
		return -1;
	}
	new_id(f, in->id);
	in->created_ms = in->state_since_ms = clock_wall_ms();
	in->state = ST_QUEUED;
	in->wanted = true;
	state_stamp(in);
	u = unit_add(f, in);
	caps_note_spawn(u, true);
	u->remove_after = in->rm;
	env_note_names(in);
	unit_save(u);
	spawn_key_note(u, a);
	tell_created(u);
	if (a->prompt)
		prompt_first_make(u, a->prompt);
	memcpy(ret_id, in->id, ID_SIZE);
	u->start_done = a->done;
	u->start_arg = a->arg;
	if (!a->wait)
		start_answer(u, NULL);
	else
		u->progress = a->progress;
	admit(u);
	return 0;
}

/* ---- the steps ---- */

static void make_done(void *arg, const struct err *error)
{
	struct unit *u = tick_take(arg);
	struct site *s = u ? site_of(u) : NULL;

	if (!s || u->step != STEP_MAKE)
		return;
	FAULT_POINT("start.made");
	if (error) {
		start_fail(u, error);
		return;
	}
	u->step = STEP_LINK;
	s->holder_over = s->retry = false;
	s->lost = s->unheard = 0;
	place_apply(s, PL_BOOTING, NULL);
	P(u->f)->intent_add(CTX(u->f), "pane", u->in->id);
	P(u->f)->after_commit(CTX(u->f), shim_go, tick_new(u));
}

static void shim_go(void *arg, const struct err *error)
{
	struct unit *u = tick_take(arg);

	if (!u || u->step != STEP_LINK || error)
		return;
	start_stage(u, "boot", "starting its place");
	FAULT_POINT("start.pane_open");
	P(u->f)->pane_open(CTX(u->f), u->in);
	FAULT_POINT("start.shim_start");
	unit_pane(u, true, "made");
	unit_save(u);
	site_of(u)->starting = true;
	P(u->f)->shim_start(CTX(u->f), u->in->place);
}

static void make_go(void *arg, const struct err *error)
{
	struct unit *u = tick_take(arg);
	struct site *s = u ? site_of(u) : NULL;

	if (!s || u->step != STEP_MAKE || error)
		return;
	start_stage(u, "make", "making its place");
	P(u->f)->place_make(CTX(u->f), s->pl, u->in, make_done, tick_new(u));
}

static struct site *site_new(struct unit *u)
{
	struct place *p = place_new();
	struct site *s;

	new_id(u->f, p->id);
	p->driver = xstrdup(u->in->driver);
	p->template_name = xstrdup(u->in->template_name);
	p->number = place_number_free(u->f);
	p->created_ms = clock_wall_ms();
	s = site_add(u->f, p);
	memcpy(u->in->place, p->id, ID_SIZE);
	return s;
}

void start_begin(struct unit *u)
{
	struct site *s = site_of(u);

	if (!s)
		s = site_new(u);
	s->u = u;
	s->stopping = false;
	u->run++;
	u->step = STEP_MAKE;
	u->cancelled = u->force = u->other_way = false;
	u->in->begun = false;
	err_clear(&u->failure);
	free(s->pl->boot);
	s->pl->boot = xstrdup(boot_id());
	P(u->f)->intent_add(CTX(u->f), "place", s->pl->id);
	place_apply(s, PL_MAKING, "start");
	fleet_apply(u, ST_PROVISIONING, NULL, NULL);
	P(u->f)->after_commit(CTX(u->f), make_go, tick_new(u));
}

void start_linked(struct site *s, struct unit *u)
{
	json_t *params;

	if (u->step != STEP_LINK)
		return;
	u->step = STEP_SETUP;
	fleet_apply(u, ST_STARTING, NULL, NULL);
	start_stage(u, "setup", "its place answers; making it its own");
	FAULT_POINT("start.setup");
	params = P(u->f)->setup_params(CTX(u->f), s->pl, u->in);
	P(u->f)->shim_call(CTX(u->f), s->pl->id, "setup", params, SETUP_CALL_MS, setup_done, tick_new(u));
	FAULT_POINT("start.setup_sent");
}

bool start_other_way(struct site *s, struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct instance *in = u->in;

	if (u->other_way) { /* neither way: what is known of it stays */
		in->turns = u->turns_before;
		return false;
	}
	/* Only an id that was ours to give can be begun anew: another would be lost for a new one. */
	if (!prog->transcript || !prog->transcript->running || !in->conversation || in->state != ST_STARTING || (!u->resume && !in->turns && !in->branch_of))
		return false;
	u->other_way = true;
	u->turns_before = in->turns;
	P(u->f)->event_add(CTX(u->f), EV_CONVERSATION, in->id, NULL,
		json_pack("{s:s, s:s, s:s}", "conversation", in->conversation, "what", "other_way", "detail",
			in->turns ? "its program did not go on with it: begun anew under the same id"
				  : "its program did not begin it: gone on with, as its id is in use"));
	in->turns = in->turns ? 0 : 1;
	in->exit.known = false;
	u->run++;
	u->step = STEP_SETUP;
	prompt_first_not_run(u);
	unit_save(u);
	start_stage(u, "setup", "its conversation was not there, or in use already: trying the other way");
	P(u->f)->shim_call(CTX(u->f), s->pl->id, "setup", P(u->f)->setup_params(CTX(u->f), s->pl, in), SETUP_CALL_MS, setup_done,
		tick_new(u));
	return true;
}

struct run_tick {
	struct tick *tick;
	json_t *params;
};

static void run_go(void *arg, const struct err *error)
{
	struct run_tick *t = arg;
	struct unit *u = tick_take(t->tick);

	if (u && u->step == STEP_RUN && !error) {
		start_stage(u, "run", "starting the program");
		P(u->f)->shim_call(CTX(u->f), u->in->place, "run", t->params, SHIM_CALL_MS * 2, run_done, tick_new(u));
		FAULT_POINT("start.run_sent");
	} else {
		json_decref(t->params);
	}
	free(t);
}

/* That it may run, and with which prompt, is on disk before it does. */
static void run_later(struct unit *u, json_t *params)
{
	struct run_tick *t = xcalloc(1, sizeof(*t));

	t->tick = tick_new(u);
	t->params = params;
	P(u->f)->after_commit(CTX(u->f), run_go, t);
}

static void setup_done(void *arg, json_t *result, const struct err *error)
{
	struct unit *u = tick_take(arg);
	const struct agent_program *prog;
	json_t *params = NULL;
	char *conversation = NULL;
	struct err err = {0};
	const char *text;

	(void)result;
	if (!u || u->step != STEP_SETUP)
		return;
	FAULT_POINT("start.setup_answered");
	if (error) {
		start_fail(u, error);
		return;
	}
	prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	text = prog->reports && !u->resume ? prompt_first_by_arg(u) : NULL;
	if (P(u->f)->run_params(CTX(u->f), site_of(u)->pl, u->in, text, u->resume, &params, &conversation, &err) < 0) {
		prompt_first_not_run(u);
		start_fail(u, &err);
		return;
	}
	u->step = STEP_RUN;
	u->in->begun = true;
	if (conversation) { /* known before the program is: a crash cannot lose it */
		free(u->in->conversation);
		u->in->conversation = conversation;
	}
	unit_save(u);
	run_later(u, params);
}

static void deadline_passed(void *arg)
{
	struct unit *u = arg;
	struct err err = {0};

	err_set(&err, ERR_TIMEOUT, "instance %s was not at its prompt within %lld s", u->in->id,
		(long long)(u->f->set->start_timeout_ms / 1000));
	err_hint(&err, "it goes on; tmux-claude attach %s shows what it does", u->in->id);
	if (u->step == STEP_READY)
		u->step = STEP_LIVE;
	admit_look(u);
	start_answer(u, &err);
}

void start_deadline(struct unit *u)
{
	if (!u->deadline)
		u->deadline = loop_timer_create(P(u->f)->loop, deadline_passed, u);
	loop_timer_start(u->deadline, u->f->set->start_timeout_ms);
}

static void run_done(void *arg, json_t *result, const struct err *error)
{
	struct unit *u = tick_take(arg);
	const struct agent_program *prog;

	if (!u || u->step != STEP_RUN)
		return;
	FAULT_POINT("start.run_answered");
	if (error) {
		if (error->code != ERR_UNREACHABLE && error->code != ERR_TIMEOUT && error->code != ERR_CANCELLED)
			prompt_first_not_run(u); /* refused: it may be given again */
		start_fail(u, error);
		return;
	}
	prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	unit_program(u, json_integer_value(json_object_get(result, "pid")));
	u->in->starts++;
	u->step = STEP_READY;
	again_started(u);
	unit_save(u);
	waits_again(u); /* for a text on a screen that is there from now on */
	start_stage(u, "ready", "waiting for its prompt");
	prompt_first_go(u);
	start_deadline(u);
	if (!prog->reports) {
		fleet_apply(u, ST_WORKING, NULL, NULL);
		start_ready(u);
	}
}

void start_ready(struct unit *u)
{
	bool waits_for_prompt = u->prompts && start_awaited(u) && u->in->state != ST_WAITING;

	if (u->step == STEP_READY)
		u->step = STEP_LIVE;
	admit_look(u);
	if (waits_for_prompt) {
		prompts_next(u); /* a shell's is typed now; its delivery ends the start */
		return;
	}
	loop_timer_stop(u->deadline);
	start_answer(u, NULL);
}

/* ---- undoing ---- */

void start_fail(struct unit *u, const struct err *why)
{
	struct site *s = site_of(u);

	if (u->step == STEP_STOP)
		return;
	u->failure = *why;
	u->run++;
	u->step = STEP_STOP;
	loop_timer_stop(u->deadline);
	fleet_apply(u, ST_STOPPING, err_code_name(why->code), why->message);
	prompts_fail(u, why);
	answers_fail(u, why);
	if (s)
		stop_place(s, true);
	else
		unit_over(u); /* it waited in line */
}

void start_place_lost(struct site *s, struct unit *u, const struct err *why)
{
	if (u->step == STEP_LINK && s->pl->boot_tries < u->f->set->boot_retries) {
		s->pl->boot_tries++;
		s->retry = true;
		u->run++;
		log_warn("core", u->in->id, "its place did not come up (%s): trying again", why->message);
		start_stage(u, "retry", why->message);
		stop_place(s, true);
		return;
	}
	start_fail(u, why);
}

bool fleet_cancel(struct fleet *f, const char *id, void *arg)
{
	struct unit *u = unit_find(f, id);
	struct err err = {0};

	if (!u)
		return false;
	for (struct waiter_done **at = &u->start_more; *at; at = &(*at)->next) {
		struct waiter_done *w = *at;
		if (w->arg != arg)
			continue;
		*at = w->next;
		free(w);
		return true;
	}
	if (u->start_arg != arg || !u->start_done)
		return false;
	u->start_done = NULL;
	u->progress = NULL;
	if (u->step == STEP_LIVE || u->keyed)
		return true; /* it runs, only its first prompt is still under way; or it will be asked for again */
	u->cancelled = true;
	err_set(&err, ERR_CANCELLED, "the start was cancelled by its caller");
	start_fail(u, &err);
	return true;
}

struct title_tick {
	struct fleet *f;
	char id[ID_SIZE];
};

static void rename_go(void *arg, const struct err *error)
{
	struct title_tick *t = arg;
	struct unit *u = error ? NULL : unit_find(t->f, t->id);

	if (u && u->in->has_pane)
		P(t->f)->pane_rename(CTX(t->f), u->in->id, u->in->name);
	else if (u)
		fleet_on_titled(t->f, t->id); /* it is opened under its name */
	free(t);
}

void fleet_on_titled(struct fleet *f, const char *instance)
{
	P(f)->intent_done(CTX(f), "title", instance);
}

int fleet_rename(struct fleet *f, struct instance *in, const char *name, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct title_tick *t;

	if (start_name_free(f, NULL, name, in, e) < 0)
		return -1;
	tree_rename(u, name);
	unit_save(u);
	P(f)->event_add(CTX(f), EV_RENAMED, in->id, NULL, json_pack("{s:s}", "name", name));
	P(f)->intent_add(CTX(f), "title", in->id);
	t = xcalloc(1, sizeof(*t));
	t->f = f;
	memcpy(t->id, in->id, ID_SIZE);
	P(f)->after_commit(CTX(f), rename_go, t);
	return 0;
}
