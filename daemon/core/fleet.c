/* SPDX-License-Identifier: ISC */
/* The fleet's tables: finding instances and places, and how an instance is shown. */
#include "daemon/core/transcript.h"
#include "base/alarm.h"
#include "daemon/core/ack.h"
#include "daemon/core/admit.h"
#include "daemon/core/usage.h"

struct fleet *fleet_create(const struct core_port *port, const struct core_settings *set)
{
	struct fleet *f = xcalloc(1, sizeof(*f));

	f->port = port;
	f->set = set;
	f->admission = admission_create();
	f->unknown = strv_new();
	return f;
}

void fleet_destroy(struct fleet *f)
{
	if (!f)
		return;
	restores_drop(f);
	schedules_drop(f);
	transcripts_end(f);
	while (f->count)
		unit_drop(f->order[f->count - 1]);
	while (f->sites)
		site_drop(f->sites);
	idmap_finish(&f->unit_by_id);
	idmap_finish(&f->site_by_id);
	idmap_finish(&f->unit_by_name);
	admission_destroy(f->admission);
	tally_finish(&f->all);
	window_finish(&f->spawned);
	refusals_free(f->refusals);
	json_decref(f->own_roles);
	alarm_destroy(f->limit_alarm);
	loop_timer_free(f->stuck_timer);
	loop_timer_free(f->owed_timer);
	free(f->order);
	strv_free(f->unknown);
	free(f);
}

struct unit *unit_find(const struct fleet *f, const char *id)
{
	return idmap_get(&f->unit_by_id, id);
}

struct unit *unit_add(struct fleet *f, struct instance *in)
{
	struct unit *u = xcalloc(1, sizeof(*u));

	u->f = f;
	u->in = in;
	u->foreground = true;
	idmap_put(&f->unit_by_id, in->id, u);
	if (f->count == f->room) {
		f->room = f->room ? f->room * 2 : 64;
		f->order = xrealloc(f->order, f->room * sizeof(struct unit *));
	}
	f->order[f->count++] = u;
	tree_add(u);
	tally_unit(u);
	return u;
}

void unit_drop(struct unit *u)
{
	struct fleet *f = u->f;
	struct site *s = site_of(u);

	tally_drop(u);
	tree_drop(u);
	admit_drop(u);
	idmap_drop(&f->unit_by_id, u->in->id);
	for (size_t i = f->count; i-- > 0;) {
		if (f->order[i] != u)
			continue;
		memmove(&f->order[i], &f->order[i + 1], (f->count - i - 1) * sizeof(struct unit *));
		f->count--;
		break;
	}
	if (s && s->u == u)
		s->u = NULL;
	waits_end(u);
	asks_drop(u);
	attention_drop(u);
	transcripts_drop(u);
	usage_drop(u);
	prompts_drop(u);
	while (u->stop_done || u->start_more) {
		struct waiter_done **at = u->stop_done ? &u->stop_done : &u->start_more, *w = *at;
		*at = w->next;
		free(w);
	}
	loop_timer_free(u->deadline);
	free(u->pace);
	loop_timer_free(u->prompt_timer);
	loop_timer_free(u->broken);
	loop_timer_free(u->quiet);
	loop_timer_free(u->settle);
	loop_timer_free(u->again_timer);
	loop_timer_free(u->budget_timer);
	free(u->title);
	tally_finish(&u->below);
	window_finish(&u->spawned);
	refusals_free(u->refusals);
	instance_free(u->in);
	free(u);
}

struct site *site_find(const struct fleet *f, const char *id)
{
	return idmap_get(&f->site_by_id, id);
}

struct site *site_of(const struct unit *u)
{
	return u->in->place[0] ? site_find(u->f, u->in->place) : NULL;
}

bool site_being_found(const struct unit *u)
{
	struct site *s = site_of(u);

	return s && (s->adopting || s->asking || s->finding) && state_living(u->in->state) &&
	       u->in->state != ST_STOPPING;
}

struct site *site_add(struct fleet *f, struct place *p)
{
	struct site *s = xcalloc(1, sizeof(*s));

	s->f = f;
	s->pl = p;
	s->next = f->sites;
	s->at = &f->sites;
	if (s->next)
		s->next->at = &s->next;
	f->sites = s;
	idmap_put(&f->site_by_id, p->id, s);
	return s;
}

void site_drop(struct site *s)
{
	ack_drop(s);
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	idmap_drop(&s->f->site_by_id, s->pl->id);
	loop_timer_free(s->stop_timer);
	loop_timer_free(s->ask_timer);
	loop_timer_free(s->again_timer);
	place_free(s->pl);
	free(s);
}

int64_t place_number_free(const struct fleet *f)
{
	size_t n = f->site_by_id.count; /* one of the first n + 1 numbers is free */
	cleanup_free bool *taken = xcalloc(n + 1, sizeof(bool));
	int64_t free_one = 0;

	for (const struct site *s = f->sites; s; s = s->next)
		if (s->pl->number >= 0 && s->pl->number <= (int64_t)n)
			taken[s->pl->number] = true;
	while (taken[free_one])
		free_one++;
	return free_one;
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
	unit_add(f, in)->remove_after = in->rm;
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
	const struct unit *u = unit_find(f, id), *a = unit_find(f, ancestor);

	while (a && u && u != a)
		u = u->up;
	return a && u;
}

struct instance *fleet_next_within(struct fleet *f, const struct instance *top,
	const struct instance *in)
{
	struct unit *u = tree_next(unit_find(f, top->id), unit_find(f, in->id));

	return u ? u->in : NULL;
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
	struct unit *u = unit_find(f, ref), *named = idmap_get(&f->unit_by_name, ref);
	struct instance *ended = NULL;
	struct match prefix = {0};
	size_t len = strlen(ref);

	if (u && visible(f, who, u->in))
		return u->in;
	if (named && visible(f, who, named->in))
		return named->in;
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
	return f->living;
}

bool fleet_active(struct fleet *f, const struct instance *in)
{
	struct site *s = site_of(unit_find(f, in->id));

	return state_living(in->state) || (s && s->pl->state != PL_DOWN);
}
