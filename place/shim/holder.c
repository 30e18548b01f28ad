/* SPDX-License-Identifier: ISC */
/*
 * The process that is the place: QEMU, or the guest program on this host.
 *
 * holder.pid names it for ever: pid, start time, boot id. A shim that starts where that process still
 * runs is a replacement and adopts it (of an adopted one only the end is known, not how it ended).
 * Otherwise it starts a new one: descriptors are opened by this process, with whatever rights it has,
 * and handed over; from exec to an answering link runs the boot deadline. The file is written before the
 * new process is let go (base/proc.h, note): there is never a holder that no file names.
 *
 * This process is a subreaper: what the holder leaves behind when it dies (on the host driver: programs
 * that left their terminal's session) becomes a child of ours, and is ended with it. An adopted holder's
 * leavings go elsewhere: they are found by the place's folder in their environment. Before we kill a
 * holder ourselves, all below it is killed while it is stopped, and still their subreaper.
 *
 * Stopping goes by steps, each with a part of the deadline: HUP to every terminal, TERM, the guest's
 * own poweroff (and the machine's power button), QMP quit, KILL. A step is skipped as soon as what it
 * waits for has come about.
 */
#include "place/shim/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "base/kin.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "place/shim/guest.h"
#include "place/shim/inst.h"
#include "place/shim/packer.h"
#include "place/shim/qmp.h"
#include "place/shim/spawner.h"

#define PID_FILE_MAX 1024
#define TAIL_MAX 4096
#define STOP_LEAST_MS 200
#define CLEAR_MS 2000 /* for ending what was left behind */

enum stop_step { STOP_NOT, STOP_HUP, STOP_TERM, STOP_POWER, STOP_QUIT, STOP_KILL };

struct holder {
	struct shim *shim;
	pid_t pid;
	uint64_t start;
	bool running, adopted;
	struct loop_child *child;
	struct loop_timer *boot, *stop, *clear;
	struct loop_signal *sigchld;
	enum stop_step step;
	int64_t deadline_ms;
	const char *reason; /* of the end */
	struct proc_status status;
	bool cleared; /* what it left behind is gone, its end was told */
};

/* --- the pid file --- */

static int pid_save(const char *path, pid_t pid, uint64_t start, struct err *e)
{
	json_t *o = json_pack("{s:I, s:I, s:s}", "pid", (json_int_t)pid, "start", (json_int_t)start, "boot_id", boot_id());
	char *text = json_dumps(o, JSON_COMPACT);
	int rc = file_replace(path, text, strlen(text), 0600, e);

	free(text);
	json_decref(o);
	return rc;
}

/* The process a pid file names, when it still runs: its pid and *start; else 0. */
static pid_t pid_living(const char *path, uint64_t *start)
{
	cleanup_free char *text = NULL;
	struct err e = {0};
	size_t len;
	json_t *o;
	pid_t pid = 0;

	if (file_read(path, PID_FILE_MAX, &text, &len, &e) < 0)
		return 0;
	o = json_loadb(text, len, 0, NULL);
	*start = (uint64_t)json_get_int(o, "start", 0);
	if (strcmp(json_get_text(o, "boot_id", ""), boot_id()) == 0)
		pid = (pid_t)json_get_int(o, "pid", 0);
	json_decref(o);
	if (pid <= 0 || *start == 0 || proc_start_time(pid) != *start)
		return 0;
	return pid;
}

/* --- the end --- */

/* The last of the console as valid UTF-8; owned. */
static char *console_tail(void)
{
	cleanup_close int fd = open(CONSOLE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *tail = xcalloc(1, TAIL_MAX + 1);
	struct stat st;
	ssize_t n, i, k = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return tail;
	n = pread(fd, tail, TAIL_MAX, st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0);
	for (i = 0; i < n; i++)
		if ((tail[i] >= 0x20 && tail[i] < 0x7f) || tail[i] == '\n' || tail[i] == '\t')
			tail[k++] = tail[i];
	tail[k > 0 ? k : 0] = '\0';
	return tail;
}

/* Reaps children that nobody waits for; ends all when the holder is gone. True when some are left. */
static bool reap(const struct holder *h)
{
	cleanup_free char *path = xasprintf("/proc/self/task/%d/children", (int)getpid());
	pid_t helper = spawner_pid(h->shim->spawner);
	FILE *f = fopen(path, "re");
	bool any = false;
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1) {
		if (pid == helper || (h->running && pid == h->pid) || packer_owns(h->shim->packer, pid))
			continue;
		if (!h->running)
			kill(pid, SIGKILL);
		any |= waitpid(pid, NULL, WNOHANG) == 0;
	}
	if (f)
		fclose(f);
	return any;
}

static void tell_exit(struct holder *h)
{
	cleanup_free char *tail = console_tail();

	loop_timer_stop(h->clear);
	h->cleared = true;
	FAULT_POINT("place_exit");
	unlink(HOLDER_PID_FILE);
	FAULT_POINT("place_exit.pid_gone");
	events_tell(h->shim->events, "place_exit",
		json_pack("{s:i, s:i, s:s, s:s}", "code", h->status.code, "signal", h->status.signal, "reason",
			h->reason, "console_tail", tail));
	FAULT_POINT("place_exit.told");
}

/* Something could not be ended in time: the place is over all the same. */
static void on_clear_timer(void *arg)
{
	log_error("holder", NULL, "processes of the place could not be ended");
	tell_exit(arg);
}

/* What the guest program gave its programs (see place/guest/spawn.c), for what nothing else leads to. */
static void clear_marked(const struct holder *h)
{
	char **argv = h->shim->conf->argv;

	for (; argv && argv[0] && argv[1]; argv++) {
		if (strcmp(argv[0], "--run-dir") == 0) {
			cleanup_free char *entry = xasprintf("TMUX_CLAUDE_SOCKET=%s/", argv[1]);
			kin_kill_marked((char *[]){entry, NULL});
			return;
		}
	}
}

static void on_exit_of_holder(void *arg, pid_t pid, struct proc_status st)
{
	struct holder *h = arg;

	h->child = NULL;
	h->running = false;
	h->status = st;
	if (!h->reason)
		h->reason = h->step != STOP_NOT ? "stopped" : "ended";
	loop_timer_stop(h->boot);
	loop_timer_stop(h->stop);
	log_info("holder", NULL, "%d is gone (code %d, signal %d): %s", (int)pid, st.code, st.signal, h->reason);
	FAULT_POINT("holder.gone");
	guest_gone(h->shim->guest);
	inst_place_gone(h->shim, h->reason);
	if (h->adopted)
		clear_marked(h);
	if (reap(h))
		loop_timer_start(h->clear, CLEAR_MS);
	else
		tell_exit(h);
}

static void on_sigchld(void *arg, int signo)
{
	struct holder *h = arg;
	bool left = reap(h);

	(void)signo;
	if (!h->running && !h->cleared && !left)
		tell_exit(h);
}

static void kill_holder(struct holder *h)
{
	if (!h->running || proc_start_time(h->pid) != h->start)
		return;
	if (!h->shim->conf->qmp) { /* nothing is below QEMU */
		kill(h->pid, SIGSTOP);
		kin_kill_below(h->pid);
	}
	FAULT_POINT("holder.kill");
	if (kill(h->pid, SIGKILL) < 0)
		log_error("holder", NULL, "cannot kill %d: %s", (int)h->pid, strerror(errno));
	if (h->shim->conf->qmp)
		qmp_send(h->shim->loop, h->shim->conf->qmp, "quit");
}

static void on_boot_timer(void *arg)
{
	struct holder *h = arg;

	log_warn("holder", NULL, "no answer from inside within %lld ms", (long long)h->shim->conf->boot_timeout_ms);
	h->reason = "boot_timeout";
	kill_holder(h);
}

/* --- starting --- */

static int open_fd(const struct conf *conf, const struct conf_fd *c, struct err *e)
{
	int fd;

	if (c->kind == CONF_FD_LISTEN) {
		if (sock_listen(c->path, 0600, &fd, e) < 0)
			return -1;
		/* We connect to it after our own change of identity. */
		if (conf->shim_uid != CONF_AS_IS && lchown(c->path, conf->shim_uid, conf->shim_gid) < 0) {
			err_set_errno(e, ERR_IO, errno, "cannot give %s away", c->path);
			close(fd);
			return -1;
		}
		return fd;
	}
	fd = open(c->path, (c->kind == CONF_FD_RO ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		err_set_errno(e, ERR_IO, errno, "cannot open %s", c->path);
	return fd;
}

/* Nothing of the holder is executed before this has returned. */
static int note(void *arg, pid_t pid, struct err *e)
{
	struct holder *h = arg;

	FAULT_POINT("holder.forked");
	h->start = proc_start_time(pid);
	if (pid_save(HOLDER_PID_FILE, pid, h->start, e) < 0)
		return -1;
	FAULT_POINT("holder.pid_written");
	return 0;
}

static int start(struct holder *h, struct err *e)
{
	const struct conf *c = h->shim->conf;
	struct proc_spec spec = {.argv = c->argv, .envp = c->env, .cwd = c->cwd, .setsid = true,
		.note = note, .note_arg = h};
	int fds[CONF_FDS_MAX], rc = 0, log;
	size_t i, n = 0;

	shim_stage(h->shim, "holder", c->argv[0]);
	log = open(CONSOLE_FILE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log >= 0) {
		proc_spec_fd(&spec, log, 1);
		proc_spec_fd(&spec, log, 2);
	}
	for (i = 0; i < c->nfds && rc == 0; i++) {
		fds[n] = open_fd(c, &c->fds[i], e);
		if (fds[n] < 0)
			rc = -1;
		else
			proc_spec_fd(&spec, fds[n++], c->fds[i].fd);
	}
	if (c->holder_uid != CONF_AS_IS && c->holder_uid != geteuid()) {
		spec.drop = true;
		spec.uid = c->holder_uid;
		spec.gid = c->holder_gid;
		if (log >= 0 && fchown(log, spec.uid, spec.gid) < 0)
			log_warn("holder", NULL, "cannot give its log away: %s", strerror(errno));
	}
	if (rc == 0)
		rc = FAULT_ERROR("holder.spawn", e) ? -1 : proc_spawn(&spec, &h->pid, e);
	FAULT_POINT("holder.spawned");
	for (i = 0; i < n; i++)
		close(fds[i]);
	if (log >= 0)
		close(log);
	if (rc < 0) {
		unlink(HOLDER_PID_FILE);
		return err_prefix(e, "cannot start the place");
	}
	return 0;
}

static void next_step(struct holder *h);

static void on_stop_timer(void *arg)
{
	struct holder *h = arg;

	if (h->running && h->step != STOP_NOT)
		next_step(h);
}

int holder_create(struct shim *s, bool adopt_only, struct holder **ret, struct err *e)
{
	struct holder *h = xcalloc(1, sizeof(*h));

	h->shim = s;
	h->boot = loop_timer_create(s->loop, on_boot_timer, h);
	h->stop = loop_timer_create(s->loop, on_stop_timer, h);
	h->clear = loop_timer_create(s->loop, on_clear_timer, h);
	h->cleared = true;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	h->sigchld = loop_signal_add(s->loop, SIGCHLD, on_sigchld, h);
	h->pid = pid_living(HOLDER_PID_FILE, &h->start);
	h->adopted = h->pid > 0;
	*ret = h;
	if (!h->adopted && adopt_only) {
		cleanup_free char *tail = console_tail();

		if (access(HOLDER_PID_FILE, F_OK) == 0)
			clear_marked(h);
		unlink(HOLDER_PID_FILE);
		events_tell(s->events, "place_exit",
			json_pack("{s:i, s:i, s:s, s:s}", "code", -1, "signal", 0, "reason", "gone", "console_tail", tail));
		return 0;
	}
	/* Holder and shim died together: what the last holder left would belong to nobody. */
	if (!h->adopted && access(HOLDER_PID_FILE, F_OK) == 0)
		clear_marked(h);
	if (!h->adopted && start(h, e) < 0)
		goto failed;
	h->running = true;
	h->cleared = false;
	h->child = loop_child_watch(s->loop, h->pid, on_exit_of_holder, h, e);
	if (!h->child)
		goto failed;
	if (!h->adopted)
		loop_timer_start(h->boot, s->conf->boot_timeout_ms);
	return 0;
failed:
	*ret = NULL;
	holder_destroy(h);
	return -1;
}

void holder_destroy(struct holder *h)
{
	if (!h)
		return;
	if (h->child)
		loop_child_free(h->child);
	loop_timer_free(h->boot);
	loop_timer_free(h->stop);
	loop_timer_free(h->clear);
	loop_signal_free(h->sigchld);
	free(h);
}

bool holder_running(const struct holder *h)
{
	return h->running;
}

pid_t holder_pid(const struct holder *h)
{
	return h->pid;
}

void holder_booted(struct holder *h)
{
	loop_timer_stop(h->boot);
}

/* --- stopping --- */

static bool signal_all(struct shim *s, const char *signal)
{
	struct err e = {0};
	json_t *list = inst_list(s), *entry;
	bool any = false;
	size_t i;

	json_array_foreach(list, i, entry) {
		struct inst *in = inst_find(s, json_get_text(entry, "id", ""));

		if (in && inst_running(in)) {
			any = true;
			inst_signal(in, signal, true, &e);
		}
	}
	json_decref(list);
	return any;
}

static void on_poweroff(void *arg, const json_t *ok, const struct err *why)
{
	(void)arg;
	(void)ok;
	if (why)
		log_info("holder", NULL, "the guest's poweroff: %s", why->message);
}

/* Goes one step on; each has a part of the deadline. */
static void next_step(struct holder *h)
{
	struct shim *s = h->shim;
	int64_t part = h->deadline_ms / 4;

	switch (h->step) {
	case STOP_NOT:
		h->step = STOP_HUP;
		if (guest_is_up(s->guest) && signal_all(s, "HUP")) {
			loop_timer_start(h->stop, part);
			return;
		}
		/* fall through */
	case STOP_HUP:
		h->step = STOP_TERM;
		if (guest_is_up(s->guest) && signal_all(s, "TERM")) {
			loop_timer_start(h->stop, part);
			return;
		}
		/* fall through */
	case STOP_TERM:
		h->step = STOP_POWER;
		if (guest_is_up(s->guest)) {
			guest_call(s->guest, "poweroff", NULL, h->deadline_ms, on_poweroff, h);
			loop_timer_start(h->stop, part);
			return;
		}
		/* fall through */
	case STOP_POWER:
		h->step = STOP_QUIT;
		if (s->conf->qmp) {
			qmp_send(s->loop, s->conf->qmp, "quit");
			loop_timer_start(h->stop, part);
			return;
		}
		/* fall through */
	case STOP_QUIT:
	case STOP_KILL:
		h->step = STOP_KILL;
		kill_holder(h);
		return;
	}
}

void holder_stop(struct holder *h, bool force, int64_t deadline_ms)
{
	if (!h->running)
		return;
	FAULT_POINT("holder.stop");
	h->deadline_ms = deadline_ms < STOP_LEAST_MS ? STOP_LEAST_MS : deadline_ms;
	loop_timer_stop(h->boot);
	if (force)
		h->step = STOP_QUIT;
	else if (h->step != STOP_NOT)
		return;
	next_step(h);
}

void holder_kick(struct holder *h)
{
	json_t *list = inst_list(h->shim), *entry;
	bool any = false;
	size_t i;

	json_array_foreach(list, i, entry)
		any |= json_get_bool(entry, "running");
	json_decref(list);
	/* All have ended: no need to wait for the time given to them. */
	if (h->running && !any && (h->step == STOP_HUP || h->step == STOP_TERM))
		loop_timer_start(h->stop, 0);
}
