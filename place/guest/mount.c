/* SPDX-License-Identifier: ISC */
/*
 * The host's folders in a machine.
 *
 * Each is an sshfs in passive mode: it speaks SFTP on its standard input and output, one end of a
 * socket pair whose other end is pumped into a `files` stream. It stands when the kernel's list of
 * mounts says so (never by looking at the folder: that would wait for ourselves) and the server spoke.
 *
 * SFTP has no way to go on over another connection. So when the stream is gone (the shim was replaced)
 * or sshfs ended, the folder is unmounted lazily and mounted anew, at once and then with growing pauses:
 * files that were open are lost, paths work again. Meanwhile the path shows an empty folder in memory that
 * nobody can write to: what was written there would be hidden as soon as the folder is back.
 */
#include "place/guest/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/proc.h"
#include "base/util.h"
#include "place/guest/pump.h"

#define MOUNTINFO "/proc/self/mountinfo"
#define MOUNTINFO_MAX (1024 * 1024)
#define AGAIN_LEAST_MS 100
#define AGAIN_MOST_MS 10000
#define STDERR_KEEP 512
#define NO_CONTAIN "no_contain_symlinks"

struct mnt {
	struct mnt *next;
	struct mounts *all;
	char *path;
	bool read_only, wanted, answered, mounted, covered;
	bool older; /* what is under way was begun before the setup that waits: its refusal is none of that one */
	pid_t pid;
	struct loop_child *child;
	struct pump *pump;
	struct loop_timer *again;
	int64_t again_ms;
	int err_fd;
	struct err why; /* what went wrong last */
};

struct mounts {
	struct guest *guest;
	struct mnt *first;
	int info;
	struct loop_io *watch;
	struct loop_timer *deadline;
	bool old_sshfs; /* does not know no_contain_symlinks */
	setup_done_fn *fn;
	void *arg;
};

/* --- the kernel's list --- */

/* \040 and its like. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

bool mountinfo_has(const char *text, const char *path, const char *fs_prefix)
{
	cleanup_free char *copy = xstrdup(text);
	char *save = NULL;
	bool has = false;

	for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *rest = strstr(l, " - "), *field = NULL, *save2 = NULL;
		if (!rest)
			continue;
		*rest = '\0';
		for (int i = 0; i < 5; i++)
			field = strtok_r(i ? NULL : l, " ", &save2);
		if (!field)
			continue;
		unescape(field);
		if (strcmp(field, path) == 0)
			has = str_starts(rest + 3, fs_prefix);
	}
	return has;
}

static bool is_mounted(const char *path)
{
	cleanup_close int fd = open(MOUNTINFO, O_RDONLY | O_CLOEXEC);
	struct buf text;
	ssize_t n = -1;

	buf_init(&text, MOUNTINFO_MAX);
	for (unsigned char *p; fd >= 0 && (p = buf_reserve(&text, 4096)) && (n = read(fd, p, 4095)) > 0;)
		buf_added(&text, (size_t)n);
	buf_append(&text, "", 1);
	bool has = n == 0 && mountinfo_has((char *)buf_data(&text), path, "fuse");
	buf_finish(&text);
	return has;
}

/* --- one mount --- */

static void settle(struct mounts *m);
static void start(struct mnt *t);

static void mnt_stop(struct mnt *t)
{
	loop_timer_stop(t->again);
	pump_destroy(t->pump);
	loop_child_free(t->child);
	t->child = NULL;
	if (t->pid > 0)
		kill(t->pid, SIGKILL); /* the reaper takes it */
	t->pid = 0;
	if (t->err_fd >= 0)
		close(t->err_fd);
	t->err_fd = -1;
	/* sshfs that ends by itself unmounts first: once more would take away what lies below. */
	if (is_mounted(t->path))
		umount2(t->path, MNT_DETACH);
	t->mounted = t->answered = false;
}

/* What lies below the mount, and is seen while there is none. Root could write into a folder of mode 0555,
 * and in a machine the agent is root when it wants to: so it is a file system that is read-only. */
static void cover(struct mnt *t)
{
	if (t->covered)
		return;
	if (mount("tmux-claude", t->path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=555") == 0)
		t->covered = true;
	else
		log_warn("mount", NULL, "%s can be written to while it is not mounted: %s", t->path, strerror(errno));
}

static void mnt_free(struct mnt *t)
{
	struct mnt **at = &t->all->first;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	mnt_stop(t);
	if (t->covered)
		umount2(t->path, MNT_DETACH);
	loop_timer_free(t->again);
	free(t->path);
	free(t);
}

static void fail(struct mnt *t);

/* Tries again later, where that can help. */
static void again(struct mnt *t)
{
	if (t->older) {
		start(t);
		return;
	}
	if (t->why.code == ERR_DENIED || t->why.code == ERR_PARAMS || t->why.code == ERR_MISSING) {
		fail(t);
		return;
	}
	loop_timer_start(t->again, t->again_ms);
	t->again_ms = t->again_ms * 2 < AGAIN_MOST_MS ? t->again_ms * 2 : AGAIN_MOST_MS;
}

/* sshfs' own words, when it said any. */
static void read_stderr(struct mnt *t, char *out, size_t size)
{
	ssize_t n = t->err_fd >= 0 ? read(t->err_fd, out, size - 1) : 0;

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static void lost(struct mnt *t)
{
	char text[STDERR_KEEP];

	read_stderr(t, text, sizeof(text));
	if (strstr(text, NO_CONTAIN) && !t->all->old_sshfs)
		t->all->old_sshfs = true;
	else if (!t->why.code)
		err_set(&t->why, ERR_FAILED, "sshfs ended%s%s", *text ? ": " : "", text);
	mnt_stop(t);
	again(t);
}

static void on_child(void *arg, pid_t pid, struct proc_status st)
{
	struct mnt *t = arg;

	(void)pid;
	(void)st;
	t->child = NULL;
	t->pid = 0;
	lost(t);
}

static void on_lost(void *arg, struct pump *p, const struct err *why)
{
	struct mnt *t = arg;

	(void)p;
	t->why = *why;
}

/* sshfs mounts before it speaks: that the server answered is the other half of standing. */
static void on_first(void *arg, struct pump *p)
{
	struct mnt *t = arg;

	(void)p;
	t->answered = true;
	settle(t->all);
}

/* Its stream or its socket is gone: sshfs ends by itself when it is told so, but may hang. */
static void on_pump_gone(void *arg)
{
	struct mnt *t = arg;

	t->pump = NULL;
	if (t->pid > 0)
		kill(t->pid, SIGKILL);
}

static const struct pump_ops pump_ops = { .on_first = on_first, .on_lost = on_lost,
	.on_gone = on_pump_gone };

static int spawn_sshfs(struct mnt *t, int fd, struct err *e)
{
	char options[256];
	/* All in it is the agent's here, as far as the server lets it: on the host everything is done as the
	 * folder's owner, who may be root there. Names and attributes are cached for a second: both sides
	 * write. See docs/files.md for the rest. */
	snprintf(options, sizeof(options), "passive,allow_other,default_permissions,uid=%u,gid=%u,dcache_timeout=1,"
		"fsname=tmux-claude%s%s", (unsigned)t->all->guest->agent.uid,
		(unsigned)t->all->guest->agent.gid, t->all->old_sshfs ? "" : "," NO_CONTAIN, t->read_only ? ",ro" : "");
	char *argv[] = { (char *)"sshfs", (char *)"-f", (char *)"-o", options, (char *)":/", t->path, NULL };
	char *env[] = { (char *)"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", NULL };
	struct proc_spec spec = { .argv = argv, .envp = env, .cwd = "/", .setsid = true };
	int err[2];

	if (pipe2(err, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot make a pipe");
	proc_spec_fd(&spec, fd, 0);
	proc_spec_fd(&spec, fd, 1);
	proc_spec_fd(&spec, err[1], 2);
	int r = proc_spawn(&spec, &t->pid, e);
	close(err[1]);
	if (r == 0 && !(t->child = loop_child_watch(t->all->guest->loop, t->pid, on_child, t, e)))
		r = -1;
	if (r < 0) {
		close(err[0]);
		return -1;
	}
	t->err_fd = err[0];
	return 0;
}

static int try_start(struct mnt *t, struct err *e)
{
	struct guest *g = t->all->guest;
	int pair[2];

	if (dir_make(t->path, 0755, e) < 0)
		return -1;
	cover(t);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot make a socket");
	t->pump = pump_create(g->loop, pair[0], &pump_ops, t);
	int r = pump_open(t->pump, guest_link(g), json_pack("{s:s, s:s}", "kind", "files", "mount", t->path), e);
	if (r == 0) {
		pump_start(t->pump);
		r = spawn_sshfs(t, pair[1], e);
	}
	close(pair[1]);
	if (r < 0)
		pump_destroy(t->pump);
	return r;
}

static void start(struct mnt *t)
{
	err_clear(&t->why);
	t->older = false;
	if (try_start(t, &t->why) < 0)
		again(t);
}

static void on_again(void *arg)
{
	start(arg);
}

/* --- all of them --- */

static void finish(struct mounts *m, const struct err *why)
{
	setup_done_fn *fn = m->fn;

	m->fn = NULL;
	loop_timer_stop(m->deadline);
	if (fn)
		fn(m->arg, why);
}

static void settle(struct mounts *m)
{
	bool all = true;

	for (struct mnt *t = m->first; t; t = t->next) {
		if (!t->mounted && t->answered && t->pid > 0 && is_mounted(t->path)) {
			t->mounted = true;
			t->again_ms = AGAIN_LEAST_MS;
		}
		all = all && t->mounted;
	}
	if (all)
		finish(m, NULL);
}

static void on_mountinfo(void *arg, int fd, unsigned events)
{
	(void)fd;
	(void)events;
	settle(arg);
}

static void fail(struct mnt *t)
{
	struct err why = t->why;

	if (why.code)
		err_prefix(&why, "the folder %s cannot be mounted inside the VM", t->path);
	else
		err_set(&why, ERR_TIMEOUT, "the folder %s was not mounted inside the VM within %d s", t->path,
			MOUNT_MS / 1000);
	finish(t->all, &why);
}

static void on_deadline(void *arg)
{
	struct mounts *m = arg;

	for (struct mnt *t = m->first; t; t = t->next) {
		if (!t->mounted) {
			fail(t);
			return;
		}
	}
}

static struct mounts *mounts_new(struct guest *g)
{
	struct mounts *m = xcalloc(1, sizeof(*m));

	m->guest = g;
	/* Edge-triggered: a change of the list is an edge; the file is always readable. */
	m->info = open(MOUNTINFO, O_RDONLY | O_CLOEXEC);
	m->watch = loop_io_add(g->loop, m->info, LOOP_READ | LOOP_EDGE, on_mountinfo, m);
	m->deadline = loop_timer_create(g->loop, on_deadline, m);
	return m;
}

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]);
}

bool mounts_cover(const struct guest *g, const char *path)
{
	for (const struct mnt *t = g->mounts ? g->mounts->first : NULL; t; t = t->next)
		if (is_below(path, t->path))
			return true;
	return false;
}

static int want(struct mounts *m, const json_t *o, struct err *e)
{
	const char *path = jget_text(o, "path", "");
	bool read_only = jget_bool(o, "read_only", false);
	struct mnt *t;
	int n = 0;

	if (*path != '/' || !path[1] || strstr(path, "/../") || path[strlen(path) - 1] == '/')
		return err_set(e, ERR_PARAMS, "\"%s\" cannot be mounted", path);
	for (t = m->first; t; t = t->next, n++) {
		if (strcmp(t->path, path) == 0 && t->read_only == read_only) {
			t->wanted = true;
			return 0;
		}
		/* Making its mount point would wait for ourselves. */
		if (t->wanted && (is_below(path, t->path) || is_below(t->path, path)))
			return err_set(e, ERR_PARAMS, "%s and %s cannot both be mounted: one is inside the other",
				path, t->path);
	}
	if (n >= MOUNTS_MAX)
		return err_set(e, ERR_LIMIT, "at most %d folders can be mounted", MOUNTS_MAX);
	t = xcalloc(1, sizeof(*t));
	*t = (struct mnt){ .all = m, .path = xstrdup(path), .read_only = read_only, .wanted = true,
		.again_ms = AGAIN_LEAST_MS, .err_fd = -1 };
	t->again = loop_timer_create(m->guest->loop, on_again, t);
	t->next = m->first;
	m->first = t;
	return 0;
}

void mounts_set(struct guest *g, const json_t *list, setup_done_fn *fn, void *arg)
{
	struct err e = { 0 };
	const json_t *o;
	size_t i;

	if (!g->mounts && json_array_size(list) == 0) {
		fn(arg, NULL);
		return;
	}
	struct mounts *m = g->mounts ? g->mounts : (g->mounts = mounts_new(g));
	if (m->fn) {
		err_set(&e, ERR_BUSY, "another setup is under way");
		fn(arg, &e);
		return;
	}
	for (struct mnt *t = m->first; t; t = t->next)
		t->wanted = false;
	json_array_foreach(list, i, o) {
		if (want(m, o, &e) < 0) {
			fn(arg, &e);
			return;
		}
	}
	for (struct mnt *t = m->first, *next; t; t = next) {
		next = t->next;
		if (!t->wanted)
			mnt_free(t);
	}
	m->fn = fn;
	m->arg = arg;
	loop_timer_start(m->deadline, MOUNT_MS);
	for (struct mnt *t = m->first; t; t = t->next) {
		t->older = !t->mounted && t->pid > 0;
		if (!t->mounted && t->pid == 0 && !loop_timer_active(t->again))
			start(t);
	}
	settle(m);
}

bool mounts_own(const struct guest *g, pid_t pid)
{
	for (const struct mnt *t = g->mounts ? g->mounts->first : NULL; t; t = t->next)
		if (t->pid == pid)
			return true;
	return false;
}

void mounts_destroy(struct mounts *m)
{
	if (!m)
		return;
	while (m->first)
		mnt_free(m->first);
	loop_io_free(m->watch);
	loop_timer_free(m->deadline);
	close(m->info);
	free(m);
}
