/* SPDX-License-Identifier: ISC */
/* Whose an instance was that is removed: kept as long as an event that may be about it, so that these can still be filtered. */
#include "daemon/store/db.h"

#include "base/util.h"

int store_gone_put(struct store *s, const char *id, const char *above, const json_t *labels, int64_t seq,
	struct err *e)
{
	static const char sql[] = "INSERT OR REPLACE INTO gone(id, above, labels, seq) VALUES(?,?,?,?)";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, id);
	bind_text(st, 2, above);
	bind_json(st, 3, labels);
	sqlite3_bind_int64(st, 4, seq);
	return store_done(s, st, "writing whose a removed instance was", e);
}

struct gone *store_gone_get(struct store *s, const char *id)
{
	static const char sql[] = "SELECT above, labels FROM gone WHERE id=?";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	struct gone *g = NULL;

	if (!st)
		return NULL;
	bind_text(st, 1, id);
	if (sqlite3_step(st) == SQLITE_ROW) {
		const char *labels = (const char *)sqlite3_column_text(st, 1);
		g = xcalloc(1, sizeof(*g));
		g->above = column_dup(st, 0);
		g->labels = labels ? json_loads(labels, 0, NULL) : NULL;
	}
	sqlite3_reset(st);
	return g;
}

void store_gone_free(struct gone *g)
{
	if (!g)
		return;
	free(g->above);
	json_decref(g->labels);
	free(g);
}

int gone_trim(struct store *s, int64_t to, struct err *e)
{
	static const char sql[] = "DELETE FROM gone WHERE seq <= ?";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, to);
	return store_done(s, st, "forgetting whose removed instances were", e);
}
