/* SPDX-License-Identifier: ISC */
/* Calls that start, end, rename and remove instances. */
#include "daemon/api/api_int.h"
#include "daemon/model/label.h"

void call_progress(void *arg, const char *id, const char *stage, const char *text)
{
	struct call *c = arg;

	if (c->req && c->client && call_bool(c, "progress"))
		peer_notify(c->client->peer, "progress",
			json_pack("{s:O, s:s, s:s, s:s}", "id", peer_request_id(c->req), "instance", id,
				"stage", stage, "text", text));
}

void call_started(void *arg, const struct instance *in, const struct err *error)
{
	struct call *c = arg;

	c->started[0] = 0;
	if (error)
		call_error(c, error);
	else
		call_instance(c, in);
}

/* The parameters as an instance; NULL after answering. */
static struct instance *instance_asked(struct call *c)
{
	struct instance *in = instance_new();
	const char *perm = call_str(c, "permissions"), *driver = call_str(c, "driver");
	struct err err = {0};

	in->name = xstrdup(call_str(c, "name"));
	in->driver = xstrdup(driver);
	in->agent = xstrdup(call_str(c, "agent"));
	in->dir = xstrdup(call_str(c, "dir"));
	in->template_name = xstrdup(call_str(c, "template"));
	in->model = xstrdup(call_str(c, "model"));
	in->argv = call_strv(c, "argv");
	in->allow = call_strv(c, "allow");
	in->env = json_deep_copy(json_object_get(c->params, "env"));
	if (json_is_object(json_object_get(c->params, "label"))) {
		json_decref(in->labels);
		in->labels = json_deep_copy(json_object_get(c->params, "label"));
	}
	if (labels_check(in->labels, &err) < 0) {
		instance_free(in);
		call_error(c, &err);
		return NULL;
	}
	in->cpus = call_int(c, "cpus", 0);
	in->memory_mib = call_int(c, "memory", 0);
	in->rows = (int)call_int(c, "rows", 0);
	in->cols = (int)call_int(c, "cols", 0);
	in->rm = call_bool(c, "rm");
	if (caps_asked(c, in, &err) < 0) {
		instance_free(in);
		call_error(c, &err);
		return NULL;
	}
	if (!in->driver)
		in->driver = xstrdup(config_string(c->w->config, OPT_DRIVER));
	/* A place that holds an agent may let it act; on the host it has to ask. */
	in->permissions = driver_find(in->driver) && !(driver_find(in->driver)->flags & DRIVER_ISOLATED)
				  ? PERM_ASK : PERM_ALL;
	if (call_policy(c, &in->restart, &err) < 0) {
		instance_free(in);
		call_error(c, &err);
		return NULL;
	}
	if (perm && permissions_from_name(perm, &in->permissions) < 0) {
		err_set(&err, ERR_PARAMS, "'%.32s' is no permissions word", perm);
		err_hint(&err, "choose all, ask or plan");
		instance_free(in);
		call_error(c, &err);
		return NULL;
	}
	return in;
}

/* A child of an instance gets what its parent has where nothing else was said. */
static int inherit(struct call *c, struct instance *in, struct err *e)
{
	const struct instance *parent = fleet_get(c->w->fleet, c->who_id);
	cleanup_free char *missing = in->env ? NULL : fleet_env_missing(parent);

	if (missing) {
		err_set(e, ERR_STATE, "its environment was to be its parent's, but the values of %.300s are not known any more: the daemon was restarted",
			missing);
		return err_hint(e, "give the child its own with env, or ask the operator to restart the parent");
	}

	if (!call_str(c, "driver")) {
		free(in->driver);
		in->driver = xstrdup(parent->driver);
	}
	if (!in->dir)
		in->dir = xstrdup(parent->dir);
	if (!in->agent)
		in->agent = xstrdup(parent->agent);
	if (!in->template_name)
		in->template_name = xstrdup(parent->template_name);
	if (!in->allow && parent->allow)
		in->allow = strv_copy(parent->allow);
	if (!in->env && parent->env) /* its login and base URL, when they were given that way */
		in->env = json_deep_copy(parent->env);
	if (!call_str(c, "permissions"))
		in->permissions = parent->permissions;
	return 0;
}

/* What a key stands for: everything that was asked for but how its caller waits. */
static void asked_digest(const struct call *c, char out[SHA256_HEX])
{
	static const char *const aside[] = {"key", "progress", "no_wait", "no_queue", "rows", "cols"};
	json_t *o = json_copy(c->params), *env = json_object_get(o, "env"), *v;
	json_t *names = json_array();
	const char *name;
	char *text;

	json_object_foreach(env, name, v)
		json_array_append_new(names, json_string(name));
	json_object_set_new(o, "env", names); /* nothing that depends on a secret goes to the disk */

	for (size_t i = 0; i < ARRAY_LEN(aside); i++)
		json_object_del(o, aside[i]);
	text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	sha256_hex(text ? text : "", text ? strlen(text) : 0, out);
	free(text);
	json_decref(o);
}

void api_SPAWN(struct call *c)
{
	struct instance *in = instance_asked(c);
	struct spawn_args a = {.in = in, .progress = call_progress, .done = call_started, .arg = c};
	const char *parent;
	char key[KEY_SIZE], digest[SHA256_HEX];
	struct err err = {0};

	if (!in)
		return;
	asked_digest(c, digest);
	a.digest = digest;
	a.prompt = call_str(c, "prompt");
	a.wait = !call_bool(c, "no_wait");
	a.no_queue = call_bool(c, "no_queue");
	parent = call_str(c, "parent");
	if (call_key(c, key, &a.key, &err) < 0 || (c->who.instance && inherit(c, in, &err) < 0)) {
		instance_free(in);
		call_error(c, &err);
		return;
	}
	if (parent && !c->who.instance) {
		struct instance *p = fleet_resolve(c->w->fleet, &c->who, parent, &err);
		if (!p) {
			instance_free(in);
			call_error(c, &err);
			return;
		}
		memcpy(in->parent, p->id, ID_SIZE);
	}
	if (call_str(c, "conversation") && adopt_asked(c, in, &err) < 0) {
		instance_free(in);
		call_error(c, &err);
		return;
	}
	if (!in->dir) {
		err_set(&err, ERR_PARAMS, "spawn needs dir, the folder the agent works in");
		instance_free(in);
		call_error(c, &err);
		return;
	}
	if (fleet_spawn(c->w->fleet, &c->who, &a, c->started, &err) < 0) {
		c->started[0] = 0;
		turn_answer_error(c, &err);
	}
}

/* An instance learns that a name is taken, for names are the fleet's, but not by whom. */
void call_by_somebody(const struct call *c, struct err *e)
{
	if (!c->who.instance || e->code != ERR_EXISTS)
		return;
	err_set(e, ERR_EXISTS, "the name is taken");
	err_hint(e, "choose another");
}

/* ---- kill ---- */

/* All of it when that fits into one answer, else what each is called and where it stands. */
static json_t *within_a_line(const json_t *rows)
{
	static const char *const kept[] = {"id", "name", "parent", "state", "reason"};
	json_t *brief, *in;
	size_t i;

	if (json_dumpb(rows, NULL, 0, JSON_COMPACT) <= LIST_PAGE_MAX)
		return json_incref((json_t *)rows);
	brief = json_array();
	json_array_foreach(rows, i, in) {
		json_t *o = json_object();
		for (size_t k = 0; k < ARRAY_LEN(kept); k++)
			json_object_set(o, kept[k], json_object_get(in, kept[k]));
		json_array_append_new(brief, o);
	}
	return brief;
}

void call_rows(struct call *c, const json_t *rows)
{
	call_result(c, within_a_line(rows));
}

/* One of those that a call ends, and its place in the answer: they end in any order. */
struct dying {
	struct call *c;
	size_t at;
};

static void killed_all(struct call *c)
{
	for (size_t i = json_array_size(c->collected); i-- > 0;)
		if (json_is_null(json_array_get(c->collected, i)))
			json_array_remove(c->collected, i);
	if (c->first_error.code)
		call_error(c, &c->first_error);
	else
		call_rows(c, c->collected);
}

static void killed(void *arg, const struct instance *in, const struct err *error)
{
	struct dying *d = arg;
	struct call *c = d->c;

	if (error && !c->first_error.code)
		c->first_error = *error;
	if (in)
		json_array_set_new(c->collected, d->at, fleet_instance_json(c->w->fleet, in));
	free(d);
	if (--c->pending == 0)
		killed_all(c);
}

/* The instances that a call is about, each once. */
struct set {
	struct instance **all;
	size_t n, room;
	struct idmap by_id;
};

static void set_finish(struct set *s)
{
	idmap_finish(&s->by_id);
	free(s->all);
}

static void set_add(struct set *s, struct instance *in)
{
	if (idmap_get(&s->by_id, in->id))
		return;
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 16;
		s->all = xrealloc(s->all, s->room * sizeof(struct instance *));
	}
	s->all[s->n++] = in;
	idmap_put(&s->by_id, in->id, in);
}

/* With --cascade their descendants are named too, so that the answer shows all that died. */
static void with_descendants(struct call *c, struct set *s)
{
	struct fleet *f = c->w->fleet;
	size_t named = s->n;

	for (size_t i = 0; i < named; i++) {
		struct instance *top = s->all[i], *in = top;
		while ((in = fleet_next_within(f, top, in)))
			if (state_living(in->state))
				set_add(s, in);
	}
}

/* Every living child must be among those that die, unless --cascade. */
static int children_covered(struct call *c, const struct set *s, struct err *e)
{
	struct fleet *f = c->w->fleet;

	for (size_t i = 0; i < s->n; i++) {
		struct instance *top = s->all[i], *in = top;
		if (!fleet_has_living_child(f, top))
			continue;
		while ((in = fleet_next_within(f, top, in))) {
			if (!state_living(in->state) || strcmp(in->parent, top->id) != 0 ||
				idmap_get(&s->by_id, in->id))
				continue;
			err_set(e, ERR_STATE, "instance %s has a living child, %s%s%s", in->parent, in->id,
				in->name ? " " : "", in->name ? in->name : "");
			return err_hint(e, "kill it too, or use --cascade");
		}
	}
	return 0;
}

/* The instances that the call means; -1 after answering. */
static int targets(struct call *c, enum select_from from, struct set *ret)
{
	size_t n;
	cleanup_free struct instance **chosen = call_targets(c, from, &n);

	for (size_t i = 0; chosen && i < n; i++)
		set_add(ret, chosen[i]);
	return chosen ? 0 : -1;
}

/* What a dry run answers. */
static void would(struct call *c, const struct set *s, bool rm)
{
	json_t *rows = json_array(), *fits;

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(rows, fleet_instance_json(c->w->fleet, s->all[i]));
	fits = within_a_line(rows);
	json_decref(rows);
	call_result(c, rm ? json_pack("{s:[], s:o}", "removed", "would", fits) : fits);
}

void api_KILL(struct call *c)
{
	__attribute__((cleanup(set_finish))) struct set set = {0};
	bool force = call_bool(c, "force"), rm = call_bool(c, "rm");
	struct err err = {0};

	if (targets(c, FROM_LIVING, &set) < 0)
		return;
	if (!call_bool(c, "cascade") && children_covered(c, &set, &err) < 0) {
		call_error(c, &err);
		return;
	}
	if (call_bool(c, "cascade"))
		with_descendants(c, &set);
	if (call_bool(c, "dry_run")) {
		would(c, &set, false);
		return;
	}
	c->collected = json_array();
	c->pending = (int)set.n;
	for (size_t i = 0; i < set.n; i++)
		json_array_append_new(c->collected, json_null());
	for (size_t i = 0; i < set.n; i++) { /* done comes after the commit at the earliest: c lives on */
		struct dying *d = xcalloc(1, sizeof(*d));
		*d = (struct dying){.c = c, .at = i};
		fleet_kill(c->w->fleet, set.all[i], true, force, rm, killed, d, &err);
	}
}

void api_RM(struct call *c)
{
	__attribute__((cleanup(set_finish))) struct set set = {0};
	json_t *ids;
	struct err err = {0}, kept = {0};

	if (targets(c, FROM_ENDED, &set) < 0)
		return;
	for (size_t i = 0; i < set.n; i++) {
		if (state_final(set.all[i]->state) || fleet_waits_again(set.all[i]))
			continue;
		err_set(&err, ERR_STATE, "instance %s is %s, and only what has ended can be removed",
			set.all[i]->id, state_name(set.all[i]->state));
		err_hint(&err, "tmux-claude kill --rm %s ends and removes it", set.all[i]->id);
		call_error(c, &err);
		return;
	}
	if (call_bool(c, "dry_run")) {
		would(c, &set, true);
		return;
	}
	ids = json_array();
	for (size_t i = 0; i < set.n; i++) {
		char id[ID_SIZE];
		memcpy(id, set.all[i]->id, ID_SIZE);
		if (fleet_remove(c->w->fleet, set.all[i], &err) == 0)
			json_array_append_new(ids, json_string(id));
		else if (!kept.code)
			kept = err;
	}
	if (kept.code) {
		json_decref(ids);
		turn_answer_error(c, &kept);
		return;
	}
	turn_answer(c, json_pack("{s:o}", "removed", ids));
}

void api_RENAME(struct call *c)
{
	struct instance *in = call_target(c, "id");
	struct err err = {0};

	if (!in)
		return;
	if (fleet_rename(c->w->fleet, in, call_str(c, "name"), &err) < 0) {
		call_by_somebody(c, &err);
		call_error(c, &err);
	} else {
		call_instance(c, in);
	}
}
