/* SPDX-License-Identifier: ISC */
/* Serves the daemon. */
#include "place/egress/control.h"

#include <errno.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/peer.h"
#include "place/egress/place.h"

#define EPOCH_LEN 8

struct control {
	struct loop *loop;
	int listen_fd;
	uid_t owner; /* before the drop: the daemon's */
	struct loop_io *io;
	struct peer *peer;
	struct resolver *resolver;
	struct denials *denials;
	struct places places;
	bool started;
	char epoch[EPOCH_LEN + 1];
};

static void tell_denial(void *arg, const struct denial *d)
{
	struct control *c = arg;
	if (c->peer)
		peer_notify(c->peer, "denied",
			json_pack("{s:I, s:s, s:s, s:s, s:i, s:s, s:I}", "seq", (json_int_t)d->seq,
				"epoch", c->epoch, "place", d->place, "host", d->host, "port",
				d->port, "reason", d->reason, "count", (json_int_t)d->count));
}

static void on_denial(void *arg, const struct denial *d)
{
	log_info("egress", d->place, "denied %s:%d: %s%s", d->host, d->port, d->reason,
		d->count > 1 ? " (again)" : "");
	tell_denial(arg, d);
}

/* ---- methods ---- */

static int read_allow(json_t *list, struct allow *a, struct err *e)
{
	size_t i;
	json_t *item;
	if (!json_is_array(list))
		return err_set(e, ERR_PARAMS, "\"allow\" must be an array of HOST:PORT");
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item))
			return err_set(e, ERR_PARAMS, "\"allow\" must be an array of HOST:PORT");
		if (allow_add(a, json_string_value(item), e) < 0)
			return -1;
	}
	return 0;
}

static int place_add(struct control *c, json_t *params, struct err *e)
{
	/* Taken whatever happens: descriptors and requests are matched by their order. */
	cleanup_close int fd = peer_take_fd(c->peer);
	const char *name = json_string_value(json_object_get(params, "place"));
	struct allow list;
	if (!name)
		return err_set(e, ERR_PARAMS, "\"place\" is missing");
	allow_init(&list);
	int rc = read_allow(json_object_get(params, "allow"), &list, e);
	if (rc == 0)
		rc = places_add(&c->places, name, &list, fd, e);
	allow_finish(&list);
	if (rc == 0)
		take_fd(&fd);
	return rc;
}

static int place_remove(struct control *c, json_t *params, struct err *e)
{
	const char *name = json_string_value(json_object_get(params, "place"));
	if (!name)
		return err_set(e, ERR_PARAMS, "\"place\" is missing");
	return places_remove(&c->places, name, e);
}

static int ack(struct control *c, json_t *params, struct err *e)
{
	const char *epoch = json_string_value(json_object_get(params, "epoch"));
	json_t *seq = json_object_get(params, "seq");
	if (!json_is_integer(seq) || json_integer_value(seq) < 0)
		return err_set(e, ERR_PARAMS, "\"seq\" must be a number");
	/* Another process's numbers say nothing about ours. */
	if (!epoch || strcmp(epoch, c->epoch) == 0)
		denials_ack(c->denials, (uint64_t)json_integer_value(seq));
	return 0;
}

static void on_request(void *arg, struct peer_request *req, const char *method, json_t *params)
{
	struct control *c = arg;
	struct err e = {0};
	int rc;
	if (strcmp(method, "place.add") == 0)
		rc = place_add(c, params, &e);
	else if (strcmp(method, "place.remove") == 0)
		rc = place_remove(c, params, &e);
	else if (strcmp(method, "ack") == 0)
		rc = ack(c, params, &e);
	else if (strcmp(method, "status") == 0) {
		peer_result(req, json_pack("{s:s, s:i, s:s, s:o}", "version", PACKAGE_VERSION,
					 "pid", (int)getpid(), "epoch", c->epoch, "places",
					 places_status(&c->places)));
		return;
	} else
		rc = err_set(&e, ERR_METHOD, "there is no method %s", method);
	if (rc < 0)
		peer_error(req, &e);
	else
		peer_result(req, NULL);
}

static void on_notification(void *arg, const char *method, json_t *params)
{
	struct control *c = arg;
	if (strcmp(method, "ack") == 0)
		ack(c, params, NULL);
	else if (strcmp(method, "place.remove") == 0)
		place_remove(c, params, NULL);
	else if (strcmp(method, "end") == 0)
		loop_stop(c->loop);
}

static void on_close(void *arg, const char *reason)
{
	struct control *c = arg;
	log_info("egress", NULL, "the daemon's connection ended%s%s", *reason ? ": " : "", reason);
	peer_destroy(c->peer);
	c->peer = NULL;
}

static const struct peer_ops ops = {on_request, on_notification, on_close};

/* ---- the socket ---- */

static void on_accept(void *arg, int listen_fd, unsigned events)
{
	(void)events;
	struct control *c = arg;
	cleanup_close int fd = sock_accept(listen_fd);
	struct ucred who;
	struct err e = {0};
	if (fd < 0)
		return;
	if (sock_peer(fd, &who, &e) < 0 || (who.uid != c->owner && who.uid != 0)) {
		log_warn("egress", NULL, "refused a control connection of uid %d", (int)who.uid);
		return;
	}
	peer_destroy(c->peer);
	c->peer = peer_create(c->loop, take_fd(&fd), 0, &ops, c);
	peer_accept_fds(c->peer);
	denials_replay(c->denials, tell_denial, c);
}

struct control *control_create(struct loop *l, const char *path, struct err *e)
{
	int fd;
	if (sock_listen(path, 0600, &fd, e) < 0)
		return NULL;
	struct control *c = xcalloc(1, sizeof(*c));
	c->loop = l;
	c->listen_fd = fd;
	c->owner = getuid();
	random_id(c->epoch, EPOCH_LEN);
	return c;
}

int control_start(struct control *c, struct err *e)
{
	c->resolver = resolver_create(c->loop, e);
	if (!c->resolver)
		return -1;
	c->denials = denials_create(c->loop, on_denial, c);
	places_init(&c->places, c->loop, c->resolver, c->denials);
	c->started = true;
	c->io = loop_io_add(c->loop, c->listen_fd, LOOP_READ, on_accept, c);
	return 0;
}

void control_destroy(struct control *c)
{
	if (!c)
		return;
	if (c->started) {
		loop_io_free(c->io);
		peer_destroy(c->peer);
		places_finish(&c->places);
		denials_destroy(c->denials);
		resolver_destroy(c->resolver);
	}
	close(c->listen_fd);
	free(c);
}
