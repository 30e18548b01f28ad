/* SPDX-License-Identifier: ISC */
/*
 * Copies of a database, and a copy in its place.
 *
 * A copy is made by SQLite's backup calls under one read transaction, so it is of one moment while others write. It
 * is synced and read through before it gets its name.
 *
 * A restore is prepared whole under another name and decided by one rename, to FILE.restore. What follows can be
 * interrupted anywhere and is carried out again by whoever opens the database next (store_restore_finish): the
 * old file with its -wal and -shm (a stale log must never meet a new file) goes aside under a name that depends on
 * nothing but FILE.restore itself, then FILE.restore becomes FILE.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"
#include "daemon/store/db.h"
#include "daemon/store/files.h"
#include "daemon/store/migrate.h"

#define STEP_PAGES 512
#define RAW_PIECE (1024 * 1024)
#define STAMP_MAX 24
#define AUTO_PREFIX "auto-"
#define BESIDE_BYTES (64 * 1024 * 1024LL) /* a copy leaves that free: the daemon needs some */

static int sync_path(const char *path, int flags, struct err *e)
{
	cleanup_close int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return err_set_errno(e, ERR_IO, errno, "cannot write %s to disk", path);
	return 0;
}

static int sync_folder_of(const char *path, struct err *e)
{
	cleanup_free char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');

	if (slash)
		slash[slash == dir] = '\0';
	return sync_path(slash ? dir : ".", O_RDONLY | O_DIRECTORY, e);
}

static void drop_with_logs(const char *path)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		cleanup_free char *name = xasprintf("%s%s", path, ends[i]);
		unlink(name);
	}
}

/* ---- a copy ---- */

static int copy_pages(sqlite3 *from, sqlite3 *to, const char *path, store_progress_fn *fn, void *arg, struct err *e)
{
	sqlite3_backup *b;
	int rc;

	/* The transaction keeps the copy to one moment, and from beginning anew with each commit of others. */
	rc = sqlite3_exec(from, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return store_fail(from, rc, path, "reading it", e);
	b = sqlite3_backup_init(to, "main", from, "main");
	if (!b)
		return store_fail(to, sqlite3_errcode(to), path, "copying it", e);
	while ((rc = sqlite3_backup_step(b, STEP_PAGES)) == SQLITE_OK)
		if (fn)
			fn(arg, sqlite3_backup_pagecount(b) - sqlite3_backup_remaining(b), sqlite3_backup_pagecount(b));
	sqlite3_backup_finish(b);
	if (rc != SQLITE_DONE)
		return store_fail(sqlite3_errcode(to) != SQLITE_OK ? to : from, rc, path, "copying it", e);
	return 0;
}

/* Makes the file, private, then opens it for SQLite. */
static int open_new(const char *to, sqlite3 **ret, struct err *e)
{
	int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	sqlite3 *db = NULL;

	if (fd < 0) {
		err_set_errno(e, ERR_IO, errno, "cannot make the file %s", to);
		return err_hint(e, "name a file that is not there, in a folder that can be written");
	}
	close(fd);
	int rc = sqlite3_open_v2(to, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF", NULL, NULL, NULL);
	if (rc == SQLITE_OK) {
		*ret = db;
		return 0;
	}
	store_fail(db, rc, to, "opening it", e);
	sqlite3_close(db);
	return -1;
}

static int copy_to(const char *path, const char *tmp, store_progress_fn *fn, void *arg, struct err *e)
{
	sqlite3 *from = NULL, *to = NULL;
	int r;

	if (store_open_reading(path, &from, e) < 0)
		return -1;
	r = store_ours(from, path, e) < 0 || open_new(tmp, &to, e) < 0 ? -1 : copy_pages(from, to, path, fn, arg, e);
	/* A file by itself: not one that wants a log beside it. */
	if (r == 0)
		sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
	sqlite3_close(from);
	sqlite3_close(to);
	return r;
}

static int copy_raw(const char *from, const char *to, struct err *e)
{
	cleanup_close int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	cleanup_close int out = -1;
	cleanup_free char *piece = xcalloc(1, RAW_PIECE);
	struct stat st;
	ssize_t n;

	if (in < 0 || fstat(in, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot read %s", from);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "%s is no file", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot make the file %s", to);
	while ((n = read(in, piece, RAW_PIECE)) > 0)
		if (write_all(out, piece, (size_t)n) < 0)
			return err_set_errno(e, ERR_IO, errno, "cannot write %s", to);
	if (n < 0 || fsync(out) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot copy %s", from);
	return 0;
}

static int verify(const char *path, struct err *e)
{
	sqlite3 *db = NULL;
	int r;

	if (store_open_reading(path, &db, e) < 0)
		return -1;
	r = store_ours(db, path, e) < 0 ? -1 : store_integrity(db, path, true, e);
	sqlite3_close(db);
	return r;
}

/* Gives a finished file its name, unless that is taken. */
static int take_name(const char *tmp, const char *to, struct err *e)
{
	if (link(tmp, to) < 0) {
		err_set_errno(e, errno == EEXIST ? ERR_EXISTS : ERR_IO, errno, "cannot name the copy %s", to);
		return err_hint(e, "name a file that is not there");
	}
	unlink(tmp);
	return sync_folder_of(to, e);
}

int store_backup(const char *path, const char *to, store_progress_fn *fn, void *arg,
	char ret_damaged[ERR_MESSAGE_MAX], struct err *e)
{
	cleanup_free char *tmp = xasprintf("%s.part", to), *wal = xasprintf("%s-wal", path);
	cleanup_free char *to_wal = xasprintf("%s-wal", to);
	struct err why = {0};
	int r;

	if (access(to, F_OK) == 0) {
		err_set(e, ERR_EXISTS, "%s is there already", to);
		return err_hint(e, "name a file that is not there");
	}
	ret_damaged[0] = '\0';
	store_wrap_writes();
	drop_with_logs(tmp);
	r = copy_to(path, tmp, fn, arg, &why);
	if (r == 0 && (r = sync_path(tmp, O_RDWR, &why)) == 0)
		r = verify(tmp, &why);
	if (r < 0 && why.code == ERR_DAMAGED) {
		str_fmt(ret_damaged, ERR_MESSAGE_MAX, "%s", why.message);
		if (!ret_damaged[0])
			strcpy(ret_damaged, "damaged");
		drop_with_logs(tmp);
		err_clear(&why);
		/* Every byte of it is wanted then, with what its log holds. */
		r = copy_raw(path, tmp, &why);
		if (r == 0 && access(wal, F_OK) == 0)
			r = copy_raw(wal, to_wal, &why);
	}
	if (r == 0 && take_name(tmp, to, &why) == 0)
		return 0;
	drop_with_logs(tmp);
	if (e)
		*e = why;
	return -1;
}

static int name_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int store_backup_fits(const char *path, const char *dir, struct err *e)
{
	cleanup_free char *wal = xasprintf("%s-wal", path);
	struct stat st = {0}, log = {0};
	struct statvfs v;

	/* What cannot be told is found out by the copy. */
	if (stat(path, &st) < 0 || statvfs(dir, &v) < 0)
		return 0;
	stat(wal, &log);
	if ((uint64_t)v.f_bavail * v.f_frsize >= (uint64_t)st.st_size + (uint64_t)log.st_size + BESIDE_BYTES)
		return 0;
	err_set(e, ERR_DISK, "no room in %s for a copy of %lld MiB", dir,
		(long long)(st.st_size + log.st_size + BESIDE_BYTES) >> 20);
	return err_hint(e, "free some space on its file system, or set `backups = 0`");
}

int64_t store_backups_prune(const char *dir, int64_t keep, const char *last)
{
	int64_t gone = 0;
	cleanup_strv char **names = strv_new();
	DIR *d = opendir(dir);
	const struct dirent *ent;
	size_t n;

	while (d && (ent = readdir(d))) {
		size_t len = strlen(ent->d_name);
		if (str_starts(ent->d_name, AUTO_PREFIX) && len > 3 && !strcmp(ent->d_name + len - 3, ".db"))
			strv_push(&names, ent->d_name);
		if (str_starts(ent->d_name, AUTO_PREFIX) && strstr(ent->d_name, ".db.part"))
			unlinkat(dirfd(d), ent->d_name, 0);
	}
	if (d)
		closedir(d);
	n = strv_len(names);
	if (n > 1)
		qsort(names, n, sizeof(*names), name_order);
	/* By their names, which tell their times. A clock that was set back makes the newest look old: it stays. */
	for (size_t i = 0; i < n && (int64_t)(n - i) > keep; i++) {
		cleanup_free char *path = xasprintf("%s/%s", dir, names[i]);
		if (!last || strcmp(path, last) != 0)
			gone += unlink(path) == 0;
	}
	return (int64_t)n - gone;
}

/* ---- a restore ---- */

static int64_t last_event_of(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	int64_t n = 0;

	if (store_open_reading(path, &db, NULL) < 0)
		return 0;
	if (sqlite3_prepare_v2(db, "SELECT seq FROM sqlite_sequence WHERE name='events'", -1, &st, NULL) == SQLITE_OK &&
		sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static int one_text(sqlite3 *db, const char *path, const char *sql, const char *text, int64_t n, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK) {
		if (text)
			sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
		if (n)
			sqlite3_bind_int64(st, 2, n);
		rc = sqlite3_step(st);
	}
	int r = rc == SQLITE_DONE ? 0 : store_fail(db, rc, path, "marking it as restored", e);
	sqlite3_finalize(st);
	return r;
}

static int set_mark(sqlite3 *db, const char *path, const char *from, bool end_unknown, struct err *e)
{
	char at[CLOCK_ISO_MAX];
	json_t *o = json_pack("{s:s, s:s, s:b}", "from", from, "at", clock_iso(clock_wall_ms(), at), "end_unknown",
		end_unknown);
	cleanup_free char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return one_text(db, path, "INSERT INTO meta(key, value) VALUES('" STORE_META_RESTORED "', ?)"
		" ON CONFLICT(key) DO UPDATE SET value=excluded.value", text ? text : "{}", 0, e);
}

/* The numbers of events that somebody may have seen are not given out again; where the gap is, is said. */
static int skip_events(sqlite3 *db, const char *path, int64_t own, int64_t seen, struct err *e)
{
	cleanup_free char *key = xasprintf("gap.%lld", (long long)own);

	if (seen <= own)
		return 0;
	if (own > 0 && one_text(db, path, "INSERT INTO meta(key, value) VALUES(?, CAST(? AS TEXT))"
		" ON CONFLICT(key) DO UPDATE SET value=excluded.value", key, seen + 1, e) < 0)
		return -1;
	cleanup_free char *n = xasprintf("%lld", (long long)seen);
	return one_text(db, path, "UPDATE sqlite_sequence SET seq=CAST(? AS INTEGER) WHERE name='events'", n, 0, e) < 0 ||
			one_text(db, path, "INSERT INTO sqlite_sequence(name, seq) SELECT 'events', CAST(? AS INTEGER)"
				" WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name='events')", n, 0, e) < 0 ? -1 : 0;
}

/*
 * What the copy says is still to be done may have been done since, and is not done again: a prompt would be typed
 * twice, a start be a second one.
 */
static const char settle_sql[] =
	"UPDATE prompts SET status='unknown', text='', reason='the database was restored from a copy'"
	" WHERE status IN ('queued', 'delivering');"
	"UPDATE instances SET state='failed', reason='restored', detail='the database was restored from a copy'"
	" WHERE state='queued';"
	/* What a client made of the old one's events is not what this one says: it is another fleet to it. (Copies made before
	 * fleets had names get one when they are opened.) */
	"UPDATE meta SET value=lower(hex(randomblob(16))) WHERE key='fleet';";

static int prepare(const char *tmp, const char *from, bool end_unknown, int64_t seen, struct err *e)
{
	int64_t own = last_event_of(tmp);
	sqlite3 *db = NULL;
	int r;
	int rc = sqlite3_open_v2(tmp, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);

	if (rc != SQLITE_OK) {
		store_fail(db, rc, tmp, "opening it", e);
		sqlite3_close(db);
		return -1;
	}
	sqlite3_extended_result_codes(db, 1);
	r = set_mark(db, tmp, from, end_unknown, e) < 0 || skip_events(db, tmp, own, seen, e) < 0 ? -1 : 0;
	if (r == 0)
		r = store_exec(db, tmp, settle_sql, e) < 0 ? -1 : 0;
	sqlite3_close(db);
	return r;
}

int store_restore(const char *path, const char *from, bool end_unknown, store_progress_fn *fn, void *arg,
	char **ret_kept, struct err *e)
{
	cleanup_free char *tmp = xasprintf("%s.part", path), *ready = xasprintf("%s" STORE_RESTORE_SUFFIX, path);
	int64_t seen = last_event_of(path);

	store_wrap_writes();
	if (verify(from, e) < 0)
		return -1;
	drop_with_logs(tmp);
	if (copy_to(from, tmp, fn, arg, e) < 0 || prepare(tmp, from, end_unknown, seen, e) < 0 ||
		sync_path(tmp, O_RDWR, e) < 0 || verify(tmp, e) < 0) {
		drop_with_logs(tmp);
		return -1;
	}
	if (rename(tmp, ready) < 0) {
		err_set_errno(e, ERR_IO, errno, "cannot name the copy %s", ready);
		drop_with_logs(tmp);
		return -1;
	}
	return sync_folder_of(path, e) < 0 || store_restore_finish(path, ret_kept, e) < 0 ? -1 : 0;
}

static int move_aside(const char *path, const char *end, const char *aside, struct err *e)
{
	cleanup_free char *from = xasprintf("%s%s", path, end), *to = xasprintf("%s%s", aside, end);

	if (rename(from, to) < 0 && errno != ENOENT)
		return err_set_errno(e, ERR_IO, errno, "cannot put %s aside", from);
	return 0;
}

int store_restore_finish(const char *path, char **ret_kept, struct err *e)
{
	cleanup_free char *ready = xasprintf("%s" STORE_RESTORE_SUFFIX, path);
	cleanup_free char *damaged = xasprintf("%s" STORE_DAMAGE_SUFFIX, path);
	struct stat st;
	struct tm tm;
	char stamp[STAMP_MAX];

	if (lstat(ready, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (!gmtime_r(&st.st_mtime, &tm) || !strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm))
		return err_set(e, ERR_IO, "%s has no time", ready);
	cleanup_free char *aside = xasprintf("%s.replaced-%s", path, stamp);
	/* The log first: with it gone the old file alone is whole again only as what it was put aside as. */
	if (move_aside(path, "-wal", aside, e) < 0 || move_aside(path, "-shm", aside, e) < 0 ||
		move_aside(path, "", aside, e) < 0)
		return -1;
	unlink(damaged);
	if (rename(ready, path) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot put %s in its place", ready);
	if (ret_kept)
		*ret_kept = access(aside, F_OK) == 0 ? take_ptr(aside) : NULL;
	return sync_folder_of(path, e) < 0 ? -1 : 1;
}

int store_restore_end_unknown(const char *path, struct err *e)
{
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	int r = rc == SQLITE_OK ? store_ours(db, path, e) : store_fail(db, rc, path, "opening it", e);

	if (r == 0)
		r = set_mark(db, path, path, true, e);
	sqlite3_close(db);
	return r;
}
