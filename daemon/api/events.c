/* SPDX-License-Identifier: ISC */
/*
 * Events: the past in pages, and subscriptions, both with the same filter. docs/events.md says what a caller may rely
 * on.
 *
 * An instance sees what is about itself and its descendants. A subscription of the operator's is a connection's own,
 * bounded by that connection's queue; an instance's is one of its connection inside, which its shim closes when the
 * lines are not read, or when the daemon goes: it may begin only a little way back, and reads what is older in pages.
 */
#include <fnmatch.h>

#include "base/log.h"
#include "daemon/api/api_int.h"
#include "daemon/model/label.h"

#define TYPES_MAX 32
#define TYPE_LEN_MAX 64 /* each is matched with every event */
#define SCAN_PAGE 500
#define SCAN_MAX 5000      /* events looked at for one answer */
#define ANSWER_MAX LIST_PAGE_MAX
#define INSIDE_BACK_MAX 1000
#define INSIDE_SUBS_MAX 8  /* of one instance */
#define INSIDE_ROOM (1024 * 1024)
#define LAST_WORDS_MS 60000 /* for one that was dropped to read why */

struct filter {
	json_t *types, *ids, *labels; /* owned; NULL: any */
	unsigned states;
	char parent[ID_SIZE], who[ID_SIZE]; /* empty: any; the operator */
};

struct subscription {
	struct subscription *next; /* of api's inside_subs */
	struct api *api;
	struct client_conn *client; /* NULL: of an instance, and: */
	char place[ID_SIZE];
	json_int_t conn;
	struct filter filter;
	struct bus_subscriber *bus;
};

/* ---- the filter ---- */

static void filter_finish(struct filter *f)
{
	json_decref(f->types);
	json_decref(f->ids);
	json_decref(f->labels);
}

static int types_check(const json_t *types, struct err *e)
{
	const json_t *t;
	size_t i;

	if (json_array_size(types) > TYPES_MAX)
		return err_set(e, ERR_PARAMS, "more than %d types are given", TYPES_MAX);
	json_array_foreach(types, i, t) {
		bool known = false;
		for (int id = 0; id < EV_COUNT && !known && json_string_length(t) <= TYPE_LEN_MAX; id++)
			known = fnmatch(json_string_value(t), event_name((enum event_id)id), 0) == 0;
		if (known)
			continue;
		err_set(e, ERR_PARAMS, "no event is of type '%.64s'", json_string_value(t));
		return err_hint(e, "docs/events.md lists them; instance.* are all that begin so");
	}
	return 0;
}

/* The ids of those named; of one that was removed its id is taken as it is. */
static int ids_read(struct call *c, struct filter *f, struct err *e)
{
	const json_t *refs = json_object_get(c->params, "ids"), *ref;
	size_t i;

	json_array_foreach(refs, i, ref) {
		const char *s = json_string_value(ref);
		struct instance *in = fleet_resolve(c->w->fleet, &c->who, s, e);
		if (!in && (c->who.instance || !id_valid(s) || !store_id_used(c->w->store, s)))
			return -1;
		if (!f->ids)
			f->ids = json_array();
		json_array_append_new(f->ids, json_string(in ? in->id : s));
		err_clear(e);
	}
	return 0;
}

/* Zeroed by the caller, who finishes it whatever happens. */
static int filter_read(struct call *c, struct filter *f, struct err *e)
{
	struct selector s;

	f->types = json_incref(json_object_get(c->params, "type"));
	if (types_check(f->types, e) < 0 || selector_read(c, &s, e) < 0 || ids_read(c, f, e) < 0)
		return -1;
	f->labels = json_incref((json_t *)s.labels);
	f->states = s.states;
	if (s.parent)
		memcpy(f->parent, s.parent->id, ID_SIZE);
	if (c->who.instance)
		memcpy(f->who, c->who.instance, ID_SIZE);
	return 0;
}

static bool filter_all(const struct filter *f)
{
	return !json_array_size(f->types) && !f->ids && !json_array_size(f->labels) && !f->states && !f->parent[0] &&
	       !f->who[0];
}

static bool one_of_types(const json_t *types, const char *type)
{
	const json_t *t;
	size_t i;

	json_array_foreach(types, i, t)
		if (fnmatch(json_string_value(t), type, 0) == 0)
			return true;
	return false;
}

static bool one_of(const json_t *ids, const char *id)
{
	const json_t *one;
	size_t i;

	json_array_foreach(ids, i, one)
		if (!strcmp(json_string_value(one), id))
			return true;
	return false;
}

static bool labels_hold(const json_t *terms, const json_t *labels)
{
	const json_t *term;
	size_t i;

	json_array_foreach(terms, i, term)
		if (!label_term_holds(labels, json_string_value(term)))
			return false;
	return true;
}

/* The same of what is removed: whose it was is kept as long as its events are. */
static bool about_gone(const struct filter *f, struct store *s, const char *id)
{
	struct gone *g = store_gone_get(s, id);
	const char *parent = g && *g->above ? g->above + strlen(g->above) - (ID_SIZE - 1) : NULL;
	bool wanted = g != NULL;

	if (f->who[0] && !(g && strstr(g->above, f->who)))
		wanted = false;
	if (f->parent[0] && (!parent || strcmp(parent, f->parent) != 0))
		wanted = false;
	if (wanted && json_array_size(f->labels))
		wanted = labels_hold(f->labels, g->labels);
	store_gone_free(g);
	return wanted;
}

/* What an event is about: the instance as it is now, or was at its removal. */
static bool about(const struct filter *f, struct world *w, const char *id)
{
	struct instance *in = id ? fleet_get(w->fleet, id) : NULL;

	if (!f->who[0] && !f->parent[0] && !json_array_size(f->labels))
		return true;
	if (!in)
		return id && about_gone(f, w->store, id);
	return (!f->who[0] || fleet_is_within(w->fleet, f->who, id)) &&
	       (!f->parent[0] || !strcmp(in->parent, f->parent)) &&
	       (!json_array_size(f->labels) || labels_hold(f->labels, in->labels));
}

static bool filter_wants(const struct filter *f, struct world *w, const json_t *ev)
{
	const char *type = json_string_value(json_object_get(ev, "type"));
	const char *id = json_string_value(json_object_get(ev, "instance"));
	const json_t *data = json_object_get(ev, "data");
	enum inst_state to;

	/* Whom a refused call meant is what its caller is not to learn (access.c): the operator's alone. */
	if (f->who[0] && !strcmp(type, event_name(EV_CALL_DENIED)))
		return false;
	if (json_array_size(f->types) && !one_of_types(f->types, type))
		return false;
	if (f->ids && (!id || !one_of(f->ids, id)))
		return false;
	if (f->states && (strcmp(type, event_name(EV_STATE)) != 0 ||
				 state_from_name(json_string_value(json_object_get(data, "to")), &to) < 0 ||
				 !(f->states & (1u << to))))
		return false;
	return about(f, w, id);
}

/* ---- since ---- */

/* Can it be gone on from there? */
static int since_check(struct call *c, int64_t since, struct err *e)
{
	const char *fleet = call_str(c, "fleet");
	int64_t last = store_event_durable(c->w->store), first = store_event_first(c->w->store);

	if (fleet && strcmp(fleet, store_fleet(c->w->store)) != 0) {
		err_set(e, ERR_OTHER, "this is another fleet's database: event %lld of that one means nothing here",
			(long long)since);
		return err_hint(e, "begin anew: list, and a subscription without since");
	}
	if (since > last) {
		err_set(e, ERR_OTHER, "the last event is %lld, before %lld: this is another fleet, or its database was put back",
			(long long)last, (long long)since);
		return err_hint(e, "begin anew: list, and a subscription without since");
	}
	if (store_event_skipped(c->w->store, since)) {
		err_set(e, ERR_OTHER, "event %lld is none of this database: it was restored from an older copy",
			(long long)since);
		return err_hint(e, "begin anew: list, and a subscription without since");
	}
	if (first && since + 1 < first)
		return store_event_gone(c->w->store, since, e);
	return 0;
}

/* ---- the past ---- */

struct page {
	json_t *events;
	size_t bytes;
	int64_t limit, at; /* looked at, up to here */
	bool full;
};

static void page_add(struct page *p, const struct filter *f, struct world *w, json_t *ev)
{
	if (filter_wants(f, w, ev)) {
		size_t n = json_dumpb(ev, NULL, 0, JSON_COMPACT) + 1;
		if ((int64_t)json_array_size(p->events) >= p->limit || p->bytes + n > ANSWER_MAX) {
			p->full = true;
			return;
		}
		p->bytes += n;
		json_array_append(p->events, ev);
	}
	p->at = json_integer_value(json_object_get(ev, "seq"));
}

/* From p->at on, as far as one answer goes. */
static int scan(struct call *c, const struct filter *f, struct page *p, struct err *e)
{
	for (int seen = 0; seen < SCAN_MAX && !p->full;) {
		json_t *rows = store_events(c->w->store, p->at, SCAN_PAGE, NULL, e), *ev;
		size_t i, n = json_array_size(rows);

		if (!rows)
			return -1;
		json_array_foreach(rows, i, ev)
			if (!p->full)
				page_add(p, f, c->w, ev);
		json_decref(rows);
		seen += (int)n;
		if (n < SCAN_PAGE)
			break;
	}
	return 0;
}

static json_t *reversed(json_t *a)
{
	json_t *out = json_array();

	for (size_t i = json_array_size(a); i-- > 0;)
		json_array_append(out, json_array_get(a, i));
	json_decref(a);
	return out;
}

/* The last ones that are wanted, backwards in pages; `at` becomes the last event there is. */
static int scan_back(struct call *c, const struct filter *f, struct page *p, struct err *e)
{
	int64_t last = store_event_last(c->w->store), first = store_event_first(c->w->store), to = last;

	for (int seen = 0; first && to >= first && seen < SCAN_MAX && !p->full; seen += SCAN_PAGE) {
		int64_t from = to - SCAN_PAGE < first - 1 ? first - 1 : to - SCAN_PAGE;
		json_t *rows = store_events(c->w->store, from, to - from, NULL, e);

		if (!rows)
			return -1;
		for (size_t i = json_array_size(rows); i-- > 0 && !p->full;)
			page_add(p, f, c->w, json_array_get(rows, i));
		json_decref(rows);
		to = from;
	}
	p->events = reversed(p->events);
	p->at = last;
	return 0;
}

/* The last ones of one instance, which have an index. */
static int of_one(struct call *c, const struct filter *f, struct page *p, struct err *e)
{
	json_t *rows = store_events(c->w->store, -1, p->limit, json_string_value(json_array_get(f->ids, 0)), e);

	if (!rows)
		return -1;
	for (size_t i = json_array_size(rows); i-- > 0 && !p->full;)
		page_add(p, f, c->w, json_array_get(rows, i));
	json_decref(rows);
	p->events = reversed(p->events);
	p->at = store_event_last(c->w->store);
	return 0;
}

static bool only_one(const struct filter *f)
{
	return json_array_size(f->ids) == 1 && !json_array_size(f->types) && !json_array_size(f->labels) && !f->states &&
	       !f->parent[0];
}

void api_EVENTS(struct call *c)
{
	int64_t since = call_int(c, "since", -1), limit = call_int(c, "limit", since < 0 ? EVENTS_DEFAULT : EVENTS_MAX);
	struct page p = {.events = json_array(), .limit = limit > EVENTS_MAX ? EVENTS_MAX : limit, .at = since};
	struct filter f = {0};
	struct err err = {0};
	int r = filter_read(c, &f, &err);

	if (r == 0 && since >= 0)
		r = since_check(c, since, &err) < 0 ? -1 : scan(c, &f, &p, &err);
	else if (r == 0)
		r = only_one(&f) ? of_one(c, &f, &p, &err) : scan_back(c, &f, &p, &err);
	filter_finish(&f);
	if (r < 0) {
		json_decref(p.events);
		call_error(c, &err);
		return;
	}
	call_result(c, json_pack("{s:o, s:I, s:I, s:I, s:s}", "events", p.events, "first",
			       (json_int_t)store_event_first(c->w->store), "last",
			       (json_int_t)store_event_last(c->w->store), "next", (json_int_t)p.at, "fleet",
			       store_fleet(c->w->store)));
}

/* ---- subscriptions ---- */

/* -1: its queue is full. */
static int say(struct subscription *s, const char *method, json_t *params)
{
	if (s->client)
		return peer_notify(s->client->peer, method, params);
	world_api_reply(s->api->w, s->place, s->conn,
		json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params));
	return 0;
}

static int sub_send(void *arg, json_t *event)
{
	return say(arg, "event", json_incref(event));
}

static size_t sub_room(void *arg)
{
	const struct subscription *s = arg;
	size_t most = s->client ? PEER_OUT_MAX / 2 : INSIDE_ROOM;
	size_t pending = s->client ? peer_out_pending(s->client->peer) : world_api_pending(s->api->w, s->place);

	return pending >= most ? 0 : most - pending;
}

static bool sub_wants(void *arg, const json_t *event)
{
	const struct subscription *s = arg;

	return filter_wants(&s->filter, s->api->w, event);
}

static void sub_position(void *arg, int64_t seq)
{
	say(arg, "position", json_pack("{s:I}", "seq", (json_int_t)seq));
}

static void sub_free(struct subscription *s)
{
	for (struct subscription **pp = &s->api->inside_subs; *pp; pp = &(*pp)->next) {
		if (*pp != s)
			continue;
		*pp = s->next;
		break;
	}
	if (s->client)
		s->client->sub = NULL;
	filter_finish(&s->filter);
	free(s);
}

/* The last line says why and where to go on; it is behind all that waits to be read. */
static void sub_dropped(void *arg, const struct err *why, int64_t seq)
{
	struct subscription *s = arg;
	struct client_conn *cc = s->client;
	json_t *o = err_to_json(why);

	log_warn("bus", cc ? NULL : s->filter.who, "a subscriber was dropped after event %lld: %s", (long long)seq,
		why->message);
	json_object_set_new(o, "seq", json_integer(seq));
	say(s, "dropped", o);
	sub_free(s);
	if (cc)
		peer_finish(cc->peer, LAST_WORDS_MS);
}

static const struct bus_ops sub_all = {.send = sub_send, .room = sub_room, .dropped = sub_dropped};
static const struct bus_ops sub_some = {.send = sub_send, .room = sub_room, .dropped = sub_dropped,
	.wants = sub_wants, .position = sub_position};

void subscription_end(struct subscription *s)
{
	if (!s)
		return;
	bus_unsubscribe(s->bus);
	sub_free(s);
}

void subscription_drained(struct subscription *s)
{
	bus_drained(s->bus);
}

void subscriptions_closed(struct api *a, const char *place, json_int_t conn)
{
	struct subscription *s, *next;

	for (s = a->inside_subs; s; s = next) {
		next = s->next;
		if (!place || ((conn < 0 || s->conn == conn) && !strcmp(s->place, place)))
			subscription_end(s);
	}
}

/* May this caller have one (more)? */
static int may_subscribe(const struct call *c, int64_t since, struct err *e)
{
	int64_t behind = store_event_durable(c->w->store) - since;
	int n = 0;

	if (!c->who.instance) {
		if (c->client && !c->client->sub)
			return 0;
		return err_set(e, ERR_STATE, "this connection has its subscription already");
	}
	for (const struct subscription *s = c->api->inside_subs; s; s = s->next) {
		if (s->conn == c->conn && !strcmp(s->place, c->place))
			return err_set(e, ERR_STATE, "this connection has its subscription already");
		n += !strcmp(s->filter.who, c->who.instance);
	}
	if (n >= INSIDE_SUBS_MAX)
		return err_set(e, ERR_BUSY, "this instance has %d subscriptions already", n);
	if (behind <= INSIDE_BACK_MAX)
		return 0;
	err_set(e, ERR_LIMIT, "%lld events came since then, and an instance's subscription begins at most %d back",
		(long long)behind, INSIDE_BACK_MAX);
	return err_hint(e, "read the older ones with `events`, page by page, then subscribe");
}

void api_SUBSCRIBE(struct call *c)
{
	int64_t since = call_int(c, "since", store_event_durable(c->w->store));
	struct subscription *s = xcalloc(1, sizeof(*s));
	struct err err = {0};

	if (filter_read(c, &s->filter, &err) < 0 || since_check(c, since, &err) < 0 ||
		may_subscribe(c, since, &err) < 0) {
		filter_finish(&s->filter);
		free(s);
		call_error(c, &err);
		return;
	}
	s->api = c->api;
	s->client = c->who.instance ? NULL : c->client;
	if (s->client) {
		s->client->sub = s;
	} else {
		memcpy(s->place, c->place, ID_SIZE);
		s->conn = c->conn;
		s->next = s->api->inside_subs;
		s->api->inside_subs = s;
	}
	call_result_now(c, json_pack("{s:I, s:s}", "seq", (json_int_t)since, "fleet", store_fleet(s->api->w->store)));
	s->bus = bus_subscribe(s->api->w->bus, since, filter_all(&s->filter) ? &sub_all : &sub_some, s);
}
