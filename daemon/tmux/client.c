/* SPDX-License-Identifier: ISC */
/* A persistent control-mode client; client.h has the theory. */
#include "daemon/tmux/client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/conn.h"
#include "base/fault.h"
#include "base/proc.h"
#include "base/util.h"
#include "daemon/tmux/parse.h"
#include "daemon/tmux/reaper.h"

#define IN_MAX (2u * TMUX_LINE_MAX)
#define SOURCED "tmux-claude: sourced"

enum client_state { CLIENT_STARTING, CLIENT_UP, CLIENT_DOWN };

/* One line that waits for its answer. */
struct waiting {
	TAILQ_ENTRY(waiting) entry;
	tmux_reply_fn *fn;
	void *arg;
	unsigned blocks; /* still to come */
	bool forever;
	bool sourced; /* ends with SOURCED: the blocks before that are those of the file's commands */
};

struct tmux_client {
	struct loop *loop;
	struct tmux_reaper *reaper;
	const struct tmux_client_spec *spec;
	const struct tmux_client_ops *ops;
	void *arg;
	enum client_state state;
	pid_t pid;
	uint64_t process; /* the reaper's name for it */
	struct conn *conn;
	struct loop_timer *deadline;
	struct loop_defer *verdict; /* looks again after what has arrived was read */
	uint64_t progress, progress_at_deadline;
	struct tmux_parser parser;
	TAILQ_HEAD(, waiting) queue;
	size_t waiting;
	struct buf reply;
	bool reply_cut;
	bool refused; /* a line, for want of room */
	char said[TMUX_REASON_MAX]; /* the last thing said outside blocks */
	unsigned busy;              /* inside callbacks of ours */
	bool destroyed;
};

static void client_free(struct tmux_client *c)
{
	struct waiting *w;

	while ((w = TAILQ_FIRST(&c->queue)) != NULL) {
		TAILQ_REMOVE(&c->queue, w, entry);
		free(w);
	}
	buf_finish(&c->reply);
	free(c);
}

/* Every entry from the loop is bracketed, so that a callback may destroy the client. */
static void client_enter(struct tmux_client *c)
{
	c->busy++;
}

static void client_leave(struct tmux_client *c)
{
	if (--c->busy == 0 && c->destroyed)
		client_free(c);
}

static void client_unplug(struct tmux_client *c)
{
	/* Our end of its output stays open a little longer, see reaper.h. */
	int output = c->conn != NULL ? fcntl(conn_fd(c->conn), F_DUPFD_CLOEXEC, 3) : -1;

	conn_destroy(c->conn);
	c->conn = NULL;
	if (c->process != 0)
		tmux_reaper_release(c->reaper, c->process, output);
	c->process = 0;
	loop_timer_free(c->deadline);
	c->deadline = NULL;
	loop_defer_free(c->verdict);
	c->verdict = NULL;
}

void tmux_client_destroy(struct tmux_client *c)
{
	if (c == NULL || c->destroyed)
		return;
	c->destroyed = true;
	c->state = CLIENT_DOWN;
	client_unplug(c);
	if (c->busy == 0)
		client_free(c);
}

static void arm_deadline(struct tmux_client *c)
{
	struct waiting *head = TAILQ_FIRST(&c->queue);

	if (c->state == CLIENT_STARTING)
		loop_timer_start(c->deadline, c->spec->start_ms);
	else if (head != NULL && !head->forever)
		loop_timer_start(c->deadline, c->spec->deadline_ms);
	else
		loop_timer_stop(c->deadline);
}

static void answer(struct tmux_client *c, const struct err *e)
{
	struct waiting *w = TAILQ_FIRST(&c->queue);

	TAILQ_REMOVE(&c->queue, w, entry);
	c->waiting--;
	if (w->fn != NULL)
		w->fn(w->arg, e, c->reply.len > 0 ? (const char *)buf_data(&c->reply) : "",
			c->reply.len > 0 ? c->reply.len - 1 : 0);
	free(w);
}

/* The connection is over: everything that waits hears it, then the owner. */
static void client_down(struct tmux_client *c, const struct err *e, bool wedged)
{
	c->state = CLIENT_DOWN;
	client_unplug(c);
	buf_clear(&c->reply);
	while (!c->destroyed && !TAILQ_EMPTY(&c->queue))
		answer(c, e);
	if (!c->destroyed)
		c->ops->on_down(c->arg, e, wedged);
}

static void client_down_ended(struct tmux_client *c, const char *reason)
{
	struct err e = {0};

	err_set(&e, ERR_UNAVAILABLE, "The connection to the tmux server at %s ended%s%s",
		c->spec->socket, reason[0] != '\0' ? ": " : "", reason);
	client_down(c, &e, false);
}

static void keep_said(struct tmux_client *c, const char *text, size_t len)
{
	if (len >= sizeof(c->said))
		len = sizeof(c->said) - 1;
	memcpy(c->said, text, len);
	c->said[len] = '\0';
}

/* The reply is kept as lines with newlines between, and a NUL in place of the last newline. */
static void reply_line(struct tmux_client *c, const struct tmux_event *ev)
{
	if (c->reply.len > 0)
		buf_data(&c->reply)[c->reply.len - 1] = '\n';
	if (ev->cut || ev->text_len + 1 > buf_room(&c->reply)) {
		c->reply_cut = true;
		if (c->reply.len > 0)
			buf_data(&c->reply)[c->reply.len - 1] = '\0';
		return;
	}
	buf_append(&c->reply, ev->text, ev->text_len);
	buf_append(&c->reply, "", 1);
}

static void attached(struct tmux_client *c, bool ok)
{
	if (!ok) {
		keep_said(c, c->reply.len > 0 ? (char *)buf_data(&c->reply) : "", c->reply.len);
		client_down_ended(c, c->said);
		return;
	}
	buf_clear(&c->reply);
	c->state = CLIENT_UP;
	arm_deadline(c);
	c->ops->on_up(c->arg);
}

static void block_closed(struct tmux_client *c, const struct tmux_event *ev)
{
	struct waiting *w = TAILQ_FIRST(&c->queue);
	bool ok = ev->type == TMUX_EV_END;
	struct err e = {0};

	if (c->state == CLIENT_STARTING) {
		attached(c, ok);
		return;
	}
	if ((ev->flags & 1) == 0)
		return;
	if (w == NULL) {
		client_down_ended(c, "it answered what was not asked");
		return;
	}
	if (w->sourced && (!ok || c->reply.len == 0 || strcmp((char *)buf_data(&c->reply), SOURCED) != 0)) {
		buf_clear(&c->reply);
		c->reply_cut = false;
		arm_deadline(c);
		return;
	}
	if (ok && --w->blocks > 0)
		return;
	if (!ok)
		err_set(&e, ERR_FAILED, "tmux refused: %s",
			c->reply.len > 0 ? (char *)buf_data(&c->reply) : "no reason given");
	else if (c->reply_cut)
		err_set(&e, ERR_LIMIT, "An answer of tmux is larger than %u bytes", TMUX_REPLY_MAX);
	answer(c, e.code != ERR_NONE ? &e : NULL);
	if (c->destroyed || c->state == CLIENT_DOWN)
		return;
	buf_clear(&c->reply);
	c->reply_cut = false;
	arm_deadline(c);
	if (c->refused) {
		c->refused = false;
		if (c->ops->on_room != NULL)
			c->ops->on_room(c->arg);
	}
}

static void client_event(struct tmux_client *c, const struct tmux_event *ev)
{
	bool ours = c->state == CLIENT_STARTING || (c->parser.flags & 1) != 0;

	switch (ev->type) {
	case TMUX_EV_BODY:
		if (ours)
			reply_line(c, ev);
		break;
	case TMUX_EV_END:
	case TMUX_EV_ERROR:
		block_closed(c, ev);
		break;
	case TMUX_EV_EXIT:
		if (ev->text_len > 0)
			keep_said(c, ev->text, ev->text_len);
		client_down_ended(c, c->said);
		break;
	case TMUX_EV_TEXT:
		keep_said(c, ev->text, ev->text_len);
		break;
	case TMUX_EV_BEGIN:
	case TMUX_EV_OUTPUT: /* cannot be: no-output */
	case TMUX_EV_NOTIFY: /* hooks tell what we need, on the events client */
		break;
	}
}

static void client_data(void *arg, struct buf *in)
{
	struct tmux_client *c = arg;
	struct tmux_event ev;
	size_t n;

	client_enter(c);
	c->progress++;
	while (c->conn != NULL) {
		bool have = tmux_parse_next(&c->parser, (char *)buf_data(in), in->len, &n, &ev);

		if (have)
			client_event(c, &ev);
		if (c->conn == NULL)
			break;
		buf_consume(in, n);
		if (!have)
			break;
	}
	client_leave(c);
}

static void client_closed(void *arg, const char *reason)
{
	struct tmux_client *c = arg;
	char why[TMUX_REASON_MAX];

	client_enter(c);
	tmux_parse_exit_reason(&c->parser, "", 0, why);
	if (why[0] != '\0')
		reason = why;
	else if (c->said[0] != '\0')
		reason = c->said;
	client_down_ended(c, reason);
	client_leave(c);
}

/* A deadline that passes may be our own fault (this process was stopped, the answer is there unread):
 * the verdict falls at the end of the turn, after the descriptors were served. */
static void client_deadline(void *arg)
{
	struct tmux_client *c = arg;

	c->progress_at_deadline = c->progress;
	loop_defer_schedule(c->verdict);
}

static void client_verdict(void *arg)
{
	struct tmux_client *c = arg;
	struct err e = {0};

	if (c->progress != c->progress_at_deadline) {
		if (!loop_timer_active(c->deadline))
			arm_deadline(c);
		return;
	}
	err_set(&e, ERR_UNAVAILABLE, "The tmux server at %s did not answer within %d ms",
		c->spec->socket,
		c->state == CLIENT_STARTING ? c->spec->start_ms : c->spec->deadline_ms);
	/* The server will be killed for it; a client that still connects would then start one of its own. */
	if (c->state == CLIENT_STARTING)
		kill(c->pid, SIGKILL);
	client_enter(c);
	client_down(c, &e, true);
	client_leave(c);
}

static int client_spawn(struct tmux_client *c, struct err *e)
{
	static const struct conn_ops ops = {.on_data = client_data, .on_close = client_closed};
	char *argv[] = {(char *)c->spec->program, "-S", (char *)c->spec->socket, "-f",
		(char *)c->spec->conf, "-C", "new-session", "-A", "-s", TMUX_HUB, "-f",
		"no-output,ignore-size", "-x", "80", "-y", "24", "-c", "/", "--", "cat", "-", NULL};
	struct proc_spec ps = {.argv = argv, .envp = c->spec->env, .cwd = "/", .setsid = true};
	int to[2], from[2];
	pid_t pid;

	if (pipe2(to, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_IO, errno, "Cannot make a pipe to tmux");
	cleanup_close int to_read = to[0], to_write = to[1];
	if (pipe2(from, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_IO, errno, "Cannot make a pipe from tmux");
	cleanup_close int from_read = from[0], from_write = from[1];
	proc_spec_fd(&ps, to_read, 0);
	proc_spec_fd(&ps, from_write, 1);
	proc_spec_fd(&ps, from_write, 2);
	if (FAULT_ERROR("tmux.spawn", e) || proc_spawn(&ps, &pid, e) < 0)
		return -1;
	FAULT_POINT("tmux.spawned");
	if (tmux_reaper_add(c->reaper, pid, &c->process, e) < 0)
		return -1;
	c->pid = pid;
	fd_set_nonblock(to_write);
	fd_set_nonblock(from_read);
	c->conn = conn_create(c->loop, take_fd(&from_read), take_fd(&to_write), IN_MAX,
		TMUX_OUT_MAX, &ops, c);
	return 0;
}

int tmux_client_create(struct loop *l, struct tmux_reaper *r, const struct tmux_client_spec *spec,
	const struct tmux_client_ops *ops, void *arg, struct tmux_client **ret, struct err *e)
{
	struct tmux_client *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->reaper = r;
	c->spec = spec;
	c->ops = ops;
	c->arg = arg;
	TAILQ_INIT(&c->queue);
	buf_init(&c->reply, TMUX_REPLY_MAX);
	c->deadline = loop_timer_create(l, client_deadline, c);
	c->verdict = loop_defer_create(l, client_verdict, c);
	if (client_spawn(c, e) < 0) {
		tmux_client_destroy(c);
		return -1;
	}
	arm_deadline(c);
	*ret = c;
	return 0;
}

static int send_line(struct tmux_client *c, struct tmux_cmd *cmd, struct waiting how, struct err *e)
{
	struct waiting *w;

	if (c->state != CLIENT_UP)
		return err_set(e, ERR_UNAVAILABLE, "No tmux server answers at %s",
			c->spec->socket);
	if (!tmux_cmd_end(cmd))
		return err_set(e, ERR_LIMIT, "A command to tmux is longer than %d bytes",
			TMUX_LINE_MAX);
	if (c->waiting >= TMUX_QUEUE_MAX ||
		conn_write(c->conn, buf_data(&cmd->line), cmd->line.len) < 0) {
		c->refused = true;
		return err_set(e, ERR_BUSY, "Too many commands wait for the tmux server at %s",
			c->spec->socket);
	}
	w = xcalloc(1, sizeof(*w));
	*w = how;
	w->blocks = cmd->commands;
	TAILQ_INSERT_TAIL(&c->queue, w, entry);
	if (c->waiting++ == 0)
		arm_deadline(c);
	return 0;
}

int tmux_client_send(struct tmux_client *c, struct tmux_cmd *cmd, bool forever, tmux_reply_fn *fn,
	void *arg, struct err *e)
{
	return send_line(c, cmd, (struct waiting){.fn = fn, .arg = arg, .forever = forever}, e);
}

int tmux_client_source(struct tmux_client *c, const char *path, tmux_reply_fn *fn, void *arg, struct err *e)
{
	struct tmux_cmd cmd;
	int r;

	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "source-file --");
	tmux_cmd_arg(&cmd, path);
	r = tmux_client_send(c, &cmd, false, NULL, NULL, e);
	tmux_cmd_finish(&cmd);
	if (r < 0)
		return -1;
	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "display-message -p");
	tmux_cmd_arg(&cmd, SOURCED);
	r = send_line(c, &cmd, (struct waiting){.fn = fn, .arg = arg, .sourced = true}, e);
	tmux_cmd_finish(&cmd);
	return r;
}

void tmux_client_fail(struct tmux_client *c, const struct err *e, bool wedged)
{
	client_enter(c);
	client_down(c, e, wedged);
	client_leave(c);
}

pid_t tmux_client_pid(const struct tmux_client *c)
{
	return c->pid;
}

size_t tmux_client_waiting(const struct tmux_client *c)
{
	return c->waiting;
}
