/* SPDX-License-Identifier: ISC */
/*
 * Ending what is left of places whose shims do not answer, or are gone.
 *
 * Finding it means reading all of /proc, and a process may make a reader of its environment wait, or not end
 * at all: so a child does it, `tmux-clauded --sweep FOLDER...`, one at a time for all places that were asked
 * for meanwhile, with a deadline. A place's end is told when its sweep has ended, however it did.
 */
#include <signal.h>

#include "base/fault.h"
#include "base/kin.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/util.h"
#include "daemon/world/world_int.h"

#define PID_FILE_MAX 256
#define SWEEP_MS 10000  /* for all of one sweep */
#define SWEEP_MOST 256  /* places of one sweep */
#define SWEEP_TRIES 2   /* further ones, when a sweep itself is killed */

struct ask {
	struct ask *next;
	char place[ID_SIZE];
	port_done_fn *done;
	void *arg;
};

struct sweeps {
	struct world *w;
	struct ask *waiting, **last;
	struct ask *swept; /* by the one that runs */
	pid_t pid;
	int tries;    /* of the one that runs, so far */
	bool overdue; /* its deadline has come */
	struct loop_child *child; /* NULL: none runs */
	struct loop_timer *deadline;
	struct loop_defer *begin;
};

/* ---- the child ---- */

/* The process a pid file names: 0 when there is no such file of this boot, -1 when it has ended. */
static pid_t named(const char *dir, const char *file)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, file);
	cleanup_free char *text = NULL;
	json_t *o;
	pid_t pid;
	uint64_t start;
	const char *boot;
	bool other_boot;

	if (file_read(path, PID_FILE_MAX, &text, NULL, NULL) < 0)
		return 0;
	o = json_loads(text, 0, NULL);
	pid = (pid_t)json_integer_value(json_object_get(o, "pid"));
	start = (uint64_t)json_integer_value(json_object_get(o, "start"));
	boot = json_string_value(json_object_get(o, "boot_id"));
	other_boot = boot && strcmp(boot, boot_id()); /* whoever has that pid now is not it */
	json_decref(o);
	if (other_boot)
		return 0;
	return pid > 1 && start && proc_start_time(pid) == start ? pid : -1;
}

/* Signals of the shim and the holder, by their pid files; what is below a holder ends first. */
static int end_named(const char *dir, bool *ret_search)
{
	pid_t shim = named(dir, "shim.pid"), holder;
	bool all = true;

	if (shim > 0) /* first, so that it starts nothing again */
		kill(shim, SIGKILL);
	FAULT_POINT("sweep.shim_ended");
	holder = named(dir, "holder.pid");
	if (holder > 0) {
		kill(holder, SIGSTOP); /* still the subreaper of its programs, but it starts none */
		all = kin_kill_below(holder);
		FAULT_POINT("sweep.programs_ended");
		kill(holder, SIGKILL);
		FAULT_POINT("sweep.holder_ended");
	}
	*ret_search = holder != 0; /* what a dead one left is nobody's child that we know */
	return all ? 0 : -1;
}

bool place_dir_runs(const char *dir)
{
	return named(dir, "shim.pid") > 0 || named(dir, "holder.pid") > 0;
}

int sweep_main(char *const *dirs)
{
	cleanup_strv char **marks = strv_new();
	int r = 0;

	alarm(SWEEP_MS / 1000); /* should the daemon be gone by then */
	for (; *dirs; dirs++) {
		bool search;
		if (end_named(*dirs, &search) < 0)
			r = 1;
		if (search) {
			cleanup_free char *mark = xasprintf("TMUX_CLAUDE_SOCKET=%s/", *dirs);
			strv_push(&marks, mark);
		}
	}
	if (marks[0] && !kin_kill_marked(marks))
		r = 1;
	return r;
}

/* ---- the daemon ---- */

/* Tells those swept, and goes on with those that asked meanwhile. */
static void tell_swept(struct sweeps *s, const struct err *e)
{
	struct ask *list = s->swept;

	s->swept = NULL;
	while (list) {
		struct ask *a = list;
		list = a->next;
		a->done(a->arg, e);
		free(a);
	}
	if (s->waiting)
		loop_defer_schedule(s->begin);
}

static void on_exit_child(void *arg, pid_t pid, struct proc_status st);

static int spawn(struct sweeps *s, struct err *e)
{
	cleanup_free char *prog = layout_program("tmux-clauded", e);
	cleanup_strv char **argv = strv_new();
	struct proc_spec spec = {.cwd = "/"};

	if (!prog)
		return -1;
	strv_push(&argv, prog);
	strv_push(&argv, "--sweep");
	for (const struct ask *a = s->swept; a; a = a->next) {
		cleanup_free char *dir = place_dir(s->w->layout, a->place);
		strv_push(&argv, dir);
	}
	spec.argv = argv;
	if (FAULT_ERROR("sweep.spawn", e) || proc_spawn(&spec, &s->pid, e) < 0)
		return -1;
	FAULT_POINT("sweep.spawned");
	s->child = loop_child_watch(s->w->loop, s->pid, on_exit_child, s, e);
	return s->child ? 0 : -1;
}

static void on_exit_child(void *arg, pid_t pid, struct proc_status st)
{
	struct sweeps *s = arg;
	struct err err = {0};

	(void)pid;
	s->child = NULL;
	loop_timer_stop(s->deadline);
	/* Killed half done it has named nobody's end: once more, for a holder may stand there stopped. */
	if (st.signal && !s->overdue && s->tries++ < SWEEP_TRIES && spawn(s, &err) == 0) {
		loop_timer_start(s->deadline, SWEEP_MS);
		return;
	}
	if (st.code != 0 && !err.code)
		err_set(&err, ERR_TIMEOUT, "not all of its processes ended in time (code %d, signal %d)", st.code,
			st.signal);
	FAULT_POINT("sweep.ended");
	tell_swept(s, err.code ? &err : NULL);
}

static void on_deadline(void *arg)
{
	struct sweeps *s = arg;

	s->overdue = true;
	kill(s->pid, SIGKILL); /* our child, and not reaped yet */
}

static void begin(void *arg)
{
	struct sweeps *s = arg;
	struct ask **to = &s->swept;
	struct err err = {0};

	if (s->child || !s->waiting)
		return;
	for (int n = 0; s->waiting && n < SWEEP_MOST; n++) {
		*to = s->waiting;
		s->waiting = s->waiting->next;
		to = &(*to)->next;
		*to = NULL;
	}
	if (!s->waiting)
		s->last = &s->waiting;
	s->tries = 0;
	s->overdue = false;
	if (spawn(s, &err) < 0)
		tell_swept(s, &err);
	else
		loop_timer_start(s->deadline, SWEEP_MS);
}

void sweeps_add(struct world *w, const char *place, port_done_fn *done, void *arg)
{
	struct sweeps *s = w->sweeps;
	struct ask *a = xcalloc(1, sizeof(*a));

	snprintf(a->place, ID_SIZE, "%s", place);
	a->done = done;
	a->arg = arg;
	*s->last = a;
	s->last = &a->next;
	loop_defer_schedule(s->begin);
}

void sweeps_init(struct world *w)
{
	struct sweeps *s = xcalloc(1, sizeof(*s));

	s->w = w;
	s->last = &s->waiting;
	s->deadline = loop_timer_create(w->loop, on_deadline, s);
	s->begin = loop_defer_create(w->loop, begin, s);
	w->sweeps = s;
}

void sweeps_finish(struct world *w)
{
	struct sweeps *s = take_ptr(w->sweeps);
	struct err err = {0};

	if (!s)
		return;
	err_set(&err, ERR_CANCELLED, "the daemon stops");
	loop_child_free(s->child); /* it goes on to its own deadline */
	tell_swept(s, &err);
	s->swept = take_ptr(s->waiting);
	tell_swept(s, &err);
	loop_timer_free(s->deadline);
	loop_defer_free(s->begin);
	free(s);
}
