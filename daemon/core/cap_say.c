/* SPDX-License-Identifier: ISC */
/*
 * What is said about caps: refusals with all that they name, and how each cap of a holder stands.
 *
 * A refusal goes to its caller whole. Its event is told at once the first time, then gathered by who asked and
 * which cap it was: one event with the number of times, after a pause that doubles while they keep coming.
 * So whoever asks for ever leaves a handful of rows. (Times not told yet end with the daemon.)
 */
#include "daemon/core/budget.h"

#define REFUSAL_KINDS (CAP_KINDS + 1) /* one more: all roles */
#define REFUSAL_PAUSE_MS 10000
#define REFUSAL_PAUSE_MOST_MS (60 * 60 * 1000)

struct refusals {
	struct refusal_kept {
		struct fleet *f;
		struct loop_timer *timer;
		int64_t pause_ms; /* 0: calm */
		int64_t times;    /* not told yet */
		char holder[ID_SIZE];
		json_t *data;
	} kept[REFUSAL_KINDS];
};

static const char *kind_name(const struct unit *holder, enum cap_kind k)
{
	if (k == CAP_KINDS)
		return "max_role";
	return !holder && k == CAP_DESCENDANTS ? "max_instances" : cap_name(k);
}

static void tell(struct refusal_kept *r)
{
	if (r->holder[0] && !unit_find(r->f, r->holder)) { /* removed meanwhile: of it nothing more is told */
		json_decref(r->data);
		r->data = NULL;
		r->times = 0;
		return;
	}
	json_object_set_new(r->data, "times", json_integer(r->times));
	r->times = 0;
	P(r->f)->event_add(CTX(r->f), EV_REFUSED, r->holder[0] ? r->holder : NULL, NULL, r->data);
	r->data = NULL;
}

static void pause_over(void *arg)
{
	struct refusal_kept *r = arg;

	if (!r->times) {
		r->pause_ms = 0;
		return;
	}
	tell(r);
	r->pause_ms = r->pause_ms * 2 < REFUSAL_PAUSE_MOST_MS ? r->pause_ms * 2 : REFUSAL_PAUSE_MOST_MS;
	loop_timer_start(r->timer, r->pause_ms);
}

void refusals_free(struct refusals *all)
{
	for (int i = 0; all && i < REFUSAL_KINDS; i++) {
		loop_timer_free(all->kept[i].timer);
		json_decref(all->kept[i].data);
	}
	free(all);
}

static void note_refusal(struct fleet *f, struct unit *asker, const struct refusal *r)
{
	struct refusals **all = asker ? &asker->refusals : &f->refusals;
	struct refusal_kept *kept;

	if (!*all)
		*all = xcalloc(1, sizeof(**all));
	kept = &(*all)->kept[r->kind];
	kept->f = f;
	kept->times++;
	memcpy(kept->holder, r->holder ? r->holder->in->id : "", r->holder ? ID_SIZE : 1);
	json_decref(kept->data);
	kept->data = json_pack("{s:s, s:s?, s:s?, s:s?, s:I, s:I, s:s?}", "cap", kind_name(r->holder, r->kind),
		"role", r->role, "holder", r->holder ? r->holder->in->id : NULL, "holder_name",
		r->holder ? r->holder->in->name : NULL, "count", (json_int_t)r->count, "limit",
		(json_int_t)r->limit, "parent", asker ? asker->in->id : NULL);
	if (kept->pause_ms)
		return;
	tell(kept);
	if (!kept->timer)
		kept->timer = loop_timer_create(P(f)->loop, pause_over, kept);
	kept->pause_ms = f->set->refusal_pause_ms ? f->set->refusal_pause_ms : REFUSAL_PAUSE_MS;
	loop_timer_start(kept->timer, kept->pause_ms);
}

/* When one more may be had, for people; *ret_never: not by waiting. */
static const char *when_passes(const struct refusal *r, bool *ret_never)
{
	*ret_never = r->need > r->limit || r->wait_ms < 0;
	switch (r->kind) {
	case CAP_CHILDREN:
		return "it passes when one of its children ends";
	case CAP_DESCENDANTS:
		return r->holder ? "it passes when one of its descendants ends" : "it passes when an instance ends";
	case CAP_DEPTH:
		*ret_never = true;
		return "it never passes here: spawn from an instance higher in the tree";
	case CAP_RATE:
		return NULL;
	case CAP_TOTAL:
		*ret_never = true;
		return "it never passes by itself: what was spawned stays counted";
	case CAP_MEMORY:
	case CAP_DISK:
		return r->holder ? "it passes when machines below it end" : "it passes when machines end";
	case CAP_KINDS:
		return r->holder ? "it passes when one of that role below it ends"
				 : "it passes when one of that role ends";
	}
	return NULL;
}

static void details(const struct refusal *r, bool never, struct err *e)
{
	cleanup_free char *text = NULL;
	json_t *o = json_pack("{s:s, s:s, s:s?, s:I, s:I, s:I}", "cap", kind_name(r->holder, r->kind), "holder",
		r->holder ? r->holder->in->id : "fleet", "holder_name", r->holder ? r->holder->in->name : NULL,
		"count", (json_int_t)r->count, "limit", (json_int_t)r->limit, "need", (json_int_t)r->need);

	if (r->role)
		json_object_set_new(o, "role", json_string(r->role));
	json_object_set_new(o, "passes", json_boolean(!never));
	json_object_set_new(o, "retry_after_ms", r->kind == CAP_RATE && !never ? json_integer(r->wait_ms) : json_null());
	text = json_dumps(o, JSON_COMPACT);
	err_details(e, text);
	json_decref(o);
}

int cap_refuse(struct fleet *f, struct unit *asker, const struct refusal *r, struct err *e)
{
	const char *name = r->holder ? r->holder->in->name : NULL, *flag = kind_name(r->holder, r->kind), *passes;
	bool mib = r->kind == CAP_MEMORY || r->kind == CAP_DISK, never = false;
	char who[NAME_MAX_LEN + 32] = "the fleet", option[32], more[64] = "";

	if (!r->relabel)
		note_refusal(f, asker, r);
	if (r->holder)
		str_fmt(who, sizeof(who), "instance %s%s%s%s", r->holder->in->id, name ? " (" : "", name ? name : "",
			name ? ")" : "");
	if (mib)
		str_fmt(more, sizeof(more), " MiB, and this one takes %lld", (long long)r->need);
	err_set(e, ERR_CAP, "the cap %s%s%s of %s is reached: %lld of %lld%s%s", flag, r->role ? " " : "",
		r->role ? r->role : "", who, (long long)r->count, (long long)r->limit, more,
		r->kind == CAP_RATE ? " in the last minute" : "");
	passes = when_passes(r, &never);
	str_fmt(option, sizeof(option), "%s", flag);
	for (char *p = option; *p; p++)
		*p = *p == '_' ? '-' : *p;
	if (r->kind == CAP_RATE && !never)
		err_hint(e, "it passes in %lld s", (long long)(r->wait_ms + 999) / 1000);
	else if (never && r->kind != CAP_DEPTH)
		err_hint(e, "it never passes by itself; the operator may raise it: tmux-claude cap set %s --%s ...",
			r->holder ? r->holder->in->id : "fleet", option);
	else if (!r->holder || r->relabel)
		err_hint(e, "%s, or with tmux-claude cap set %s --%s ...", passes, r->holder ? r->holder->in->id : "fleet",
			option);
	else
		err_hint(e, "%s", passes);
	if (e)
		e->retryable = !never;
	details(r, never, e);
	return -1;
}

/* ---- how they stand ---- */

static json_t *limit_json(int64_t n)
{
	return n == CAP_UNLIMITED ? json_string("unlimited") : json_integer(n);
}

/* The least that any of them leaves, and who that is. */
struct bound {
	bool any;
	int64_t left;
	const struct unit *by; /* NULL: the fleet */
	const char *cap;
};

static void bound_by(struct bound *b, const struct unit *by, const char *cap, int64_t limit, int64_t used)
{
	int64_t left = limit > used ? limit - used : 0;

	if (limit == CAP_UNLIMITED || (b->any && b->left <= left))
		return;
	*b = (struct bound){true, left, by, cap};
}

/* Of all that hold it, the nearest first, so that of equals the nearest is named. */
static struct bound bound_of(struct fleet *f, struct unit *u, enum cap_kind k)
{
	struct bound b = {0};
	int64_t distance = 0;

	for (struct unit *a = u;; a = a->up) {
		enum cap_kind by = k == CAP_CHILDREN && a != u ? CAP_DESCENDANTS : k;
		int64_t used = k == CAP_DEPTH && u ? distance++ + holder_count(f, u, k) : holder_count(f, a, by);
		if (k != CAP_RATE || a == u || !a)
			bound_by(&b, a, kind_name(a, by), holder_limit(f, a, by), used);
		if (k == CAP_CHILDREN && a && a == u)
			bound_by(&b, a, cap_name(CAP_DESCENDANTS), holder_limit(f, a, CAP_DESCENDANTS),
				holder_count(f, a, CAP_DESCENDANTS));
		if (!a)
			break;
	}
	return b;
}

static json_t *entry(struct unit *u, const char *cap, const char *role, int64_t limit, int64_t count,
	const struct bound *b)
{
	json_t *o = json_pack("{s:s, s:o, s:I}", "cap", cap, "limit", limit_json(limit), "count", (json_int_t)count);

	(void)u;
	if (role)
		json_object_set_new(o, "role", json_string(role));
	json_object_set_new(o, "left", b->any ? json_integer(b->left) : json_null());
	json_object_set_new(o, "by", !b->any ? json_null() : json_string(b->by ? b->by->in->id : "fleet"));
	json_object_set_new(o, "by_name", b->any && b->by && b->by->in->name ? json_string(b->by->in->name) : json_null());
	json_object_set_new(o, "by_cap", b->any ? json_string(b->cap) : json_null());
	return o;
}

static void add_rate(struct fleet *f, struct unit *u, json_t *o, const struct bound *b)
{
	struct unit *by = b->by ? u : NULL;
	int64_t wait = 0;

	if (!b->any || b->left)
		return;
	window_count(by ? &by->spawned : &f->spawned, holder_limit(f, by, CAP_RATE), &wait);
	json_object_set_new(o, "retry_after_ms", wait < 0 ? json_null() : json_integer(wait));
}

static void add_roles(struct fleet *f, struct unit *u, json_t *list)
{
	json_t *seen = json_object(), *v;
	const char *role;

	for (struct unit *a = u;; a = a->up) {
		json_object_foreach(a ? a->in->max_roles : f->own_roles, role, v)
			json_object_set_new(seen, role, json_true());
		if (!a)
			break;
	}
	json_object_foreach(seen, role, v) {
		struct bound b = {0};
		for (struct unit *a = u;; a = a->up) {
			bound_by(&b, a, "max_role", holder_role_limit(f, a, role), holder_role_count(f, a, role));
			if (!a)
				break;
		}
		json_array_append_new(list, entry(u, "max_role", role, holder_role_limit(f, u, role),
						    holder_role_count(f, u, role), &b));
	}
	json_decref(seen);
}

json_t *caps_report(struct fleet *f, struct unit *u)
{
	static const enum cap_kind of_fleet[] = {CAP_DESCENDANTS, CAP_RATE, CAP_MEMORY, CAP_DISK};
	json_t *list = json_array();
	size_t n = u ? CAP_KINDS : ARRAY_LEN(of_fleet);

	for (size_t i = 0; i < n; i++) {
		enum cap_kind k = u ? (enum cap_kind)i : of_fleet[i];
		struct bound b = bound_of(f, u, k);
		json_t *o = entry(u, kind_name(u, k), NULL, holder_limit(f, u, k), holder_count(f, u, k), &b);
		if (k == CAP_RATE)
			add_rate(f, u, o, &b);
		json_array_append_new(list, o);
	}
	add_roles(f, u, list);
	budget_report(f, u, list);
	return list;
}

json_t *fleet_caps_json(struct fleet *f, const struct instance *in)
{
	struct unit *u = in ? unit_find(f, in->id) : NULL;

	return json_pack("{s:s, s:s?, s:s?, s:o}", "holder", in ? in->id : "fleet", "name", in ? in->name : NULL,
		"role", in ? instance_role(in) : NULL, "caps", caps_report(f, u));
}
