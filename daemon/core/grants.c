/* SPDX-License-Identifier: ISC */
/*
 * Rules that allow beforehand what an instance asks later: for some minutes by the boot's clock, or until it ends. What "the same"
 * is says the agent program (agent_ask.subject): the tool's name is part of it where it matters.
 */
#include "daemon/core/asks_int.h"

static void grant_end(struct unit *u, size_t i, const char *why)
{
	struct asks *s = u->asks;
	struct grant *g = s->grants[i];

	P(u->f)->grant_delete(CTX(u->f), g->id);
	P(u->f)->event_add(CTX(u->f), EV_GRANT_ENDED, u->in->id, NULL,
		json_pack("{s:s, s:s, s:s, s:I}", "grant", g->id, "tool", g->tool, "reason", why, "uses",
			(json_int_t)g->uses));
	grant_free(g);
	memmove(&s->grants[i], &s->grants[i + 1], (s->ngrants - i - 1) * sizeof(*s->grants));
	s->ngrants--;
}

static bool grant_over(const struct grant *g)
{
	return g->until_boot_ms && (clock_boot_ms() >= g->until_boot_ms || !g->boot || strcmp(g->boot, boot_id()) != 0);
}

static void grants_look(struct unit *u)
{
	for (size_t i = u->asks ? u->asks->ngrants : 0; i-- > 0;)
		if (grant_over(u->asks->grants[i]))
			grant_end(u, i, "its time is over");
}

struct grant *grant_for(struct unit *u, const struct approval *a)
{
	if (a->kind != AK_PERMISSION)
		return NULL;
	grants_look(u);
	for (size_t i = 0; u->asks && i < u->asks->ngrants; i++) {
		struct grant *g = u->asks->grants[i];
		if (a->cut && !g->whole_tool)
			continue; /* there is no telling whether it is the same */
		if (g->whole_tool ? !strcmp(g->tool, a->tool) : !strcmp(g->subject, a->subject))
			return g;
	}
	return NULL;
}

static void grant_add(struct unit *u, struct grant *g)
{
	struct asks *s = asks_of(u);

	s->grants = xrealloc(s->grants, (s->ngrants + 1) * sizeof(*s->grants));
	s->grants[s->ngrants++] = g;
}

void grant_make(struct unit *u, const struct approval *a, const struct ask_answer *w)
{
	struct grant *g = xcalloc(1, sizeof(*g));
	struct fleet *f = u->f;

	approval_fresh_id(f, g->id);
	memcpy(g->instance, a->instance, ID_SIZE);
	str_fmt(g->tool, sizeof(g->tool), "%s", a->tool);
	g->whole_tool = w->whole_tool;
	memcpy(g->subject, a->subject, sizeof(g->subject));
	g->about = xstrdup(w->whole_tool ? a->tool : a->about);
	g->by = xstrdup(w->by);
	g->boot = xstrdup(boot_id());
	g->until_boot_ms = w->always ? 0 : clock_boot_ms() + w->for_ms;
	g->created_ms = clock_wall_ms();
	grant_add(u, g);
	P(f)->grant_put(CTX(f), g);
	P(f)->event_add(CTX(f), EV_GRANTED, g->instance, NULL, grant_to_json(g));
}

void grants_end(struct unit *u, const char *why)
{
	while (u->asks && u->asks->ngrants)
		grant_end(u, u->asks->ngrants - 1, why);
}

void fleet_load_grant(struct fleet *f, struct grant *g)
{
	struct unit *u = unit_find(f, g->instance);

	if (u)
		grant_add(u, g);
	else
		grant_free(g);
}

/* ---- grants, as they are asked for ---- */

void fleet_grants_each(struct fleet *f, const struct instance *in, void (*fn)(void *arg, const struct grant *g),
	void *arg)
{
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];

		if ((in && u->in != in) || !u->asks)
			continue;
		grants_look(u);
		for (size_t k = 0; k < u->asks->ngrants; k++)
			fn(arg, u->asks->grants[k]);
	}
}

int fleet_grant_revoke(struct fleet *f, const char *ref, struct grant **ret, struct err *e)
{
	struct unit *of = NULL;
	size_t at = 0;
	int n = 0;

	for (size_t i = 0; i < f->count && *ref; i++) {
		const struct asks *s = f->order[i]->asks;
		for (size_t k = 0; s && k < s->ngrants; k++) {
			if (!str_starts(s->grants[k]->id, ref))
				continue;
			of = f->order[i];
			at = k;
			n++;
		}
	}
	if (n != 1) {
		err_set(e, n ? ERR_AMBIGUOUS : ERR_NOT_FOUND, n ? "'%.32s' is the beginning of %d grants" : "there is no grant '%.32s'",
			ref, n);
		return err_hint(e, "tmux-claude approvals grants lists them");
	}
	struct grant *g = of->asks->grants[at], *copy = xcalloc(1, sizeof(*copy));
	*copy = *g;
	copy->about = xstrdup(g->about);
	copy->boot = xstrdup(g->boot);
	copy->by = xstrdup(g->by);
	*ret = copy;
	grant_end(of, at, "revoked");
	return 0;
}
