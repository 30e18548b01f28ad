/* SPDX-License-Identifier: ISC */
/* Notices, and which things that need a person went into which of them. */
#include "daemon/store/db.h"

#include "base/util.h"

int store_notice_put(struct store *s, const struct notice *n, struct err *e)
{
	static const char sql[] =
		"INSERT INTO notices(id, channel, status, body, attempts, next_ms, created_ms, changed_ms, error)"
		" VALUES(?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET status=excluded.status, attempts=excluded.attempts,"
		" next_ms=excluded.next_ms, changed_ms=excluded.changed_ms, error=excluded.error";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, n->id);
	bind_text(st, 2, n->channel);
	bind_text(st, 3, notice_status_name(n->status));
	bind_text(st, 4, n->body);
	sqlite3_bind_int64(st, 5, n->attempts);
	sqlite3_bind_int64(st, 6, n->next_ms);
	sqlite3_bind_int64(st, 7, n->created_ms);
	sqlite3_bind_int64(st, 8, n->changed_ms);
	bind_text(st, 9, n->error);
	return store_done(s, st, "writing a notice", e);
}

int store_notices_trim(struct store *s, struct err *e)
{
	static const char old[] = "DELETE FROM notices WHERE n <= (SELECT n FROM notices ORDER BY n DESC LIMIT 1 OFFSET ?)"
				  " AND status NOT IN ('pending', 'sending', 'begun')";
	static const char things[] = "DELETE FROM notified WHERE notice IS NOT NULL AND notice NOT IN (SELECT id FROM notices)"
				     " AND key NOT IN (SELECT key FROM attention)";
	sqlite3_stmt *st = store_write(s, old, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, NOTICES_KEPT);
	if (store_done(s, st, "removing old notices", e) < 0)
		return -1;
	st = store_write(s, things, e);
	return st ? store_done(s, st, "removing what old notices told", e) : -1;
}

int store_notices(struct store *s, bool open, int64_t limit, void (*fn)(void *arg, struct notice *n), void *arg, struct err *e)
{
	static const char all[] = "SELECT id, channel, status, body, attempts, next_ms, created_ms, changed_ms, error FROM notices"
				  " ORDER BY n DESC LIMIT ?";
	static const char opened[] = "SELECT id, channel, status, body, attempts, next_ms, created_ms, changed_ms, error"
				     " FROM notices WHERE status IN ('pending', 'sending', 'begun') ORDER BY n LIMIT ?";
	sqlite3_stmt *st = store_stmt(s, open ? opened : all, e);
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, limit);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct notice *n = xcalloc(1, sizeof(*n));
		str_fmt(n->id, sizeof(n->id), "%s", (const char *)sqlite3_column_text(st, 0));
		str_fmt(n->channel, sizeof(n->channel), "%s", (const char *)sqlite3_column_text(st, 1));
		if (notice_status_from_name((const char *)sqlite3_column_text(st, 2), &n->status) < 0)
			n->status = NO_UNKNOWN;
		n->body = column_dup(st, 3);
		n->attempts = sqlite3_column_int64(st, 4);
		n->next_ms = sqlite3_column_int64(st, 5);
		n->created_ms = sqlite3_column_int64(st, 6);
		n->changed_ms = sqlite3_column_int64(st, 7);
		n->error = column_dup(st, 8);
		fn(arg, n);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading notices", e);
}

int store_notified_put(struct store *s, const char *key, const char *channel, const char *notice, int64_t due_ms, struct err *e)
{
	static const char sql[] = "INSERT INTO notified(key, channel, notice, due_ms) VALUES(?,?,?,?)"
				  " ON CONFLICT(key, channel) DO UPDATE SET notice=excluded.notice";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, key);
	bind_text(st, 2, channel);
	bind_text(st, 3, notice);
	sqlite3_bind_int64(st, 4, due_ms);
	return store_done(s, st, "writing that somebody is to be told", e);
}

int store_notified_drop(struct store *s, const char *key, struct err *e)
{
	static const char sql[] = "DELETE FROM notified WHERE key=? AND notice IS NULL";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, key);
	return store_done(s, st, "writing that nobody is to be told", e);
}

bool store_notified(struct store *s, const char *key, const char *channel)
{
	static const char sql[] = "SELECT 1 FROM notified WHERE key=? AND channel=?";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);

	if (!st)
		return false;
	bind_text(st, 1, key);
	bind_text(st, 2, channel);
	bool found = sqlite3_step(st) == SQLITE_ROW;
	sqlite3_reset(st);
	return found;
}

int store_notified_waiting(struct store *s, void (*fn)(void *arg, const char *key, const char *channel, int64_t due_ms), void *arg,
	struct err *e)
{
	static const char sql[] = "SELECT key, channel, due_ms FROM notified WHERE notice IS NULL ORDER BY due_ms, key";
	sqlite3_stmt *st = store_stmt(s, sql, e);
	int rc;

	if (!st)
		return -1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		fn(arg, (const char *)sqlite3_column_text(st, 0), (const char *)sqlite3_column_text(st, 1),
			sqlite3_column_int64(st, 2));
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading who is to be told", e);
}
