/* SPDX-License-Identifier: ISC */
/*
 * The daemon's end of one shim.
 *
 *   DOWN --start--> FINDING --socket there--> GREETING --answer to hello--> UP
 *   DOWN --adopt----------------------------> GREETING
 *   any but DOWN --closed, ended, deadline--> DOWN, on_lost
 *
 *   GREETING --closed, and start was asked for, and none was started yet--> FINDING
 *
 * FINDING waits by inotify on the place's folder: sock_listen changes the socket's mode after it
 * listens, so the attribute event means that a connection will be taken. All places share one inotify
 * descriptor (a user may have 128 of them, and views need some). One deadline covers finding
 * and greeting. A shim that listens already is connected to instead of starting a second one; one that
 * is just dying may still take the connection, so when that one closes, a new one is started after all.
 *
 * A shim that is stopped, or loops, keeps its socket and answers nothing. When a call was made and nothing at all
 * was heard for SHIM_PULSE_MS, it is asked for its statistics, which need nobody else; without an answer
 * within SHIM_PING_MS it is killed, and on_lost says so: another takes its place, and the agent goes on.
 *
 * The shim is our child until we end, so its exit is watched by an object that outlives the shimctl:
 * it must be reaped whoever is still interested.
 */
#include "daemon/shimctl/shimctl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/layout.h"

#define SHIM_SOCKET "shim.sock"
#define SHIM_LOG "shim.log"
#define SHIM_LOG_TAIL 200
#define LOOK_MS 20

enum shim_state { DOWN, FINDING, GREETING, UP };

struct shim_child {
	struct shim_child *prev, *next;
	struct shimctl *owner; /* NULL: nobody is interested any more */
	struct loop_child *watch;
	pid_t pid;
};

static struct shim_child *children; /* of this process, until they are reaped */

/* The one inotify descriptor, and who waits on it. */
static struct watcher {
	int fd;
	struct loop_io *io;
	struct shimctl *first;
} watcher = {.fd = -1};

/* A call made while there was no connection: it fails from the loop. */
struct dead_call {
	struct dead_call *next;
	peer_reply_fn *fn;
	void *arg;
};

struct shimctl {
	struct loop *loop;
	char *dir, *socket;
	const struct shimctl_ops *ops;
	void *arg;
	enum shim_state state;
	struct peer *peer;
	int wd; /* while finding; -1 otherwise */
	struct loop_timer *look; /* while finding without inotify */
	struct shimctl *prev_finding, *next_finding;
	struct loop_timer *deadline;
	struct loop_defer *defer;
	struct dead_call *dead;
	struct shim_child *child;
	bool may_spawn; /* greeted one that was there, though one was to be started */
	bool lose;      /* on_lost with `why` is due */
	struct err why;
	pid_t pid;      /* who listens; with its start time, for killing it */
	uint64_t start;
	struct loop_timer *pulse;
	uint64_t heard; /* when the pulse began */
	bool called;    /* since then */
	bool wedged;    /* the ping's deadline passed; looked at once what has arrived was read */
};

static void stop_finding(struct shimctl *c)
{
	loop_timer_stop(c->look);
	if (c->wd < 0)
		return;
	inotify_rm_watch(watcher.fd, c->wd);
	c->wd = -1;
	if (c->prev_finding)
		c->prev_finding->next_finding = c->next_finding;
	else
		watcher.first = c->next_finding;
	if (c->next_finding)
		c->next_finding->prev_finding = c->prev_finding;
	c->prev_finding = c->next_finding = NULL;
}

/* Everything of the present connection goes; the owner may destroy c in on_lost, so nothing follows. */
static void lost(struct shimctl *c, const struct err *why)
{
	struct err copy = *why;

	c->state = DOWN;
	c->lose = false;
	stop_finding(c);
	loop_timer_stop(c->deadline);
	loop_timer_stop(c->pulse);
	c->wedged = false;
	if (c->child) {
		c->child->owner = NULL;
		c->child = NULL;
	}
	peer_destroy(take_ptr(c->peer));
	c->ops->on_lost(c->arg, &copy);
}

static void lose_soon(struct shimctl *c, const struct err *why)
{
	c->lose = true;
	c->why = *why;
	loop_defer_schedule(c->defer);
}

/* The last line of what the shim wrote, to be said with its failure. */
static void log_tail(const struct shimctl *c, char *out, size_t size)
{
	cleanup_free char *path = xasprintf("%s/" SHIM_LOG, c->dir);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char tail[SHIM_LOG_TAIL + 1];
	struct stat st;

	out[0] = '\0';
	if (fd < 0 || fstat(fd, &st))
		return;
	off_t from = st.st_size > SHIM_LOG_TAIL ? st.st_size - SHIM_LOG_TAIL : 0;
	ssize_t n = pread(fd, tail, SHIM_LOG_TAIL, from);
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	tail[n] = '\0';
	const char *line = memrchr(tail, '\n', (size_t)n);
	line = line ? line + 1 : tail;
	if (utf8_valid(line, strlen(line)))
		snprintf(out, size, "; it said: %s", line);
}

static void kill_shim(const struct shimctl *c)
{
	if (c->child) /* ours, and not yet reaped */
		kill(c->child->pid, SIGKILL);
	else if (c->pid > 1 && c->start && proc_start_time(c->pid) == c->start)
		kill(c->pid, SIGKILL);
}

static void on_deadline(void *arg)
{
	struct shimctl *c = arg;
	struct err e = {0};
	char said[SHIM_LOG_TAIL + 32];

	log_tail(c, said, sizeof(said));
	err_set(&e, ERR_TIMEOUT, "the shim of %s did not answer within %d s%s", c->dir,
		SHIM_CONNECT_MS / 1000, said);
	err_hint(&e, "see %s/" SHIM_LOG, c->dir);
	kill_shim(c); /* of no use, and it would be in the next one's way */
	lost(c, &e);
}

static void on_defer(void *arg)
{
	struct shimctl *c = arg;

	if (c->dead) {
		struct dead_call *d = c->dead;
		peer_reply_fn *fn = d->fn;
		void *fn_arg = d->arg;
		struct err e = {0};
		c->dead = d->next;
		free(d);
		if (c->dead || c->lose)
			loop_defer_schedule(c->defer);
		err_set(&e, ERR_UNAVAILABLE, "the place's shim is not connected");
		err_hint(&e, "it is being replaced; try again, and see `tmux-claude logs` if it stays so");
		fn(fn_arg, NULL, &e);
		return;
	}
	if (c->lose) {
		lost(c, &c->why);
		return;
	}
	if (c->wedged && c->state == UP && peer_heard(c->peer) == c->heard)
		kill_shim(c); /* on_close follows, and fails what waits for it */
	c->wedged = false;
}

static void on_pong(void *arg, json_t *result, const struct err *error)
{
	struct shimctl *c = arg;

	(void)result;
	/* The deadline may have passed because we were stopped ourselves: the verdict falls at the turn's end. */
	if (error && error->code == ERR_TIMEOUT) {
		c->wedged = true;
		loop_defer_schedule(c->defer);
	}
}

static void on_pulse(void *arg)
{
	struct shimctl *c = arg;

	if (c->state != UP)
		return;
	if (peer_heard(c->peer) == c->heard) {
		peer_call(c->peer, "stats", NULL, SHIM_PING_MS, on_pong, c);
	} else if (c->called) {
		c->heard = peer_heard(c->peer);
		c->called = false;
		loop_timer_start(c->pulse, SHIM_PULSE_MS);
	}
}

static int spawn_and_find(struct shimctl *c, struct err *e);

static void on_notification(void *arg, const char *method, json_t *params)
{
	struct shimctl *c = arg;
	const json_t *seq = json_object_get(params, "seq");
	const char *type = json_string_value(json_object_get(params, "type"));

	/* Everything else is from a shim that knows more than we do. */
	if (c->state != UP || strcmp(method, "event") != 0 || !type || !json_is_integer(seq) ||
		json_integer_value(seq) < 0)
		return;
	c->ops->on_event(c->arg, (uint64_t)json_integer_value(seq), type, params);
}

static void on_close(void *arg, const char *reason)
{
	struct shimctl *c = arg;
	struct err e = {0};
	char said[SHIM_LOG_TAIL + 32];

	if (c->state == GREETING && c->may_spawn) {
		peer_destroy(take_ptr(c->peer));
		if (spawn_and_find(c, &e))
			lost(c, &e);
		return;
	}
	log_tail(c, said, sizeof(said));
	err_set(&e, ERR_UNREACHABLE, "the shim of %s closed its connection%s%s%s", c->dir,
		*reason ? ": " : "", reason, said);
	lost(c, &e);
}

static const struct peer_ops peer_ops = {
	.on_notification = on_notification,
	.on_close = on_close,
};

static void on_hello(void *arg, json_t *result, const struct err *error)
{
	struct shimctl *c = arg;

	/* A connection that ended is told by on_close, right after this. */
	if (error && error->code == ERR_UNREACHABLE)
		return;
	if (error) {
		struct err e = *error;
		err_prefix(&e, "the shim of %s refused us", c->dir);
		lose_soon(c, &e);
		return;
	}
	loop_timer_stop(c->deadline);
	c->state = UP;
	FAULT_POINT("shim.connected");
	c->ops->on_hello(c->arg, result);
	FAULT_POINT("shim.hello_heard");
}

/* Connects and says hello. -1 when nobody listens (yet) or it is not ours to connect to. */
static int greet(struct shimctl *c, struct err *e)
{
	struct ucred who = {0};
	int fd;

	if (sock_connect(c->socket, &fd, e))
		return -1;
	sock_peer(fd, &who, NULL);
	c->pid = who.pid;
	c->start = who.pid > 1 ? proc_start_time(who.pid) : 0;
	stop_finding(c);
	c->state = GREETING;
	c->peer = peer_create(c->loop, fd, 0, &peer_ops, c);
	if (!loop_timer_active(c->deadline))
		loop_timer_start(c->deadline, SHIM_CONNECT_MS);
	peer_call(c->peer, "hello", json_pack("{s:s}", "role", "control"), 2 * SHIM_CONNECT_MS,
		on_hello, c);
	FAULT_POINT("shim.greeted");
	return 0;
}

/* Something happened in the folder wd; -1: events were lost, so it may have been any. */
static void look_again(int wd)
{
	for (struct shimctl *c = watcher.first, *next; c; c = next) {
		next = c->next_finding;
		if (wd < 0 || c->wd == wd)
			greet(c, NULL);
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
				look_again(-1);
			else if (ev->len && !strcmp(ev->name, SHIM_SOCKET))
				look_again(ev->wd);
			at += sizeof(*ev) + ev->len;
		}
	}
}

static void on_look(void *arg)
{
	struct shimctl *c = arg;

	if (c->state == FINDING && greet(c, NULL) < 0)
		loop_timer_start(c->look, LOOK_MS);
}

static int start_finding(struct shimctl *c, struct err *e)
{
	if (watcher.fd < 0) {
		watcher.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (watcher.fd >= 0)
			watcher.io = loop_io_add(c->loop, watcher.fd, LOOP_READ, on_notify, NULL);
	}
	if (watcher.fd >= 0)
		c->wd = inotify_add_watch(watcher.fd, c->dir,
			IN_CREATE | IN_ATTRIB | IN_MOVED_TO | IN_ONLYDIR);
	if (c->wd < 0 && (errno == EMFILE || errno == ENOSPC)) {
		/* Others of this user have all there are: then by time, until the deadline. */
		loop_timer_start(c->look, LOOK_MS);
		return 0;
	}
	if (c->wd < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot watch %s", c->dir);
	c->next_finding = watcher.first;
	if (watcher.first)
		watcher.first->prev_finding = c;
	watcher.first = c;
	return 0;
}

static void child_free(struct shim_child *child)
{
	if (child->prev)
		child->prev->next = child->next;
	else
		children = child->next;
	if (child->next)
		child->next->prev = child->prev;
	if (child->owner)
		child->owner->child = NULL;
	free(child);
}

void shimctl_finish(void)
{
	while (children) {
		loop_child_free(children->watch);
		child_free(children);
	}
	loop_io_free(take_ptr(watcher.io));
	if (watcher.fd >= 0)
		close(take_fd(&watcher.fd));
}

static void on_exit_status(void *arg, pid_t pid, struct proc_status st)
{
	struct shim_child *child = arg;
	struct shimctl *c = child->owner;
	struct err e = {0};
	char said[SHIM_LOG_TAIL + 32];

	(void)pid;
	child_free(child);
	/* With a connection, its end tells; what was sent before is still to be read. */
	if (!c || c->state != FINDING)
		return;
	log_tail(c, said, sizeof(said));
	if (st.signal)
		err_set(&e, ERR_FAILED, "the shim of %s was ended by signal %d%s", c->dir, st.signal,
			said);
	else
		err_set(&e, ERR_FAILED, "the shim of %s ended with code %d%s", c->dir, st.code, said);
	err_hint(&e, "see %s/" SHIM_LOG, c->dir);
	lost(c, &e);
}

/* What a shim needs of our environment; not the rest, which may hold keys. */
static char **shim_env(void)
{
	static const char *const keys[] = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR",
		"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
		"TMUX_CLAUDE_HOME", "TMUX_CLAUDE_LIBEXEC", "TMUX_CLAUDE_DATA", "TMUX_CLAUDE_LOG_LEVEL", "TMUX_CLAUDE_TEST_BOOT_ID",
		"ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" FAULT_ENV};
	char **env = strv_new();
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (getenv(keys[i]))
			strv_env_set(&env, keys[i], getenv(keys[i]));
	return env;
}

static int spawn(struct shimctl *c, struct err *e)
{
	cleanup_free char *program = layout_program("tmux-claude-shim", e);
	cleanup_free char *log = xasprintf("%s/" SHIM_LOG, c->dir);
	cleanup_strv char **env = shim_env();
	char *argv[] = {(char *)"tmux-claude-shim", (char *)"--place-dir", c->dir, NULL};
	pid_t pid;

	if (!program)
		return -1;
	cleanup_close int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", log);
	struct proc_spec spec = {.file = program, .argv = argv, .envp = env, .cwd = "/", .setsid = true,
		.pdeathsig = SIGKILL}; /* until its pid file names it: it takes that back itself */
	proc_spec_fd(&spec, fd, 1);
	proc_spec_fd(&spec, fd, 2);
	if (FAULT_ERROR("shim.spawn", e) || proc_spawn(&spec, &pid, e))
		return err_prefix(e, "starting the shim");
	FAULT_POINT("shim.spawned");
	struct shim_child *child = xcalloc(1, sizeof(*child));
	struct loop_child *watch = loop_child_watch(c->loop, pid, on_exit_status, child, e);
	if (!watch) {
		free(child);
		return -1;
	}
	*child = (struct shim_child){.next = children, .owner = c, .watch = watch, .pid = pid};
	if (children)
		children->prev = child;
	children = child;
	c->child = child;
	return 0;
}

static int spawn_and_find(struct shimctl *c, struct err *e)
{
	c->may_spawn = false;
	if (start_finding(c, e))
		return -1;
	if (spawn(c, e)) {
		stop_finding(c);
		return -1;
	}
	c->state = FINDING;
	loop_timer_start(c->deadline, SHIM_CONNECT_MS);
	return 0;
}

struct shimctl *shimctl_create(struct loop *l, const char *place_dir, const struct shimctl_ops *ops,
	void *arg)
{
	struct shimctl *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->dir = xstrdup(place_dir);
	c->socket = xasprintf("%s/" SHIM_SOCKET, place_dir);
	c->ops = ops;
	c->arg = arg;
	c->wd = -1;
	c->deadline = loop_timer_create(l, on_deadline, c);
	c->defer = loop_defer_create(l, on_defer, c);
	c->pulse = loop_timer_create(l, on_pulse, c);
	c->look = loop_timer_create(l, on_look, c);
	return c;
}

void shimctl_destroy(struct shimctl *c)
{
	if (!c)
		return;
	stop_finding(c);
	if (c->child)
		c->child->owner = NULL;
	peer_destroy(c->peer);
	loop_timer_free(c->deadline);
	loop_timer_free(c->pulse);
	loop_timer_free(c->look);
	loop_defer_free(c->defer);
	while (c->dead) {
		struct dead_call *d = c->dead;
		c->dead = d->next;
		free(d);
	}
	free(c->dir);
	free(c->socket);
	free(c);
}

void shimctl_drop(struct shimctl *c)
{
	struct dead_call *dead = take_ptr(c->dead), *d;
	struct err e = {0};

	err_set(&e, ERR_UNREACHABLE, "the place has ended");
	if (c->peer)
		peer_fail_calls(c->peer, &e);
	while ((d = dead)) {
		dead = d->next;
		d->fn(d->arg, NULL, &e);
		free(d);
	}
	shimctl_destroy(c);
}

int shimctl_start(struct shimctl *c, struct err *e)
{
	if (c->state != DOWN)
		return err_set(e, ERR_STATE, "the shim of %s is started or connected already", c->dir);
	c->lose = false;
	c->may_spawn = true;
	return greet(c, NULL) == 0 ? 0 : spawn_and_find(c, e);
}

void shimctl_adopt(struct shimctl *c)
{
	struct err e = {0};

	if (c->state != DOWN)
		return;
	c->lose = c->may_spawn = false;
	if (greet(c, &e))
		lose_soon(c, &e);
}

bool shimctl_connected(const struct shimctl *c)
{
	return c->state == UP;
}

void shimctl_call(struct shimctl *c, const char *method, json_t *params, int64_t ms,
	peer_reply_fn *fn, void *arg)
{
	if (c->state == UP) {
		peer_call(c->peer, method, params, ms, fn, arg);
		if (!loop_timer_active(c->pulse)) {
			c->heard = peer_heard(c->peer);
			c->called = false;
			loop_timer_start(c->pulse, SHIM_PULSE_MS);
		} else {
			c->called = true;
		}
		return;
	}
	struct dead_call *d = xcalloc(1, sizeof(*d)), **end = &c->dead;
	*d = (struct dead_call){.fn = fn, .arg = arg};
	while (*end)
		end = &(*end)->next;
	*end = d;
	json_decref(params);
	loop_defer_schedule(c->defer);
}

void shimctl_ack(struct shimctl *c, uint64_t seq)
{
	FAULT_POINT("shim.ack");
	if (c->state == UP && seq)
		peer_notify(c->peer, "ack", json_pack("{s:I}", "seq", (json_int_t)seq));
	FAULT_POINT("shim.acked");
}

size_t shimctl_out_pending(const struct shimctl *c)
{
	return c->peer ? peer_out_pending(c->peer) : 0;
}

void shimctl_api_reply(struct shimctl *c, json_int_t conn, json_t *msg)
{
	if (c->state == UP)
		peer_notify(c->peer, "api_reply", json_pack("{s:I, s:o}", "conn", conn, "msg", msg));
	else
		json_decref(msg);
}
