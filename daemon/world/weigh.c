/* SPDX-License-Identifier: ISC */
/*
 * Who uses most of the memory: asked when it is short, so it must not cost the daemon anything. Reading what a
 * big process shares may take long, and reading /proc may wait: a child does it, `tmux-clauded --weigh ID:PID...`,
 * with a deadline. It goes by resident sizes first and asks only the biggest of them for their own part (PSS).
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

#include "base/clock.h"
#include "base/util.h"
#include "daemon/world/child.h"
#include "daemon/world/world_int.h"

#define WEIGH_MS 10000  /* for the child, whatever it waits in */
#define REFINE_MS 3000  /* of them for PSS */
#define REFINED 8       /* of the biggest */
#define TOLD 8
#define STAT_MAX 512
#define ROLLUP_MAX 4096

struct weight {
	char id[ID_SIZE];
	pid_t pid;
	int64_t kib;
};

struct proc {
	pid_t pid, parent;
};

struct procs {
	struct proc *p;
	size_t n;
};

/* ---- the child ---- */

static size_t read_small(pid_t pid, const char *file, char *out, size_t size)
{
	char path[64];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, out, size - 1);
	close(fd);
	if (n < 0)
		n = 0;
	out[n] = '\0';
	return (size_t)n;
}

static int by_parent(const void *a, const void *b)
{
	const struct proc *x = a, *y = b;

	return (x->parent > y->parent) - (x->parent < y->parent);
}

static struct procs all_procs(void)
{
	struct procs l = {0};
	DIR *d = opendir("/proc");
	struct dirent *de;
	size_t room = 0;

	while (d && (de = readdir(d))) {
		char text[STAT_MAX], *end;
		int parent;
		if (!isdigit((unsigned char)de->d_name[0]) || !read_small(atoi(de->d_name), "stat", text, sizeof(text)))
			continue;
		end = strrchr(text, ')'); /* the name before it may hold anything */
		if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
			continue;
		if (l.n == room)
			l.p = xrealloc(l.p, (room = room ? room * 2 : 256) * sizeof(*l.p));
		l.p[l.n++] = (struct proc){atoi(de->d_name), parent};
	}
	if (d)
		closedir(d);
	if (l.n)
		qsort(l.p, l.n, sizeof(*l.p), by_parent);
	return l;
}

static int64_t resident_kib(pid_t pid)
{
	char text[STAT_MAX];
	long pages;

	if (!read_small(pid, "statm", text, sizeof(text)) || sscanf(text, "%*s %ld", &pages) != 1)
		return 0;
	return (int64_t)pages * sysconf(_SC_PAGESIZE) / 1024;
}

static int64_t own_kib(pid_t pid)
{
	char text[ROLLUP_MAX];
	const char *pss;
	long kib;

	if (!read_small(pid, "smaps_rollup", text, sizeof(text)) || !(pss = strstr(text, "\nPss:")) ||
		sscanf(pss + 5, " %ld", &kib) != 1)
		return resident_kib(pid);
	return kib;
}

/* A process and all below it. */
static int64_t tree_kib(const struct procs *l, pid_t root, int64_t (*one)(pid_t pid))
{
	cleanup_free pid_t *todo = xcalloc(l->n + 1, sizeof(*todo));
	size_t n = 0;
	int64_t sum = 0;

	todo[n++] = root;
	for (size_t done = 0; done < n; done++) {
		const struct proc key = {.parent = todo[done]};
		const struct proc *p = l->n ? bsearch(&key, l->p, l->n, sizeof(key), by_parent) : NULL;
		sum += one(todo[done]);
		while (p && p > l->p && p[-1].parent == key.parent)
			p--;
		for (; p && p < l->p + l->n && p->parent == key.parent && n <= l->n; p++)
			todo[n++] = p->pid;
	}
	return sum;
}

static int by_size(const void *a, const void *b)
{
	const struct weight *x = a, *y = b;

	return (x->kib < y->kib) - (x->kib > y->kib);
}

int weigh_main(char *const *args)
{
	size_t n = strv_len(args), k = 0;
	cleanup_free struct weight *w = xcalloc(n + 1, sizeof(*w));
	int64_t end = clock_mono_ms() + REFINE_MS;
	struct procs l;

	alarm(WEIGH_MS / 1000); /* should the daemon be gone by then */
	l = all_procs();
	for (; *args; args++) {
		int pid;
		if (sscanf(*args, "%6[a-z0-9]:%d", w[k].id, &pid) != 2 || pid <= 1)
			continue;
		w[k].pid = pid;
		w[k].kib = tree_kib(&l, pid, resident_kib);
		k++;
	}
	qsort(w, k, sizeof(*w), by_size);
	for (size_t i = 0; i < k && i < REFINED && clock_mono_ms() < end; i++)
		w[i].kib = tree_kib(&l, w[i].pid, own_kib);
	qsort(w, k < REFINED ? k : REFINED, sizeof(*w), by_size);
	for (size_t i = 0; i < k && i < TOLD; i++)
		printf("%s %lld\n", w[i].id, (long long)(w[i].kib / 1024));
	free(l.p);
	return 0;
}

/* ---- the daemon ---- */

struct weighing {
	struct world *w;
	port_weighed_fn *fn;
	void *arg;
	struct child *child;
};

static void over(void *arg, const char *text, struct proc_status st)
{
	struct weighing *x = arg;
	struct memory_use use[TOLD];
	size_t n = 0;
	long long mib;
	int used;

	(void)st;
	for (const char *s = text; n < TOLD && sscanf(s, "%6[a-z0-9] %lld\n%n", use[n].id, &mib, &used) == 2; s += used)
		use[n++].mib = mib;
	x->w->weighing = NULL;
	x->fn(x->arg, use, n);
	free(x);
}

void weigh_begin(struct world *w, const struct memory_holder *held, size_t n, port_weighed_fn *fn, void *arg)
{
	cleanup_strv char **argv = strv_new();
	struct weighing *x;

	if (w->weighing) { /* one at a time: the answer under way says the same */
		fn(arg, NULL, 0);
		return;
	}
	strv_push(&argv, "tmux-clauded");
	strv_push(&argv, "--weigh");
	for (size_t i = 0; i < n; i++)
		strv_pushf(&argv, "%s:%lld", held[i].id, (long long)held[i].pid);
	x = xcalloc(1, sizeof(*x));
	x->w = w;
	x->fn = fn;
	x->arg = arg;
	x->child = child_begin(w->loop, "tmux-clauded", argv, WEIGH_MS, over, x, NULL);
	if (x->child) {
		w->weighing = x;
		return;
	}
	free(x);
	fn(arg, NULL, 0);
}

void weigh_finish(struct world *w)
{
	if (!w->weighing)
		return;
	child_kill(w->weighing->child);
	free(w->weighing);
	w->weighing = NULL;
}
