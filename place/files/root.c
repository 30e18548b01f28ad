/* SPDX-License-Identifier: ISC */
/* Opening things beneath the served folder, and facts for the rules. */
#include "place/files/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/util.h"
#include "place/files/content.h"

#ifndef FS_CASEFOLD_FL
#define FS_CASEFOLD_FL 0x40000000
#endif
/* File systems that take names in any letter case. */
#define MAGIC_VFAT 0x4d44
#define MAGIC_EXFAT 0x2011bab0
#define MAGIC_NTFS 0x5346544e
#define MAGIC_NTFS3 0x7366746e
#define MAGIC_CIFS 0xff534d42
#define MAGIC_SMB2 0xfe534d42
#define OPEN_TRIES 8

static int open_beneath(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	/* EAGAIN: something was renamed meanwhile, and the kernel could not tell whether that led
	 * out. */
	for (int i = 0; i < OPEN_TRIES; i++) {
		int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			return fd;
	}
	return -1;
}

int root_parent(const struct root *r, const struct fpath *p)
{
	char prefix[FPATH_MAX + 1];
	fpath_prefix(p, p->n > 1 ? p->n - 1 : 0, prefix);
	return open_beneath(r->fd, prefix[0] ? prefix : ".", O_PATH | O_DIRECTORY, 0);
}

int root_openat(const struct root *r, const struct fpath *p, int flags, mode_t mode)
{
	/* openat2 refuses flags that mean nothing: O_NOCTTY with O_PATH. */
	flags |= flags & O_PATH ? O_NOFOLLOW : O_NOFOLLOW | O_NOCTTY;
	return open_beneath(r->fd, p->n ? p->text : ".", flags, mode);
}

const char *root_last(const struct fpath *p)
{
	return p->n ? p->comp[p->n - 1] : ".";
}

int root_lstat(const struct root *r, const struct fpath *p, struct stat *st)
{
	cleanup_close int dir = root_parent(r, p);
	return dir < 0 ? -1 : fstatat(dir, root_last(p), st, AT_SYMLINK_NOFOLLOW);
}

/* Does the folder of p's first n components hold a HEAD? */
static bool has_head(const struct root *r, const struct fpath *p, size_t n)
{
	char prefix[FPATH_MAX + 1];
	struct stat st;
	fpath_prefix(p, n, prefix);
	cleanup_close int dir =
		open_beneath(r->fd, prefix[0] ? prefix : ".", O_PATH | O_DIRECTORY, 0);
	return dir >= 0 && fstatat(dir, "HEAD", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool below_hooks(const struct root *r, const struct fpath *p)
{
	for (size_t i = 0; i + 1 < p->n; i++)
		if ((r->fold ? strcasecmp(p->comp[i], "hooks") : strcmp(p->comp[i], "hooks")) == 0 &&
			has_head(r, p, i))
			return true;
	return false;
}

enum verdict root_judge(const struct root *r, const struct fpath *p, enum act act, bool is_dir,
	const char **why)
{
	struct stat st;
	if (r->read_only) {
		*why = "the folder is shared for reading only";
		return V_REFUSE;
	}
	struct facts f = {.is_dir = is_dir, .fold = r->fold, .protected = r->protected,
		.n_protected = r->n_protected};
	if (rules_git_at(p) < 0) {
		f.exists = root_lstat(r, p, &st) == 0;
		f.parent_head = p->n > 0 && rules_wants_head(p, r->fold) && has_head(r, p, p->n - 1);
		f.above_hooks = below_hooks(r, p);
	}
	return rules_judge(p, act, &f, why);
}

static bool folds_case(int fd)
{
	struct statfs fs;
	int flags = 0;
	if (fstatfs(fd, &fs) == 0) {
		switch ((unsigned long)fs.f_type) {
		case MAGIC_VFAT:
		case MAGIC_EXFAT:
		case MAGIC_NTFS:
		case MAGIC_NTFS3:
		case MAGIC_CIFS:
		case MAGIC_SMB2:
			return true;
		default:
			break;
		}
	}
	return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_CASEFOLD_FL);
}

static void protect(void *arg, const char *path)
{
	struct root *r = arg;
	struct fpath base, to;
	/* git reads hooksPath from the worktree's top and includes from the configuration's folder; what
	 * leads out of the folder is out of the place's reach too. */
	fpath_parse(&base, ".git", 4, NULL);
	for (size_t n = 0; n <= 1; n++)
		if (*path && r->n_protected < PROTECTED_MAX &&
			fpath_join(&base, n, path, r->path, &to) == 0 && to.n > 0)
			memcpy(&r->protected[r->n_protected++], &to, sizeof(to));
}

/* fpath holds pointers into itself: a copy must be parsed again. */
static void repoint(struct root *r)
{
	for (size_t i = 0; i < r->n_protected; i++) {
		char text[FPATH_MAX + 1];
		memcpy(text, r->protected[i].text, sizeof(text));
		fpath_parse(&r->protected[i], text, strlen(text), NULL);
	}
}

static void learn_protected(struct root *r)
{
	static const char *const files[] = {".git/config", ".git/config.worktree"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char text[65536];
		cleanup_close int fd = open_beneath(r->fd, files[i], O_RDONLY | O_NONBLOCK, 0);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
		if (n > 0)
			content_config_paths(text, (size_t)n, protect, r);
	}
	repoint(r);
}

int root_open(struct root *r, const char *path, bool read_only, struct err *e)
{
	/* The path was resolved when the folder was given. A link in it now was put there since, perhaps by
	 * a place that may write above it: it leads where nobody was let in. */
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
	char self[64];
	ssize_t n;

	memset(r, 0, sizeof(*r));
	r->read_only = read_only;
	r->fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	if (r->fd < 0)
		return err_set_errno(e, errno == ENOENT ? ERR_NOT_FOUND : errno == ELOOP ? ERR_DENIED : ERR_IO, errno,
			"cannot open the folder %s", path);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", r->fd);
	n = readlink(self, r->path, sizeof(r->path) - 1);
	if (n <= 0 || (size_t)n >= sizeof(r->path) - 1) {
		root_close(r);
		return err_set(e, ERR_IO, "the path of the folder %s cannot be told", path);
	}
	r->path[n] = '\0';
	r->fold = folds_case(r->fd);
	learn_protected(r);
	return 0;
}

void root_close(struct root *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}
