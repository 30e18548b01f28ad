/* SPDX-License-Identifier: ISC */
/* The commands that move a pane towards what is wanted, and their answers. */
#include "daemon/tmux/pool.h"

#include "base/fault.h"
#include "base/util.h"
#include "daemon/tmux/conf.h"

static int pane_send(struct pane *pa, struct tmux_cmd *cmd, tmux_reply_fn *fn, struct err *e)
{
	uint64_t seq;
	int ret = tmux_shard_send(pa->server->shard, cmd, fn, pa, &seq, e);

	if (ret == 0) {
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
		pane_enter(pa, PANE_WANTED);
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

/* A session that is there without our pane is a person's to keep: the pane comes back as its last window,
 * and what they see stays in front of them. */
void pane_cmd_open(struct tmux_cmd *cmd, const struct pane *pa, bool dead_panes)
{
	char target[TMUX_TARGET_MAX];

	str_fmt(target, sizeof(target), "=%s:%s", pa->id, pa->beside ? "{end}" : "");
	tmux_cmd_add(cmd, pa->beside ? "new-window -d -P -F" : "new-session -d -P -F");
	tmux_cmd_arg(cmd, "#{session_id} #{pane_id} #{pane_pid}");
	tmux_cmd_word(cmd, pa->beside ? "-a -t" : "-s");
	tmux_cmd_arg(cmd, pa->beside ? target : pa->id);
	tmux_cmd_word(cmd, "-n");
	tmux_cmd_format_arg(cmd, pa->title);
	if (!pa->beside) {
		tmux_cmd_word(cmd, "-x");
		tmux_cmd_argf(cmd, "%d", pa->cols);
		tmux_cmd_word(cmd, "-y");
		tmux_cmd_argf(cmd, "%d", pa->rows);
	}
	cmd_place(cmd, pa);
	/* On the same line: its program cannot end in between. */
	tmux_cmd_add(cmd, "set-option -p -t");
	tmux_cmd_arg(cmd, target);
	tmux_cmd_word(cmd, TMUX_PANE_OPTION);
	tmux_cmd_arg(cmd, pa->id);
	if (dead_panes) {
		tmux_cmd_add(cmd, "set-option -p -t");
		tmux_cmd_arg(cmd, target);
		tmux_cmd_word(cmd, "remain-on-exit on");
	}
}

/* False: there is no room for it now. It stays wanted: when there is, or the next server is up, it goes. */
static bool pane_send_open(struct pane *pa)
{
	struct tmux_cmd cmd;
	bool restart = pa->has_pane, sent;

	tmux_cmd_init(&cmd);
	if (restart) {
		tmux_cmd_add(&cmd, "respawn-pane -k -t");
		tmux_cmd_argf(&cmd, "%%%u", pa->pane_no);
		cmd_place(&cmd, pa);
		tmux_cmd_add(&cmd, "display-message -p -t");
		tmux_cmd_argf(&cmd, "%%%u", pa->pane_no);
		tmux_cmd_arg(&cmd, "#{pane_pid}");
	} else {
		pane_cmd_open(&cmd, pa, pa->pool->version.dead_panes);
	}
	FAULT_POINT("pane.open");
	sent = pane_send(pa, &cmd, restart ? restart_reply : open_reply, NULL) == 0;
	FAULT_POINT("pane.open_sent");
	if (sent) {
		pane_enter(pa, PANE_SENT);
		pa->title_sent = !restart;
		if (!restart)
			pa->status_sent = pa->marked = pa->renamed = pa->moved = false;
	}
	tmux_cmd_finish(&cmd);
	return sent;
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

void pane_send_close(struct pane *pa)
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
	FAULT_POINT("pane.close");
	pa->resend = pane_send(pa, &cmd, close_reply, NULL) < 0;
	FAULT_POINT("pane.close_sent");
	tmux_cmd_finish(&cmd);
}

/* What was on its way when the connection ended may not have been read: pane_touch_up sends it again behind
 * the listing that follows. */
static void told(struct pane *pa, const struct err *e, bool *sent)
{
	if (e != NULL && e->code == ERR_UNAVAILABLE)
		*sent = false;
	pool_reply_done(pa);
}

static void title_told(void *arg, const struct err *e, const char *text, size_t len)
{
	struct pane *pa = arg;

	(void)text;
	(void)len;
	if (e == NULL && pa->title_sent && !pa->forgotten)
		pool_tell_titled(pa);
	told(pa, e, &pa->title_sent);
}

static void status_told(void *arg, const struct err *e, const char *text, size_t len)
{
	struct pane *pa = arg;

	(void)text;
	(void)len;
	told(pa, e, &pa->status_sent);
}

static void mark_told(void *arg, const struct err *e, const char *text, size_t len)
{
	struct pane *pa = arg;

	(void)text;
	(void)len;
	told(pa, e, &pa->marked);
}

/* A pane's option or name. */
static bool pane_tell(struct pane *pa, const char *command, const char *option, const char *value,
	bool format, tmux_reply_fn *fn)
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
	/* Not `sent`: it says nothing of the pane's being there. */
	ok = tmux_shard_send(pa->server->shard, &cmd, fn, pa, NULL, NULL) == 0;
	pa->in_flight += ok;
	tmux_cmd_finish(&cmd);
	return ok;
}

void pane_touch_up(struct pane *pa)
{
	if (!pa->has_pane || pa->phase != PANE_OPEN || pa->server == NULL)
		return;
	if (!pa->title_sent && pa->has_spec) {
		FAULT_POINT("pane.rename");
		pa->title_sent = pane_tell(pa, "rename-window -t", NULL, pa->title, true, title_told);
		FAULT_POINT("pane.rename_sent");
	}
	/* '#' is doubled: the status line reads styles in what the option holds. */
	if (!pa->status_sent && pa->viewers > 0)
		pa->status_sent = pane_tell(pa, "set-option -t", TMUX_STATE_OPTION, pa->status, true, status_told);
	if (pa->renamed && !pa->moved && !pa->marked)
		pa->marked = pane_tell(pa, "set-option -t", TMUX_ID_OPTION, pa->id, false, mark_told);
}

void pane_pump(struct server *sv)
{
	struct pane *pa, *next;

	if (!sv->synced || !tmux_shard_ready(sv->shard))
		return;
	TAILQ_FOREACH_SAFE (pa, &sv->panes, on_server, next) {
		if (pa->phase == PANE_CLOSING && pa->resend)
			pane_send_close(pa);
		else if (pa->phase == PANE_WANTED && !pane_send_open(pa))
			return;
	}
}
