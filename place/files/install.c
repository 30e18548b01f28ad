/* SPDX-License-Identifier: ISC */
/*
 * git changes its configuration by writing config.lock and renaming it. Here the lock's content is
 * checked, and what is installed is a copy that no open handle or other name of the lock leads to.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/util.h"
#include "place/files/content.h"
#include "place/files/serve.h"

/* Reads a regular file of at most CONTENT_MAX bytes: length, or -1 with errno. */
static ssize_t read_whole(struct server *s, const struct fpath *p, char *out, struct stat *st)
{
	struct stat dummy;
	cleanup_close int fd = root_openat(&s->root, p, O_RDONLY | O_NONBLOCK, 0);
	size_t len = 0;
	st = st ? st : &dummy;
	if (fd < 0 || fstat(fd, st) < 0)
		return -1;
	errno = EACCES;
	if (!S_ISREG(st->st_mode))
		return -1;
	for (;;) {
		ssize_t n = read(fd, out + len, CONTENT_MAX + 1 - len);
		if (n < 0)
			return -1;
		if (n == 0)
			return (ssize_t)len;
		len += (size_t)n;
		if (len > CONTENT_MAX) {
			errno = EFBIG;
			return -1;
		}
	}
}

/* Writes the copy beside `to` and puts it in place. */
static int put_copy(int dir, const char *name, const void *text, size_t len, mode_t mode)
{
	char temp[32] = RULES_OURS;
	random_id(temp + strlen(temp), 12);
	int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	int rc = write_all(fd, text, len);
	if (rc == 0)
		rc = fchmod(fd, mode & 0666);
	if (rc == 0)
		rc = fsync(fd);
	close(fd);
	if (rc == 0)
		rc = renameat(dir, temp, dir, name);
	if (rc < 0) {
		int saved = errno;
		unlinkat(dir, temp, 0);
		errno = saved;
	}
	return rc;
}

/* What may stand at `to`, appended to out. */
static int check(const struct fpath *to, const char *text, size_t len, const char *old, size_t old_len,
	struct buf *out, struct err *e)
{
	bool refs = false, logs = false;
	int g = rules_git_at(to);
	for (size_t i = g < 0 ? to->n : (size_t)g + 1; i + 1 < to->n; i++) {
		refs = refs || strcasecmp(to->comp[i], "refs") == 0;
		logs = logs || strcasecmp(to->comp[i], "logs") == 0;
	}
	if ((refs && content_is_ref(text, len)) || (logs && content_is_reflog(text, len)))
		return buf_append(out, text, len);
	return content_config(text, len, old, old_len, out, e);
}

static void put_checked(struct server *s, const struct fpath *from, const struct fpath *to,
	const struct buf *out, mode_t mode)
{
	cleanup_close int from_dir = root_parent(&s->root, from);
	cleanup_close int to_dir = root_parent(&s->root, to);
	if (from_dir < 0 || to_dir < 0 ||
		put_copy(to_dir, root_last(to), buf_data(out), out->len, mode) < 0 ||
		unlinkat(from_dir, root_last(from), 0) < 0)
		answer_errno(s, errno);
	else
		answer_status(s, FX_OK, "");
}

void install_config(struct server *s, const struct fpath *from, const struct fpath *to)
{
	cleanup_free char *text = xcalloc(CONTENT_MAX + 1, 1);
	cleanup_free char *old = xcalloc(CONTENT_MAX + 1, 1);
	struct err e = {0};
	struct stat st;
	ssize_t len = read_whole(s, from, text, &st);
	if (len < 0) {
		answer_errno(s, errno);
		return;
	}
	ssize_t old_len = read_whole(s, to, old, NULL);
	if (old_len < 0 && errno != ENOENT) {
		answer_errno(s, errno);
		return;
	}
	struct buf out;
	buf_init(&out, CONTENT_MAX);
	if (check(to, text, (size_t)len, old, old_len < 0 ? 0 : (size_t)old_len, &out, &e) < 0)
		answer_refused(s, "change", to->text, e.message);
	else
		put_checked(s, from, to, &out, st.st_mode);
	buf_finish(&out);
}
