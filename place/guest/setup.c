/* SPDX-License-Identifier: ISC */
/* Identity, user, files, ways out, mounts: in the order in which one needs the other. */
#include "place/guest/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/util.h"
#include "place/guest/init.h"
#include "place/guest/memory.h"
#include "place/guest/mount.h"
#include "place/guest/proxy.h"

#define PATH_PARTS_MAX 64

/* --- files --- */

/* Opens a folder below dir, making it when it is not there. confined: no link leads out of dir. */
static int open_folder(struct guest *g, int dir, const char *name, bool confined, bool give, struct err *e)
{
	struct open_how how = { .flags = O_DIRECTORY | O_CLOEXEC | O_RDONLY,
		.resolve = confined ? RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS : 0 };
	bool made = mkdirat(dir, name, confined ? 0700 : 0755) == 0;
	int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot enter the folder %s", name);
	if (made && give && fchown(fd, g->agent.uid, g->agent.gid) < 0) {
		err_set_errno(e, ERR_IO, errno, "cannot give the folder %s to the agent", name);
		close(fd);
		return -1;
	}
	return fd;
}

/* Below the agent's home what we make is the agent's, folders too. */
static bool in_home(const struct guest *g, const char *path)
{
	size_t n = g->agent.home ? strlen(g->agent.home) : 0;

	return g->machine && n > 1 && strncmp(path, g->agent.home, n) == 0 && path[n] == '/';
}

static bool holds(int dir, const char *name, const char *content, size_t len)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup_free char *has = xcalloc(1, len + 1);
	struct stat st;
	bool same = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read(fd, has, len + 1) == (ssize_t)len &&
		    memcmp(has, content, len) == 0;

	explicit_bzero(has, len + 1);
	return same;
}

/* 1: it holds something else now; 0: it was so. */
static int write_file(struct guest *g, int dir, const char *name, const char *content, size_t len,
	mode_t mode, struct err *e)
{
	char tmp[NAME_MAX + 1], random[9];
	bool same = holds(dir, name, content, len);

	random_id(random, 8);
	random[8] = '\0';
	if (str_fmt(tmp, sizeof(tmp), ".%.200s.%s", name, random) < 0)
		return err_set(e, ERR_PARAMS, "the name %s is too long", name);
	int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot write %s", name);
	bool ok = write_all(fd, content, len) == 0;
	ok = ok && (!g->machine || fchown(fd, g->agent.uid, g->agent.gid) == 0);
	ok = ok && fchmod(fd, mode) == 0;
	ok = close(fd) == 0 && ok && renameat(dir, tmp, dir, name) == 0;
	if (ok)
		return same ? 0 : 1;
	err_set_errno(e, ERR_IO, errno, "cannot write %s", name);
	unlinkat(dir, tmp, 0);
	return -1;
}

/* Walks from `from` along path (relative), and writes its last part. */
static int put_file(struct guest *g, const char *whole, int from, char *path, const json_t *f,
	struct err *e)
{
	cleanup_close int dir = fcntl(from, F_DUPFD_CLOEXEC, 3);
	char *save = NULL, *part = strtok_r(path, "/", &save), *next;
	const json_t *content = json_object_get(f, "content");
	int parts = 0;

	if (!json_is_string(content) || !part)
		return err_set(e, ERR_PARAMS, "the file %s has no content or no name", whole);
	for (; (next = strtok_r(NULL, "/", &save)); part = next) {
		if (strcmp(part, "..") == 0 || ++parts > PATH_PARTS_MAX)
			return err_set(e, ERR_PARAMS, "%s cannot be a file's path", whole);
		int fd = open_folder(g, dir, part, !g->machine, in_home(g, whole), e);
		if (fd < 0)
			return err_prefix(e, "for the file %s", whole);
		close(dir);
		dir = fd;
	}
	if (strcmp(part, "..") == 0 || strcmp(part, ".") == 0)
		return err_set(e, ERR_PARAMS, "%s cannot be a file's path", whole);
	if (jget_bool(f, "if_absent", false) && faccessat(dir, part, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return write_file(g, dir, part, json_string_value(content), json_string_length(content),
		(mode_t)jget_int(f, "mode", 0600) & 0777, e);
}

static int setup_file(struct guest *g, const json_t *f, struct err *e)
{
	const char *path = jget_text(f, "path", "");
	const char *base = g->machine ? "/" : g->run_dir;
	size_t n = strlen(g->run_dir);

	if (*path != '/')
		return err_set(e, ERR_PARAMS, "a file's path must be absolute, not \"%s\"", path);
	if (!g->machine && (strncmp(path, g->run_dir, n) != 0 || path[n] != '/'))
		return err_set(e, ERR_DENIED, "on the host files are put into %s only, not %s", g->run_dir, path);
	if (mounts_cover(g, path))
		return err_set(e, ERR_STATE, "%s lies in a folder of the host's that is mounted there; files are "
			"not put into it", path);
	cleanup_free char *rest = xstrdup(g->machine ? path + 1 : path + n + 1);
	cleanup_close int from = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", base);
	return put_file(g, path, from, rest, f, e);
}

int setup_files(struct guest *g, const json_t *files, bool *ret_changed, struct err *e)
{
	bool changed = false;
	const json_t *f;
	size_t i;

	if (!files || json_is_null(files))
		return 0;
	if (!json_is_array(files) || json_array_size(files) > SETUP_FILES_MAX)
		return err_set(e, ERR_PARAMS, "\"files\" is no list, or longer than %d", SETUP_FILES_MAX);
	json_array_foreach(files, i, f) {
		int r = setup_file(g, f, e);
		if (r < 0)
			return -1;
		changed |= r > 0;
	}
	if (ret_changed)
		*ret_changed = changed;
	return 0;
}

/* --- identity --- */

static int entropy(const char *text, struct err *e)
{
	size_t len;
	cleanup_free unsigned char *raw = base64_decode(text, &len);

	if (!raw)
		return err_set(e, ERR_PARAMS, "\"entropy\" is not base64");
	int r = guest_add_entropy(raw, len, e);
	explicit_bzero(raw, len);
	return r;
}

static int user(struct guest *g, const json_t *o, struct err *e)
{
	struct guest_user u = { .name = jget_text(o, "name", GUEST_AGENT_USER),
		.uid = (uid_t)jget_int(o, "uid", 0), .gid = (gid_t)jget_int(o, "gid", 0),
		.home = jget_text(o, "home", ""), .shell = jget_text(o, "shell", NULL) };

	if (guest_set_user("", &u, e) < 0)
		return -1;
	guest_agent_finish(&g->agent);
	g->agent = (struct guest_agent){ .name = xstrdup(u.name), .home = xstrdup(u.home),
		.shell = xstrdup(u.shell ? u.shell : "/bin/bash"), .uid = u.uid, .gid = u.gid };
	return 0;
}

/* Another name is another machine: a clone, or the first start. */
static int hostname(struct guest *g, const char *name, struct err *e)
{
	if (g->hostname && strcmp(g->hostname, name) == 0)
		return 0;
	if (guest_set_hostname(name, e) < 0 || guest_new_machine_id(e) < 0)
		return -1;
	free(g->hostname);
	g->hostname = xstrdup(name);
	return 0;
}

static int identity(struct guest *g, const json_t *what, struct err *e)
{
	const char *name = jget_text(what, "hostname", NULL), *random = jget_text(what, "entropy", NULL);
	int64_t now = jget_int(what, "time_ms", 0);
	const json_t *who = json_object_get(what, "user");

	/* Randomness first: the machine-id is made of it. */
	if (random && entropy(random, e) < 0)
		return -1;
	if (now && guest_set_time(now, e) < 0)
		return -1;
	if (name && hostname(g, name, e) < 0)
		return -1;
	return json_is_object(who) ? user(g, who, e) : 0;
}

void setup_run(struct guest *g, const json_t *what, setup_done_fn *fn, void *arg)
{
	struct err e = { 0 };
	int r = 0;

	if (g->machine)
		r = identity(g, what, &e);
	if (r == 0 && g->machine) /* before files: some go there */
		r = memory_folders(g, json_object_get(what, "memory"), &e);
	if (r == 0)
		r = setup_files(g, json_object_get(what, "files"), NULL, &e);
	if (r == 0 && g->machine)
		r = proxy_set(g, jget_bool(what, "proxy", false), PROXY_PORT, json_object_get(what, "loopback"), &e);
	if (r < 0)
		fn(arg, &e);
	else if (g->machine)
		mounts_set(g, json_object_get(what, "mounts"), fn, arg);
	else
		fn(arg, NULL);
}
