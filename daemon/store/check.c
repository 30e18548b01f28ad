/* SPDX-License-Identifier: ISC */
/* Looks through a database and says what is wrong with it, in words. */
#include <sys/stat.h>

#include "base/util.h"
#include "daemon/store/db.h"
#include "daemon/store/files.h"
#include "daemon/store/migrate.h"

#define OPEN_BUSY_MS 5000
#define TEXT_MAX 400

int store_open_reading(const char *path, sqlite3 **ret, struct err *e)
{
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(path, &db,
		SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);

	if (rc != SQLITE_OK) {
		store_fail(db, rc, path, "opening it to read", e);
		sqlite3_close(db);
		return -1;
	}
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, OPEN_BUSY_MS);
	/* What stands in its log stays there: a reader of a damaged file must not move any of it. */
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	*ret = db;
	return 0;
}

int store_integrity(sqlite3 *db, const char *path, bool whole, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, whole ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)", -1, &st,
		NULL);
	int r = 0;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	if (rc != SQLITE_ROW) {
		r = store_fail(db, rc, path, "checking it", e);
	} else if (!text || strcmp(text, "ok") != 0) {
		err_set(e, ERR_DAMAGED, "the fleet's database %s is damaged (%.200s)", path, text ? text : "no answer");
		r = err_hint(e, "%s", STORE_DAMAGED_HINT);
	}
	sqlite3_finalize(st);
	return r;
}

/* ---- findings ---- */

struct look {
	sqlite3 *db;
	const char *path;
	json_t *findings;
	bool damaged;
};

static void found(struct look *l, const char *kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void found(struct look *l, const char *kind, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	if (json_array_size(l->findings) >= STORE_FINDINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_t *words = json_string(text);
	json_array_append_new(l->findings, json_pack("{s:s, s:o}", "kind", kind, "text",
		words ? words : json_string("(what it says is no UTF-8)")));
}

/* A query that could not be run or finished is a finding by itself. */
static void failed(struct look *l, const char *what)
{
	int rc = sqlite3_errcode(l->db) & 0xff;

	if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
		l->damaged = true;
	found(l, rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? "damage" : "unread", "%s could not be looked at: %s",
		what, sqlite3_errmsg(l->db));
}

static const char *text_of(sqlite3_stmt *st, int at)
{
	const char *s = (const char *)sqlite3_column_text(st, at);

	return s ? s : "(nothing)";
}

/* Every row of sql is something wrong: say(l, st) puts it in words. */
static void each(struct look *l, const char *what, const char *sql, void (*say)(struct look *, sqlite3_stmt *))
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(l->db, sql, -1, &st, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			say(l, st);
	}
	if (rc != SQLITE_DONE)
		failed(l, what);
	sqlite3_finalize(st);
}

static int64_t number(struct look *l, const char *sql)
{
	sqlite3_stmt *st = NULL;
	int64_t n = 0;

	if (sqlite3_prepare_v2(l->db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return n;
}

/* ---- SQLite's own ---- */

static void say_damage(struct look *l, sqlite3_stmt *st)
{
	if (!strcmp(text_of(st, 0), "ok"))
		return;
	l->damaged = true;
	found(l, "damage", "%s", text_of(st, 0));
}

static void say_foreign(struct look *l, sqlite3_stmt *st)
{
	found(l, "reference", "row %lld of %s refers to a row of %s that is not there",
		(long long)sqlite3_column_int64(st, 1), text_of(st, 0), text_of(st, 2));
}

/* ---- ours ---- */

static void say_parent(struct look *l, sqlite3_stmt *st)
{
	found(l, "parent", "instance %s has the parent %s, an id that was never given out", text_of(st, 0),
		text_of(st, 1));
}

static void say_circle(struct look *l, sqlite3_stmt *st)
{
	found(l, "parent", "instance %s is its own ancestor", text_of(st, 0));
}

static void say_id(struct look *l, sqlite3_stmt *st)
{
	found(l, "id", "the id %s of %s is not among those given out, so it could be given out again", text_of(st, 0),
		text_of(st, 1));
}

static void say_place(struct look *l, sqlite3_stmt *st)
{
	found(l, "place", "instance %s is %s in the place %s, which is not there", text_of(st, 0), text_of(st, 1),
		text_of(st, 2));
}

static void say_state(struct look *l, sqlite3_stmt *st)
{
	enum inst_state in;
	enum place_state pl;
	const char *name = text_of(st, 2);
	bool place = !strcmp(text_of(st, 0), "place");

	if (place ? place_state_from_name(name, &pl) : state_from_name(name, &in))
		found(l, "state", "%s %s has the state '%.40s', which there is not", text_of(st, 0), text_of(st, 1), name);
}

static void say_gap(struct look *l, sqlite3_stmt *st)
{
	found(l, "events", "events %lld to %lld are missing", (long long)sqlite3_column_int64(st, 0) + 1,
		(long long)sqlite3_column_int64(st, 1) - 1);
}

static void say_event(struct look *l, sqlite3_stmt *st)
{
	found(l, "events", "event %lld cannot be read", (long long)sqlite3_column_int64(st, 0));
}

static void say_counter(struct look *l, sqlite3_stmt *st)
{
	found(l, "events", "the counter of events stands at %lld, and there is an event %lld",
		(long long)sqlite3_column_int64(st, 0), (long long)sqlite3_column_int64(st, 1));
}

static void say_key(struct look *l, sqlite3_stmt *st)
{
	found(l, "key", "the spawn key %s names the instance %s, an id that was never given out", text_of(st, 0),
		text_of(st, 1));
}

static const struct {
	const char *what, *sql;
	void (*say)(struct look *l, sqlite3_stmt *st);
} looks[] = {
	{"its pages", "PRAGMA integrity_check(100)", say_damage},
	{"references", "PRAGMA foreign_key_check", say_foreign},
	{"parents",
		"SELECT id, parent FROM instances WHERE parent <> '' AND parent NOT IN (SELECT id FROM ids)", say_parent},
	{"parents",
		"WITH RECURSIVE up(start, id, n) AS (SELECT id, parent, 1 FROM instances WHERE parent <> ''"
		" UNION ALL SELECT start, i.parent, n + 1 FROM up JOIN instances i ON i.id = up.id"
		" WHERE i.parent <> '' AND up.id <> start AND n < 1000) SELECT DISTINCT start FROM up WHERE id = start",
		say_circle},
	{"ids",
		"SELECT id, 'instance' FROM instances WHERE id NOT IN (SELECT id FROM ids)"
		" UNION ALL SELECT id, 'place' FROM places WHERE id NOT IN (SELECT id FROM ids)", say_id},
	{"places",
		"SELECT id, state, place FROM instances WHERE place <> ''"
		" AND state NOT IN ('queued', 'exited', 'failed', 'lost') AND place NOT IN (SELECT id FROM places)",
		say_place},
	{"states", "SELECT 'instance', id, state FROM instances UNION ALL SELECT 'place', id, state FROM places",
		say_state},
	/* A restore leaves a gap on purpose, and says where. */
	{"events",
		"SELECT was, seq FROM (SELECT seq, lag(seq) OVER (ORDER BY seq) AS was FROM events)"
		" WHERE was IS NOT NULL AND seq <> was + 1 AND NOT EXISTS (SELECT 1 FROM meta"
		" WHERE key = 'gap.' || was AND CAST(value AS INTEGER) = seq)", say_gap},
	{"events", "SELECT seq FROM events WHERE NOT json_valid(data)", say_event},
	{"events",
		"SELECT s.seq, m.last FROM sqlite_sequence s, (SELECT max(seq) AS last FROM events) m"
		" WHERE s.name = 'events' AND m.last > s.seq", say_counter},
	{"spawn keys",
		"SELECT key, instance FROM spawn_keys WHERE instance NOT IN (SELECT id FROM ids)", say_key},
};

static json_t *counts(struct look *l)
{
	static const struct {
		const char *name, *sql;
	} all[] = {
		{"instances", "SELECT count(*) FROM instances"},
		{"living", "SELECT count(*) FROM instances WHERE state NOT IN ('exited', 'failed')"},
		{"places", "SELECT count(*) FROM places"},
		{"prompts", "SELECT count(*) FROM prompts"},
		{"events", "SELECT count(*) FROM events"},
		{"last_event", "SELECT seq FROM sqlite_sequence WHERE name='events'"},
	};
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		json_object_set_new(o, all[i].name, json_integer(number(l, all[i].sql)));
	return o;
}

static int64_t size_of(const char *path, const char *suffix)
{
	cleanup_free char *name = xasprintf("%s%s", path, suffix);
	struct stat st;

	return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

json_t *store_check(const char *path, struct err *e)
{
	struct look l = {.path = path};
	int64_t version;
	json_t *o;

	if (store_open_reading(path, &l.db, e) < 0)
		return NULL;
	if (store_ours(l.db, path, e) < 0) {
		sqlite3_close(l.db);
		if (e->code != ERR_DAMAGED)
			return NULL;
		o = json_pack("{s:s, s:n, s:I, s:I, s:b, s:b, s:[{s:s, s:s}], s:{}}", "file", path, "version", "bytes",
			(json_int_t)size_of(path, ""), "wal_bytes", (json_int_t)size_of(path, "-wal"), "ok", 0, "damaged",
			1, "findings", "kind", "damage", "text", e->message, "counts");
		err_clear(e);
		return o;
	}
	l.findings = json_array();
	version = number(&l, "PRAGMA user_version");
	/* One moment for all of it, also beside a daemon that writes. */
	sqlite3_exec(l.db, "BEGIN", NULL, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(looks); i++)
		each(&l, looks[i].what, looks[i].sql, looks[i].say);
	json_t *n = counts(&l);
	sqlite3_exec(l.db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(l.db);
	return json_pack("{s:s, s:I, s:I, s:I, s:b, s:b, s:o, s:o}", "file", path, "version", (json_int_t)version, "bytes",
		(json_int_t)size_of(path, ""), "wal_bytes", (json_int_t)size_of(path, "-wal"), "ok",
		json_array_size(l.findings) == 0, "damaged", l.damaged, "findings", l.findings, "counts", n);
}
