/* SPDX-License-Identifier: ISC */
/*
 * Waiting for a shim's socket by inotify on the place's folder: sock_listen changes the socket's mode
 * after it listens, so the attribute event means that a connection will be taken. All places share one
 * inotify descriptor (a user may have 128 of them, and views need some).
 */
#include "daemon/shimctl/find.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/util.h"

#define LOOK_MS 20

struct find {
	struct loop *loop;
	const char *socket;
	char *dir;
	void (*fn)(void *arg);
	void *arg;
	int wd;                  /* -1: does not wait by inotify */
	struct loop_timer *look; /* waits by this instead, when others of this user have all watches */
	struct find *prev, *next;
};

/* The one inotify descriptor, and who waits on it. */
static struct watcher {
	int fd;
	struct loop_io *io;
	struct find *first;
} watcher = {.fd = -1};

/* Something happened in the folder wd; -1: events were lost, so it may have been any. */
static void look_again(int wd, const char *name)
{
	for (struct find *f = watcher.first, *next; f; f = next) {
		next = f->next;
		if (wd < 0 || (f->wd == wd && strcmp(name, f->socket) == 0))
			f->fn(f->arg);
	}
}

static void on_notify(void *arg, int fd, unsigned events)
{
	char mem[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	(void)arg;
	(void)events;
	while ((n = read(fd, mem, sizeof(mem))) > 0) {
		for (char *at = mem; at < mem + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)at;
			if (ev->mask & IN_Q_OVERFLOW)
				look_again(-1, NULL);
			else if (ev->len)
				look_again(ev->wd, ev->name);
			at += sizeof(*ev) + ev->len;
		}
	}
}

static void on_look(void *arg)
{
	struct find *f = arg;

	loop_timer_start(f->look, LOOK_MS);
	f->fn(f->arg);
}

struct find *find_create(struct loop *l, const char *dir, const char *socket, void (*fn)(void *arg), void *arg)
{
	struct find *f = xcalloc(1, sizeof(*f));

	*f = (struct find){.loop = l, .dir = xstrdup(dir), .socket = socket, .fn = fn, .arg = arg, .wd = -1};
	f->look = loop_timer_create(l, on_look, f);
	return f;
}

void find_destroy(struct find *f)
{
	if (!f)
		return;
	find_stop(f);
	loop_timer_free(f->look);
	free(f->dir);
	free(f);
}

int find_start(struct find *f, struct err *e)
{
	if (watcher.fd < 0) {
		watcher.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (watcher.fd >= 0)
			watcher.io = loop_io_add(f->loop, watcher.fd, LOOP_READ, on_notify, NULL);
	}
	if (watcher.fd >= 0)
		f->wd = inotify_add_watch(watcher.fd, f->dir, IN_CREATE | IN_ATTRIB | IN_MOVED_TO | IN_ONLYDIR);
	if (f->wd < 0 && (errno == EMFILE || errno == ENOSPC)) {
		/* Others of this user have all there are: then by time, until the deadline. */
		loop_timer_start(f->look, LOOK_MS);
		return 0;
	}
	if (f->wd < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot watch %s", f->dir);
	f->prev = NULL;
	f->next = watcher.first;
	if (watcher.first)
		watcher.first->prev = f;
	watcher.first = f;
	return 0;
}

void find_stop(struct find *f)
{
	loop_timer_stop(f->look);
	if (f->wd < 0)
		return;
	inotify_rm_watch(watcher.fd, f->wd);
	f->wd = -1;
	if (f->prev)
		f->prev->next = f->next;
	else
		watcher.first = f->next;
	if (f->next)
		f->next->prev = f->prev;
	f->prev = f->next = NULL;
}

void find_finish(void)
{
	loop_io_free(take_ptr(watcher.io));
	if (watcher.fd >= 0)
		close(take_fd(&watcher.fd));
}
