/* SPDX-License-Identifier: ISC */
/*
 * The daemon's end of tmux-claude-egress.
 *
 * A place's listening socket is made here and handed over with `place.add`, so the program needs no
 * right to the places' folders. It keeps the descriptor while the daemon is away. When the program itself
 * died, a new one is started and told every place again over fresh sockets at the same paths. Connected to
 * one that lived longer than we did, we ask what places it has: those that ended meanwhile are removed.
 *
 * Every order is answered. One that says nothing at all for ANSWER_MS behind an order is killed, and replaced.
 */
#include "daemon/egressctl/egressctl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>

#include "base/conn.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/rpc.h"

#define START_MS 5000      /* from its start to its socket */
#define RETRY_MS 1000      /* before it is started again */
#define OUT_MAX (1 << 20)
#define ANSWER_MS 10000    /* to an order */
#define STATUS_ID "status?" /* no place's id */

struct route {
	struct route *next;
	char *place;
	char **allow;
	uid_t uid;
	gid_t gid;
	bool told;
};

struct egressctl {
	struct loop *loop;
	const struct layout *layout;
	const struct egressctl_ops *ops;
	void *arg;
	struct conn *conn;
	struct route *routes;
	struct loop_timer *retry, *answer;
	struct loop_defer *verdict; /* once what has arrived was read */
	bool heard;
	int notify_fd;
	struct loop_io *notify_io;
	pid_t pid;
	struct loop_child *child; /* its watch */
	pid_t peer; /* who made the socket that we are connected to, and when it started */
	uint64_t peer_start;
	bool ended;
};

static void connect_or_start(struct egressctl *c);
static void on_close(void *arg, const char *reason);

static void retry_later(struct egressctl *c)
{
	if (!c->ended)
		loop_timer_start(c->retry, RETRY_MS);
}

static void say(struct egressctl *c, const char *method, json_t *id, json_t *params);

/* ---- does it answer? ---- */

static void expect_answer(struct egressctl *c)
{
	if (!loop_timer_active(c->answer))
		loop_timer_start(c->answer, ANSWER_MS);
}

static void on_no_answer(void *arg)
{
	struct egressctl *c = arg;

	c->heard = false;
	loop_defer_schedule(c->verdict);
}

static void peer_note(struct egressctl *c)
{
	struct ucred who = {0};

	c->peer = sock_peer(conn_fd(c->conn), &who, NULL) < 0 ? 0 : who.pid;
	c->peer_start = c->peer > 1 ? proc_start_time(c->peer) : 0;
}

/* False when it has ended: whoever has its pid now is not it. */
static bool peer_signal(const struct egressctl *c, int sig)
{
	return c->peer > 1 && c->peer_start && proc_start_time(c->peer) == c->peer_start &&
	       kill(c->peer, sig) == 0;
}

static void on_verdict(void *arg)
{
	struct egressctl *c = arg;

	if (c->heard || !c->conn)
		return;
	log_warn("egress", NULL, "the egress program did not answer for %d s: killing it", ANSWER_MS / 1000);
	if (!peer_signal(c, SIGKILL)) /* its end closes the connection, and goes on from there */
		on_close(c, "who opened its socket has ended, and nobody answers on it");
}

/* ---- telling it about places ---- */

static int tell(struct egressctl *c, struct route *r, struct err *e)
{
	cleanup_free char *path = xasprintf("%s/%s/egress.sock", c->layout->places_dir, r->place);
	cleanup_close int fd = -1;
	struct buf out;
	json_t *allow = json_array(), *id = json_string(r->place), *params;
	ssize_t n;

	/* Not sock_listen: a socket of an ended egress program, or of the one before, is replaced. */
	unlink(path);
	if (FAULT_ERROR("egress.add", e) || sock_listen(path, 0600, &fd, e) < 0) {
		json_decref(allow);
		json_decref(id);
		return -1;
	}
	if (r->uid != (uid_t)-1 && chown(path, r->uid, r->gid) < 0) {
		json_decref(allow);
		json_decref(id);
		return err_set_errno(e, ERR_IO, errno, "the owner of %s could not be set", path);
	}
	for (char **a = r->allow; a && *a; a++)
		json_array_append_new(allow, json_string(*a));
	params = json_pack("{s:s, s:o}", "place", r->place, "allow", allow);
	buf_init(&out, OUT_MAX);
	rpc_write_request(&out, id, "place.add", params);
	json_decref(params);
	json_decref(id);
	/* The descriptor must travel with its line: nothing may be queued before it. */
	n = conn_out_pending(c->conn) ? -1 : sock_send_fds(conn_fd(c->conn), buf_data(&out), out.len, &fd, 1);
	if (n >= 0 && (size_t)n < out.len) {
		conn_write(c->conn, buf_data(&out) + n, out.len - (size_t)n);
		n = (ssize_t)out.len;
	}
	buf_finish(&out);
	if (n < 0)
		return err_set(e, ERR_UNAVAILABLE, "the egress program does not take orders");
	r->told = true;
	FAULT_POINT("egress.added");
	expect_answer(c);
	return 0;
}

static void tell_all(struct egressctl *c)
{
	struct err err = {0};

	for (struct route *r = c->routes; r && c->conn; r = r->next)
		if (!r->told && tell(c, r, &err) < 0)
			log_warn("egress", r->place, "its way out is not open yet: %s", err.message);
}

/* ---- hearing it ---- */

static bool route_known(const struct egressctl *c, const char *place)
{
	for (const struct route *r = c->routes; r; r = r->next)
		if (!strcmp(r->place, place))
			return true;
	return false;
}

/* What it has of places that ended while nobody could tell it. */
static void remove_strangers(struct egressctl *c, const json_t *places)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(places, i, entry) {
		const char *place = json_string_value(json_is_object(entry) ? json_object_get(entry, "place") : entry);
		if (!place || route_known(c, place))
			continue;
		log_info("egress", place, "it has ended: its way out is closed");
		say(c, "place.remove", json_string(place), json_pack("{s:s}", "place", place));
	}
}

static void on_line(struct egressctl *c, const char *line, size_t len)
{
	struct rpc_msg m;
	json_t *id = NULL;
	struct err err = {0};

	if (rpc_parse(line, len, &m, &id, &err) < 0) {
		log_warn("egress", NULL, "an unreadable line from it: %s", err.message);
		json_decref(id);
		return;
	}
	if (m.kind == RPC_RESULT && id && json_is_string(id) && !strcmp(json_string_value(id), STATUS_ID)) {
		remove_strangers(c, json_object_get(m.result, "places"));
	} else if (m.kind == RPC_NOTIFICATION && !strcmp(m.method, "denied")) {
		const char *place = json_string_value(json_object_get(m.params, "place"));
		json_t *data = json_deep_copy(m.params);
		uint64_t seq = (uint64_t)json_integer_value(json_object_get(m.params, "seq"));
		json_object_del(data, "seq");
		json_object_del(data, "epoch");
		json_object_del(data, "place");
		c->ops->on_denied(c->arg, seq, place ? place : "", data);
	} else if (m.kind == RPC_ERROR) {
		log_error("egress", id && json_is_string(id) ? json_string_value(id) : NULL,
			"its way out could not be opened: %s", m.error.message);
	}
	rpc_msg_finish(&m);
	json_decref(id);
}

static void on_data(void *arg, struct buf *in)
{
	struct egressctl *c = arg;
	const char *line;
	size_t len;

	c->heard = true;
	loop_timer_stop(c->answer);
	while (c->conn && rpc_next_line(in, &line, &len) == 1) {
		on_line(c, line, len);
		buf_consume(in, len + 1);
	}
}

static void on_drain(void *arg)
{
	tell_all(arg);
}

static void on_close(void *arg, const char *reason)
{
	struct egressctl *c = arg;

	log_warn("egress", NULL, "the egress program is gone%s%s", *reason ? ": " : "", reason);
	conn_destroy(c->conn);
	c->conn = NULL;
	loop_timer_stop(c->answer);
	for (struct route *r = c->routes; r; r = r->next)
		r->told = false;
	if (c->routes)
		retry_later(c);
}

static const struct conn_ops conn_ops = {.on_data = on_data, .on_drain = on_drain, .on_close = on_close};

/* ---- finding and starting it ---- */

static void stop_watching(struct egressctl *c)
{
	loop_io_free(c->notify_io);
	c->notify_io = NULL;
	if (c->notify_fd >= 0)
		close(c->notify_fd);
	c->notify_fd = -1;
}

static bool try_connect(struct egressctl *c)
{
	int fd;
	struct err err = {0};

	if (sock_connect(c->layout->egress_socket, &fd, &err) < 0)
		return false;
	stop_watching(c);
	loop_timer_stop(c->retry);
	c->conn = conn_create(c->loop, fd, -1, RPC_LINE_MAX, OUT_MAX, &conn_ops, c);
	peer_note(c);
	tell_all(c);
	say(c, "status", json_string(STATUS_ID), json_object());
	return true;
}

static void on_notify(void *arg, int fd, unsigned events)
{
	struct egressctl *c = arg;
	char buf[4096];

	(void)events;
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	try_connect(c);
}

static void on_exit_child(void *arg, pid_t pid, struct proc_status st)
{
	struct egressctl *c = arg;

	if (c->pid == pid) {
		c->pid = 0;
		c->child = NULL;
	}
	log_warn("egress", NULL, "the egress program ended (code %d, signal %d)", st.code, st.signal);
	if (!c->conn && c->routes)
		retry_later(c);
}

static int start(struct egressctl *c, struct err *e)
{
	cleanup_free char *prog = layout_program("tmux-claude-egress", e);
	cleanup_free char *log = xasprintf("%s/egress.log", c->layout->state_dir);
	char *argv[] = {prog, "--control", c->layout->egress_socket, NULL};
	struct proc_spec spec = {.argv = argv, .setsid = true, .cwd = "/"};
	cleanup_close int fd = -1;

	if (!prog)
		return -1;
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0) {
		proc_spec_fd(&spec, fd, 1);
		proc_spec_fd(&spec, fd, 2);
	}
	if (FAULT_ERROR("egress.spawn", e) || proc_spawn(&spec, &c->pid, e) < 0)
		return -1;
	FAULT_POINT("egress.spawned");
	c->child = loop_child_watch(c->loop, c->pid, on_exit_child, c, NULL);
	return 0;
}

static void connect_or_start(struct egressctl *c)
{
	struct err err = {0};

	if (c->conn || c->ended || try_connect(c))
		return;
	if (c->notify_fd < 0) {
		c->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		/* It listens when its mode was set (sock_listen), not yet when it is there. */
		inotify_add_watch(c->notify_fd, c->layout->state_dir, IN_CREATE | IN_MOVED_TO | IN_ATTRIB);
		c->notify_io = loop_io_add(c->loop, c->notify_fd, LOOP_READ, on_notify, c);
	}
	if (!c->pid && start(c, &err) < 0)
		log_error("egress", NULL, "the egress program could not be started: %s", err.message);
	loop_timer_start(c->retry, START_MS);
}

static void on_retry(void *arg)
{
	connect_or_start(arg);
}

struct egressctl *egressctl_create(struct loop *l, const struct layout *layout,
	const struct egressctl_ops *ops, void *arg)
{
	struct egressctl *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->layout = layout;
	c->ops = ops;
	c->arg = arg;
	c->notify_fd = -1;
	c->retry = loop_timer_create(l, on_retry, c);
	c->answer = loop_timer_create(l, on_no_answer, c);
	c->verdict = loop_defer_create(l, on_verdict, c);
	try_connect(c); /* one that outlived the daemon before */
	return c;
}

static void route_free(struct route *r)
{
	free(r->place);
	strv_free(r->allow);
	free(r);
}

void egressctl_destroy(struct egressctl *c)
{
	if (!c)
		return;
	stop_watching(c);
	conn_destroy(c->conn);
	loop_child_free(c->child);
	loop_timer_free(c->retry);
	loop_timer_free(c->answer);
	loop_defer_free(c->verdict);
	while (c->routes) {
		struct route *r = c->routes;
		c->routes = r->next;
		route_free(r);
	}
	free(c);
}

int egressctl_add(struct egressctl *c, const char *place, char *const *allow, uid_t uid, gid_t gid,
	struct err *e)
{
	struct route *r;

	egressctl_remove(c, place);
	r = xcalloc(1, sizeof(*r));
	r->place = xstrdup(place);
	r->allow = strv_copy(allow);
	r->uid = uid;
	r->gid = gid;
	r->next = c->routes;
	c->routes = r;
	if (!c->conn) {
		connect_or_start(c);
		return 0; /* told as soon as it answers */
	}
	return conn_out_pending(c->conn) ? 0 : tell(c, r, e);
}

static void say(struct egressctl *c, const char *method, json_t *id, json_t *params)
{
	struct buf out;

	if (c->conn) {
		buf_init(&out, OUT_MAX);
		if (id) {
			rpc_write_request(&out, id, method, params);
			expect_answer(c);
		} else
			rpc_write_notification(&out, method, params);
		conn_write(c->conn, buf_data(&out), out.len);
		buf_finish(&out);
	}
	json_decref(params);
	json_decref(id);
}

void egressctl_remove(struct egressctl *c, const char *place)
{
	for (struct route **pp = &c->routes; *pp; pp = &(*pp)->next) {
		struct route *r = *pp;
		if (strcmp(r->place, place))
			continue;
		*pp = r->next;
		route_free(r);
		FAULT_POINT("egress.remove");
		say(c, "place.remove", json_string(place), json_pack("{s:s}", "place", place));
		FAULT_POINT("egress.removed");
		return;
	}
}

void egressctl_ack(struct egressctl *c, uint64_t seq)
{
	say(c, "ack", NULL, json_pack("{s:I}", "seq", (json_int_t)seq));
}

void egressctl_end(struct egressctl *c)
{
	c->ended = true;
	FAULT_POINT("egress.end");
	if (c->conn)
		peer_signal(c, SIGTERM);
	else if (c->pid) /* started, and not yet connected to: a child of ours, not reaped */
		kill(c->pid, SIGTERM);
	FAULT_POINT("egress.ended");
}
