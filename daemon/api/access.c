/* SPDX-License-Identifier: ISC */
/*
 * May this caller do this, to whom it names? The one place that reads the table's permission rows.
 *
 * The operator may everything that its rows say. An instance may call what has P_INSTANCE, and each instance that an
 * A_INST argument names has to be itself (W_SELF) or a descendant (W_BELOW). What it may not see is "not found"
 * in the same words, and after the same work, whether it is there or not; what it was is told to the audit
 * alone (access.why, access.target).
 */
#include "daemon/api/api_int.h"

static bool itself(const struct call *c, const struct instance *in)
{
	return !strcmp(in->id, c->who.instance);
}

bool access_may(const struct call *c, const struct instance *in)
{
	if (!c->who.instance)
		return true;
	if (itself(c, in))
		return c->method->who & W_SELF;
	return (c->method->who & W_BELOW) && fleet_is_within(c->w->fleet, c->who.instance, in->id);
}

static bool begins(const char *text, const char *with)
{
	return text && !strncmp(text, with, strlen(with));
}

/* Whom the words would have meant for the operator. Looks at everybody, whatever it finds. */
static const struct instance *meant(struct fleet *f, const char *ref)
{
	const struct instance *best = NULL;
	int rank = 0;

	for (size_t i = 0; *ref && i < fleet_count(f); i++) {
		const struct instance *in = fleet_at(f, i);
		bool named = in->name && !strcmp(in->name, ref);
		int r = !strcmp(in->id, ref) ? 4 : named && state_living(in->state) ? 3 : named ? 2
			: begins(in->id, ref) || begins(in->name, ref) ? 1 : 0;

		if (r && r >= rank) {
			best = in;
			rank = r;
		}
	}
	return best;
}

static int refuse(struct access *a, const char *why, const struct instance *whom)
{
	a->why = why;
	str_fmt(a->target, sizeof(a->target), "%s", whom ? whom->id : "");
	return -1;
}

static int check_one(struct call *c, const struct arg_def *arg, const char *ref, struct access *a, struct err *e)
{
	const struct method_def *m = c->method;
	struct err unseen = {0};
	struct instance *in = fleet_resolve(c->w->fleet, &c->who, ref, &unseen);

	if (in && (access_may(c, in) || (arg->flags & A_SEEN))) {
		if (a->ntargets < ACCESS_TARGETS_MAX)
			memcpy(a->targets[a->ntargets], in->id, ID_SIZE);
		a->ntargets++;
		return 0;
	}
	if (!c->who.instance)
		return 0; /* its handler says what is wrong */
	if (!(m->who & W_BELOW)) { /* the same for everybody else, so that it tells nothing about them */
		err_set(e, ERR_DENIED, "%s: '%s' can only be the calling instance itself", m->name, arg->name);
		err_hint(e, "leave it out, or give %s", c->who.instance);
		return refuse(a, in ? "not_itself" : !strcmp(arg->name, "parent") ? "forged_parent" : "not_its_own",
			in ? in : meant(c->w->fleet, ref));
	}
	if (in) {
		err_set(e, ERR_DENIED, "%s is not for the calling instance itself, only for its descendants", m->name);
		err_hint(e, "the operator may do it, and an instance above it");
		return refuse(a, "itself", in);
	}
	*e = unseen;
	in = (struct instance *)meant(c->w->fleet, ref);
	if (unseen.code == ERR_AMBIGUOUS)
		return refuse(a, "ambiguous", NULL);
	return refuse(a, in ? "not_its_own" : "nobody", in);
}

/* Every instance that the parameters name. */
static int check_named(struct call *c, struct access *a, struct err *e)
{
	for (const struct arg_def *arg = c->method->args; arg->name; arg++) {
		const json_t *v = arg->flags & A_INST ? json_object_get(c->params, arg->name) : NULL, *one;
		size_t i;

		if (c->who.instance && json_array_size(v) > ACCESS_NAMES_MAX) {
			err_set(e, ERR_LIMIT, "%zu names are more than the %d that an instance may give at once",
				json_array_size(v), ACCESS_NAMES_MAX);
			err_hint(e, "choose by a selector (label, state, parent), or call again for the rest");
			return refuse(a, "too_many", NULL);
		}
		if (json_is_string(v) && check_one(c, arg, json_string_value(v), a, e) < 0)
			return -1;
		json_array_foreach(v, i, one)
			if (check_one(c, arg, json_string_value(one), a, e) < 0)
				return -1;
	}
	return 0;
}

int access_method(const struct call *c, struct access *a, struct err *e)
{
	if (c->method->who & (c->who.instance ? P_INSTANCE : P_OPERATOR))
		return 0;
	err_set(e, ERR_DENIED, "%s is not for %s", c->method->name,
		c->who.instance ? "instances: only the operator may call it" : "the operator");
	return refuse(a, "method", NULL);
}

int access_check(struct call *c, struct access *a, struct err *e)
{
	if (!c->who.instance && (c->method->flags & M_READ))
		return 0; /* nobody asks */
	return check_named(c, a, e);
}
