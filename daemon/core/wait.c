/* SPDX-License-Identifier: ISC */
/* Waiting for a state or for text on a screen. */
#include "daemon/core/fleet_int.h"

#define TEXT_MAX 4096 /* bytes: daemon and shim keep it for each that waits and each it waits for */
#define TEXT_WAIT_MS (24 * 3600 * 1000LL) /* a watch without a deadline of the caller's is renewed */

struct wait_tick {
	struct fleet *f;
	char id[ID_SIZE];
	struct wait_handle *w;
};

/* Out of its unit's list; the shim looks for its text no longer. */
static void wait_unlink(struct wait_handle *w)
{
	struct wait_handle **pp = &w->u->waits;

	while (*pp != w)
		pp = &(*pp)->next;
	*pp = w->next;
	loop_timer_free(w->timer);
	w->timer = NULL;
	if (w->by_text && site_of(w->u) && site_of(w->u)->connected)
		P(w->f)->shim_call(CTX(w->f), w->u->in->place, "unwatch",
			json_pack("{s:s, s:I}", "instance", w->id, "watch", (json_int_t)w->number), SHIM_CALL_MS,
			NULL, NULL);
}

static void wait_tell(void *arg, const struct err *error)
{
	struct wait_handle *w = arg;

	if (w->done)
		w->done(w->arg, fleet_get(w->f, w->id), error ? error : w->err.code ? &w->err : NULL);
	free(w->text);
	free(w->key);
	free(w);
}

/* The handle lives until its caller was told: it may be cancelled in between. */
static void wait_over(struct wait_handle *w, const struct err *why)
{
	wait_unlink(w);
	w->over = true;
	if (why)
		w->err = *why;
	P(w->f)->after_commit(CTX(w->f), wait_tell, w);
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

	if ((w->until & (1u << in->state)) || ((w->until & (1u << ST_EXITED)) && state_final(in->state)))
		return 1;
	if (!state_final(in->state) || w->u->coming_back)
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
		if (!error || (error->code != ERR_UNREACHABLE && error->code != ERR_TIMEOUT &&
				      error->code != ERR_UNAVAILABLE && error->code != ERR_CANCELLED))
			wait_over(w, error);
		break;
	}
	free(t);
}

static void watch(struct wait_handle *w)
{
	struct wait_tick *t = xcalloc(1, sizeof(*t));

	t->f = w->f;
	t->w = w;
	memcpy(t->id, w->id, ID_SIZE);
	P(w->f)->shim_call(CTX(w->f), w->u->in->place, "watch",
		json_pack("{s:s, s:I, s:s, s:s*}", "instance", w->id, "watch", (json_int_t)w->number, "text", w->text, "key",
			w->key),
		TEXT_WAIT_MS, text_seen, t);
}

/* A new shim knows nothing of what was waited for. */
void waits_again(struct unit *u)
{
	for (struct wait_handle *w = u->waits; w; w = w->next)
		if (w->by_text)
			watch(w);
}

/* "idle,waiting" or "exited,text=STRING": any of it. The text is the last, it may hold commas. -1 with the error. */
static int until_read(const char *until, unsigned *states, const char **text, struct err *e)
{
	*states = 0;
	*text = NULL;
	for (const char *at = until; !*text;) {
		size_t len = strcspn(at, ",");
		cleanup_free char *word = xstrndup(at, len);
		enum inst_state st = ST_EXITED;
		if (str_starts(at, "text=") && at[5]) {
			*text = at + 5;
		} else if (!strcmp(word, "exit") || state_from_name(word, &st) == 0) {
			*states |= 1u << st;
		} else {
			err_set(e, ERR_PARAMS, "'%.64s' is nothing to wait for", at);
			return err_hint(e, "wait for states (idle, waiting, exited, ...), several with commas, or for text=STRING");
		}
		if (!at[len])
			break;
		at += len + 1;
	}
	if (!*text || strlen(*text) <= TEXT_MAX)
		return 0;
	err_set(e, ERR_LIMIT, "a text of %zu bytes to wait for is longer than %d", strlen(*text), TEXT_MAX);
	return err_hint(e, "wait for a part of it");
}

struct wait_handle *fleet_wait(struct fleet *f, struct instance *in, const char *until, const char *key,
	int64_t timeout_ms, fleet_done_fn *done, void *arg, struct err *e)
{
	struct unit *u = unit_find(f, in->id);
	struct wait_handle *w;
	const char *text;
	struct err err = {0};
	unsigned states;
	bool by_text;
	int v;

	if (until_read(until, &states, &text, e) < 0)
		return NULL;
	by_text = text;
	w = xcalloc(1, sizeof(*w));
	w->u = u;
	w->f = f;
	memcpy(w->id, in->id, ID_SIZE);
	w->by_text = by_text;
	w->number = ++f->waits;
	w->until = states;
	w->text = xstrdup(text);
	w->key = xstrdup(key);
	w->done = done;
	w->arg = arg;
	w->next = u->waits;
	u->waits = w;
	v = verdict(w, &err);
	if (v) {
		w->by_text = false; /* nothing is watched */
		wait_over(w, v < 0 ? &err : NULL);
		return w;
	}
	if (timeout_ms >= 0) {
		w->timer = loop_timer_create(P(f)->loop, wait_timeout, w);
		loop_timer_start(w->timer, timeout_ms);
	}
	/* Else there is nothing to watch yet: the start of its program does, or the shim that finds it (shim_knows). */
	if (by_text && (u->step == STEP_READY || u->step == STEP_LIVE) && !(site_of(u) && site_of(u)->finding))
		watch(w);
	return w;
}

void fleet_wait_cancel(struct wait_handle *w)
{
	w->done = NULL;
	if (w->over) /* its answer is under way, and now goes nowhere */
		return;
	wait_unlink(w);
	free(w->text);
	free(w->key);
	free(w);
}
