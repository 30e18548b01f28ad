/* SPDX-License-Identifier: ISC */
/* Looks through /proc. A process that ends while it is looked at is nobody. */
#include "base/kin.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>

#include "base/util.h"

#define STAT_MAX 4096
#define ENVIRON_MAX (2 * 1024 * 1024)

struct kin {
	pid_t pid, parent;
	bool ours, dead;
};

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

static struct kin *all_kin(size_t *ret_n)
{
	DIR *d = opendir("/proc");
	struct dirent *de;
	struct kin *k = NULL;
	size_t n = 0, cap = 0;

	while (d && (de = readdir(d))) {
		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		if (n == cap)
			k = xrealloc(k, (cap = cap ? cap * 2 : 256) * sizeof(*k));
		n += read_kin(de->d_name, &k[n]);
	}
	if (d)
		closedir(d);
	*ret_n = n;
	return k;
}

bool kin_signal_below(pid_t root, int sig)
{
	size_t n;
	cleanup_free struct kin *k = all_kin(&n);
	bool found = true, any = false;

	while (found) {
		found = false;
		for (size_t i = 0; i < n; i++) {
			bool child = k[i].parent == root;
			for (size_t j = 0; j < n && !child && !k[i].ours; j++)
				child = k[j].ours && k[j].pid == k[i].parent;
			if (!k[i].ours && child)
				found = k[i].ours = true;
		}
	}
	for (size_t i = 0; i < n; i++)
		if (k[i].ours && !k[i].dead)
			any |= kill(k[i].pid, sig) == 0;
	return any;
}

void kin_kill_below(pid_t root)
{
	for (int i = 0; i < KIN_PASSES_MAX && kin_signal_below(root, SIGKILL); i++)
		;
}

static bool is_marked(const char *name, const char *entry)
{
	size_t want = strlen(entry), len = 0;
	cleanup_free char *env = NULL;
	char path[64];

	if (str_fmt(path, sizeof(path), "/proc/%s/environ", name) < 0 ||
		file_read(path, ENVIRON_MAX, &env, &len, NULL) < 0)
		return false;
	for (const char *p = env; p < env + len; p += strlen(p) + 1)
		if (strncmp(p, entry, want) == 0)
			return true;
	return false;
}

void kin_kill_marked(const char *entry)
{
	bool any = true;

	for (int i = 0; i < KIN_PASSES_MAX && any; i++) {
		DIR *d = opendir("/proc");
		struct dirent *de;

		any = false;
		while (d && (de = readdir(d))) {
			pid_t pid = (pid_t)atoi(de->d_name);
			if (pid > 1 && pid != getpid() && is_marked(de->d_name, entry))
				any |= kill(pid, SIGKILL) == 0;
		}
		if (d)
			closedir(d);
	}
}
