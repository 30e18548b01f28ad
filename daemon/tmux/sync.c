/* SPDX-License-Identifier: ISC */
/* Listings and events: what a server says against what we believe. */
#include "daemon/tmux/pool.h"

#include <signal.h>

#include "base/util.h"
#include "daemon/tmux/conf.h"

/* What a person can fill comes last: from 3.7 on a session's name may hold colons. The mark is an id
 * of ours. */
#define LIST_FORMAT                                                                                \
	"#{pane_id}:#{session_id}:#{pane_dead}:#{pane_dead_status}:#{pane_dead_signal}:"           \
	"#{session_attached}:#{pane_pid}:#{" TMUX_PANE_OPTION "}:#{" TMUX_VIEW_OPTION "}:"          \
	"#{" TMUX_ID_OPTION "}:#{session_name}"
#define LIST_FIELDS 11

/* One pane as listed. */
struct listed {
	unsigned pane_no, session_no, viewers;
	bool dead, renamed;
	struct proc_status st;
	pid_t pid;
	char id[TMUX_ID_MAX + 1];   /* of the session; "": the hub, or a name of a person's own */
	char mark[TMUX_ID_MAX + 1]; /* a pane of ours; else "" */
	char look[TMUX_ID_MAX + 1]; /* the agent that a pane of a person's own session shows; else "" */
};

/* tmux gives the signal by number or, where it knows one, by name. */
static int signal_number(const char *s)
{
	int64_t v;

	if (*s == '\0')
		return 0;
	if (str_to_i64(s, 1, 64, &v) == 0)
		return (int)v;
	if (str_starts(s, "SIG"))
		s += 3;
	for (int i = 1; i < 32; i++) {
		const char *name = sigabbrev_np(i);

		if (name != NULL && strcmp(name, s) == 0)
			return i;
	}
	return SIGKILL; /* ended by some signal: which is not worth more */
}

static struct proc_status status_of(const char *code, const char *sig)
{
	struct proc_status st = {.code = -1, .signal = signal_number(sig)};
	int64_t v;

	if (st.signal == 0 && str_to_i64(code, 0, 255, &v) == 0)
		st.code = (int)v;
	return st;
}

static bool number_behind(const char *s, char sign, unsigned *ret)
{
	int64_t v;

	if (s[0] != sign || str_to_i64(s + 1, 0, INT32_MAX, &v) < 0)
		return false;
	*ret = (unsigned)v;
	return true;
}

/* Cuts line at each separator, at most n fields, the last takes the rest. False: fewer. */
static bool split(char *line, char separator, char **fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fields[i] = line;
		if (i == n - 1)
			break;
		line = strchr(line, separator);
		if (line == NULL)
			return false;
		*line++ = '\0';
	}
	return true;
}

static void id_copy(char out[TMUX_ID_MAX + 1], const char *id)
{
	if (pane_id_ok(id))
		str_fmt(out, TMUX_ID_MAX + 1, "%s", id);
}

static bool listed_parse(char *line, struct listed *ret)
{
	char *f[LIST_FIELDS];
	struct listed l = {0};
	int64_t viewers, pid = 0;
	const char *id;

	if (!split(line, ':', f, LIST_FIELDS))
		return false;
	if (!number_behind(f[0], '%', &l.pane_no) || !number_behind(f[1], '$', &l.session_no) ||
		str_to_i64(f[5], 0, INT32_MAX, &viewers) < 0)
		return false;
	str_to_i64(f[6], 0, INT32_MAX, &pid);
	id = f[9][0] != '\0' ? f[9] : f[10];
	id_copy(l.mark, f[7]);
	id_copy(l.look, f[8]);
	id_copy(l.id, id);
	l.renamed = strcmp(id, f[10]) != 0;
	l.viewers = (unsigned)viewers;
	l.pid = (pid_t)pid;
	l.dead = strcmp(f[2], "1") == 0;
	l.st = l.dead ? status_of(f[3], f[4]) : (struct proc_status){.code = -1};
	*ret = l;
	return true;
}

/* All lines of a listing. */
struct listing {
	struct listed *panes;
	size_t n;
};

static struct listing listing_parse(const char *text)
{
	cleanup_free char *copy = xstrdup(text);
	struct listing ls = {0};
	char *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line != NULL;
		line = strtok_r(NULL, "\n", &save)) {
		struct listed l;

		if (!listed_parse(line, &l))
			continue;
		ls.panes = xrealloc(ls.panes, (ls.n + 1) * sizeof(*ls.panes));
		ls.panes[ls.n++] = l;
	}
	return ls;
}

/* The line of this pane: by its number once known, else by its mark; what else stands in its session is a
 * person's. A session that a person renamed is still found by its pane. */
static const struct listed *listing_find(const struct listing *ls, const struct pane *pa)
{
	const struct listed *best = NULL;

	for (size_t i = 0; i < ls->n; i++) {
		const struct listed *l = &ls->panes[i];

		if (pa->has_pane ? l->pane_no == pa->pane_no
				 : strcmp(l->mark, pa->id) == 0 &&
					    (best == NULL || l->pane_no < best->pane_no))
			best = l;
	}
	return best;
}

static void kill_target(struct server *sv, const char *command, char sign, unsigned number)
{
	struct tmux_cmd cmd;

	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, command);
	tmux_cmd_argf(&cmd, "%c%u", sign, number);
	tmux_shard_send(sv->shard, &cmd, NULL, NULL, NULL, NULL);
	tmux_cmd_finish(&cmd);
}

static void take_facts(struct pane *pa, const struct listed *l)
{
	pa->has_pane = true;
	pa->pane_no = l->pane_no;
	pa->session_no = l->session_no;
	pa->renamed = l->renamed || strcmp(l->id, pa->id) != 0;
	pa->moved = strcmp(l->id, pa->id) != 0 && pool_find(pa->pool, l->id) != NULL;
	pa->pid = l->dead ? 0 : l->pid;
	if (l->viewers > 0)
		pa->promised_ms = 0; /* who was sent there has come */
	if (pa->viewers != l->viewers) {
		pa->viewers = l->viewers;
		pool_tell_viewers(pa);
	}
}

/* Open as far as we knew. When the program is seen to have ended and tmux has no status of it, it is made
 * to look, and listed again. */
static void settle_open(struct pane *pa, const struct listed *l)
{
	bool told = l->dead && (l->st.code >= 0 || l->st.signal != 0);

	if (!told && (l->dead || pa->exited) && pa->nudges < TMUX_NUDGES_MAX) {
		pa->nudges++;
		tmux_shard_nudge(pa->server->shard);
		pa->server->sync_wanted = true;
	} else if (l->dead || pa->exited) {
		pane_ended(pa, l->st);
	} else {
		pane_watch(pa);
		pool_tell_all(pa, &pa->opening, NULL); /* asked for while the server was away */
		if (pa->back)
			pool_tell_back(pa);
		pa->back = false;
	}
}

/* The pane is there. */
static void settle_seen(struct pane *pa, const struct listed *l)
{
	take_facts(pa, l);
	switch (pa->phase) {
	case PANE_SENT:
		if (l->dead)
			pane_enter(pa, PANE_WANTED); /* an earlier one of that name, ended */
		else
			pane_opened(pa);
		break;
	case PANE_OPEN:
		settle_open(pa, l);
		break;
	case PANE_DEAD:
		if (!l->dead)
			pane_opened(pa); /* a person started it again */
		break;
	case PANE_WANTED:
		if (!l->dead)
			pane_opened(pa);
		break;
	case PANE_CLOSING:
		break;
	}
}

/* It is not. */
static void settle_missing(struct pane *pa)
{
	switch (pa->phase) {
	case PANE_SENT:
		pane_enter(pa, PANE_WANTED);
		pa->has_pane = false;
		break;
	case PANE_OPEN:
		if (!pa->pool->version.dead_panes) { /* its end and a person's hand look alike */
			pa->has_pane = false;
			pane_ended(pa, (struct proc_status){.code = -1});
		} else {
			pane_vanished(pa, "it was closed in tmux");
		}
		break;
	case PANE_WANTED:
	case PANE_DEAD:
		pa->has_pane = false;
		break;
	case PANE_CLOSING:
		pane_killed(pa);
		break;
	}
}

/* Sessions that nobody here knows: at adoption they become records, later they are a person's own. One
 * that is known elsewhere is an older twin, left over when its server could not be ended. */
static void take_unknown(struct server *sv, const struct listed *l)
{
	struct pane *pa = pool_find(sv->pool, l->id);

	if (l->id[0] == '\0' || (pa != NULL && pa->server == sv))
		return;
	if (pa != NULL && pa->server != NULL) {
		kill_target(sv, "kill-session -t", '$', l->session_no);
		return;
	}
	if (!sv->adopting)
		return;
	if (pa == NULL) {
		pa = pool_add(sv->pool, l->id);
		pane_enter(pa, l->dead ? PANE_DEAD : PANE_OPEN);
	}
	pa->title_sent = true; /* or a person's own: left as it is */
	pa->found = true;
	pool_put(pa, sv);
}

/* A session of the pane's name without it: a person has something of their own in there. */
static bool listing_has_session(const struct listing *ls, const struct pane *pa)
{
	for (size_t i = 0; i < ls->n; i++)
		if (strcmp(ls->panes[i].id, pa->id) == 0 && !ls->panes[i].renamed)
			return true;
	return false;
}

static void sync_apply(struct server *sv, const char *text)
{
	struct listing ls = listing_parse(text);
	struct pane *pa, *next;

	for (size_t i = 0; i < ls.n; i++)
		take_unknown(sv, &ls.panes[i]);
	TAILQ_FOREACH_SAFE (pa, &sv->panes, on_server, next) {
		const struct listed *l;

		if (pa->sent > sv->sync_seq)
			continue;
		l = listing_find(&ls, pa);
		pa->beside = l == NULL && listing_has_session(&ls, pa);
		if (l != NULL)
			settle_seen(pa, l);
		else
			settle_missing(pa);
	}
	looks_begin(sv);
	for (size_t i = 0; i < ls.n; i++)
		if (ls.panes[i].look[0] != '\0')
			looks_add(sv, ls.panes[i].pane_no, ls.panes[i].look);
	looks_end(sv);
	TAILQ_FOREACH (pa, &sv->panes, on_server)
		pane_touch_up(pa);
	free(ls.panes);
}

/* Refused, or cut: nothing is known, which is not that nothing stands. It is asked again behind a pause that
 * grows, on the same connection: others have harmed servers before, see shard.h. */
static void sync_refused(struct server *sv, const struct err *e)
{
	int ms = TMUX_BACKOFF_MS;

	for (unsigned i = 0; i < sv->refusals && ms < TMUX_BACKOFF_MAX; i++)
		ms *= 2;
	loop_timer_start(sv->again, ms < TMUX_BACKOFF_MAX ? ms : TMUX_BACKOFF_MAX);
	if (++sv->refusals >= TMUX_ATTEMPTS_MAX) {
		struct err why = *e;

		why.code = ERR_UNAVAILABLE; /* what pane.h promises */
		server_hopeless(sv, &why);
	}
}

static void sync_reply(void *arg, const struct err *e, const char *text, size_t len)
{
	struct server *sv = arg;

	(void)len;
	sv->sync_in_flight = false;
	if (e != NULL) {
		if (e->code != ERR_UNAVAILABLE) /* else server_ready asks again */
			sync_refused(sv, e);
		return;
	}
	sv->refusals = 0;
	sv->synced = true;
	sync_apply(sv, text);
	if (sv->adopting) {
		sv->adopting = false;
		pool_look(sv->pool);
	}
	pane_pump(sv);
	pool_linger(sv);
	if (sv->sync_wanted)
		sync_server(sv);
}

void sync_server(struct server *sv)
{
	struct tmux_cmd cmd;

	sv->sync_wanted = true;
	if (sv->sync_in_flight || !tmux_shard_ready(sv->shard))
		return; /* made when the one under way is done, or the server is ready */
	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, "list-panes -a -F");
	tmux_cmd_arg(&cmd, LIST_FORMAT);
	if (tmux_shard_send(sv->shard, &cmd, sync_reply, sv, &sv->sync_seq, NULL) == 0) {
		sv->sync_in_flight = true;
		sv->sync_wanted = false;
	}
	tmux_cmd_finish(&cmd);
}

/* "D %3 1234 1 " of a pane that we know as it says; true when that is all there is to it. */
static bool event_died(struct server *sv, char *record)
{
	char *f[5];
	unsigned pane_no;
	struct pane *pa;
	int64_t pid;

	if (!split(record, ' ', f, ARRAY_LEN(f)) || !number_behind(f[1], '%', &pane_no) ||
		str_to_i64(f[2], 1, INT32_MAX, &pid) < 0)
		return false;
	TAILQ_FOREACH (pa, &sv->panes, on_server)
		if (pa->has_pane && pa->pane_no == pane_no && pa->phase == PANE_OPEN &&
			pa->pid == (pid_t)pid) {
			pane_ended(pa, status_of(f[3], f[4]));
			return true;
		}
	return false;
}

/* "C NAME", "U NAME" of a session that we close or have forgotten. */
static bool event_closed(struct server *sv, const char *name)
{
	struct pane *pa = pool_find(sv->pool, name);

	return pane_id_ok(name) && (pa == NULL || pa->phase == PANE_CLOSING) && sv->npanes > 0;
}

static bool event_done(struct server *sv, char *record)
{
	switch (record[0]) {
	case 'D':
		return event_died(sv, record);
	case 'C':
	case 'U':
		return record[1] == ' ' && event_closed(sv, record + 2);
	default:
		return false;
	}
}

void sync_event(struct server *sv, const char *records)
{
	cleanup_free char *copy = xstrdup(records != NULL ? records : "");
	bool list = records == NULL;
	char *save = NULL;

	for (char *r = strtok_r(copy, ";", &save); r != NULL; r = strtok_r(NULL, ";", &save))
		if (!event_done(sv, r))
			list = true;
	if (list)
		sync_server(sv);
	pane_pump(sv);
}
