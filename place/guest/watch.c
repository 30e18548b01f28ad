/* SPDX-License-Identifier: ISC */
/* Changes of files and folders: one inotify descriptor for all, or signs of life instead. */
#include "place/guest/watch.h"

#include <errno.h>
#include <sys/inotify.h>

#include "base/util.h"

#define OF_FILE (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)
/* Others write into the files of a folder all the time. */
#define OF_FOLDER (IN_CREATE | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF)
#define NUDGE_MS 100        /* sooner they are not called again */
#define NUDGE_AGAIN_MS 1500 /* what was written a moment after the sign */
#define EVENTS_BYTES 8192

struct watch {
	struct watch *next;
	struct watches *all;
	int wd; /* -1: the kernel tells nothing of it */
	bool due;
	watch_fn *fn;
	void *arg;
};

struct watches {
	int fd;
	struct loop_io *io;
	struct loop_timer *nudge;
	bool again; /* the nudge after the nudge is under way */
	struct watch *list;
};

/* Callbacks free and add at will: each that is due is looked for from the front. */
static void call_due(struct watches *all)
{
	for (struct watch *w = all->list; w;) {
		if (!w->due) {
			w = w->next;
			continue;
		}
		w->due = false;
		w->fn(w->arg);
		w = all->list;
	}
}

static void mark(struct watches *all, int wd, bool gone)
{
	for (struct watch *w = all->list; w; w = w->next) {
		if (w->wd != wd)
			continue;
		w->due = true;
		if (gone)
			w->wd = -1;
	}
}

static void on_events(void *arg, int fd, unsigned events)
{
	char buf[EVENTS_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct watches *all = arg;
	ssize_t n;

	(void)events;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			struct inotify_event *ev = (struct inotify_event *)(buf + at);
			at += (ssize_t)(sizeof(*ev) + ev->len);
			for (struct watch *w = all->list; w && (ev->mask & IN_Q_OVERFLOW); w = w->next)
				w->due = true;
			mark(all, ev->wd, ev->mask & IN_IGNORED);
		}
	}
	call_due(all);
}

static void on_nudge(void *arg)
{
	struct watches *all = arg;

	for (struct watch *w = all->list; w; w = w->next)
		w->due = w->wd < 0;
	if (!all->again) {
		all->again = true;
		loop_timer_start(all->nudge, NUDGE_AGAIN_MS);
	}
	call_due(all);
}

static struct watches *watches_get(struct guest *g)
{
	struct watches *all = g->watches;

	if (!all) {
		all = g->watches = xcalloc(1, sizeof(*all));
		all->fd = -1;
		all->nudge = loop_timer_create(g->loop, on_nudge, all);
	}
	if (all->fd < 0) {
		all->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (all->fd >= 0)
			all->io = loop_io_add(g->loop, all->fd, LOOP_READ, on_events, all);
	}
	return all;
}

struct watch *watch_add(struct guest *g, const char *path, bool folder, watch_fn *fn, void *arg)
{
	struct watches *all = watches_get(g);
	int wd = all->fd < 0 ? -1 : inotify_add_watch(all->fd, path, (folder ? OF_FOLDER : OF_FILE) | IN_MASK_ADD);

	if (wd < 0 && access(path, F_OK) < 0)
		return NULL;
	struct watch *w = xcalloc(1, sizeof(*w));
	*w = (struct watch){ .next = all->list, .all = all, .wd = wd, .fn = fn, .arg = arg };
	all->list = w;
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	struct watches *all = w->all;
	struct watch **at = &all->list, *other;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	for (other = all->list; other && other->wd != w->wd; other = other->next)
		;
	if (w->wd >= 0 && !other)
		inotify_rm_watch(all->fd, w->wd);
	free(w);
	/* Nobody watches: the descriptor is another's. */
	if (all->list || all->fd < 0)
		return;
	loop_io_free(all->io);
	all->io = NULL;
	close(take_fd(&all->fd));
}

void watch_nudge(struct guest *g)
{
	struct watches *all = g->watches;
	struct watch *w = all ? all->list : NULL;

	while (w && w->wd >= 0)
		w = w->next;
	if (!w || (loop_timer_active(all->nudge) && !all->again))
		return;
	all->again = false;
	loop_timer_start(all->nudge, NUDGE_MS);
}

void watches_destroy(struct guest *g)
{
	struct watches *all = g->watches;

	if (!all)
		return;
	while (all->list) {
		struct watch *w = all->list;
		all->list = w->next;
		free(w);
	}
	loop_io_free(all->io);
	if (all->fd >= 0)
		close(all->fd);
	loop_timer_free(all->nudge);
	free(all);
	g->watches = NULL;
}
