/* SPDX-License-Identifier: ISC */
/*
 * Recovery at start. The database says what should be, the folders what was made, the processes what
 * lives; every place is either adopted, finished or undone:
 *
 *   row, same boot     -> connect to its shim (start another when it is gone); its hello decides
 *   row, still making  -> no shim was started yet: undone, and queued again (once)
 *   row, queued        -> it stands in line again, where it stood
 *   row, other boot    -> the host was started anew: nothing lives, the instance is lost (or undone)
 *   folder without row -> nothing owns it: what may live there is ended, the folder removed; but left alone and
 *                         said while the database is one that was restored, or made anew beside a world that lives
 *   intent "remove"    -> the removal is finished
 */
#include "daemon/core/budget.h"
#include "daemon/core/admit.h"
#include "daemon/core/transcript.h"
#include "base/fault.h"
#include "base/log.h"

void fleet_load_intent(struct fleet *f, const struct intent *in)
{
	struct unit *u = unit_find(f, in->key);

	/* The rows of a removal are gone with its intent's transaction; files may be left. Pane and
	 * place intents need nothing here: their things carry the id and are compared anyway. A pane's name
	 * is not: a person may have given it another. */
	if (!strcmp(in->kind, "title")) {
		if (u && !state_final(u->in->state)) /* one that ended has no pane, and is opened under its name */
			u->retitle = true;
		else
			fleet_on_titled(f, in->key);
	}
	if (!strcmp(in->kind, "remove") && !u) {
		P(f)->recording_remove(CTX(f), in->key);
		P(f)->intent_done(CTX(f), "remove", in->key);
	}
}

void fleet_on_panes_found(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];

		if (u->retitle)
			P(f)->pane_rename(CTX(f), u->in->id, u->in->name);
		u->retitle = false;
	}
}

static void bind_units(struct fleet *f)
{
	tree_bind(f);
	for (size_t i = 0; i < f->count; i++) {
		struct site *s = site_of(f->order[i]);
		if (s)
			s->u = f->order[i];
		tally_unit(f->order[i]);
	}
	spawns_settle(f);
}

static void other_boot(struct site *s)
{
	struct unit *u = s->u;

	if (u && state_living(u->in->state) && u->in->state != ST_QUEUED && !start_again(u, false)) {
		if (u->in->state == ST_STOPPING)
			u->step = STEP_STOP;
		else if (u->in->starts > 0)
			live_place_lost(s, "host_reboot", "the host was started anew");
		else {
			struct err err = {0};
			err_set(&err, ERR_UNAVAILABLE, "the host was started anew while it was being started");
			u->failure = err;
			u->step = STEP_STOP;
			fleet_apply(u, ST_STOPPING, "host_reboot", NULL);
		}
	}
	s->holder_over = true;
	stop_place(s, true);
}

/* The daemon ended while the folder and the disk were made: nothing runs that could be asked. */
static void half_made(struct site *s)
{
	struct unit *u = s->u;
	struct err err = {0};

	s->holder_over = true;
	if (!u || !state_living(u->in->state) || u->in->state == ST_STOPPING || u->in->state == ST_QUEUED ||
		start_again(u, true)) {
		if (u && u->in->state == ST_STOPPING)
			u->step = STEP_STOP;
		stop_place(s, true);
		return;
	}
	err_set(&err, ERR_UNAVAILABLE, "the daemon was stopped while the place of the instance was being made");
	err_hint(&err, "spawn it again, or tmux-claude restart %s", u->in->id);
	start_fail(u, &err);
}

static void orphan(struct fleet *f, const char *id)
{
	struct place *p = place_new();
	struct site *s;

	log_warn("core", id, "a place that nothing owns: ending it");
	snprintf(p->id, ID_SIZE, "%s", id);
	p->driver = xstrdup("unknown");
	p->state = PL_LOST;
	p->number = place_number_free(f);
	s = site_add(f, p);
	s->rowless = true;
	s->adopting = true;
	f->adopting++;
	P(f)->shim_adopt(CTX(f), id);
}

/* Newer than the database: a person decides. */
static void spare(struct fleet *f, const char *id)
{
	log_warn("core", id, "a place that the database does not know: left alone");
	strv_push(&f->unknown, id);
	P(f)->event_add(CTX(f), EV_NOTICE, NULL, id, json_pack("{s:s, s:s, s:s}", "what", "unknown_place", "text",
		"a place lives that the database does not know; it is left alone", "hint",
		"tmux-claude down, then tmux-claude db restore --end-unknown ends it"));
}

/* It was being made when the copy of the database was taken, and has come to life since. */
static bool grown_up(struct fleet *f, struct site *s)
{
	if (!f->set->spare_unknown || !P(f)->place_runs || !P(f)->place_runs(CTX(f), s->pl->id))
		return false;
	s->pl->state = PL_BOOTING;
	return true;
}

char *const *fleet_unknown(const struct fleet *f)
{
	return f->unknown;
}

int fleet_reconcile(struct fleet *f)
{
	char **folders = P(f)->place_folders(CTX(f));
	struct site *next;

	bind_units(f);
	transcripts_begin(f);
	FAULT_POINT("reconcile.begin");
	for (struct site *s = f->sites; s; s = next) {
		next = s->next;
		if (s->pl->state == PL_DOWN)
			continue;
		if (!s->pl->boot || strcmp(s->pl->boot, boot_id())) {
			other_boot(s);
			continue;
		}
		if (s->pl->state == PL_MAKING && !grown_up(f, s)) {
			half_made(s);
			continue;
		}
		s->adopting = true;
		f->adopting++;
	}
	for (struct site *s = f->sites; s; s = next) {
		next = s->next;
		if (s->adopting)
			P(f)->shim_adopt(CTX(f), s->pl->id);
	}
	for (char **d = folders; d && *d; d++)
		if (!site_find(f, *d))
			(f->set->spare_unknown ? spare : orphan)(f, *d);
	strv_free(folders);
	FAULT_POINT("reconcile.asked");
	/* Rows that were accepted but had no place yet. */
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];
		struct err err = {0};
		if (state_final(u->in->state) || site_of(u) || u->in->state == ST_QUEUED)
			continue;
		err_set(&err, ERR_UNAVAILABLE, "the daemon was stopped while the instance was being started");
		u->failure = err;
		fleet_apply(u, ST_FAILED, "interrupted", err.message);
	}
	admit_again(f);
	removals_again(f);
	FAULT_POINT("reconcile.end");
	revive_loaded(f);
	attention_loaded(f);
	budgets_begin(f);
	schedules_begin(f);
	return f->adopting;
}

bool fleet_settled(const struct fleet *f)
{
	return f->adopting == 0;
}
