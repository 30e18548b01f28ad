/* SPDX-License-Identifier: ISC */
/*
 * Schedules: made, listed, paused, cancelled, ended with their instance. When they are due: schedule_due.c.
 *
 * A schedule is a row. When it is due it makes an ordinary prompt, that stays in its instance's queue, under a key of the
 * schedule's id and the number of the occurrence; the prompt's row and that of the schedule, moved on to its next time, are
 * one transaction. So what a crash leaves is either both or neither, and no firing is lost or doubled.
 */
#include "daemon/core/schedule_int.h"
#include "base/zone.h"

/* ---- the list ---- */

struct schedules *schedules_of(struct fleet *f)
{
	if (!f->schedules)
		f->schedules = xcalloc(1, sizeof(*f->schedules));
	return f->schedules;
}

static void list_add(struct fleet *f, struct schedule *s)
{
	struct schedules *x = schedules_of(f);
	struct schedule_entry **at = &x->list, *entry = xcalloc(1, sizeof(*entry));

	while (*at)
		at = &(*at)->next;
	*at = entry;
	entry->s = s;
	x->n++;
}

static void entry_free(struct schedule_entry *entry)
{
	schedule_free(entry->s);
	free(entry);
}

void schedules_sweep(struct fleet *f)
{
	struct schedules *x = schedules_of(f);

	for (struct schedule_entry **at = &x->list, *entry; (entry = *at);) {
		if (schedule_open(entry->s)) {
			at = &entry->next;
			continue;
		}
		*at = entry->next;
		entry_free(entry);
		x->n--;
	}
}

void schedules_drop(struct fleet *f)
{
	struct schedules *x = f->schedules;

	if (!x)
		return;
	for (struct schedule_entry *entry; (entry = x->list);) {
		x->list = entry->next;
		entry_free(entry);
	}
	alarm_destroy(x->alarm);
	loop_timer_free(x->soon);
	free(x);
	f->schedules = NULL;
}

void fleet_load_schedule(struct fleet *f, struct schedule *s)
{
	list_add(f, s);
}

static struct schedule *find(const struct fleet *f, const char *id)
{
	struct schedule_entry *entry = f->schedules ? f->schedules->list : NULL;

	while (entry && (strcmp(entry->s->id, id) != 0 || !schedule_open(entry->s)))
		entry = entry->next;
	return entry ? entry->s : NULL;
}

/* ---- rows and events ---- */

void schedule_put(struct fleet *f, struct schedule *s)
{
	s->changed_ms = clock_wall_ms();
	if (P(f)->schedule_put)
		P(f)->schedule_put(CTX(f), s);
}

void schedule_reason(struct schedule *s, const char *reason)
{
	char *copy = xstrdup(reason);

	free(s->reason);
	s->reason = copy;
}

static void tell(struct fleet *f, const struct schedule *s, enum event_id type, const char *by)
{
	P(f)->event_add(CTX(f), type, s->instance, NULL,
		json_pack("{s:s, s:s, s:s, s:s?, s:o, s:I, s:s?, s:s?}", "schedule", s->id, "kind", schedule_kind_name(s->kind),
			"status", schedule_status_name(s->status), "rule", s->rule, "next",
			time_json(s->status == SS_ACTIVE && s->kind != SK_WHEN ? s->due_ms : 0), "count",
			(json_int_t)s->count, "by", by, "reason", s->reason));
}

void schedule_end(struct fleet *f, struct schedule *s, enum schedule_status status, const char *reason)
{
	s->status = status;
	s->held_ms = 0;
	schedule_reason(s, reason);
	schedule_put(f, s);
	tell(f, s, EV_SCHEDULE_ENDED, NULL);
}

/* ---- made ---- */

static int may_make(struct fleet *f, const struct instance *in, const struct schedule_args *a, struct err *e)
{
	int each = 0, own = 0;

	for (const struct schedule_entry *x = schedules_of(f)->list; x; x = x->next) {
		each += !strcmp(x->s->instance, in->id);
		own += a->made_by && !strcmp(x->s->made_by, a->made_by);
	}
	if (each >= SCHEDULES_EACH || own >= SCHEDULES_EACH || f->schedules->n >= SCHEDULES_MOST) {
		err_set(e, ERR_BUSY, "there are %d schedules %s already", each >= SCHEDULES_EACH ? each : own >= SCHEDULES_EACH ? own : f->schedules->n,
			each >= SCHEDULES_EACH ? "for this instance" : own >= SCHEDULES_EACH ? "made by this instance" : "in the fleet");
		return err_hint(e, "tmux-claude schedules lists them, schedules cancel ends one; at most %d for one, %d of all",
			SCHEDULES_EACH, SCHEDULES_MOST);
	}
	if (!a->len || a->len > SCHEDULE_TEXT_MAX || memchr(a->text, '\0', a->len)) {
		err_set(e, a->len > SCHEDULE_TEXT_MAX ? ERR_LIMIT : ERR_PARAMS, "the text of a schedule has 1 byte to %d KiB%s",
			SCHEDULE_TEXT_MAX / 1024, a->len && a->len <= SCHEDULE_TEXT_MAX ? ", and no NUL in it" : "");
		return err_hint(e, "put what is longer into a file below the agent's folder and name that file");
	}
	if (state_final(in->state) && !a->start) {
		err_set(e, ERR_STATE, "instance %s is %s and takes no prompt", in->id, state_name(in->state));
		return err_hint(e, "with --start it is started again when the time has come");
	}
	return 0;
}

/* "idle", "state=idle,waiting". */
static int read_when(const char *text, unsigned *ret, struct err *e)
{
	const unsigned possible = 1u << ST_IDLE | 1u << ST_WORKING | 1u << ST_WAITING | 1u << ST_LIMITED;
	cleanup_free char *list = xstrdup(str_starts(text, "state=") ? text + strlen("state=") : text);
	char *rest = list, *name;

	*ret = 0;
	while ((name = strsep(&rest, ","))) {
		enum inst_state st;
		if (state_from_name(name, &st) < 0 || !(possible >> st & 1)) {
			err_set(e, ERR_PARAMS, "'%.32s' is no state in which a prompt can be taken", name);
			return err_hint(e, "idle, working, waiting, limited; several with commas: state=idle,waiting");
		}
		*ret |= 1u << st;
	}
	return 0;
}

static int read_at(struct schedule *s, const struct schedule_args *a, int64_t now, struct err *e)
{
	struct time_moment m;

	if (time_moment_parse(a->at, a->zone, now, &m, e) < 0)
		return -1;
	s->kind = m.span ? SK_IN : SK_AT;
	s->due_ms = m.span ? now + m.ms : m.ms;
	s->due_boot_ms = m.span ? clock_boot_ms() + m.ms : 0;
	return 0;
}

static int read_every(struct schedule *s, const struct schedule_args *a, int64_t now, struct err *e)
{
	s->kind = SK_EVERY;
	if (time_rule_parse(a->every, &s->every, e) < 0)
		return -1;
	if (!s->every.calendar && s->every.span_ms < SCHEDULE_SPAN_LEAST_MS) {
		err_set(e, ERR_PARAMS, "every '%.80s' is more often than every %d seconds", a->every,
			SCHEDULE_SPAN_LEAST_MS / 1000);
		return err_hint(e, "give at least --every 1m");
	}
	if (time_rule_next(&s->every, a->zone, now, &s->due_ms) < 0)
		return err_set(e, ERR_PARAMS, "every '%.80s' never comes", a->every);
	s->due_boot_ms = s->every.calendar ? 0 : clock_boot_ms() + s->every.span_ms;
	return 0;
}

static int read_until(struct schedule *s, const struct schedule_args *a, int64_t now, struct err *e)
{
	struct time_moment m;

	if (s->kind != SK_EVERY)
		return err_set(e, ERR_PARAMS, "until and times are for what is sent again and again (every)");
	if (!a->until)
		return 0;
	if (time_moment_parse(a->until, a->zone, now, &m, e) < 0)
		return -1;
	s->until_ms = m.span ? now + m.ms : m.ms;
	return s->until_ms < s->due_ms ? err_set(e, ERR_PARAMS, "until comes before the first time") : 0;
}

static int read_words(struct schedule *s, const struct schedule_args *a, struct err *e)
{
	int64_t now = clock_wall_ms();

	if (!zone_known(a->zone)) {
		err_set(e, ERR_PARAMS, "there is no time zone '%.64s'", a->zone);
		return err_hint(e, "give one with --zone: Europe/Berlin, UTC, ... (the package tzdata has them)");
	}
	if ((a->at && a->every) || (!a->at && !a->every && !a->when))
		return err_set(e, ERR_PARAMS, "give one of at and every, or when");
	s->late = a->missed ? !strcmp(a->missed, "run") : !a->every;
	if (a->missed && !s->late && strcmp(a->missed, "skip") != 0)
		return err_set(e, ERR_PARAMS, "missed is run or skip, not '%.32s'", a->missed);
	s->kind = SK_WHEN;
	s->due_ms = now;
	if (a->when && read_when(a->when, &s->when, e) < 0)
		return -1;
	if (a->at && read_at(s, a, now, e) < 0)
		return -1;
	if (a->every && read_every(s, a, now, e) < 0)
		return -1;
	if ((a->until || a->times) && read_until(s, a, now, e) < 0)
		return -1;
	return 0;
}

const struct schedule *fleet_schedule_make(struct fleet *f, struct instance *in, const struct schedule_args *a,
	struct err *e)
{
	struct schedule *s = xcalloc(1, sizeof(*s));

	if (may_make(f, in, a, e) < 0 || read_words(s, a, e) < 0) {
		schedule_free(s);
		return NULL;
	}
	do
		random_id(s->id, ID_LEN);
	while (P(f)->schedule_used && P(f)->schedule_used(CTX(f), s->id));
	memcpy(s->instance, in->id, ID_SIZE);
	str_fmt(s->made_by, ID_SIZE, "%s", a->made_by ?: "");
	str_fmt(s->key, KEY_SIZE, "%s", a->key ?: "");
	str_fmt(s->digest, SHA256_HEX, "%s", a->key && a->digest ? a->digest : "");
	s->way = a->way;
	s->start = a->start;
	s->times = a->times;
	s->text = xstrndup(a->text, a->len);
	s->rule = xstrdup(a->every ? a->every : a->at);
	s->zone = xstrdup(a->zone);
	s->boot = xstrdup(schedule_spans(s) ? boot_id() : NULL);
	s->created_ms = clock_wall_ms();
	list_add(f, s);
	schedule_put(f, s);
	tell(f, s, EV_SCHEDULE_MADE, a->made_by);
	schedules_look_soon(f);
	return s;
}

/* ---- changed ---- */

static struct schedule *find_open(struct fleet *f, const char *id, struct err *e)
{
	struct schedule *s = find(f, id);

	if (!s)
		err_set(e, ERR_STATE, "the schedule %s has ended", id);
	else
		schedules_sweep(f); /* what was borrowed of it is not any more */
	return s;
}

const struct schedule *fleet_schedule_cancel(struct fleet *f, const char *id, const char *by, struct err *e)
{
	struct schedule *s = find_open(f, id, e);

	if (!s)
		return NULL;
	s->status = SS_CANCELLED;
	s->held_ms = 0;
	schedule_reason(s, NULL);
	schedule_put(f, s);
	tell(f, s, EV_SCHEDULE_CANCELLED, by);
	schedules_look_soon(f);
	return s;
}

const struct schedule *fleet_schedule_pause(struct fleet *f, const char *id, bool pause, const char *by, struct err *e)
{
	struct schedule *s = find_open(f, id, e);
	int64_t n, newest;

	if (!s || (s->status == SS_PAUSED) == pause)
		return s;
	s->status = pause ? SS_PAUSED : SS_ACTIVE;
	s->held_ms = 0;
	schedule_reason(s, NULL);
	/* What passed while it was paused was not missed. */
	if (!pause && s->kind == SK_EVERY && schedule_left_ms(s) <= 0 && (schedule_pass(s, &n, &newest) < 0 || schedule_over(s)))
		schedule_end(f, s, SS_DONE, "its end passed while it was paused");
	else
		schedule_put(f, s);
	tell(f, s, EV_SCHEDULE_CHANGED, by);
	schedules_look_soon(f);
	return s;
}

void schedules_removed(struct unit *u)
{
	struct fleet *f = u->f;

	for (struct schedule_entry *x = f->schedules ? f->schedules->list : NULL; x; x = x->next)
		if (schedule_open(x->s) && (!strcmp(x->s->instance, u->in->id) || !strcmp(x->s->made_by, u->in->id)))
			schedule_end(f, x->s, SS_CANCELLED, !strcmp(x->s->instance, u->in->id)
								    ? "its instance was removed" : "the instance that made it was removed");
	if (f->schedules)
		schedules_look_soon(f);
}

json_t *fleet_schedules_json(const struct fleet *f, const struct instance *in)
{
	json_t *rows = json_array();

	for (const struct schedule_entry *x = f->schedules ? f->schedules->list : NULL; x; x = x->next) {
		const struct schedule *s = x->s;
		if (!schedule_open(s) || strcmp(s->instance, in->id) != 0)
			continue;
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s?, s:o}", "id", s->id, "kind", schedule_kind_name(s->kind),
			"status", schedule_status_name(s->status), "rule", s->rule, "next",
			time_json(s->status == SS_ACTIVE && s->kind != SK_WHEN ? s->due_ms : 0)));
	}
	return rows;
}
