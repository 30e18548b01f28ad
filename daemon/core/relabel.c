/* SPDX-License-Identifier: ISC */
/*
 * Labels that change. All the instances of a call get theirs, or none does: each is asked of the caps per role with
 * those before it counted already, and only when all passed are rows and events written.
 */
#include "daemon/core/fleet_int.h"
#include "daemon/model/label.h"

static bool same_role(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

/* Sets them in memory, counted; takes labels whatever happens. */
static int take(struct unit *u, const struct caller *who, json_t *labels, struct err *e)
{
	const char *role = json_string_value(json_object_get(labels, ROLE_LABEL));
	int r = 0;

	if (!same_role(role, instance_role(u->in))) {
		if (who->instance) {
			r = err_set(e, ERR_DENIED, "the role of instance %s is the operator's to change", u->in->id);
			err_hint(e, "label it with another name, or spawn one with --role");
		} else if (role && state_living(u->in->state)) {
			r = caps_reserve_role(u, role, e);
		}
	}
	if (r < 0) {
		json_decref(labels);
		return -1;
	}
	u->in->labels = labels;
	tally_unit(u);
	return 0;
}

static void put_back(struct unit *u, json_t *before)
{
	json_decref(u->in->labels);
	u->in->labels = before;
	tally_unit(u);
}

static void told(struct unit *u, json_t *before)
{
	if (!json_equal(u->in->labels, before)) {
		unit_save(u);
		P(u->f)->event_add(CTX(u->f), EV_LABELS, u->in->id, NULL,
			json_pack("{s:O, s:O}", "labels", u->in->labels, "before", before));
	}
	json_decref(before);
}

int fleet_label(struct fleet *f, const struct caller *who, struct instance *const *set, size_t n,
	const json_t *changes, struct err *e)
{
	cleanup_free json_t **before = xcalloc(n + 1, sizeof(json_t *));
	size_t taken = 0;

	for (; taken < n; taken++) {
		json_t *labels = labels_changed(set[taken]->labels, changes, e);

		before[taken] = set[taken]->labels;
		if (!labels || take(unit_find(f, set[taken]->id), who, labels, e) < 0)
			break;
	}
	for (size_t i = 0; i < taken; i++) {
		struct unit *u = unit_find(f, set[i]->id);
		if (taken == n)
			told(u, before[i]);
		else
			put_back(u, before[i]);
	}
	return taken == n ? 0 : -1;
}
