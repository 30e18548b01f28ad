/* SPDX-License-Identifier: ISC */
/* Into a folder that may be our own mount, then exec; see enter.h. */
#include "place/guest/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "base/buf.h"
#include "base/util.h"
#include "ipc/rpc.h"

#define SAY_MAX 4096
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- the role ---- */

static int say(const struct err *e)
{
	json_t *o = err_to_json(e);
	cleanup_free char *text = json_dumps(o, JSON_COMPACT);

	json_decref(o);
	if (text)
		write_all(ENTER_FD, text, strlen(text));
	return 127;
}

/* Tries each place of PATH; the errno that tells most. */
static int exec_in_path(const char *name, char **argv)
{
	const char *path = getenv("PATH");
	int tell = ENOENT;

	for (const char *p = path && *path ? path : DEFAULT_PATH;; p++) {
		size_t n = strcspn(p, ":");
		cleanup_free char *full = xasprintf("%.*s/%s", (int)n, p, name);
		if (n > 0 && *p == '/') { /* a relative one would be found in a folder that agents write */
			execv(full, argv);
			if (errno != ENOENT && errno != ENOTDIR)
				tell = errno;
		}
		p += n;
		if (!*p)
			return tell;
	}
}

int enter_main(int argc, char **argv)
{
	struct err e = {0};
	const char *dir, *name;
	int why;

	if (argc < 5 || fcntl(ENTER_FD, F_SETFD, FD_CLOEXEC) < 0)
		return 127;
	dir = argv[2];
	name = argv[3];
	if (chdir(dir) < 0) {
		err_set_errno(&e, ERR_NOT_FOUND, errno, "the folder %s cannot be entered", dir);
		return say(&e);
	}
	setenv("PWD", dir, 1);
	if (strchr(name, '/')) {
		execv(name, argv + 4);
		why = errno;
	} else {
		why = exec_in_path(name, argv + 4);
	}
	if (why == ENOENT && !strchr(name, '/')) {
		err_set(&e, ERR_MISSING, "the program %s was not found in PATH inside the VM", name);
		err_hint(&e, "install it in there, or use a template that has it");
	} else {
		err_set_errno(&e, why == ENOENT ? ERR_MISSING : ERR_FAILED, why, "cannot start %s", name);
		err_hint(&e, "check the name and that it (and its interpreter) is installed in the VM");
	}
	return say(&e);
}

/* ---- who waits ---- */

struct entering {
	struct loop_io *io;
	int fd;
	struct buf said;
	enter_fn *fn;
	void *arg;
};

static void finish(struct entering *n)
{
	enter_fn *fn = n->fn;
	void *arg = n->arg;
	struct err e = {0};
	json_t *o = n->said.len ? json_loadb((char *)buf_data(&n->said), n->said.len, 0, NULL) : NULL;
	bool failed = n->said.len > 0;

	if (o)
		err_from_json(o, &e);
	if (failed && !e.code)
		err_set(&e, ERR_FAILED, "the program could not be started");
	json_decref(o);
	entering_destroy(n);
	fn(arg, failed ? &e : NULL);
}

static void on_io(void *arg, int fd, unsigned events)
{
	struct entering *n = arg;
	char piece[SAY_MAX];
	ssize_t got;

	(void)events;
	while ((got = read(fd, piece, sizeof(piece))) > 0)
		if (buf_append(&n->said, piece, (size_t)got) < 0)
			break;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	finish(n);
}

struct entering *entering_create(struct loop *l, int fd, enter_fn *fn, void *arg)
{
	struct entering *n = xcalloc(1, sizeof(*n));

	fd_set_nonblock(fd);
	n->fd = fd;
	n->fn = fn;
	n->arg = arg;
	buf_init(&n->said, SAY_MAX);
	n->io = loop_io_add(l, fd, LOOP_READ, on_io, n);
	return n;
}

void entering_destroy(struct entering *n)
{
	if (!n)
		return;
	loop_io_free(n->io);
	close(n->fd);
	buf_finish(&n->said);
	free(n);
}

void entering_settle(struct entering *n)
{
	on_io(n, n->fd, LOOP_READ);
}
