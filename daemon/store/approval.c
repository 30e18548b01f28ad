/* SPDX-License-Identifier: ISC */
/* Approvals and grants. Approvals outlive their instance: they are the record of what was allowed to whom. */
#include "daemon/store/db.h"

#include "base/util.h"

#define COLUMNS \
	"id, instance, once, kind, status, tool, agent, match, subject, digest, cut, about, args, diff, cwd," \
	" created_ms, changed_ms, boot, expires_boot_ms, by, reason, output, used_ms"
#define GRANT_COLUMNS \
	"id, instance, tool, whole_tool, subject, about, boot, by, until_boot_ms, created_ms, uses"

static int run_trim(struct store *s, const char *sql, const char *instance, int64_t keep, struct err *e)
{
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, keep);
	return store_done(s, st, "removing old approvals", e);
}

/* Of the older ones what was asked goes, of the oldest all. */
static int trim(struct store *s, const char *instance, struct err *e)
{
	static const char texts[] =
		"UPDATE approvals SET args=NULL, diff=NULL, output=NULL WHERE instance=?1 AND status<>'pending' AND args IS NOT NULL"
		" AND n <= (SELECT n FROM approvals WHERE instance=?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)";
	static const char rows[] =
		"DELETE FROM approvals WHERE instance=?1 AND status<>'pending'"
		" AND n <= (SELECT n FROM approvals WHERE instance=?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)";
	static const char all[] =
		"DELETE FROM approvals WHERE status<>'pending' AND ?1 IS NOT NULL"
		" AND n <= (SELECT max(n) FROM approvals) - ?2";

	if (run_trim(s, texts, instance, APPROVALS_WHOLE, e) < 0 || run_trim(s, rows, instance, APPROVALS_KEPT, e) < 0)
		return -1;
	return run_trim(s, all, instance, APPROVALS_KEPT_ALL, e);
}

int store_approval_put(struct store *s, const struct approval *a, struct err *e)
{
	static const char sql[] =
		"INSERT INTO approvals(" COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
		" ON CONFLICT(id) DO UPDATE SET status=excluded.status, changed_ms=excluded.changed_ms,"
		" by=excluded.by, reason=excluded.reason, output=excluded.output, used_ms=excluded.used_ms";
	sqlite3_stmt *st = store_write(s, sql, e);
	int i = 0;

	if (!st)
		return -1;
	bind_text(st, ++i, a->id);
	bind_text(st, ++i, a->instance);
	bind_text(st, ++i, a->once);
	bind_text(st, ++i, approval_kind_name(a->kind));
	bind_text(st, ++i, approval_status_name(a->status));
	bind_text(st, ++i, a->tool);
	bind_text(st, ++i, a->agent);
	bind_text(st, ++i, a->match);
	bind_text(st, ++i, a->subject);
	bind_text(st, ++i, a->digest);
	sqlite3_bind_int(st, ++i, a->cut);
	bind_text(st, ++i, a->about);
	bind_text(st, ++i, a->args);
	bind_text(st, ++i, a->diff);
	bind_text(st, ++i, a->cwd);
	sqlite3_bind_int64(st, ++i, a->created_ms);
	sqlite3_bind_int64(st, ++i, a->changed_ms);
	bind_text(st, ++i, a->boot);
	sqlite3_bind_int64(st, ++i, a->expires_boot_ms);
	bind_text(st, ++i, a->by);
	bind_text(st, ++i, a->reason);
	bind_text(st, ++i, a->output);
	sqlite3_bind_int64(st, ++i, a->used_ms);
	if (store_done(s, st, "writing an approval", e) < 0)
		return -1;
	return a->status == AP_PENDING ? trim(s, a->instance, e) : 0;
}

static const char *text_at(sqlite3_stmt *st, int at)
{
	return (const char *)sqlite3_column_text(st, at) ?: "";
}

/* NULL: the row does not hold what it should. */
static struct approval *row_read(sqlite3_stmt *st)
{
	struct approval *a = xcalloc(1, sizeof(*a));

	if (!id_valid(text_at(st, 0)) || !id_valid(text_at(st, 1)) ||
		str_fmt(a->once, sizeof(a->once), "%s", text_at(st, 2)) ||
		approval_kind_from_name(text_at(st, 3), &a->kind) ||
		approval_status_from_name(text_at(st, 4), &a->status) ||
		str_fmt(a->tool, sizeof(a->tool), "%s", text_at(st, 5)) ||
		str_fmt(a->agent, sizeof(a->agent), "%s", text_at(st, 6))) {
		approval_free(a);
		return NULL;
	}
	memcpy(a->id, text_at(st, 0), ID_SIZE);
	memcpy(a->instance, text_at(st, 1), ID_SIZE);
	str_fmt(a->match, sizeof(a->match), "%s", text_at(st, 7));
	str_fmt(a->subject, sizeof(a->subject), "%s", text_at(st, 8));
	str_fmt(a->digest, sizeof(a->digest), "%s", text_at(st, 9));
	a->cut = sqlite3_column_int(st, 10) != 0;
	a->about = column_dup(st, 11);
	a->args = column_dup(st, 12);
	a->diff = column_dup(st, 13);
	a->cwd = column_dup(st, 14);
	a->created_ms = sqlite3_column_int64(st, 15);
	a->changed_ms = sqlite3_column_int64(st, 16);
	a->boot = column_dup(st, 17);
	a->expires_boot_ms = sqlite3_column_int64(st, 18);
	a->by = column_dup(st, 19);
	a->reason = column_dup(st, 20);
	a->output = column_dup(st, 21);
	a->used_ms = sqlite3_column_int64(st, 22);
	return a;
}

static struct approval *one(struct store *s, sqlite3_stmt *st)
{
	struct approval *a = NULL;

	(void)s;
	if (sqlite3_step(st) == SQLITE_ROW)
		a = row_read(st);
	sqlite3_reset(st);
	return a;
}

struct approval *store_approval_get(struct store *s, const char *id)
{
	static const char sql[] = "SELECT " COLUMNS " FROM approvals WHERE id=?";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);

	if (!st)
		return NULL;
	bind_text(st, 1, id);
	return one(s, st);
}

struct approval *store_approval_once(struct store *s, const char *instance, const char *once)
{
	static const char sql[] = "SELECT " COLUMNS " FROM approvals WHERE instance=? AND once=?";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);

	if (!st)
		return NULL;
	bind_text(st, 1, instance);
	bind_text(st, 2, once);
	return one(s, st);
}

int store_approvals(struct store *s, const char *instance, int64_t limit,
	bool (*fn)(void *arg, const struct approval *a), void *arg, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM approvals WHERE ?1 IS NULL OR instance=?1 ORDER BY n DESC";
	sqlite3_stmt *st = store_stmt(s, sql, e);
	int rc = SQLITE_DONE;

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	while (limit > 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct approval *a = row_read(st);
		limit -= a && fn(arg, a);
		approval_free(a);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_fail(s->db, rc, s->path, "reading approvals", e);
}

int store_grant_put(struct store *s, const struct grant *g, struct err *e)
{
	static const char sql[] = "INSERT INTO grants(" GRANT_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?)"
				  " ON CONFLICT(id) DO UPDATE SET uses=excluded.uses";
	sqlite3_stmt *st = store_write(s, sql, e);
	int i = 0;

	if (!st)
		return -1;
	bind_text(st, ++i, g->id);
	bind_text(st, ++i, g->instance);
	bind_text(st, ++i, g->tool);
	sqlite3_bind_int(st, ++i, g->whole_tool);
	bind_text(st, ++i, g->subject);
	bind_text(st, ++i, g->about);
	bind_text(st, ++i, g->boot);
	bind_text(st, ++i, g->by);
	sqlite3_bind_int64(st, ++i, g->until_boot_ms);
	sqlite3_bind_int64(st, ++i, g->created_ms);
	sqlite3_bind_int64(st, ++i, g->uses);
	return store_done(s, st, "writing a grant", e);
}

int store_grant_delete(struct store *s, const char *id, struct err *e)
{
	static const char sql[] = "DELETE FROM grants WHERE id=?";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, id);
	return store_done(s, st, "removing a grant", e);
}

static struct grant *grant_row(sqlite3_stmt *st)
{
	struct grant *g = xcalloc(1, sizeof(*g));

	if (!id_valid(text_at(st, 0)) || !id_valid(text_at(st, 1)) ||
		str_fmt(g->tool, sizeof(g->tool), "%s", text_at(st, 2))) {
		grant_free(g);
		return NULL;
	}
	memcpy(g->id, text_at(st, 0), ID_SIZE);
	memcpy(g->instance, text_at(st, 1), ID_SIZE);
	g->whole_tool = sqlite3_column_int(st, 3) != 0;
	str_fmt(g->subject, sizeof(g->subject), "%s", text_at(st, 4));
	g->about = column_dup(st, 5);
	g->boot = column_dup(st, 6);
	g->by = column_dup(st, 7);
	g->until_boot_ms = sqlite3_column_int64(st, 8);
	g->created_ms = sqlite3_column_int64(st, 9);
	g->uses = sqlite3_column_int64(st, 10);
	return g;
}

static int grant_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT " GRANT_COLUMNS " FROM grants ORDER BY created_ms, id";
	sqlite3_stmt *st = ops->grant ? store_stmt(s, sql, e) : NULL;
	int rc;

	if (!st)
		return ops->grant ? -1 : 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct grant *g = grant_row(st);
		if (g) /* one that cannot be read allows nothing */
			ops->grant(arg, g);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading grants", e);
}

int approval_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM approvals WHERE status='pending' ORDER BY n";
	sqlite3_stmt *st = ops->approval ? store_stmt(s, sql, e) : NULL;
	int rc;

	if (!st)
		return ops->approval ? -1 : 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct approval *a = row_read(st);
		if (!a) {
			err_set(e, ERR_IO, "%s: the stored approval '%s' cannot be read", s->path, text_at(st, 0));
			sqlite3_reset(st);
			return -1;
		}
		ops->approval(arg, a);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? grant_load(s, ops, arg, e)
				 : store_fail(s->db, rc, s->path, "reading approvals", e);
}
