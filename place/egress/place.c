/* SPDX-License-Identifier: ISC */
/* Places come and go; their sockets accept. */
#include "place/egress/place.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "place/egress/flow.h"

#define ACCEPT_BUDGET 16      /* in one turn */
#define ACCEPT_AGAIN_MS 1000 /* after descriptors ran out */

void places_init(struct places *ps, struct loop *l, struct resolver *r, struct denials *d)
{
	*ps = (struct places){.loop = l, .resolver = r, .denials = d};
}

static void on_accept(void *arg, int fd, unsigned events)
{
	(void)events;
	struct place *p = arg;
	for (int i = 0; i < ACCEPT_BUDGET; i++) {
		int c = sock_accept(fd);
		if (c >= 0) {
			flow_start(p, c);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		/* No descriptors or no memory: what waits would make us spin. */
		log_warn("egress", p->name, "cannot accept: %s", strerror(errno));
		loop_io_set(p->io, 0);
		loop_timer_start(p->again, ACCEPT_AGAIN_MS);
		return;
	}
}

static void on_again(void *arg)
{
	struct place *p = arg;
	if (p->io)
		loop_io_set(p->io, LOOP_READ);
}

static struct place *find(const struct places *ps, const char *name)
{
	for (struct place *p = ps->first; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static void close_listener(struct place *p)
{
	loop_io_free(p->io);
	p->io = NULL;
	if (p->listen_fd >= 0)
		close(p->listen_fd);
	p->listen_fd = -1;
}

static void place_destroy(struct place *p)
{
	while (p->flows)
		flow_destroy(p->flows);
	close_listener(p);
	loop_timer_free(p->again);
	allow_finish(&p->allow);
	free(p);
}

void places_finish(struct places *ps)
{
	while (ps->first) {
		struct place *p = ps->first;
		ps->first = p->next;
		place_destroy(p);
	}
	ps->n = 0;
}

static int check_listener(int fd, struct err *e)
{
	int domain = 0, listening = 0;
	socklen_t len = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening)
		return err_set(e, ERR_PARAMS, "the descriptor is not a listening unix socket");
	return fd_set_nonblock(fd) < 0 ? err_set_errno(e, ERR_FAILED, errno, "fcntl") : 0;
}

int places_add(struct places *ps, const char *name, struct allow *list, int fd, struct err *e)
{
	struct place *p = find(ps, name);
	if (!*name || strlen(name) > PLACE_NAME_MAX)
		return err_set(e, ERR_PARAMS, "a place's name has 1 to %d bytes", PLACE_NAME_MAX);
	if (fd < 0 && !p)
		return err_set(e, ERR_PARAMS, "the place %s needs its listening socket", name);
	if (fd >= 0 && check_listener(fd, e) < 0)
		return -1;
	if (!p && ps->n == PLACES_MAX)
		return err_set(e, ERR_LIMIT, "there are %d places already", PLACES_MAX);
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		p->places = ps;
		p->listen_fd = -1;
		p->again = loop_timer_create(ps->loop, on_again, p);
		str_fmt(p->name, sizeof(p->name), "%s", name);
		p->next = ps->first;
		ps->first = p;
		ps->n++;
	}
	allow_finish(&p->allow);
	p->allow = *list;
	allow_init(list);
	if (fd >= 0) {
		close_listener(p);
		p->listen_fd = fd;
		p->io = loop_io_add(ps->loop, fd, LOOP_READ, on_accept, p);
	}
	return 0;
}

int places_remove(struct places *ps, const char *name, struct err *e)
{
	for (struct place **at = &ps->first; *at; at = &(*at)->next) {
		struct place *p = *at;
		if (strcmp(p->name, name) != 0)
			continue;
		*at = p->next;
		ps->n--;
		place_destroy(p);
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "there is no place %s", name);
}

json_t *places_status(const struct places *ps)
{
	json_t *list = json_array();
	for (const struct place *p = ps->first; p; p = p->next)
		json_array_append_new(list,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "place", p->name, "connections",
				(json_int_t)p->n_flows, "total", (json_int_t)p->flows_total, "up",
				(json_int_t)p->bytes_up, "down", (json_int_t)p->bytes_down, "allow",
				(json_int_t)p->allow.n));
	return list;
}
