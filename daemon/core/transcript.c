/* SPDX-License-Identifier: ISC */
/*
 * Conversations of instances: which files their programs write, and reading the copies.
 *
 * Theory of operation. A report names the file of the conversation it belongs to. When it is one we do not know it gets
 * a row (the newest is the present conversation), and once that is on disk the shim is asked to follow it; asked again
 * it goes on, so it is asked whenever a shim comes that may not know. The shim tells how long the copy is. What lies
 * between that and `pos` is read in steps of STEP_BYTES, one conversation after the other in turns, so that neither a
 * large file nor a thousand of them, nor one of very short lines (STEP_LINES), stop the loop. Whole lines are applied: given to every consumer, in the transaction
 * that moves `pos` behind them. A line that is no line of such a file is passed over, and so is one that is too long;
 * each conversation says so once.
 *
 * Nothing here is urgent: what is written may wait for company, and is read again after a crash.
 */
#include "daemon/core/transcript.h"

#include "base/fault.h"
#include "base/log.h"
#include "daemon/core/usage.h"

#define STEP_BYTES (128 * 1024)
#define STEP_LINES 200   /* that are of interest */
#define TRACKS_MAX 256   /* conversations of an instance; further ones are not followed */
#define FOLLOWED_AGAIN 2 /* the newest ones that a new shim is asked to follow */
#define TAIL_CALL_MS 15000
#define LOOK_CALL_MS 15000

struct track {
	struct track *next;
	struct transcript row;
	int64_t length; /* of the copy, as last told */
	bool followed;  /* its shim was asked to, since the last that is known of it */
	bool within;    /* pos stands within a line that is passed over */
	bool said;      /* that lines were */
	bool due;       /* it stands in the list of those to be read */
	struct unit *u;
	struct track *due_next;
};

struct read_wait {
	struct read_wait *next;
	struct fleet *f;
	char id[ID_SIZE];
	bool looked; /* the lengths are known: all up to them is to be read */
	struct loop_timer *deadline;
	transcript_read_fn *fn;
	void *arg;
};

struct reading {
	struct fleet *f;
	struct loop_timer *timer;
	struct track *first, **last;
	struct read_wait *waits;
};

const struct transcript_format *transcript_format_of(const struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	return prog ? prog->transcript : NULL;
}

/* ---- consumers ---- */

static transcript_consumer_fn *const consumers[] = {
	seen_prompt_line,
	usage_line,
};

/* ---- reading ---- */

static void readers_check(struct unit *u, struct fleet *f);

static struct reading *reading_of(struct fleet *f);

static void make_due(struct track *t)
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

/* True: it was of interest. */
static bool apply_line(struct track *t, const struct transcript_format *format, const char *line, size_t len)
{
	struct transcript_line l = {0};
	struct err err = {0};

	while (len > 0 && *line == '\0') { /* dropped for the bound */
		line++;
		len--;
	}
	t->row.lines++;
	if (len == 0 || !format->wanted(line, len))
		return false;
	if (format->parse(line, len, &l, &err) < 0) {
		pass_over(t, err.message);
		return true;
	}
	bool inherited = l.origin[0] || (l.time_ms && l.time_ms < t->row.since_ms);
	for (size_t i = 0; i < ARRAY_LEN(consumers); i++)
		consumers[i](t->u, &l, inherited);
	format->finish(&l);
	return true;
}

/* Applies the whole lines of these bytes, as many as are one step's; how many bytes that were. */
static size_t apply_lines(struct track *t, const struct transcript_format *format, const char *data, size_t len)
{
	size_t done = 0, lines = 0;
	const char *nl;

	while (lines < STEP_LINES && (nl = memchr(data + done, '\n', len - done))) {
		size_t n = (size_t)(nl - (data + done));
		if (!t->within && apply_line(t, format, data + done, n))
			lines++;
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
	make_due(t);
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

/* ---- which there are ---- */

static struct track *track_find(const struct unit *u, const char *conversation)
{
	struct track *t;

	for (t = u->tracks; t && strcmp(t->row.conversation, conversation) != 0; t = t->next)
		;
	return t;
}

const struct transcript *transcript_of(const struct unit *u, const char *conversation)
{
	const struct track *t = conversation ? track_find(u, conversation) : u->tracks;

	return t ? &t->row : NULL;
}

static void followed(void *arg, json_t *result, const struct err *error)
{
	struct tick *tick = arg;
	struct unit *u = unit_find(tick->f, tick->id);

	(void)result; /* it tells the length by itself */
	if (error && u && error->code != ERR_UNREACHABLE && error->code != ERR_CANCELLED && error->code != ERR_UNAVAILABLE)
		log_warn("transcript", tick->id, "its conversation is not followed: %s", error->message);
	/* The next report asks again; a shim that knows no such call is asked when another comes (transcript_joined). */
	for (struct track *t = error && u && error->code != ERR_METHOD ? u->tracks : NULL; t; t = t->next)
		t->followed = false;
	free(tick);
}

static void follow_now(void *arg, const struct err *error)
{
	struct tick *tick = arg;
	struct fleet *f = tick->f;
	struct unit *u = unit_find(f, tick->id);
	struct site *s = u ? site_of(u) : NULL;
	int n = 0;

	for (struct track *t = error || !s || !s->connected || s->stopping ? NULL : u->tracks; t && n < FOLLOWED_AGAIN; t = t->next, n++) {
		if (t->followed)
			continue;
		t->followed = true;
		struct tick *again = tick_new(u);
		P(f)->shim_call(CTX(f), s->pl->id, "tail",
			json_pack("{s:s, s:s, s:s, s:s, s:I}", "instance", u->in->id, "conversation", t->row.conversation, "root",
				t->row.root, "path", t->row.path, "max", (json_int_t)f->set->transcript_max),
			TAIL_CALL_MS, followed, again);
	}
	free(tick);
}

/* Once what is known of it is on disk. */
static void follow(struct unit *u)
{
	P(u->f)->after_commit(CTX(u->f), follow_now, tick_new(u));
}

static size_t count(const struct unit *u)
{
	size_t n = 0;

	for (const struct track *t = u->tracks; t; t = t->next)
		n++;
	return n;
}

static struct track *track_add(struct unit *u, const struct transcript *row)
{
	struct track *t = xcalloc(1, sizeof(*t));

	t->row = *row;
	t->u = u;
	t->next = u->tracks;
	u->tracks = t;
	return t;
}

/* It becomes the present one. */
static void track_newest(struct unit *u, struct track *t)
{
	struct track **at = &u->tracks;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->row.number = u->tracks ? u->tracks->row.number + 1 : t->row.number;
	t->next = u->tracks;
	u->tracks = t;
}

static void begin(struct unit *u, const char *conversation, const char *root, const char *path)
{
	struct transcript row = {.number = u->tracks ? u->tracks->row.number + 1 : 1, .root = xstrdup(root),
		.path = xstrdup(path), .begun_ms = clock_wall_ms(), .since_ms = u->in->branch_from ? u->in->created_ms : 0};

	memcpy(row.instance, u->in->id, ID_SIZE);
	str_fmt(row.conversation, sizeof(row.conversation), "%s", conversation);
	track_add(u, &row);
	P(u->f)->transcript_put(CTX(u->f), &row);
	P(u->f)->event_add(CTX(u->f), EV_CONVERSATION, u->in->id, NULL, json_pack("{s:s, s:s}", "conversation", conversation, "what", "begun"));
}

/* Where its program keeps them; owned, or NULL. */
static char *root_of(const struct unit *u)
{
	char *root = P(u->f)->transcript_root(CTX(u->f), u->in);

	return root || !u->tracks ? root : xstrdup(u->tracks->row.root);
}

/* Once, as long as this daemon runs. */
static void too_many(struct unit *u)
{
	if (u->tracks_full)
		return;
	u->tracks_full = true;
	P(u->f)->event_add(CTX(u->f), EV_NOTICE, u->in->id, NULL,
		json_pack("{s:s, s:s, s:s}", "kind", "conversations", "text",
			"it began more conversations than are followed: there is no transcript of this one",
			"hint", "spawn a new instance for what is to be kept"));
	log_warn("transcript", u->in->id, "it began more than %d conversations: further ones are not followed", TRACKS_MAX);
}

void transcript_report(struct unit *u, const json_t *body)
{
	const struct transcript_format *format = transcript_format_of(u);
	char conversation[TRANSCRIPT_ID_MAX], path[TRANSCRIPT_PATH_MAX];
	struct track *t;

	if (!format || !P(u->f)->transcript_put || !body)
		return;
	cleanup_free char *root = root_of(u);
	if (!root || !format->named(body, root, conversation, path))
		return;
	t = track_find(u, conversation);
	if (t && t == u->tracks && t->followed && !strcmp(t->row.path, path))
		return;
	if (!t && count(u) >= TRACKS_MAX) {
		too_many(u);
		return;
	}
	if (!t) {
		begin(u, conversation, root, path);
	} else if (t != u->tracks || strcmp(t->row.path, path) || strcmp(t->row.root, root)) {
		if (t != u->tracks)
			track_newest(u, t);
		free(t->row.root);
		free(t->row.path);
		t->row.root = xstrdup(root);
		t->row.path = xstrdup(path);
		t->followed = false;
		P(u->f)->transcript_put(CTX(u->f), &t->row);
	}
	follow(u);
}

/* ---- what is told ---- */

static void told_length(struct track *t, int64_t length)
{
	if (length > t->length)
		t->length = length;
	make_due(t);
}

void transcript_event(struct unit *u, const json_t *ev)
{
	const char *conversation = json_string_value(json_object_get(ev, "conversation"));
	struct track *t = conversation ? track_find(u, conversation) : NULL;

	if (t)
		told_length(t, json_integer_value(json_object_get(ev, "length")));
}

static void look_at_copies(struct unit *u)
{
	for (struct track *t = u->tracks; t; t = t->next)
		told_length(t, P(u->f)->transcript_length(CTX(u->f), u->in->id, t->row.conversation));
}

void transcript_joined(struct unit *u)
{
	if (!u->tracks)
		return;
	for (struct track *t = u->tracks; t; t = t->next)
		t->followed = false;
	follow(u);
}

void transcript_place_over(struct unit *u)
{
	for (struct track *t = u->tracks; t; t = t->next)
		t->followed = false;
	look_at_copies(u);
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

static bool all_read(const struct unit *u)
{
	for (const struct track *t = u->tracks; t; t = t->next)
		if (t->due)
			return false;
	return true;
}

static void readers_check(struct unit *u, struct fleet *f)
{
	struct reading *r = reading_of(f);

	for (struct read_wait *w = all_read(u) ? r->waits : NULL; w;) {
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
	look_at_copies(u);
	readers_check(u, f);
}

bool transcript_known(const struct unit *u)
{
	return all_read(u) && count(u) < TRACKS_MAX;
}

/* ---- for the api ---- */

json_t *fleet_transcripts_json(struct fleet *f, const struct instance *in)
{
	struct unit *u = unit_find(f, in->id);
	json_t *all = json_array();

	for (const struct track *t = u ? u->tracks : NULL; t; t = t->next)
		json_array_insert_new(all, 0,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "conversation", t->row.conversation, "number",
				(json_int_t)t->row.number, "begun", (json_int_t)t->row.begun_ms, "length",
				(json_int_t)P(f)->transcript_length(CTX(f), in->id, t->row.conversation), "lines",
				(json_int_t)t->row.lines, "skipped", (json_int_t)t->row.skipped));
	return all;
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

void fleet_load_transcript(struct fleet *f, const struct transcript *row)
{
	struct unit *u = unit_find(f, row->instance);

	if (u) {
		track_add(u, row);
		return;
	}
	free(row->root);
	free(row->path);
}

void transcripts_begin(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++)
		look_at_copies(f->order[i]);
}

void transcripts_drop(struct unit *u)
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
	while (u->tracks) {
		struct track *t = u->tracks;
		u->tracks = t->next;
		free(t->row.root);
		free(t->row.path);
		free(t);
	}
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
