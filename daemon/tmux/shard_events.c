/* SPDX-License-Identifier: ISC */
/* A shard's second client, which waits for what hooks tell; shard.h has the theory. */
#include "daemon/tmux/shard_own.h"

#include "base/util.h"
#include "daemon/tmux/conf.h"

#define EVENTS_ATTEMPTS_MAX 4 /* then the commands' client is taken for ill as well */

static int events_wait(struct tmux_shard *s);
static void hush(struct tmux_shard *s);

static void events_told(struct tmux_shard *s, const struct err *e, const char *records)
{
	if (e != NULL && e->code == ERR_UNAVAILABLE)
		return;
	if (events_wait(s) == 0)
		s->ops->on_event(s->arg, records);
}

static void events_read(void *arg, const struct err *e, const char *text, size_t len)
{
	(void)len;
	events_told(arg, e, e == NULL ? text : NULL);
}

/* Old records: what they tell of is in the listing that the owner makes now. */
static void events_emptied(void *arg, const struct err *e, const char *text, size_t len)
{
	struct tmux_shard *s = arg;

	(void)text;
	(void)len;
	if (s->state != SHARD_CONNECTING) {
		s->quiet = false;
		events_told(s, e, NULL);
	} else if ((e == NULL || e->code != ERR_UNAVAILABLE) && events_wait(s) == 0 && s->cmd_up) {
		shard_ready(s);
	}
}

static int events_send(struct tmux_shard *s, const char *first, const char *second,
	tmux_reply_fn *fn)
{
	struct tmux_cmd cmd;
	int ret;

	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, first);
	if (second != NULL)
		tmux_cmd_add(&cmd, second);
	ret = tmux_client_send(s->events, &cmd, true, fn, s, NULL);
	tmux_cmd_finish(&cmd);
	return ret;
}

static int events_wait(struct tmux_shard *s)
{
	if (events_send(s, "wait-for " TMUX_EV_CHANNEL, NULL, NULL) < 0)
		return -1;
	return events_send(s, "show-options -gqv " TMUX_EV_OPTION,
		"set-option -g " TMUX_EV_OPTION " ''", events_read);
}

static void events_up(void *arg)
{
	struct tmux_shard *s = arg;

	s->events_attempts = 0;
	s->events_up = true;
	if (s->state == SHARD_CONNECTING && s->cmd == NULL)
		loop_timer_start(s->timer, 0);
	events_send(s, "show-options -gqv " TMUX_EV_OPTION, "set-option -g " TMUX_EV_OPTION " ''",
		events_emptied);
}

static void events_down(void *arg, const struct err *e, bool wedged)
{
	struct tmux_shard *s = arg;

	tmux_client_destroy(s->events);
	s->events = NULL;
	s->events_up = false;
	if (!s->cmd_up) { /* it is connected again behind the other one */
		if (s->state == SHARD_CONNECTING && s->cmd == NULL && wedged)
			shard_kill(s);
		else if (s->state == SHARD_CONNECTING && s->cmd == NULL)
			loop_timer_start(s->timer, shard_backoff_ms(s->attempts));
		return;
	}
	s->events_attempts++;
	if (wedged || s->events_attempts >= EVENTS_ATTEMPTS_MAX)
		tmux_client_fail(s->cmd, e, wedged);
	else if (s->state == SHARD_CONNECTING)
		loop_timer_start(s->events_timer, shard_backoff_ms(s->events_attempts));
	else
		hush(s);
}

static void hushed(void *arg, const struct err *e, const char *text, size_t len)
{
	struct tmux_shard *s = arg;

	(void)text;
	(void)len;
	if (e == NULL || e->code != ERR_UNAVAILABLE)
		loop_timer_start(s->events_timer, shard_backoff_ms(s->events_attempts));
}

/* Holds back new commands; when those under way are answered the events client is replaced. */
static void hush(struct tmux_shard *s)
{
	struct tmux_cmd cmd;

	s->quiet = true;
	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "display-message -p .");
	if (tmux_client_send(s->cmd, &cmd, false, hushed, s, NULL) < 0)
		tmux_client_fail(s->cmd, &(struct err){.code = ERR_UNAVAILABLE}, false);
	tmux_cmd_finish(&cmd);
}

void events_connect(struct tmux_shard *s)
{
	static const struct tmux_client_ops ops = {.on_up = events_up, .on_down = events_down};
	struct err e = {0};

	if (tmux_client_create(s->env->loop, s->env->reaper, &s->spec, &ops, s, &s->events, &e) ==
		0)
		return;
	if (++s->events_attempts >= EVENTS_ATTEMPTS_MAX)
		tmux_client_fail(s->cmd, &e, false);
	else
		loop_timer_start(s->events_timer, shard_backoff_ms(s->events_attempts + 1));
}

void events_again(void *arg)
{
	struct tmux_shard *s = arg;

	if (s->cmd_up && s->events == NULL && !s->stop_wanted)
		events_connect(s);
}

