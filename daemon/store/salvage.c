/* SPDX-License-Identifier: ISC */
/*
 * A damaged database, as far as it can be read. A table is read in the order of its key from the front until a page
 * fails, then from the back until one does: what stands on damaged pages is left out, and said. Nothing is written,
 * not even its log. A file that SQLite cannot read at all is stood in for by an empty one in memory.
 */
#include "daemon/store/db.h"

#include "base/util.h"
#include "daemon/store/files.h"
#include "daemon/store/migrate.h"

#define SALVAGE_BUSY_MS 1000

static int stand_in(struct store *s, struct err *e)
{
	sqlite3_close(s->db);
	s->db = NULL;
	int rc = sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return store_fail(s->db, rc, s->path, "standing in for it", e);
	return store_migrate(s->db, ":memory:", store_migrations, store_migrations_count, e);
}

/* The index of its log is made in a file, for which a full disk has no room; alone with it, it is made in memory. The
 * home's lock is ours, and nothing is written. */
static int open_alone(struct store *s, struct err *e)
{
	sqlite3_close(s->db);
	s->db = NULL;
	int rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc != SQLITE_OK)
		return store_fail(s->db, rc, s->path, "opening it to read", e);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return store_exec(s->db, s->path, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=ON", e) < 0 ||
			store_ours(s->db, s->path, e) < 0 ? -1 : 0;
}

int store_open_damaged(const char *path, const struct err *why, struct store **ret, struct err *e)
{
	struct store *s = xcalloc(1, sizeof(*s));
	struct err ignored = {0};

	s->path = xstrdup(path);
	s->last_event = -1;
	s->damage = *why;
	if (store_open_reading(path, &s->db, &ignored) == 0 && store_ours(s->db, path, &ignored) == 0)
		sqlite3_busy_timeout(s->db, SALVAGE_BUSY_MS);
	else if (why->code == ERR_DISK && open_alone(s, &ignored) == 0)
		; /* nobody else has it */
	else if (stand_in(s, e) < 0) {
		store_close(s);
		return -1;
	}
	instance_sql_init(s);
	*ret = s;
	return 0;
}

const struct err *store_damage(const struct store *s)
{
	return s->damage.code ? &s->damage : NULL;
}

bool store_fresh(const struct store *s)
{
	return s->fresh;
}

void store_damage_note(const char *path, const struct err *why)
{
	cleanup_free char *mark = xasprintf("%s" STORE_DAMAGE_SUFFIX, path);

	/* It may not be possible: then the next one looks as quickly as ever. */
	file_write_atomic(mark, why->message, strlen(why->message), 0600, NULL);
}

/* ---- rows ---- */

struct salvage {
	struct store *s;
	const struct store_load_ops *ops;
	void *arg;
	struct instance **found;
	size_t n;
	json_t *seen;
};

static void unread(struct salvage *v, const struct err *why)
{
	if (v->ops->unread)
		v->ops->unread(v->arg, why);
}

static bool known(struct salvage *v, const char *id)
{
	if (json_object_get(v->seen, id))
		return true;
	json_object_set_new(v->seen, id, json_true());
	return false;
}

static void take_instance(struct salvage *v, sqlite3_stmt *st)
{
	struct err why = {0};
	struct instance *in = instance_row(st, &why);

	if (!in) {
		unread(v, &why);
	} else if (known(v, in->id)) {
		instance_free(in);
	} else {
		v->found = xrealloc(v->found, (v->n + 1) * sizeof(struct instance *));
		v->found[v->n++] = in;
	}
}

static void take_place(struct salvage *v, sqlite3_stmt *st)
{
	struct err why = {0};
	struct place *p = place_row(v->s, st, &why);

	if (!p)
		unread(v, &why);
	else if (known(v, p->id))
		place_free(p);
	else
		v->ops->place(v->arg, p);
}

/* One way through a table; false when it did not reach the end. */
static bool walk(struct salvage *v, const char *sql, void (*take)(struct salvage *v, sqlite3_stmt *st), bool say)
{
	sqlite3_stmt *st = NULL;
	struct err why = {0};
	int rc = sqlite3_prepare_v2(v->s->db, sql, -1, &st, NULL);

	while ((rc == SQLITE_OK || rc == SQLITE_ROW) && (rc = sqlite3_step(st)) == SQLITE_ROW)
		take(v, st);
	if (rc != SQLITE_DONE && say) {
		store_fail(v->s->db, rc, v->s->path, "reading what is left of it", &why);
		unread(v, &why);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE;
}

static void both_ways(struct salvage *v, const char *select, void (*take)(struct salvage *v, sqlite3_stmt *st))
{
	cleanup_free char *front = xasprintf("%s ORDER BY id", select), *back = xasprintf("%s ORDER BY id DESC", select);

	if (!walk(v, front, take, true))
		walk(v, back, take, false);
}

static int by_creation(const void *a, const void *b)
{
	const struct instance *x = *(const struct instance *const *)a, *y = *(const struct instance *const *)b;

	return x->created_ms != y->created_ms ? (x->created_ms < y->created_ms ? -1 : 1) : strcmp(x->id, y->id);
}

int salvage_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct salvage v = {.s = s, .ops = ops, .arg = arg, .seen = json_object()};
	cleanup_free char *instances = xstrdup(s->instance_all);
	char *order = strstr(instances, " ORDER BY");

	(void)e;
	if (order)
		*order = '\0';
	both_ways(&v, "SELECT " PLACE_COLUMNS " FROM places", take_place);
	both_ways(&v, instances, take_instance);
	if (v.n > 1)
		qsort(v.found, v.n, sizeof(*v.found), by_creation);
	for (size_t i = 0; i < v.n; i++)
		ops->instance(arg, v.found[i]);
	free(v.found);
	json_decref(v.seen);
	return 0;
}
