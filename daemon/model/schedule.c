/* SPDX-License-Identifier: ISC */
/* Schedules: names, and how they are shown. */
#include "daemon/model/schedule.h"

#include "base/clock.h"
#include "base/util.h"

static const char *const kinds[SK_COUNT] = {
	[SK_AT] = "at", [SK_IN] = "in", [SK_EVERY] = "every", [SK_WHEN] = "when"};
static const char *const statuses[SS_COUNT] = {[SS_ACTIVE] = "active", [SS_PAUSED] = "paused", [SS_DONE] = "done",
	[SS_CANCELLED] = "cancelled", [SS_MISSED] = "missed", [SS_FAILED] = "failed"};

void schedule_free(struct schedule *s)
{
	if (!s)
		return;
	free(s->text);
	free(s->rule);
	free(s->zone);
	free(s->boot);
	free(s->reason);
	free(s);
}

bool schedule_open(const struct schedule *s)
{
	return s->status == SS_ACTIVE || s->status == SS_PAUSED;
}

bool schedule_spans(const struct schedule *s)
{
	return s->kind == SK_IN || (s->kind == SK_EVERY && !s->every.calendar);
}

const char *schedule_kind_name(enum schedule_kind k)
{
	return kinds[k];
}

int schedule_kind_from_name(const char *s, enum schedule_kind *ret)
{
	int i = name_find(kinds, SK_COUNT, s);

	if (i >= 0)
		*ret = (enum schedule_kind)i;
	return i < 0 ? -1 : 0;
}

const char *schedule_status_name(enum schedule_status s)
{
	return statuses[s];
}

int schedule_status_from_name(const char *s, enum schedule_status *ret)
{
	int i = name_find(statuses, SS_COUNT, s);

	if (i >= 0)
		*ret = (enum schedule_status)i;
	return i < 0 ? -1 : 0;
}

void schedule_key(const struct schedule *s, int64_t n, char out[KEY_SIZE])
{
	str_fmt(out, KEY_SIZE, SCHEDULE_KEY "%s-%lld", s->id, (long long)n);
}

static json_t *states_json(unsigned states)
{
	json_t *a = json_array();

	for (int st = 0; st < ST_COUNT; st++)
		if (states >> st & 1)
			json_array_append_new(a, json_string(state_name((enum inst_state)st)));
	return a;
}

static json_t *or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

json_t *schedule_to_json(const struct schedule *s)
{
	bool timed = s->status == SS_ACTIVE && s->kind != SK_WHEN;
	char key[KEY_SIZE] = "", shown[TIME_SHOWN_MAX] = "";
	json_t *o;

	if (s->count)
		schedule_key(s, s->count, key);
	if (timed)
		time_shown(s->zone, s->due_ms, shown);
	o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:o, s:s, s:s, s:b, s:o, s:I, s:I, s:o}", "id", s->id, "instance",
		s->instance, "status", statuses[s->status], "kind", kinds[s->kind], "rule", or_null(s->rule), "zone",
		s->zone, "when", states_json(s->when), "missed", s->late ? "run" : "skip", "way", prompt_way_name(s->way),
		"start", s->start, "made_by", or_null(s->made_by), "count", (json_int_t)s->count, "skipped",
		(json_int_t)s->missed, "reason", or_null(s->reason));
	json_object_set_new(o, "times", s->times ? json_integer(s->times) : json_null());
	json_object_set_new(o, "until", time_json(s->until_ms));
	json_object_set_new(o, "next", time_json(timed ? s->due_ms : 0));
	json_object_set_new(o, "next_local", or_null(shown));
	json_object_set_new(o, "held_since", time_json(s->held_ms));
	json_object_set_new(o, "last_due", time_json(s->last_due_ms));
	json_object_set_new(o, "last_sent", time_json(s->last_ms));
	json_object_set_new(o, "last_key", or_null(key));
	json_object_set_new(o, "created_at", time_json(s->created_ms));
	json_object_set_new(o, "changed_at", time_json(s->changed_ms));
	return o;
}
