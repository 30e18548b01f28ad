/* SPDX-License-Identifier: ISC */
/* Attributes over descriptors, O_PATH ones too: by way of /proc/self/fd. */
#include "place/files/attrs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "base/util.h"

#define STATVFS_RDONLY 1u
#define STATVFS_NOSUID 2u

void answer_attrs(struct server *s, const struct stat *st)
{
	size_t start = put_begin(&s->out, FXP_ATTRS, s->id);
	put_stat(&s->out, st);
	put_end(&s->out, start);
}

void answer_statvfs(struct server *s, int fd)
{
	struct statvfs v;
	if (fstatvfs(fd, &v) < 0) {
		answer_errno(s, errno);
		return;
	}
	size_t start = put_begin(&s->out, FXP_EXTENDED_REPLY, s->id);
	put_u64(&s->out, v.f_bsize);
	put_u64(&s->out, v.f_frsize);
	put_u64(&s->out, v.f_blocks);
	put_u64(&s->out, v.f_bfree);
	put_u64(&s->out, v.f_bavail);
	put_u64(&s->out, v.f_files);
	put_u64(&s->out, v.f_ffree);
	put_u64(&s->out, v.f_favail);
	put_u64(&s->out, v.f_fsid);
	put_u64(&s->out, STATVFS_NOSUID | (s->root.read_only ? STATVFS_RDONLY : 0));
	put_u64(&s->out, v.f_namemax);
	put_end(&s->out, start);
}

static int set_mode(int fd, const struct stat *st, mode_t mode, bool never_executable)
{
	char path[40];
	if (S_ISLNK(st->st_mode))
		return 0; /* a link has none */
	mode &= 0777;
	if (never_executable && S_ISREG(st->st_mode))
		mode &= ~(mode_t)0111;
	/* fchmod refuses O_PATH descriptors; this name follows exactly one. */
	str_fmt(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode);
}

static int set_times(int fd, const struct wire_attrs *a)
{
	struct timespec ts[2] = {{.tv_sec = a->atime}, {.tv_sec = a->mtime}};
	/* On O_PATH descriptors since Linux 5.8, links included. */
	return utimensat(fd, "", ts, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}

int attrs_apply(int fd, const struct wire_attrs *a, bool never_executable)
{
	struct stat st;
	if (!(a->flags & (ATTR_UIDGID | ATTR_PERMISSIONS | ATTR_TIMES)))
		return 0;
	if (fstat(fd, &st) < 0)
		return -1;
	if (a->flags & ATTR_UIDGID && (a->uid != st.st_uid || a->gid != st.st_gid)) {
		errno = EPERM;
		return -1;
	}
	if (a->flags & ATTR_PERMISSIONS && set_mode(fd, &st, a->mode, never_executable) < 0)
		return -1;
	return a->flags & ATTR_TIMES ? set_times(fd, a) : 0;
}
