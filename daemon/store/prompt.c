/* SPDX-License-Identifier: ISC */
/* Prompts: kept under the caller's key, so that asking twice sends once. */
#include "daemon/store/db.h"

#include "base/clock.h"
#include "base/util.h"

#define COLUMNS "key, instance, text, raw, status, reason, created_ms, changed_ms, digest, code, hint, untyped, first"

static int trim_instance(struct store *s, const char *instance, struct err *e)
{
	static const char sql[] =
		"DELETE FROM prompts WHERE instance=?1 AND status NOT IN ('queued', 'delivering') AND rowid <="
		" (SELECT rowid FROM prompts WHERE instance=?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2)";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, PROMPTS_KEPT);
	return store_done(s, st, "removing old prompts", e);
}

/* What was settled long ago answers no retry any more. Now and then, for each that settled some since. */
static int trim(struct store *s, const char *instance, struct err *e)
{
	snprintf(s->settled[s->nsettled++], ID_SIZE, "%s", instance);
	if (s->nsettled < STORE_SETTLED_MAX)
		return 0;
	s->nsettled = 0;
	for (unsigned i = 0; i < STORE_SETTLED_MAX; i++) {
		bool done = false;
		for (unsigned k = 0; k < i && !done; k++)
			done = !strcmp(s->settled[k], s->settled[i]);
		if (!done && trim_instance(s, s->settled[i], e) < 0)
			return -1;
	}
	return 0;
}

int store_prompt_put(struct store *s, const struct prompt *p, struct err *e)
{
	static const char sql[] =
		"INSERT INTO prompts(" COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)"
		" ON CONFLICT(key) DO UPDATE SET"
		" text=CASE WHEN excluded.status IN ('queued', 'delivering') THEN excluded.text ELSE '' END,"
		" status=excluded.status, reason=excluded.reason, changed_ms=excluded.changed_ms,"
		" code=excluded.code, hint=excluded.hint, untyped=excluded.untyped";
	bool open = p->status == PR_QUEUED || p->status == PR_DELIVERING;
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, p->key);
	bind_text(st, 2, p->instance);
	/* Raw input may hold any byte. */
	sqlite3_bind_text(st, 3, p->text && open ? p->text : "", p->text && open ? (int)p->len : 0, SQLITE_STATIC);
	sqlite3_bind_int(st, 4, p->mode);
	bind_text(st, 5, prompt_status_name(p->status));
	bind_text(st, 6, p->reason);
	sqlite3_bind_int64(st, 7, p->created_ms);
	sqlite3_bind_int64(st, 8, p->changed_ms);
	bind_text(st, 9, p->digest);
	bind_text(st, 10, p->code ? err_code_name(p->code) : NULL);
	bind_text(st, 11, p->hint);
	sqlite3_bind_int(st, 12, p->untyped);
	sqlite3_bind_int(st, 13, p->first);
	if (store_done(s, st, "writing a prompt", e) < 0)
		return -1;
	return open ? 0 : trim(s, p->instance, e);
}

static struct prompt *row_read(sqlite3_stmt *st)
{
	struct prompt *p = xcalloc(1, sizeof(*p));
	const char *key = (const char *)sqlite3_column_text(st, 0);
	const char *instance = (const char *)sqlite3_column_text(st, 1);
	const char *digest = (const char *)sqlite3_column_text(st, 8);
	const char *code = (const char *)sqlite3_column_text(st, 9);
	int mode = sqlite3_column_int(st, 3);
	const void *text = sqlite3_column_text(st, 2);
	if (str_fmt(p->key, sizeof(p->key), "%s", key) || !id_valid(instance) || mode < PM_PASTE || mode > PM_KEYS ||
		prompt_status_from_name((const char *)sqlite3_column_text(st, 4), &p->status)) {
		free(p);
		return NULL;
	}
	memcpy(p->instance, instance, ID_SIZE);
	prompt_set(p, (enum prompt_mode)mode, text, (size_t)sqlite3_column_bytes(st, 2));
	if (digest) /* of the whole text, which may be gone */
		str_fmt(p->digest, sizeof(p->digest), "%s", digest);
	p->code = code ? err_code_from_name(code) : ERR_NONE;
	p->reason = column_dup(st, 5);
	p->hint = column_dup(st, 10);
	p->untyped = sqlite3_column_int(st, 11) != 0;
	p->first = sqlite3_column_int(st, 12) != 0;
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

int store_spawn_key_put(struct store *s, const struct spawn_key *k, struct err *e)
{
	static const char sql[] = "INSERT INTO spawn_keys(key, instance, digest, created_ms) VALUES(?,?,?,?)";
	static const char old[] =
		"DELETE FROM spawn_keys WHERE rowid <= (SELECT max(rowid) FROM spawn_keys) - ?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, k->key);
	bind_text(st, 2, k->instance);
	bind_text(st, 3, k->digest);
	sqlite3_bind_int64(st, 4, clock_wall_ms());
	if (store_done(s, st, "writing the key of a spawn", e) < 0)
		return -1;
	st = store_write(s, old, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, SPAWN_KEYS_KEPT);
	return store_done(s, st, "removing old keys", e);
}

int store_spawn_key_get(struct store *s, const char *key, struct spawn_key *ret)
{
	static const char sql[] = "SELECT instance, digest FROM spawn_keys WHERE key=?";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	int rc = -1;
	if (!st)
		return -1;
	bind_text(st, 1, key);
	if (sqlite3_step(st) == SQLITE_ROW) {
		str_fmt(ret->key, sizeof(ret->key), "%s", key);
		str_fmt(ret->instance, sizeof(ret->instance), "%s", (const char *)sqlite3_column_text(st, 0));
		str_fmt(ret->digest, sizeof(ret->digest), "%s", (const char *)sqlite3_column_text(st, 1));
		rc = 0;
	}
	sqlite3_reset(st);
	return rc;
}
