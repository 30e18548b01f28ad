/* SPDX-License-Identifier: ISC */
/* What a new daemon finds: the servers in the folder, and the panes on them. */
#include "daemon/tmux/pool.h"

#include <dirent.h>

#include "base/fault.h"
#include "base/sock.h"
#include "base/util.h"

/* Looks whether adoption is complete. */
void pool_adopted(struct tmux_pool *p)
{
	struct server *sv;
	struct pane *pa, *next;
	struct tmux_found *found;
	size_t n = 0;

	if (!p->adopting)
		return;
	TAILQ_FOREACH (sv, &p->servers, entry)
		if (sv->adopting && !sv->gone)
			return;
	p->adopting = false;
	FAULT_POINT("tmux.adopted");
	found = xcalloc(p->npanes + 1, sizeof(*found));
	TAILQ_FOREACH (pa, &p->panes, all)
		if (pa->found && !pa->forgotten) {
			memcpy(found[n].id, pa->id, sizeof(pa->id));
			found[n++].alive = pa->phase == PANE_OPEN;
		}
	TAILQ_FOREACH_SAFE (pa, &p->panes, all, next) {
		struct err e = {0};

		if (pa->forgotten || pa->server != NULL)
			continue;
		if (pa->phase == PANE_CLOSING)
			pane_closed(pa, NULL);
		else if (pa->phase == PANE_WANTED && pool_place(pa, &e) < 0)
			pane_failed(pa, &e);
	}
	TAILQ_FOREACH (sv, &p->servers, entry)
		pool_linger(sv);
	p->adopt_fn(p->adopt_arg, found, n);
	free(found);
}

static bool socket_number(const char *name, unsigned *ret)
{
	size_t len = strlen(name);
	char digits[8] = "";
	int64_t v;

	if (len < 6 || len > sizeof(digits) + 4 || strcmp(name + len - 5, ".sock") != 0)
		return false;
	memcpy(digits, name, len - 5);
	if (str_to_i64(digits, 0, 9999, &v) < 0)
		return false;
	*ret = (unsigned)v;
	return true;
}

static bool server_numbered(const struct tmux_pool *p, unsigned number)
{
	const struct server *sv;

	TAILQ_FOREACH (sv, &p->servers, entry)
		if (tmux_shard_number(sv->shard) == number)
			return true;
	return false;
}

void tmux_pool_adopt(struct tmux_pool *p, tmux_adopt_fn *fn, void *arg)
{
	DIR *d = opendir(p->dir);
	struct dirent *de;

	p->adopting = true;
	p->adopt_fn = fn;
	p->adopt_arg = arg;
	while (d != NULL && (de = readdir(d)) != NULL) {
		cleanup_free char *path = xasprintf("%s/%s", p->dir, de->d_name);
		cleanup_close int fd = -1;
		struct err e = {0};
		unsigned number;

		if (!socket_number(de->d_name, &number) || server_numbered(p, number))
			continue;
		if (sock_connect(path, &fd, &e) == 0 || e.code == ERR_BUSY)
			server_add(p, number)->adopting = true;
		else if (e.code == ERR_UNREACHABLE)
			tmux_shard_sweep(path);
	}
	if (d != NULL)
		closedir(d);
	pool_look(p);
}
