/* SPDX-License-Identifier: ISC */
/* The terminals of people who look at agents, as the servers list them. */
#include "daemon/tmux/ring.h"

#include "base/util.h"
#include "daemon/tmux/pool.h"

struct asking {
	void (*fn)(void *arg, const char *tty);
	void *arg;
	void (*done)(void *arg);
	unsigned left;
};

static void answered(struct asking *a)
{
	if (--a->left)
		return;
	a->done(a->arg);
	free(a);
}

static void listed(void *arg, const struct err *e, const char *text, size_t len)
{
	struct asking *a = arg;
	cleanup_free char *copy = xstrndup(e ? "" : text, e ? 0 : len);
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (line[0] == '/')
			a->fn(a->arg, line);
	answered(a);
}

void tmux_pool_terminals(struct tmux_pool *p, void (*fn)(void *arg, const char *tty), void *arg, void (*done)(void *arg))
{
	struct asking *a = xcalloc(1, sizeof(*a));
	struct server *sv;

	*a = (struct asking){.fn = fn, .arg = arg, .done = done, .left = 1};
	TAILQ_FOREACH (sv, &p->servers, entry) {
		struct tmux_cmd cmd;

		if (!tmux_shard_ready(sv->shard))
			continue;
		tmux_cmd_init(&cmd);
		tmux_cmd_add(&cmd, "list-clients -F");
		tmux_cmd_arg(&cmd, "#{?client_control_mode,-,#{client_tty}}");
		if (tmux_shard_send(sv->shard, &cmd, listed, a, NULL, NULL) == 0)
			a->left++;
		tmux_cmd_finish(&cmd);
	}
	answered(a);
}
