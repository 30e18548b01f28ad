/* SPDX-License-Identifier: ISC */
/*
 * Which instances a call means: those it names, those its selector chooses (label, state, parent), or of those it
 * names the ones that its selector chooses. docs/selectors.md has the rules as users read them.
 */
#include "base/idmap.h"
#include "daemon/api/api_int.h"
#include "daemon/core/attention.h"
#include "daemon/model/label.h"

#define NAMED_MAX 6 /* candidates that an error names */

#define STATE_BIT(s) (1u << (s))

static int states_read(const json_t *words, unsigned *ret, struct err *e)
{
	const json_t *word;
	size_t i;

	json_array_foreach(words, i, word) {
		cleanup_free char *list = xstrdup(json_string_value(word));
		char *rest = list, *name;
		while ((name = strsep(&rest, ","))) {
			enum inst_state st;
			if (state_from_name(name, &st) < 0) {
				err_set(e, ERR_PARAMS, "there is no state '%.32s'", name);
				return err_hint(e, "idle, working, waiting, limited, starting, exited, failed, lost, ...");
			}
			*ret |= STATE_BIT(st);
		}
	}
	return 0;
}

int selector_read(struct call *c, struct selector *s, struct err *e)
{
	const char *parent = call_str(c, "parent");
	const json_t *term;
	size_t i;

	*s = (struct selector){.labels = json_object_get(c->params, "label")};
	if (json_array_size(s->labels) > LABELS_MAX)
		return err_set(e, ERR_PARAMS, "%zu terms of labels are more than %d", json_array_size(s->labels), LABELS_MAX);
	json_array_foreach(s->labels, i, term)
		if (label_term_check(json_string_value(term), e) < 0)
			return -1;
	if (states_read(json_object_get(c->params, "state"), &s->states, e) < 0)
		return -1;
	if (parent && !(s->parent = fleet_resolve(c->w->fleet, &c->who, parent, e)))
		return -1;
	s->given = json_array_size(s->labels) > 0 || s->states || s->parent;
	return 0;
}

static bool selector_labels(const struct selector *s, const json_t *labels)
{
	const json_t *term;
	size_t i;

	json_array_foreach(s->labels, i, term)
		if (!label_term_holds(labels, json_string_value(term)))
			return false;
	return true;
}

bool selector_chooses(const struct selector *s, const struct instance *in)
{
	return (!s->states || (s->states & STATE_BIT(in->state))) &&
	       (!s->parent || !strcmp(in->parent, s->parent->id)) && selector_labels(s, in->labels);
}

/* What a verb means unless a state is asked for. */
static bool from_holds(enum select_from from, const struct instance *in)
{
	switch (from) {
	case FROM_LIVING:
		return state_living(in->state);
	case FROM_ENDED:
		return !state_living(in->state);
	case FROM_ANY:
		break;
	}
	return true;
}

struct chosen {
	struct instance **set;
	size_t n;
	struct idmap by_id; /* of those named */
};

static void choose(struct call *c, const struct selector *s, enum select_from from, struct chosen *x)
{
	struct fleet *f = c->w->fleet;

	for (size_t i = 0; i < fleet_count(f); i++) {
		struct instance *in = fleet_at(f, i);
		if ((s->states || from_holds(from, in)) && selector_chooses(s, in) &&
			access_may(c, in))
			x->set[x->n++] = in;
	}
}

/* Those named, of which the selector chooses. */
static int named(struct call *c, const struct selector *s, const json_t *refs, struct chosen *x, struct err *e)
{
	const json_t *ref;
	size_t i;

	json_array_foreach(refs, i, ref) {
		struct instance *in = fleet_resolve(c->w->fleet, &c->who, json_string_value(ref), e);
		if (!in)
			return -1;
		if (idmap_get(&x->by_id, in->id) || !selector_chooses(s, in))
			continue;
		idmap_put(&x->by_id, in->id, in);
		x->set[x->n++] = in;
	}
	return 0;
}

static int none(const struct selector *s, struct err *e)
{
	if (!s->given) {
		err_set(e, ERR_PARAMS, "no instance was named");
		return err_hint(e, "give an id or a name, or choose with label, state or parent");
	}
	err_set(e, ERR_NOT_FOUND, "no instance is chosen by this label, state or parent");
	return err_hint(e, "`tmux-claude list --all` with the same options shows whom they choose");
}

/* refs: an array, may be empty. */
static int select_set(struct call *c, const json_t *refs, enum select_from from, struct chosen *x, struct err *e)
{
	struct selector s;

	if (selector_read(c, &s, e) < 0)
		return -1;
	x->set = xcalloc(fleet_count(c->w->fleet) + json_array_size(refs) + 1, sizeof(*x->set));
	if (json_array_size(refs) > 0) {
		if (named(c, &s, refs, x, e) < 0)
			return -1;
	} else if (s.given) {
		choose(c, &s, from == FROM_ANY ? FROM_LIVING : from, x);
		if (!x->n && from == FROM_ANY) /* as with names: the living first */
			choose(c, &s, FROM_ENDED, x);
	}
	audit_touches(c, x->set, x->n);
	return x->n ? 0 : none(&s, e);
}

struct instance **call_targets(struct call *c, enum select_from from, size_t *ret_n)
{
	const json_t *ids = json_object_get(c->params, "ids"), *id = json_object_get(c->params, "id");
	json_t *refs = json_array();
	struct chosen x = {0};
	struct err err = {0};

	json_array_extend(refs, (json_t *)ids);
	if (id)
		json_array_append(refs, (json_t *)id);
	if (select_set(c, refs, from, &x, &err) < 0) {
		free(x.set);
		x.set = NULL;
		call_error(c, &err);
	}
	json_decref(refs);
	idmap_finish(&x.by_id);
	*ret_n = x.n;
	return x.set;
}

bool call_alone(const struct call *c, size_t n)
{
	const json_t *ids = json_object_get(c->params, "ids");

	if (n != 1 || json_object_get(c->params, "label") || json_object_get(c->params, "state") ||
		json_object_get(c->params, "parent"))
		return false;
	return json_array_size(ids) + (json_object_get(c->params, "id") != NULL) == 1;
}

/* More than one where one is needed: who they are. */
static int too_many(const struct chosen *x, struct err *e)
{
	char names[ERR_MESSAGE_MAX / 2] = "";
	size_t at = 0;

	for (size_t i = 0; i < x->n && i < NAMED_MAX && at < sizeof(names); i++) {
		const char *name = x->set[i]->name;
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s%s%s%s", i ? ", " : "", x->set[i]->id,
			name ? " (" : "", name ? name : "", name ? ")" : "");
	}
	err_set(e, ERR_AMBIGUOUS, "%zu instances are chosen, and this takes one: %s%s", x->n, names,
		x->n > NAMED_MAX ? ", ..." : "");
	return err_hint(e, "name one, or choose more narrowly");
}

static struct instance *select_one(struct call *c, const char *param, struct err *e)
{
	json_t *refs = json_array(), *ref = json_object_get(c->params, param);
	struct chosen x = {0};
	struct instance *in = NULL;

	if (ref)
		json_array_append(refs, ref);
	if (select_set(c, refs, FROM_ANY, &x, e) == 0) {
		if (x.n == 1)
			in = x.set[0];
		else
			too_many(&x, e);
	}
	json_decref(refs);
	idmap_finish(&x.by_id);
	free(x.set);
	return in;
}

struct instance *call_target(struct call *c, const char *param)
{
	const struct arg_def *a = method_arg(c->method, param);
	struct err err = {0};
	struct instance *in = a && (a->flags & A_OR_SELECT)
				      ? select_one(c, param, &err)
				      : fleet_resolve(c->w->fleet, &c->who, call_str(c, param), &err);

	if (!in)
		call_error(c, &err);
	else if (!c->who.instance && !c->w->damage && (c->method->id == METHOD_READ || c->method->id == METHOD_TRANSCRIPT))
		fleet_attention_seen(c->w->fleet, in);
	return in;
}
