/* SPDX-License-Identifier: ISC */
/* Framing, dispatch, handles, answers. */
#include "place/files/serve.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"

#define IN_MAX (2 * (WIRE_PACKET_MAX + 4))
#define OUT_MAX (OUT_FLUSH + 2 * WIRE_PACKET_MAX)
#define LOG_WINDOW_MS 10000
#define LOG_PER_WINDOW 10

typedef void op_fn(struct server *s, struct wire *w);

static op_fn *const ops[] = {
	[FXP_OPEN] = op_open,
	[FXP_CLOSE] = op_close,
	[FXP_READ] = op_read,
	[FXP_WRITE] = op_write,
	[FXP_LSTAT] = op_lstat,
	[FXP_FSTAT] = op_fstat,
	[FXP_SETSTAT] = op_setstat,
	[FXP_FSETSTAT] = op_fsetstat,
	[FXP_OPENDIR] = op_opendir,
	[FXP_READDIR] = op_readdir,
	[FXP_REMOVE] = op_remove,
	[FXP_MKDIR] = op_mkdir,
	[FXP_RMDIR] = op_rmdir,
	[FXP_REALPATH] = op_realpath,
	[FXP_STAT] = op_stat,
	[FXP_RENAME] = op_rename,
	[FXP_READLINK] = op_readlink,
	[FXP_SYMLINK] = op_symlink,
};

static const struct {
	const char *name, *version;
	op_fn *fn;
} extensions[] = {
	{"posix-rename@openssh.com", "1", op_posix_rename},
	{"statvfs@openssh.com", "2", op_statvfs},
	{"fstatvfs@openssh.com", "2", op_fstatvfs},
	{"hardlink@openssh.com", "1", op_hardlink},
	{"fsync@openssh.com", "1", op_fsync},
	{"lsetstat@openssh.com", "1", op_lsetstat},
};

/* ---- answers ---- */

void answer_status(struct server *s, enum wire_status code, const char *text)
{
	put_status(&s->out, s->id, code, text);
}

void answer_errno(struct server *s, int errnum)
{
	char text[128];
	enum wire_status code = FX_FAILURE;
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
		code = FX_NO_SUCH_FILE;
		break;
	case EACCES:
	case EPERM:
	case ELOOP: /* a link where none is followed */
	case EXDEV: /* beneath says so of what leads out */
	case EROFS:
		code = FX_PERMISSION_DENIED;
		break;
	case EBADF:
		code = FX_FAILURE;
		break;
	default:
		break;
	}
	answer_status(s, code, strerror_r(errnum, text, sizeof(text)));
}

void answer_refused(struct server *s, const char *what, const char *path, const char *why)
{
	int64_t now = clock_mono_ms();
	if (now - s->log_window > LOG_WINDOW_MS) {
		s->log_window = now;
		s->logged = 0;
	}
	if (s->logged++ < LOG_PER_WINDOW)
		log_warn("files", NULL, "refused to %s /%s: %s", what, path, why);
	answer_status(s, FX_PERMISSION_DENIED, why);
}

int take_path(struct server *s, struct wire *w, struct fpath *ret)
{
	struct wire_str text = wire_str(w);
	struct err e = {0};
	if (w->bad) {
		answer_status(s, FX_BAD_MESSAGE, "the request is cut short");
		return -1;
	}
	if (fpath_parse(ret, text.p, text.len, &e) < 0) {
		answer_refused(s, "use", "?", e.message);
		return -1;
	}
	return 0;
}

bool complete(struct server *s, struct wire *w)
{
	if (!w->bad && w->left == 0)
		return true;
	answer_status(s, FX_BAD_MESSAGE, "the request is malformed");
	return false;
}

static const char *act_name(enum act act)
{
	switch (act) {
	case ACT_WRITE:
		return "write";
	case ACT_TRUNCATE:
		return "truncate";
	case ACT_ATTR:
		return "change the attributes of";
	case ACT_MKDIR:
		return "make the folder";
	case ACT_RMDIR:
	case ACT_REMOVE:
		return "remove";
	case ACT_RENAME_FROM:
		return "rename";
	case ACT_RENAME_TO:
		return "rename something to";
	case ACT_SYMLINK:
		return "make the link";
	case ACT_LINK_FROM:
	case ACT_LINK_TO:
		return "link";
	}
	return "use";
}

int permit(struct server *s, const struct fpath *p, enum act act, bool is_dir)
{
	const char *why;
	enum verdict v = root_judge(&s->root, p, act, is_dir, &why);
	if (v != V_REFUSE)
		return (int)v;
	answer_refused(s, act_name(act), p->text, why);
	return -1;
}

/* ---- handles ---- */

struct handle *handle_take(struct server *s, struct wire *w)
{
	struct wire_str text = wire_str(w);
	if (w->bad || text.len != HANDLE_LEN)
		return NULL;
	struct wire in = {text.p, text.len, false};
	uint32_t slot = wire_u32(&in), generation = wire_u32(&in);
	if (slot >= HANDLES_MAX || s->handles[slot].fd < 0 ||
		s->handles[slot].generation != generation)
		return NULL;
	return &s->handles[slot];
}

struct handle *handle_new(struct server *s)
{
	for (size_t i = 0; i < HANDLES_MAX; i++)
		if (s->handles[i].fd < 0)
			return &s->handles[i];
	return NULL;
}

void handle_close(struct handle *h)
{
	if (h->dir)
		closedir(h->dir);
	else if (h->fd >= 0)
		close(h->fd);
	free(h->path);
	*h = (struct handle){.generation = h->generation + 1, .fd = -1};
}

void answer_handle(struct server *s, const struct handle *h)
{
	size_t start = put_begin(&s->out, FXP_HANDLE, s->id);
	put_u32(&s->out, HANDLE_LEN);
	put_u32(&s->out, (uint32_t)(h - s->handles));
	put_u32(&s->out, h->generation);
	put_end(&s->out, start);
}

/* ---- dispatch ---- */

static int greet(struct server *s, struct wire *w, struct err *e)
{
	uint32_t version = wire_u32(w);
	if (w->bad || version < WIRE_VERSION)
		return err_set(e, ERR_VERSION, "the client speaks SFTP %u, this server %d", version,
			WIRE_VERSION);
	size_t start = s->out.len;
	put_u32(&s->out, 0);
	put_u8(&s->out, FXP_VERSION);
	put_u32(&s->out, WIRE_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
		put_str(&s->out, extensions[i].name, strlen(extensions[i].name));
		put_str(&s->out, extensions[i].version, strlen(extensions[i].version));
	}
	put_end(&s->out, start);
	s->greeted = true;
	return 0;
}

static void extended(struct server *s, struct wire *w)
{
	struct wire_str name = wire_str(w);
	for (size_t i = 0; !w->bad && i < ARRAY_LEN(extensions); i++) {
		if (wire_is(name, extensions[i].name)) {
			extensions[i].fn(s, w);
			return;
		}
	}
	answer_status(s, FX_OP_UNSUPPORTED, "this extension is not known");
}

static int dispatch(struct server *s, const unsigned char *body, size_t len, struct err *e)
{
	struct wire w = {body, len, false};
	uint8_t type = wire_u8(&w);
	if (!s->greeted) {
		if (type != FXP_INIT)
			return err_set(e, ERR_REQUEST, "the client did not begin with INIT");
		return greet(s, &w, e);
	}
	s->id = wire_u32(&w);
	if (w.bad)
		return err_set(e, ERR_REQUEST, "the client sent a packet without an id");
	if (type == FXP_EXTENDED)
		extended(s, &w);
	else if (type < ARRAY_LEN(ops) && ops[type])
		ops[type](s, &w);
	else
		answer_status(s, FX_OP_UNSUPPORTED, "this request is not known");
	return 0;
}

int server_handle(struct server *s, struct err *e)
{
	while (s->in.len >= 4 && s->out.len < OUT_FLUSH) {
		struct wire head = {buf_data(&s->in), 4, false};
		uint32_t len = wire_u32(&head);
		if (len == 0 || len > WIRE_PACKET_MAX)
			return err_set(e, ERR_LIMIT, "the client sent a packet of %u bytes", len);
		if (s->in.len - 4 < len)
			return 0;
		if (dispatch(s, buf_data(&s->in) + 4, len, e) < 0)
			return -1;
		buf_consume(&s->in, 4 + len);
	}
	return 0;
}

/* ---- the descriptor ---- */

/* Writes what the descriptor takes: 0, or -1. */
static int flush_out(struct server *s, int fd, struct err *e)
{
	while (s->out.len > 0) {
		ssize_t n = write(fd, buf_data(&s->out), s->out.len);
		if (n >= 0)
			buf_consume(&s->out, (size_t)n);
		else if (errno == EAGAIN)
			return 0;
		else if (errno != EINTR)
			return err_set_errno(e, ERR_IO, errno, "cannot answer");
	}
	return 0;
}

/* Reads what is there: 1, 0 at the end, -1. */
static int fill_in(struct server *s, int fd, struct err *e)
{
	for (;;) {
		size_t room = buf_room(&s->in);
		if (room == 0)
			return 1;
		ssize_t n = read(fd, buf_reserve(&s->in, room), room);
		if (n > 0)
			buf_added(&s->in, (size_t)n);
		else if (n == 0 || errno == ECONNRESET)
			return 0;
		else if (errno == EAGAIN)
			return 1;
		else if (errno != EINTR)
			return err_set_errno(e, ERR_IO, errno, "cannot read requests");
	}
}

/*
 * Requests are taken in while answers wait to be taken: a client that sends all before it reads gets its
 * answers, as long as both fit their bounds. The client's time is its own (its end wakes us), so this
 * wait has no deadline.
 */
int server_run(struct server *s, int fd, struct err *e)
{
	bool ended = false;
	if (fd_set_nonblock(fd) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot use descriptor %d", fd);
	for (;;) {
		if (server_handle(s, e) < 0) {
			flush_out(s, fd, NULL);
			return -1;
		}
		bool full = s->out.len >= OUT_FLUSH;
		if (flush_out(s, fd, e) < 0)
			return ended ? 0 : -1; /* answers nobody waits for */
		if (full && s->out.len < OUT_FLUSH)
			continue; /* requests may stand behind the full buffer */
		if (ended && s->out.len == 0)
			return 0;
		struct pollfd p = {.fd = fd};
		p.events |= !ended && buf_room(&s->in) > 0 ? POLLIN : 0;
		p.events |= s->out.len > 0 ? POLLOUT : 0;
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return err_set_errno(e, ERR_IO, errno, "cannot wait for requests");
		if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
			int rc = fill_in(s, fd, e);
			if (rc < 0)
				return -1;
			ended = rc == 0;
		}
	}
}

void server_init(struct server *s)
{
	memset(s, 0, sizeof(*s));
	s->root.fd = -1;
	buf_init(&s->in, IN_MAX);
	buf_init(&s->out, OUT_MAX);
	for (size_t i = 0; i < HANDLES_MAX; i++)
		s->handles[i].fd = -1;
	s->log_window = INT64_MIN / 2;
}

void server_finish(struct server *s)
{
	for (size_t i = 0; i < HANDLES_MAX; i++)
		handle_close(&s->handles[i]);
	buf_finish(&s->in);
	buf_finish(&s->out);
	root_close(&s->root);
}
