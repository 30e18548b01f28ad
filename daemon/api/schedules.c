/* SPDX-License-Identifier: ISC */
/* schedules: what is sent later, or again and again (core/schedule.h; docs/schedules.md). */
#include "daemon/api/api_int.h"
#include "daemon/core/schedule.h"

#define LIST_DEFAULT 50
#define LIST_MOST 1000
#define LIST_HEAD 160
#define ROWS_ROOM (64 * 1024) /* of a line: what its envelope may take */
#define ZONE_DEFAULT "UTC"

static json_t *row(const struct schedule *s, size_t text_max)
{
	json_t *o = schedule_to_json(s);

	if (s->text && schedule_open(s)) {
		json_object_set_new(o, "text", text_head(s->text, strlen(s->text), text_max));
		json_object_set_new(o, "bytes", json_integer((json_int_t)strlen(s->text)));
	}
	return o;
}

static void answer(struct call *c, const struct schedule *s, const struct err *e)
{
	if (s)
		call_result(c, row(s, SCHEDULE_TEXT_MAX));
	else
		call_error(c, e);
}

/* ---- made ---- */

/* What a key stands for: everything that was asked for. */
static void asked_digest(const struct call *c, const struct instance *in, char out[SHA256_HEX])
{
	json_t *o = json_copy(c->params);
	char *text;

	json_object_set_new(o, "id", json_string(in->id));
	json_object_del(o, "key");
	text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	sha256_hex(text ? text : "", text ? strlen(text) : 0, out);
	free(text);
	json_decref(o);
}

struct found {
	struct schedule *s[2];
	int n;
};

static void take(void *arg, struct schedule *s)
{
	struct found *f = arg;

	if (f->n < (int)ARRAY_LEN(f->s))
		f->s[f->n] = s;
	else
		schedule_free(s);
	f->n++;
}

static void found_free(struct found *f)
{
	for (int i = 0; i < f->n && i < (int)ARRAY_LEN(f->s); i++)
		schedule_free(f->s[i]);
}

/* 1: answered with the one that this key made, or with the error. */
static int made_before(struct call *c, const struct schedule_args *a)
{
	const struct schedule_query q = {.key = a->key, .ended = true, .limit = 1};
	struct found f = {0};
	struct err err = {0};
	int r;

	if (!a->key)
		return 0;
	r = store_schedules(c->w->store, &q, take, &f, &err);
	if (r == 0 && f.n && strcmp(f.s[0]->digest, a->digest) != 0) {
		err_set(&err, ERR_EXISTS, "the key '%s' was used for another schedule", key_shown(a->key));
		r = err_hint(&err, "a key stands for one schedule; take a new one for what is new");
	}
	if (r < 0)
		call_error(c, &err);
	else if (f.n)
		answer(c, f.s[0], NULL);
	r = r < 0 || f.n;
	found_free(&f);
	return r;
}

void api_SCHEDULES_MAKE(struct call *c)
{
	struct instance *in = call_target(c, "id");
	bool now = call_bool(c, "now"), merge = call_bool(c, "merge");
	struct schedule_args a = {.text = call_str(c, "text"), .at = call_str(c, "at"), .every = call_str(c, "every"),
		.when = call_str(c, "when"), .zone = call_str(c, "zone") ?: ZONE_DEFAULT, .until = call_str(c, "until"),
		.missed = call_str(c, "missed"), .times = call_int(c, "times", 0), .start = call_bool(c, "start"),
		.way = now ? PW_NOW : merge ? PW_MERGE : PW_ORDER, .made_by = c->who.instance};
	char key[KEY_SIZE], digest[SHA256_HEX];
	struct err err = {0};

	if (!in)
		return;
	a.len = json_string_length(json_object_get(c->params, "text"));
	asked_digest(c, in, digest);
	a.digest = digest;
	if (now && merge)
		err_set(&err, ERR_PARAMS, "now and merge exclude each other");
	else if (a.start && c->who.instance && !strcmp(in->id, c->who.instance))
		err_set(&err, ERR_DENIED, "an instance does not start itself again: start is for its descendants");
	if (err.code || call_key(c, key, &a.key, &err) < 0) {
		call_error(c, &err);
		return;
	}
	if (!made_before(c, &a))
		answer(c, fleet_schedule_make(c->w->fleet, in, &a, &err), &err);
}

/* ---- listed ---- */

struct listing {
	struct call *c;
	struct instance *const *set; /* NULL: all that the caller may see */
	size_t n, bytes;
	int64_t left;
	struct selector sel;
	json_t *rows;
};

static bool chosen(const struct listing *l, const struct schedule *s)
{
	const struct instance *in = fleet_get(l->c->w->fleet, s->instance);

	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->set[i]->id, s->instance))
			return true;
	if (l->n || (l->sel.given && !(in && selector_chooses(&l->sel, in))))
		return false;
	return !l->c->who.instance || (in && access_may(l->c, in));
}

static void list_add(void *arg, struct schedule *s)
{
	struct listing *l = arg;
	json_t *o = l->left > 0 && chosen(l, s) ? row(s, LIST_HEAD) : NULL;
	size_t size = o ? json_dumpb(o, NULL, 0, JSON_COMPACT) + 2 : 0;

	if (o && l->bytes + size <= LIST_PAGE_MAX - ROWS_ROOM) {
		l->bytes += size;
		l->left--;
		json_array_insert(l->rows, 0, o);
	}
	json_decref(o);
	schedule_free(s);
}

void api_SCHEDULES_LIST(struct call *c)
{
	cleanup_free struct instance **set = NULL;
	struct listing l = {.c = c, .left = call_int(c, "limit", LIST_DEFAULT)};
	struct schedule_query q = {.ended = call_bool(c, "all"), .limit = SCHEDULES_MOST + SCHEDULES_KEPT};
	struct err err = {0};

	if (json_array_size(json_object_get(c->params, "ids"))) {
		set = call_targets(c, FROM_ANY, &l.n);
		if (!set)
			return;
	} else if (selector_read(c, &l.sel, &err) < 0) {
		call_error(c, &err);
		return;
	}
	l.set = set;
	l.left = l.left < LIST_MOST ? l.left : LIST_MOST;
	q.instance = l.n == 1 ? set[0]->id : NULL;
	l.rows = json_array();
	if (store_schedules(c->w->store, &q, list_add, &l, &err) < 0) {
		json_decref(l.rows);
		call_error(c, &err);
		return;
	}
	call_result(c, l.rows);
}

/* ---- one ---- */

/* As its target is: an instance sees what is for it and its descendants, and what it made. */
static bool may_see(struct call *c, const struct schedule *s)
{
	const struct instance *in = fleet_get(c->w->fleet, s->instance);

	return !c->who.instance || !strcmp(s->made_by, c->who.instance) || (in && access_may(c, in));
}

/* The one that the call names (schedule_free); NULL after answering. */
static struct schedule *named(struct call *c)
{
	const char *ref = call_str(c, "schedule");
	const struct schedule_query q = {.prefix = ref, .ended = true, .limit = SCHEDULES_MOST + SCHEDULES_KEPT};
	struct found f = {0};
	struct schedule *s = NULL;
	struct err err = {0};
	bool word = ref[0] && strspn(ref, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(ref);

	if (word && store_schedules(c->w->store, &q, take, &f, &err) < 0) {
		found_free(&f);
		call_error(c, &err);
		return NULL;
	}
	if (f.n == 1 && may_see(c, f.s[0]))
		s = take_ptr(f.s[0]);
	else if (f.n > 1 && !c->who.instance)
		err_set(&err, ERR_AMBIGUOUS, "'%s' could be any of %d schedules", ref, f.n);
	else
		err_set(&err, ERR_NOT_FOUND, "there is no schedule '%.80s'", ref);
	found_free(&f);
	if (s)
		return s;
	err_hint(&err, "tmux-claude schedules --all lists them");
	call_error(c, &err);
	return NULL;
}

void api_SCHEDULES_SHOW(struct call *c)
{
	struct schedule *s = named(c);

	if (!s)
		return;
	answer(c, s, NULL);
	schedule_free(s);
}

/* One that the call may change; NULL after answering. */
static struct schedule *to_change(struct call *c)
{
	struct schedule *s = named(c);
	struct instance *in = s ? fleet_get(c->w->fleet, s->instance) : NULL;
	struct err err = {0};

	if (!s)
		return NULL;
	if (in)
		audit_touches(c, &in, 1);
	if (!c->who.instance || !strcmp(s->made_by, c->who.instance) ||
		(in && strcmp(in->id, c->who.instance) != 0 && access_may(c, in)))
		return s;
	err_set(&err, ERR_DENIED, "schedule %s is for the calling instance, and was made by another", s->id);
	err_hint(&err, "who made it may change it, and whoever is above");
	call_error(c, &err);
	schedule_free(s);
	return NULL;
}

void api_SCHEDULES_CANCEL(struct call *c)
{
	struct schedule *s = to_change(c);
	struct err err = {0};

	if (!s)
		return;
	if (s->status == SS_CANCELLED) /* asked again */
		answer(c, s, NULL);
	else
		answer(c, fleet_schedule_cancel(c->w->fleet, s->id, c->who.instance, &err), &err);
	schedule_free(s);
}

static void pause_or_resume(struct call *c, bool pause)
{
	struct schedule *s = to_change(c);
	struct err err = {0};

	if (s)
		answer(c, fleet_schedule_pause(c->w->fleet, s->id, pause, c->who.instance, &err), &err);
	schedule_free(s);
}

void api_SCHEDULES_PAUSE(struct call *c)
{
	pause_or_resume(c, true);
}

void api_SCHEDULES_RESUME(struct call *c)
{
	pause_or_resume(c, false);
}
