/* SPDX-License-Identifier: ISC */
/*
 * Reading the copies of conversations, and who waits until they were read.
 *
 * What lies between a copy's length and `pos` is read in steps of STEP_BYTES, one conversation after the other in turns, so
 * that neither a large file nor a thousand of them, nor one of very short lines (STEP_LINES), stop the loop. Whole lines are
 * applied: given to every consumer, in the transaction that moves `pos` behind them. A line that is no line of such a file is
 * passed over, and so is one that is too long; each conversation says so once.
 *
 * Nothing here is urgent: what is written may wait for company, and is read again after a crash.
 */
#include "daemon/core/transcript_int.h"

#include "base/fault.h"
#include "base/log.h"
#include "daemon/core/usage.h"

#define STEP_BYTES (128 * 1024)
#define STEP_LINES 200 /* that are of interest */
#define TOTAL_LINES 100 /* a conversation's total counts for so many: it is compared with all messages that are kept */
#define LOOK_CALL_MS 15000

/* ---- consumers ---- */

static transcript_consumer_fn *const consumers[] = {
	seen_prompt_line,
	usage_line,
};

/* ---- reading ---- */

static void readers_check(struct unit *u, struct fleet *f);

static struct reading *reading_of(struct fleet *f);

void track_due(struct track *t)
{
	struct reading *r = reading_of(t->u->f);

	if (t->due || t->length <= t->row.pos)
		return;
	t->due = true;
	t->due_next = NULL;
	*r->last = t;
	r->last = &t->due_next;
	if (!loop_timer_active(r->timer))
		loop_timer_start(r->timer, 0);
}

static struct track *due_take(struct reading *r)
{
	struct track *t = r->first;

	if (!t)
		return NULL;
	r->first = t->due_next;
	if (!r->first)
		r->last = &r->first;
	t->due = false;
	return t;
}

static void pass_over(struct track *t, const char *why)
{
	t->row.skipped++;
	if (!t->said)
		log_warn("transcript", t->u->in->id, "a line of its conversation %s is passed over: %s", t->row.conversation, why);
	t->said = true;
}

/* How many lines of interest it counts for; 0: it is none. */
static size_t apply_line(struct track *t, const struct transcript_format *format, const char *line, size_t len)
{
	struct transcript_line l = {0};
	struct err err = {0};

	while (len > 0 && *line == '\0') { /* dropped for the bound */
		line++;
		len--;
	}
	t->row.lines++;
	if (len == 0 || !format->wanted(line, len))
		return 0;
	if (format->parse(line, len, &l, &err) < 0) {
		pass_over(t, err.message);
		return 1;
	}
	size_t weight = l.kind == TR_TOTAL ? TOTAL_LINES : 1;
	bool inherited = l.origin[0] || (l.time_ms && l.time_ms < t->row.since_ms);
	for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
		consumers[i](t->u, &l, inherited);
	format->finish(&l);
	return weight;
}

/* Applies the whole lines of these bytes, as many as are one step's; how many bytes that were. */
static size_t apply_lines(struct track *t, const struct transcript_format *format, const char *data, size_t len)
{
	size_t done = 0, lines = 0;
	const char *nl;

	while (lines < STEP_LINES && (nl = memchr(data + done, '\n', len - done))) {
		size_t n = (size_t)(nl - (data + done));
		if (!t->within)
			lines += apply_line(t, format, data + done, n);
		t->within = false;
		done += n + 1;
	}
	return done;
}

/* One step; more of it may follow. */
static void read_step(struct track *t)
{
	struct fleet *f = t->u->f;
	const struct transcript_format *format = transcript_format_of(t->u);
	int64_t left = t->length - t->row.pos, n;
	size_t size = left < STEP_BYTES ? (size_t)left : STEP_BYTES, done = 0;
	cleanup_free char *data = xcalloc(1, size + 1);

	if (!format)
		return;
	n = P(f)->transcript_read(CTX(f), t->u->in->id, t->row.conversation, t->row.pos, data, size);
	if (n > 0)
		done = apply_lines(t, format, data, (size_t)n);
	if (n > 0 && !done && left > STEP_BYTES && !t->within) { /* a long line: all of it that may be */
		size = left < TRANSCRIPT_LINE_MAX ? (size_t)left : TRANSCRIPT_LINE_MAX;
		free(data);
		data = xcalloc(1, size + 1);
		n = P(f)->transcript_read(CTX(f), t->u->in->id, t->row.conversation, t->row.pos, data, size);
		if (n > 0)
			done = apply_lines(t, format, data, (size_t)n);
		if (n == TRANSCRIPT_LINE_MAX && !done) {
			pass_over(t, "it is too long");
			t->within = true;
		}
	}
	if (n > 0 && !done && t->within)
		done = (size_t)n;
	if (n <= 0 || !done) {
		t->length = t->row.pos; /* a line that is still being written, or no copy: told again when there is more */
		return;
	}
	t->row.pos += (int64_t)done;
	P(f)->lazily(CTX(f), true);
	P(f)->transcript_put(CTX(f), &t->row);
	P(f)->transcript_prompts_trim(CTX(f), t->row.instance);
	P(f)->lazily(CTX(f), false);
	FAULT_POINT("transcript.applied");
	track_due(t);
}

static void on_read(void *arg)
{
	struct reading *r = arg;
	struct track *t = due_take(r);

	if (!t)
		return;
	struct unit *u = t->u;
	read_step(t);
	readers_check(u, r->f);
	if (r->first && !loop_timer_active(r->timer))
		loop_timer_start(r->timer, 0);
}

static struct reading *reading_of(struct fleet *f)
{
	if (!f->reading) {
		f->reading = xcalloc(1, sizeof(*f->reading));
		f->reading->f = f;
		f->reading->last = &f->reading->first;
		f->reading->timer = loop_timer_create(P(f)->loop, on_read, f->reading);
	}
	return f->reading;
}

/* ---- who waits ---- */

static void wait_over(struct reading *r, struct read_wait *w, struct unit *u, bool read)
{
	struct read_wait **at = &r->waits;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	loop_timer_free(w->deadline);
	w->fn(w->arg, u, read);
	free(w);
}

bool tracks_read(const struct unit *u)
{
	for (const struct track *t = u->tracks; t; t = t->next)
		if (t->due)
			return false;
	return true;
}

static void readers_check(struct unit *u, struct fleet *f)
{
	struct reading *r = reading_of(f);

	for (struct read_wait *w = tracks_read(u) ? r->waits : NULL; w;) {
		if (!w->looked || strcmp(w->id, u->in->id) != 0) {
			w = w->next;
			continue;
		}
		wait_over(r, w, u, true);
		w = r->waits; /* others may have come and gone */
	}
}

static void wait_overdue(void *arg)
{
	struct read_wait *w = arg;

	wait_over(reading_of(w->f), w, unit_find(w->f, w->id), false);
}

/* The shim says how long the copies are now; the wait may be over meanwhile. */
static void looked(void *arg, json_t *result, const struct err *error)
{
	struct tick *tick = arg;
	struct unit *u = unit_find(tick->f, tick->id);
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(result, "tails"), i, row)
		if (u)
			transcript_event(u, row);
	for (struct read_wait *w = u && !error ? reading_of(tick->f)->waits : NULL; w; w = w->next)
		if (strcmp(w->id, tick->id) == 0)
			w->looked = true;
	if (u && !error)
		readers_check(u, tick->f);
	free(tick);
}

void transcript_when_read(struct unit *u, int64_t ms, transcript_read_fn *fn, void *arg)
{
	struct fleet *f = u->f;
	struct site *s = site_of(u);
	bool lives = s && s->connected && !s->stopping && u->in->pid > 0;

	if (!u->tracks) {
		fn(arg, u, false);
		return;
	}
	struct read_wait *w = xcalloc(1, sizeof(*w));
	*w = (struct read_wait){.next = reading_of(f)->waits, .f = f, .fn = fn, .arg = arg, .looked = !lives};
	memcpy(w->id, u->in->id, ID_SIZE);
	w->deadline = loop_timer_create(P(f)->loop, wait_overdue, w);
	loop_timer_start(w->deadline, ms);
	f->reading->waits = w;
	if (lives) {
		P(f)->shim_call(CTX(f), s->pl->id, "tail_look", json_pack("{s:s}", "instance", u->in->id), LOOK_CALL_MS, looked, tick_new(u));
		return;
	}
	tracks_look(u);
	readers_check(u, f);
}

struct outside_wait {
	fleet_read_fn *fn;
	void *arg;
};

static void outside_read(void *arg, struct unit *u, bool read)
{
	struct outside_wait *w = arg;

	w->fn(w->arg, u ? u->in : NULL, read);
	free(w);
}

void fleet_transcript_read(struct fleet *f, const struct instance *in, int64_t ms, fleet_read_fn *fn, void *arg)
{
	struct outside_wait *w = xcalloc(1, sizeof(*w));

	*w = (struct outside_wait){fn, arg};
	transcript_when_read(unit_find(f, in->id), ms, outside_read, w);
}

/* ---- life ---- */

void reading_drop(struct unit *u)
{
	struct reading *r = u->f->reading;

	for (struct read_wait *w = r ? r->waits : NULL; w;) {
		struct read_wait *gone = strcmp(w->id, u->in->id) == 0 ? w : NULL;
		w = w->next;
		if (gone)
			wait_over(r, gone, NULL, false);
	}
	for (struct track **at = r ? &r->first : NULL; at && *at;) {
		if ((*at)->u == u)
			*at = (*at)->due_next;
		else
			at = &(*at)->due_next;
	}
	if (r)
		for (r->last = &r->first; *r->last; r->last = &(*r->last)->due_next)
			;
}

void transcripts_end(struct fleet *f)
{
	struct reading *r = f->reading;

	if (!r)
		return;
	while (r->waits) {
		struct read_wait *w = r->waits;
		r->waits = w->next;
		loop_timer_free(w->deadline);
		free(w);
	}
	loop_timer_free(r->timer);
	free(r);
	f->reading = NULL;
}
