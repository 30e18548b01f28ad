/* SPDX-License-Identifier: ISC */
/* Operations on open files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/util.h"
#include "place/files/attrs.h"
#include "place/files/content.h"
#include "place/files/serve.h"

#define READ_MAX (WIRE_PACKET_MAX - 64)
#define MODE_BITS 0777 /* no setuid, setgid or sticky files on the host */

static int open_flags(uint32_t pflags)
{
	bool rd = pflags & FXF_READ, wr = pflags & FXF_WRITE;
	int flags = rd && wr ? O_RDWR : wr ? O_WRONLY : O_RDONLY;
	flags |= pflags & FXF_APPEND ? O_APPEND : 0;
	flags |= pflags & FXF_CREAT ? O_CREAT : 0;
	flags |= pflags & FXF_TRUNC ? O_TRUNC : 0;
	flags |= pflags & FXF_CREAT && pflags & FXF_EXCL ? O_EXCL : 0;
	return flags | O_NONBLOCK;
}

/* Opening a device or a fifo can do things: only regular files are opened, and looked at again. */
static int open_regular(struct server *s, const struct fpath *p, int flags, mode_t mode)
{
	struct stat st;
	if (root_lstat(&s->root, p, &st) == 0 && !S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : S_ISLNK(st.st_mode) ? ELOOP : EACCES;
		return -1;
	}
	cleanup_close int fd = root_openat(&s->root, p, flags, mode);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		errno = EACCES;
		return -1;
	}
	return take_fd(&fd);
}

static bool checked(int verdict)
{
	return verdict == V_GITFILE || verdict == V_COMMONDIR || verdict == V_REFLOG;
}

void op_open(struct server *s, struct wire *w)
{
	struct fpath p;
	struct wire_attrs a;
	const char *why;
	if (take_path(s, w, &p) < 0)
		return;
	uint32_t pflags = wire_u32(w);
	wire_attrs(w, &a);
	if (!complete(s, w))
		return;
	bool writes = pflags & (FXF_WRITE | FXF_CREAT | FXF_TRUNC | FXF_APPEND);
	int verdict = writes ? permit(s, &p, ACT_WRITE, false) : V_LET;
	if (verdict < 0)
		return;
	struct handle *h = handle_new(s);
	if (!h) {
		answer_status(s, FX_FAILURE, "too many open files");
		return;
	}
	bool never_executable = rules_never_executable(&p);
	mode_t mode = a.flags & ATTR_PERMISSIONS ? a.mode & MODE_BITS : 0666;
	if (never_executable)
		mode &= ~(mode_t)0111;
	int flags = open_flags(pflags) & (verdict == V_EXISTING ? ~(O_CREAT | O_EXCL) : ~0);
	int fd = open_regular(s, &p, flags, mode);
	/* One writer of a checked file, over all servers of the folder: two could weave a third text. */
	if (fd >= 0 && checked(verdict) && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		answer_errno(s, errno);
		return;
	}
	h->fd = fd;
	h->writable = pflags & FXF_WRITE;
	h->append = pflags & FXF_APPEND;
	h->content = (enum verdict)verdict;
	h->never_executable = never_executable;
	h->attr = root_judge(&s->root, &p, ACT_ATTR, false, &why);
	h->path = checked(verdict) ? xstrdup(p.text) : NULL;
	answer_handle(s, h);
}

void op_close(struct server *s, struct wire *w)
{
	struct handle *h = handle_take(s, w);
	if (!complete(s, w))
		return;
	if (!h) {
		answer_status(s, FX_FAILURE, "no such handle");
		return;
	}
	handle_close(h);
	answer_status(s, FX_OK, "");
}

/* The file of a handle argument; answers and returns NULL when it is none. */
static struct handle *take_file(struct server *s, struct wire *w)
{
	struct handle *h = handle_take(s, w);
	if (h && !h->dir)
		return h;
	answer_status(s, w->bad ? FX_BAD_MESSAGE : FX_FAILURE, "no such open file");
	return NULL;
}

void op_read(struct server *s, struct wire *w)
{
	struct handle *h = take_file(s, w);
	if (!h)
		return;
	uint64_t offset = wire_u64(w);
	uint32_t len = wire_u32(w);
	if (!complete(s, w))
		return;
	if (len > READ_MAX)
		len = READ_MAX;
	if (offset > INT64_MAX - READ_MAX) {
		answer_status(s, FX_EOF, "");
		return;
	}
	size_t start = put_begin(&s->out, FXP_DATA, s->id);
	put_u32(&s->out, 0);
	unsigned char *p = buf_reserve(&s->out, len ? len : 1);
	ssize_t n;
	do
		n = pread(h->fd, p, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n <= 0 && len > 0) {
		int saved = errno;
		s->out.len = start; /* take the half packet back */
		if (n == 0)
			answer_status(s, FX_EOF, "");
		else
			answer_errno(s, saved);
		return;
	}
	p[-4] = 0; /* the length of the data, behind which it was read; below 2^24 */
	p[-3] = (unsigned char)(n >> 16);
	p[-2] = (unsigned char)(n >> 8);
	p[-1] = (unsigned char)n;
	buf_added(&s->out, (size_t)n);
	put_end(&s->out, start);
}

/* Content that steers git must come whole and be right. */
static int check_content(struct server *s, struct handle *h, uint64_t offset, struct wire_str data)
{
	struct err e = {0};
	struct fpath p;
	struct stat st;
	const char *text = (const char *)data.p;
	if (!checked((int)h->content))
		return 0;
	if (fstat(h->fd, &st) < 0 || fpath_parse(&p, h->path, strlen(h->path), NULL) < 0)
		return err_set(&e, ERR_IO, "it cannot be looked at");
	if (h->append)
		offset = (uint64_t)st.st_size;
	bool whole = offset == 0 && st.st_size == 0;
	int rc = 0;
	if (h->content == V_GITFILE)
		rc = whole ? content_gitfile(text, data.len, &p, p.n - 1, s->root.path, &e)
			   : err_set(&e, ERR_DENIED, "a .git file is written once, in one piece");
	else if (h->content == V_COMMONDIR && !(whole && content_is_commondir(text, data.len)))
		rc = err_set(&e, ERR_DENIED, "commondir must say ../..");
	else if (h->content == V_REFLOG && offset < CONTENT_REFLOG_HEAD &&
		 !(offset == 0 && content_is_reflog(text, data.len)))
		rc = err_set(&e, ERR_DENIED, "this is no line of a reflog");
	if (rc < 0)
		answer_refused(s, "write", p.text, e.message);
	return rc;
}

void op_write(struct server *s, struct wire *w)
{
	struct handle *h = take_file(s, w);
	if (!h)
		return;
	uint64_t offset = wire_u64(w);
	struct wire_str data = wire_str(w);
	if (!complete(s, w))
		return;
	if (!h->writable || offset > INT64_MAX - WIRE_PACKET_MAX) {
		answer_errno(s, h->writable ? EFBIG : EBADF);
		return;
	}
	if (check_content(s, h, offset, data) < 0)
		return;
	while (data.len > 0) {
		ssize_t n = pwrite(h->fd, data.p, data.len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			answer_errno(s, errno);
			return;
		}
		data.p += n;
		data.len -= (size_t)n;
		offset += (uint64_t)n;
	}
	answer_status(s, FX_OK, "");
}

void op_fstat(struct server *s, struct wire *w)
{
	struct handle *h = handle_take(s, w);
	struct stat st;
	if (!complete(s, w))
		return;
	if (!h || fstat(h->fd, &st) < 0) {
		answer_status(s, FX_FAILURE, "no such handle");
		return;
	}
	answer_attrs(s, &st);
}

void op_fsetstat(struct server *s, struct wire *w)
{
	struct handle *h = handle_take(s, w);
	struct wire_attrs a;
	wire_attrs(w, &a);
	if (!complete(s, w))
		return;
	if (!h) {
		answer_status(s, FX_FAILURE, "no such handle");
		return;
	}
	bool more = a.flags & ~(uint32_t)ATTR_SIZE;
	if (more && h->attr != V_LET) {
		answer_refused(s, "change the attributes of", h->path ? h->path : "(an open file)",
			"these attributes are held");
		return;
	}
	if (a.flags & ATTR_SIZE) {
		/* Cut to nothing, its content is checked when it is written again. */
		if (!h->writable || h->dir || (checked((int)h->content) && a.size != 0)) {
			answer_errno(s, EACCES);
			return;
		}
		if (a.size > INT64_MAX || ftruncate(h->fd, (off_t)a.size) < 0) {
			answer_errno(s, a.size > INT64_MAX ? EFBIG : errno);
			return;
		}
	}
	if (attrs_apply(h->fd, &a, h->never_executable) < 0)
		answer_errno(s, errno);
	else
		answer_status(s, FX_OK, "");
}

void op_fsync(struct server *s, struct wire *w)
{
	struct handle *h = take_file(s, w);
	if (!h || !complete(s, w))
		return;
	if (fsync(h->fd) < 0)
		answer_errno(s, errno);
	else
		answer_status(s, FX_OK, "");
}

void op_fstatvfs(struct server *s, struct wire *w)
{
	struct handle *h = handle_take(s, w);
	if (!complete(s, w))
		return;
	if (!h)
		answer_status(s, FX_FAILURE, "no such handle");
	else
		answer_statvfs(s, h->fd);
}
