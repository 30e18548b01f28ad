/* SPDX-License-Identifier: ISC */
/*
 * Panes in sessions of people's own. Nobody keeps them: they are known from the last listing, which every
 * coming and going of a client brings about, and are told the state of the agent that they show when it
 * differs from what they were told last.
 */
#include "base/util.h"
#include "daemon/tmux/conf.h"
#include "daemon/tmux/pool.h"

struct look {
	unsigned pane_no;
	char id[TMUX_ID_MAX + 1];
	char told[TMUX_STATUS_MAX + 1];
	bool listed;
	bool unsure; /* whether tmux read what it was told last */
};

struct looks {
	struct look *at;
	size_t n;
};

void looks_free(struct server *sv)
{
	if (sv->looks != NULL)
		free(sv->looks->at);
	free(sv->looks);
	sv->looks = NULL;
}

void looks_doubt(struct server *sv)
{
	for (size_t i = 0; sv->looks != NULL && i < sv->looks->n; i++)
		sv->looks->at[i].unsure = true;
}

void looks_begin(struct server *sv)
{
	for (size_t i = 0; sv->looks != NULL && i < sv->looks->n; i++)
		sv->looks->at[i].listed = false;
}

void looks_add(struct server *sv, unsigned pane_no, const char *id)
{
	struct looks *ls = sv->looks;
	struct look *l;

	if (ls == NULL)
		ls = sv->looks = xcalloc(1, sizeof(*ls));
	for (size_t i = 0; i < ls->n; i++)
		if (ls->at[i].pane_no == pane_no && strcmp(ls->at[i].id, id) == 0) {
			ls->at[i].listed = true;
			return;
		}
	ls->at = xrealloc(ls->at, (ls->n + 1) * sizeof(*ls->at));
	l = &ls->at[ls->n++];
	*l = (struct look){.pane_no = pane_no, .listed = true};
	str_fmt(l->id, sizeof(l->id), "%s", id);
}

static void look_tell(struct server *sv, struct look *l, const struct pane *pa)
{
	struct tmux_cmd cmd;

	if (!l->unsure && strcmp(l->told, pa->status) == 0)
		return;
	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "set-option -pq -t");
	tmux_cmd_argf(&cmd, "%%%u", l->pane_no);
	tmux_cmd_word(&cmd, "--");
	tmux_cmd_word(&cmd, TMUX_STATE_OPTION);
	tmux_cmd_format_arg(&cmd, pa->status);
	if (tmux_shard_send(sv->shard, &cmd, NULL, NULL, NULL, NULL) == 0) {
		memcpy(l->told, pa->status, sizeof(l->told));
		l->unsure = false;
	}
	tmux_cmd_finish(&cmd);
}

void looks_end(struct server *sv)
{
	struct looks *ls = sv->looks;
	size_t n = 0;

	for (size_t i = 0; ls != NULL && i < ls->n; i++)
		if (ls->at[i].listed)
			ls->at[n++] = ls->at[i];
	if (n == 0) {
		looks_free(sv);
		return;
	}
	ls->n = n;
	for (size_t i = 0; i < n; i++) {
		const struct pane *pa = pool_find(sv->pool, ls->at[i].id);

		if (pa != NULL)
			look_tell(sv, &ls->at[i], pa);
	}
}

void looks_tell(struct tmux_pool *p, const struct pane *pa)
{
	struct server *sv;

	TAILQ_FOREACH (sv, &p->servers, entry)
		for (size_t i = 0; sv->looks != NULL && i < sv->looks->n; i++)
			if (strcmp(sv->looks->at[i].id, pa->id) == 0 && tmux_shard_ready(sv->shard))
				look_tell(sv, &sv->looks->at[i], pa);
}

unsigned looks_count(const struct tmux_pool *p, const char *id)
{
	const struct server *sv;
	unsigned n = 0;

	TAILQ_FOREACH (sv, &p->servers, entry)
		for (size_t i = 0; sv->looks != NULL && i < sv->looks->n; i++)
			n += strcmp(sv->looks->at[i].id, id) == 0;
	return n;
}
