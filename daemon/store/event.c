/* SPDX-License-Identifier: ISC */
/* Events: an append-only list whose numbers rise by one and are never used again. */
#include <string.h>

#include "base/clock.h"
#include "daemon/store/db.h"

#include "base/util.h"

#define EVENT_OVERHEAD 64 /* of a row, beside its data */
#define COLUMNS "seq, time_ms, type, instance, place, data"

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

/* What all events so far took. */
static int64_t upto_last(struct store *s)
{
	static const char sql[] = "SELECT upto FROM events ORDER BY seq DESC LIMIT 1";
	if (s->upto < 0)
		s->upto = one_number(s, sql);
	return s->upto;
}

int store_event_add(struct store *s, enum event_id type, const char *instance, const char *place,
	int64_t time_ms, const json_t *data, int64_t *ret_seq, struct err *e)
{
	static const char sql[] =
		"INSERT INTO events(time_ms, type, instance, place, data, upto) VALUES(?,?,?,?,?,?)";
	sqlite3_stmt *st = store_write(s, sql, e);
	char *text = data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("{}");
	int64_t upto;

	if (!st || !text) {
		free(text);
		return st ? err_set(e, ERR_INTERNAL, "an event's data is no JSON") : -1;
	}
	upto = upto_last(s) + EVENT_OVERHEAD + (int64_t)strlen(text);
	sqlite3_bind_int64(st, 1, time_ms);
	bind_text(st, 2, event_name(type));
	bind_text(st, 3, instance && *instance ? instance : NULL);
	bind_text(st, 4, place && *place ? place : NULL);
	sqlite3_bind_text(st, 5, text, -1, free);
	sqlite3_bind_int64(st, 6, upto);
	if (store_done(s, st, "writing an event", e))
		return -1;
	s->last_event = s->held ? store_event_last(s) + 1 : sqlite3_last_insert_rowid(s->db);
	s->upto = upto;
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

/* The row of one event: its time, and what all up to it took. */
static int event_at(struct store *s, int64_t seq, int64_t *ret_time, int64_t *ret_upto)
{
	static const char sql[] = "SELECT time_ms, upto FROM events WHERE seq=?";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	int r = -1;

	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, seq);
	if (sqlite3_step(st) == SQLITE_ROW) {
		*ret_time = sqlite3_column_int64(st, 0);
		*ret_upto = sqlite3_column_int64(st, 1);
		r = 0;
	}
	sqlite3_reset(st);
	return r;
}

int64_t store_event_last_ms(struct store *s)
{
	static const char sql[] = "SELECT time_ms FROM events ORDER BY seq DESC LIMIT 1";

	return one_number(s, sql);
}

int64_t store_events_bytes(struct store *s)
{
	int64_t first = store_event_first(s), when, upto;

	return first && event_at(s, first, &when, &upto) == 0 ? upto_last(s) - upto : 0;
}

/* The last one to go, or the one before the first. */
static int64_t trim_to(struct store *s, const struct events_keep *keep, int64_t now, int64_t first, int64_t most)
{
	int64_t last = store_event_last(s), to = first - 1, when, upto;

	while (to + 1 < last && to + 1 < first + most) {
		/* What is not there lies in the gap that a restore leaves (store/files.h). */
		if (event_at(s, to + 1, &when, &upto) == 0 && last - to <= keep->events && (!keep->bytes || upto_last(s) - upto <= keep->bytes) &&
			(!keep->age_ms || last - to <= EVENTS_FLOOR || now - when <= keep->age_ms))
			break;
		to++;
	}
	return to;
}

int store_events_trim(struct store *s, const struct events_keep *keep, int64_t now, int64_t most, struct err *e)
{
	static const char sql[] = "DELETE FROM events WHERE seq <= ?";
	int64_t first = store_event_first(s), to = first ? trim_to(s, keep, now, first, most) : 0;
	sqlite3_stmt *st;

	if (first == 0 || to < first)
		return 0;
	st = store_write(s, sql, e);
	if (!st)
		return -1;
	sqlite3_bind_int64(st, 1, to);
	if (store_done(s, st, "removing old events", e) < 0 || gone_trim(s, to, e) < 0)
		return -1;
	s->first_event = 0; /* behind it there may be a gap */
	return 0;
}

int store_event_gone(struct store *s, int64_t since, struct err *e)
{
	int64_t first = store_event_first(s), when = 0, upto;
	char iso[CLOCK_ISO_MAX];

	event_at(s, first, &when, &upto);
	err_set(e, ERR_GONE, "the events after %lld are not all kept any more: the first kept is %lld, of %s",
		(long long)since, (long long)first, clock_iso(when, iso));
	return err_hint(e, "go on with since %lld, and read the present state with list", (long long)first - 1);
}

const char *store_fleet(struct store *s)
{
	char *name = s->fleet[0] ? NULL : store_meta_get(s, "fleet");

	if (name)
		str_fmt(s->fleet, sizeof(s->fleet), "%s", name);
	free(name);
	return s->fleet;
}

bool store_event_skipped(struct store *s, int64_t seq)
{
	static const char sql[] = "SELECT 1 FROM meta WHERE key GLOB 'gap.*' AND CAST(substr(key, 5) AS INTEGER) < ?1"
				  " AND CAST(value AS INTEGER) > ?1";
	sqlite3_stmt *st = store_stmt(s, sql, NULL);
	bool skipped;

	if (!st)
		return false;
	sqlite3_bind_int64(st, 1, seq);
	skipped = sqlite3_step(st) == SQLITE_ROW;
	sqlite3_reset(st);
	return skipped;
}
