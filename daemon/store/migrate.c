/* SPDX-License-Identifier: ISC */
/* Moves a database forward by the numbered steps, after a copy of what was there. */
#include "daemon/store/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/util.h"
#include "daemon/store/db.h"

static int pragma_int(sqlite3 *db, const char *path, const char *sql, int *ret, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int(st, 0);
		sqlite3_finalize(st);
		return 0;
	}
	store_fail(db, rc, path, "reading its version", e);
	sqlite3_finalize(st);
	return -1;
}

static int sync_path(const char *path, int flags, struct err *e)
{
	cleanup_close int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return err_set_errno(e, ERR_IO, errno, "cannot write %s to disk", path);
	return 0;
}

/* Copies the database to PATH.vN, whole or not at all, and on disk when this returns. */
static int backup(sqlite3 *db, const char *path, int version, struct err *e)
{
	cleanup_free char *to = xasprintf("%s.v%d", path, version);
	cleanup_free char *tmp = xasprintf("%s.tmp", to);
	cleanup_free char *dir = xstrdup(path);
	sqlite3_stmt *st = NULL;

	unlink(tmp);
	int rc = sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &st, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_bind_text(st, 1, tmp, -1, SQLITE_STATIC);
		rc = sqlite3_step(st);
	}
	if (rc != SQLITE_DONE)
		store_fail(db, rc, path, "copying it before it is brought to this version", e);
	sqlite3_finalize(st);
	if (rc != SQLITE_DONE || sync_path(tmp, O_RDWR, e))
		goto fail;
	FAULT_POINT("store.backup.copied");
	if (rename(tmp, to)) {
		err_set_errno(e, ERR_IO, errno, "cannot name the copy of the database %s", to);
		goto fail;
	}
	FAULT_POINT("store.backup.named");
	char *slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	return sync_path(slash ? dir : ".", O_RDONLY | O_DIRECTORY, e);
fail:
	unlink(tmp);
	return -1;
}

static int run_steps(sqlite3 *db, const char *path, const struct migration *steps, int from, int to,
	struct err *e)
{
	char mark[64];

	if (store_exec(db, path, "BEGIN IMMEDIATE", e))
		return -1;
	for (int v = from; v < to; v++) {
		if (store_exec(db, path, steps[v].sql, e)) {
			err_prefix(e, "step %d (%s)", v + 1, steps[v].what);
			goto fail;
		}
	}
	snprintf(mark, sizeof(mark), "PRAGMA user_version=%d;PRAGMA application_id=%d", to,
		STORE_APPLICATION_ID);
	FAULT_POINT("store.migrate");
	if (store_exec(db, path, mark, e) || store_exec(db, path, "COMMIT", e))
		goto fail;
	FAULT_POINT("store.migrated");
	return 0;
fail:
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

/* Whose it is; its version. */
static int look(sqlite3 *db, const char *path, int n, int *ret_version, struct err *e)
{
	int version, app, objects;

	if (pragma_int(db, path, "PRAGMA user_version", &version, e) ||
		pragma_int(db, path, "PRAGMA application_id", &app, e) ||
		pragma_int(db, path, "SELECT count(*) FROM sqlite_schema", &objects, e))
		return -1;
	if (objects ? app != STORE_APPLICATION_ID : (app || version)) {
		err_set(e, ERR_IO, "%s is a database, but not one of tmux-claude", path);
		return err_hint(e, "move it away, or set TMUX_CLAUDE_HOME to another folder");
	}
	if (version > n) {
		err_set(e, ERR_VERSION,
			"%s was written by a newer tmux-claude (schema %d; this one knows up to %d)",
			path, version, n);
		return err_hint(e, "install the newer version again; to go back, put the copy it made "
				   "beside the file (.v%d or lower) in its place", n);
	}
	*ret_version = version;
	return 0;
}

int store_ours(sqlite3 *db, const char *path, struct err *e)
{
	int version;

	if (look(db, path, store_migrations_count, &version, e) < 0)
		return -1;
	if (version > 0)
		return 0;
	err_set(e, ERR_IO, "%s is empty: no database of tmux-claude", path);
	return err_hint(e, "look whether another file was meant");
}

int store_migrate(sqlite3 *db, const char *path, const struct migration *steps, int n,
	struct err *e)
{
	int version;

	if (look(db, path, n, &version, e) < 0)
		return -1;
	if (version == n)
		return 0;
	if (version > 0 && backup(db, path, version, e))
		return -1;
	return run_steps(db, path, steps, version, n, e);
}
