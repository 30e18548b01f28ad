/* SPDX-License-Identifier: ISC */
/*
 * Folders of the agent's whose new files live in memory only.
 *
 * The folder on disk is bound aside, a tmpfs takes its place, and every name that is on the disk, or is to
 * be kept there, appears in it as a link to the disk. A file that a program makes anew, or renames over
 * such a link, stays in memory.
 */
#include "place/guest/memory.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/util.h"

#define FOLDERS_MAX 16
#define KEEP_MAX 64
#define DISK_PREFIX "/run/tmux-claude.disk-" /* where the folders on disk are reached */
#define SIZE_MAX_TEXT "64m"

static int make(struct guest *g, const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set_errno(e, ERR_IO, errno, "cannot make the folder %s", path);
	if (lchown(path, g->agent.uid, g->agent.gid) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot give the folder %s to the agent", path);
	return 0;
}

/* With what is missing above it. */
static int make_whole(struct guest *g, const char *path, struct err *e)
{
	cleanup_free char *part = xstrdup(path);

	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (access(part, F_OK) < 0 && make(g, part, e) < 0)
			return -1;
		*slash = '/';
	}
	return make(g, path, e);
}

static bool is_memory(const char *path)
{
	struct statfs s;

	return statfs(path, &s) == 0 && s.f_type == TMPFS_MAGIC;
}

/* Every name of the disk's folder leads there from the one in memory. */
static void link_names(struct guest *g, const char *disk, const char *path)
{
	DIR *d = opendir(disk);
	struct dirent *de;

	while (d && (de = readdir(d))) {
		cleanup_free char *to = xasprintf("%s/%s", disk, de->d_name);
		cleanup_free char *from = xasprintf("%s/%s", path, de->d_name);
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, "..") && symlink(to, from) == 0 &&
			lchown(from, g->agent.uid, g->agent.gid) < 0)
			unlink(from);
	}
	if (d)
		closedir(d);
}

static int memory_folder(struct guest *g, const char *path, const json_t *keep, size_t n, struct err *e)
{
	cleanup_free char *disk = xasprintf(DISK_PREFIX "%zu", n);
	char options[96];
	const json_t *name;
	size_t i;

	if (is_memory(path))
		return 0;
	if (make_whole(g, path, e) < 0 || make(g, disk, e) < 0)
		return -1;
	if (mount(path, disk, NULL, MS_BIND, NULL) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot set %s aside", path);
	snprintf(options, sizeof(options), "mode=0700,size=" SIZE_MAX_TEXT ",uid=%u,gid=%u",
		(unsigned)g->agent.uid, (unsigned)g->agent.gid);
	if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot put memory at %s", path);
	json_array_foreach(keep, i, name) {
		const char *s = json_string_value(name);
		cleanup_free char *kept = s && *s && !strchr(s, '/') ? xasprintf("%s/%s", disk, s) : NULL;
		if (i >= KEEP_MAX || !kept)
			return err_set(e, ERR_PARAMS, "\"keep\" is too long, or holds what is no name");
		if (make(g, kept, e) < 0)
			return -1;
	}
	link_names(g, disk, path);
	return 0;
}

int memory_folders(struct guest *g, const json_t *folders, struct err *e)
{
	const json_t *f;
	size_t i;

	json_array_foreach(folders, i, f) {
		const char *path = json_string_value(json_object_get(f, "path"));
		if (i >= FOLDERS_MAX || !path || *path != '/')
			return err_set(e, ERR_PARAMS, "\"memory\" is too long, or holds what is no path");
		if (memory_folder(g, path, json_object_get(f, "keep"), i, e) < 0)
			return -1;
	}
	return 0;
}
