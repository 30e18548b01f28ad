/* SPDX-License-Identifier: ISC */
/*
 * The list of who needs a person.
 *
 * What an instance needs follows from its row and from its open approvals (wants_of); nothing else puts a thing on the list.
 * After whatever may have changed that, attention_look() compares what it needs now with what the list says of it: what is
 * new is a row and the event attention.added, what holds no more loses its row with attention.removed, in the transaction of
 * the change. So the list costs nothing while nobody's needs change, and a new daemon, which reads the rows and looks once
 * at each, goes on in the same list without telling anything twice.
 *
 * The key of a thing is a digest of whose, why and what exactly, so it is the same however often and by whichever daemon
 * it is found. A state's subject is the moment at which it was entered, by the boot's clock: the next time is another
 * thing. A new reason to need a person (a budget, a schedule) is one more line in wants_of, and one in ipc/reasons.def.
 */
#include "daemon/core/attention.h"

#include "base/log.h"
#include "daemon/core/asks_int.h"
#include "daemon/core/limit.h"

#define WANTS_MAX (ASKS_MAX + BUDGET_KINDS + 2)

struct need {
	struct attention a;
	struct unit *u;
	struct need *next;              /* of its instance */
	struct need *before, *after;    /* of the fleet */
	bool wanted;                    /* while they are compared */
};

struct wants {
	struct attention a[WANTS_MAX];
	size_t n;
};

/* ---- what an instance needs ---- */

static void want(struct wants *w, const struct unit *u, enum attention_why why, const char *subject, int64_t since_ms,
	const char *text)
{
	struct attention *a;

	if (w->n == WANTS_MAX)
		return;
	a = &w->a[w->n++];
	memset(a, 0, sizeof(*a));
	memcpy(a->instance, u->in->id, ID_SIZE);
	a->why = why;
	str_fmt(a->subject, sizeof(a->subject), "%s", subject);
	str_line(a->text, sizeof(a->text), text);
	a->since_ms = since_ms;
	attention_name(a);
}

/* Its state, entered when it was. */
static void want_state(struct wants *w, const struct unit *u, enum attention_why why, const char *text)
{
	char subject[ATTENTION_SUBJECT_SIZE];

	str_fmt(subject, sizeof(subject), "%.40s@%" PRId64, u->in->state_boot ? u->in->state_boot : "", u->in->state_boot_ms);
	want(w, u, why, subject, u->in->state_since_ms, text);
}

static bool because(const struct instance *in, const char *reason)
{
	return in->reason && !strcmp(in->reason, reason);
}

static const char *said(const struct instance *in, const char *otherwise)
{
	return in->detail && *in->detail ? in->detail : otherwise;
}

/* Asked in its terminal alone: no row of the queue stands for it. When one did a moment ago, it was answered, and the
 * state follows. */
static void want_terminal(struct wants *w, const struct unit *u)
{
	const struct instance *in = u->in;
	bool asks = because(in, "permission") || because(in, "answer");

	if (asks && u->asks && (u->asks->open || u->ask_settled_ms >= in->state_boot_ms))
		return;
	if (because(in, "login"))
		want_state(w, u, AT_LOGIN, said(in, "it wants a login"));
	else if (because(in, "trust"))
		want_state(w, u, AT_TRUST, said(in, "it asks whether its folder is trusted"));
	else if (because(in, "permission"))
		want_state(w, u, AT_APPROVAL, said(in, "it asks for a permission in its terminal"));
	else
		want_state(w, u, AT_QUESTION, said(in, "it waits for an answer in its terminal"));
}

static void want_asked(struct wants *w, const struct unit *u)
{
	for (const struct ask *k = u->asks ? u->asks->open : NULL; k; k = k->next) {
		enum attention_why why = k->a->kind == AK_PERMISSION ? AT_APPROVAL
					 : k->a->kind == AK_QUESTION ? AT_QUESTION
								     : AT_PLAN;
		want(w, u, why, k->a->id, k->a->created_ms, k->a->about ? k->a->about : k->a->tool);
	}
}

/* Whoever spawned it hears of its end: only what a person started is a person's. */
static bool is_persons(const struct instance *in)
{
	return !in->parent[0];
}

static void want_end(struct wants *w, const struct unit *u)
{
	const struct instance *in = u->in;

	if (u->coming_back || !is_persons(in))
		return;
	if (in->state == ST_FAILED || because(in, "env_missing") ||
		(because(in, "exited") && in->exit.known && (in->exit.code > 0 || in->exit.signal)))
		want_state(w, u, AT_FAILED, said(in, in->reason ? in->reason : "it failed"));
}

static void want_idle(struct wants *w, const struct unit *u)
{
	const struct instance *in = u->in;

	if (in->reason && *in->reason && !because(in, "interrupted") && !because(in, "limit_over") && !because(in, "found"))
		want_state(w, u, AT_ERROR, said(in, in->reason));
	else if (u->f->set->attention_finished && is_persons(in) && in->turns > 0 && !u->seen && !u->prompts)
		want_state(w, u, AT_FINISHED, said(in, "its turn has ended"));
}

static void want_limit(struct wants *w, const struct unit *u)
{
	const struct instance *in = u->in;

	if (!limit_goes_on(u))
		want_state(w, u, AT_LIMIT, said(in, "it met a usage limit"));
	else if (because(in, "rate_limit"))
		want_state(w, u, AT_LIMITED, said(in, "it met a usage limit, and goes on by itself"));
}

/* Each that was said to be used up; another limit is another thing. */
static void want_budgets(struct wants *w, const struct unit *u)
{
	const struct budget *b = &u->in->budget;

	for (int k = 0; k < BUDGET_KINDS && state_living(u->in->state); k++) {
		char subject[ATTENTION_SUBJECT_SIZE];
		if (b->said[k] != BUDGET_OVER || !b->limit[k])
			continue;
		cleanup_free char *limit = budget_amount_text((enum budget_kind)k, b->limit[k]);
		cleanup_free char *text = xasprintf("%s is used up: %s (%s)", budget_name((enum budget_kind)k), limit,
			budget_action_name(b->action));
		str_fmt(subject, sizeof(subject), "%s %" PRId64, budget_name((enum budget_kind)k), b->limit[k]);
		want(w, u, AT_BUDGET, subject, clock_wall_ms(), text);
	}
}

static bool budgets_quiet(const struct unit *u)
{
	for (int k = 0; k < BUDGET_KINDS; k++)
		if (u->in->budget.said[k] == BUDGET_OVER)
			return false;
	return true;
}

static void wants_of(const struct unit *u, struct wants *w)
{
	const struct instance *in = u->in;

	w->n = 0;
	want_asked(w, u);
	want_budgets(w, u);
	if (in->stuck_ms) {
		char subject[32];
		str_fmt(subject, sizeof(subject), "%" PRId64, in->stuck_ms);
		want(w, u, AT_STUCK, subject, in->stuck_ms, "it works, and nothing of it moved for longer than is usual for it");
	}
	switch (in->state) {
	case ST_WAITING:
		want_terminal(w, u);
		break;
	case ST_LIMITED:
		want_limit(w, u);
		break;
	case ST_IDLE:
		want_idle(w, u);
		break;
	case ST_LOST:
		if (!u->coming_back)
			want_state(w, u, AT_LOST, said(in, "its place does not answer"));
		break;
	case ST_FAILED:
	case ST_EXITED:
		want_end(w, u);
		break;
	case ST_QUEUED:
	case ST_PROVISIONING:
	case ST_STARTING:
	case ST_WORKING:
	case ST_PAUSED:
	case ST_ASLEEP:
	case ST_STOPPING:
	case ST_COUNT:
		break;
	}
}

/* ---- the list ---- */

static void put(struct need *n)
{
	if (P(n->u->f)->attention_put)
		P(n->u->f)->attention_put(CTX(n->u->f), &n->a);
}

static void tell(struct need *n, enum event_id type)
{
	P(n->u->f)->event_add(CTX(n->u->f), type, n->a.instance, NULL, attention_to_json(&n->a, n->u->in->name));
}

static struct need *link_need(struct unit *u, const struct attention *a)
{
	struct fleet *f = u->f;
	struct need *n = xcalloc(1, sizeof(*n));

	n->a = *a;
	n->u = u;
	n->next = u->needs;
	u->needs = n;
	n->after = f->needs;
	if (f->needs)
		f->needs->before = n;
	f->needs = n;
	f->nneeds++;
	return n;
}

static void unlink_need(struct need *n)
{
	struct fleet *f = n->u->f;
	struct need **at = &n->u->needs;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	*(n->before ? &n->before->after : &f->needs) = n->after;
	if (n->after)
		n->after->before = n->before;
	f->nneeds--;
	free(n);
}

static void remove_need(struct need *n)
{
	if (P(n->u->f)->attention_delete)
		P(n->u->f)->attention_delete(CTX(n->u->f), n->a.key);
	tell(n, EV_ATTENTION_REMOVED);
	unlink_need(n);
}

static struct need *need_of(struct unit *u, const char *key)
{
	struct need *n = u->needs;

	while (n && strcmp(n->a.key, key) != 0)
		n = n->next;
	return n;
}

/* It is there already: what it says may be new, and then nobody has put that aside. */
static void renew(struct need *n, const struct attention *a)
{
	if (!strcmp(n->a.text, a->text))
		return;
	n->a = *a;
	put(n);
	tell(n, EV_ATTENTION_CHANGED);
}

void attention_look(struct unit *u)
{
	struct wants w;

	if (!u->needs && u->in->state == ST_WORKING && !u->in->stuck_ms && !(u->asks && u->asks->open) && budgets_quiet(u))
		return; /* by far the most frequent case */
	wants_of(u, &w);
	for (struct need *n = u->needs; n; n = n->next)
		n->wanted = false;
	for (size_t i = 0; i < w.n; i++) {
		struct need *n = need_of(u, w.a[i].key);
		if (n)
			n->wanted = true;
	}
	for (struct need *n = u->needs, *next; n; n = next) {
		next = n->next;
		if (!n->wanted)
			remove_need(n);
	}
	for (size_t i = 0; i < w.n; i++) {
		struct need *n = need_of(u, w.a[i].key);
		if (n) {
			renew(n, &w.a[i]);
			continue;
		}
		n = link_need(u, &w.a[i]);
		put(n);
		tell(n, EV_ATTENTION_ADDED);
	}
}

void attention_gone(struct unit *u)
{
	while (u->needs)
		remove_need(u->needs);
}

void attention_drop(struct unit *u)
{
	while (u->needs)
		unlink_need(u->needs);
}

static bool needs_why(const struct unit *u, enum attention_why why)
{
	for (const struct need *n = u->needs; n; n = n->next)
		if (n->a.why == why)
			return true;
	return false;
}

void attention_loaded(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];
		/* That somebody looked stands in no row: that nothing is on the list is what says so. */
		if (u->in->state == ST_IDLE && !needs_why(u, AT_FINISHED))
			u->seen = true;
		attention_look(u);
	}
}

/* ---- from outside ---- */

void fleet_load_attention(struct fleet *f, struct attention *a)
{
	struct unit *u = unit_find(f, a->instance);

	if (u && !need_of(u, a->key))
		link_need(u, a);
	else if (P(f)->attention_delete)
		P(f)->attention_delete(CTX(f), a->key);
	free(a);
}

size_t fleet_attention_count(const struct fleet *f)
{
	return f->nneeds;
}

const struct attention **fleet_attention(struct fleet *f, size_t *ret_n)
{
	const struct attention **all = xcalloc(f->nneeds + 1, sizeof(*all));
	size_t n = 0;

	for (const struct need *x = f->needs; x; x = x->after)
		all[n++] = &x->a;
	if (n)
		qsort(all, n, sizeof(*all), attention_order);
	*ret_n = n;
	return all;
}

const struct attention *fleet_attention_find(struct fleet *f, const char *ref, struct err *e)
{
	const struct attention *found = NULL;
	size_t len = strlen(ref), n = 0;

	for (const struct need *x = f->needs; len && x; x = x->after) {
		if (strncmp(x->a.key, ref, len) != 0)
			continue;
		found = &x->a;
		if (len == ATTENTION_KEY_SIZE - 1)
			return found;
		n++;
	}
	if (n == 1)
		return found;
	if (n)
		err_set(e, ERR_AMBIGUOUS, "%zu things that need a person begin with '%.20s'", n, ref);
	else
		err_set(e, ERR_NOT_FOUND, "nothing that needs a person is called '%.20s'", ref);
	err_hint(e, "tmux-claude attention shows what there is now");
	return NULL;
}

void fleet_attention_ack(struct fleet *f, const struct attention *a, bool aside)
{
	struct unit *u = unit_find(f, a->instance);
	struct need *n = u ? need_of(u, a->key) : NULL;

	if (!n || (n->a.acked_ms != 0) == aside)
		return;
	n->a.acked_ms = aside ? clock_wall_ms() : 0;
	put(n);
	tell(n, EV_ATTENTION_CHANGED);
}

void fleet_attention_seen(struct fleet *f, struct instance *in)
{
	struct unit *u = unit_find(f, in->id);

	if (!u || u->seen || in->state != ST_IDLE)
		return;
	u->seen = true;
	attention_look(u);
}
