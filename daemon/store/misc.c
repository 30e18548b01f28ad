/* SPDX-License-Identifier: ISC */
/* The small tables: intents, ids ever used, meta, templates. */
#include "daemon/store/db.h"

#include "base/clock.h"
#include "base/util.h"

int store_intent_add(struct store *s, const char *kind, const char *key, struct err *e)
{
	static const char sql[] = "INSERT INTO intents(kind, key, created_ms) VALUES(?,?,?)"
				  " ON CONFLICT(kind, key) DO NOTHING";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, kind);
	bind_text(st, 2, key);
	sqlite3_bind_int64(st, 3, clock_wall_ms());
	return store_done(s, st, "writing an intent", e);
}

int store_intent_done(struct store *s, const char *kind, const char *key, struct err *e)
{
	static const char sql[] = "DELETE FROM intents WHERE kind=? AND key=?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, kind);
	bind_text(st, 2, key);
	return store_done(s, st, "removing an intent", e);
}

int intent_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT id, kind, key, created_ms FROM intents ORDER BY id";
	int rc;
	sqlite3_stmt *st = store_stmt(s, sql, e);
	if (!st)
		return -1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		cleanup_free char *kind = column_dup(st, 1);
		cleanup_free char *key = column_dup(st, 2);
		const struct intent in = {
			.id = sqlite3_column_int64(st, 0),
			.kind = kind,
			.key = key,
			.created_ms = sqlite3_column_int64(st, 3),
		};
		ops->intent(arg, &in);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading intents", e);
}

bool store_id_used(struct store *s, const char *id)
{
	static const char sql[] = "SELECT 1 FROM ids WHERE id=?";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	/* Cannot be read: a trigger refuses the id anyway when it was used. */
	if (!st)
		return false;
	bind_text(st, 1, id);
	bool used = sqlite3_step(st) == SQLITE_ROW;
	sqlite3_reset(st);
	return used;
}

int store_meta_set(struct store *s, const char *key, const char *value, struct err *e)
{
	static const char sql[] = "INSERT INTO meta(key, value) VALUES(?,?)"
				  " ON CONFLICT(key) DO UPDATE SET value=excluded.value";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, key);
	bind_text(st, 2, value);
	return store_done(s, st, "writing a setting", e);
}

int store_meta_delete(struct store *s, const char *key, struct err *e)
{
	static const char sql[] = "DELETE FROM meta WHERE key=?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, key);
	return store_done(s, st, "removing a setting", e);
}

char *store_meta_get(struct store *s, const char *key)
{
	static const char sql[] = "SELECT value FROM meta WHERE key=?";
	char *v = NULL;
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	if (!st)
		return NULL;
	bind_text(st, 1, key);
	if (sqlite3_step(st) == SQLITE_ROW)
		v = column_dup(st, 0);
	sqlite3_reset(st);
	return v;
}

int store_template_put(struct store *s, const char *name, const json_t *stamp, struct err *e)
{
	static const char sql[] =
		"INSERT INTO templates(name, stamp, seen_ms) VALUES(?,?,?)"
		" ON CONFLICT(name) DO UPDATE SET stamp=excluded.stamp, seen_ms=excluded.seen_ms";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, name);
	bind_json(st, 2, stamp);
	sqlite3_bind_int64(st, 3, clock_wall_ms());
	return store_done(s, st, "writing a template", e);
}

int store_template_delete(struct store *s, const char *name, struct err *e)
{
	static const char sql[] = "DELETE FROM templates WHERE name=?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, name);
	return store_done(s, st, "removing a template", e);
}
