/* SPDX-License-Identifier: ISC */
/* Schedules. Those that ended are kept for a while, without their text: the record of what was sent by itself. */
#include "daemon/store/db.h"

#include "base/util.h"

#define COLUMNS \
	"id, instance, made_by, key, digest, kind, status, way, late, start, states, text, rule, zone, boot, due_ms, due_boot_ms," \
	" times, until_ms, held_ms, count, missed, last_due_ms, last_ms, reason, created_ms, changed_ms"
#define IS_OPEN "status IN ('active', 'paused')"

static int trim(struct store *s, struct err *e)
{
	static const char sql[] =
		"DELETE FROM schedules WHERE NOT (" IS_OPEN ") AND n <="
		" (SELECT n FROM schedules WHERE NOT (" IS_OPEN ") ORDER BY n DESC LIMIT 1 OFFSET ?1)";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, SCHEDULES_KEPT);
	return store_done(s, st, "removing old schedules", e);
}

static void bind_all(sqlite3_stmt *st, const struct schedule *sc)
{
	int i = 0;

	bind_text(st, ++i, sc->id);
	bind_text(st, ++i, sc->instance);
	bind_text(st, ++i, sc->made_by);
	bind_text(st, ++i, sc->key[0] ? sc->key : NULL);
	bind_text(st, ++i, sc->key[0] ? sc->digest : NULL);
	bind_text(st, ++i, schedule_kind_name(sc->kind));
	bind_text(st, ++i, schedule_status_name(sc->status));
	bind_text(st, ++i, prompt_way_name(sc->way));
	sqlite3_bind_int(st, ++i, sc->late);
	sqlite3_bind_int(st, ++i, sc->start);
	sqlite3_bind_int64(st, ++i, sc->when);
	bind_text(st, ++i, schedule_open(sc) ? sc->text : NULL);
	bind_text(st, ++i, sc->rule);
	bind_text(st, ++i, sc->zone);
	bind_text(st, ++i, sc->boot);
	sqlite3_bind_int64(st, ++i, sc->due_ms);
	sqlite3_bind_int64(st, ++i, sc->due_boot_ms);
	sqlite3_bind_int64(st, ++i, sc->times);
	sqlite3_bind_int64(st, ++i, sc->until_ms);
	sqlite3_bind_int64(st, ++i, sc->held_ms);
	sqlite3_bind_int64(st, ++i, sc->count);
	sqlite3_bind_int64(st, ++i, sc->missed);
	sqlite3_bind_int64(st, ++i, sc->last_due_ms);
	sqlite3_bind_int64(st, ++i, sc->last_ms);
	bind_text(st, ++i, sc->reason);
	sqlite3_bind_int64(st, ++i, sc->created_ms);
	sqlite3_bind_int64(st, ++i, sc->changed_ms);
}

int store_schedule_put(struct store *s, const struct schedule *sc, struct err *e)
{
	static const char sql[] =
		"INSERT INTO schedules(" COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
		" ON CONFLICT(id) DO UPDATE SET status=excluded.status,"
		" text=CASE WHEN excluded.text IS NULL THEN NULL ELSE text END,"
		" boot=excluded.boot, due_ms=excluded.due_ms, due_boot_ms=excluded.due_boot_ms, held_ms=excluded.held_ms,"
		" count=excluded.count, missed=excluded.missed, last_due_ms=excluded.last_due_ms, last_ms=excluded.last_ms,"
		" reason=excluded.reason, changed_ms=excluded.changed_ms";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_all(st, sc);
	if (store_done(s, st, "writing a schedule", e) < 0)
		return -1;
	return schedule_open(sc) ? 0 : trim(s, e);
}

static const char *text_at(sqlite3_stmt *st, int at)
{
	return (const char *)sqlite3_column_text(st, at) ?: "";
}

/* NULL: the row does not hold what it should. */
static struct schedule *row_read(sqlite3_stmt *st)
{
	struct schedule *sc = xcalloc(1, sizeof(*sc));
	int i = 11;

	if (!id_valid(text_at(st, 0)) || !id_valid(text_at(st, 1)) || (text_at(st, 2)[0] && !id_valid(text_at(st, 2))) ||
		schedule_kind_from_name(text_at(st, 5), &sc->kind) ||
		schedule_status_from_name(text_at(st, 6), &sc->status) ||
		prompt_way_from_name(text_at(st, 7), &sc->way)) {
		schedule_free(sc);
		return NULL;
	}
	str_fmt(sc->id, ID_SIZE, "%s", text_at(st, 0));
	str_fmt(sc->instance, ID_SIZE, "%s", text_at(st, 1));
	str_fmt(sc->made_by, ID_SIZE, "%s", text_at(st, 2));
	str_fmt(sc->key, KEY_SIZE, "%s", text_at(st, 3));
	str_fmt(sc->digest, SHA256_HEX, "%s", text_at(st, 4));
	sc->late = sqlite3_column_int(st, 8) != 0;
	sc->start = sqlite3_column_int(st, 9) != 0;
	sc->when = (unsigned)sqlite3_column_int64(st, 10);
	sc->text = column_dup(st, i++);
	sc->rule = column_dup(st, i++);
	sc->zone = column_dup(st, i++);
	sc->boot = column_dup(st, i++);
	sc->due_ms = sqlite3_column_int64(st, i++);
	sc->due_boot_ms = sqlite3_column_int64(st, i++);
	sc->times = sqlite3_column_int64(st, i++);
	sc->until_ms = sqlite3_column_int64(st, i++);
	sc->held_ms = sqlite3_column_int64(st, i++);
	sc->count = sqlite3_column_int64(st, i++);
	sc->missed = sqlite3_column_int64(st, i++);
	sc->last_due_ms = sqlite3_column_int64(st, i++);
	sc->last_ms = sqlite3_column_int64(st, i++);
	sc->reason = column_dup(st, i++);
	sc->created_ms = sqlite3_column_int64(st, i++);
	sc->changed_ms = sqlite3_column_int64(st, i++);
	if (sc->zone && (sc->kind != SK_EVERY || time_rule_parse(sc->rule ?: "", &sc->every, NULL) == 0) &&
		(sc->text || !schedule_open(sc)))
		return sc;
	schedule_free(sc);
	return NULL;
}

int store_schedules(struct store *s, const struct schedule_query *q, void (*fn)(void *arg, struct schedule *sc),
	void *arg, struct err *e)
{
	static const char all[] =
		"SELECT " COLUMNS " FROM schedules WHERE (?1 IS NULL OR instance=?1) AND (?2 IS NULL OR id LIKE ?2 || '%')"
		" AND (?4 IS NULL OR key=?4)"
		" ORDER BY n DESC LIMIT ?3";
	static const char open[] =
		"SELECT " COLUMNS " FROM schedules WHERE (?1 IS NULL OR instance=?1) AND (?2 IS NULL OR id LIKE ?2 || '%')"
		" AND (?4 IS NULL OR key=?4)"
		" AND " IS_OPEN " ORDER BY n DESC LIMIT ?3";
	sqlite3_stmt *st = store_stmt(s, q->ended ? all : open, e);
	int rc;

	if (!st)
		return -1;
	bind_text(st, 1, q->instance);
	bind_text(st, 2, q->prefix);
	sqlite3_bind_int64(st, 3, q->limit);
	bind_text(st, 4, q->key);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct schedule *sc = row_read(st);
		if (sc)
			fn(arg, sc);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading schedules", e);
}

int schedule_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM schedules WHERE " IS_OPEN " ORDER BY n";
	sqlite3_stmt *st = ops->schedule ? store_stmt(s, sql, e) : NULL;
	int rc;

	if (!st)
		return ops->schedule ? -1 : 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct schedule *sc = row_read(st);
		if (!sc) {
			err_set(e, ERR_IO, "%s: the stored schedule '%s' cannot be read", s->path, text_at(st, 0));
			sqlite3_reset(st);
			return -1;
		}
		ops->schedule(arg, sc);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading schedules", e);
}
