/* SPDX-License-Identifier: ISC */
/* A pane's life: what was asked for, the commands towards it, and what becomes of them. */
#include "daemon/tmux/pool.h"

#include <signal.h>

#include "base/clock.h"
#include "base/util.h"
#include "daemon/tmux/conf.h"

#define DEFAULT_ROWS 24
#define DEFAULT_COLS 80
#define SIDE_MAX 10000
#define LINE_MARGIN 1024 /* what quoting may add to a title */

/* ---- words ---- */

bool pane_id_ok(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return n > 0 && n <= TMUX_ID_MAX && id[n] == '\0';
}

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

void pane_target(const struct pane *pa, char out[TMUX_TARGET_MAX])
{
	if (pa->has_pane && pa->renamed)
		str_fmt(out, TMUX_TARGET_MAX, "$%u", pa->session_no);
	else
		str_fmt(out, TMUX_TARGET_MAX, "=%s", pa->id);
}

/* ---- what became of it ---- */

static bool may_revive(struct pane *pa)
{
	int64_t now = clock_mono_ms();

	if (!pa->has_spec || (pa->revived_ms != 0 && now - pa->revived_ms < TMUX_REVIVE_CALM_MS))
		return false;
	pa->revived_ms = now;
	return true;
}

static void pane_set_viewers(struct pane *pa, unsigned n)
{
	if (pa->viewers == n)
		return;
	pa->viewers = n;
	pool_tell_viewers(pa);
}

static void program_ended(void *arg, pid_t pid, struct proc_status st)
{
	struct pane *pa = arg;

	(void)pid;
	(void)st; /* not our child: the status is tmux's to tell */
	pa->watch = NULL;
	if (pa->phase == PANE_CLOSING && pa->killed) {
		pane_killed(pa);
		return;
	}
	pa->exited = true;
	if (pa->phase == PANE_OPEN)
		sync_server(pa->server);
}

void pane_unwatch(struct pane *pa)
{
	loop_child_free(pa->watch);
	pa->watch = NULL;
	pa->watch_pid = 0;
	pa->exited = false;
	pa->nudges = 0;
}

void pane_watch(struct pane *pa)
{
	if (pa->pid <= 0 || pa->watch_pid == pa->pid)
		return;
	pane_unwatch(pa);
	pa->watch_pid = pa->pid;
	pa->watch = loop_child_watch(pa->pool->loop, pa->pid, program_ended, pa, NULL);
	if (pa->watch == NULL) {
		pa->exited = true; /* gone already */
		sync_server(pa->server);
	}
}

void pane_opened(struct pane *pa)
{
	pa->phase = PANE_OPEN;
	pane_watch(pa);
	pool_tell_all(pa, &pa->opening, NULL);
	if (pa->back)
		pool_tell_back(pa);
	pa->back = false;
	pane_touch_up(pa);
}

void pane_ended(struct pane *pa, struct proc_status st)
{
	bool again = (st.code != 0 || st.signal != 0) && may_revive(pa);

	pa->phase = again ? PANE_WANTED : PANE_DEAD;
	pa->pid = 0;
	pane_unwatch(pa);
	pa->back = again;
	pool_tell_died(pa, st, again);
}

void pane_vanished(struct pane *pa, const char *why)
{
	bool again = may_revive(pa);

	pa->phase = again ? PANE_WANTED : PANE_DEAD;
	pa->has_pane = false;
	pa->pid = 0;
	pane_unwatch(pa);
	pa->back = again;
	pane_set_viewers(pa, 0);
	pool_tell_lost(pa, why, again);
}

void pane_lost(struct pane *pa, const char *why)
{
	pa->has_pane = false;
	pa->pid = 0;
	pane_unwatch(pa);
	pane_set_viewers(pa, 0);
	if (pa->phase != PANE_OPEN)
		return; /* CLOSING is done when the new server does not list it */
	pa->phase = pa->has_spec ? PANE_WANTED : PANE_DEAD;
	pa->back = pa->has_spec;
	pool_tell_lost(pa, why, pa->has_spec);
}

static void out_of_patience(void *arg)
{
	struct pane *pa = arg;

	if (pa->watch != NULL)
		kill(pa->watch_pid, SIGKILL);
}

void pane_killed(struct pane *pa)
{
	if (pa->watch == NULL) {
		if (pa->server != NULL)
			tmux_shard_nudge(pa->server->shard);
		pane_closed(pa, NULL);
		return;
	}
	if (pa->killed)
		return;
	pa->killed = true;
	pa->patience = loop_timer_create(pa->pool->loop, out_of_patience, pa);
	loop_timer_start(pa->patience, TMUX_HANGUP_MS);
}

void pane_closed(struct pane *pa, const struct err *e)
{
	pool_tell_all(pa, &pa->closing, e);
	pool_forget(pa);
}

void pane_failed(struct pane *pa, const struct err *e)
{
	bool known = pa->back || pa->found;

	pool_tell_all(pa, &pa->opening, e);
	if (pa->back)
		pool_tell_lost(pa, e->message, false);
	pa->back = false;
	if (!known) {
		pool_forget(pa);
		return;
	}
	pa->phase = PANE_DEAD;
}

/* ---- commands ---- */

static int pane_send(struct pane *pa, struct tmux_cmd *cmd, tmux_reply_fn *fn, struct err *e)
{
	uint64_t seq;
	int ret = tmux_shard_send(pa->server->shard, cmd, fn, pa, &seq, e);

	if (ret == 0 && fn != NULL) {
		pa->in_flight++;
		pa->sent = seq;
	}
	return ret;
}

static void open_reply(void *arg, const struct err *e, const char *text, size_t len)
{
	struct pane *pa = arg;
	unsigned session, number;
	int pid;

	(void)len;
	if (pa->forgotten || pa->phase != PANE_SENT || (e != NULL && e->code == ERR_UNAVAILABLE)) {
		pool_reply_done(pa); /* closed meanwhile; or a listing tells */
		return;
	}
	pa->in_flight--;
	if (e == NULL && sscanf(text, "$%u %%%u %d", &session, &number, &pid) == 3) {
		pa->has_pane = true;
		pa->session_no = session;
		pa->pane_no = number;
		pa->pid = pid;
		pane_opened(pa);
	} else if (e == NULL || strstr(text, "duplicate session") != NULL) {
		pa->server->sync_wanted = true;
		sync_server(pa->server);
	} else {
		pane_failed(pa, e);
	}
}

static void restart_reply(void *arg, const struct err *e, const char *text, size_t len)
{
	struct pane *pa = arg;

	(void)len;
	if (pa->forgotten || pa->phase != PANE_SENT || (e != NULL && e->code == ERR_UNAVAILABLE)) {
		pool_reply_done(pa);
		return;
	}
	pa->in_flight--;
	if (e != NULL) {
		pa->has_pane = false; /* it is not there any more: made anew */
		pa->phase = PANE_WANTED;
		pane_pump(pa->server);
	} else {
		pa->pid = atoi(text);
		pane_opened(pa);
	}
}

static void cmd_place(struct tmux_cmd *cmd, const struct pane *pa)
{
	tmux_cmd_word(cmd, "-c");
	tmux_cmd_format_arg(cmd, pa->cwd);
	for (char **v = pa->env; v != NULL && *v != NULL; v++) {
		tmux_cmd_word(cmd, "-e");
		tmux_cmd_arg(cmd, *v);
	}
	tmux_cmd_argv(cmd, pa->argv);
}

static void cmd_open(struct tmux_cmd *cmd, const struct pane *pa, bool dead_panes)
{
	tmux_cmd_add(cmd, "new-session -d -P -F");
	tmux_cmd_arg(cmd, "#{session_id} #{pane_id} #{pane_pid}");
	tmux_cmd_word(cmd, "-s");
	tmux_cmd_arg(cmd, pa->id);
	tmux_cmd_word(cmd, "-n");
	tmux_cmd_format_arg(cmd, pa->title);
	tmux_cmd_word(cmd, "-x");
	tmux_cmd_argf(cmd, "%d", pa->cols);
	tmux_cmd_word(cmd, "-y");
	tmux_cmd_argf(cmd, "%d", pa->rows);
	cmd_place(cmd, pa);
	if (dead_panes) { /* on the same line: its program cannot end in between */
		tmux_cmd_add(cmd, "set-option -p -t");
		tmux_cmd_argf(cmd, "=%s:", pa->id);
		tmux_cmd_word(cmd, "remain-on-exit on");
	}
}

static void pane_send_open(struct pane *pa)
{
	struct tmux_cmd cmd;
	bool restart = pa->has_pane;

	tmux_cmd_init(&cmd);
	if (restart) {
		tmux_cmd_add(&cmd, "respawn-pane -k -t");
		tmux_cmd_argf(&cmd, "%%%u", pa->pane_no);
		cmd_place(&cmd, pa);
		tmux_cmd_add(&cmd, "display-message -p -t");
		tmux_cmd_argf(&cmd, "%%%u", pa->pane_no);
		tmux_cmd_arg(&cmd, "#{pane_pid}");
	} else {
		cmd_open(&cmd, pa, pa->pool->version.dead_panes);
	}
	if (pane_send(pa, &cmd, restart ? restart_reply : open_reply, NULL) == 0) {
		pa->phase = PANE_SENT;
		pa->title_sent = !restart;
		if (!restart)
			pa->status_sent = pa->marked = pa->renamed = pa->moved = false;
	} /* else it stays wanted: the next answer, or the next server, pumps again */
	tmux_cmd_finish(&cmd);
}

static void close_reply(void *arg, const struct err *e, const char *text, size_t len)
{
	struct pane *pa = arg;

	(void)text;
	(void)len;
	if (!pa->forgotten && pa->phase == PANE_CLOSING &&
		(e == NULL || e->code != ERR_UNAVAILABLE)) {
		pane_killed(pa); /* refused means: no such session */
	}
	pool_reply_done(pa);
}

static void pane_send_close(struct pane *pa)
{
	char target[TMUX_TARGET_MAX];
	struct tmux_cmd cmd;

	tmux_cmd_init(&cmd);
	if (pa->has_pane && pa->moved) {
		tmux_cmd_add(&cmd, "kill-pane -t");
		tmux_cmd_argf(&cmd, "%%%u", pa->pane_no);
	} else {
		pane_target(pa, target);
		tmux_cmd_add(&cmd, "kill-session -t");
		tmux_cmd_arg(&cmd, target);
	}
	pa->resend = pane_send(pa, &cmd, close_reply, NULL) < 0;
	tmux_cmd_finish(&cmd);
}

/* A pane's option or name: nobody waits for the answer, what differs is sent again when it matters. */
static bool pane_tell(struct pane *pa, const char *command, const char *option, const char *value,
	bool format)
{
	struct tmux_cmd cmd;
	bool ok;

	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, command);
	if (option != NULL) {
		tmux_cmd_argf(&cmd, "$%u", pa->session_no);
		tmux_cmd_word(&cmd, "--");
		tmux_cmd_word(&cmd, option);
	} else {
		tmux_cmd_argf(&cmd, "%%%u", pa->pane_no);
		tmux_cmd_word(&cmd, "--");
	}
	if (format)
		tmux_cmd_format_arg(&cmd, value);
	else
		tmux_cmd_arg(&cmd, value);
	ok = pane_send(pa, &cmd, NULL, NULL) == 0;
	tmux_cmd_finish(&cmd);
	return ok;
}

void pane_touch_up(struct pane *pa)
{
	if (!pa->has_pane || pa->phase != PANE_OPEN || pa->server == NULL)
		return;
	if (!pa->title_sent && pa->has_spec)
		pa->title_sent = pane_tell(pa, "rename-window -t", NULL, pa->title, true);
	/* '#' is doubled: the status line reads styles in what the option holds. */
	if (!pa->status_sent && pa->viewers > 0)
		pa->status_sent = pane_tell(pa, "set-option -t", TMUX_STATE_OPTION, pa->status, true);
	if (pa->renamed && !pa->moved && !pa->marked)
		pa->marked = pane_tell(pa, "set-option -t", TMUX_ID_OPTION, pa->id, false);
}

void pane_pump(struct server *sv)
{
	struct pane *pa, *next;

	if (!sv->synced || !tmux_shard_ready(sv->shard))
		return;
	TAILQ_FOREACH_SAFE (pa, &sv->panes, on_server, next) {
		if (pa->phase == PANE_WANTED)
			pane_send_open(pa);
		else if (pa->phase == PANE_CLOSING && pa->resend)
			pane_send_close(pa);
	}
}

/* ---- what the daemon asks ---- */

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
	cmd_open(&cmd, &pa, true);
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
	pa->phase = PANE_WANTED;
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
	if (pa != NULL && pa->phase == PANE_CLOSING)
		return err_set(e, ERR_BUSY, "The pane of %s is being closed", spec->id);
	if (pa == NULL)
		return pane_new(p, spec, fn, arg, e);
	if (spec_fits(spec, e) < 0)
		return -1;
	spec_take(pa, spec);
	if (pa->phase == PANE_OPEN) {
		pool_tell_done(p, fn, arg, pa->id, NULL);
		pane_touch_up(pa);
		return 0;
	}
	if (pa->phase == PANE_DEAD) {
		pa->phase = PANE_WANTED;
		if (pa->server == NULL && pool_place(pa, e) < 0) {
			pa->phase = PANE_DEAD;
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
	if (was == PANE_CLOSING)
		return;
	pa->phase = PANE_CLOSING;
	err_set(&e, ERR_CANCELLED, "The pane of %s was closed meanwhile", id);
	pool_tell_all(pa, &pa->opening, &e);
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
		at.state = TMUX_PANE_OPEN;
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
	at.viewers = pa->viewers;
	*ret = at;
	return 0;
}
