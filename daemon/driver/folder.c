/* SPDX-License-Identifier: ISC */
/* Which folders may be given to an agent: whole or in part, never the system's nor our own. */
#include "daemon/driver/folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>

#include "base/util.h"

/* Neither these nor what is in them. */
static const char *const system_trees[] = {"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64",
	"/libx32", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/lib/dpkg", "/var/lib/apt",
	"/var/lib/systemd", "/var/run"};
/* Folders in such trees that people work in. */
static const char *const exceptions[] = {"/usr/src/", "/usr/local/src/", "/dev/shm/"};
/* Not these; what is in them may be somebody's project. */
static const char *const system_folders[] = {"/", "/home", "/media", "/mnt", "/opt", "/srv", "/tmp",
	"/var", "/var/backups", "/var/cache", "/var/lib", "/var/local", "/var/log", "/var/mail", "/var/opt",
	"/var/spool", "/var/tmp", "/dev/shm"};

static bool inside(const char *path, const char *tree)
{
	size_t len = strlen(tree);
	if (len == 1)
		return true; /* "/" */
	return !strncmp(path, tree, len) && (path[len] == '/' || !path[len]);
}

/* The path without links, also when its end does not exist yet. Owned. */
static char *real_or_future(const char *path)
{
	cleanup_free char *head = xstrdup(path);
	cleanup_free char *tail = xstrdup("");

	for (;;) {
		cleanup_free char *real = realpath(head, NULL);
		if (real)
			return xasprintf("%s%s%s", strcmp(real, "/") || !*tail ? real : "", *tail ? "/" : "",
				tail);
		char *slash = strrchr(head, '/');
		if (!slash || !slash[1])
			return xstrdup(path);
		char *longer = xasprintf("%s%s%s", slash + 1, *tail ? "/" : "", tail);
		free(tail);
		tail = longer;
		slash[slash == head] = '\0';
	}
}

static int check_ours(const struct layout *l, const char *real, struct err *e)
{
	cleanup_free char *config_dir = xstrdup(l->config_file);
	char *slash = config_dir ? strrchr(config_dir, '/') : NULL;
	if (slash && slash != config_dir)
		*slash = '\0';
	const char *const ours[] = {l->home, l->state_dir, config_dir, l->template_dir, l->runtime_dir};
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (!ours[i])
			continue;
		cleanup_free char *own = real_or_future(ours[i]);
		if (inside(real, own))
			err_set(e, ERR_DENIED, "%s lies in a folder of tmux-claude itself (%s)", real, own);
		else if (inside(own, real))
			err_set(e, ERR_DENIED, "%s holds a folder of tmux-claude itself (%s)", real, own);
		else
			continue;
		return err_hint(e, "give the agent a project's folder with --dir");
	}
	return 0;
}

static int check_system(const char *real, struct err *e)
{
	bool system = false;
	for (size_t i = 0; i < ARRAY_LEN(system_trees); i++)
		system |= inside(real, system_trees[i]);
	for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
		if (str_starts(real, exceptions[i]))
			system = false;
	for (size_t i = 0; i < ARRAY_LEN(system_folders); i++)
		system |= !strcmp(real, system_folders[i]);
	if (!system)
		return 0;
	err_set(e, ERR_DENIED, "%s belongs to the system; an agent may not be given it", real);
	return err_hint(e, "give the agent a project's folder with --dir");
}

int folder_check(const struct layout *l, const char *dir, char **ret_real, struct err *e)
{
	struct stat st;

	if (dir[0] != '/') {
		err_set(e, ERR_PARAMS, "the folder '%.200s' is not an absolute path", dir);
		return err_hint(e, "give the whole path, from / on");
	}
	cleanup_free char *real = realpath(dir, NULL);
	if (!real || stat(real, &st)) {
		bool absent = errno == ENOENT || errno == ENOTDIR;
		err_set_errno(e, absent ? ERR_NOT_FOUND : ERR_DENIED, errno, "the folder %.300s cannot be used",
			dir);
		return err_hint(e, "make it, or choose another with --dir");
	}
	if (!S_ISDIR(st.st_mode)) {
		err_set(e, ERR_PARAMS, "%.300s is not a folder", dir);
		return err_hint(e, "choose a folder with --dir");
	}
	if (!utf8_valid(real, strlen(real)))
		return err_set(e, ERR_PARAMS, "the folder's path is not UTF-8");
	if (check_system(real, e) || check_ours(l, real, e))
		return -1;
	*ret_real = take_ptr(real);
	return 0;
}

const char *folder_warning(const char *real)
{
	struct passwd *pw = getpwuid(geteuid());
	const char *const homes[] = {getenv("HOME"), pw ? pw->pw_dir : NULL};
	for (size_t i = 0; i < ARRAY_LEN(homes); i++) {
		cleanup_free char *home = homes[i] && *homes[i] ? realpath(homes[i], NULL) : NULL;
		if (home && !strcmp(home, real))
			return "this is your whole home folder: the agent can read and change all in it, keys "
			       "and settings included";
	}
	return NULL;
}

int folder_stat(const char *real, struct stat *ret)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
	cleanup_close int fd = (int)syscall(SYS_openat2, AT_FDCWD, real, &how, sizeof(how));

	return fd < 0 ? -1 : fstat(fd, ret);
}
