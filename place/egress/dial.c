/* SPDX-License-Identifier: ISC */
/* Staggered connection attempts. */
#include "place/egress/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/util.h"
#include "place/egress/addr.h"

struct attempt {
	struct dial *dial;
	struct hostport to;
	int fd; /* -1: not started, or failed */
	struct loop_io *io;
};

struct dial {
	struct loop *loop;
	struct attempt tries[DIAL_ADDRS_MAX];
	size_t n, next, running;
	struct loop_timer *stagger, *deadline;
	dial_fn *fn;
	void *arg;
	int errnum; /* of the last failure */
	size_t failed; /* its index */
};

static void attempt_end(struct attempt *t)
{
	loop_io_free(t->io);
	t->io = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

void dial_cancel(struct dial *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++)
		attempt_end(&d->tries[i]);
	loop_timer_free(d->stagger);
	loop_timer_free(d->deadline);
	free(d);
}

static void finish(struct dial *d, int fd, const struct err *e)
{
	dial_fn *fn = d->fn;
	void *arg = d->arg;
	dial_cancel(d);
	fn(arg, fd, e);
}

static void finish_failed(struct dial *d, bool late)
{
	char text[HOSTPORT_TEXT_MAX];
	struct err e = {0};
	if (late)
		err_set(&e, ERR_TIMEOUT, "no answer from %s within %d s",
			hostport_format(&d->tries[0].to, text), DIAL_DEADLINE_MS / 1000);
	else
		err_set_errno(&e, ERR_UNAVAILABLE, d->errnum, "cannot connect to %s",
			hostport_format(&d->tries[d->failed].to, text));
	finish(d, -1, &e);
}

static void attempt_failed(struct attempt *t, int errnum)
{
	struct dial *d = t->dial;
	d->errnum = errnum;
	d->failed = (size_t)(t - d->tries);
	attempt_end(t);
	d->running--;
	loop_timer_start(d->stagger, 0); /* the next at once, or the end: from the loop */
}

static void on_writable(void *arg, int fd, unsigned events)
{
	(void)events;
	struct attempt *t = arg;
	int errnum = 0;
	socklen_t len = sizeof(errnum);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		errnum = errno;
	if (errnum != 0) {
		attempt_failed(t, errnum);
		return;
	}
	loop_io_free(t->io);
	t->io = NULL;
	finish(t->dial, take_fd(&t->fd), NULL);
}

static void set_options(int fd)
{
	/* Dead peers of connections that idle for hours are noticed within about three minutes. */
	int on = 1, idle = 60, every = 30, count = 4;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void attempt_start(struct attempt *t)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_from_hostport(&t->to, &ss);
	t->dial->running++;
	t->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd < 0) {
		attempt_failed(t, errno);
		return;
	}
	set_options(t->fd);
	if (connect(t->fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS &&
		errno != EINTR) {
		attempt_failed(t, errno);
		return;
	}
	t->io = loop_io_add(t->dial->loop, t->fd, LOOP_WRITE, on_writable, t);
}

static void on_stagger(void *arg)
{
	struct dial *d = arg;
	if (d->next == d->n) {
		if (d->running == 0)
			finish_failed(d, false);
		return;
	}
	struct attempt *t = &d->tries[d->next++];
	loop_timer_start(d->stagger, DIAL_STAGGER_MS);
	attempt_start(t);
}

static void on_deadline(void *arg)
{
	finish_failed(arg, true);
}

struct dial *dial_start(struct loop *l, const struct hostport *addrs, size_t n, dial_fn *fn, void *arg)
{
	struct dial *d = xcalloc(1, sizeof(*d));
	*d = (struct dial){.loop = l, .fn = fn, .arg = arg, .errnum = EHOSTUNREACH};
	d->n = n < DIAL_ADDRS_MAX ? n : DIAL_ADDRS_MAX;
	for (size_t i = 0; i < d->n; i++)
		d->tries[i] = (struct attempt){.dial = d, .to = addrs[i], .fd = -1};
	d->stagger = loop_timer_create(l, on_stagger, d);
	d->deadline = loop_timer_create(l, on_deadline, d);
	loop_timer_start(d->stagger, 0);
	loop_timer_start(d->deadline, DIAL_DEADLINE_MS);
	return d;
}
