/* SPDX-License-Identifier: ISC */
/* shim.sock: takes connections, hears what each is for, hands it on. */
#include "place/shim/server.h"

#include <errno.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/link/frame.h"
#include "ipc/peer.h"
#include "place/shim/control.h"
#include "place/shim/exec.h"
#include "place/shim/follow.h"
#include "place/shim/guest.h"
#include "place/shim/inst.h"
#include "place/shim/view.h"

/* A connection: nameless until its hello, then the daemon's; others are given away by then. */
struct guest_conn {
	struct guest_conn *next, **prev;
	struct server *server;
	struct peer *peer;
	struct loop_timer *timer;
	bool control;
	/* A view that came before its instance: */
	struct peer_request *waiting;
	json_t *params;
};

struct server {
	struct shim *shim;
	int fd;
	uid_t uid;
	struct loop_io *io;
	struct guest_conn *conns;
	size_t count;
};

static void forget(struct guest_conn *c)
{
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->server->count--;
	loop_timer_free(c->timer);
	json_decref(c->params);
	free(c);
}

static void drop(struct guest_conn *c)
{
	struct err e = {0};

	if (c->waiting) {
		err_set(&e, ERR_NOT_FOUND, "this place has no such instance");
		peer_error(c->waiting, &e);
	}
	peer_destroy(c->peer);
	forget(c);
}

/* Answers the hello and takes the descriptor out of the JSON protocol; -1 when that is not possible
 * (the connection is dropped). */
static int release(struct guest_conn *c, struct peer_request *req, json_t *result, struct buf *rest)
{
	struct err e = {0};
	int fd;

	peer_result(req, result);
	fd = peer_release(c->peer, rest, &e);
	if (fd < 0) {
		drop(c);
		return -1;
	}
	forget(c);
	return fd;
}

static void begin_view(struct guest_conn *c, struct inst *i, struct peer_request *req, json_t *params)
{
	struct buf rest;
	int fd;

	json_incref(params);
	buf_init(&rest, FRAME_MAX);
	fd = release(c, req, json_pack("{s:b}", "running", inst_running(i)), &rest);
	if (fd >= 0)
		view_create(i, fd, &rest, params);
	buf_finish(&rest);
	json_decref(params);
}

static void begin_follow(struct guest_conn *c, struct inst *i, struct peer_request *req, json_t *params)
{
	uint64_t since = (uint64_t)json_get_int(params, "since", (int64_t)record_first(inst_record(i))), at;
	bool follow = json_get_bool(params, "follow");
	struct err e = {0};
	struct buf rest;
	char probe;
	int fd;

	if (record_read(inst_record(i), since, &probe, 1, &at, &e) < 0) {
		peer_error(req, &e);
		return;
	}
	buf_init(&rest, FRAME_MAX);
	fd = release(c, req,
		json_pack("{s:I, s:I}", "first", (json_int_t)record_first(inst_record(i)), "offset",
			(json_int_t)record_end(inst_record(i))),
		&rest);
	if (fd >= 0)
		follow_create(i, fd, &rest, since, follow);
	buf_finish(&rest);
}

/* A pane is made while its instance is still being started, and made again while a new shim has not
 * found its instances yet: such a view waits for its instance. */
static void hello_view(struct guest_conn *c, struct peer_request *req, json_t *params)
{
	struct err e = {0};
	const char *id = json_need_text(params, "instance", &e);
	struct inst *i = id ? inst_find(c->server->shim, id) : NULL;

	if (!id || c->waiting) {
		peer_error(req, &e);
	} else if (i) {
		begin_view(c, i, req, params);
	} else {
		c->waiting = req;
		c->params = json_incref(params);
		loop_timer_start(c->timer, SERVER_VIEW_MS);
	}
}

void server_instance_ready(struct shim *s, struct inst *i)
{
	struct guest_conn *c, *next;

	for (c = s->server ? s->server->conns : NULL; c; c = next) {
		struct peer_request *req = c->waiting;

		next = c->next;
		if (!req || strcmp(json_get_text(c->params, "instance", ""), inst_id(i)) != 0)
			continue;
		c->waiting = NULL;
		if (strcmp(json_get_text(c->params, "role", ""), "follow") == 0)
			begin_follow(c, i, req, c->params);
		else
			begin_view(c, i, req, c->params);
	}
}

/* A new shim does not know at once what its place holds: who follows an instance waits until it does. */
static void hello_follow(struct guest_conn *c, struct peer_request *req, json_t *params)
{
	struct shim *s = c->server->shim;
	struct err e = {0};
	const char *id = json_need_text(params, "instance", &e);
	struct inst *i = id ? inst_find(s, id) : NULL;

	if (id && !i)
		err_set(&e, ERR_UNAVAILABLE, "this place has no instance %s (any more)", id);
	if (i) {
		begin_follow(c, i, req, params);
	} else if (!id || c->waiting || guest_is_up(s->guest)) {
		peer_error(req, &e);
	} else {
		c->waiting = req;
		c->params = json_incref(params);
		loop_timer_start(c->timer, SERVER_VIEW_MS);
	}
}

static void hello_exec(struct guest_conn *c, struct peer_request *req, json_t *params)
{
	struct shim *s = c->server->shim;
	struct err e = {0};
	const char *ticket = json_need_text(params, "ticket", &e);
	json_t *what = ticket ? exec_redeem(s, ticket, &e) : NULL;
	struct buf rest;
	int fd;

	if (!what) {
		peer_error(req, &e);
		return;
	}
	buf_init(&rest, 2 * FRAME_MAX);
	fd = release(c, req, NULL, &rest);
	if (fd >= 0)
		exec_create(s, fd, &rest, what);
	json_decref(what);
	buf_finish(&rest);
}

static void hello_control(struct guest_conn *c, struct peer_request *req)
{
	struct server *v = c->server;
	struct guest_conn *old, *next;

	for (old = v->conns; old; old = next) {
		next = old->next;
		if (old->control) {
			log_info("control", NULL, "a newer daemon connected");
			control_detach(v->shim);
			forget(old);
		}
	}
	c->control = true;
	loop_timer_stop(c->timer);
	control_attach(v->shim, c->peer, req);
}

static void on_request(void *arg, struct peer_request *req, const char *method, json_t *params)
{
	struct guest_conn *c = arg;
	const char *role = json_get_text(params, "role", "");
	struct err e = {0};

	if (c->control) {
		control_on_request(c->server->shim, req, method, params);
	} else if (strcmp(method, "hello") != 0) {
		err_set(&e, ERR_REQUEST, "the first message must be a hello");
		peer_error(req, &e);
	} else if (strcmp(role, "control") == 0) {
		hello_control(c, req);
	} else if (strcmp(role, "view") == 0) {
		hello_view(c, req, params);
	} else if (strcmp(role, "exec") == 0) {
		hello_exec(c, req, params);
	} else if (strcmp(role, "follow") == 0) {
		hello_follow(c, req, params);
	} else {
		err_set(&e, ERR_PARAMS, "\"role\" is not control, view, exec or follow");
		peer_error(req, &e);
	}
}

static void on_notification(void *arg, const char *method, json_t *params)
{
	struct guest_conn *c = arg;

	if (c->control)
		control_on_notification(c->server->shim, method, params);
}

static void on_close(void *arg, const char *reason)
{
	struct guest_conn *c = arg;

	(void)reason;
	if (c->control) {
		control_detach(c->server->shim);
		forget(c);
	} else {
		drop(c);
	}
}

static const struct peer_ops peer_ops = {
	.on_request = on_request, .on_notification = on_notification, .on_close = on_close};

static void on_timer(void *arg)
{
	drop(arg);
}

/* The daemon does not read: it hears the rest when it connects again. */
void server_control_slow(void *arg)
{
	struct server *v = ((struct shim *)arg)->server;
	struct guest_conn *c;

	for (c = v->conns; c && !c->control; c = c->next)
		;
	if (!c)
		return;
	log_warn("control", NULL, "the daemon does not read; its connection is dropped");
	control_detach(v->shim);
	forget(c);
}

static bool may_enter(const struct server *v, int fd)
{
	struct err e = {0};
	struct ucred peer;

	if (sock_peer(fd, &peer, &e) < 0)
		return false;
	if (peer.uid == v->uid || peer.uid == 0)
		return true;
	log_warn("server", NULL, "uid %u is not let in", (unsigned)peer.uid);
	return false;
}

static void on_accept(void *arg, int listen_fd, unsigned events)
{
	struct server *v = arg;
	int fd;

	(void)events;
	while ((fd = sock_accept(listen_fd)) >= 0) {
		struct guest_conn *c;

		if (!may_enter(v, fd) || v->count >= SERVER_CONNS_MAX) {
			close(fd);
			continue;
		}
		c = xcalloc(1, sizeof(*c));
		c->server = v;
		c->next = v->conns;
		c->prev = &v->conns;
		if (v->conns)
			v->conns->prev = &c->next;
		v->conns = c;
		v->count++;
		c->timer = loop_timer_create(v->shim->loop, on_timer, c);
		loop_timer_start(c->timer, SERVER_HELLO_MS);
		c->peer = peer_create(v->shim->loop, fd, 0, &peer_ops, c);
	}
}

int server_create(struct shim *s, struct server **ret, struct err *e)
{
	struct server *v = xcalloc(1, sizeof(*v));

	v->shim = s;
	v->uid = geteuid();
	if (sock_listen(SHIM_SOCKET, 0600, &v->fd, e) < 0) {
		free(v);
		return -1;
	}
	v->io = loop_io_add(s->loop, v->fd, LOOP_READ, on_accept, v);
	*ret = v;
	return 0;
}

void server_destroy(struct server *v)
{
	if (!v)
		return;
	control_detach(v->shim);
	while (v->conns) {
		if (v->conns->control)
			forget(v->conns);
		else
			drop(v->conns);
	}
	loop_io_free(v->io);
	close(v->fd);
	free(v);
}
