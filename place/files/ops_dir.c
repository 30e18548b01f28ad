/* SPDX-License-Identifier: ISC */
/* Listing folders. */
#include <errno.h>
#include <fcntl.h>

#include "base/util.h"
#include "place/files/serve.h"

#define BATCH_BYTES (32 * 1024) /* of one answer */

void op_opendir(struct server *s, struct wire *w)
{
	struct fpath p;
	if (take_path(s, w, &p) < 0 || !complete(s, w))
		return;
	struct handle *h = handle_new(s);
	if (!h) {
		answer_status(s, FX_FAILURE, "too many open files");
		return;
	}
	cleanup_close int fd = root_openat(&s->root, &p, O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		answer_errno(s, errno);
		return;
	}
	h->fd = take_fd(&fd);
	h->dir = d;
	h->attr = V_REFUSE; /* by name only */
	answer_handle(s, h);
}

static void put_entry(struct buf *b, const char *name, const struct stat *st)
{
	size_t len = strlen(name);
	put_str(b, name, len);
	put_str(b, name, len); /* the long form is for people at an sftp prompt */
	put_stat(b, st);
}

void op_readdir(struct server *s, struct wire *w)
{
	struct handle *h = handle_take(s, w);
	if (!complete(s, w))
		return;
	if (!h || !h->dir) {
		answer_status(s, FX_FAILURE, "no such open folder");
		return;
	}
	size_t start = put_begin(&s->out, FXP_NAME, s->id);
	size_t count_at = s->out.len;
	uint32_t count = 0;
	put_u32(&s->out, 0);
	errno = 0;
	while (s->out.len - start < BATCH_BYTES) {
		struct dirent *ent = readdir(h->dir);
		struct stat st;
		if (!ent)
			break;
		/* Gone meanwhile: as if it had never been listed. */
		if (fstatat(h->fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		put_entry(&s->out, ent->d_name, &st);
		count++;
		errno = 0;
	}
	if (count == 0) {
		int saved = errno;
		s->out.len = start;
		if (saved && saved != ENOENT)
			answer_errno(s, saved);
		else
			answer_status(s, FX_EOF, "");
		return;
	}
	unsigned char *p = buf_data(&s->out) + count_at;
	p[2] = (unsigned char)(count >> 8);
	p[3] = (unsigned char)count;
	put_end(&s->out, start);
}
