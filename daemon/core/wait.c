/* SPDX-License-Identifier: ISC */
/* Waiting for a state or for text on a screen. */
#include "daemon/core/fleet_int.h"

#define TEXT_WAIT_MS (24 * 3600 * 1000LL) /* a watch without a deadline of the caller's is renewed */

struct wait_tick {
	struct fleet *f;
	char id[ID_SIZE];
	struct wait_handle *w;
};

static void wait_free(struct wait_handle *w)
{
	struct wait_handle **pp = &w->u->waits;

	while (*pp != w)
		pp = &(*pp)->next;
	*pp = w->next;
	loop_timer_free(w->timer);
	free(w->text);
	free(w);
}

struct wait_answer {
	struct fleet *f;
	char id[ID_SIZE];
	fleet_done_fn *fn;
	void *arg;
	struct err err;
};

static void wait_tell(void *arg, const struct err *error)
{
	struct wait_answer *a = arg;

	a->fn(a->arg, fleet_get(a->f, a->id), error ? error : a->err.code ? &a->err : NULL);
	free(a);
}

static void wait_over(struct wait_handle *w, const struct err *why)
{
	struct unit *u = w->u;
	struct wait_answer *a = xcalloc(1, sizeof(*a));

	a->f = u->f;
	a->fn = w->done;
	a->arg = w->arg;
	if (why)
		a->err = *why;
	memcpy(a->id, u->in->id, ID_SIZE);
	wait_free(w);
	P(u->f)->after_commit(CTX(u->f), wait_tell, a);
}

static void wait_timeout(void *arg)
{
	struct wait_handle *w = arg;
	struct err err = {0};

	err_set(&err, ERR_TIMEOUT, "instance %s is still %s", w->u->in->id, state_name(w->u->in->state));
	wait_over(w, &err);
}

/* Holds it, can it never hold, or not yet? */
static int verdict(const struct wait_handle *w, struct err *e)
{
	const struct instance *in = w->u->in;

	if (!w->by_text && (in->state == w->until || (w->until == ST_EXITED && state_final(in->state))))
		return 1;
	if (!state_final(in->state))
		return 0;
	err_set(e, ERR_STATE, "instance %s has ended (%s%s%s)", in->id, state_name(in->state),
		in->reason ? ": " : "", in->reason ? in->reason : "");
	return -1;
}

void waits_check(struct unit *u)
{
	struct wait_handle *w = u->waits;

	while (w) {
		struct wait_handle *next = w->next;
		struct err err = {0};
		int v = verdict(w, &err);
		if (v)
			wait_over(w, v < 0 ? &err : NULL);
		w = next;
	}
}

void waits_end(struct unit *u)
{
	struct err err = {0};

	err_set(&err, ERR_NOT_FOUND, "instance %s was removed", u->in->id);
	while (u->waits)
		wait_over(u->waits, &err);
}

static void text_seen(void *arg, json_t *result, const struct err *error)
{
	struct wait_tick *t = arg;
	struct unit *u = unit_find(t->f, t->id);

	(void)result;
	for (struct wait_handle *w = u ? u->waits : NULL; w; w = w->next) {
		if (w != t->w)
			continue;
		/* A lost shim is replaced: the end of the instance or the deadline decides then. */
		if (!error || (error->code != ERR_UNREACHABLE && error->code != ERR_TIMEOUT))
			wait_over(w, error);
		break;
	}
	free(t);
}

struct wait_handle *fleet_wait(struct fleet *f, struct instance *in, const char *until,
	int64_t timeout_ms, fleet_done_fn *done, void *arg, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	enum inst_state st = ST_EXITED;
	struct wait_handle *w;
	bool by_text = str_starts(until, "text=");
	struct err err = {0};
	int v;

	if (by_text ? !until[5] : state_from_name(until, &st) < 0) {
		err_set(e, ERR_PARAMS, "'%.64s' is nothing to wait for", until);
		err_hint(e, "wait for a state (idle, waiting, exited, ...) or for text=STRING");
		return NULL;
	}
	w = xcalloc(1, sizeof(*w));
	w->u = u;
	w->by_text = by_text;
	w->until = st;
	w->text = by_text ? xstrdup(until + 5) : NULL;
	w->done = done;
	w->arg = arg;
	w->next = u->waits;
	u->waits = w;
	v = verdict(w, &err);
	if (v) {
		wait_over(w, v < 0 ? &err : NULL);
		return w;
	}
	if (timeout_ms >= 0) {
		w->timer = loop_timer_create(P(f)->loop, wait_timeout, w);
		loop_timer_start(w->timer, timeout_ms);
	}
	if (by_text) {
		struct wait_tick *t = xcalloc(1, sizeof(*t));
		t->f = f;
		t->w = w;
		memcpy(t->id, in->id, ID_SIZE);
		P(f)->shim_call(CTX(f), in->place, "watch",
			json_pack("{s:s, s:s}", "instance", in->id, "text", w->text),
			timeout_ms >= 0 ? timeout_ms + SHIM_CALL_MS : TEXT_WAIT_MS, text_seen, t);
	}
	return w;
}

void fleet_wait_cancel(struct wait_handle *w)
{
	wait_free(w);
}
