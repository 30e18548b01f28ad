/* SPDX-License-Identifier: ISC */
/*
 * The socket of one instance. Each connection is a stream; what it says is the shim's business.
 *
 * On a host only processes of this place are heard (kinship.h): another is told so and let go, and the shim
 * is told of it, at most once in STRANGER_MS, with how many there were.
 */
#include "place/guest/api.h"

#include <errno.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/rpc.h"
#include "place/guest/kinship.h"
#include "place/guest/pump.h"
#include "place/guest/watch.h"

#define STRANGER_MS 1000

struct api {
	struct guest *guest;
	char *instance, *path;
	int fd;
	struct loop_io *io;
	size_t conns;
	bool closed;
	int64_t told_ms; /* of a stranger */
	int64_t strangers;  /* since then */
};

static void api_free(struct api *a)
{
	free(a->instance);
	free(a->path);
	free(a);
}

static void on_gone(void *arg)
{
	struct api *a = arg;

	watch_nudge(a->guest);
	if (--a->conns == 0 && a->closed)
		api_free(a);
}

static const struct pump_ops pump_ops = { .on_gone = on_gone };

static void turn_away(struct api *a, int fd, const struct ucred *who)
{
	struct err e = { 0 };
	struct buf line;
	int64_t now = clock_mono_ms();

	err_set(&e, ERR_DENIED, "this is the socket of instance %s, and you are no process of its place", a->instance);
	err_hint(&e, "use the socket that TMUX_CLAUDE_SOCKET names in your own place; the operator has the daemon's");
	buf_init(&line, RPC_LINE_MAX);
	if (rpc_write_error(&line, NULL, &e) == 0)
		(void)!send(fd, buf_data(&line), line.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_finish(&line);
	close(fd);
	a->strangers++;
	if ((a->told_ms && now - a->told_ms < STRANGER_MS) ||
		!control_stranger(a->guest, a->instance, who->pid, who->uid, a->strangers))
		return;
	a->told_ms = now;
	a->strangers = 0;
}

static void on_accept(void *arg, int fd, unsigned events)
{
	struct api *a = arg;
	struct err e = { 0 };
	int c = sock_accept(fd);

	(void)events;
	if (c < 0)
		return;
	struct ucred who;
	if (!a->guest->machine && !kinship_peer(c, &who)) {
		turn_away(a, c, &who);
		return;
	}
	if (a->conns >= API_CONNS_MAX) {
		close(c);
		return;
	}
	struct pump *p = pump_create(a->guest->loop, c, &pump_ops, a);
	a->conns++;
	if (pump_open(p, guest_link(a->guest),
		    json_pack("{s:s, s:s}", "kind", "api", "instance", a->instance), &e) < 0)
		pump_destroy(p);
	else
		pump_start(p);
}

int api_create(struct guest *g, const char *instance, struct api **ret, struct err *e)
{
	cleanup_free char *path = xasprintf("%s/%s.sock", g->run_dir, instance);
	int fd;

	if (g->machine && dir_make(g->run_dir, 0755, e) < 0)
		return -1;
	if (sock_listen(path, 0600, &fd, e) < 0)
		return err_prefix(e, "the instance's socket cannot be made");
	if (g->machine && lchown(path, g->agent.uid, g->agent.gid) < 0) {
		err_set_errno(e, ERR_IO, errno, "cannot give %s to the agent", path);
		close(fd);
		return -1;
	}
	struct api *a = xcalloc(1, sizeof(*a));
	*a = (struct api){ .guest = g, .instance = xstrdup(instance), .path = take_ptr(path), .fd = fd };
	a->io = loop_io_add(g->loop, fd, LOOP_READ, on_accept, a);
	*ret = a;
	return 0;
}

void api_destroy(struct api *a)
{
	if (!a)
		return;
	loop_io_free(a->io);
	close(a->fd);
	unlink(a->path);
	a->closed = true;
	if (a->conns == 0)
		api_free(a);
}
