/* SPDX-License-Identifier: ISC */
/* Instances: one column per key of instance_to_row(). */
#include "daemon/store/db.h"

#include "base/util.h"

/* A column's name, and whether it holds text, an integer, or JSON as text. */
static const struct {
	const char *name;
	enum { C_TEXT, C_INT, C_JSON } kind;
} columns[] = {
	{"id", C_TEXT},		{"name", C_TEXT},	    {"parent", C_TEXT},
	{"place", C_TEXT},	{"driver", C_TEXT},	    {"agent", C_TEXT},
	{"dir", C_TEXT},	{"template", C_TEXT},	    {"model", C_TEXT},
	{"permissions", C_TEXT}, {"argv", C_JSON},	    {"allow", C_JSON},
	{"env_names", C_JSON},
	{"labels", C_JSON},	{"cpus", C_INT},	    {"memory_mib", C_INT},
	{"rows", C_INT},	{"cols", C_INT},	    {"rm", C_INT},
	{"max_children", C_INT}, {"max_descendants", C_INT}, {"max_depth", C_INT},
	{"spawn_rate", C_INT},	{"max_total", C_INT},	    {"max_memory", C_INT},
	{"max_disk", C_INT},	{"max_roles", C_JSON},	    {"narrowed", C_JSON},
	{"spawned_total", C_INT}, {"vm_memory_mib", C_INT}, {"vm_disk_mib", C_INT},
	{"state", C_TEXT},	    {"reason", C_TEXT},
	{"detail", C_TEXT},	{"created_ms", C_INT},	    {"state_since_ms", C_INT},
	{"time_in_state", C_JSON}, {"conversation", C_TEXT}, {"session", C_TEXT},
	{"limited_until_ms", C_INT}, {"limited_tries", C_INT},
	{"stuck_ms", C_INT},	{"pace", C_JSON}, {"starts", C_INT},
	{"turns", C_INT},	{"pid", C_INT},		{"exit_known", C_INT},	    {"exit_code", C_INT},
	{"exit_signal", C_INT}, {"has_pane", C_INT},
	{"queue_no", C_INT},	{"requeued", C_INT},	    {"begun", C_INT},
	{"restart", C_TEXT},	{"wanted", C_INT},	    {"again", C_JSON},
	{"branch_of", C_TEXT},	{"branch_from", C_TEXT},
	{"budget", C_JSON},
	{"state_boot", C_TEXT},	{"state_boot_ms", C_INT},
};

static void add(char *sql, const char *before, const char *name, const char *after)
{
	size_t n = strlen(sql);
	snprintf(sql + n, STORE_SQL_MAX - n, "%s%s%s", before, name, after);
}

void instance_sql_init(struct store *s)
{
	char *put = s->instance_put, *all = s->instance_all;
	strcpy(put, "INSERT INTO instances(");
	strcpy(all, "SELECT ");
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		add(put, i ? "," : "", columns[i].name, "");
		add(all, i ? "," : "", columns[i].name, "");
	}
	add(all, " FROM instances ORDER BY created_ms, id", "", "");
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		add(put, i ? ",?" : ") VALUES(?", "", "");
	/* Not REPLACE: that would delete the row first, and its prompts with it. */
	for (size_t i = 1; i < ARRAY_LEN(columns); i++) {
		add(put, i > 1 ? "," : ") ON CONFLICT(id) DO UPDATE SET ", columns[i].name, "");
		add(put, "=excluded.", columns[i].name, "");
	}
}

int store_instance_put(struct store *s, const struct instance *i, struct err *e)
{
	sqlite3_stmt *st = store_write(s, s->instance_put, e);
	if (!st)
		return -1;
	json_t *row = instance_to_row(i);
	for (size_t k = 0; k < ARRAY_LEN(columns); k++) {
		const json_t *v = json_object_get(row, columns[k].name);
		if (!v)
			continue;
		if (columns[k].kind == C_JSON)
			bind_json(st, (int)k + 1, v);
		else if (columns[k].kind == C_INT)
			sqlite3_bind_int64(st, (int)k + 1, json_integer_value(v));
		else
			bind_text(st, (int)k + 1, json_string_value(v));
	}
	int r = store_done(s, st, "writing an instance", e);
	json_decref(row);
	return r;
}

int store_instance_delete(struct store *s, const char *id, struct err *e)
{
	static const char sql[] = "DELETE FROM instances WHERE id=?";
	sqlite3_stmt *st = store_write(s, sql, e);
	if (!st)
		return -1;
	bind_text(st, 1, id);
	return store_done(s, st, "removing an instance", e);
}

static json_t *column_value(sqlite3_stmt *st, int k)
{
	const char *text = (const char *)sqlite3_column_text(st, k);
	if (columns[k].kind == C_INT)
		return json_integer(sqlite3_column_int64(st, k));
	return columns[k].kind == C_JSON ? json_loads(text, JSON_REJECT_DUPLICATES, NULL)
					 : json_string(text);
}

struct instance *instance_row(sqlite3_stmt *st, struct err *e)
{
	json_t *row = json_object();
	for (int k = 0; k < (int)ARRAY_LEN(columns); k++)
		if (sqlite3_column_type(st, k) != SQLITE_NULL)
			json_object_set_new(row, columns[k].name, column_value(st, k));
	struct instance *i = instance_from_row(row, e);
	json_decref(row);
	return i;
}

int instance_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	int rc;
	sqlite3_stmt *st = store_stmt(s, s->instance_all, e);
	if (!st)
		return -1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct instance *i = instance_row(st, e);
		if (!i) {
			err_prefix(e, "%s: row '%s'", s->path, (const char *)sqlite3_column_text(st, 0));
			sqlite3_reset(st);
			return -1;
		}
		ops->instance(arg, i);
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_fail(s->db, rc, s->path, "reading instances", e);
}
