/* SPDX-License-Identifier: ISC */
/*
 * SQLite's unix layer calls a write that failed for want of space SQLITE_FULL only when errno is
 * ENOSPC; a quota (EDQUOT) or a file size limit (EFBIG) becomes an I/O error whose errno is lost on
 * the way (sqlite3 3.40, os_unix.c, unixWrite). So its system calls for writing are wrapped.
 */
#include <errno.h>
#include <unistd.h>

#include "daemon/store/db.h"

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);

static ssize_t as_full(ssize_t n)
{
	if (n < 0 && (errno == EDQUOT || errno == EFBIG))
		errno = ENOSPC;
	return n;
}

static ssize_t full_write(int fd, const void *data, size_t n)
{
	return as_full(real_write(fd, data, n));
}

static ssize_t full_pwrite(int fd, const void *data, size_t n, off_t at)
{
	return as_full(real_pwrite(fd, data, n, at));
}

static ssize_t full_pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	return as_full(real_pwrite64(fd, data, n, at));
}

void store_wrap_writes(void)
{
	static bool done;
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	if (done || !vfs || vfs->iVersion < 3)
		return;
	done = true;
	real_write = (__typeof__(real_write))vfs->xGetSystemCall(vfs, "write");
	real_pwrite = (__typeof__(real_pwrite))vfs->xGetSystemCall(vfs, "pwrite");
	real_pwrite64 = (__typeof__(real_pwrite64))vfs->xGetSystemCall(vfs, "pwrite64");
	if (real_write)
		vfs->xSetSystemCall(vfs, "write", (sqlite3_syscall_ptr)full_write);
	if (real_pwrite)
		vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)full_pwrite);
	if (real_pwrite64)
		vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)full_pwrite64);
}
