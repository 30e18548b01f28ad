/* SPDX-License-Identifier: ISC */
/* The daemon's socket, and calls that come from inside places: who calls, what is said, who answers. */
#include "daemon/api/api_int.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/sock.h"

static handler_fn *const handlers[METHOD_COUNT] = {
#define METHOD(sym, name, who, flags, result, summary, description) [METHOD_##sym] = api_##sym,
#define ARG(...)
#define END
#include "ipc/methods.def"
#undef METHOD
#undef ARG
#undef END
};

/* ---- answering ---- */

static void call_free(struct call *c)
{
	c->answered = true;
	if (c->running)
		return;
	for (struct call **pp = &c->api->inside; *pp; pp = &(*pp)->next_inside) {
		if (*pp != c)
			continue;
		*pp = c->next_inside;
		break;
	}
	json_decref(c->params);
	json_decref(c->id);
	json_decref(c->collected);
	json_decref(c->touched);
	free(c);
}

static void reply_inside(struct call *c, json_t *result, const struct err *e)
{
	json_t *msg;

	if (c->gone) { /* its connection's number may be another's by now */
		json_decref(result);
		return;
	}
	msg = json_pack("{s:s, s:O}", "jsonrpc", "2.0", "id", c->id ? c->id : json_null());
	if (e) {
		json_t *err = json_object();
		json_object_set_new(err, "code", json_integer(err_code_number(e->code)));
		json_object_set_new(err, "message", json_string(e->message));
		json_object_set_new(err, "data", err_to_json(e));
		json_object_set_new(msg, "error", err);
	} else {
		json_object_set_new(msg, "result", result ? result : json_object());
	}
	world_api_reply(c->w, c->place, c->conn, msg);
}

void call_result_now(struct call *c, json_t *result)
{
	FAULT_POINT("answer.write");
	audit_answered(c, NULL);
	if (c->req)
		peer_result(c->req, result);
	else
		reply_inside(c, result, NULL);
	FAULT_POINT("answer.written");
	call_free(c);
}

static void result_text_now(struct call *c, const struct buf *json)
{
	if (!c->req) {
		call_result_now(c, json_loadb((const char *)buf_data(json), json->len, 0, NULL));
		return;
	}
	FAULT_POINT("answer.text_write");
	audit_answered(c, NULL);
	peer_result_text(c->req, json);
	FAULT_POINT("answer.text_written");
	call_free(c);
}

static void error_now(struct call *c, const struct err *e)
{
	FAULT_POINT("answer.error_write");
	audit_answered(c, e);
	if (c->req)
		peer_error(c->req, e);
	else
		reply_inside(c, NULL, e);
	FAULT_POINT("answer.error_written");
	call_free(c);
}

/* An answer that waits for the commit. */
struct late {
	struct call *c;
	json_t *result;
	struct buf text;
	struct err err;
};

static void late_answer(void *arg, const struct err *error)
{
	struct late *l = arg;

	if (error)
		error_now(l->c, error);
	else if (l->err.code)
		error_now(l->c, &l->err);
	else if (l->text.len)
		result_text_now(l->c, &l->text);
	else
		call_result_now(l->c, json_incref(l->result));
	json_decref(l->result);
	buf_finish(&l->text);
	free(l);
}

static struct late *late_new(struct call *c, const struct err *e)
{
	struct late *l = xcalloc(1, sizeof(*l));

	audit_answered(c, e);
	c->late = true;
	l->c = c;
	buf_init(&l->text, RPC_LINE_MAX);
	turn_after(c->w->turn, late_answer, l);
	return l;
}

void turn_answer(struct call *c, json_t *result)
{
	late_new(c, NULL)->result = result;
}

void turn_answer_error(struct call *c, const struct err *e)
{
	late_new(c, e)->err = *e;
}

/* What a call saw may be ahead of the disk: in memory, and in the open transaction, the lazy one too. */
static bool ahead_of_disk(const struct call *c)
{
	return store_dirty(c->w->store);
}

void call_result(struct call *c, json_t *result)
{
	if (ahead_of_disk(c))
		turn_answer(c, result);
	else
		call_result_now(c, result);
}

void call_result_text(struct call *c, const struct buf *json)
{
	if (ahead_of_disk(c))
		buf_append(&late_new(c, NULL)->text, buf_data(json), json->len);
	else
		result_text_now(c, json);
}

void call_error(struct call *c, const struct err *e)
{
	if (e->code == ERR_DAMAGED && !c->w->damage)
		turn_break(c->w->turn, e); /* the next daemon only looks */
	if (ahead_of_disk(c))
		turn_answer_error(c, e);
	else
		error_now(c, e);
}

void call_instance(struct call *c, const struct instance *in)
{
	struct buf text;

	buf_init(&text, RPC_LINE_MAX);
	if (in && fleet_instance_write(c->w->fleet, in, &text) == 0)
		call_result_text(c, &text);
	else
		call_result(c, json_object());
	buf_finish(&text);
}

const char *call_str(const struct call *c, const char *name)
{
	return json_string_value(json_object_get(c->params, name));
}

bool call_bool(const struct call *c, const char *name)
{
	return json_is_true(json_object_get(c->params, name));
}

int64_t call_int(const struct call *c, const char *name, int64_t otherwise)
{
	const json_t *v = json_object_get(c->params, name);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

double call_num(const struct call *c, const char *name, double otherwise)
{
	const json_t *v = json_object_get(c->params, name);

	return json_is_number(v) ? json_number_value(v) : otherwise;
}

char **call_strv(const struct call *c, const char *name)
{
	const json_t *a = json_object_get(c->params, name), *v;
	char **out;
	size_t i;

	if (!json_is_array(a))
		return NULL;
	out = strv_new();
	json_array_foreach(a, i, v)
		strv_push(&out, json_string_value(v));
	return out;
}

/* ---- dispatch ---- */

void call_abandoned(void *arg)
{
	struct call *c = arg;
	struct err err = {0};

	c->client = NULL;
	if (c->late)
		return; /* all that is left is its answer */
	err_set(&err, ERR_CANCELLED, "the caller is gone");
	if (c->waiting) {
		waiting_cancel(c);
		error_now(c, &err);
	} else if (c->asks) {
		ask_cancel(c);
		error_now(c, &err);
	} else if (c->sending) {
		if (sending_cancel(c))
			error_now(c, &err);
	} else if (c->started[0]) {
		if (fleet_cancel(c->w->fleet, c->started, c))
			error_now(c, &err);
	}
}

/* What can be done with a database that is damaged or cannot grow; waiting is no use, for nothing will change. */
static bool only_looks(const struct call *c)
{
	if (c->method->id == METHOD_DOWN)
		return !call_bool(c, "all");
	return c->method->flags & M_READ && c->method->id != METHOD_WAIT;
}

static void refuse_damaged(struct call *c)
{
	struct err err = *c->w->damage;
	bool full = err.code == ERR_DISK;

	err_set(&err, full ? ERR_DISK : ERR_DAMAGED, "%s, so %s is not possible (the agents go on): %.300s",
		full ? "the disk is full" : "the fleet's database is damaged", c->method->name, c->w->damage->message);
	err_hint(&err, "%s", c->w->damage->hint);
	call_error(c, &err);
}

/* Is it somebody's to call, and well formed? */
static bool let_through(struct call *c, const char *name, const json_t *params, struct access *access)
{
	struct err err = {0};
	bool refused = true;

	c->method = method_find(name);
	if (!c->method) {
		err_set(&err, ERR_METHOD, "there is no method '%.64s'", name);
		access->why = "no_such_method";
		refused = c->who.instance;
	} else if (access_method(c, access, &err) == 0) {
		refused = schema_check(c->method, params, &c->params, &err) == 0 &&
			  access_check(c, access, &err) < 0;
	}
	if (!err.code && c->w->damage && !only_looks(c)) {
		refuse_damaged(c);
		return false;
	}
	if (!err.code)
		return true;
	if (refused)
		audit_refused(c, access, &err);
	call_error(c, &err);
	return false;
}

bool call_run(struct call *c, const char *name, const json_t *params)
{
	struct access access = {0};
	bool through;

	c->running = true;
	through = let_through(c, name, params, &access);
	if (through) {
		if (c->req)
			peer_request_on_abandon(c->req, call_abandoned, c);
		handlers[c->method->id](c);
	}
	audit_called(c, &access);
	c->running = false;
	if (c->answered)
		call_free(c);
	return through;
}

struct call *call_new(struct api *a)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->api = a;
	c->w = a->w;
	return c;
}

static void on_request(void *arg, struct peer_request *req, const char *method, json_t *params)
{
	struct client_conn *client = arg;
	struct call *c = call_new(client->api);

	c->req = req;
	c->client = client;
	call_run(c, method, params);
}

static void on_notification(void *arg, const char *method, json_t *params)
{
	(void)arg; /* nothing is asked of the daemon without an answer */
	(void)method;
	(void)params;
}

/* ---- the socket ---- */

static void client_free(struct client_conn *cc)
{
	struct client_conn **pp = &cc->api->clients;

	while (*pp != cc)
		pp = &(*pp)->next;
	*pp = cc->next;
	cc->api->nclients--;
	uploads_drop(cc->api, cc, NULL, 0);
	subscription_end(cc->sub);
	peer_destroy(cc->peer);
	free(cc);
}

static void on_close(void *arg, const char *reason)
{
	(void)reason;
	client_free(arg);
}

static void on_drain(void *arg)
{
	struct client_conn *cc = arg;

	if (cc->sub)
		subscription_drained(cc->sub);
	if (cc->audit.on)
		audit_feed(cc);
}

static const struct peer_ops peer_ops = {.on_request = on_request,
	.on_notification = on_notification,
	.on_drain = on_drain,
	.on_close = on_close};

/* As the kernel calls it: for people, it proves nothing. */
static void program_of(pid_t pid, char out[PROGRAM_SIZE])
{
	char path[48];
	cleanup_free char *text = NULL;
	size_t len = 0;

	str_fmt(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (file_read(path, 64, &text, &len, NULL) < 0)
		return;
	for (size_t i = 0; i < len && i + 1 < PROGRAM_SIZE && text[i] >= ' ' && text[i] < 127; i++)
		out[i] = text[i];
}

static void on_accept(void *arg, int fd, unsigned events)
{
	struct api *a = arg;
	int c;

	(void)events;
	while ((c = sock_accept(fd)) >= 0) {
		struct ucred cred = {.uid = (uid_t)-1};
		struct client_conn *cc;
		if (sock_peer(c, &cred, NULL) < 0 || (cred.uid != getuid() && cred.uid != 0) ||
			a->nclients >= CONNECTIONS_MAX) {
			log_warn("api", NULL, "a connection was refused (uid %u, %d connections)", cred.uid,
				a->nclients);
			if (a->nclients < CONNECTIONS_MAX)
				audit_stranger(a, NULL, &cred, "another_user", NULL);
			close(c);
			continue;
		}
		cc = xcalloc(1, sizeof(*cc));
		cc->api = a;
		cc->cred = cred;
		program_of(cred.pid, cc->program);
		cc->next = a->clients;
		a->clients = cc;
		a->nclients++;
		cc->peer = peer_create(a->w->loop, c, 0, &peer_ops, cc);
	}
}

struct api *api_create(struct world *w, int listen_fd)
{
	struct api *a = xcalloc(1, sizeof(*a));

	a->w = w;
	a->listen_fd = listen_fd;
	a->started_ms = clock_mono_ms();
	a->listen_io = loop_io_add(w->loop, listen_fd, LOOP_READ, on_accept, a);
	a->audit = audit_create(a);
	inside_create(a);
	return a;
}

void api_listen(struct api *a, int listen_fd)
{
	loop_io_free(a->listen_io);
	if (a->listen_fd >= 0)
		close(a->listen_fd);
	a->listen_fd = listen_fd;
	a->listen_io = listen_fd < 0 ? NULL : loop_io_add(a->w->loop, listen_fd, LOOP_READ, on_accept, a);
}

void api_destroy(struct api *a)
{
	if (!a)
		return;
	audit_flush(a->audit);
	turn_flush(a->w->turn); /* the answers that wait for it go out */
	a->w->on_api = NULL;
	a->w->on_api_closed = NULL;
	a->w->on_stranger = NULL;
	api_listen(a, -1);
	while (a->clients)
		client_free(a->clients);
	subscriptions_closed(a, NULL, 0);
	inside_destroy(a);
	audit_destroy(a->audit);
	free(a);
}

void api_on_down(struct api *a, void (*fn)(void *arg), void *arg)
{
	a->down = fn;
	a->down_arg = arg;
}
