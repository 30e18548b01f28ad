/* SPDX-License-Identifier: ISC */
/* What the files of the store share: the connection, cached statements, errors, one transaction. */
#ifndef DAEMON_STORE_DB_H
#define DAEMON_STORE_DB_H

#include <sqlite3.h>

#include "daemon/store/store.h"

#define STORE_STATEMENTS_MAX 128
#define STORE_SQL_MAX 4096
#define STORE_SETTLED_MAX 64 /* prompts settled between two trims */
#define STORE_BUSY_MS 50 /* what a turn may wait for a lock; beyond that its writes are held back (hold.c) */
#define STORE_HELD_MAX (16 * 1024 * 1024) /* bytes of statements held back */
#define STORE_DAMAGED_HINT \
	"look with `tmux-claude db check`, keep a copy with `tmux-claude db backup`, go back with `tmux-claude db restore` " \
	"(`sqlite3 FILE .recover` may save rows)"
#define FLEET_NAME_SIZE 33
#define STORE_WAL_LIMIT (16 * 1024 * 1024) /* the log is cut back to this after a checkpoint */

struct store {
	sqlite3 *db;
	char *path;
	bool open;   /* a transaction is */
	/* While somebody else has the write lock: the transaction's statements, to be run when it is ours. */
	bool held;
	char **held_sql;
	size_t nheld, held_bytes;
	int64_t held_audit; /* the last number of the audit; 0: not known */
	bool fresh;
	struct err damage; /* code set: it is only looked at */
	bool failed; /* ... and a write in it failed: it can only be rolled back */
	char instance_put[STORE_SQL_MAX], instance_all[STORE_SQL_MAX];
	struct {
		const char *sql;
		sqlite3_stmt *st;
	} cache[STORE_STATEMENTS_MAX];
	size_t ncache;
	int64_t commits, commit_us;
	int64_t last_event;  /* -1: not known */
	int64_t durable_event; /* the last one on disk, while a transaction is open */
	int64_t first_event; /* 0: not known, or there is none */
	int64_t upto;        /* of the last event; -1: not known */
	char fleet[FLEET_NAME_SIZE];
	char settled[STORE_SETTLED_MAX][ID_SIZE]; /* instances whose prompts were settled since the last trim */
	unsigned nsettled;
	size_t answers_added; /* bytes, since all of them were last trimmed */
};

/* Turns what SQLite said last into *e; -1. doing: "writing an event". */
int store_fail(sqlite3 *db, int rc, const char *path, const char *doing, struct err *e);
/* The prepared statement for sql, reset and without bindings; the pointer is the key, so sql must
 * live as long as the store. NULL with *e set. */
sqlite3_stmt *store_stmt(struct store *s, const char *sql, struct err *e);
/* As store_stmt, with the transaction begun. */
sqlite3_stmt *store_write(struct store *s, const char *sql, struct err *e);
/* Steps a statement of store_write to its end. A failure spoils the transaction. */
int store_done(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e);
/* It is a database of ours and not empty, of a version that is known: else ERR_IO, ERR_VERSION, ERR_DAMAGED. */
int store_ours(sqlite3 *db, const char *path, struct err *e);
int store_exec(sqlite3 *db, const char *path, const char *sql, struct err *e);

/* NULL binds NULL; the text must live until the statement was stepped. */
void bind_text(sqlite3_stmt *st, int at, const char *text);
/* An array or object, as compact text; NULL binds NULL. */
void bind_json(sqlite3_stmt *st, int at, const json_t *v);
char *column_dup(sqlite3_stmt *st, int at); /* owned, NULL for NULL */

/* salvage.c: what can be read of a damaged database. */
int salvage_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* hold.c */
int hold_add(struct store *s, sqlite3_stmt *st, const char *doing, struct err *e);
void hold_drop(struct store *s);
int64_t hold_audit_seq(struct store *s); /* the number that the audit row just held back will have */
/* full.c: makes every kind of "no room" SQLITE_FULL, for the whole process. */
void store_wrap_writes(void);
/* instance.c */
void instance_sql_init(struct store *s);
int instance_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
struct instance *instance_row(sqlite3_stmt *st, struct err *e);
/* place.c */
#define PLACE_COLUMNS "id, driver, template, state, number, accel, holder_pid, shim_pid, shim_seq," \
	" boot_ms, boot_tries, created_ms, boot"
struct place *place_row(struct store *s, sqlite3_stmt *st, struct err *e);
int place_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* prompt.c */
int prompt_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* spawn_time.c */
int spawn_time_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* gone.c: those whose last event is not kept any more */
int gone_trim(struct store *s, int64_t to, struct err *e);
/* approval.c: grants, too */
int approval_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* attention.c */
int attention_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* schedule.c */
int schedule_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* transcript.c */
int transcript_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* usage.c */
int usage_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* misc.c */
int intent_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);

#endif
