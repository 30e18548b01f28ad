/* SPDX-License-Identifier: ISC */
/* prompts: what was sent to instances, and what became of it; taking back one that waits in the queue. */
#include "daemon/api/api_int.h"

#define LIST_DEFAULT 50
#define LIST_MOST 1000
#define LIST_HEAD 160
#define SHOW_TEXT (64 * 1024)

/* ---- list ---- */

struct found {
	struct prompt **p;
	size_t n, room;
};

static void take(void *arg, struct prompt *p)
{
	struct found *f = arg;

	if (f->n == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->p = xrealloc(f->p, f->room * sizeof(*f->p));
	}
	f->p[f->n++] = p;
}

/* Newest first; of the same moment in any order that stays. */
static int newer(const void *va, const void *vb)
{
	const struct prompt *a = *(struct prompt *const *)va, *b = *(struct prompt *const *)vb;

	if (a->created_ms != b->created_ms)
		return a->created_ms > b->created_ms ? -1 : 1;
	return strcmp(b->key, a->key);
}

/* The newest so many. */
static void trim(struct found *f, size_t limit)
{
	if (f->n)
		qsort(f->p, f->n, sizeof(*f->p), newer);
	while (f->n > limit)
		prompt_free(f->p[--f->n]);
}

static int read_all(struct call *c, struct instance *const *set, size_t n, struct prompt_query *q, struct found *f,
	struct err *e)
{
	if (!set)
		return store_prompts(c->w->store, q, take, f, e);
	for (size_t i = 0; i < n; i++) {
		q->instance = set[i]->id;
		if (store_prompts(c->w->store, q, take, f, e) < 0)
			return -1;
		trim(f, (size_t)q->limit); /* of a thousand agents a thousand rows each are more than is kept here */
	}
	return 0;
}

/* Whose: those that are meant; NULL without an error: everybody's, to the operator. */
static struct instance **whose(struct call *c, size_t *ret_n, bool *ret_refused)
{
	struct fleet *f = c->w->fleet;
	struct instance **set, *me;
	struct selector s;
	struct err err = {0};

	*ret_refused = false;
	if (selector_read(c, &s, &err) < 0) {
		call_error(c, &err);
		*ret_refused = true;
		return NULL;
	}
	if (s.given || json_array_size(json_object_get(c->params, "ids"))) {
		set = call_targets(c, FROM_ANY, ret_n);
		*ret_refused = !set;
		return set;
	}
	me = c->who.instance ? fleet_get(f, c->who.instance) : NULL;
	if (!me)
		return NULL;
	set = xcalloc(fleet_count(f) + 1, sizeof(*set));
	*ret_n = 0;
	for (struct instance *in = me; in; in = fleet_next_within(f, me, in))
		set[(*ret_n)++] = in;
	return set;
}

void api_PROMPTS_LIST(struct call *c)
{
	struct prompt_query q = {.status = call_str(c, "status"), .limit = call_int(c, "limit", LIST_DEFAULT)};
	enum prompt_status st;
	struct found f = {0};
	struct err err = {0};
	bool refused;
	size_t n = 0;
	cleanup_free struct instance **set = NULL;

	if (q.status && prompt_status_from_name(q.status, &st) < 0) {
		err_set(&err, ERR_PARAMS, "there is no status '%.32s'", q.status);
		err_hint(&err, "queued, delivering, delivered, answered, failed, unknown");
		call_error(c, &err);
		return;
	}
	if (q.limit < 1 || q.limit > LIST_MOST)
		q.limit = LIST_MOST;
	set = whose(c, &n, &refused);
	if (refused)
		return;
	json_t *rows = json_array();
	int r = read_all(c, set, n, &q, &f, &err);
	for (size_t i = f.n < (size_t)q.limit ? f.n : (size_t)q.limit; r == 0 && i-- > 0;)
		json_array_append_new(rows, prompt_json(c, f.p[i], LIST_HEAD));
	for (size_t i = 0; i < f.n; i++)
		prompt_free(f.p[i]);
	free(f.p);
	if (r < 0) {
		json_decref(rows);
		call_error(c, &err);
		return;
	}
	call_result(c, rows);
}

/* ---- one ---- */

static bool is_in(const char *key, const char *prefix)
{
	size_t len = strlen(prefix);

	return !strncmp(key, prefix, len) && key[len] == '/';
}

/* The prompt a call names, when it is the caller's to see; NULL after answering. An instance's own keys, and, as it saw
 * them in the list, those that others gave to its own. */
static struct prompt *named(struct call *c, struct instance **ret_in)
{
	const char *key = call_str(c, "key");
	struct prompt *p = NULL;
	struct err err = {0};

	if (c->who.instance && !strchr(key, '/')) {
		cleanup_free char *own = xasprintf("%s/%s", c->who.instance, key);
		p = store_prompt_get(c->w->store, own);
	}
	if (!p)
		p = store_prompt_get(c->w->store, key);
	*ret_in = p ? fleet_get(c->w->fleet, p->instance) : NULL;
	if (p && *ret_in && (access_may(c, *ret_in) || (c->who.instance && is_in(p->key, c->who.instance))))
		return p;
	prompt_free(p);
	err_set(&err, ERR_NOT_FOUND, "there is no prompt '%.80s'", key);
	err_hint(&err, "tmux-claude prompts lists them; of each agent the newest %d are kept", PROMPTS_KEPT);
	call_error(c, &err);
	return NULL;
}

void api_PROMPTS_SHOW(struct call *c)
{
	struct instance *in;
	struct prompt *p = named(c, &in);

	if (!p)
		return;
	call_result(c, prompt_json(c, p, SHOW_TEXT));
	prompt_free(p);
}

void api_PROMPTS_CANCEL(struct call *c)
{
	struct instance *in;
	struct prompt *p = named(c, &in), *now;
	struct err err = {0};

	if (!p)
		return;
	audit_touches(c, &in, 1);
	if (!access_may(c, in)) {
		err_set(&err, ERR_DENIED, "prompts.cancel is not for the prompts of instance %s", in->id);
		call_error(c, &err);
	} else if (fleet_prompt_cancel(c->w->fleet, in, p->key, &err) < 0) {
		call_error(c, &err);
	} else {
		now = store_prompt_get(c->w->store, p->key);
		call_result(c, prompt_json(c, now ? now : p, LIST_HEAD));
		prompt_free(now);
	}
	prompt_free(p);
}
