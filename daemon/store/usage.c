/* SPDX-License-Identifier: ISC */
/* What agents spent: messages, sums by day, and what else is kept of an instance (model/usage.h). */
#include "daemon/store/db.h"

#include "base/util.h"

#define SUMS "turns, messages, input, output, cache_read, cache_write, cache_write_1h, thinking, web_searches, cost_nano, unpriced"
#define SUMS_ASKED "?,?,?,?,?,?,?,?,?,?,?"
/* Not sum(): that fails where an integer cannot hold it, and no figure of an agent may keep a daemon from starting. */
#define ADDED(f) "CAST(min(total(" #f "), 4000000000000000000) AS INTEGER)"
#define ADDED_SUMS \
	ADDED(turns) "," ADDED(messages) "," ADDED(input) "," ADDED(output) "," ADDED(cache_read) "," ADDED(cache_write) "," \
	ADDED(cache_write_1h) "," ADDED(thinking) "," ADDED(web_searches) "," ADDED(cost_nano) "," ADDED(unpriced)
/* As usage_add; both terms are below a quarter of what an integer holds. */
#define ADD(f) #f "=max(0, min(4000000000000000000, usage_days." #f "+excluded." #f "))"
#define ADD_ALL \
	ADD(turns) "," ADD(messages) "," ADD(input) "," ADD(output) "," ADD(cache_read) "," ADD(cache_write) "," ADD(cache_write_1h) "," \
	ADD(thinking) "," ADD(web_searches) "," ADD(cost_nano) "," ADD(unpriced)
#define SET(f) #f "=excluded." #f
#define SET_ALL \
	SET(turns) "," SET(messages) "," SET(input) "," SET(output) "," SET(cache_read) "," SET(cache_write) "," SET(cache_write_1h) "," \
	SET(thinking) "," SET(web_searches) "," SET(cost_nano) "," SET(unpriced)

_Static_assert(US_FIELDS == 11, "the statements here name every field");

static int bind_sum(sqlite3_stmt *st, int at, const struct usage_sum *s)
{
	for (int i = 0; i < US_FIELDS; i++)
		sqlite3_bind_int64(st, at++, s->n[i]);
	return at;
}

/* What somebody else wrote into the file is bounded, too. */
static void column_sum(sqlite3_stmt *st, int at, struct usage_sum *ret)
{
	struct usage_sum s;

	for (int i = 0; i < US_FIELDS; i++)
		s.n[i] = sqlite3_column_int64(st, at + i);
	*ret = (struct usage_sum){0};
	usage_add(ret, &s, 1);
}

static const char *text_at(sqlite3_stmt *st, int at)
{
	return (const char *)sqlite3_column_text(st, at) ?: "";
}

bool store_usage_get(struct store *s, const char *instance, const char *message, struct usage_message *ret)
{
	static const char sql[] = "SELECT day, model, " SUMS " FROM usage WHERE instance=? AND message=?";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	bool found = false;

	if (!st)
		return false;
	bind_text(st, 1, instance);
	bind_text(st, 2, message);
	if (sqlite3_step(st) == SQLITE_ROW) {
		*ret = (struct usage_message){.day = sqlite3_column_int64(st, 0)};
		str_fmt(ret->model, sizeof(ret->model), "%s", text_at(st, 1));
		column_sum(st, 2, &ret->sum);
		found = true;
	}
	sqlite3_reset(st);
	return found;
}

int store_usage_put(struct store *s, const struct usage_message *m, struct err *e)
{
	static const char sql[] =
		"INSERT INTO usage(instance, message, conversation, turn, time_ms, day, model, effort, side, " SUMS ")"
		" VALUES(?,?,?,?,?,?,?,?,?," SUMS_ASKED ")"
		" ON CONFLICT(instance, message) DO UPDATE SET " SET_ALL;
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, m->instance);
	bind_text(st, 2, m->message);
	bind_text(st, 3, m->conversation);
	sqlite3_bind_int64(st, 4, m->turn);
	sqlite3_bind_int64(st, 5, m->time_ms);
	sqlite3_bind_int64(st, 6, m->day);
	bind_text(st, 7, m->model);
	bind_text(st, 8, m->effort);
	sqlite3_bind_int(st, 9, m->side);
	bind_sum(st, 10, &m->sum);
	return store_done(s, st, "writing what a message cost", e);
}

int store_usage_trim(struct store *s, const char *instance, struct err *e)
{
	static const char sql[] =
		"DELETE FROM usage WHERE instance=?1 AND seq <= (SELECT seq FROM usage WHERE instance=?1"
		" ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, USAGE_MESSAGES_KEPT);
	return store_done(s, st, "removing what old messages cost", e);
}

int store_usage_add(struct store *s, const char *instance, enum usage_kind kind, int64_t day, const char *model,
	const struct usage_sum *delta, struct err *e)
{
	static const char sql[] = "INSERT INTO usage_days(instance, kind, day, model, " SUMS ") VALUES(?,?,?,?," SUMS_ASKED ")"
				  " ON CONFLICT(instance, kind, day, model) DO UPDATE SET " ADD_ALL;
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int(st, 2, kind);
	sqlite3_bind_int64(st, 3, day);
	bind_text(st, 4, model);
	bind_sum(st, 5, delta);
	return store_done(s, st, "writing what an instance spent", e);
}

int store_usage_removed(struct store *s, const char *instance, const char *parent, struct err *e)
{
	static const char move[] =
		"INSERT INTO usage_days(instance, kind, day, model, " SUMS ") SELECT ?2, 1, day, model, " ADDED_SUMS
		" FROM usage_days WHERE instance=?1 AND kind IN (0, 1) GROUP BY day, model"
		" ON CONFLICT(instance, kind, day, model) DO UPDATE SET " ADD_ALL;
	static const char drop[] = "DELETE FROM usage_days WHERE instance=?";
	sqlite3_stmt *st = store_write(s, move, e);

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	bind_text(st, 2, parent);
	if (store_done(s, st, "keeping what a removed instance spent", e) < 0 || !(st = store_write(s, drop, e)))
		return -1;
	bind_text(st, 1, instance);
	return store_done(s, st, "removing what an instance spent", e);
}

int store_usage_state_put(struct store *s, const struct usage_state *u, struct err *e)
{
	static const char sql[] =
		"INSERT INTO usage_state(instance, begun, context, model, effort) VALUES(?,?,?,?,?)"
		" ON CONFLICT(instance) DO UPDATE SET begun=excluded.begun, context=excluded.context,"
		" model=excluded.model, effort=excluded.effort";
	sqlite3_stmt *st = store_write(s, sql, e);

	if (!st)
		return -1;
	bind_text(st, 1, u->instance);
	sqlite3_bind_int64(st, 2, u->begun);
	sqlite3_bind_int64(st, 3, u->context);
	bind_text(st, 4, u->model);
	bind_text(st, 5, u->effort);
	return store_done(s, st, "writing where an instance's usage stands", e);
}

bool store_usage_conversation(struct store *s, const char *instance, const char *conversation, const char *but,
	struct usage_sum *ret)
{
	static const char sql[] =
		"SELECT (SELECT count(*) FROM usage WHERE instance=?1), " ADDED_SUMS
		" FROM usage WHERE instance=?1 AND conversation=?2 AND message<>?3";
	sqlite3_stmt *st = store_held(s) ? NULL : store_stmt(s, sql, NULL);
	bool whole = false;

	if (!st)
		return false;
	bind_text(st, 1, instance);
	bind_text(st, 2, conversation);
	bind_text(st, 3, but);
	if (sqlite3_step(st) == SQLITE_ROW) {
		whole = sqlite3_column_int64(st, 0) < USAGE_MESSAGES_KEPT;
		column_sum(st, 1, ret);
	}
	sqlite3_reset(st);
	return whole;
}

/* ---- reading ---- */

int store_usage_days(struct store *s, const char *instance, int64_t since_day, void (*fn)(void *arg, const struct usage_row *r), void *arg,
	struct err *e)
{
	static const char sql[] = "SELECT kind, day, model, " SUMS " FROM usage_days WHERE instance=? AND kind IN (0, 1) AND day>=?";
	sqlite3_stmt *st = store_stmt(s, sql, e);
	int rc;

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, since_day);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct usage_row r = {.instance = instance, .kind = (enum usage_kind)sqlite3_column_int(st, 0),
			.day = sqlite3_column_int64(st, 1), .model = text_at(st, 2), .effort = ""};
		column_sum(st, 3, &r.sum);
		fn(arg, &r);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading usage", e);
}

int store_usage_turns(struct store *s, const char *instance, int64_t since_ms, void (*fn)(void *arg, const struct usage_row *r),
	void *arg, struct err *e)
{
	static const char sql[] =
		"SELECT turn, min(time_ms), group_concat(DISTINCT nullif(model, '')), max(effort), " ADDED_SUMS
		" FROM usage WHERE instance=? AND time_ms>=? GROUP BY turn ORDER BY turn DESC LIMIT ?";
	sqlite3_stmt *st = store_stmt(s, sql, e);
	int rc;

	if (!st)
		return -1;
	bind_text(st, 1, instance);
	sqlite3_bind_int64(st, 2, since_ms);
	sqlite3_bind_int64(st, 3, USAGE_TURNS_SHOWN);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct usage_row r = {.instance = instance, .turn = sqlite3_column_int64(st, 0), .time_ms = sqlite3_column_int64(st, 1),
			.model = text_at(st, 2), .effort = text_at(st, 3)};
		column_sum(st, 4, &r.sum);
		fn(arg, &r);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading usage", e);
}

static int states_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT instance, begun, context, model, effort FROM usage_state";
	sqlite3_stmt *st = store_stmt(s, sql, e);
	int rc;

	if (!st)
		return -1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct usage_state u = {.begun = sqlite3_column_int64(st, 1), .context = sqlite3_column_int64(st, 2)};
		str_fmt(u.instance, sizeof(u.instance), "%s", text_at(st, 0));
		str_fmt(u.model, sizeof(u.model), "%s", text_at(st, 3));
		str_fmt(u.effort, sizeof(u.effort), "%s", text_at(st, 4));
		ops->usage_state(arg, &u);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading usage", e);
}

int usage_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	static const char sql[] = "SELECT instance, kind, " ADDED_SUMS " FROM usage_days GROUP BY instance, kind";
	sqlite3_stmt *st = ops->usage ? store_stmt(s, sql, e) : NULL;
	int rc;

	if (!st)
		return ops->usage ? -1 : 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct usage_row r = {.instance = text_at(st, 0), .kind = (enum usage_kind)sqlite3_column_int(st, 1)};
		column_sum(st, 2, &r.sum);
		ops->usage(arg, &r);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? states_load(s, ops, arg, e) : store_fail(s->db, rc, s->path, "reading usage", e);
}
