/* SPDX-License-Identifier: ISC */
/*
 * `up`: what should be running and does not is started again. What that is stands in the rows (`wanted`): set by
 * spawn and restart, taken away by kill and by an end of its own. It waits until each place was found or given
 * up, for only then it is known who runs; the starts go through admission as all do.
 */
#include "daemon/core/fleet_int.h"

struct restore {
	struct restore *next;
	struct fleet *f;
	struct restore_args a;
	size_t pending, over, total;
	json_t *restored, *left;
};

struct restore_one {
	struct restore *r;
	char id[ID_SIZE];
};

static void restores_begin(struct fleet *f);

void site_found(struct site *s)
{
	struct fleet *f = s->f;

	if (!s->adopting)
		return;
	s->adopting = false;
	if (--f->adopting == 0)
		restores_begin(f);
}

static void leave(struct restore *r, const struct instance *in, const struct err *why)
{
	json_array_append_new(r->left, json_pack("{s:s, s:s?, s:s, s:s?, s:s, s:s, s:s}", "id", in->id, "name", in->name,
					       "state", state_name(in->state), "reason", in->reason, "code",
					       err_code_name(why->code), "message", why->message, "hint", why->hint));
}

static void one_over(struct restore *r, const char *id, const char *word)
{
	char text[64];

	r->over++;
	snprintf(text, sizeof(text), "%zu of %zu", r->over, r->total);
	if (r->a.progress)
		r->a.progress(r->a.arg, id, word, text);
}

static void maybe_done(struct restore *r)
{
	if (r->pending)
		return;
	r->a.done(r->a.arg, json_pack("{s:o, s:o}", "restored", r->restored, "not_restored", r->left));
	free(r);
}

static void one_done(void *arg, const struct instance *in, const struct err *error)
{
	struct restore_one *one = arg;
	struct restore *r = one->r;
	const struct instance *now = in ? in : fleet_get(r->f, one->id);

	if (error && now)
		leave(r, now, error);
	else if (now)
		json_array_append_new(r->restored, json_pack("{s:s, s:s?, s:s}", "id", now->id, "name", now->name,
							   "state", state_name(now->state)));
	one_over(r, one->id, error ? "failed" : "restored");
	free(one);
	r->pending--;
	maybe_done(r);
}

static bool missing(const struct instance *in)
{
	return in->wanted && (state_final(in->state) || in->state == ST_LOST || again_waits(in));
}

/* Why it is not even tried; false: it is. */
static bool passed_over(const struct instance *in, struct err *e)
{
	if (again_waits(in)) {
		err_set(e, ERR_STATE, "its restart policy is about to start it again");
		err_hint(e, "tmux-claude restart %s starts it at once", in->id);
		return true;
	}
	if (in->reason && !strcmp(in->reason, "brake")) {
		err_set(e, ERR_STATE, "%s", in->detail ? in->detail : "it failed too often");
		err_hint(e, "tmux-claude restart %s releases it", in->id);
		return true;
	}
	return false;
}

static void restore_unit(struct restore *r, struct unit *u)
{
	struct restore_one *one = xcalloc(1, sizeof(*one));
	const struct restart_args a = {.wait = r->a.wait, .restoring = true, .progress = NULL, .done = one_done, .arg = one};
	struct err err = {0};

	one->r = r;
	memcpy(one->id, u->in->id, ID_SIZE);
	r->pending++;
	if (!passed_over(u->in, &err) && fleet_restart(r->f, u->in, &a, &err) == 0)
		return;
	r->pending--;
	leave(r, u->in, &err);
	one_over(r, u->in->id, "left");
	free(one);
}

/* Parents are older than their children, so they come first. */
static void begin(struct restore *r)
{
	struct fleet *f = r->f;

	r->pending = 1; /* until all are begun */
	for (size_t i = 0; i < f->count; i++)
		r->total += missing(f->order[i]->in);
	for (size_t i = 0; i < f->count; i++)
		if (missing(f->order[i]->in))
			restore_unit(r, f->order[i]);
	r->pending--;
	maybe_done(r);
}

static void begin_all(void *arg, const struct err *error)
{
	struct fleet *f = arg;
	struct restore *r;

	(void)error; /* a turn that failed ends the daemon */
	f->restoring = false;
	while ((r = f->restores)) {
		f->restores = r->next;
		begin(r);
	}
}

/* Not on the spot: whoever found the last place is not through with it yet. */
static void restores_begin(struct fleet *f)
{
	if (!f->restores || f->restoring)
		return;
	f->restoring = true;
	P(f)->after_commit(CTX(f), begin_all, f);
}

void fleet_restore(struct fleet *f, const struct restore_args *a)
{
	struct restore *r = xcalloc(1, sizeof(*r)), **at = &f->restores;

	r->f = f;
	r->a = *a;
	r->restored = json_array();
	r->left = json_array();
	while (*at)
		at = &(*at)->next;
	*at = r;
	if (fleet_settled(f))
		restores_begin(f);
}

void restores_drop(struct fleet *f)
{
	struct restore *r;

	while ((r = f->restores)) {
		f->restores = r->next;
		json_decref(r->restored);
		json_decref(r->left);
		free(r);
	}
}
