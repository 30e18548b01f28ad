/* SPDX-License-Identifier: ISC */
/* Ways to files that others name, by openat2. */
#include "place/guest/way.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"
#include "place/guest/mount.h"

/* mounts_cover compares texts: each way has one only. Slashes that stand together become one; false: it goes over "."
 * or "..". */
static bool make_plain(char *path)
{
	char *to = path;

	for (const char *from = path; *from; from++)
		if (*from != '/' || from == path || to[-1] != '/')
			*to++ = *from;
	*to = '\0';
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if ((n == 1 && *path == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
	}
	return true;
}

static int open_plain(const struct guest *g, char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = g->machine ? RESOLVE_NO_SYMLINKS : 0 };

	if (*path != '/' || (g->machine && (!make_plain(path) || mounts_cover(g, path)))) {
		errno = EXDEV;
		return -1;
	}
	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

/* Where the link at the end of path leads: an absolute path, which is looked at like any other. */
static int open_linked(const struct guest *g, char *path, int flags)
{
	char *slash = strrchr(path, '/'), to[PATH_MAX];

	if (slash == path || !slash[1]) {
		errno = ELOOP;
		return -1;
	}
	*slash = '\0';
	cleanup_close int above = open_plain(g, path, O_PATH | O_DIRECTORY);
	ssize_t n = above < 0 ? -1 : readlinkat(above, slash + 1, to, sizeof(to) - 1);
	if (n <= 0 || *to != '/') {
		errno = ELOOP;
		return -1;
	}
	to[n] = '\0';
	return open_plain(g, to, flags);
}

int way_open(const struct guest *g, const char *path, int flags)
{
	cleanup_free char *plain = xstrdup(path);
	int fd = open_plain(g, plain, flags);

	return fd < 0 && errno == ELOOP && g->machine ? open_linked(g, plain, flags) : fd;
}

int way_open_below(const struct guest *g, int folder, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

	if (g->machine)
		how.resolve |= RESOLVE_NO_XDEV;
	return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}
