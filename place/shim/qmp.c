/* SPDX-License-Identifier: ISC */
/* Tells QEMU to quit or to press the power button: one short connection each. */
#include "place/shim/qmp.h"

#include "base/conn.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/rpc.h"

#define QMP_IN_MAX 65536
#define QMP_OUT_MAX 4096
#define QMP_MS 5000

struct qmp {
	struct conn *conn;
	struct loop_timer *timer;
	const char *command; /* a constant of the caller's */
	int answers; /* lines that came: greeting, capabilities, command */
};

static void destroy(struct qmp *q)
{
	conn_destroy(q->conn);
	loop_timer_free(q->timer);
	free(q);
}

static void on_timer(void *arg)
{
	destroy(arg);
}

static void execute(struct qmp *q, const char *command)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "{\"execute\":\"%s\"}\n", command);

	conn_write(q->conn, line, (size_t)n);
}

static void on_data(void *arg, struct buf *in)
{
	struct qmp *q = arg;
	const char *line;
	size_t len;

	while (rpc_next_line(in, &line, &len) > 0) {
		json_t *msg = json_loadb(line, len, 0, NULL);
		bool event = json_object_get(msg, "event") != NULL;

		json_decref(msg);
		buf_consume(in, len + 1);
		if (event)
			continue;
		if (++q->answers == 1) {
			execute(q, "qmp_capabilities");
		} else if (q->answers == 2) {
			execute(q, q->command);
		} else {
			destroy(q);
			return;
		}
	}
}

static void on_close(void *arg, const char *reason)
{
	(void)reason;
	destroy(arg);
}

static const struct conn_ops qmp_ops = {.on_data = on_data, .on_close = on_close};

void qmp_send(struct loop *l, const char *socket, const char *command)
{
	struct err e = {0};
	struct qmp *q;
	int fd;

	if (sock_connect(socket, &fd, &e) < 0) {
		log_warn("qmp", NULL, "cannot tell QEMU to %s: %s", command, e.message);
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->command = command;
	q->timer = loop_timer_create(l, on_timer, q);
	loop_timer_start(q->timer, QMP_MS);
	q->conn = conn_create(l, fd, -1, QMP_IN_MAX, QMP_OUT_MAX, &qmp_ops, q);
}
