/* SPDX-License-Identifier: ISC */
/*
 * Connections to instances' sockets, made inside the place.
 *
 * A line is a JSON-RPC message. `report` (a hook of the agent) is queued as an event and answered at
 * once, so that an agent never waits for a daemon. Any other method goes to the daemon as `api`; while
 * none is there it waits, and after API_NO_DAEMON_MS it is failed as retryable, as are calls whose
 * daemon went away before it answered. API_LASTING is the exception: it waits for a person's answer, which the next
 * daemon can give as well, so it is passed on to each that comes.
 *
 * What arrives is held to a rate, for each message is a row or a call in the daemon: past it a connection is not
 * read, so that who floods waits, and nobody else.
 *
 * Which instance speaks is what the guest said when it opened the stream, whatever the message claims.
 */
#include "place/shim/api.h"

#include "base/clock.h"
#include "base/util.h"
#include "ipc/rpc.h"
#include "place/shim/inst.h"

#define REPORT_EVENT_MAX 64
#define API_MESSAGE_MAX (RPC_LINE_MAX - 4096) /* the rest of the line is its envelope */
#define API_GROWTH_MAX 8

struct api_call {
	struct api_call *next;
	json_t *msg; /* the whole request */
	bool sent;
	bool lasting; /* outlives the daemon it was passed on to */
};

struct api_conn {
	struct api_conn *next;
	struct api *api;
	int64_t number;
	char instance[INST_ID_LEN + 1];
	struct link_stream *stream;
	struct buf in;
	size_t owed;  /* read, and not yet acknowledged */
	bool held;    /* has whole messages, and waits for its turn */
	bool ended;   /* its caller has said all; freed once that was heard */
	bool told;    /* the daemon knows of it */
	bool streams; /* notifications come over it: the next daemon would know nothing of them */
	struct api_call *calls;
	size_t ncalls;
};

struct api {
	struct shim *shim;
	struct api_conn *conns;
	int64_t last;
	bool daemon;
	struct loop_timer *alone;
	int64_t tokens, filled_ms;
	struct loop_timer *turn;
};

static void call_free(struct api_conn *c, struct api_call *call)
{
	struct api_call **at = &c->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	c->ncalls--;
	json_decref(call->msg);
	free(call);
}

static void conn_free(struct api_conn *c)
{
	struct api_conn **at = &c->api->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	while (c->calls)
		call_free(c, c->calls);
	if (c->told)
		events_mention(c->api->shim->events, "api_closed", json_pack("{s:I}", "conn", (json_int_t)c->number));
	buf_finish(&c->in);
	free(c);
}

static void drop(struct api_conn *c, const struct err *why)
{
	link_reset(c->stream, why);
	conn_free(c);
}

/* Sends a line; a reader that lets megabytes of answers wait loses its connection. False: c is gone. */
static bool send_line(struct api_conn *c, struct buf *line)
{
	struct err e = {0};
	int rc = link_send(c->stream, buf_data(line), line->len);

	buf_finish(line);
	if (rc == 0)
		return true;
	err_set(&e, ERR_BUSY, "answers are not read");
	drop(c, &e);
	return false;
}

static bool send_error(struct api_conn *c, json_t *id, const struct err *why)
{
	struct buf line;

	buf_init(&line, RPC_LINE_MAX);
	rpc_write_error(&line, id, why);
	return send_line(c, &line);
}

static void pass_on(struct api_conn *c, struct api_call *call)
{
	call->sent = c->told = true;
	events_mention(c->api->shim->events, "api",
		json_pack("{s:I, s:s, s:O}", "conn", (json_int_t)c->number, "instance", c->instance, "msg", call->msg));
}

static bool take_report(struct api_conn *c, const struct rpc_msg *m)
{
	struct buf line;
	json_t *ok;
	bool alive;
	const char *name = json_string_value(json_object_get(m->params, "event"));

	if (!name || !*name || strlen(name) > REPORT_EVENT_MAX) {
		struct err e = {0};
		err_set(&e, ERR_PARAMS, "a report needs an event's name in \"event\"");
		return m->id ? send_error(c, m->id, &e) : true;
	}
	events_tell(c->api->shim->events, "report",
		json_pack("{s:s, s:O?}", "instance", c->instance, "body", m->params));
	if (!m->id)
		return true;
	buf_init(&line, RPC_LINE_MAX);
	ok = json_object();
	rpc_write_result(&line, m->id, ok);
	json_decref(ok);
	alive = send_line(c, &line);
	return alive;
}

static bool take_call(struct api_conn *c, const struct rpc_msg *m)
{
	struct err e = {0};
	struct api_call *call, **at = &c->calls;

	if (c->ncalls >= API_CALLS_MAX) {
		err_set(&e, ERR_BUSY, "%d calls of this connection are not answered yet", API_CALLS_MAX);
		return send_error(c, m->id, &e);
	}
	call = xcalloc(1, sizeof(*call));
	call->msg = json_incref(m->root);
	call->lasting = strcmp(m->method, API_LASTING) == 0;
	while (*at)
		at = &(*at)->next;
	*at = call;
	c->ncalls++;
	if (c->api->daemon)
		pass_on(c, call);
	else if (!call->lasting && !loop_timer_active(c->api->alone))
		loop_timer_start(c->api->alone, API_NO_DAEMON_MS);
	return true;
}

/* The daemon is told it within a line of ours: one that is written anew larger than that would cost us the daemon's
 * connection, a report again and again. Numbers may grow: 0.1 is 0.10000000000000001 then. */
static int check_size(const json_t *root, size_t len, struct err *e)
{
	if (len <= RPC_LINE_MAX / API_GROWTH_MAX || json_dumpb(root, NULL, 0, JSON_COMPACT) <= API_MESSAGE_MAX)
		return 0;
	err_set(e, ERR_LIMIT, "the message is longer than %d bytes", API_MESSAGE_MAX);
	return err_hint(e, "send a text in pieces, or put it into a file");
}

/* False when c is gone. */
static bool take_line(struct api_conn *c, const char *line, size_t len)
{
	json_t *id = NULL;
	struct rpc_msg m;
	struct err e = {0};
	bool alive = true;

	if (rpc_parse(line, len, &m, &id, &e) < 0) {
		alive = send_error(c, id, &e);
		json_decref(id);
		return alive;
	}
	if (check_size(m.root, len, &e) < 0)
		alive = send_error(c, m.id, &e);
	else if (m.kind == RPC_REQUEST || m.kind == RPC_NOTIFICATION) {
		if (strcmp(m.method, "report") == 0)
			alive = take_report(c, &m);
		else if (m.kind == RPC_REQUEST)
			alive = take_call(c, &m);
	}
	json_decref(id);
	rpc_msg_finish(&m);
	return alive;
}

static bool may_take(struct api *a)
{
	int64_t now = clock_mono_ms(), fill = (now - a->filled_ms) * API_PER_SECOND / 1000;

	if (fill > 0) {
		a->tokens = a->tokens + fill > API_BURST ? API_BURST : a->tokens + fill;
		a->filled_ms = now;
	}
	if (a->tokens <= 0) {
		if (!loop_timer_active(a->turn))
			loop_timer_start(a->turn, 1000 / API_PER_SECOND);
		return false;
	}
	a->tokens--;
	return true;
}

/* Takes the whole messages whose turn it is. False when c is gone. */
static bool take_lines(struct api_conn *c)
{
	const char *line;
	struct err e = {0};
	size_t n;
	int rc;

	c->held = false;
	while ((rc = rpc_next_line(&c->in, &line, &n)) > 0) {
		if (n > 0 && !may_take(c->api)) {
			c->held = true;
			return true;
		}
		if (n > 0 && !take_line(c, line, n))
			return false;
		buf_consume(&c->in, n + 1);
	}
	if (rc < 0) {
		err_set(&e, ERR_LIMIT, "the message is longer than %d bytes", RPC_LINE_MAX);
		drop(c, &e);
		return false;
	}
	link_consumed(c->stream, c->owed);
	c->owed = 0;
	return true;
}

static void over(struct api_conn *c)
{
	/* The caller has gone: what it did not wait for, it does not need. */
	if (!link_fin_sent(c->stream))
		link_send_fin(c->stream, NULL);
	link_close(c->stream);
	conn_free(c);
}

/* The oldest first. */
static void on_turn(void *arg)
{
	struct api *a = arg;

	for (;;) {
		struct api_conn *c, *oldest = NULL;

		for (c = a->conns; c; c = c->next)
			if (c->held)
				oldest = c;
		if (!oldest)
			return;
		if (!take_lines(oldest))
			continue;
		if (oldest->held)
			return; /* its turn comes again */
		if (oldest->ended)
			over(oldest);
	}
}

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct api_conn *c = arg;
	struct err e = {0};

	(void)s;
	c->owed += len;
	if (buf_append(&c->in, data, len) < 0) {
		err_set(&e, ERR_LIMIT, "the message is longer than %d bytes", RPC_LINE_MAX);
		drop(c, &e);
		return;
	}
	if (!c->held)
		take_lines(c);
}

static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct api_conn *c = arg;

	(void)s;
	(void)msg;
	c->ended = true;
	if (!c->held)
		over(c);
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	(void)s;
	(void)why;
	conn_free(arg);
}

static const struct link_stream_ops stream_ops = {.on_data = on_data, .on_fin = on_fin, .on_reset = on_reset};

void api_open(struct shim *s, struct link_stream *stream, const json_t *what)
{
	const char *instance = json_get_text(what, "instance", "");
	struct api *a = s->api;
	struct err e = {0};
	struct api_conn *c;
	size_t n = 0;

	for (c = a->conns; c; c = c->next)
		n++;
	if (!inst_id_valid(instance))
		err_set(&e, ERR_PARAMS, "\"instance\" is missing or wrong");
	else if (!conf_has_instance(s->conf, instance))
		err_set(&e, ERR_DENIED, "%s is not of this place", instance);
	else if (n >= API_CONNS_MAX)
		err_set(&e, ERR_BUSY, "the place has %d connections already", API_CONNS_MAX);
	if (e.code) {
		link_reset(stream, &e);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->api = a;
	c->number = ++a->last;
	c->stream = stream;
	memcpy(c->instance, instance, INST_ID_LEN);
	/* A line, and what one window may hold of the next. */
	buf_init(&c->in, RPC_LINE_MAX + LINK_WINDOW);
	c->next = a->conns;
	a->conns = c;
	link_set_out_max(stream, 2 * RPC_LINE_MAX);
	link_accept(stream, &stream_ops, c);
}

static struct api_call *call_of(struct api_conn *c, const json_t *id)
{
	struct api_call *call;

	for (call = c->calls; call; call = call->next)
		if (json_equal(json_object_get(call->msg, "id"), id))
			return call;
	return NULL;
}

void api_reply(struct api *a, int64_t conn, json_t *msg)
{
	struct api_call *call;
	struct api_conn *c;
	struct buf line;
	char *text;

	for (c = a->conns; c && c->number != conn; c = c->next)
		;
	if (!c || !json_is_object(msg))
		return; /* the caller has gone */
	call = call_of(c, json_object_get(msg, "id"));
	if (call)
		call_free(c, call);
	if (!json_object_get(msg, "id"))
		c->streams = true;
	text = json_dumps(msg, JSON_COMPACT);
	buf_init(&line, RPC_LINE_MAX * 2);
	if (text && buf_printf(&line, "%s\n", text) == 0)
		send_line(c, &line);
	else
		buf_finish(&line);
	free(text);
}

/* The first that waits, of those that were passed on or of all. */
static struct api_call *call_waiting(struct api_conn *c, bool sent)
{
	struct api_call *call = c->calls;

	while (call && (call->lasting || (sent && !call->sent)))
		call = call->next;
	return call;
}

/* Who waits may try again. sent: those whose daemon went away before it answered, else all. */
static void fail_calls(struct api *a, bool sent)
{
	struct api_conn *c, *next;
	struct api_call *call;
	struct err e = {0};

	err_set(&e, ERR_UNREACHABLE, sent ? "the daemon went away before it answered: it may have been done"
					  : "the daemon does not run at the moment");
	err_hint(&e, sent ? "look, or try again (a spawn or send with its key)"
			  : "try again; the operator can start it with: tmux-claude up");
	for (c = a->conns; c; c = next) {
		bool alive = true;

		next = c->next;
		while (alive && (call = call_waiting(c, sent))) {
			json_t *id = json_incref(json_object_get(call->msg, "id"));

			call_free(c, call);
			alive = send_error(c, id, &e);
			json_decref(id);
		}
	}
}

/* No daemon came. */
static void on_alone(void *arg)
{
	fail_calls(arg, false);
}

void api_daemon(struct api *a, bool there)
{
	struct api_conn *c, *next;
	struct api_call *call;
	struct err gone = {0};

	a->daemon = there;
	if (!there) {
		err_set(&gone, ERR_UNREACHABLE, "the daemon went away");
		for (c = a->conns; c; c = next) {
			next = c->next;
			if (c->streams) /* who subscribed has to do so again */
				drop(c, &gone);
		}
		loop_timer_start(a->alone, API_NO_DAEMON_MS);
		return;
	}
	loop_timer_stop(a->alone);
	fail_calls(a, true); /* those went with the daemon that had them */
	for (c = a->conns; c; c = c->next)
		for (call = c->calls; call; call = call->next)
			pass_on(c, call);
}

struct api *api_create(struct shim *s)
{
	struct api *a = xcalloc(1, sizeof(*a));

	a->shim = s;
	a->alone = loop_timer_create(s->loop, on_alone, a);
	a->turn = loop_timer_create(s->loop, on_turn, a);
	a->tokens = API_BURST;
	a->filled_ms = clock_mono_ms();
	return a;
}

void api_destroy(struct api *a)
{
	if (!a)
		return;
	while (a->conns)
		conn_free(a->conns); /* the link goes as a whole */
	loop_timer_free(a->alone);
	loop_timer_free(a->turn);
	free(a);
}
