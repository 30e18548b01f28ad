/* SPDX-License-Identifier: ISC */
/*
 * Conversations of instances: which files their programs write.
 *
 * A report names the file of the conversation it belongs to. When it is one we do not know it gets a row (the newest is the
 * present conversation), and once that is on disk the shim is asked to follow it; asked again it goes on, so it is asked
 * whenever a shim comes that may not know. The shim tells how long the copy is; reading it is transcript_read.c.
 */
#include "daemon/core/transcript_int.h"

#include "base/log.h"

#define TRACKS_MAX 256   /* conversations of an instance; further ones are not followed */
#define FOLLOWED_AGAIN 2 /* the newest ones that a new shim is asked to follow */
#define TAIL_CALL_MS 15000

const struct transcript_format *transcript_format_of(const struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	return prog ? prog->transcript : NULL;
}

/* ---- which there are ---- */

static struct track *track_find(const struct unit *u, const char *conversation)
{
	struct track *t;

	for (t = u->tracks; t && strcmp(t->row.conversation, conversation) != 0; t = t->next)
		;
	return t;
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
	track_due(t);
}

void transcript_event(struct unit *u, const json_t *ev)
{
	const char *conversation = json_string_value(json_object_get(ev, "conversation"));
	struct track *t = conversation ? track_find(u, conversation) : NULL;

	if (t)
		told_length(t, json_integer_value(json_object_get(ev, "length")));
}

void tracks_look(struct unit *u)
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
	tracks_look(u);
}

bool transcript_known(const struct unit *u)
{
	return tracks_read(u) && count(u) < TRACKS_MAX;
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
		tracks_look(f->order[i]);
}

void transcripts_drop(struct unit *u)
{
	reading_drop(u);
	while (u->tracks) {
		struct track *t = u->tracks;
		u->tracks = t->next;
		free(t->row.root);
		free(t->row.path);
		free(t);
	}
}
