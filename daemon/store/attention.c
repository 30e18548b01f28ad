/* SPDX-License-Identifier: ISC */
/* What needs a person, as it was last known. */
#include "daemon/store/db.h"

#include "base/util.h"

int store_attention_put(struct store *s, const struct attention *a, struct err *e)
{
	static const char sql[] =
		"INSERT INTO attention(key, instance, why, subject, text, since_ms, acked_ms) VALUES(?,?,?,?,?,?,?)"
		" ON CONFLICT(key) DO UPDATE SET text=excluded.text, since_ms=excluded.since_ms, acked_ms=excluded.acked_ms";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, a->key);
	bind_text(st, 2, a->instance);
	bind_text(st, 3, attention_why_name(a->why));
	bind_text(st, 4, a->subject);
	bind_text(st, 5, a->text);
	sqlite3_bind_int64(st, 6, a->since_ms);
	sqlite3_bind_int64(st, 7, a->acked_ms);
	return store_done(s, st, "writing what needs a person", e);
}

int store_attention_delete(struct store *s, const char *key, struct err *e)
{
	static const char sql[] = "DELETE FROM attention WHERE key=?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, key);
	return store_done(s, st, "removing what needed a person", e);
}

int attention_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT key, instance, why, subject, text, since_ms, acked_ms FROM attention ORDER BY since_ms, key";
	int rc;
	sqlite3_stmt *st = ops->attention ? store_stmt(s, sql, e) : NULL;

	if (!st)
		return ops->attention ? -1 : 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct attention *a = xcalloc(1, sizeof(*a));
		str_fmt(a->key, sizeof(a->key), "%s", (const char *)sqlite3_column_text(st, 0));
		str_fmt(a->instance, sizeof(a->instance), "%s", (const char *)sqlite3_column_text(st, 1));
		str_fmt(a->subject, sizeof(a->subject), "%s", (const char *)sqlite3_column_text(st, 3));
		str_fmt(a->text, sizeof(a->text), "%s", (const char *)sqlite3_column_text(st, 4));
		a->since_ms = sqlite3_column_int64(st, 5);
		a->acked_ms = sqlite3_column_int64(st, 6);
		/* A reason that is not known here finds no instance's need: it is removed. */
		if (attention_why_from_name((const char *)sqlite3_column_text(st, 2), &a->why) < 0)
			a->instance[0] = '\0';
		ops->attention(arg, a);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading what needs a person", e);
}
