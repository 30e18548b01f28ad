/* SPDX-License-Identifier: ISC */
/* Files and folders of util.h: read whole, write whole or not at all, make and remove trees; and
 * what /proc says of the machine and of a process. */
#include "base/fault.h"
#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define TREE_DEPTH_MAX 128
#define TEMP_TRIES 16

static void cleanup_dir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define cleanup_dir __attribute__((cleanup(cleanup_dir_p)))

int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	/* Without O_NONBLOCK the open of a fifo would wait for a writer. */
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
			"cannot open %s", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot stat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "%s is not a regular file", path);
	/* Files of /proc say 0: the size is only a first guess. */
	size_t cap = (st.st_size > 0 && (size_t)st.st_size < max ? (size_t)st.st_size : 0) + 4096;
	size_t len = 0;
	cleanup_free char *mem = xcalloc(cap, 1);
	for (;;) {
		if (len + 1 >= cap) {
			cap *= 2;
			mem = xrealloc(mem, cap);
		}
		ssize_t n = read(fd, mem + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_IO, errno, "cannot read %s", path);
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return err_set(e, ERR_LIMIT, "%s is larger than %zu bytes", path, max);
	}
	mem[len] = '\0';
	*ret = take_ptr(mem);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Opens the folder that holds path, for syncing what was renamed into it. */
static int open_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = !slash ? xstrdup(".") : xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Creates path.XXXXXXXX exclusively; the name is owned by the caller. */
static int open_temporary(const char *path, char **ret_name)
{
	for (int i = 0; i < TEMP_TRIES; i++) {
		char suffix[9];
		random_id(suffix, sizeof(suffix) - 1);
		cleanup_free char *name = xasprintf("%s.%s", path, suffix);
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0) {
			*ret_name = take_ptr(name);
			return fd;
		}
		if (errno != EEXIST)
			return -1;
	}
	errno = EEXIST;
	return -1;
}

static int write_new(const char *path, const void *data, size_t len, mode_t mode, bool sync, struct err *e)
{
	cleanup_free char *temp = NULL;
	cleanup_close int fd = open_temporary(path, &temp);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot create a file beside %s", path);
	bool ok = !FAULT_ERROR("file.write", NULL) && write_all(fd, data, len) == 0 && fchmod(fd, mode) == 0 &&
		  (!sync || fsync(fd) == 0);
	FAULT_POINT("file.written");
	if (!ok || rename(temp, path) < 0) {
		int saved = errno;
		unlink(temp);
		return err_set_errno(e, ERR_IO, saved, "cannot write %s", path);
	}
	FAULT_POINT("file.named");
	return 0;
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	if (write_new(path, data, len, mode, true, e) < 0)
		return -1;
	cleanup_close int dir = open_parent(path);
	if (dir >= 0 && fsync(dir) < 0 && errno != EINVAL)
		return err_set_errno(e, ERR_IO, errno, "cannot sync the folder of %s", path);
	return 0;
}

int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	return write_new(path, data, len, mode, false, e);
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
	if (!*path)
		return err_set(e, ERR_PARAMS, "cannot make a folder without a name");
	cleanup_free char *part = xstrdup(path);
	for (char *p = part + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char c = *p;
		*p = '\0';
		int rc = mkdir(part, mode);
		int saved = errno;
		struct stat st;
		/* What exists answers with EEXIST, but also EROFS or EACCES: look before failing. */
		if (rc < 0 && (stat(part, &st) < 0 || !S_ISDIR(st.st_mode)))
			return err_set_errno(e, ERR_IO, saved == EEXIST ? ENOTDIR : saved,
				"cannot make the folder %s", part);
		*p = c;
		if (!c)
			return 0;
	}
}

/* Empties the folder fd (which it takes over). Returns 0 or -1 with errno. */
static int empty_dir(int fd, int depth)
{
	if (depth > TREE_DEPTH_MAX) {
		close(fd);
		errno = ELOOP;
		return -1;
	}
	cleanup_dir DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return -1;
	}
	for (;;) {
		errno = 0;
		struct dirent *ent = readdir(d);
		if (!ent)
			return errno ? -1 : 0;
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		FAULT_POINT("tree.unlink");
		if (unlinkat(dirfd(d), ent->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return -1;
		int sub = openat(dirfd(d), ent->d_name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0 && errno == ENOENT)
			continue;
		if (sub < 0 || empty_dir(sub, depth + 1) < 0 ||
			(unlinkat(dirfd(d), ent->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT))
			return -1;
	}
}

int tree_remove(const char *path, struct err *e)
{
	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_set_errno(e, ERR_IO, errno, "cannot remove %s", path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	bool empty = fd >= 0 && empty_dir(fd, 0) == 0;
	FAULT_POINT("tree.rmdir");
	if (!empty || (rmdir(path) < 0 && errno != ENOENT))
		return err_set_errno(e, ERR_IO, errno, "cannot remove the folder %s", path);
	FAULT_POINT("tree.removed");
	return 0;
}

int fd_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -1;
	return flags & O_NONBLOCK ? 0 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int fd_set_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

const char *boot_id(void)
{
	static char id[37];
	/* A test's stand-in for a host that was started anew: every process of one "boot" is given the same. */
	const char *told = getenv("TMUX_CLAUDE_TEST_BOOT_ID");
	if (!id[0] && told && told[0]) {
		str_fmt(id, sizeof(id), "%.36s", told);
	} else if (!id[0]) {
		cleanup_free char *text = NULL;
		size_t len = 0;
		bool ok = file_read("/proc/sys/kernel/random/boot_id", 64, &text, &len, NULL) == 0 &&
			  len >= 36;
		str_fmt(id, sizeof(id), "%.36s", ok ? text : "unknown");
	}
	return id;
}

uint64_t proc_start_time(pid_t pid)
{
	char path[32];
	cleanup_free char *text = NULL;
	if (str_fmt(path, sizeof(path), "/proc/%d/stat", (int)pid) < 0 ||
		file_read(path, 4096, &text, NULL, NULL) < 0)
		return 0;
	/* The name, field 2, may hold anything, parentheses too: count from the last one. */
	char *p = strrchr(text, ')');
	for (int field = 3; p && field <= 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}
