/* SPDX-License-Identifier: ISC */
/* Watches the folders of the socket and of the state; see door.h. */
#include "daemon/door.h"

#include <errno.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"

#define NEAR (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR)
#define LEVELS_MAX 8 /* folders above the socket's that are watched */

struct door {
	struct loop *loop;
	const struct layout *layout;
	const struct door_ops *ops;
	void *arg;
	int notify, lock_fd;
	struct loop_io *io;
	struct loop_signal *poke;
	struct loop_defer *look;
	dev_t dev;
	ino_t ino;
	bool homeless, closed;
	char told[ERR_MESSAGE_MAX]; /* why it could not be made, said once */
};

static void remember(struct door *d)
{
	struct stat st;

	d->ino = 0;
	if (lstat(d->layout->daemon_socket, &st) == 0) {
		d->dev = st.st_dev;
		d->ino = st.st_ino;
	}
}

static bool in_place(const struct door *d)
{
	struct stat st;

	return d->ino && lstat(d->layout->daemon_socket, &st) == 0 && st.st_dev == d->dev && st.st_ino == d->ino;
}

/* The socket's folder and those above it: one that is not there yet appears in the one above. Watching a folder again
 * changes nothing. */
static void watch(struct door *d)
{
	cleanup_free char *path = xstrdup(d->layout->runtime_dir);

	for (int i = 0; i < LEVELS_MAX && path[0]; i++) {
		char *slash = strrchr(path, '/');
		bool there = inotify_add_watch(d->notify, path, NEAR) >= 0;

		/* One above the first that is there: it may be renamed away. */
		if (!slash || slash == path || (there && i > 1))
			break;
		*slash = '\0';
	}
	inotify_add_watch(d->notify, d->layout->state_dir, IN_MOVE_SELF | IN_DELETE_SELF | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR);
}

static bool home_is_there(const struct door *d)
{
	struct stat a, b;

	return stat(d->layout->lock_file, &a) == 0 && fstat(d->lock_fd, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static int make_again(struct door *d, struct err *e)
{
	int fd = -1;

	if (dir_make(d->layout->runtime_dir, 0700, e) < 0 || layout_check_private(d->layout->runtime_dir, e) < 0 ||
		sock_listen(d->layout->daemon_socket, 0600, &fd, e) < 0)
		return -1;
	remember(d);
	d->ops->moved(d->arg, fd);
	return 0;
}

static void look(void *arg)
{
	struct door *d = arg;
	struct err err = {0};

	if (d->closed)
		return;
	if (!d->homeless && !home_is_there(d)) {
		d->homeless = true;
		d->ops->homeless(d->arg);
	}
	if (d->homeless)
		return;
	watch(d);
	if (in_place(d))
		return;
	if (make_again(d, &err) == 0) {
		d->told[0] = '\0';
		log_warn("main", NULL, "the socket %s was gone, and is made again", d->layout->daemon_socket);
		watch(d);
		return;
	}
	if (strcmp(d->told, err.message) != 0)
		log_error("main", NULL, "the socket %s is gone: %s; it is made as soon as that is possible",
			d->layout->daemon_socket, err.message);
	str_fmt(d->told, sizeof(d->told), "%s", err.message);
}

static void on_notify(void *arg, int fd, unsigned events)
{
	struct door *d = arg;
	char text[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	(void)events;
	while (read(fd, text, sizeof(text)) > 0)
		;
	loop_defer_schedule(d->look);
}

static void on_poke(void *arg, int signo)
{
	(void)signo;
	loop_defer_schedule(((struct door *)arg)->look);
}

struct door *door_create(struct loop *l, const struct layout *layout, int lock_fd, const struct door_ops *ops,
	void *arg)
{
	struct door *d = xcalloc(1, sizeof(*d));

	d->loop = l;
	d->layout = layout;
	d->lock_fd = lock_fd;
	d->ops = ops;
	d->arg = arg;
	d->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	d->look = loop_defer_create(l, look, d);
	d->poke = loop_signal_add(l, SIGUSR1, on_poke, d);
	remember(d);
	if (d->notify >= 0) {
		d->io = loop_io_add(l, d->notify, LOOP_READ, on_notify, d);
		watch(d);
	} else {
		log_warn("main", NULL, "the socket's folder is not watched: %s", strerror(errno));
	}
	/* It may have gone between its making and the watch. */
	loop_defer_schedule(d->look);
	return d;
}

void door_close(struct door *d)
{
	if (!d)
		return;
	d->closed = true;
	if (in_place(d))
		unlink(d->layout->daemon_socket);
}

void door_destroy(struct door *d)
{
	if (!d)
		return;
	loop_io_free(d->io);
	loop_signal_free(d->poke);
	loop_defer_free(d->look);
	if (d->notify >= 0)
		close(d->notify);
	free(d);
}
