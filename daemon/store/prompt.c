/* SPDX-License-Identifier: ISC */
/* Prompts: kept under the caller's key, so that asking twice sends once. */
#include "daemon/store/db.h"

#include "base/util.h"

#define COLUMNS "key, instance, text, raw, status, reason, created_ms, changed_ms"

int store_prompt_put(struct store *s, const struct prompt *p, struct err *e)
{
	static const char sql[] =
		"INSERT INTO prompts(" COLUMNS ") VALUES(?,?,?,?,?,?,?,?)"
		" ON CONFLICT(key) DO UPDATE SET text=excluded.text, raw=excluded.raw,"
		" status=excluded.status, reason=excluded.reason, changed_ms=excluded.changed_ms";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, p->key);
	bind_text(st, 2, p->instance);
	bind_text(st, 3, p->text);
	sqlite3_bind_int(st, 4, p->raw);
	bind_text(st, 5, prompt_status_name(p->status));
	bind_text(st, 6, p->reason);
	sqlite3_bind_int64(st, 7, p->created_ms);
	sqlite3_bind_int64(st, 8, p->changed_ms);
	return store_done(s, st, "writing a prompt", e);
}

static struct prompt *row_read(sqlite3_stmt *st)
{
	struct prompt *p = xcalloc(1, sizeof(*p));
	const char *key = (const char *)sqlite3_column_text(st, 0);
	const char *instance = (const char *)sqlite3_column_text(st, 1);
	if (str_fmt(p->key, sizeof(p->key), "%s", key) || !id_valid(instance) ||
		prompt_status_from_name((const char *)sqlite3_column_text(st, 4), &p->status)) {
		free(p);
		return NULL;
	}
	memcpy(p->instance, instance, ID_SIZE);
	p->text = column_dup(st, 2);
	p->raw = sqlite3_column_int(st, 3) != 0;
	p->reason = column_dup(st, 5);
	p->created_ms = sqlite3_column_int64(st, 6);
	p->changed_ms = sqlite3_column_int64(st, 7);
	return p;
}

struct prompt *store_prompt_get(struct store *s, const char *key)
{
	static const char sql[] = "SELECT " COLUMNS " FROM prompts WHERE key=?";
	struct prompt *p = NULL;
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	if (!st)
		return NULL;
	bind_text(st, 1, key);
	if (sqlite3_step(st) == SQLITE_ROW)
		p = row_read(st);
	sqlite3_reset(st);
	return p;
}

int prompt_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM prompts"
				  " WHERE status IN ('queued', 'delivering') ORDER BY created_ms, rowid";
	int rc;
	sqlite3_stmt *st = store_stmt(s, sql, e);
	if (!st)
		return -1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct prompt *p = row_read(st);
		if (!p) {
			err_set(e, ERR_IO, "%s: the stored prompt '%s' cannot be read", s->path,
				(const char *)sqlite3_column_text(st, 0));
			sqlite3_reset(st);
			return -1;
		}
		ops->prompt(arg, p);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading prompts", e);
}
