/* SPDX-License-Identifier: ISC */
/*
 * Limited agents go on by themselves when their limit is over (docs/agents.md, "Limited").
 *
 * A limit is a moment of the wall clock, kept in the row; one alarm stands at the nearest of the fleet. Claude Code
 * may go on by itself at that moment (2.1.329 does, in a session that stands at its prompt), so we come RESUME_AFTER_MS later, and each
 * instance a little later than the others by its id: what was limited together does not come back together, and at
 * most RESUME_AT_ONCE of them are on their way at a time; those that are overdue (the host slept, a slot came free) come
 * RESUME_GAP_MS apart. One that is limited again waits for its new moment; where
 * none is said, or one that has passed, the wait doubles. "continue" is a prompt with a key of that limit and try, queued
 * in the transaction that ends the limit: no crash doubles it. What was queued meanwhile goes instead of it.
 */
#include "daemon/core/limit.h"
#include "base/log.h"

#define RESUME_AFTER_MS 20000
#define RESUME_SPREAD_MS 40000
#define RESUME_AT_ONCE 4
#define RESUME_GAP_MS 1000
#define RESUME_SLOT_MS 60000 /* one that shows nothing holds its slot no longer */
#define RESUME_TIMEOUT_MS (10 * 60000)
#define TRIES_MAX 24
#define TEXT "continue"

int64_t limit_pause_ms(const char *reason, int64_t tries)
{
	bool usage = !strcmp(reason, "rate_limit");
	int64_t ms = usage ? 5 * 60000 : 30000, most = usage ? 3600000 : 15 * 60000;

	for (int64_t i = 0; i < tries && ms < most; i++)
		ms *= 2;
	return ms < most ? ms : most;
}

int64_t limit_spread_ms(const char *id, int64_t until_ms, bool said, int64_t spread_ms)
{
	uint32_t h = 2166136261u;

	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return until_ms + (said ? RESUME_AFTER_MS : 0) + (int64_t)(h % (uint32_t)(spread_ms > 0 ? spread_ms : 1));
}

static int64_t due_ms(const struct unit *u)
{
	const struct core_settings *set = u->f->set;
	bool usage = u->in->reason && !strcmp(u->in->reason, "rate_limit");

	if (set->resume_spread_ms)
		return limit_spread_ms(u->in->id, u->in->limited_until_ms, false, set->resume_spread_ms);
	return limit_spread_ms(u->in->id, u->in->limited_until_ms, usage, usage ? RESUME_SPREAD_MS : RESUME_SPREAD_MS / 4);
}

bool limit_goes_on(const struct unit *u)
{
	return u->in->limited_until_ms && u->f->set->resume_limited && u->in->limited_tries < TRIES_MAX;
}

static bool to_resume(const struct unit *u)
{
	return u->in->state == ST_LIMITED && limit_goes_on(u) && u->step == STEP_LIVE && !u->f->closing;
}

static void alarm_before(struct fleet *f, int64_t at);

static bool on_its_way(struct unit *u, int64_t now)
{
	if (u->resumed_ms && now - u->resumed_ms >= RESUME_SLOT_MS)
		u->resumed_ms = 0;
	return u->resumed_ms;
}

static void resume(struct unit *u)
{
	char key[KEY_SIZE];
	struct send_args a = {.mode = PM_PASTE, .text = TEXT, .len = strlen(TEXT), .key = key, .timeout_ms = RESUME_TIMEOUT_MS};
	struct err e = {0};
	bool queued = u->prompts;

	str_fmt(key, sizeof(key), "%s/limit-%" PRId64 "-%" PRId64, u->in->id, u->in->limited_until_ms, u->in->limited_tries);
	u->in->limited_tries++;
	if (!queued && fleet_send(u->f, u->in, &a, &e) < 0)
		log_warn("core", u->in->id, "it cannot be told to go on: %s", e.message);
	if (!u->prompts) { /* nothing would wake it */
		u->in->limited_until_ms = clock_wall_ms() + limit_pause_ms(u->in->reason ?: "", u->in->limited_tries);
		unit_save(u);
		attention_look(u);
		return;
	}
	log_info("core", u->in->id, "its limit is over: it goes on%s", queued ? " with what was queued" : "");
	u->resumed_ms = u->f->resumed_ms = clock_mono_ms();
	fleet_apply(u, ST_IDLE, "limit_over", NULL);
}

static void on_alarm(void *arg)
{
	struct fleet *f = arg;
	int64_t now = clock_wall_ms(), next = INT64_MAX, mono = clock_mono_ms();
	int busy = 0;

	f->limit_at = 0;
	for (size_t i = 0; i < f->count; i++)
		busy += on_its_way(f->order[i], mono);
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];
		int64_t at = to_resume(u) ? due_ms(u) : INT64_MAX;

		int64_t gap = f->resumed_ms ? f->resumed_ms + RESUME_GAP_MS - mono : 0;

		if (at <= now && busy < RESUME_AT_ONCE && gap > 0) {
			at = now + gap;
		} else if (at <= now && busy < RESUME_AT_ONCE) {
			busy++;
			resume(u);
			at = to_resume(u) ? due_ms(u) : INT64_MAX;
		} else if (at <= now) { /* the next slot comes by limit_moved, or is given up */
			at = now + RESUME_SLOT_MS;
		}
		if (at < next)
			next = at;
	}
	if (next != INT64_MAX)
		alarm_before(f, next);
}

static void alarm_before(struct fleet *f, int64_t at)
{
	if (f->limit_at && f->limit_at <= at)
		return;
	if (!f->limit_alarm)
		f->limit_alarm = alarm_create(P(f)->loop, on_alarm, f);
	f->limit_at = at;
	alarm_at(f->limit_alarm, at);
}

void limit_entered(struct unit *u, const struct agent_fact *fact)
{
	struct instance *in = u->in;
	int64_t now = clock_wall_ms();

	u->resumed_ms = 0;
	/* A moment that has passed is none: it would be limited anew at once. */
	in->limited_until_ms = fact->limited_until_ms > now ? fact->limited_until_ms
							    : now + limit_pause_ms(fact->reason, in->limited_tries);
	unit_save(u);
}

void limit_look(struct unit *u)
{
	if (to_resume(u))
		alarm_before(u->f, due_ms(u));
}

void limit_left(struct unit *u)
{
	u->in->limited_until_ms = 0;
}

void limit_moved(struct unit *u, const struct agent_fact *fact)
{
	if (fact->turn_ended && !fact->turn_failed && fact->state != ST_LIMITED && u->in->limited_tries) {
		u->in->limited_tries = 0;
		unit_save(u);
	}
	if (!u->resumed_ms || (fact->prompt_delivered && !fact->turn_ended))
		return;
	u->resumed_ms = 0;
	if (u->f->limit_at) { /* a slot is free */
		u->f->limit_at = 0;
		alarm_before(u->f, clock_wall_ms());
	}
}
