/* SPDX-License-Identifier: ISC */
/*
 * The audit: who called what, about whom, and what came of it.
 *
 * A call that changes something is one row, written in the transaction of its effect: `done` or `failed` when
 * its handler has answered by then, else `begun`, which its answer turns into one of the two (a daemon that
 * ended in between leaves it `begun`). What was refused for who asks is one row too, whatever the method.
 *
 * What an agent can provoke is bounded. Within AUDIT_WINDOW_MS the same refusal or failure of an instance is
 * counted in its row, not written again; it gets at most AUDIT_REFUSED_ROWS different ones and
 * AUDIT_DONE_ROWS of what it did; all beyond is counted in one row of the method `*`. Counts are
 * written every AUDIT_FLUSH_MS, so a crash may take some back. Of each instance the newest tenth of all that is
 * kept stays, so that none can push out what others did: older rows of it go at the first one of each window.
 *
 * No secret gets in: of the parameters there is only a digest, from which A_SECRET ones are left out, and
 * messages that quote what the caller said are not kept.
 */
#include <ctype.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/api_int.h"

#define AUDIT_WINDOW_MS 60000
#define AUDIT_REFUSED_ROWS 16
#define AUDIT_DONE_ROWS 120
#define AUDIT_FLUSH_MS 5000
#define AUDIT_EACH 10 /* the part of AUDIT_KEEP that one instance may take */
#define AUDIT_TRIM_EVERY 64
#define AUDIT_KEEP 100000
#define AUDIT_DAYS 90
#define AUDIT_REASON_MAX 200
#define AUDIT_PAGE 200
#define DAY_MS INT64_C(86400000)

enum { OVERFLOW_REFUSED, OVERFLOW_DONE, OVERFLOWS };

/* A row that may be counted up. */
struct counted {
	uint64_t key;
	int64_t seq, count, written, last_ms;
};

/* What one instance (or place) has provoked in this window. */
struct source {
	struct source *next;
	char id[ID_SIZE];
	int64_t since_ms; /* monotonic */
	unsigned refused, done;
	struct counted row[AUDIT_REFUSED_ROWS], over[OVERFLOWS];
};

struct audit {
	struct api *api;
	struct source *sources;
	struct loop_timer *flush;
	bool telling;   /* followers hear after this turn's commit */
	unsigned since_trim;
};

/* ---- writing ---- */

static int64_t option(const struct audit *au, enum option_id o, int64_t otherwise)
{
	return au->api->w->config ? config_int(au->api->w->config, o) : otherwise;
}

static void trim(struct audit *au)
{
	struct err err = {0};
	int64_t before = turn_age_now(au->api->w->turn) - option(au, OPT_AUDIT_DAYS, AUDIT_DAYS) * DAY_MS;

	if (store_audit_trim(au->api->w->store, option(au, OPT_AUDIT_KEEP, AUDIT_KEEP), before, 2 * AUDIT_TRIM_EVERY,
		    &err) < 0)
		turn_failed(au->api->w->turn, &err);
}

static void tell_followers(void *arg, const struct err *error)
{
	struct audit *au = arg;

	au->telling = false;
	for (struct client_conn *cc = error ? NULL : au->api->clients; cc; cc = cc->next)
		if (cc->audit.on)
			audit_feed(cc);
}

/* Its number; 0 when it could not be written (then the turn is given up). */
static int64_t write_row(struct audit *au, const struct audit_row *r)
{
	struct world *w = au->api->w;
	struct err err = {0};
	int64_t seq = 0;

	if (store_audit_add(w->store, r, &seq, &err) < 0) {
		turn_failed(w->turn, &err);
		return 0;
	}
	if (++au->since_trim >= AUDIT_TRIM_EVERY) {
		au->since_trim = 0;
		trim(au);
	}
	for (struct client_conn *cc = au->api->clients; cc && !au->telling; cc = cc->next) {
		if (!cc->audit.on)
			continue;
		au->telling = true;
		turn_then(w->turn, tell_followers, au);
	}
	return seq;
}

/* What has no effect need not be on the disk at once. */
static void touch(struct audit *au, bool lazily)
{
	turn_lazily(au->api->w->turn, lazily);
	turn_touch(au->api->w->turn);
	turn_lazily(au->api->w->turn, false);
}

/* ---- bounding ---- */

static uint64_t mix(uint64_t h, const char *text)
{
	for (; text && *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return (h ^ 0x1f) * UINT64_C(1099511628211);
}

static uint64_t key_of(const struct audit_row *r)
{
	uint64_t h = mix(UINT64_C(14695981039346656037), r->method);

	h = mix(mix(mix(h, r->verdict), r->code), r->reason);
	return mix(h, json_string_value(json_array_get(r->targets, 0)));
}

static struct source *source_get(struct audit *au, const char *id)
{
	struct source *s = au->sources;
	struct err err = {0};

	while (s && strcmp(s->id, id))
		s = s->next;
	if (s)
		return s;
	if (store_audit_trim_of(au->api->w->store, id, option(au, OPT_AUDIT_KEEP, AUDIT_KEEP) / AUDIT_EACH, &err) < 0)
		turn_failed(au->api->w->turn, &err);
	s = xcalloc(1, sizeof(*s));
	str_fmt(s->id, sizeof(s->id), "%s", id);
	s->since_ms = clock_mono_ms();
	s->next = au->sources;
	au->sources = s;
	if (!loop_timer_active(au->flush))
		loop_timer_start(au->flush, AUDIT_FLUSH_MS);
	return s;
}

static void write_count(struct audit *au, struct counted *k)
{
	struct err err = {0};

	if (!k->seq || k->count == k->written)
		return;
	if (store_audit_count(au->api->w->store, k->seq, k->count, k->last_ms, &err) < 0)
		turn_failed(au->api->w->turn, &err);
	k->written = k->count;
	touch(au, true);
}

static void write_counts(struct audit *au, struct source *s)
{
	for (size_t i = 0; i < s->refused && i < AUDIT_REFUSED_ROWS; i++)
		write_count(au, &s->row[i]);
	for (size_t i = 0; i < OVERFLOWS; i++)
		write_count(au, &s->over[i]);
}

static void on_flush(void *arg)
{
	struct audit *au = arg;
	int64_t now = clock_mono_ms();

	for (struct source **at = &au->sources, *s; (s = *at);) {
		write_counts(au, s);
		if (now - s->since_ms < AUDIT_WINDOW_MS) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
	if (au->sources)
		loop_timer_start(au->flush, AUDIT_FLUSH_MS);
}

static void again(struct counted *k)
{
	k->count++;
	k->last_ms = clock_wall_ms();
}

/* All beyond the bound, in one row. */
static int64_t overflow(struct audit *au, struct counted *k, const struct audit_row *r)
{
	struct audit_row rest = {.time_ms = r->time_ms, .instance = r->instance, .place = r->place, .uid = -1,
		.pid = -1, .method = "*", .verdict = r->verdict, .reason = "more of the same minute, counted"};

	if (k->seq) {
		again(k);
		return 0;
	}
	k->seq = write_row(au, &rest);
	k->count = k->written = 1;
	touch(au, true);
	return k->seq;
}

/* As write_row, for what an instance or a place provoked. 0: it was only counted. */
static int64_t write_bounded(struct audit *au, const char *who, const struct audit_row *r, bool effect)
{
	struct source *s = source_get(au, who);
	uint64_t key = key_of(r);
	struct counted *k;

	if (effect) {
		if (++s->done <= AUDIT_DONE_ROWS)
			return write_row(au, r);
		overflow(au, &s->over[OVERFLOW_DONE], r);
		return 0;
	}
	for (size_t i = 0; i < s->refused; i++) {
		if (s->row[i].key != key)
			continue;
		again(&s->row[i]);
		return 0;
	}
	if (s->refused == AUDIT_REFUSED_ROWS)
		return overflow(au, &s->over[OVERFLOW_REFUSED], r);
	k = &s->row[s->refused++];
	*k = (struct counted){.key = key, .seq = write_row(au, r), .count = 1, .written = 1};
	return k->seq;
}

/* ---- a row of a call ---- */

/* Of what was asked, without what is nobody's business. */
static void digest_of(const struct call *c, char out[SHA256_HEX])
{
	json_t *o = json_object(), *v;
	const char *name;
	char *text;

	json_object_foreach(c->params, name, v) {
		const struct arg_def *a = method_arg(c->method, name);
		if (a && (a->flags & A_SECRET))
			json_object_set_new(o, name, json_true()); /* that it was given */
		else
			json_object_set(o, name, v);
	}
	text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	sha256_hex(text ? text : "", text ? strlen(text) : 0, out);
	free(text);
	json_decref(o);
}

/* Messages about what was said quote it, and may quote what nobody should keep. */
static const char *reason_of(const struct err *e, char out[AUDIT_REASON_MAX])
{
	if (e->code == ERR_PARAMS || e->code == ERR_NOT_FOUND || e->code == ERR_AMBIGUOUS || e->code == ERR_REQUEST ||
		e->code == ERR_METHOD || e->code == ERR_EXISTS)
		return NULL;
	snprintf(out, AUDIT_REASON_MAX, "%.*s", AUDIT_REASON_MAX - 1, e->message);
	return out;
}

static const char *verdict_of(const struct err *e)
{
	if (!e || !e->code)
		return "done";
	return e->code == ERR_CAP || e->code == ERR_DENIED ? "refused" : "failed";
}

static void who_of(const struct call *c, struct audit_row *r)
{
	r->time_ms = clock_wall_ms();
	r->uid = r->pid = -1;
	if (c->who.instance) {
		r->instance = c->who.instance;
		r->place = c->place;
	} else if (c->client) {
		r->uid = c->client->cred.uid;
		r->pid = c->client->cred.pid;
		r->program = c->client->program;
	}
	r->method = c->method ? c->method->name : "?";
}

static void denied_event(struct audit *au, const struct audit_row *r, int64_t seq)
{
	turn_event(au->api->w->turn, EV_CALL_DENIED, r->instance, r->place,
		json_pack("{s:I, s:s, s:s?, s:s?, s:O?, s:s?}", "audit", (json_int_t)seq, "method",
			r->method, "reason", r->reason, "code", r->code, "targets", r->targets, "program",
			r->program));
}

void audit_refused(struct call *c, const struct access *a, const struct err *e)
{
	struct audit *au = c->api->audit;
	struct audit_row r = {.verdict = "refused", .code = err_code_name(e->code), .reason = a->why};
	json_t *targets = a->target[0] ? json_pack("[s]", a->target) : NULL;
	int64_t seq;

	who_of(c, &r);
	r.targets = targets;
	c->audited = true;
	seq = r.instance ? write_bounded(au, r.instance, &r, false) : write_row(au, &r);
	if (seq) {
		denied_event(au, &r, seq);
		touch(au, true);
	}
	json_decref(targets);
}

void audit_stranger(struct api *a, const char *place, const struct ucred *cred, const char *why, const char *claims)
{
	struct err none = {.code = ERR_DENIED};
	struct audit_row r = {.time_ms = clock_wall_ms(), .place = place, .uid = cred ? (int64_t)cred->uid : -1,
		.pid = cred ? cred->pid : -1, .method = "-", .verdict = "refused", .code = err_code_name(none.code),
		.reason = why};
	json_t *targets = claims ? json_pack("[s]", claims) : NULL;
	int64_t seq;

	r.targets = targets;
	seq = write_bounded(a->audit, place ? place : "uid", &r, false);
	if (seq) {
		denied_event(a->audit, &r, seq);
		touch(a->audit, true);
	}
	json_decref(targets);
}

static bool only_reads(const struct call *c)
{
	return c->method->flags & M_READ || json_is_true(json_object_get(c->params, "dry_run"));
}

void audit_touches(struct call *c, struct instance *const *set, size_t n)
{
	if (only_reads(c))
		return;
	json_decref(c->touched);
	c->touched = json_array();
	for (size_t i = 0; i < n && i < ACCESS_TARGETS_MAX; i++)
		json_array_append_new(c->touched, json_string(set[i]->id));
	if (n > ACCESS_TARGETS_MAX)
		json_array_append_new(c->touched, json_string("..."));
}

/* Of a call that chose nobody: whom it names, and whom it started. */
static json_t *named_targets(const struct call *c, const struct access *a)
{
	json_t *targets = json_array();

	for (size_t i = 0; i < a->ntargets && i < ACCESS_TARGETS_MAX; i++)
		json_array_append_new(targets, json_string(a->targets[i]));
	if (a->ntargets > ACCESS_TARGETS_MAX)
		json_array_append_new(targets, json_string("..."));
	if (c->started[0] && (!a->ntargets || strcmp(a->targets[0], c->started)))
		json_array_append_new(targets, json_string(c->started));
	return targets;
}

void audit_called(struct call *c, const struct access *a)
{
	struct audit *au = c->api->audit;
	const struct err *e = c->outcome_known ? &c->first_error : NULL;
	char digest[SHA256_HEX], reason[AUDIT_REASON_MAX];
	struct audit_row r = {.verdict = c->outcome_known ? verdict_of(e) : "begun", .digest = digest};
	json_t *targets = NULL;
	bool effect = !e || !e->code;
	int64_t seq;

	if (c->audited || !c->method || only_reads(c))
		return;
	c->audited = true;
	who_of(c, &r);
	targets = c->touched ? json_incref(c->touched) : named_targets(c, a);
	r.targets = json_array_size(targets) ? targets : NULL;
	if (!effect) {
		r.code = err_code_name(e->code);
		r.reason = reason_of(e, reason);
	}
	digest_of(c, digest);
	seq = r.instance ? write_bounded(au, r.instance, &r, effect) : write_row(au, &r);
	if (seq)
		touch(au, !effect);
	c->audit_seq = c->outcome_known ? 0 : seq;
	json_decref(targets);
}

void audit_answered(struct call *c, const struct err *e)
{
	struct audit *au = c->api->audit;
	char reason[AUDIT_REASON_MAX];
	struct err err = {0};
	bool bad = e && e->code;

	if (!c->outcome_known && bad && e != &c->first_error)
		c->first_error = *e;
	c->outcome_known = true;
	if (!c->audit_seq)
		return;
	if (store_audit_settle(au->api->w->store, c->audit_seq, verdict_of(e), bad ? err_code_name(e->code) : NULL,
		    bad ? reason_of(e, reason) : NULL, &err) < 0)
		turn_failed(au->api->w->turn, &err);
	touch(au, true);
	c->audit_seq = 0;
}

struct audit *audit_create(struct api *a)
{
	struct audit *au = xcalloc(1, sizeof(*au));

	au->api = a;
	au->flush = loop_timer_create(a->w->loop, on_flush, au);
	return au;
}

void audit_flush(struct audit *au)
{
	for (struct source *s = au->sources; s; s = s->next)
		write_counts(au, s);
}

void audit_destroy(struct audit *au)
{
	while (au->sources) {
		struct source *s = au->sources;
		au->sources = s->next;
		free(s);
	}
	loop_timer_free(au->flush);
	free(au);
}

/* ---- reading ---- */

/* "90", or a time. */
static int since_of(const char *text, struct audit_query *q, struct err *e)
{
	int64_t n;

	if (str_to_i64(text, 0, INT64_C(1) << 53, &n) == 0) {
		q->since = n;
		return 0;
	}
	if (moment_read(text, &q->since_ms) == 0)
		return 0;
	err_set(e, ERR_PARAMS, "'%.40s' is neither a number nor a time", text);
	return err_hint(e, "a row's number, 15m (ago), 14:30, or 2026-01-31T14:30:00");
}

/* Rows that a follower was not told yet, while there is room for them. */
void audit_feed(struct client_conn *cc)
{
	struct api *a = cc->api;
	struct err err = {0};
	json_t *rows, *row;
	size_t i, n = AUDIT_PAGE;

	while (n == AUDIT_PAGE && peer_out_pending(cc->peer) < PEER_OUT_MAX / 2) {
		struct audit_query q = {.since = cc->audit.last, .limit = AUDIT_PAGE, .denied = cc->audit.denied,
			.about = cc->audit.about[0] ? cc->audit.about : NULL};
		rows = store_audit(a->w->store, &q, &err);
		if (!rows) {
			log_error("audit", NULL, "it could not be read: %s", err.message);
			return;
		}
		n = json_array_size(rows);
		json_array_foreach(rows, i, row) {
			if (peer_notify(cc->peer, "audit", json_incref(row)) < 0)
				n = 0; /* too slow: it is being disconnected */
			cc->audit.last = json_integer_value(json_object_get(row, "seq"));
		}
		json_decref(rows);
	}
}

static int64_t newest_seq(const struct call *c)
{
	struct audit_query q = {.since = -1, .limit = 1};
	json_t *rows = store_audit(c->w->store, &q, NULL);
	int64_t seq = json_integer_value(json_object_get(json_array_get(rows, 0), "seq"));

	json_decref(rows);
	return seq;
}

void api_AUDIT(struct call *c)
{
	const char *id = call_str(c, "id"), *since = call_str(c, "since");
	struct audit_query q = {.since = -1, .denied = call_bool(c, "denied"), .limit = call_int(c, "limit", -1)};
	struct err err = {0};
	const struct instance *in;
	json_t *rows, *newest;

	if (since && since_of(since, &q, &err) < 0) {
		call_error(c, &err);
		return;
	}
	if (q.limit < 0 || q.limit > EVENTS_MAX)
		q.limit = q.limit < 0 && !since ? EVENTS_DEFAULT : EVENTS_MAX;
	if (id) { /* who was removed has rows, too */
		in = fleet_resolve(c->w->fleet, &c->who, id, &err);
		if (!in && strlen(id) != ID_LEN) {
			call_error(c, &err);
			return;
		}
		q.about = in ? in->id : id;
	}
	rows = store_audit(c->w->store, &q, &err);
	if (!rows) {
		call_error(c, &err);
		return;
	}
	newest = json_array_get(rows, json_array_size(rows) - (json_array_size(rows) > 0));
	if (call_bool(c, "follow") && c->client) {
		c->client->audit.on = true;
		c->client->audit.denied = q.denied;
		str_fmt(c->client->audit.about, ID_SIZE, "%s", q.about ? q.about : "");
		c->client->audit.last = newest ? json_integer_value(json_object_get(newest, "seq"))
			: q.since >= 0 ? q.since : newest_seq(c);
	}
	call_result(c, json_pack("{s:o}", "rows", rows));
}
