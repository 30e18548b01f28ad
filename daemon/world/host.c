/* SPDX-License-Identifier: ISC */
/* What the host has left: /proc, control groups, the file system of the state folder. */
#include "daemon/world/host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/util.h"

#define FILE_MAX_BYTES (32 * 1024)
#define KIB_PER_MIB 1024
#define MIB (1024 * 1024)
#define NO_LIMIT (INT64_C(1) << 60) /* version 1 writes "none" as a number near 2^63 */
#define TASKS_CLOSE 512             /* to the user's limit: only then they are counted one by one */
#define COUNT_EVERY_MS 2000
#define INODES_NEEDED 64
#define PROC_MAGIC 0x9fa0
#define CGROUP2_MAGIC 0x63677270

/* ---- parsers ---- */

/* The number at s; *ret_end behind it. -1: there is none. */
static int64_t number_at(const char *s, const char **ret_end)
{
	int64_t n = 0;

	if (!isdigit((unsigned char)*s))
		return -1;
	for (; isdigit((unsigned char)*s); s++)
		n = n > (INT64_MAX - 9) / 10 ? INT64_MAX : n == INT64_MAX ? n : n * 10 + (*s - '0');
	if (ret_end)
		*ret_end = s;
	return n;
}

static const char *skip_blanks(const char *s)
{
	while (*s == ' ' || *s == '\t')
		s++;
	return s;
}

static const char *next_line(const char *s)
{
	s = strchr(s, '\n');
	return s ? s + 1 : NULL;
}

int64_t host_field(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *s = text; s; s = next_line(s)) {
		const char *end;
		int64_t n;
		if (strncmp(s, key, len) != 0 || (s[len] != ' ' && s[len] != '\t'))
			continue;
		n = number_at(skip_blanks(s + len), &end);
		return n >= 0 && (*end == '\0' || isspace((unsigned char)*end)) ? n : -1;
	}
	return -1;
}

int64_t host_word(const char *text, int n)
{
	const char *s = text + strspn(text, " \t\n"), *end;
	int64_t v;

	while (n-- > 0) {
		s += strcspn(s, " \t\n");
		s += strspn(s, " \t\n");
	}
	v = number_at(s, &end);
	return v >= 0 && (*end == '\0' || isspace((unsigned char)*end)) ? v : -1;
}

int64_t host_stall(const char *text)
{
	for (const char *s = text; s; s = next_line(s)) {
		const char *p, *end;
		int64_t whole, part = 0;
		if (!str_starts(s, "some avg10="))
			continue;
		p = s + strlen("some avg10=");
		whole = number_at(p, &end);
		if (whole < 0 || whole > 100)
			return -1;
		if (*end == '.') { /* two digits, as the kernel writes them */
			if (!isdigit((unsigned char)end[1]) || !isdigit((unsigned char)end[2]))
				return -1;
			part = (end[1] - '0') * 10 + (end[2] - '0');
		}
		return whole * 100 + part;
	}
	return -1;
}

int64_t host_limit(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *s = text; s; s = next_line(s))
		if (!strncmp(s, name, len) && s[len] == ' ')
			return host_word(s + len, 0);
	return -1;
}

int64_t host_threads(const char *text)
{
	const char *slash = strchr(text, '/');

	return slash ? number_at(slash + 1, NULL) : -1;
}

/* Is word one of a list with commas? */
static bool listed(const char *list, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p < list + len; p += strcspn(p, ",:") + 1)
		if (!strncmp(p, word, n) && (p[n] == ',' || p[n] == ':'))
			return true;
	return false;
}

char *host_cgroup(const char *text, const char *controller)
{
	for (const char *s = text; s && *s; s = next_line(s)) {
		const char *list = strchr(s, ':'), *path, *end = s + strcspn(s, "\n");
		if (!list || list >= end)
			continue;
		list++;
		path = memchr(list, ':', (size_t)(end - list));
		if (!path || path[1] != '/')
			continue;
		if (controller[0] ? listed(list, (size_t)(path - list), controller)
				  : str_starts(s, "0::"))
			return xstrndup(path + 1, (size_t)(end - path - 1));
	}
	return NULL;
}

/* ---- files ---- */

/* A small file below the root; owned, NULL when it cannot be read. */
static char *slurp(const char *root, const char *path)
{
	cleanup_free char *name = xasprintf("%s%s", root, path);
	cleanup_close int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	text = xcalloc(1, FILE_MAX_BYTES + 1);
	while (len < FILE_MAX_BYTES && (n = read(fd, text + len, FILE_MAX_BYTES - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	if (n >= 0 && strlen(text) == len)
		return text;
	free(text);
	return NULL;
}

static int64_t word_of(const char *root, const char *path, int n)
{
	cleanup_free char *text = slurp(root, path);

	return text ? host_word(text, n) : -1;
}

/* The lesser of two that are known. */
static int64_t least(int64_t a, int64_t b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

static int64_t left(int64_t limit, int64_t used)
{
	if (limit < 0 || used < 0)
		return -1;
	return limit > used ? limit - used : 0;
}

/* ---- control groups ---- */

struct group_files {
	const char *controller, *base, *limit, *used, *reclaim; /* reclaim: of memory.stat, or NULL */
};

/* What one group leaves, and its limit; -1 both when it has none. */
static void group_level(const char *root, const char *dir, const struct group_files *g, int64_t *ret_left,
	int64_t *ret_limit)
{
	cleanup_free char *limit_file = xasprintf("%s/%s", dir, g->limit);
	cleanup_free char *used_file = xasprintf("%s/%s", dir, g->used);
	cleanup_free char *stat_file = g->reclaim ? xasprintf("%s/memory.stat", dir) : NULL;
	int64_t limit = word_of(root, limit_file, 0), used, cache = 0;

	*ret_left = *ret_limit = -1;
	if (limit < 0 || limit >= NO_LIMIT)
		return;
	used = word_of(root, used_file, 0);
	if (used < 0)
		return;
	if (stat_file) { /* pages of files that the kernel drops before it lets anybody wait */
		cleanup_free char *text = slurp(root, stat_file);
		cache = text ? host_field(text, g->reclaim) : 0;
	}
	*ret_left = left(limit, cache > 0 && cache < used ? used - cache : used);
	*ret_limit = limit;
}

/* The narrowest of our group and those above it. Inside a container the path may be the host's, whose group is
 * the mount itself here: that is where the walk ends. */
static void group_walk(const char *root, const char *path, const struct group_files *g, int64_t *ret_left,
	int64_t *ret_limit)
{
	cleanup_free char *dir = xasprintf("%s%s", g->base, strcmp(path, "/") ? path : "");
	size_t base = strlen(g->base);

	*ret_left = *ret_limit = -1;
	for (;;) {
		int64_t l, limit;
		group_level(root, dir, g, &l, &limit);
		*ret_left = least(*ret_left, l);
		*ret_limit = least(*ret_limit, limit);
		if (strlen(dir) <= base)
			return;
		*strrchr(dir, '/') = '\0';
	}
}

/* By version 1 when its line names the controller, by version 2 otherwise. */
static void group_of(const char *root, const char *text, const struct group_files *v1, const struct group_files *v2,
	int64_t *ret_left, int64_t *ret_limit)
{
	cleanup_free char *one = text ? host_cgroup(text, v1->controller) : NULL;
	cleanup_free char *two = text && !one ? host_cgroup(text, "") : NULL;

	*ret_left = *ret_limit = -1;
	if (one)
		group_walk(root, one, v1, ret_left, ret_limit);
	else if (two)
		group_walk(root, two, v2, ret_left, ret_limit);
}

static const struct group_files memory_v1 = {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes",
	"memory.usage_in_bytes", "total_inactive_file"};
static const struct group_files memory_v2 = {"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};
static const struct group_files pids_v1 = {"pids", "/sys/fs/cgroup/pids", "pids.max", "pids.current", NULL};
static const struct group_files pids_v2 = {"", "/sys/fs/cgroup", "pids.max", "pids.current", NULL};

/* ---- one after another ---- */

static void look_memory(const char *root, const char *groups, struct host_room *h)
{
	cleanup_free char *text = slurp(root, "/proc/meminfo");
	int64_t available = text ? host_field(text, "MemAvailable:") : -1;
	int64_t total = text ? host_field(text, "MemTotal:") : -1;
	int64_t group, limit;

	h->memory_mib = available < 0 ? -1 : available / KIB_PER_MIB;
	h->memory_total_mib = total < 0 ? -1 : total / KIB_PER_MIB;
	group_of(root, groups, &memory_v1, &memory_v2, &group, &limit);
	if (group >= 0 && (h->memory_mib < 0 || group / MIB < h->memory_mib)) {
		h->memory_group = true;
		h->memory_mib = group / MIB;
	}
	if (limit >= 0)
		h->memory_total_mib = least(h->memory_total_mib, limit / MIB);
}

static void look_stall(const char *root, struct host_room *h)
{
	cleanup_free char *text = slurp(root, "/proc/pressure/memory");

	h->stall = text ? host_stall(text) : -1;
}

static void look_disk(const char *state_dir, struct host_room *h)
{
	struct statvfs v;

	if (statvfs(state_dir, &v) < 0)
		return;
	h->disk_mib = (int64_t)((unsigned long long)v.f_bavail * v.f_frsize / MIB);
	if (v.f_files > 0 && v.f_favail < INODES_NEEDED) /* full, too */
		h->disk_mib = 0;
}

static int64_t entries(const char *root, const char *path)
{
	cleanup_free char *name = xasprintf("%s%s", root, path);
	struct stat st;
	struct dirent *de;
	int64_t n = 0;
	DIR *d;

	/* Linux 6.2 and up tell the number of descriptors as the folder's size. */
	if (!root[0] && stat(name, &st) == 0 && st.st_size > 0)
		return st.st_size;
	d = opendir(name);
	if (!d)
		return -1;
	while ((de = readdir(d)))
		n += de->d_name[0] != '.';
	closedir(d);
	return n;
}

static void look_files(const char *root, const char *limits, struct host_room *h)
{
	h->fds = left(limits ? host_limit(limits, "Max open files") : -1, entries(root, "/proc/self/fd"));
	h->files = left(word_of(root, "/proc/sys/fs/file-max", 0), word_of(root, "/proc/sys/fs/file-nr", 0));
	h->ptys = left(word_of(root, "/proc/sys/kernel/pty/max", 0), word_of(root, "/proc/sys/kernel/pty/nr", 0));
}

/* Processes of our user: asked only close to the limit, and not often. */
static int64_t count_own(const char *root)
{
	static int64_t counted_ms, count;
	cleanup_free char *name = xasprintf("%s/proc", root);
	int64_t now = clock_mono_ms();
	struct dirent *de;
	struct stat st;
	DIR *d;

	if (counted_ms && now - counted_ms < COUNT_EVERY_MS)
		return count;
	d = opendir(name);
	if (!d)
		return -1;
	count = 0;
	while ((de = readdir(d)))
		count += isdigit((unsigned char)de->d_name[0]) && fstatat(dirfd(d), de->d_name, &st, 0) == 0 &&
			 st.st_uid == getuid();
	closedir(d);
	counted_ms = now;
	return count;
}

static void look_tasks(const char *root, const char *groups, const char *limits, struct host_room *h)
{
	cleanup_free char *load = slurp(root, "/proc/loadavg");
	int64_t threads = load ? host_threads(load) : -1, mine = limits ? host_limit(limits, "Max processes") : -1;
	int64_t group, limit;

	h->tasks = least(left(word_of(root, "/proc/sys/kernel/threads-max", 0), threads),
		left(word_of(root, "/proc/sys/kernel/pid_max", 0), threads));
	group_of(root, groups, &pids_v1, &pids_v2, &group, &limit);
	h->tasks = least(h->tasks, group);
	if (mine < 0 || geteuid() == 0) /* the limit does not hold for root */
		return;
	if (threads >= 0 && mine - threads >= TASKS_CLOSE) /* even if all were ours */
		h->tasks = least(h->tasks, mine - threads);
	else
		h->tasks = least(h->tasks, left(mine, count_own(root)));
}

void host_measure(const char *root, const char *state_dir, struct host_room *ret)
{
	cleanup_free char *groups = slurp(root, "/proc/self/cgroup");
	cleanup_free char *limits = slurp(root, "/proc/self/limits");

	*ret = (struct host_room){-1, -1, false, -1, -1, -1, -1, -1, -1};
	look_memory(root, groups, ret);
	look_stall(root, ret);
	look_disk(state_dir, ret);
	look_files(root, limits, ret);
	look_tasks(root, groups, limits, ret);
}

/* "QUOTA PERIOD" of version 2; version 1 has a file for each. */
static int64_t quota_cores(int64_t quota, int64_t period)
{
	return quota > 0 && period > 0 ? (quota + period - 1) / period : -1;
}

int64_t host_cores(const char *root)
{
	cleanup_free char *groups = slurp(root, "/proc/self/cgroup");
	cleanup_free char *one = groups ? host_cgroup(groups, "cpu") : NULL;
	cleanup_free char *two = groups && !one ? host_cgroup(groups, "") : NULL;
	cleanup_free char *dir = xasprintf("/sys/fs/cgroup%s%s", one ? "/cpu" : "", one ? one : two ? two : "");
	cleanup_free char *max = xasprintf("%s/cpu.max", dir);
	cleanup_free char *quota = xasprintf("%s/cpu.cfs_quota_us", dir);
	cleanup_free char *period = xasprintf("%s/cpu.cfs_period_us", dir);
	int64_t n = sysconf(_SC_NPROCESSORS_ONLN), q;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	q = one ? quota_cores(word_of(root, quota, 0), word_of(root, period, 0))
		: quota_cores(word_of(root, max, 0), word_of(root, max, 1));
	n = least(n, q);
	return n > 0 ? n : 1;
}

/* ---- the kernel's word ---- */

struct host_watch {
	int psi, epoll;
	struct loop_io *io;
	void (*fn)(void *arg);
	void *arg;
};

/* The loop knows readable and writable only, the kernel tells of a stall by POLLPRI: an epoll of its own turns
 * the one into the other. */
static void on_stall(void *arg, int fd, unsigned events)
{
	struct host_watch *w = arg;
	struct epoll_event ev;

	(void)events;
	while (epoll_wait(fd, &ev, 1, 0) > 0)
		if (ev.events & EPOLLERR) { /* the group is gone: nothing more is told */
			loop_io_set(w->io, 0);
			return;
		}
	w->fn(w->arg);
}

/* Only a file of the kernel's own is written to. */
static bool kernels_own(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) == 0 && (s.f_type == PROC_MAGIC || s.f_type == CGROUP2_MAGIC);
}

struct host_watch *host_watch_create(struct loop *l, const char *root, int64_t percent, void (*fn)(void *arg),
	void *arg)
{
	cleanup_free char *path = xasprintf("%s/proc/pressure/memory", root);
	cleanup_close int psi = percent > 0 ? open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;
	cleanup_close int ep = -1;
	struct epoll_event ev = {.events = EPOLLPRI};
	struct host_watch *w;
	char line[64];

	if (psi < 0 || !kernels_own(psi))
		return NULL;
	/* With its NUL: the kernel takes the last byte for it. */
	snprintf(line, sizeof(line), "some %" PRId64 " %d", percent * HOST_WINDOW_MS * 10, HOST_WINDOW_MS * 1000);
	if (write(psi, line, strlen(line) + 1) < 0)
		return NULL;
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, psi, &ev) < 0)
		return NULL;
	w = xcalloc(1, sizeof(*w));
	w->fn = fn;
	w->arg = arg;
	w->psi = take_fd(&psi);
	w->epoll = take_fd(&ep);
	w->io = loop_io_add(l, w->epoll, LOOP_READ, on_stall, w);
	return w;
}

void host_watch_free(struct host_watch *w)
{
	if (!w)
		return;
	loop_io_free(w->io);
	close(w->epoll);
	close(w->psi);
	free(w);
}
