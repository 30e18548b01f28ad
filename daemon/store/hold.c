/* SPDX-License-Identifier: ISC */
/*
 * Writes while another program has the database's write lock. BEGIN IMMEDIATE is the point at which it is safe to wait:
 * nothing of the transaction is on its way yet. So that the loop need not wait there, the statements are kept as text with
 * their values, in order, and run when the lock is ours; the transaction is then what it would have been. What was
 * committed before is all on disk, and of these nothing is told to anybody until it is, too.
 */
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "daemon/store/db.h"

#define LOCKS_MAX (256 * 1024)

int hold_add(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e)
{
	char *sql = s->held_bytes < STORE_HELD_MAX ? sqlite3_expanded_sql(st) : NULL;

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (!sql) {
		s->failed = true;
		return err_set(e, ERR_BUSY, "%s is locked by another program, and too much waits for it (%s)", s->path, doing);
	}
	s->held_sql = xrealloc(s->held_sql, (s->nheld + 1) * sizeof(char *));
	s->held_sql[s->nheld++] = sql;
	s->held_bytes += strlen(sql);
	return 0;
}

void hold_drop(struct store *s)
{
	for (size_t i = 0; i < s->nheld; i++)
		sqlite3_free(s->held_sql[i]);
	free(s->held_sql);
	s->held_sql = NULL;
	s->nheld = s->held_bytes = 0;
	s->held_audit = 0;
	s->held = false;
}

int64_t hold_audit_seq(struct store *s)
{
	static const char sql[] = "SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name='audit'), 0),"
				  " ifnull((SELECT max(seq) FROM audit), 0))";
	sqlite3_stmt *st = s->held_audit ? NULL : store_stmt(s, sql, NULL);

	if (st && sqlite3_step(st) == SQLITE_ROW)
		s->held_audit = sqlite3_column_int64(st, 0);
	if (st)
		sqlite3_reset(st);
	return ++s->held_audit;
}

bool store_held(const struct store *s)
{
	return s->held;
}

/* Who has a lock for writing on the database or its index, by /proc/locks: "N: POSIX ADVISORY WRITE PID MAJ:MIN:INODE ...".
 * 0: nobody is seen. */
static int holder_of(const char *path, const char *suffix)
{
	cleanup_free char *name = xasprintf("%s%s", path, suffix);
	cleanup_free char *text = NULL;
	char *save = NULL;
	struct stat st;
	int found = 0;

	if (stat(name, &st) < 0 || file_read("/proc/locks", LOCKS_MAX, &text, NULL, NULL) < 0)
		return 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned major, minor;
		uint64_t inode;
		int pid;
		if (sscanf(line, "%*s %*s %*s WRITE %d %x:%x:%" SCNu64, &pid, &major, &minor, &inode) == 4 &&
			inode == st.st_ino && pid != (int)getpid() && pid > 0)
			found = pid;
	}
	return found;
}

static int busy(const struct store *s, struct err *e)
{
	int pid = holder_of(s->path, "-shm");
	char path[32];
	cleanup_free char *name = NULL;

	pid = pid ? pid : holder_of(s->path, "");
	if (!pid) {
		err_set(e, ERR_BUSY, "%s is locked by another program", s->path);
		return err_hint(e, "end the program that has it open (fuser %.200s)", s->path);
	}
	if (str_fmt(path, sizeof(path), "/proc/%d/comm", pid) == 0 && file_read(path, 64, &name, NULL, NULL) == 0)
		name[strcspn(name, "\n")] = '\0';
	err_set(e, ERR_BUSY, "%s is locked by process %d (%s)", s->path, pid, name && utf8_valid(name, strlen(name)) ? name : "?");
	return err_hint(e, "let it finish, or end it, and try again");
}

int store_resume(struct store *s, int wait_ms, struct err *e)
{
	int rc;

	if (!s->held)
		return 0;
	if (s->failed)
		return err_set(e, ERR_STATE, "an earlier write of this transaction failed");
	sqlite3_busy_timeout(s->db, wait_ms);
	rc = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
	if ((rc & 0xff) == SQLITE_BUSY)
		return busy(s, e);
	for (size_t i = 0; rc == SQLITE_OK && i < s->nheld; i++)
		rc = sqlite3_exec(s->db, s->held_sql[i], NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		s->failed = true;
		store_fail(s->db, rc, s->path, "writing what had waited for a lock", e);
		return -1;
	}
	hold_drop(s);
	return 0;
}
