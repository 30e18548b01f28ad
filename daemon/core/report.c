/* SPDX-License-Identifier: ISC */
/* What an instance's program reports, and what its terminal shows, turned into facts. All of it is untrusted. */
#include "daemon/core/limit.h"
#include "daemon/core/stuck.h"
#include "base/log.h"
#include "daemon/core/usage.h"

#define IGNORED_AGAIN_MS 60000 /* before another report that was ignored is told */

void report_fact(struct unit *u, const struct agent_fact *fact)
{
	if (u->step != STEP_READY && u->step != STEP_LIVE && u->step != STEP_RUN)
		return;
	if (fact->conversation[0] &&
		(!u->in->conversation || strcmp(u->in->conversation, fact->conversation))) {
		free(u->in->conversation);
		u->in->conversation = xstrdup(fact->conversation);
		u->in->turns = 0;
		unit_save(u);
	}
	if (fact->turn_ended) {
		u->in->turns++;
		unit_save(u);
		usage_turn_ended(u);
	}
	/* Ready before the state: entering idle hands out the next prompt. */
	if (fact->ready && u->step == STEP_READY)
		u->step = STEP_LIVE;
	if (fact->has_state && fact->state == ST_LIMITED)
		limit_entered(u, fact);
	if (fact->has_state)
		fleet_apply(u, fact->state, fact->reason[0] ? fact->reason : NULL,
			fact->detail[0] ? fact->detail : NULL);
	prompts_fact(u, fact); /* after the state: the next prompt waits until this one is done with */
	if (fact->ready || (fact->has_state && fact->state == ST_WAITING))
		start_ready(u);
	limit_look(u);
	limit_moved(u, fact);
}

/* A hook whose connection broke tells again what the shim may have heard: its report bears a mark of its own. */
static bool told_again(struct unit *u, const json_t *ev)
{
	const char *once = json_string_value(json_object_get(json_object_get(ev, "body"), "once"));
	uint64_t h = UINT64_C(14695981039346656037);

	if (!once)
		return false;
	for (; *once; once++)
		h = (h ^ (unsigned char)*once) * UINT64_C(1099511628211);
	for (unsigned i = 0; i < u->nreports && i < REPORTS_KNOWN; i++)
		if (u->reports[i] == h)
			return true;
	u->reports[u->nreports++ % REPORTS_KNOWN] = h;
	return false;
}

/* One that sends many such fills no log: how many there were is told with the next that is told. */
static void ignored(struct unit *u, const char *why)
{
	int64_t now = clock_mono_ms();
	char more[64] = "";

	if (u->ignored_ms && now - u->ignored_ms < IGNORED_AGAIN_MS) {
		u->ignored++;
		return;
	}
	if (u->ignored)
		str_fmt(more, sizeof(more), " (and %u others since the last that was told)", u->ignored);
	log_warn("core", u->in->id, "a report was ignored: %s%s", why, more);
	u->ignored_ms = now;
	u->ignored = 0;
}

/* A step may have waited in the shim since before an interrupt. */
static void goes_on(struct unit *u, int64_t waited_ms)
{
	if (!u->interrupted || clock_mono_ms() - waited_ms >= u->interrupted_ms)
		u->interrupted = u->title_moved = false;
}

void report_came(struct unit *u, const json_t *ev)
{
	int64_t waited_ms = json_integer_value(json_object_get(ev, "waited_ms"));
	const json_t *report = json_object_get(ev, "body");
	const char *name = json_string_value(json_object_get(report, "event"));
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct agent_fact fact = {0};
	struct err err = {0};

	if (told_again(u, ev))
		return;
	if (!name || !prog->report) {
		ignored(u, "it names no event, or its program makes none");
		return;
	}
	transcript_report(u, json_object_get(report, "body"));
	usage_report(u, name, json_object_get(report, "body"));
	if (prog->report(u->in, name, json_object_get(report, "body"), &fact, &err) < 0) {
		ignored(u, err.message);
		return;
	}
	if (fact.session[0]) {
		settle_word(u, fact.session);
	} else {
		goes_on(u, waited_ms);
		if (!asks_report(u, name, report))
			report_fact(u, &fact);
	}
	settle_look(u);
	stuck_moved(u, waited_ms);
}

void report_activity(struct unit *u, bool quiet, const char *screen)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct agent_activity a = {.busy = u->busy, .foreground = u->foreground,
		.canonical = u->canonical, .quiet = quiet, .interrupted = u->interrupted,
		.first_prompt = u->prompts && u->prompts->first_by_arg,
		.title_moved = u->title_moved, .title = u->title, .marks = u->marks,
		.screen = screen};
	struct agent_fact fact = {0};

	if (!prog->activity || (u->step != STEP_READY && u->step != STEP_LIVE))
		return;
	prog->activity(u->in, &a, &fact);
	marks_done(u);
	/* After a crash the shim tells it again, so nobody has to wait for the disk. */
	P(u->f)->lazily(CTX(u->f), true);
	report_fact(u, &fact);
	P(u->f)->lazily(CTX(u->f), false);
}

static void quiet_passed(void *arg)
{
	report_activity(arg, true, NULL);
}

void activity_came(struct unit *u, const json_t *ev)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	const char *title = json_string_value(json_object_get(ev, "title"));

	u->busy = json_is_true(json_object_get(ev, "busy"));
	u->foreground = json_is_true(json_object_get(ev, "foreground"));
	u->canonical = json_is_true(json_object_get(ev, "canonical"));
	if (strcmp(u->title ? u->title : "", title ? title : ""))
		u->title_moved = true;
	free(u->title);
	u->title = xstrdup(title);
	marks_read(u, ev);
	report_activity(u, false, NULL);
	look_at(u);
	if (!prog->reports)
		stuck_moved(u, 0);
	if (!prog->quiet_ms)
		return;
	if (!u->quiet)
		u->quiet = loop_timer_create(P(u->f)->loop, quiet_passed, u);
	if (u->busy)
		loop_timer_stop(u->quiet);
	else
		loop_timer_start(u->quiet, prog->quiet_ms);
}
