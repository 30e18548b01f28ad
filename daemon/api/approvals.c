/* SPDX-License-Identifier: ISC */
/* The queue of approvals, as it is asked for and answered (core/asks.h; docs/approvals.md). */
#include "daemon/api/api_int.h"
#include "daemon/core/asks.h"

#define BY_SIZE 96
#define LIST_DEFAULT 50
#define LIST_MAX 1000
#define ROWS_ROOM (64 * 1024) /* of a line: what its envelope may take */
#define FOR_MAX_S (30 * INT64_C(86400))

/* ---- a hook that waits ---- */

static void decided(void *arg, const char *output)
{
	struct call *c = arg;
	json_t *o = output ? json_loads(output, 0, NULL) : NULL;

	c->asks = false;
	call_result(c, o ? json_pack("{s:o}", "output", o) : json_object());
}

void ask_cancel(struct call *c)
{
	c->asks = false;
	fleet_ask_gone(c->w->fleet, c->who_id, c, c->place_lost);
}

void api_APPROVALS_WAIT(struct call *c)
{
	struct instance *in = fleet_get(c->w->fleet, c->who.instance);

	c->asks = true;
	fleet_ask_wait(c->w->fleet, in, call_str(c, "once"), decided, c);
}

/* ---- looking ---- */

struct listing {
	struct call *c;
	struct instance *const *set; /* NULL: all */
	size_t n;
	struct selector sel;
	json_t *rows;
	size_t bytes;
};

static bool chosen(const struct listing *l, const struct approval *a)
{
	const struct instance *in = fleet_get(l->c->w->fleet, a->instance);

	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->set[i]->id, a->instance))
			return true;
	return !l->n && (!l->sel.given || (in && selector_chooses(&l->sel, in)));
}

/* As many as a line holds. */
static bool list_add(struct listing *l, const struct approval *a)
{
	json_t *o;
	size_t size;

	if (!chosen(l, a))
		return false;
	o = approval_to_json(a, false);
	size = json_dumpb(o, NULL, 0, JSON_COMPACT) + 2;
	if (l->bytes + size > LIST_PAGE_MAX - ROWS_ROOM) {
		json_decref(o);
		return true;
	}
	l->bytes += size;
	json_array_append_new(l->rows, o);
	return true;
}

static void list_open(void *arg, const struct approval *a)
{
	list_add(arg, a);
}

static bool list_any(void *arg, const struct approval *a)
{
	return list_add(arg, a);
}

static json_t *reversed(json_t *rows)
{
	json_t *out = json_array();

	for (size_t i = json_array_size(rows); i-- > 0;)
		json_array_append(out, json_array_get(rows, i));
	json_decref(rows);
	return out;
}

/* Those that are named; 0 and NULL: nobody is. -1 after answering. */
static int named(struct call *c, struct instance ***ret, size_t *ret_n)
{
	*ret = NULL;
	*ret_n = 0;
	if (!json_array_size(json_object_get(c->params, "ids")))
		return 0;
	*ret = call_targets(c, FROM_ANY, ret_n);
	return *ret ? 0 : -1;
}

void api_APPROVALS_LIST(struct call *c)
{
	cleanup_free struct instance **set = NULL;
	struct listing l = {.c = c};
	struct err err = {0};
	int64_t limit = call_int(c, "limit", LIST_DEFAULT);

	if (named(c, &set, &l.n) < 0)
		return;
	l.set = set;
	if (!set && selector_read(c, &l.sel, &err) < 0) {
		call_error(c, &err);
		return;
	}
	l.rows = json_array();
	if (!call_bool(c, "all")) {
		fleet_asks_each(c->w->fleet, list_open, &l);
	} else if (store_approvals(c->w->store, l.n == 1 ? set[0]->id : NULL, limit < LIST_MAX ? limit : LIST_MAX, list_any, &l,
			   &err) < 0) {
		json_decref(l.rows);
		call_error(c, &err);
		return;
	} else {
		l.rows = reversed(l.rows);
	}
	call_result(c, l.rows);
}

void api_APPROVALS_SHOW(struct call *c)
{
	struct err err = {0};
	struct approval *a = fleet_ask_find(c->w->fleet, call_str(c, "approval"), &err);

	if (a)
		call_result(c, approval_to_json(a, true));
	else
		call_error(c, &err);
	approval_free(a);
}

static void grant_add(void *arg, const struct grant *g)
{
	json_array_append_new(arg, grant_to_json(g));
}

void api_APPROVALS_GRANTS(struct call *c)
{
	struct instance *in = NULL;
	json_t *rows;

	if (call_str(c, "id") && !(in = call_target(c, "id")))
		return;
	rows = json_array();
	fleet_grants_each(c->w->fleet, in, grant_add, rows);
	call_result(c, rows);
}

/* ---- answering ---- */

static char *by_whom(const struct call *c, char out[BY_SIZE])
{
	if (c->client)
		snprintf(out, BY_SIZE, "operator (uid %u, %s)", c->client->cred.uid, c->client->program);
	else
		snprintf(out, BY_SIZE, "operator");
	return out;
}

/* For the audit: the instances that ask. */
static void touches(struct call *c, char *const *ids)
{
	size_t n = 0;
	cleanup_free struct instance **set = xcalloc(strv_len(ids) + 1, sizeof(*set));

	for (; ids && *ids; ids++) {
		struct err err = {0};
		struct approval *a = fleet_ask_find(c->w->fleet, *ids, &err);
		struct instance *in = a ? fleet_get(c->w->fleet, a->instance) : NULL;
		if (in)
			set[n++] = in;
		approval_free(a);
	}
	if (n)
		audit_touches(c, set, n);
}

static json_t *answered_rows(struct call *c, char *const *ids)
{
	json_t *rows = json_array();

	for (; *ids; ids++) {
		struct err err = {0};
		struct approval *a = fleet_ask_find(c->w->fleet, *ids, &err);
		if (a)
			json_array_append_new(rows, approval_to_json(a, false));
		approval_free(a);
	}
	return rows;
}

static void answer(struct call *c, char *const *ids, struct ask_answer *w)
{
	char by[BY_SIZE];
	struct err err = {0};

	w->by = by_whom(c, by);
	touches(c, ids);
	if (fleet_asks_answer(c->w->fleet, ids, w, &err) < 0)
		call_error(c, &err);
	else
		turn_answer(c, answered_rows(c, ids));
}

/* "90", "90s", "10m", "2h", "1d" in ms. */
static int read_time(const char *s, int64_t *ret, struct err *e)
{
	static const struct {
		char unit;
		int64_t s;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t len = strlen(s);
	int64_t n, unit = 1;
	cleanup_free char *number = NULL;

	for (size_t i = 0; len && i < ARRAY_LEN(units); i++) {
		if (s[len - 1] != units[i].unit)
			continue;
		unit = units[i].s;
		len--;
		break;
	}
	number = xstrndup(s, len);
	if (str_to_i64(number, 1, FOR_MAX_S / unit, &n) < 0) {
		err_set(e, ERR_PARAMS, "'%.40s' is no time", s);
		return err_hint(e, "for example 90s, 10m, 2h; at most 30d");
	}
	*ret = n * unit * 1000;
	return 0;
}

static int rule_asked(struct call *c, struct ask_answer *w, struct err *e)
{
	const char *time = call_str(c, "for"), *scope = call_str(c, "scope");

	w->always = call_bool(c, "always");
	if (time && w->always)
		return err_set(e, ERR_PARAMS, "approve takes --for or --always, not both");
	if (time && read_time(time, &w->for_ms, e) < 0)
		return -1;
	if (scope && strcmp(scope, "same") != 0 && strcmp(scope, "tool") != 0)
		return err_set(e, ERR_PARAMS, "'%.40s' is no scope: same or tool", scope);
	if (scope && !time && !w->always)
		return err_set(e, ERR_PARAMS, "--scope says what --for or --always allow: give one of them");
	w->whole_tool = scope && !strcmp(scope, "tool");
	return 0;
}

void api_APPROVALS_APPROVE(struct call *c)
{
	cleanup_strv char **refs = call_strv(c, "approvals");
	struct ask_answer w = {.verdict = {.allow = true}};
	struct err err = {0};

	if (rule_asked(c, &w, &err) < 0)
		call_error(c, &err);
	else
		answer(c, refs, &w);
}

static int reason_check(const char *reason, struct err *e)
{
	if (!reason || strlen(reason) <= APPROVAL_REASON_MAX)
		return 0;
	return err_set(e, ERR_LIMIT, "a reason has at most %d bytes", APPROVAL_REASON_MAX);
}

void api_APPROVALS_DENY(struct call *c)
{
	cleanup_strv char **refs = call_strv(c, "approvals");
	struct ask_answer w = {.verdict = {.reason = call_str(c, "reason")}};
	struct err err = {0};

	if (reason_check(w.verdict.reason, &err) < 0)
		call_error(c, &err);
	else
		answer(c, refs, &w);
}

void api_APPROVALS_LEAVE(struct call *c)
{
	cleanup_strv char **refs = call_strv(c, "approvals");
	struct ask_answer w = {.leave = true};

	answer(c, refs, &w);
}

/* A plan has one answer: yes, or what should be changed. */
static int plan_answer(const json_t *choices, struct ask_answer *w, struct err *e)
{
	const char *one = json_string_value(json_array_get(choices, 0));

	if (json_array_size(choices) != 1)
		return err_set(e, ERR_PARAMS, "a plan takes one answer");
	w->verdict.allow = !strcmp(one, "1") || !strcmp(one, "yes");
	w->verdict.reason = w->verdict.allow ? NULL : one;
	return reason_check(one, e);
}

void api_APPROVALS_ANSWER(struct call *c)
{
	char *refs[] = {(char *)call_str(c, "approval"), NULL};
	struct ask_answer w = {.question = true, .verdict = {.allow = true, .choices = json_object_get(c->params, "choice")}};
	struct err err = {0};
	struct approval *a = fleet_ask_find(c->w->fleet, refs[0], &err);
	bool plan = a && a->kind == AK_PLAN;

	approval_free(a);
	if (!a || (plan && plan_answer(w.verdict.choices, &w, &err) < 0))
		call_error(c, &err);
	else
		answer(c, refs, &w);
}

void api_APPROVALS_REVOKE(struct call *c)
{
	struct err err = {0};
	struct grant *g;

	if (fleet_grant_revoke(c->w->fleet, call_str(c, "grant"), &g, &err) < 0) {
		call_error(c, &err);
		return;
	}
	turn_answer(c, json_pack("[o]", grant_to_json(g)));
	grant_free(g);
}
