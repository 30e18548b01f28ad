/* SPDX-License-Identifier: ISC */
/* Places. */
#include "daemon/store/db.h"

#include "base/util.h"

static const char put_sql[] =
	"INSERT INTO places(id, driver, template, state, number, accel, holder_pid, shim_pid, shim_seq,"
	" boot_ms, boot_tries, created_ms, boot) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)"
	" ON CONFLICT(id) DO UPDATE SET driver=excluded.driver, template=excluded.template,"
	" state=excluded.state, number=excluded.number, accel=excluded.accel,"
	" holder_pid=excluded.holder_pid, shim_pid=excluded.shim_pid, shim_seq=excluded.shim_seq,"
	" boot_ms=excluded.boot_ms, boot_tries=excluded.boot_tries,"
	" created_ms=excluded.created_ms, boot=excluded.boot";

int store_place_put(struct store *s, const struct place *p, struct err *e)
{
	sqlite3_stmt *st = store_write(s, put_sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, p->id);
	bind_text(st, 2, p->driver);
	bind_text(st, 3, p->template_name);
	bind_text(st, 4, place_state_name(p->state));
	sqlite3_bind_int64(st, 5, p->number);
	bind_text(st, 6, p->accel);
	sqlite3_bind_int64(st, 7, p->holder_pid);
	sqlite3_bind_int64(st, 8, p->shim_pid);
	sqlite3_bind_int64(st, 9, (int64_t)p->shim_seq);
	sqlite3_bind_int64(st, 10, p->boot_ms);
	sqlite3_bind_int64(st, 11, p->boot_tries);
	sqlite3_bind_int64(st, 12, p->created_ms);
	bind_text(st, 13, p->boot);
	return store_done(s, st, "writing a place", e);
}

int store_place_delete(struct store *s, const char *id, struct err *e)
{
	static const char sql[] = "DELETE FROM places WHERE id=?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, id);
	return store_done(s, st, "removing a place", e);
}

struct place *place_row(struct store *s, sqlite3_stmt *st, struct err *e)
{
	const char *id = (const char *)sqlite3_column_text(st, 0);
	const char *state = (const char *)sqlite3_column_text(st, 3);
	struct place *p = place_new();
	if (!id || !id_valid(id) || !state || place_state_from_name(state, &p->state)) {
		err_set(e, ERR_IO, "%s: the stored place '%.40s' cannot be read", s->path, id ? id : "");
		place_free(p);
		return NULL;
	}
	memcpy(p->id, id, ID_SIZE);
	p->driver = column_dup(st, 1);
	p->template_name = column_dup(st, 2);
	p->number = sqlite3_column_int64(st, 4);
	p->accel = column_dup(st, 5);
	p->holder_pid = sqlite3_column_int64(st, 6);
	p->shim_pid = sqlite3_column_int64(st, 7);
	p->shim_seq = (uint64_t)sqlite3_column_int64(st, 8);
	p->boot_ms = sqlite3_column_int64(st, 9);
	p->boot_tries = sqlite3_column_int64(st, 10);
	p->created_ms = sqlite3_column_int64(st, 11);
	p->boot = column_dup(st, 12);
	return p;
}

int place_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] =
		"SELECT " PLACE_COLUMNS " FROM places ORDER BY created_ms, id";
	int rc;
	sqlite3_stmt *st = store_stmt(s, sql, e);
	if (!st)
		return -1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct place *p = place_row(s, st, e);
		if (!p) {
			sqlite3_reset(st);
			return -1;
		}
		ops->place(arg, p);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading places", e);
}
