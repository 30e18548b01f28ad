/* SPDX-License-Identifier: ISC */
/*
 * What of a terminal the daemon is told unasked: busy or quiet, its title, flags and bell. All of it is
 * the guest's to provoke, so each kind is told so many times a second at most; the last is always told.
 */
#include <string.h>

#include "base/clock.h"
#include "place/shim/inst_int.h"

#define BELL_MS 200
#define FLAGS_PER_SECOND 20
#define TITLE_MS 100 /* titles are told of no more often; the last one is */
/* A title that goes to and fro between two texts says that its program works, which was told when it began. It is told
 * again once it stays so long, or becomes a third. Claude Code's turns every 960 ms. */
#define TITLE_TURNS 2
#define TITLE_TURN_MS 1500 /* slower is no spinner: each change says something */
#define TITLE_STAYS_MS 2500
#define TITLE_ALIVE_MS 30000 /* one that turns on is told so often: of a program that reports nothing it is all there is */

void inst_tell_activity(struct inst *i)
{
	json_t *o, *marks = marks_json(screen_marks(i->screen));
	const char *title = screen_modes(i->screen)->title;

	if (strcmp(title, i->title_told) != 0) {
		memcpy(i->title_before, i->title_told, sizeof(i->title_before));
		memcpy(i->title_told, title, sizeof(i->title_told));
	}
	if (i->title_turning)
		loop_timer_stop(i->titles);
	i->title_due = i->title_turning = i->marks_due = false;
	i->told_ms = clock_mono_ms();
	o = json_pack("{s:s, s:b, s:b, s:I, s:s, s:b}", "instance", i->id, "busy", i->busy, "foreground",
		i->foreground, "offset", (json_int_t)i->offset, "title", screen_modes(i->screen)->title, "canonical",
		i->canonical);
	if (marks)
		json_object_set_new(o, "marks", marks);
	events_mention(i->shim->events, "activity", o);
}

void inst_tell_all(struct shim *s)
{
	struct inst *i;

	for (i = s->instances; i; i = i->next)
		if (i->state == INST_RUNNING)
			inst_tell_activity(i);
}

void inst_on_quiet(void *arg)
{
	struct inst *i = arg;

	i->busy = false;
	inst_tell_activity(i);
}

static void on_reply(void *arg, const void *data, size_t len)
{
	struct inst *i = arg;

	if (!i->restoring && i->input)
		input_reply(i->input, data, len);
}

static void on_bell(void *arg)
{
	struct inst *i = arg;
	int64_t now = clock_mono_ms();

	if (i->restoring || now - i->bell_ms < BELL_MS)
		return;
	i->bell_ms = now;
	events_mention(i->shim->events, "bell", json_pack("{s:s}", "instance", i->id));
}

static bool title_turns(struct inst *i)
{
	bool back = strcmp(screen_modes(i->screen)->title, i->title_before) == 0;
	int64_t now = clock_mono_ms(), since = now - i->title_ms;

	i->title_ms = now;
	i->title_turns = back && since < TITLE_TURN_MS ? i->title_turns + 1 : 0;
	return i->title_turns > TITLE_TURNS;
}

static void on_title(void *arg)
{
	struct inst *i = arg;

	if (i->restoring)
		return;
	if (strcmp(screen_modes(i->screen)->title, i->title_told) == 0) {
		i->title_ms = clock_mono_ms();
		return;
	}
	if (title_turns(i) && i->title_ms - i->told_ms < TITLE_ALIVE_MS) {
		i->title_due = i->title_turning = true;
		loop_timer_start(i->titles, TITLE_STAYS_MS);
		return;
	}
	if (loop_timer_active(i->titles) && !i->title_turning) {
		i->title_due = true;
		return;
	}
	inst_tell_activity(i);
	loop_timer_start(i->titles, TITLE_MS);
}

void inst_on_titles(void *arg)
{
	struct inst *i = arg;

	if (!i->title_due)
		return;
	inst_tell_activity(i);
	loop_timer_start(i->titles, TITLE_MS);
}

/* Past so many a second the daemon hears of the last. */
void inst_tell_flags(struct inst *i)
{
	int64_t now = clock_mono_ms();

	if (now - i->flags_ms >= 1000) {
		i->flags_ms = now;
		i->flags_told = 0;
	}
	if (++i->flags_told <= FLAGS_PER_SECOND) {
		inst_tell_activity(i);
		return;
	}
	i->title_due = true;
	if (!loop_timer_active(i->titles) || i->title_turning)
		loop_timer_start(i->titles, TITLE_MS);
	i->title_turning = false;
}

static void on_mark(void *arg)
{
	struct inst *i = arg;

	i->marks_due = !i->restoring; /* told at the end of these bytes: a prompt has several */
}

static void on_line(void *arg, const char *text, size_t len)
{
	struct inst *i = arg;

	if (i->watches && !i->restoring)
		inst_watch_check(i, text, len);
}

const struct screen_ops inst_screen_ops = {
	.reply = on_reply, .bell = on_bell, .title = on_title, .mark = on_mark, .line = on_line};
