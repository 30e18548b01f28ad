/* SPDX-License-Identifier: ISC */
/* Looks through /proc. A process that ends while it is looked at is nobody. */
#include "base/kin.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/util.h"

#define STAT_MAX 4096
#define ENVIRON_PIECE (64 * 1024)
#define ENVIRON_MAX (2 * 1024 * 1024) /* the kernel's own bound is about this */
#define DYING_MAX 64                  /* whose end is waited for at once */

struct kin {
	pid_t pid, parent;
	bool dead, ours;
};

struct kin_list {
	struct kin *k; /* by parent */
	size_t n;
};

/* Those that were killed, as pidfds: a process is there for a while after its SIGKILL. */
struct dying {
	struct pollfd fds[DYING_MAX];
	size_t n;
};

/* ---- killing, and waiting for it ---- */

/* Whether there was somebody to signal. */
static bool signal_one(pid_t pid, int sig, struct dying *d)
{
	if (d && d->n < DYING_MAX) {
		int fd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (fd >= 0)
			d->fds[d->n++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	return kill(pid, sig) == 0;
}

/* Until all have ended, or the deadline: one in an uninterruptible wait may never. */
static bool await(struct dying *d, int64_t deadline_ms)
{
	size_t left = d->n;
	int64_t ms;

	while (left > 0 && (ms = deadline_ms - clock_mono_ms()) > 0 && poll(d->fds, d->n, (int)ms) > 0) {
		for (size_t i = 0; i < d->n; i++) {
			if (d->fds[i].fd < 0 || !d->fds[i].revents)
				continue;
			close(d->fds[i].fd);
			d->fds[i].fd = -1;
			left--;
		}
	}
	for (size_t i = 0; i < d->n; i++)
		if (d->fds[i].fd >= 0)
			close(d->fds[i].fd);
	d->n = 0;
	return left == 0;
}

/* ---- by descent ---- */

static bool read_kin(const char *name, struct kin *ret)
{
	char path[64];
	cleanup_free char *text = NULL;
	size_t len;
	char state;
	int parent;

	if (str_fmt(path, sizeof(path), "/proc/%s/stat", name) < 0 || file_read(path, STAT_MAX, &text, &len, NULL) < 0)
		return false;
	const char *p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %c %d", &state, &parent) != 2)
		return false;
	*ret = (struct kin){.pid = atoi(name), .parent = parent, .dead = state == 'Z' || state == 'X'};
	return true;
}

static int by_parent(const void *a, const void *b)
{
	const struct kin *x = a, *y = b;

	return x->parent != y->parent ? (x->parent < y->parent ? -1 : 1) : (x->pid > y->pid) - (x->pid < y->pid);
}

static struct kin_list all_kin(void)
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	struct kin_list l = {0};
	size_t cap = 0;

	while (d && (de = readdir(d))) {
		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		if (l.n == cap)
			l.k = xrealloc(l.k, (cap = cap ? cap * 2 : 256) * sizeof(*l.k));
		l.n += read_kin(de->d_name, &l.k[l.n]);
	}
	if (d)
		closedir(d);
	if (l.n)
		qsort(l.k, l.n, sizeof(*l.k), by_parent);
	return l;
}

/* Where the children of parent begin. */
static size_t children_at(const struct kin_list *l, pid_t parent)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (l->k[mid].parent < parent)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool signal_below(pid_t root, int sig, struct dying *dying)
{
	struct kin_list l = all_kin();
	cleanup_free pid_t *todo = xcalloc(l.n + 1, sizeof(*todo));
	size_t n = 0;
	bool any = false;

	todo[n++] = root;
	for (size_t done = 0; done < n; done++) {
		for (size_t i = children_at(&l, todo[done]); i < l.n && l.k[i].parent == todo[done]; i++) {
			if (l.k[i].ours)
				continue; /* a pid that was given anew while we read may make a ring */
			l.k[i].ours = true;
			todo[n++] = l.k[i].pid;
		}
	}
	for (size_t i = 0; i < l.n; i++)
		if (l.k[i].ours && !l.k[i].dead && l.k[i].pid != root)
			any |= signal_one(l.k[i].pid, sig, dying);
	free(l.k);
	return any;
}

bool kin_signal_below(pid_t root, int sig)
{
	return signal_below(root, sig, NULL);
}

bool kin_kill_below(pid_t root)
{
	int64_t deadline = clock_mono_ms() + KIN_END_MS;
	struct dying dying = {.n = 0};

	for (int i = 0; i < KIN_PASSES_MAX && signal_below(root, SIGKILL, &dying); i++)
		if (!await(&dying, deadline))
			return false;
	return true;
}

/* ---- by mark ---- */

/* Reads an environment piece by piece; the begin of an entry may lie across two. */
static bool has_entry(int fd, char *const *entries)
{
	cleanup_free char *buf = xcalloc(1, ENVIRON_PIECE + 1);
	size_t have = 0, total = 0;
	bool skip = false; /* in the middle of an entry longer than a piece */
	ssize_t got;

	while (total < ENVIRON_MAX && (got = read(fd, buf + have, ENVIRON_PIECE - have)) > 0) {
		char *p = buf, *end;
		total += (size_t)got;
		have += (size_t)got;
		buf[have] = 0;
		while ((end = memchr(p, 0, (size_t)(buf + have - p)))) {
			for (char *const *e = entries; *e && !skip; e++)
				if (str_starts(p, *e))
					return true;
			skip = false;
			p = end + 1;
		}
		have -= (size_t)(p - buf);
		memmove(buf, p, have);
		if (have < ENVIRON_PIECE)
			continue;
		buf[have] = 0;
		for (char *const *e = entries; *e && !skip; e++)
			if (str_starts(buf, *e))
				return true;
		skip = true;
		have = 0;
	}
	return false;
}

static bool is_marked(const char *name, char *const *entries)
{
	struct stat st;
	char path[64];

	if (str_fmt(path, sizeof(path), "/proc/%s/environ", name) < 0)
		return false;
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	/* Of others we may not read it, unless we are root. */
	if (fd < 0 || (geteuid() != 0 && (fstat(fd, &st) < 0 || st.st_uid != geteuid())))
		return false;
	return has_entry(fd, entries);
}

static bool kill_marked(char *const *entries, struct dying *dying)
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	bool any = false;

	while (d && (de = readdir(d))) {
		pid_t pid = (pid_t)atoi(de->d_name);
		if (pid > 1 && pid != getpid() && is_marked(de->d_name, entries))
			any |= signal_one(pid, SIGKILL, dying);
	}
	if (d)
		closedir(d);
	return any;
}

bool kin_kill_marked(char *const *entries)
{
	int64_t deadline = clock_mono_ms() + KIN_END_MS;
	struct dying dying = {.n = 0};

	for (int i = 0; i < KIN_PASSES_MAX && kill_marked(entries, &dying); i++)
		if (!await(&dying, deadline))
			return false;
	return true;
}
