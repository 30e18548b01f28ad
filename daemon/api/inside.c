/* SPDX-License-Identifier: ISC */
/*
 * Calls from inside places.
 *
 * The socket that a message came over says who speaks, whatever it claims: the place's program names the instance, the
 * shim passes that on, and here it has to live in that place. What changes something is taken once under its id on
 * a connection: an id that was let through is used up, while it is unanswered and for INSIDE_IDS more, and
 * the same again is a replay (an idempotent method, too: killing again what was restarted in between is not the
 * same). What only reads may come as often as it likes. One that was refused used nothing up.
 */
#include "base/clock.h"
#include "base/idmap.h"
#include "daemon/api/api_int.h"
#include "daemon/api/pace.h"

#define INSIDE_IDS 256
#define INSIDE_CONNS_MAX 65536 /* remembered in all; a shim has far fewer */

/* A connection inside a place that has changed something. */
struct inside_conn {
	struct inside_conn *next;
	char key[ID_SIZE + 24], place[ID_SIZE];
	json_int_t conn;
	uint64_t used[INSIDE_IDS]; /* a ring */
	unsigned n;
};

struct inside {
	struct pace *pace;
	struct idmap by_key;
	struct inside_conn *conns;
};

static char *conn_key(char out[ID_SIZE + 24], const char *place, json_int_t conn)
{
	snprintf(out, ID_SIZE + 24, "%.*s/%lld", ID_LEN, place, (long long)conn);
	return out;
}

/* Of the id as it was written, its type included: 1 is not "1". */
static uint64_t id_hash(const json_t *id)
{
	char *text = json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
	uint64_t h = UINT64_C(14695981039346656037);

	for (const char *p = text; p && *p; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
	free(text);
	return h;
}

static bool replayed(const struct api *a, const struct call *c)
{
	char key[ID_SIZE + 24];
	const struct inside_conn *k = idmap_get(&a->inside_state->by_key, conn_key(key, c->place, c->conn));
	uint64_t h = id_hash(c->id);

	for (const struct call *o = a->inside; o; o = o->next_inside)
		if (o != c && o->conn == c->conn && o->method && !(o->method->flags & M_READ) &&
			!strcmp(o->place, c->place) && json_equal(o->id, c->id))
			return true;
	for (unsigned i = 0; k && i < k->n && i < INSIDE_IDS; i++)
		if (k->used[i] == h)
			return true;
	return false;
}

static void id_used(struct inside *s, const char *place, json_int_t conn, uint64_t h)
{
	char key[ID_SIZE + 24];
	struct inside_conn *k = idmap_get(&s->by_key, conn_key(key, place, conn));

	if (!k && s->by_key.count < INSIDE_CONNS_MAX) {
		k = xcalloc(1, sizeof(*k));
		memcpy(k->key, key, sizeof(key));
		str_fmt(k->place, ID_SIZE, "%s", place);
		k->conn = conn;
		k->next = s->conns;
		s->conns = k;
		idmap_put(&s->by_key, k->key, k);
	}
	if (k)
		k->used[k->n++ % INSIDE_IDS] = h;
}

/* conn -1: all of that place. */
static void ids_forget(struct inside *s, const char *place, json_int_t conn)
{
	for (struct inside_conn **at = &s->conns, *k; (k = *at);) {
		if (strcmp(k->place, place) || (conn >= 0 && k->conn != conn)) {
			at = &k->next;
			continue;
		}
		*at = k->next;
		idmap_drop(&s->by_key, k->key);
		free(k);
	}
}

/* ---- taking ---- */

static void refuse(struct call *c, const char *why, const struct err *e)
{
	struct access a = {.why = why};

	audit_refused(c, &a, e);
	call_error(c, e);
}

/* No instance of that place: a shim, or what speaks to it, that is not to be believed. */
static void foreign(struct api *a, const char *place, const struct instance *in, json_int_t conn, const json_t *id)
{
	struct err err = {0};
	json_t *msg;

	audit_stranger(a, place, NULL, "not_of_this_place", in ? in->id : NULL);
	err_set(&err, ERR_DENIED, "no instance of that name lives in this place");
	msg = json_pack("{s:s, s:O, s:{s:i, s:s, s:o}}", "jsonrpc", "2.0", "id", id ? id : json_null(), "error",
		"code", err_code_number(err.code), "message", err.message, "data", err_to_json(&err));
	if (id)
		world_api_reply(a->w, place, conn, msg);
	else
		json_decref(msg);
}

/* More than its part of the history? */
static bool too_fast(const struct call *c, struct err *e)
{
	int64_t wait = pace_wait(c->api->inside_state->pace, c->who_id, clock_mono_ms());
	char details[64];

	if (!wait)
		return false;
	err_set(e, ERR_RATE, "this instance changes more than %d things a second for longer than is good for the fleet's history",
		PACE_PER_SECOND);
	err_hint(e, "try again in %lld s", (long long)(wait + 999) / 1000);
	str_fmt(details, sizeof(details), "{\"retry_after_ms\":%lld}", (long long)wait);
	err_details(e, details);
	return true;
}

/* Runs it; what it wrote at once is charged, but for a spawn, which has a rate of its own. */
static bool run_charged(struct call *c, const struct method_def *m, const char *method, const json_t *params)
{
	struct api *a = c->api;
	int64_t before = store_event_last(a->w->store);
	char who[ID_SIZE];

	memcpy(who, c->who_id, ID_SIZE);
	bool through = call_run(c, method, params);
	if (m && m->id != METHOD_SPAWN)
		pace_spent(a->inside_state->pace, who, store_event_last(a->w->store) - before, clock_mono_ms());
	return through;
}

static void take(struct call *c, const char *method, const json_t *params, int waiting)
{
	const struct method_def *m = method ? method_find(method) : NULL;
	bool changes = m && !(m->flags & M_READ);
	struct inside *s = c->api->inside_state;
	char place[ID_SIZE];
	json_int_t conn = c->conn;
	uint64_t h = id_hash(c->id);
	struct err err = {0};

	memcpy(place, c->place, ID_SIZE);
	if (!method || (params && !json_is_object(params))) {
		err_set(&err, ERR_REQUEST, "the message is no JSON-RPC 2.0 request with named parameters");
		call_error(c, &err);
	} else if (waiting >= INSIDE_CALLS_MAX) {
		err_set(&err, ERR_BUSY, "%d calls of this instance are not answered yet", waiting);
		call_error(c, &err);
	} else if (!state_living(fleet_get(c->w->fleet, c->who_id)->state)) {
		c->method = m;
		err_set(&err, ERR_STATE, "the instance has ended");
		refuse(c, "ended", &err);
	} else if (changes && replayed(c->api, c)) {
		c->method = m;
		err_set(&err, ERR_DENIED, "this connection has called with this id already: it is taken as a replay");
		err_hint(&err, "give each call that changes something an id of its own");
		refuse(c, "replay", &err);
	} else if (changes && m->id != METHOD_SPAWN && too_fast(c, &err)) {
		c->method = m;
		refuse(c, "rate", &err);
	} else if (run_charged(c, m, method, params) && changes) {
		id_used(s, place, conn, h);
	}
}

/* From inside a place: the socket the message came over says who it is, whatever it claims. */
static void on_inside(void *arg, const char *place, const char *instance, json_int_t conn, json_t *msg)
{
	struct api *a = arg;
	struct instance *in = fleet_get(a->w->fleet, instance);
	struct call *c;
	const json_t *id = json_object_get(msg, "id");
	int waiting = 0;

	if (!in || strcmp(in->place, place)) {
		foreign(a, place, in, conn, id);
		return;
	}
	if (!id)
		return; /* a notification: nothing is asked without an answer */
	for (struct call *o = a->inside; o; o = o->next_inside)
		waiting += !strcmp(o->who_id, in->id);
	c = call_new(a);
	c->next_inside = a->inside;
	a->inside = c;
	memcpy(c->who_id, in->id, ID_SIZE);
	memcpy(c->place, place, ID_SIZE);
	c->who.instance = c->who_id;
	c->conn = conn;
	c->id = json_incref((json_t *)id);
	take(c, json_string_value(json_object_get(msg, "method")), json_object_get(msg, "params"), waiting);
}

/* The caller inside is gone (conn -1: all of the place, for its shim is): what only it waited for is given up. */
static void on_inside_closed(void *arg, const char *place, json_int_t conn)
{
	struct api *a = arg;
	struct call *c;
	bool again = true;

	uploads_drop(a, NULL, place, conn);
	subscriptions_closed(a, place, conn);
	ids_forget(a->inside_state, place, conn);
	for (c = a->inside; c; c = c->next_inside)
		if ((conn < 0 || c->conn == conn) && !strcmp(c->place, place)) {
			c->gone = true;
			c->place_lost = conn < 0;
		}
	while (again) { /* giving one up may answer others */
		again = false;
		for (c = a->inside; c && !again; c = c->next_inside) {
			if (!c->gone || c->gave_up)
				continue;
			c->gave_up = again = true;
			call_abandoned(c);
		}
	}
}

/* The guest program let nobody in who is not of its place. */
static void on_stranger(void *arg, const char *place, json_t *ev)
{
	struct api *a = arg;
	const char *claimed = json_string_value(json_object_get(ev, "instance"));
	const struct instance *in = claimed ? fleet_get(a->w->fleet, claimed) : NULL;
	struct ucred cred = {.pid = (pid_t)json_integer_value(json_object_get(ev, "pid")),
		.uid = (uid_t)json_integer_value(json_object_get(ev, "uid"))};

	if (in && !strcmp(in->place, place))
		audit_stranger(a, place, &cred, "not_of_its_place", in->id);
}

void inside_create(struct api *a)
{
	a->inside_state = xcalloc(1, sizeof(*a->inside_state));
	a->inside_state->pace = pace_create();
	a->w->on_api = on_inside;
	a->w->on_api_closed = on_inside_closed;
	a->w->on_stranger = on_stranger;
	a->w->api_arg = a;
}

void inside_destroy(struct api *a)
{
	struct inside *s = a->inside_state;

	/* Their hooks are told nothing: they ask the next daemon. */
	for (struct call *c = a->inside, *next; c; c = next) {
		next = c->next_inside;
		if (!c->asks)
			continue;
		c->gone = c->place_lost = true;
		call_abandoned(c);
	}
	while (s->conns)
		ids_forget(s, s->conns->place, -1);
	idmap_finish(&s->by_key);
	pace_destroy(s->pace);
	free(s);
}
