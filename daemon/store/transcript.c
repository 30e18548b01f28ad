/* SPDX-License-Identifier: ISC */
/* Conversations: how far each was read, and which prompts they showed. */
#include "daemon/store/db.h"

#include "base/util.h"

int store_transcript_put(struct store *s, const struct transcript *t, struct err *e)
{
	static const char sql[] =
		"INSERT INTO transcripts(instance, conversation, number, root, path, since_ms, begun_ms, pos, lines, skipped)"
		" VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT(instance, conversation) DO UPDATE SET number=excluded.number,"
		" root=excluded.root, path=excluded.path, since_ms=excluded.since_ms, pos=excluded.pos, lines=excluded.lines,"
		" skipped=excluded.skipped";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, t->instance);
	bind_text(st, 2, t->conversation);
	sqlite3_bind_int64(st, 3, t->number);
	bind_text(st, 4, t->root);
	bind_text(st, 5, t->path);
	sqlite3_bind_int64(st, 6, t->since_ms);
	sqlite3_bind_int64(st, 7, t->begun_ms);
	sqlite3_bind_int64(st, 8, t->pos);
	sqlite3_bind_int64(st, 9, t->lines);
	sqlite3_bind_int64(st, 10, t->skipped);
	return store_done(s, st, "writing how far a conversation was read", e);
}

int transcript_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] =
		"SELECT instance, conversation, number, root, path, since_ms, begun_ms, pos, lines, skipped FROM transcripts"
		" ORDER BY instance, number";
	int rc;
	sqlite3_stmt *st = ops->transcript ? store_stmt(s, sql, e) : NULL;

	if (!st)
		return ops->transcript ? -1 : 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct transcript t = {.number = sqlite3_column_int64(st, 2), .root = column_dup(st, 3), .path = column_dup(st, 4),
			.since_ms = sqlite3_column_int64(st, 5), .begun_ms = sqlite3_column_int64(st, 6),
			.pos = sqlite3_column_int64(st, 7), .lines = sqlite3_column_int64(st, 8),
			.skipped = sqlite3_column_int64(st, 9)};
		str_fmt(t.instance, sizeof(t.instance), "%s", (const char *)sqlite3_column_text(st, 0));
		str_fmt(t.conversation, sizeof(t.conversation), "%s", (const char *)sqlite3_column_text(st, 1));
		ops->transcript(arg, &t);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading conversations", e);
}

/* The oldest that waits in the program's queue was used: 1; there is none: 0. */
static int used(struct store *s, const char *instance, const char *digest, struct err *e)
{
	static const char sql[] =
		"UPDATE transcript_prompts SET waits=0 WHERE seq=(SELECT min(seq) FROM transcript_prompts WHERE instance=? AND digest=?"
		" AND waits=1)";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, instance);
	bind_text(st, 2, digest);
	return store_done(s, st, "writing that a prompt was used", e) < 0 ? -1 : sqlite3_changes(s->db) > 0;
}

int store_transcript_prompt_add(struct store *s, const char *instance, int64_t time_ms, const char *digest, enum seen_prompt how,
	struct err *e)
{
	static const char sql[] = "INSERT INTO transcript_prompts(instance, time_ms, digest, waits) VALUES(?,?,?,?)";
	int known = how == SEEN_QUEUED ? 0 : used(s, instance, digest, e);
	sqlite3_stmt *st = known == 0 && how != SEEN_USED ? store_write(s, sql, e) : NULL;

	if (!st)
		return known < 0 || (known == 0 && how != SEEN_USED) ? -1 : 0;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, time_ms);
	bind_text(st, 3, digest);
	sqlite3_bind_int64(st, 4, how == SEEN_QUEUED);
	return store_done(s, st, "writing that a prompt was seen", e);
}

int store_transcript_prompts_trim(struct store *s, const char *instance, struct err *e)
{
	static const char sql[] =
		"DELETE FROM transcript_prompts WHERE instance=?1 AND seq <= (SELECT seq FROM transcript_prompts"
		" WHERE instance=?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, TRANSCRIPT_PROMPTS_KEPT);
	return store_done(s, st, "removing old prompts that were seen", e);
}

/* The first column of its rows, at most so many; how many. */
static size_t column(sqlite3_stmt *st, int64_t *out, size_t max)
{
	size_t n = 0;

	while (n < max && sqlite3_step(st) == SQLITE_ROW)
		out[n++] = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return n;
}

size_t store_transcript_prompt_times(struct store *s, const char *instance, const char *digest, int64_t since_ms, int64_t *times,
	size_t max)
{
	static const char sql[] = "SELECT time_ms FROM transcript_prompts WHERE instance=? AND digest=? AND time_ms>=? ORDER BY time_ms";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);

	if (!st)
		return 0;
	bind_text(st, 1, instance);
	bind_text(st, 2, digest);
	sqlite3_bind_int64(st, 3, since_ms);
	return column(st, times, max);
}

size_t store_prompts_same(struct store *s, const struct prompt *p, int64_t since_ms, int64_t *created, size_t max)
{
	static const char sql[] = "SELECT created_ms FROM prompts WHERE instance=? AND digest=? AND key<>? AND delivered_ms>=?"
				  " ORDER BY created_ms";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);

	if (!st)
		return 0;
	bind_text(st, 1, p->instance);
	bind_text(st, 2, p->digest);
	bind_text(st, 3, p->key);
	sqlite3_bind_int64(st, 4, since_ms);
	return column(st, created, max);
}
