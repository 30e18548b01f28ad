/* SPDX-License-Identifier: ISC */
/* The schema, as numbered steps from an empty file to what this version reads. */
#ifndef DAEMON_STORE_MIGRATE_H
#define DAEMON_STORE_MIGRATE_H

#include <sqlite3.h>

#include "base/err.h"

/* "tmcl": marks a database file as ours. */
#define STORE_APPLICATION_ID 0x746d636c

/* Row n (from 0) leads from version n to n + 1. A row that was released is never changed. */
struct migration {
	const char *what;
	const char *sql;
};

extern const struct migration store_migrations[];
extern const int store_migrations_count;

/*
 * Brings the database to version n. Steps run in one transaction; an older database with rows in it is
 * copied to PATH.vN (N: its version) before. ERR_VERSION when it is newer than n; ERR_IO when it is
 * no database of ours.
 */
int store_migrate(sqlite3 *db, const char *path, const struct migration *steps, int n,
	struct err *e);

#endif
