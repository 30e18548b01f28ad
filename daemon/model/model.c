/* SPDX-License-Identifier: ISC */
/* The fleet's data: making and freeing it, its names, and whole rows to and from JSON. */
#include "daemon/model/model.h"

#include "base/clock.h"
#include "base/util.h"

static const char *const state_names[ST_COUNT] = {
	[ST_QUEUED] = "queued",
	[ST_PROVISIONING] = "provisioning",
	[ST_STARTING] = "starting",
	[ST_IDLE] = "idle",
	[ST_WORKING] = "working",
	[ST_WAITING] = "waiting",
	[ST_LIMITED] = "limited",
	[ST_PAUSED] = "paused",
	[ST_ASLEEP] = "asleep",
	[ST_STOPPING] = "stopping",
	[ST_EXITED] = "exited",
	[ST_FAILED] = "failed",
	[ST_LOST] = "lost",
};

static const char *const place_state_names[PL_STATE_COUNT] = {
	[PL_MAKING] = "making",
	[PL_BOOTING] = "booting",
	[PL_UP] = "up",
	[PL_STOPPING] = "stopping",
	[PL_DOWN] = "down",
	[PL_LOST] = "lost",
};

static const char *const permissions_names[] = {
	[PERM_ALL] = "all",
	[PERM_ASK] = "ask",
	[PERM_PLAN] = "plan",
};

static const struct {
	const char *name;
	size_t offset;
} caps[CAP_KINDS] = {
	[CAP_CHILDREN] = {"max_children", offsetof(struct cap, max_children)},
	[CAP_DESCENDANTS] = {"max_descendants", offsetof(struct cap, max_descendants)},
	[CAP_DEPTH] = {"max_depth", offsetof(struct cap, max_depth)},
	[CAP_RATE] = {"spawn_rate", offsetof(struct cap, spawn_rate)},
	[CAP_TOTAL] = {"max_total", offsetof(struct cap, max_total)},
	[CAP_MEMORY] = {"max_memory", offsetof(struct cap, max_memory)},
	[CAP_DISK] = {"max_disk", offsetof(struct cap, max_disk)},
};

const char *cap_name(enum cap_kind k)
{
	return caps[k].name;
}

int64_t *cap_at(struct cap *c, enum cap_kind k)
{
	return (int64_t *)((char *)c + caps[k].offset);
}

int64_t cap_get(const struct cap *c, enum cap_kind k)
{
	return *(const int64_t *)((const char *)c + caps[k].offset);
}

const char *instance_role(const struct instance *i)
{
	return json_string_value(json_object_get(i->labels, ROLE_LABEL));
}

static const char *name_at(const char *const *names, size_t n, size_t i)
{
	return i < n ? names[i] : "unknown";
}

static int index_of(const char *const *names, size_t n, const char *s)
{
	for (size_t i = 0; s && i < n; i++)
		if (!strcmp(names[i], s))
			return (int)i;
	return -1;
}

const char *state_name(enum inst_state s)
{
	return name_at(state_names, ST_COUNT, s);
}

int state_from_name(const char *s, enum inst_state *ret)
{
	int i = index_of(state_names, ST_COUNT, s);
	if (i < 0)
		return -1;
	*ret = (enum inst_state)i;
	return 0;
}

bool state_final(enum inst_state s)
{
	return s == ST_EXITED || s == ST_FAILED;
}

bool state_living(enum inst_state s)
{
	return !state_final(s);
}

const char *place_state_name(enum place_state s)
{
	return name_at(place_state_names, PL_STATE_COUNT, s);
}

int place_state_from_name(const char *s, enum place_state *ret)
{
	int i = index_of(place_state_names, PL_STATE_COUNT, s);
	if (i < 0)
		return -1;
	*ret = (enum place_state)i;
	return 0;
}

const char *permissions_name(enum permissions p)
{
	return name_at(permissions_names, ARRAY_LEN(permissions_names), p);
}

int permissions_from_name(const char *s, enum permissions *ret)
{
	int i = index_of(permissions_names, ARRAY_LEN(permissions_names), s);
	if (i < 0)
		return -1;
	*ret = (enum permissions)i;
	return 0;
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_valid(const char *s)
{
	if (!s || !word_char(s[0]))
		return false;
	size_t n = 1;
	for (; s[n]; n++)
		if (n >= NAME_MAX_LEN || (!word_char(s[n]) && !strchr("._-", s[n])))
			return false;
	return true;
}

bool id_valid(const char *s)
{
	size_t n = 0;
	for (; s && s[n]; n++)
		if (n >= ID_LEN || !word_char(s[n]))
			return false;
	return n == ID_LEN;
}

struct instance *instance_new(void)
{
	struct instance *i = xcalloc(1, sizeof(*i));
	i->labels = json_object();
	return i;
}

void instance_free(struct instance *i)
{
	if (!i)
		return;
	free(i->name);
	free(i->driver);
	free(i->agent);
	free(i->dir);
	free(i->template_name);
	free(i->model);
	strv_free(i->argv);
	json_decref(i->env);
	json_decref(i->labels);
	json_decref(i->max_roles);
	json_decref(i->narrowed);
	strv_free(i->allow);
	strv_free(i->env_names);
	free(i->reason);
	free(i->detail);
	free(i->conversation);
	free(i->branch_of);
	free(i->branch_from);
	free(i->session);
	json_decref(i->pace);
	free(i->state_boot);
	free(i);
}

struct place *place_new(void)
{
	return xcalloc(1, sizeof(struct place));
}

void place_free(struct place *p)
{
	if (!p)
		return;
	free(p->driver);
	free(p->template_name);
	free(p->accel);
	free(p->boot);
	free(p);
}

bool key_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= KEY_MAX_LEN &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") == n;
}

/*
 * Rows. One table says which member is which key; the store's columns have the same names. Absent
 * strings and vectors are left out, so is everything that cannot outlive a daemon (env).
 */
enum field_kind { F_TEXT, F_ID, F_INT, F_I32, F_BOOL, F_STRV, F_JSON };

struct field {
	const char *key;
	enum field_kind kind;
	size_t offset;
	bool required;
};

#define FIELD(key, kind, member, required)                                                         \
	{ key, kind, offsetof(struct instance, member), required }

static const struct field fields[] = {
	FIELD("id", F_ID, id, true),
	FIELD("name", F_TEXT, name, false),
	FIELD("parent", F_ID, parent, false),
	FIELD("place", F_ID, place, false),
	FIELD("driver", F_TEXT, driver, true),
	FIELD("agent", F_TEXT, agent, true),
	FIELD("dir", F_TEXT, dir, true),
	FIELD("template", F_TEXT, template_name, false),
	FIELD("model", F_TEXT, model, false),
	FIELD("argv", F_STRV, argv, false),
	FIELD("allow", F_STRV, allow, false),
	FIELD("env_names", F_STRV, env_names, false),
	FIELD("cpus", F_INT, cpus, true),
	FIELD("memory_mib", F_INT, memory_mib, true),
	FIELD("rows", F_I32, rows, true),
	FIELD("cols", F_I32, cols, true),
	FIELD("rm", F_BOOL, rm, true),
	FIELD("max_children", F_INT, cap.max_children, true),
	FIELD("max_descendants", F_INT, cap.max_descendants, true),
	FIELD("max_depth", F_INT, cap.max_depth, true),
	FIELD("spawn_rate", F_INT, cap.spawn_rate, true),
	FIELD("max_total", F_INT, cap.max_total, true),
	FIELD("max_memory", F_INT, cap.max_memory, true),
	FIELD("max_disk", F_INT, cap.max_disk, true),
	FIELD("max_roles", F_JSON, max_roles, false),
	FIELD("narrowed", F_JSON, narrowed, false),
	FIELD("spawned_total", F_INT, spawned_total, true),
	FIELD("vm_memory_mib", F_INT, vm_memory_mib, true),
	FIELD("vm_disk_mib", F_INT, vm_disk_mib, true),
	FIELD("reason", F_TEXT, reason, false),
	FIELD("detail", F_TEXT, detail, false),
	FIELD("created_ms", F_INT, created_ms, true),
	FIELD("state_since_ms", F_INT, state_since_ms, true),
	FIELD("conversation", F_TEXT, conversation, false),
	FIELD("session", F_TEXT, session, false),
	FIELD("limited_until_ms", F_INT, limited_until_ms, false),
	FIELD("limited_tries", F_INT, limited_tries, false),
	FIELD("stuck_ms", F_INT, stuck_ms, false),
	FIELD("pace", F_JSON, pace, false),
	FIELD("starts", F_INT, starts, true),
	FIELD("turns", F_INT, turns, true),
	FIELD("pid", F_INT, pid, true),
	FIELD("exit_known", F_BOOL, exit.known, true),
	FIELD("exit_code", F_I32, exit.code, true),
	FIELD("exit_signal", F_I32, exit.signal, true),
	FIELD("has_pane", F_BOOL, has_pane, true),
	FIELD("queue_no", F_INT, queue_no, false),
	FIELD("requeued", F_INT, requeued, false),
	FIELD("begun", F_BOOL, begun, false),
	FIELD("branch_of", F_TEXT, branch_of, false),
	FIELD("branch_from", F_TEXT, branch_from, false),
	FIELD("wanted", F_BOOL, wanted, false),
	FIELD("state_boot", F_TEXT, state_boot, false),
	FIELD("state_boot_ms", F_INT, state_boot_ms, false),
};

static json_t *strv_to_json(char *const *v)
{
	json_t *a = json_array();
	for (size_t i = 0; v[i]; i++)
		json_array_append_new(a, json_string(v[i]));
	return a;
}

static json_t *field_get(const struct field *f, const struct instance *i)
{
	const char *at = (const char *)i + f->offset;
	switch (f->kind) {
	case F_TEXT: {
		const char *s = *(char *const *)at;
		return s ? json_string(s) : NULL;
	}
	case F_ID:
		return *at ? json_string(at) : NULL;
	case F_INT:
		return json_integer(*(const int64_t *)at);
	case F_I32:
		return json_integer(*(const int *)at);
	case F_BOOL:
		return json_integer(*(const bool *)at);
	case F_STRV: {
		char *const *v = *(char *const *const *)at;
		return v ? strv_to_json(v) : NULL;
	}
	case F_JSON:
		return json_deep_copy(*(json_t *const *)at);
	}
	return NULL;
}

json_t *instance_to_row(const struct instance *i)
{
	json_t *row = json_object();
	for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
		json_t *v = field_get(&fields[k], i);
		if (v)
			json_object_set_new(row, fields[k].key, v);
	}
	json_object_set_new(row, "state", json_string(state_name(i->state)));
	json_object_set_new(row, "permissions", json_string(permissions_name(i->permissions)));
	json_object_set_new(row, "labels", json_deep_copy(i->labels));
	json_object_set_new(row, "restart", json_string(restart_policy_name(i->restart)));
	json_t *again = again_to_json(&i->again);
	if (again)
		json_object_set_new(row, "again", again);
	json_t *budget = budget_to_json(&i->budget);
	if (budget)
		json_object_set_new(row, "budget", budget);
	json_t *times = json_object();
	for (int s = 0; s < ST_COUNT; s++)
		if (i->time_in_state[s])
			json_object_set_new(times, state_names[s], json_integer(i->time_in_state[s]));
	json_object_set_new(row, "time_in_state", times);
	return row;
}

static int bad(struct err *e, const char *key, const char *why)
{
	return err_set(e, ERR_IO, "the stored instance cannot be read: '%s' %s", key, why);
}

static int strv_from_json(const json_t *v, char ***ret)
{
	cleanup_strv char **out = strv_new();
	size_t n;
	json_t *item;
	if (!json_is_array(v))
		return -1;
	json_array_foreach((json_t *)v, n, item) {
		if (!json_is_string(item))
			return -1;
		strv_push(&out, json_string_value(item));
	}
	strv_free(*ret);
	*ret = take_ptr(out);
	return 0;
}

static int field_set(const struct field *f, struct instance *i, const json_t *v, struct err *e)
{
	char *at = (char *)i + f->offset;
	switch (f->kind) {
	case F_TEXT:
		if (!json_is_string(v))
			return bad(e, f->key, "is not a string");
		free(*(char **)at);
		*(char **)at = xstrdup(json_string_value(v));
		return 0;
	case F_ID:
		if (!id_valid(json_string_value(v)))
			return bad(e, f->key, "is not an id");
		memcpy(at, json_string_value(v), ID_SIZE);
		return 0;
	case F_INT:
		if (!json_is_integer(v))
			return bad(e, f->key, "is not a number");
		*(int64_t *)at = json_integer_value(v);
		return 0;
	case F_I32:
		if (!json_is_integer(v) || json_integer_value(v) != (int)json_integer_value(v))
			return bad(e, f->key, "is not a small number");
		*(int *)at = (int)json_integer_value(v);
		return 0;
	case F_BOOL:
		if (!json_is_integer(v))
			return bad(e, f->key, "is not 0 or 1");
		*(bool *)at = json_integer_value(v) != 0;
		return 0;
	case F_STRV:
		return strv_from_json(v, (char ***)at) ? bad(e, f->key, "is not a list of strings")
						       : 0;
	case F_JSON:
		json_decref(*(json_t **)at);
		*(json_t **)at = json_deep_copy(v);
		return 0;
	}
	return 0;
}

static int row_rest(struct instance *i, const json_t *row, struct err *e)
{
	const char *key;
	json_t *v;

	if (state_from_name(json_string_value(json_object_get(row, "state")), &i->state))
		return bad(e, "state", "is unknown");
	const char *perm = json_string_value(json_object_get(row, "permissions"));
	if (permissions_from_name(perm, &i->permissions))
		return bad(e, "permissions", "is unknown");
	const char *restart = json_string_value(json_object_get(row, "restart"));
	if (restart && restart_policy_from_name(restart, &i->restart))
		return bad(e, "restart", "is unknown");
	again_from_json(&i->again, json_object_get(row, "again"));
	budget_from_json(&i->budget, json_object_get(row, "budget"));
	const json_t *labels = json_object_get(row, "labels");
	if (!json_is_object(labels))
		return bad(e, "labels", "is not an object");
	json_object_foreach((json_t *)labels, key, v)
		if (!json_is_string(v))
			return bad(e, "labels", "holds something else than strings");
	json_decref(i->labels);
	i->labels = json_deep_copy(labels);
	/* States unknown to this version are left out: a time is only bookkeeping. */
	json_object_foreach(json_object_get(row, "time_in_state"), key, v) {
		enum inst_state s;
		if (state_from_name(key, &s) == 0 && json_is_integer(v))
			i->time_in_state[s] = json_integer_value(v);
	}
	return 0;
}

struct instance *instance_from_row(const json_t *row, struct err *e)
{
	struct instance *i = instance_new();
	for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
		const json_t *v = json_object_get(row, fields[k].key);
		if (!v || json_is_null(v)) {
			if (!fields[k].required)
				continue;
			bad(e, fields[k].key, "is missing");
			goto fail;
		}
		if (field_set(&fields[k], i, v, e))
			goto fail;
	}
	if (row_rest(i, row, e))
		goto fail;
	return i;
fail:
	instance_free(i);
	return NULL;
}

int name_find(const char *const *names, int n, const char *s)
{
	for (int i = 0; s && i < n; i++)
		if (!strcmp(names[i], s))
			return i;
	return -1;
}

json_t *time_json(int64_t wall_ms)
{
	char text[CLOCK_ISO_MAX];

	return wall_ms ? json_string(clock_iso(wall_ms, text)) : json_null();
}
