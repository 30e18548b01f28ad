/* SPDX-License-Identifier: ISC */
/* One private tmux server and its two clients; shard.h has the theory. */
#include "daemon/tmux/shard_own.h"

#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/util.h"
#include "daemon/tmux/conf.h"
#include "daemon/tmux/listener.h"

static void shard_connect(struct tmux_shard *s);
static void shard_end(struct tmux_shard *s);

int shard_backoff_ms(unsigned attempts)
{
	int ms = TMUX_BACKOFF_MS;

	if (attempts <= 1)
		return 0;
	for (unsigned i = 2; i < attempts && ms < TMUX_BACKOFF_MAX; i++)
		ms *= 2;
	return ms < TMUX_BACKOFF_MAX ? ms : TMUX_BACKOFF_MAX;
}

void tmux_shard_sweep(const char *socket)
{
	cleanup_free char *lock = xasprintf("%s.lock", socket);

	unlink(socket);
	unlink(lock);
}

static void shard_gone(struct tmux_shard *s)
{
	s->state = SHARD_GONE;
	loop_timer_stop(s->timer);
	loop_timer_stop(s->events_timer);
	FAULT_POINT("tmux.sweep");
	tmux_shard_sweep(s->socket);
	FAULT_POINT("tmux.swept");
	s->ops->on_gone(s->arg);
}

/* ---- the server's process ---- */

static void server_died(void *arg, pid_t pid, struct proc_status st)
{
	struct tmux_shard *s = arg;

	(void)pid;
	(void)st;
	s->server_watch = NULL;
	s->server = 0;
	switch (s->state) {
	case SHARD_KILLING:
		if (s->stop_wanted)
			shard_gone(s);
		else
			shard_connect(s);
		break;
	case SHARD_STOPPING:
	case SHARD_HAUNTED:
		shard_gone(s);
		break;
	case SHARD_CONNECTING:
	case SHARD_READY: /* the client's end says it too, and leads to the next server */
	case SHARD_GONE:
		break;
	}
}

/* Takes note of the server; true when it is another than before. */
static bool server_note(struct tmux_shard *s)
{
	pid_t pid = tmux_listener(s->socket);
	uint64_t start = pid > 0 ? proc_start_time(pid) : 0;

	if (pid == s->server && start == s->server_start)
		return false;
	loop_child_free(s->server_watch);
	s->server_watch = pid > 0 ? loop_child_watch(s->env->loop, pid, server_died, s, NULL) : NULL;
	s->server = s->server_watch != NULL ? pid : 0;
	s->server_start = start;
	return true;
}

/* False when there is no such process any more. */
static bool server_signal(struct tmux_shard *s, int signo)
{
	if (s->server == 0)
		server_note(s);
	return s->server > 0 && proc_start_time(s->server) == s->server_start &&
	       kill(s->server, signo) == 0;
}

/* ---- connecting ---- */

static void drop_clients(struct tmux_shard *s)
{
	tmux_client_destroy(s->cmd);
	s->cmd = NULL;
	tmux_client_destroy(s->events);
	s->events = NULL;
	s->cmd_up = s->events_up = false;
	loop_timer_stop(s->events_timer);
}

void shard_kill(struct tmux_shard *s)
{
	s->state = SHARD_KILLING;
	drop_clients(s);
	loop_timer_start(s->timer, server_signal(s, SIGKILL) || s->server > 0 ? TMUX_KILL_MS : 0);
}

/*
 * Clients of a daemon that was killed: one whose output the server could not finish stays on the hub for
 * ever (see reaper.h), and would hold up the server's end.
 */
static void leftovers_listed(void *arg, const struct err *e, const char *text, size_t len)
{
	struct tmux_shard *s = arg;
	cleanup_free char *copy = xstrdup(text);
	char *save = NULL;

	(void)len;
	if (e != NULL || s->cmd == NULL)
		return;
	for (char *line = strtok_r(copy, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		int64_t pid;

		if (str_to_i64(line, 2, INT32_MAX, &pid) == 0 && pid != tmux_client_pid(s->cmd) &&
			(s->events == NULL || pid != tmux_client_pid(s->events)))
			kill((pid_t)pid, SIGKILL);
	}
}

static void list_leftovers(struct tmux_shard *s)
{
	struct tmux_cmd cmd;

	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "list-clients -t =" TMUX_HUB " -F");
	tmux_cmd_arg(&cmd, "#{?client_control_mode,#{client_pid},-}");
	tmux_client_send(s->cmd, &cmd, false, leftovers_listed, s, NULL);
	tmux_cmd_finish(&cmd);
}

static void shard_configured(struct tmux_shard *s)
{
	s->cmd_up = true;
	if (s->stop_wanted)
		shard_end(s);
	else if (s->events == NULL)
		events_connect(s);
	else
		shard_ready(s); /* the events client outlived the other one: it is up, see shard_timer */
}

static void conf_sourced(void *arg, const struct err *e, const char *text, size_t len)
{
	(void)text;
	(void)len;
	if (e == NULL || e->code != ERR_UNAVAILABLE)
		shard_configured(arg);
}

static void conf_compared(void *arg, const struct err *e, const char *text, size_t len)
{
	struct tmux_shard *s = arg;

	(void)len;
	if (e != NULL && e->code == ERR_UNAVAILABLE)
		return; /* cmd_down follows */
	if (strcmp(text, s->env->stamp) == 0)
		shard_configured(s);
	else
		tmux_client_source(s->cmd, s->env->conf, conf_sourced, s, NULL);
}

static void cmd_up(void *arg)
{
	struct tmux_shard *s = arg;
	struct tmux_cmd cmd;

	s->fresh |= server_note(s);
	if (!s->fresh || s->stop_wanted) {
		shard_configured(s);
		return;
	}
	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "show-options -gqv " TMUX_CONF_OPTION);
	tmux_client_send(s->cmd, &cmd, false, conf_compared, s, NULL);
	tmux_cmd_finish(&cmd);
}

void shard_ready(struct tmux_shard *s)
{
	bool fresh = s->fresh;

	s->state = SHARD_READY;
	s->quiet = s->fresh = false;
	s->ready_since = clock_mono_ms();
	if (fresh)
		list_leftovers(s);
	s->ops->on_ready(s->arg, fresh);
}

static void cmd_down(void *arg, const struct err *e, bool wedged)
{
	struct tmux_shard *s = arg;

	tmux_client_destroy(s->cmd);
	s->cmd = NULL;
	s->cmd_up = false;
	if (s->state == SHARD_READY && clock_mono_ms() - s->ready_since >= TMUX_CALM_MS)
		s->attempts = 0;
	s->attempts++;
	s->events_attempts = 0;
	if (s->stop_wanted) {
		shard_end(s);
		return;
	}
	if (wedged) {
		shard_kill(s);
	} else {
		s->state = SHARD_CONNECTING;
		loop_timer_start(s->timer, shard_backoff_ms(s->attempts));
	}
	s->ops->on_down(s->arg, e, s->attempts);
}

static void cmd_room(void *arg)
{
	struct tmux_shard *s = arg;

	if (tmux_shard_ready(s))
		s->ops->on_room(s->arg);
}

static void shard_connect(struct tmux_shard *s)
{
	static const struct tmux_client_ops ops = {
		.on_up = cmd_up, .on_down = cmd_down, .on_room = cmd_room};
	struct err e = {0};

	s->state = SHARD_CONNECTING;
	loop_timer_stop(s->timer);
	if (tmux_client_create(s->env->loop, s->env->reaper, &s->spec, &ops, s, &s->cmd, &e) == 0)
		return;
	s->attempts++;
	loop_timer_start(s->timer, shard_backoff_ms(s->attempts + 1));
	s->ops->on_down(s->arg, &e, s->attempts);
}

static void shard_timer(void *arg)
{
	struct tmux_shard *s = arg;

	switch (s->state) {
	case SHARD_CONNECTING:
		/* A half connected events client is neither given up nor overtaken: see the theory. */
		if (s->events == NULL || s->events_up)
			shard_connect(s);
		break;
	case SHARD_KILLING:
		if (s->server == 0) {
			server_died(s, 0, (struct proc_status){0});
		} else {
			s->state = SHARD_HAUNTED;
			s->ops->on_haunted(s->arg);
		}
		break;
	case SHARD_STOPPING:
		shard_kill(s);
		break;
	case SHARD_READY:
	case SHARD_HAUNTED:
	case SHARD_GONE:
		break;
	}
}

/* ---- the owner's side ---- */

struct tmux_shard *tmux_shard_create(const struct tmux_shard_env *env, const char *dir,
	unsigned number, const struct tmux_shard_ops *ops, void *arg)
{
	struct tmux_shard *s = xcalloc(1, sizeof(*s));

	s->env = env;
	s->ops = ops;
	s->arg = arg;
	s->number = number;
	str_fmt(s->socket, sizeof(s->socket), "%s/%u.sock", dir, number);
	s->spec = (struct tmux_client_spec){.program = env->program,
		.socket = s->socket,
		.conf = env->conf,
		.env = env->env,
		.deadline_ms = env->deadline_ms,
		.start_ms = env->start_ms};
	s->timer = loop_timer_create(env->loop, shard_timer, s);
	s->events_timer = loop_timer_create(env->loop, events_again, s);
	s->state = SHARD_CONNECTING;
	loop_timer_start(s->timer, 0);
	return s;
}

void tmux_shard_destroy(struct tmux_shard *s)
{
	if (s == NULL)
		return;
	drop_clients(s);
	loop_timer_free(s->timer);
	loop_timer_free(s->events_timer);
	loop_child_free(s->server_watch);
	free(s);
}

/* TERM ends a tmux server as kill-server does, and reaches one that reads no commands as well. */
static void shard_end(struct tmux_shard *s)
{
	s->state = SHARD_STOPPING;
	loop_timer_start(s->timer, server_signal(s, SIGTERM) || s->server > 0 ? TMUX_KILL_MS : 0);
	drop_clients(s);
}

void tmux_shard_stop(struct tmux_shard *s)
{
	if (s->stop_wanted)
		return;
	s->stop_wanted = true;
	switch (s->state) {
	case SHARD_READY:
		shard_end(s);
		break;
	case SHARD_CONNECTING:
		if (s->cmd == NULL || s->cmd_up)
			shard_end(s);
		break; /* else when the client is up: its server must not come up behind our back */
	case SHARD_KILLING:
	case SHARD_STOPPING:
	case SHARD_HAUNTED:
	case SHARD_GONE:
		break;
	}
}

bool tmux_shard_ready(const struct tmux_shard *s)
{
	return s->state == SHARD_READY && !s->quiet && !s->stop_wanted;
}

int tmux_shard_send(struct tmux_shard *s, struct tmux_cmd *cmd, tmux_reply_fn *fn, void *arg,
	uint64_t *ret_seq, struct err *e)
{
	if (!tmux_shard_ready(s))
		return err_set(e, ERR_UNAVAILABLE, "The tmux server at %s is not ready", s->socket);
	if (tmux_client_send(s->cmd, cmd, false, fn, arg, e) < 0)
		return -1;
	s->seq++;
	if (ret_seq != NULL)
		*ret_seq = s->seq;
	return 0;
}

void tmux_shard_pulse(struct tmux_shard *s)
{
	struct tmux_cmd cmd;

	if (!tmux_shard_ready(s) || tmux_client_waiting(s->cmd) > 0)
		return;
	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "display-message -p .");
	tmux_client_send(s->cmd, &cmd, false, NULL, NULL, NULL);
	tmux_cmd_finish(&cmd);
}

unsigned tmux_shard_number(const struct tmux_shard *s)
{
	return s->number;
}

const char *tmux_shard_socket(const struct tmux_shard *s)
{
	return s->socket;
}

void tmux_shard_nudge(struct tmux_shard *s)
{
	if (s->state == SHARD_READY)
		server_signal(s, SIGCHLD);
}
