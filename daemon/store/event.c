/* SPDX-License-Identifier: ISC */
/* Events: an append-only list whose numbers rise by one and are never used again. */
#include "base/clock.h"
#include "daemon/store/db.h"

#include "base/util.h"

#define COLUMNS "seq, time_ms, type, instance, place, data"

int store_event_add(struct store *s, enum event_id type, const char *instance, const char *place,
	int64_t time_ms, const json_t *data, int64_t *ret_seq, struct err *e)
{
	static const char sql[] =
		"INSERT INTO events(time_ms, type, instance, place, data) VALUES(?,?,?,?,?)";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, time_ms);
	bind_text(st, 2, event_name(type));
	bind_text(st, 3, instance && *instance ? instance : NULL);
	bind_text(st, 4, place && *place ? place : NULL);
	if (data)
		bind_json(st, 5, data);
	else
		bind_text(st, 5, "{}");
	if (store_done(s, st, "writing an event", e))
		return -1;
	s->last_event = sqlite3_last_insert_rowid(s->db);
	if (ret_seq)
		*ret_seq = s->last_event;
	return 0;
}

static json_t *text_or_null(sqlite3_stmt *st, int at)
{
	const char *text = (const char *)sqlite3_column_text(st, at);
	return text ? json_string(text) : json_null();
}

static json_t *row_read(sqlite3_stmt *st)
{
	json_t *o = json_object();
	json_t *data = json_loads((const char *)sqlite3_column_text(st, 5), JSON_DECODE_ANY, NULL);
	json_object_set_new(o, "seq", json_integer(sqlite3_column_int64(st, 0)));
	char iso[CLOCK_ISO_MAX];
	json_object_set_new(o, "time", json_string(clock_iso(sqlite3_column_int64(st, 1), iso)));
	json_object_set_new(o, "type", text_or_null(st, 2));
	json_object_set_new(o, "instance", text_or_null(st, 3));
	json_object_set_new(o, "place", text_or_null(st, 4));
	json_object_set_new(o, "data", data ? data : json_null());
	return o;
}

json_t *store_events(struct store *s, int64_t since, int64_t limit, const char *instance,
	struct err *e)
{
	static const char after[] = "SELECT " COLUMNS " FROM events WHERE seq>?1 AND seq>0"
				    " ORDER BY seq LIMIT ?2";
	static const char after_of[] = "SELECT " COLUMNS " FROM events WHERE seq>?1 AND instance=?3"
				       " ORDER BY seq LIMIT ?2";
	static const char last[] = "SELECT * FROM (SELECT " COLUMNS " FROM events"
				   " ORDER BY seq DESC LIMIT ?2) ORDER BY seq";
	static const char last_of[] = "SELECT * FROM (SELECT " COLUMNS " FROM events WHERE instance=?3"
				      " ORDER BY seq DESC LIMIT ?2) ORDER BY seq";
	const char *sql = since < 0 ? (instance ? last_of : last) : (instance ? after_of : after);
	int rc;

	sqlite3_stmt *st = store_stmt(s, sql, e);
	if (!st)
		return NULL;
	sqlite3_bind_int64(st, 1, since);
	sqlite3_bind_int64(st, 2, limit < 0 ? 0 : limit);
	if (instance)
		bind_text(st, 3, instance);
	json_t *out = json_array();
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		json_array_append_new(out, row_read(st));
	sqlite3_reset(st);
	if (rc == SQLITE_DONE)
		return out;
	json_decref(out);
	store_fail(s->db, rc, s->path, "reading events", e);
	return NULL;
}

static int64_t one_number(struct store *s, const char *sql)
{
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	int64_t n = 0;
	if (st && sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	if (st)
		sqlite3_reset(st);
	return n;
}

int64_t store_event_last(struct store *s)
{
	/* The counter, not the table: it stays right when all were removed. */
	static const char sql[] = "SELECT seq FROM sqlite_sequence WHERE name='events'";
	if (s->last_event < 0)
		s->last_event = one_number(s, sql);
	return s->last_event;
}

int64_t store_event_durable(struct store *s)
{
	return s->open ? s->durable_event : store_event_last(s);
}

int64_t store_event_first(struct store *s)
{
	static const char sql[] = "SELECT min(seq) FROM events";
	if (s->first_event <= 0)
		s->first_event = one_number(s, sql);
	return s->first_event > store_event_last(s) ? 0 : s->first_event;
}

int store_events_trim(struct store *s, int64_t keep, int64_t most, struct err *e)
{
	static const char sql[] = "DELETE FROM events WHERE seq <= ?";
	int64_t first = store_event_first(s), to = store_event_last(s) - keep;
	sqlite3_stmt *st;

	if (first == 0 || to < first)
		return 0;
	if (to >= first + most)
		to = first + most - 1;
	st = store_write(s, sql, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, to);
	if (store_done(s, st, "removing old events", e) < 0)
		return -1;
	s->first_event = to + 1;
	return 0;
}
