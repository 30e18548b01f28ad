/* SPDX-License-Identifier: ISC */
/* When somebody spawned, for as long as the rate of spawns is counted over it. */
#include "daemon/store/db.h"

#include "base/util.h"

static int older_go(struct store *s, const char *boot, int64_t before, struct err *e)
{
	static const char sql[] = "DELETE FROM spawn_times WHERE boot=? AND boot_ms<=?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, boot);
	sqlite3_bind_int64(st, 2, before);
	return store_done(s, st, "removing the times of spawns", e);
}

int store_spawn_time_add(struct store *s, const struct spawn_time *t, int64_t older_ms, struct err *e)
{
	static const char sql[] = "INSERT INTO spawn_times(holder, boot, boot_ms, wall_ms) VALUES(?,?,?,?)";
	sqlite3_stmt *st;

	if (older_go(s, t->boot, t->boot_ms - older_ms, e))
		return -1;
	st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, t->holder);
	bind_text(st, 2, t->boot);
	sqlite3_bind_int64(st, 3, t->boot_ms);
	sqlite3_bind_int64(st, 4, t->wall_ms);
	return store_done(s, st, "writing the time of a spawn", e);
}

int store_spawn_times_other(struct store *s, const char *boot, struct err *e)
{
	static const char sql[] = "DELETE FROM spawn_times WHERE boot<>?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, boot);
	return store_done(s, st, "removing the times of spawns", e);
}

int spawn_time_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT holder, boot, boot_ms, wall_ms FROM spawn_times ORDER BY rowid";
	int rc;
	sqlite3_stmt *st = ops->spawn_time ? store_stmt(s, sql, e) : NULL;

	if (!st)
		return ops->spawn_time ? -1 : 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct spawn_time t = {.boot = (const char *)sqlite3_column_text(st, 1),
			.boot_ms = sqlite3_column_int64(st, 2),
			.wall_ms = sqlite3_column_int64(st, 3)};
		str_fmt(t.holder, sizeof(t.holder), "%s", (const char *)sqlite3_column_text(st, 0));
		ops->spawn_time(arg, &t);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading the times of spawns", e);
}
