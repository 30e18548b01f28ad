/* SPDX-License-Identifier: ISC */
/* Ways to files that others name, by openat2. */
#include "place/guest/way.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "place/guest/mount.h"

/* mounts_cover compares texts: each way has one only. */
static bool is_plain(const char *path)
{
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if ((n == 0 && *path) || (n == 1 && *path == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
	}
	return !*path;
}

int way_open(const struct guest *g, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = g->machine ? RESOLVE_NO_SYMLINKS : 0 };

	if (*path != '/' || (g->machine && (!is_plain(path) || mounts_cover(g, path)))) {
		errno = EXDEV;
		return -1;
	}
	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

int way_open_below(const struct guest *g, int folder, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

	if (g->machine)
		how.resolve |= RESOLVE_NO_XDEV;
	return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}
