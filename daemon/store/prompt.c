/* SPDX-License-Identifier: ISC */
/* Prompts: kept under the caller's key, so that asking twice sends once; and what was said to them. */
#include "daemon/store/db.h"

#include "base/clock.h"
#include "base/util.h"

#define COLUMNS \
	"prompts.key, prompts.instance, prompts.text, raw, status, reason, created_ms, changed_ms, digest, code, hint, " \
	"untyped, first, way, stays, interrupts, awaits, delivered_ms, answers.cut, answers.goes_on"
#define FROM " FROM prompts LEFT JOIN answers ON answers.key = prompts.key"
#define IS_OPEN "(status IN ('queued', 'delivering') OR awaits = 1)"

static int trim_instance(struct store *s, const char *instance, struct err *e)
{
	static const char sql[] =
		"DELETE FROM prompts WHERE instance=?1 AND NOT " IS_OPEN " AND rowid <="
		" (SELECT rowid FROM prompts WHERE instance=?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2)";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, PROMPTS_KEPT);
	return store_done(s, st, "removing old prompts", e);
}

/* Of an instance's answers the newest are kept, by their bytes; instance NULL: of all. */
static int trim_answers(struct store *s, const char *instance, int64_t bytes, struct err *e)
{
	static const char sql[] =
		"DELETE FROM answers WHERE (?1 IS NULL OR instance=?1) AND seq <= (SELECT max(seq) FROM"
		" (SELECT seq, sum(bytes) OVER (ORDER BY seq DESC) AS upto FROM answers WHERE ?1 IS NULL OR instance=?1)"
		" WHERE upto > ?2)";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, bytes);
	return store_done(s, st, "removing old answers", e);
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
		if (!done && (trim_instance(s, s->settled[i], e) < 0 ||
				     trim_answers(s, s->settled[i], ANSWER_BYTES_EACH, e) < 0))
			return -1;
	}
	return 0;
}

/* It looks at every answer there is: once for each so many bytes of new ones. */
static int trim_all_answers(struct store *s, size_t added, struct err *e)
{
	s->answers_added += added;
	if (s->answers_added < ANSWER_BYTES_KEPT / 64)
		return 0;
	s->answers_added = 0;
	return trim_answers(s, NULL, ANSWER_BYTES_KEPT, e);
}

static int answer_put(struct store *s, const struct prompt *p, struct err *e)
{
	static const char sql[] = "INSERT INTO answers(key, instance, bytes, cut, goes_on, text) VALUES(?,?,?,?,?,?)"
				  " ON CONFLICT(key) DO UPDATE SET bytes=excluded.bytes, cut=excluded.cut,"
				  " goes_on=excluded.goes_on, text=excluded.text";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, p->key);
	bind_text(st, 2, p->instance);
	sqlite3_bind_int64(st, 3, (int64_t)strlen(p->answer) + ANSWER_ROW_BYTES);
	sqlite3_bind_int(st, 4, p->answer_cut);
	sqlite3_bind_int(st, 5, p->goes_on);
	bind_text(st, 6, p->answer);
	if (store_done(s, st, "writing an answer", e) < 0)
		return -1;
	return trim_all_answers(s, strlen(p->answer) + ANSWER_ROW_BYTES, e);
}

int store_prompt_put(struct store *s, const struct prompt *p, struct err *e)
{
	static const char sql[] =
		"INSERT INTO prompts(key, instance, text, raw, status, reason, created_ms, changed_ms, digest, code, hint,"
		" untyped, first, way, stays, interrupts, awaits, delivered_ms) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
		" ON CONFLICT(key) DO UPDATE SET"
		" text=CASE WHEN excluded.status IN ('queued', 'delivering') THEN excluded.text ELSE '' END,"
		" status=excluded.status, reason=excluded.reason, changed_ms=excluded.changed_ms,"
		" code=excluded.code, hint=excluded.hint, untyped=excluded.untyped, interrupts=excluded.interrupts,"
		" awaits=excluded.awaits, delivered_ms=excluded.delivered_ms,"
		/* Of a retry, when nothing of it was typed before. */
		" way=excluded.way, stays=excluded.stays, created_ms=excluded.created_ms";
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
	bind_text(st, 14, prompt_way_name(p->way));
	sqlite3_bind_int(st, 15, p->stays);
	sqlite3_bind_int(st, 16, p->interrupts);
	sqlite3_bind_int(st, 17, p->awaits);
	sqlite3_bind_int64(st, 18, p->delivered_ms);
	if (store_done(s, st, "writing a prompt", e) < 0 || (p->answer && answer_put(s, p, e) < 0))
		return -1;
	return open || p->awaits ? 0 : trim(s, p->instance, e);
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
		prompt_status_from_name((const char *)sqlite3_column_text(st, 4), &p->status) ||
		prompt_way_from_name((const char *)sqlite3_column_text(st, 13), &p->way)) {
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
	p->stays = sqlite3_column_int(st, 14) != 0;
	p->interrupts = sqlite3_column_int(st, 15) != 0;
	p->awaits = sqlite3_column_int(st, 16) != 0;
	p->delivered_ms = sqlite3_column_int64(st, 17);
	p->answer_cut = sqlite3_column_int(st, 18) != 0;
	p->goes_on = sqlite3_column_int(st, 19) != 0;
	return p;
}

struct prompt *store_prompt_get(struct store *s, const char *key)
{
	static const char sql[] = "SELECT " COLUMNS ", answers.text" FROM " WHERE prompts.key=?";
	struct prompt *p = NULL;
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	if (!st)
		return NULL;
	bind_text(st, 1, key);
	if (sqlite3_step(st) == SQLITE_ROW)
		p = row_read(st);
	if (p)
		p->answer = column_dup(st, 20);
	sqlite3_reset(st);
	return p;
}

int store_prompts(struct store *s, const struct prompt_query *q, void (*fn)(void *arg, struct prompt *p), void *arg,
	struct err *e)
{
	static const char of[] = "SELECT " COLUMNS FROM " WHERE prompts.instance=?1 AND (?2 IS NULL OR status=?2)"
				 " ORDER BY prompts.rowid DESC LIMIT ?3";
	static const char all[] = "SELECT " COLUMNS FROM " WHERE ?1 IS NULL AND (?2 IS NULL OR status=?2)"
				  " ORDER BY prompts.rowid DESC LIMIT ?3";
	sqlite3_stmt *st = store_stmt(s, q->instance ? of : all, e);
	int rc;

	if (!st)
		return -1;
	bind_text(st, 1, q->instance);
	bind_text(st, 2, q->status);
	sqlite3_bind_int64(st, 3, q->limit);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct prompt *p = row_read(st);
		if (p)
			fn(arg, p);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading prompts", e);
}

int prompt_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	/* In the order in which they came; no clock has a say in it. Two queries, for the two partial indexes. */
	static const char sql[] = "SELECT " COLUMNS FROM
				  " WHERE prompts.rowid IN (SELECT rowid FROM prompts WHERE status IN ('queued', 'delivering')"
				  " UNION SELECT rowid FROM prompts WHERE awaits = 1) ORDER BY prompts.rowid";
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
