/* SPDX-License-Identifier: ISC */
/* What the daemon asks of a pane: pane.h's functions. */
#include "daemon/tmux/pane.h"

#include "base/util.h"
#include "daemon/tmux/pool.h"

#define DEFAULT_ROWS 24
#define DEFAULT_COLS 80
#define SIDE_MAX 10000
#define LINE_MARGIN 1024 /* what quoting may add to a title */

/* Copies text for a status line: cut at a character, control bytes dropped. */
static void copy_text(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n < size - 1; text++)
		if ((unsigned char)*text >= 32 && *text != 127)
			out[n++] = *text;
	out[n] = '\0';
	while (n > 0 && !utf8_valid(out, n))
		out[--n] = '\0';
}

static int spec_check(const struct tmux_pane_spec *spec, struct err *e)
{
	if (spec->id == NULL || !pane_id_ok(spec->id))
		return err_set(e, ERR_PARAMS, "A pane's id must be 1 to %d of [a-z0-9_-]",
			TMUX_ID_MAX);
	if (spec->rows < 0 || spec->rows > SIDE_MAX || spec->cols < 0 || spec->cols > SIDE_MAX)
		return err_set(e, ERR_PARAMS, "A pane's size must be at most %d", SIDE_MAX);
	if (!tmux_argv_ok(spec->argv))
		return err_set(e, ERR_PARAMS, "The pane's program cannot be named to tmux");
	return 0;
}

static void spec_take(struct pane *pa, const struct tmux_pane_spec *spec)
{
	char title[TMUX_TITLE_MAX + 1];

	copy_text(title, sizeof(title), spec->title != NULL ? spec->title : spec->id);
	if (strcmp(title, pa->title) != 0 && pa->has_spec)
		pa->title_sent = false;
	memcpy(pa->title, title, sizeof(title));
	strv_free(pa->argv);
	strv_free(pa->env);
	free(pa->cwd);
	pa->argv = strv_copy(spec->argv);
	pa->env = spec->env != NULL ? strv_copy(spec->env) : NULL;
	pa->cwd = xstrdup(spec->cwd != NULL ? spec->cwd : "/");
	pa->rows = spec->rows > 0 ? spec->rows : DEFAULT_ROWS;
	pa->cols = spec->cols > 0 ? spec->cols : DEFAULT_COLS;
	pa->has_spec = true;
}

static void wait_for(struct waiters *list, tmux_done_fn *fn, void *arg)
{
	struct waiter *w;

	w = xcalloc(1, sizeof(*w));
	w->fn = fn;
	w->arg = arg;
	STAILQ_INSERT_TAIL(list, w, entry);
}

/* Whether the command that will make it fits one line. */
static int spec_fits(const struct tmux_pane_spec *spec, struct err *e)
{
	struct pane pa = {.argv = (char **)spec->argv, .env = (char **)spec->env};
	struct tmux_cmd cmd;
	bool ok;

	pa.cwd = (char *)(spec->cwd != NULL ? spec->cwd : "/");
	pa.rows = pa.cols = SIDE_MAX;
	memset(pa.title, '#', TMUX_TITLE_MAX); /* the longest when quoted, or nearly */
	memset(pa.id, 'x', TMUX_ID_MAX);
	tmux_cmd_init(&cmd);
	pane_cmd_open(&cmd, &pa, true);
	ok = tmux_cmd_end(&cmd) && buf_room(&cmd.line) > LINE_MARGIN;
	tmux_cmd_finish(&cmd);
	return ok ? 0
		  : err_set(e, ERR_LIMIT, "The pane's program, folder and environment are too large");
}

static int pane_new(struct tmux_pool *p, const struct tmux_pane_spec *spec, tmux_done_fn *fn,
	void *arg, struct err *e)
{
	struct pane *pa;

	if (spec_fits(spec, e) < 0)
		return -1;
	pa = pool_add(p, spec->id);
	pane_enter(pa, PANE_WANTED);
	spec_take(pa, spec);
	wait_for(&pa->opening, fn, arg);
	if (pool_place(pa, e) < 0) {
		pool_forget(pa);
		return -1;
	}
	return 0;
}

int tmux_pane_open(struct tmux_pool *p, const struct tmux_pane_spec *spec, tmux_done_fn *fn,
	void *arg, struct err *e)
{
	struct pane *pa;

	if (spec_check(spec, e) < 0)
		return -1;
	if (p->ended)
		return err_set(e, ERR_STATE, "The panes are being ended");
	pa = pool_find(p, spec->id);
	if (pa == NULL)
		return pane_new(p, spec, fn, arg, e);
	if (spec_fits(spec, e) < 0)
		return -1;
	spec_take(pa, spec);
	if (pa->phase == PANE_CLOSING) {
		pa->again = true;
		wait_for(&pa->opening, fn, arg);
		return 0;
	}
	if (pa->phase == PANE_OPEN && server_answers(pa->server)) {
		pool_tell_done(p, fn, arg, pa->id, NULL);
		pane_touch_up(pa);
		return 0;
	}
	if (pa->phase == PANE_DEAD) {
		pane_enter(pa, PANE_WANTED);
		if (pa->server == NULL && pool_place(pa, e) < 0) {
			pane_enter(pa, PANE_DEAD);
			return -1;
		}
		if (pa->server != NULL)
			pane_pump(pa->server);
	}
	wait_for(&pa->opening, fn, arg);
	return 0;
}

void tmux_pane_close(struct tmux_pool *p, const char *id, tmux_done_fn *fn, void *arg)
{
	struct pane *pa = pool_find(p, id);
	struct err e = {0};
	enum pane_phase was;

	if (pa == NULL && !(p->adopting && pane_id_ok(id))) {
		pool_tell_done(p, fn, arg, id, NULL);
		return;
	}
	if (pa == NULL)
		pa = pool_add(p, id); /* it may stand on a server that was not listed yet */
	was = pa->phase;
	wait_for(&pa->closing, fn, arg);
	pane_enter(pa, PANE_CLOSING);
	pa->again = false;
	err_set(&e, ERR_CANCELLED, "The pane of %s was closed meanwhile", id);
	pool_tell_all(pa, &pa->opening, &e);
	if (was == PANE_CLOSING)
		return;
	if (was != PANE_SENT && was != PANE_OPEN && !pa->has_pane && !p->adopting)
		pane_closed(pa, NULL);
	else if (pa->server != NULL)
		pane_send_close(pa);
	else
		pa->resend = true; /* adoption finds it, or ends it */
}

void tmux_pane_rename(struct tmux_pool *p, const char *id, const char *title)
{
	struct pane *pa = pool_find(p, id);

	if (pa == NULL)
		return;
	copy_text(pa->title, sizeof(pa->title), title);
	pa->title_sent = false;
	pane_touch_up(pa);
}

void tmux_pane_status(struct tmux_pool *p, const char *id, const char *text)
{
	struct pane *pa = pool_find(p, id);
	char status[TMUX_STATUS_MAX + 1];

	if (pa == NULL)
		return;
	copy_text(status, sizeof(status), text);
	if (strcmp(status, pa->status) == 0)
		return;
	memcpy(pa->status, status, sizeof(status));
	pa->status_sent = false;
	pane_touch_up(pa);
	looks_tell(p, pa);
}

int tmux_pane_locate(struct tmux_pool *p, const char *id, struct tmux_location *ret, struct err *e)
{
	struct pane *pa = pool_find(p, id);
	struct tmux_location at = {0};

	if (pa == NULL)
		return err_set(e, ERR_NOT_FOUND, "There is no pane of %s", id);
	switch (pa->phase) {
	case PANE_WANTED:
	case PANE_SENT:
		at.state = TMUX_PANE_OPENING;
		break;
	case PANE_OPEN:
		/* A server that is away may come back with it, or without. */
		at.state = server_answers(pa->server) ? TMUX_PANE_OPEN : TMUX_PANE_OPENING;
		break;
	case PANE_DEAD:
		at.state = TMUX_PANE_DEAD;
		break;
	case PANE_CLOSING:
		at.state = TMUX_PANE_CLOSING;
		break;
	}
	if (pa->server == NULL || (at.state == TMUX_PANE_DEAD && !pa->has_pane))
		return err_set(e, ERR_STATE, "The pane of %s is not on a tmux server", id);
	str_fmt(at.socket, sizeof(at.socket), "%s", tmux_shard_socket(pa->server->shard));
	pane_target(pa, at.target);
	at.pid = pa->pid;
	at.viewers = pa->viewers + looks_count(p, id);
	*ret = at;
	return 0;
}
