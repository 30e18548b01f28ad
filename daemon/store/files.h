/* SPDX-License-Identifier: ISC */
/*
 * What is done with a database as a whole: checked, copied, put in the place of another. None of it needs
 * a daemon; a check and a backup may run beside one. tmux-claude-db (tool.c) is the program around it.
 */
#ifndef DAEMON_STORE_FILES_H
#define DAEMON_STORE_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* The row of `meta` that a database has from its restore on until nothing lives that it does not know. Its
 * value is a JSON object: from, at, end_unknown. */
#define STORE_META_RESTORED "restored"
/* Beside the database: a restore that is decided and only has to be carried out. */
#define STORE_RESTORE_SUFFIX ".restore"
/* Beside it: why the daemon that ran last called it damaged; the next one checks it thoroughly. */
#define STORE_DAMAGE_SUFFIX ".damaged"
#define STORE_FINDINGS_MAX 100

typedef void store_progress_fn(void *arg, int64_t done, int64_t total); /* pages */

/*
 * Looks through a database: SQLite's own integrity_check, foreign keys, and what holds between our rows.
 * {file, version, bytes, ok, damaged, findings:[{kind, text}], counts:{...}}; a new reference. NULL when it cannot be
 * opened or is none of ours. Changes nothing.
 */
json_t *store_check(const char *path, struct err *e);

/*
 * A consistent copy at `to` (which must not exist; 0600), on disk and read through when this returns. What is written
 * meanwhile is not in it. *ret_damaged: "" or what is wrong with the copy, which is the same as with the original; a
 * file that SQLite cannot read at all is copied byte by byte.
 */
int store_backup(const char *path, const char *to, store_progress_fn *fn, void *arg,
	char ret_damaged[ERR_MESSAGE_MAX], struct err *e);

/* Removes all but the newest `keep` of the automatic copies (auto-*.db) in dir, never the one named last, and what
 * interrupted ones left. How many stay. */
int64_t store_backups_prune(const char *dir, int64_t keep, const char *last);
/* Has the folder's file system room for a copy of that database, and some beside it? ERR_DISK. */
int store_backup_fits(const char *path, const char *dir, struct err *e);

/*
 * Puts a copy of `from` in the database's place. The caller holds the home's lock. The old file (with its -wal) is kept
 * beside it: *ret_kept, owned, NULL when there was none. Events go on behind the old one's last number. The
 * restored database is marked: what lives and is not in it is left alone, unless end_unknown.
 */
int store_restore(const char *path, const char *from, bool end_unknown, store_progress_fn *fn, void *arg,
	char **ret_kept, struct err *e);
/* Carries out a restore that was interrupted. 1: there was one; 0: none; -1. */
int store_restore_finish(const char *path, char **ret_kept, struct err *e);
/* A restored database that is in place: what it does not know is ended at the next start. */
int store_restore_end_unknown(const char *path, struct err *e);

/* The first thing that integrity_check (whole) or quick_check finds: 0 none, ERR_DAMAGED and -1. */
struct sqlite3;
int store_integrity(struct sqlite3 *db, const char *path, bool whole, struct err *e);
/* A connection that reads and changes nothing, also not at its end. */
int store_open_reading(const char *path, struct sqlite3 **ret, struct err *e);

#endif
