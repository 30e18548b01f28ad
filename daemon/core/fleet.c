/* SPDX-License-Identifier: ISC */
/* The fleet's tables: finding instances and places, and how an instance is shown. */
#include "daemon/core/fleet_int.h"

static unsigned bucket_of(const char *id)
{
	unsigned h = 5381;

	while (*id)
		h = h * 33 + (unsigned char)*id++;
	return h % BUCKETS;
}

struct fleet *fleet_create(const struct core_port *port, const struct core_settings *set)
{
	struct fleet *f = xcalloc(1, sizeof(*f));

	f->port = port;
	f->set = set;
	return f;
}

void fleet_destroy(struct fleet *f)
{
	if (!f)
		return;
	while (f->count)
		unit_drop(f->order[f->count - 1]);
	while (f->sites)
		site_drop(f->sites);
	free(f->order);
	free(f);
}

struct unit *unit_find(const struct fleet *f, const char *id)
{
	for (struct unit *u = f->bucket[bucket_of(id)]; u; u = u->next)
		if (!strcmp(u->in->id, id))
			return u;
	return NULL;
}

struct unit *unit_add(struct fleet *f, struct instance *in)
{
	struct unit *u = xcalloc(1, sizeof(*u));
	unsigned b = bucket_of(in->id);

	u->f = f;
	u->in = in;
	u->foreground = true;
	u->next = f->bucket[b];
	f->bucket[b] = u;
	if (f->count == f->room) {
		f->room = f->room ? f->room * 2 : 64;
		f->order = xrealloc(f->order, f->room * sizeof(struct unit *));
	}
	f->order[f->count++] = u;
	return u;
}

void unit_drop(struct unit *u)
{
	struct fleet *f = u->f;
	struct unit **pp = &f->bucket[bucket_of(u->in->id)];

	while (*pp != u)
		pp = &(*pp)->next;
	*pp = u->next;
	for (size_t i = 0; i < f->count; i++) {
		if (f->order[i] != u)
			continue;
		memmove(&f->order[i], &f->order[i + 1], (f->count - i - 1) * sizeof(struct unit *));
		f->count--;
		break;
	}
	for (struct site *s = f->sites; s; s = s->next)
		if (s->u == u)
			s->u = NULL;
	waits_end(u);
	while (u->prompts) {
		struct pending_prompt *p = u->prompts;
		u->prompts = p->next;
		prompt_free(p->p);
		free(p);
	}
	while (u->stop_done) {
		struct waiter_done *w = u->stop_done;
		u->stop_done = w->next;
		free(w);
	}
	loop_timer_free(u->deadline);
	loop_timer_free(u->prompt_timer);
	loop_timer_free(u->quiet);
	if (u->first_prompt)
		explicit_bzero(u->first_prompt, strlen(u->first_prompt));
	free(u->first_prompt);
	free(u->title);
	free(u->spawned);
	instance_free(u->in);
	free(u);
}

struct site *site_find(const struct fleet *f, const char *id)
{
	for (struct site *s = f->sites; s; s = s->next)
		if (!strcmp(s->pl->id, id))
			return s;
	return NULL;
}

struct site *site_of(const struct unit *u)
{
	return u->in->place[0] ? site_find(u->f, u->in->place) : NULL;
}

bool site_being_found(const struct unit *u)
{
	struct site *s = site_of(u);

	return s && (s->adopting || s->asking) && state_living(u->in->state);
}

struct site *site_add(struct fleet *f, struct place *p)
{
	struct site *s = xcalloc(1, sizeof(*s));

	s->f = f;
	s->pl = p;
	s->next = f->sites;
	f->sites = s;
	return s;
}

void site_drop(struct site *s)
{
	struct site **pp = &s->f->sites;

	while (*pp != s)
		pp = &(*pp)->next;
	*pp = s->next;
	loop_timer_free(s->stop_timer);
	loop_timer_free(s->ask_timer);
	place_free(s->pl);
	free(s);
}

int64_t place_number_free(const struct fleet *f)
{
	for (int64_t n = 0;; n++) {
		bool taken = false;
		for (struct site *s = f->sites; s && !taken; s = s->next)
			taken = s->pl->number == n;
		if (!taken)
			return n;
	}
}

struct tick *tick_new(const struct unit *u)
{
	struct tick *t = xcalloc(1, sizeof(*t));

	t->f = u->f;
	t->run = u->run;
	memcpy(t->id, u->in->id, ID_SIZE);
	return t;
}

struct unit *tick_take(void *arg)
{
	struct tick *t = arg;
	struct unit *u = unit_find(t->f, t->id);

	if (u && u->run != t->run)
		u = NULL;
	free(t);
	return u;
}

void fleet_load_instance(struct fleet *f, struct instance *in)
{
	unit_add(f, in);
}

void fleet_load_place(struct fleet *f, struct place *p)
{
	site_add(f, p);
}

struct instance *fleet_get(struct fleet *f, const char *id)
{
	struct unit *u = unit_find(f, id);

	return u ? u->in : NULL;
}

bool fleet_is_within(struct fleet *f, const char *ancestor, const char *id)
{
	/* The tree cannot have a ring (a parent is older than its child), but a damaged row could. */
	for (size_t steps = 0; steps <= f->count; steps++) {
		struct unit *u = unit_find(f, id);
		if (!u)
			return false;
		if (!strcmp(u->in->id, ancestor))
			return true;
		if (!u->in->parent[0])
			return false;
		id = u->in->parent;
	}
	return false;
}

static bool visible(struct fleet *f, const struct caller *who, const struct instance *in)
{
	return !who->instance || fleet_is_within(f, who->instance, in->id);
}

struct match {
	struct instance *found;
	int count;
	char names[160];
};

static void match_add(struct match *m, struct instance *in)
{
	size_t at = strlen(m->names);

	m->found = in;
	if (++m->count <= 6)
		snprintf(m->names + at, sizeof(m->names) - at, "%s%s%s%s%s", at ? ", " : "", in->id,
			in->name ? " (" : "", in->name ? in->name : "", in->name ? ")" : "");
}

struct instance *fleet_resolve(struct fleet *f, const struct caller *who, const char *ref,
	struct err *e)
{
	struct unit *u = unit_find(f, ref);
	struct instance *ended = NULL;
	struct match prefix = {0};
	size_t len = strlen(ref);

	if (u && visible(f, who, u->in))
		return u->in;
	for (size_t i = f->count; i-- > 0;) {
		struct instance *in = f->order[i]->in;
		if (!visible(f, who, in))
			continue;
		if (in->name && !strcmp(in->name, ref)) {
			if (state_living(in->state))
				return in;
			if (!ended)
				ended = in; /* the newest of that name */
		}
		if (len && (!strncmp(in->id, ref, len) || (in->name && !strncmp(in->name, ref, len))))
			match_add(&prefix, in);
	}
	if (ended)
		return ended;
	if (prefix.count == 1)
		return prefix.found;
	if (prefix.count > 1) {
		err_set(e, ERR_AMBIGUOUS, "'%s' could be any of %s%s", ref, prefix.names,
			prefix.count > 6 ? ", ..." : "");
		err_hint(e, "give more of the id or the whole name");
		return NULL;
	}
	err_set(e, ERR_NOT_FOUND, "no instance has the id or name '%.64s'", ref);
	err_hint(e, "tmux-claude list --all shows every one there is");
	return NULL;
}

size_t fleet_count(const struct fleet *f)
{
	return f->count;
}

struct instance *fleet_at(const struct fleet *f, size_t n)
{
	return f->order[n]->in;
}

size_t fleet_living(const struct fleet *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++)
		n += state_living(f->order[i]->in->state);
	return n;
}

bool fleet_active(struct fleet *f, const struct instance *in)
{
	struct site *s = site_of(unit_find(f, in->id));

	return state_living(in->state) || (s && s->pl->state != PL_DOWN);
}

static json_t *limit_json(int64_t n)
{
	return n == CAP_UNLIMITED ? json_string("unlimited") : json_integer(n);
}

static json_t *cap_json(struct fleet *f, const struct instance *in)
{
	struct cap_counts c;
	json_t *o = json_object();

	caps_count(f, in->id, &c);
	json_object_set_new(o, "max_children", limit_json(in->cap.max_children));
	json_object_set_new(o, "children", json_integer(c.children));
	json_object_set_new(o, "max_descendants", limit_json(in->cap.max_descendants));
	json_object_set_new(o, "descendants", json_integer(c.descendants));
	json_object_set_new(o, "max_depth", limit_json(in->cap.max_depth));
	json_object_set_new(o, "depth", json_integer(c.depth));
	json_object_set_new(o, "spawn_rate", limit_json(in->cap.spawn_rate));
	return o;
}

static json_t *or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

static json_t *time_json(int64_t ms)
{
	char t[CLOCK_ISO_MAX];

	return ms ? json_string(clock_iso(ms, t)) : json_null();
}

static json_t *vm_json(const struct instance *in, const struct site *s)
{
	if (!s || strcmp(in->driver, "host") == 0)
		return json_null();
	return json_pack("{s:s, s:s?, s:s, s:s?, s:I, s:I, s:I}", "id", s->pl->id, "accel", s->pl->accel,
		"state", place_state_name(s->pl->state), "template", in->template_name, "cpus",
		(json_int_t)in->cpus, "memory", (json_int_t)in->memory_mib, "boot_ms",
		(json_int_t)s->pl->boot_ms);
}

json_t *fleet_instance_json(struct fleet *f, const struct instance *in)
{
	struct unit *u = unit_find(f, in->id);
	struct site *s = u ? site_of(u) : NULL;
	json_t *o = json_object(), *times = json_object();

	json_object_set_new(o, "id", json_string(in->id));
	json_object_set_new(o, "name", or_null(in->name));
	json_object_set_new(o, "parent", or_null(in->parent));
	json_object_set_new(o, "driver", json_string(in->driver));
	json_object_set_new(o, "agent", json_string(in->agent));
	json_object_set_new(o, "state", json_string(state_name(in->state)));
	json_object_set_new(o, "reason", or_null(in->reason));
	json_object_set_new(o, "detail", or_null(in->detail));
	json_object_set_new(o, "dir", or_null(in->dir));
	json_object_set_new(o, "pane", in->has_pane ? json_string(in->id) : json_null());
	json_object_set_new(o, "vm", vm_json(in, s));
	json_object_set_new(o, "place", or_null(in->place));
	json_object_set_new(o, "cap", cap_json(f, in));
	json_object_set(o, "labels", in->labels);
	json_object_set_new(o, "created_at", time_json(in->created_ms));
	json_object_set_new(o, "state_since", time_json(in->state_since_ms));
	json_object_set_new(o, "exit",
		in->exit.known ? json_pack("{s:o, s:o}", "code",
					 in->exit.code < 0 ? json_null() : json_integer(in->exit.code),
					 "signal", in->exit.signal ? json_integer(in->exit.signal) : json_null())
			       : json_null());
	json_object_set_new(o, "pid", in->pid ? json_integer(in->pid) : json_null());
	json_object_set_new(o, "place_pid",
		s && s->pl->holder_pid ? json_integer(s->pl->holder_pid) : json_null());
	json_object_set_new(o, "shim_pid",
		s && s->pl->shim_pid && state_living(in->state) ? json_integer(s->pl->shim_pid)
								: json_null());
	json_object_set_new(o, "template", or_null(in->template_name));
	json_object_set_new(o, "model", or_null(in->model));
	json_object_set_new(o, "permissions", json_string(permissions_name(in->permissions)));
	json_object_set_new(o, "conversation", or_null(in->conversation));
	json_object_set_new(o, "title", or_null(u ? u->title : NULL));
	json_object_set_new(o, "starts", json_integer(in->starts));
	for (int st = 0; st < ST_COUNT; st++)
		if (in->time_in_state[st])
			json_object_set_new(times, state_name((enum inst_state)st),
				json_integer(in->time_in_state[st]));
	json_object_set_new(o, "times_ms", times);
	return o;
}
