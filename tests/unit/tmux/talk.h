/* SPDX-License-Identifier: ISC */
/* One control client of a real tmux, for tests: a line, and its answer. */
#ifndef TESTS_UNIT_TMUX_TALK_H
#define TESTS_UNIT_TMUX_TALK_H

#include "tests/unit/tmux/rig.h"

#include <errno.h>
#include <fcntl.h>

#include "base/proc.h"
#include "daemon/tmux/client.h"
#include "daemon/tmux/conf.h"
#include "daemon/tmux/quote.h"
#include "daemon/tmux/reaper.h"

extern char **environ;

struct talk {
	struct tmux_reaper *reaper;
	struct tmux_client *client;
	char *socket, *conf, *program;
	struct tmux_client_spec spec;
	bool up, down, wedged;
	unsigned answered;
	bool ok, ended;
	struct err e;
	char text[512];
};

static inline void talk_ended(void *arg, pid_t pid, struct proc_status st)
{
	(void)pid;
	(void)st;
	((struct talk *)arg)->ended = true;
}

static inline void talk_up(void *arg)
{
	((struct talk *)arg)->up = true;
}

static inline void talk_down(void *arg, const struct err *e, bool wedged)
{
	struct talk *t = arg;

	t->e = *e;
	t->wedged = wedged;
	t->down = true;
}

static inline void talk_answer(void *arg, const struct err *e, const char *text, size_t len)
{
	struct talk *t = arg;

	(void)len;
	str_fmt(t->text, sizeof(t->text), "%s", text);
	t->ok = e == NULL;
	if (e != NULL)
		t->e = *e;
	t->answered++;
}

static inline void talk_create(struct talk *t, const char *program, int deadline_ms, int start_ms)
{
	static const struct tmux_client_ops ops = {.on_up = talk_up, .on_down = talk_down};
	struct err e = {0};

	memset(t, 0, sizeof(*t));
	t->reaper = tmux_reaper_create(rig_loop);
	t->socket = xasprintf("%s/q.sock", rig_dir);
	t->program = proc_which(program);
	ck_assert_ptr_nonnull(t->program);
	t->spec = (struct tmux_client_spec){.program = t->program,
		.socket = t->socket,
		.conf = "/dev/null",
		.env = tmux_conf_env(environ),
		.deadline_ms = deadline_ms,
		.start_ms = start_ms};
	ck_assert_int_eq(
		tmux_client_create(rig_loop, t->reaper, &t->spec, &ops, t, &t->client, &e), 0);
	rig_until(t->up || t->down);
}

static inline void talk_start(struct talk *t)
{
	talk_create(t, "tmux", 10000, 10000);
	ck_assert_msg(!t->down, "%s", t->e.message);
}

static inline void talk_free(struct talk *t)
{
	tmux_client_destroy(t->client);
	tmux_reaper_destroy(t->reaper);
	strv_free((char **)t->spec.env);
	free(t->socket);
	free(t->program);
}

static inline void talk_run(struct talk *t, struct tmux_cmd *c)
{
	unsigned before = t->answered;

	ck_assert_int_eq(tmux_client_send(t->client, c, false, talk_answer, t, NULL), 0);
	tmux_cmd_finish(c);
	rig_until(t->answered != before || t->down);
	ck_assert(!t->down);
}

static inline void talk_end(struct talk *t)
{
	struct tmux_cmd c;

	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "kill-server");
	ck_assert_int_eq(tmux_client_send(t->client, &c, false, NULL, NULL, NULL), 0);
	tmux_cmd_finish(&c);
	rig_until(t->down);
	talk_free(t);
}

#endif
