/* SPDX-License-Identifier: ISC */
/* Copies a machine's console into a log that a guest cannot fill a disk with. */
#include "place/shim/console.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/conn.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"

#define CONSOLE_IN_MAX (64 * 1024)
#define CONSOLE_OUT_MAX 16 /* nothing is ever sent */

struct console {
	struct conn *conn;
	int log;
};

/* The holder's own words go into the same file, so its length is asked for each time. */
static void on_data(void *arg, struct buf *in)
{
	static const char cut[] = "(what was said earlier was dropped)\n";
	struct console *c = arg;
	struct stat st;

	if (fstat(c->log, &st) == 0 && st.st_size + (off_t)in->len > CONSOLE_LOG_MAX &&
		ftruncate(c->log, 0) == 0 && write_all(c->log, cut, sizeof(cut) - 1) < 0)
		log_debug("console", NULL, "the log cannot be written: %s", strerror(errno));
	/* A full disk costs lines of the log, nothing else. */
	if (write_all(c->log, buf_data(in), in->len) < 0)
		log_debug("console", NULL, "the log cannot be written: %s", strerror(errno));
	buf_clear(in);
}

static void on_close(void *arg, const char *reason)
{
	struct console *c = arg;

	(void)reason; /* the machine is gone, or has a new listener: its end is told elsewhere */
	conn_destroy(take_ptr(c->conn));
}

static const struct conn_ops ops = {.on_data = on_data, .on_close = on_close};

struct console *console_create(struct loop *l, const char *socket, const char *log_path)
{
	struct err e = {0};
	int fd;
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (log < 0) {
		log_warn("console", NULL, "cannot open %s: %s", log_path, strerror(errno));
		return NULL;
	}
	if (sock_connect(socket, &fd, &e) < 0) {
		log_warn("console", NULL, "the console is not kept: %s", e.message);
		close(log);
		return NULL;
	}
	struct console *c = xcalloc(1, sizeof(*c));
	c->log = log;
	c->conn = conn_create(l, fd, -1, CONSOLE_IN_MAX, CONSOLE_OUT_MAX, &ops, c);
	return c;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	conn_destroy(c->conn);
	close(c->log);
	free(c);
}
