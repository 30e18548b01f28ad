/* SPDX-License-Identifier: ISC */
/* The audit: one row a call, appended; only its verdict and its count are ever written again. */
#include "base/clock.h"
#include "daemon/store/db.h"

#define COLUMNS                                                                                    \
	"seq, time_ms, last_ms, count, instance, place, uid, pid, program, method, targets,"       \
	" verdict, code, reason, digest"
/* About whom, and refused ones only: the same parameters in every reading. */
#define WANTED                                                                                     \
	" (?3 IS NULL OR instance=?3 OR instr(targets, ?4)>0) AND (?5=0 OR verdict='refused')"

int store_audit_add(struct store *s, const struct audit_row *r, int64_t *ret_seq, struct err *e)
{
	static const char sql[] =
		"INSERT INTO audit(time_ms, last_ms, count, instance, place, uid, pid, program, method,"
		" targets, verdict, code, reason, digest) VALUES(?1,?1,1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, r->time_ms);
	bind_text(st, 2, r->instance);
	bind_text(st, 3, r->place);
	if (r->uid >= 0)
		sqlite3_bind_int64(st, 4, r->uid);
	if (r->pid >= 0)
		sqlite3_bind_int64(st, 5, r->pid);
	bind_text(st, 6, r->program);
	bind_text(st, 7, r->method);
	if (r->targets)
		bind_json(st, 8, r->targets);
	bind_text(st, 9, r->verdict);
	bind_text(st, 10, r->code);
	bind_text(st, 11, r->reason);
	bind_text(st, 12, r->digest);
	if (store_done(s, st, "writing the audit", e) < 0)
		return -1;
	*ret_seq = s->held ? hold_audit_seq(s) : sqlite3_last_insert_rowid(s->db);
	return 0;
}

int store_audit_settle(struct store *s, int64_t seq, const char *verdict, const char *code, const char *reason,
	struct err *e)
{
	static const char sql[] = "UPDATE audit SET verdict=?2, code=?3, reason=?4 WHERE seq=?1";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, seq);
	bind_text(st, 2, verdict);
	bind_text(st, 3, code);
	bind_text(st, 4, reason);
	return store_done(s, st, "writing the audit", e);
}

int store_audit_count(struct store *s, int64_t seq, int64_t count, int64_t last_ms, struct err *e)
{
	static const char sql[] = "UPDATE audit SET count=?2, last_ms=?3 WHERE seq=?1";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, seq);
	sqlite3_bind_int64(st, 2, count);
	sqlite3_bind_int64(st, 3, last_ms);
	return store_done(s, st, "writing the audit", e);
}

static json_t *text_or_null(sqlite3_stmt *st, int at)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	return text ? json_string(text) : json_null();
}

static json_t *number_or_null(sqlite3_stmt *st, int at)
{
	return sqlite3_column_type(st, at) == SQLITE_NULL ? json_null() : json_integer(sqlite3_column_int64(st, at));
}

static json_t *row_read(sqlite3_stmt *st)
{
	const char *targets = (const char *)sqlite3_column_text(st, 10);
	json_t *o = json_object(), *list = targets ? json_loads(targets, 0, NULL) : NULL;
	char iso[CLOCK_ISO_MAX];

	json_object_set_new(o, "seq", json_integer(sqlite3_column_int64(st, 0)));
	json_object_set_new(o, "time", json_string(clock_iso(sqlite3_column_int64(st, 1), iso)));
	json_object_set_new(o, "last", json_string(clock_iso(sqlite3_column_int64(st, 2), iso)));
	json_object_set_new(o, "count", json_integer(sqlite3_column_int64(st, 3)));
	json_object_set_new(o, "instance", text_or_null(st, 4));
	json_object_set_new(o, "place", text_or_null(st, 5));
	json_object_set_new(o, "uid", number_or_null(st, 6));
	json_object_set_new(o, "pid", number_or_null(st, 7));
	json_object_set_new(o, "program", text_or_null(st, 8));
	json_object_set_new(o, "method", text_or_null(st, 9));
	json_object_set_new(o, "targets", list ? list : json_array());
	json_object_set_new(o, "verdict", text_or_null(st, 11));
	json_object_set_new(o, "code", text_or_null(st, 12));
	json_object_set_new(o, "reason", text_or_null(st, 13));
	json_object_set_new(o, "digest", text_or_null(st, 14));
	return o;
}

json_t *store_audit(struct store *s, const struct audit_query *q, struct err *e)
{
	static const char after[] = "SELECT " COLUMNS " FROM audit WHERE seq>?1 AND time_ms>=?6 AND" WANTED
				    " ORDER BY seq LIMIT ?2";
	static const char last[] = "SELECT * FROM (SELECT " COLUMNS " FROM audit WHERE seq>?1 AND time_ms>=?6 AND"
				   WANTED " ORDER BY seq DESC LIMIT ?2) ORDER BY seq";
	sqlite3_stmt *st = store_stmt(s, q->since >= 0 || q->since_ms > 0 ? after : last, e);
	char quoted[ID_SIZE + 2];
	json_t *out;
	int rc;

	if (!st)
		return NULL;
	sqlite3_bind_int64(st, 1, q->since);
	sqlite3_bind_int64(st, 2, q->limit);
	bind_text(st, 3, q->about);
	snprintf(quoted, sizeof(quoted), "\"%.*s\"", ID_SIZE - 1, q->about ? q->about : "");
	bind_text(st, 4, quoted);
	sqlite3_bind_int(st, 5, q->denied);
	sqlite3_bind_int64(st, 6, q->since_ms);
	out = json_array();
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		json_array_append_new(out, row_read(st));
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (rc == SQLITE_DONE)
		return out;
	json_decref(out);
	store_fail(s->db, rc, s->path, "reading the audit", e);
	return NULL;
}

#define STR_OF(X) #X
#define STR(X) STR_OF(X)

int store_audit_trim(struct store *s, int64_t keep, int64_t before_ms, int64_t most, struct err *e)
{
	static const char sql[] =
		"DELETE FROM audit WHERE seq IN (SELECT seq FROM"
		" (SELECT seq, time_ms FROM audit ORDER BY seq LIMIT ?3)"
		" WHERE seq <= (SELECT max(seq) FROM audit)-?1"
		" OR (time_ms < ?2 AND seq <= (SELECT max(seq) FROM audit)-" STR(AUDIT_FLOOR) "))";
	static const char old[] = "SELECT 1 FROM audit WHERE seq=(SELECT min(seq) FROM audit)"
				  " AND (seq <= (SELECT max(seq) FROM audit)-?1"
				  " OR (time_ms < ?2 AND seq <= (SELECT max(seq) FROM audit)-" STR(AUDIT_FLOOR) "))";
	sqlite3_stmt *st = store_stmt(s, old, e);
	int rc;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, keep);
	sqlite3_bind_int64(st, 2, before_ms);
	rc = sqlite3_step(st);
	sqlite3_reset(st);
	if (rc != SQLITE_ROW) /* the oldest may stay */
		return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading the audit", e);
	st = store_write(s, sql, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, keep);
	sqlite3_bind_int64(st, 2, before_ms);
	sqlite3_bind_int64(st, 3, most);
	return store_done(s, st, "removing old rows of the audit", e);
}

int store_audit_trim_of(struct store *s, const char *instance, int64_t keep, struct err *e)
{
	static const char sql[] = "DELETE FROM audit WHERE instance=?1 AND seq<="
				  " (SELECT seq FROM audit WHERE instance=?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, keep);
	return store_done(s, st, "removing old rows of the audit", e);
}
