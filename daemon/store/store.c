/* SPDX-License-Identifier: ISC */
/*
 * Opening the store, its one transaction, its statements and its errors.
 *
 * The first write begins a transaction (IMMEDIATE: the write lock is ours from then on), further
 * writes join it, store_commit ends it. SQLite may roll a transaction back by itself when the disk is
 * full, so a write that failed spoils the transaction: until store_rollback every write and the
 * commit are refused. Half a turn is never committed.
 */
#include "daemon/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/util.h"
#include "daemon/store/db.h"
#include "daemon/store/files.h"
#include "daemon/store/migrate.h"

int store_fail(sqlite3 *db, int rc, const char *path, const char *doing, struct err *e)
{
	const char *why = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	int kind = rc & 0xff, number = db && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN) ? sqlite3_system_errno(db) : 0;

	/* The index of the log, and the log itself when it is made anew. */
	if (number == ENOSPC || number == EDQUOT || number == EFBIG)
		rc = SQLITE_FULL;
	switch (rc & 0xff) {
	case SQLITE_FULL:
		err_set(e, ERR_DISK, "no room on disk for %s (%s)", path, doing);
		return err_hint(e, "free some space (rm what ended) and try again");
	case SQLITE_IOERR:
		err_set(e, ERR_IO, "%s: %s failed: %s", path, doing, why);
		return err_hint(e, "look for disk errors (dmesg)");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		err_set(e, ERR_DAMAGED, "the fleet's database %s is damaged (%s: %s)", path, doing, why);
		return err_hint(e, "%s", STORE_DAMAGED_HINT);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		err_set(e, ERR_BUSY, "%s is locked by another program (%s)", path, doing);
		return err_hint(e, "end the program that has it open (fuser %s)", path);
	case SQLITE_CONSTRAINT:
		if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
			return err_set(e, ERR_EXISTS, "%s: it is there already: %s", doing, why);
		return err_set(e, ERR_INTERNAL, "%s broke a rule of the database: %s", doing, why);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		err_set(e, ERR_IO, "%s cannot be opened for writing (%s: %s)", path, doing, why);
		return err_hint(e, "its folder and the file must be yours and writable");
	default:
		return err_set(e, ERR_INTERNAL, "%s: %s failed: %s (%d)", path, doing, why, rc);
	}
}

int store_exec(sqlite3 *db, const char *path, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : store_fail(db, rc, path, "setting it up", e);
}

/* SQLite would make the file with the umask's mode; it holds prompts. */
static int make_private(const char *path, struct err *e)
{
	cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		return 0;
	err_set_errno(e, ERR_IO, errno, "cannot open the fleet's database %s", path);
	return err_hint(e, "its folder and the file must be yours and writable");
}

static int set_up(struct store *s, struct err *e)
{
	static const char pragmas[] = "PRAGMA journal_mode=WAL;"
				      "PRAGMA synchronous=FULL;"
				      "PRAGMA foreign_keys=ON;"
				      "PRAGMA trusted_schema=OFF;"
				      "PRAGMA secure_delete=ON;" /* a settled prompt is gone */
				      "PRAGMA temp_store=MEMORY;";
	char limit[64];

	sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
	sqlite3_extended_result_codes(s->db, 1);
	snprintf(limit, sizeof(limit), "PRAGMA journal_size_limit=%d", STORE_WAL_LIMIT);
	/* Nothing of a newer or damaged file is changed: WAL is set only after both were looked at. */
	if (store_integrity(s->db, s->path, false, e) ||
		store_migrate(s->db, s->path, store_migrations, store_migrations_count, e))
		return -1;
	return store_exec(s->db, s->path, pragmas, e) || store_exec(s->db, s->path, limit, e) ? -1
											       : 0;
}

static int look_whole(struct store *s, struct err *e)
{
	cleanup_free char *mark = xasprintf("%s" STORE_DAMAGE_SUFFIX, s->path);

	if (access(mark, F_OK) < 0)
		return 0;
	if (store_integrity(s->db, s->path, true, e) < 0)
		return -1;
	unlink(mark); /* it was put right, or the disk was wrong for a moment */
	return 0;
}

int store_open(const char *path, struct store **ret, struct err *e)
{
	struct stat st;
	bool fresh;

	if (store_restore_finish(path, NULL, e) < 0)
		return -1;
	fresh = stat(path, &st) < 0 || st.st_size == 0;
	if (make_private(path, e))
		return -1;
	store_wrap_writes();
	struct store *s = xcalloc(1, sizeof(*s));
	s->path = xstrdup(path);
	s->last_event = s->upto = -1;
	int rc = sqlite3_open_v2(path, &s->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc != SQLITE_OK ? store_fail(s->db, rc, path, "opening it", e) : look_whole(s, e) || set_up(s, e)) {
		store_close(s);
		return -1;
	}
	s->fresh = fresh;
	instance_sql_init(s);
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_rollback(s);
	for (size_t i = 0; i < s->ncache; i++)
		sqlite3_finalize(s->cache[i].st);
	sqlite3_close(s->db);
	free(s->path);
	free(s);
}

sqlite3_stmt *store_stmt(struct store *s, const char *sql, struct err *e)
{
	for (size_t i = 0; i < s->ncache; i++) {
		if (s->cache[i].sql == sql) {
			sqlite3_reset(s->cache[i].st);
			sqlite3_clear_bindings(s->cache[i].st);
			return s->cache[i].st;
		}
	}
	sqlite3_stmt *st = NULL;
	if (s->ncache == STORE_STATEMENTS_MAX) {
		err_set(e, ERR_INTERNAL, "the store has more than %d statements",
			STORE_STATEMENTS_MAX);
		return NULL;
	}
	int rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
	if (rc != SQLITE_OK) {
		store_fail(s->db, rc, s->path, "preparing a statement", e);
		return NULL;
	}
	s->cache[s->ncache].sql = sql;
	s->cache[s->ncache++].st = st;
	return st;
}

static int step_plain(struct store *s, const char *sql, const char *doing, struct err *e)
{
	sqlite3_stmt *st = store_stmt(s, sql, e);
	if (!st)
		return -1;
	int rc = sqlite3_step(st);
	int r = rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, doing, e);
	sqlite3_reset(st);
	return r;
}

sqlite3_stmt *store_write(struct store *s, const char *sql, struct err *e)
{
	static const char begin[] = "BEGIN IMMEDIATE";

	if (s->damage.code) {
		*(e ? e : &(struct err){0}) = s->damage;
		return NULL;
	}
	if (s->failed) {
		err_set(e, ERR_STATE, "an earlier write of this transaction failed");
		return NULL;
	}
	if (!s->open) {
		int64_t durable = store_event_last(s);
		struct err why = {0};
		if (step_plain(s, begin, "beginning a transaction", &why)) {
			/* Its time has not come: nothing was done, so nothing is lost by waiting. */
			if (why.code != ERR_BUSY) {
				*(e ? e : &(struct err){0}) = why;
				return NULL;
			}
			s->held = true;
		}
		s->durable_event = durable;
		s->open = true;
	}
	sqlite3_stmt *st = store_stmt(s, sql, e);
	s->failed = !st;
	return st;
}

int store_done(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e)
{
	if (s->held)
		return hold_add(s, st, doing, e);
	int rc = sqlite3_step(st);
	if (rc != SQLITE_DONE) {
		s->failed = true;
		store_fail(s->db, rc, s->path, doing, e);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

bool store_dirty(const struct store *s)
{
	return s->open;
}

int store_commit(struct store *s, struct err *e)
{
	static const char commit[] = "COMMIT";

	if (!s->open)
		return 0;
	if (s->failed)
		return err_set(e, ERR_STATE, "an earlier write of this transaction failed");
	if (s->held && store_resume(s, 0, e) < 0)
		return -1;
	int64_t start = clock_mono_us();
	if (FAULT_ERROR("store.commit", e) || step_plain(s, commit, "committing", e)) {
		s->failed = true;
		return -1;
	}
	s->commits++;
	s->commit_us += clock_mono_us() - start;
	s->open = false;
	FAULT_POINT("store.committed");
	return 0;
}

void store_commits(const struct store *s, int64_t *ret_count, int64_t *ret_us)
{
	*ret_count = s->commits;
	*ret_us = s->commit_us;
}

void store_rollback(struct store *s)
{
	/* SQLite may have rolled back already: then there is nothing to say. */
	if (s->open && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	hold_drop(s);
	s->open = s->failed = false;
	s->last_event = s->upto = -1;
	s->first_event = 0;
}

int store_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	if (s->damage.code)
		return salvage_load(s, ops, arg, e);
	return place_load(s, ops, arg, e) || instance_load(s, ops, arg, e) ||
				       prompt_load(s, ops, arg, e) || intent_load(s, ops, arg, e) ||
			       spawn_time_load(s, ops, arg, e) || approval_load(s, ops, arg, e) || schedule_load(s, ops, arg, e) || transcript_load(s, ops, arg, e) ||
			       attention_load(s, ops, arg, e) ||
			       usage_load(s, ops, arg, e)
		? -1
		: 0;
}

void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	if (text)
		sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

void bind_json(sqlite3_stmt *st, int at, const json_t *v)
{
	char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	if (text)
		sqlite3_bind_text(st, at, text, -1, free);
}

char *column_dup(sqlite3_stmt *st, int at)
{
	return xstrdup((const char *)sqlite3_column_text(st, at));
}
